"""A USB bus with virtual boards on it, as sysfs and device nodes show it.

Source: Linux Documentation/ABI/testing/sysfs-bus-usb, drivers/usb/core/sysfs.c (names and formats of attributes).
"""

from __future__ import annotations

import struct
import threading
from collections.abc import Iterable, Mapping
from pathlib import Path

from particle_harness.umockdev.library import IoctlNode, Testbed
from particle_harness.umockdev.tty import VirtualTty
from particle_harness.umockdev.usbfs import UsbfsNode
from particle_harness.usb.bus_device import BusDevice
from particle_harness.usb.descriptors import INTERFACE, UsbIdentity, descriptors_of

_HOST_CONTROLLER = "/devices/pci0000:00/0000:00:14.0"
_ROOT_HUB_DESCRIPTORS = bytes.fromhex(
    "12010002090001406b1d020005060000000109021900010100e0000904000001090000000705810304000c"
)
_CDC_CONTROL_CLASS = 0x02
_LOOK_S = 0.005


class UmockdevBus:
    """Boards of a bench on a mocked bus. A context manager: the bus lives within it.

    Programs must be started under ``umockdev-wrapper`` with :attr:`environment`; uevents reach them only when this
    process runs under ``umockdev-wrapper`` too. Raises BenchError when umockdev is not installed.
    """

    def __init__(self, boards: Iterable[BusDevice]) -> None:
        self._boards = tuple(boards)
        self._testbed = Testbed()
        self._present: dict[str, _Plugged] = {}
        self._stop = threading.Event()
        self._watcher = threading.Thread(target=self._watch, name="virtual hub", daemon=True)
        for bus in sorted({board.port_path.partition("-")[0] for board in self._boards}):
            self._testbed.add(_root_hub(int(bus)))

    def __enter__(self) -> UmockdevBus:
        self._look()
        self._watcher.start()
        return self

    def __exit__(self, *exception: object) -> None:
        self._stop.set()
        self._watcher.join()
        for plugged in self._present.values():
            plugged.close()
        self._testbed.__exit__(*exception)

    @property
    def environment(self) -> Mapping[str, str]:
        """What a program that shall see this bus needs in its environment."""
        return {"UMOCKDEV_DIR": self._testbed.root}

    def _watch(self) -> None:
        while not self._stop.wait(_LOOK_S):
            self._look()

    def _look(self) -> None:
        for board in self._boards:
            found = board.on_bus()
            plugged = self._present.get(board.port_path)
            if plugged and (found is None or found[0] != plugged.address):
                plugged.unplug()
                del self._present[board.port_path]
                plugged = None
            if found and plugged is None:
                taken = {other.tty_number for other in self._present.values()}
                tty_number = next(n for n in range(len(self._boards) + 1) if n not in taken)
                self._present[board.port_path] = _Plugged(self._testbed, board, *found, tty_number)


class _Plugged:
    """One enumeration of a board in sysfs."""

    def __init__(
        self, testbed: Testbed, board: BusDevice, address: int, identity: UsbIdentity, tty_number: int
    ) -> None:
        self._testbed, self.address, self._tty, self.tty_number = testbed, address, None, -1
        bus = int(board.port_path.partition("-")[0])
        device = f"{_HOST_CONTROLLER}/usb{bus}/{board.port_path}"
        node = f"bus/usb/{bus:03d}/{address:03d}"
        interfaces = {d[2]: d for d in descriptors_of(identity.configuration) if d[1] == INTERFACE and d[3] == 0}
        self._syspaths: list[str] = []
        self._nodes: list[str] = []
        # Adding a device tells everybody at once: whoever then opens the node must find somebody who answers.
        self._usbfs = UsbfsNode(board, address, identity)
        self._attach(f"/dev/{node}", self._usbfs)
        self._add(device, _device(device, node, bus, address, identity, len(interfaces)))
        for number, descriptor in interfaces.items():
            path = f"{device}/{board.port_path}:1.{number}"
            self._add(path, _interface(path, descriptor))
            if descriptor[5] == _CDC_CONTROL_CLASS:
                self._tty, self.tty_number = VirtualTty(board, address), tty_number
                self._add_tty(path, self._tty, identity)

    def unplug(self) -> None:
        """The board left the bus."""
        for path in reversed(self._syspaths):
            self._testbed.uevent(path, "remove")
            self._testbed.remove(path)
        self.close()

    def close(self) -> None:
        """Give up what moves. The nodes are gone by then, so that no program opens one that nobody answers for."""
        self._usbfs.close()
        if self._tty:
            self._tty_link.unlink(missing_ok=True)
            self._tty.close()
            self._tty = None
        for node in self._nodes:
            self._testbed.detach(node)

    def _add(self, path: str, description: str) -> None:
        self._testbed.add(description)
        self._syspaths.append(f"/sys{path}")

    def _attach(self, node: str, handler: IoctlNode) -> None:
        self._testbed.attach(node, handler)
        self._nodes.append(node)

    def _add_tty(self, interface: str, tty: VirtualTty, identity: UsbIdentity) -> None:
        name = f"ttyACM{self.tty_number}"
        path = f"{interface}/tty/{name}"
        vid, pid = struct.unpack_from("<HH", identity.device, 8)
        self._tty_link = Path(self._testbed.root, "dev", name)
        self._tty_link.symlink_to(tty.path)
        self._attach(f"/dev/{name}", tty)
        self._add(
            path,
            f"P: {path}\nE: SUBSYSTEM=tty\nE: DEVNAME=/dev/{name}\nE: MAJOR=166\nE: MINOR={self.tty_number}\n"
            f"E: ID_BUS=usb\nE: ID_VENDOR_ID={vid:04x}\nE: ID_MODEL_ID={pid:04x}\n"
            f"E: ID_VENDOR={_text(identity, 1)}\nE: ID_MODEL={_text(identity, 2).replace(' ', '_')}\n"
            f"E: ID_SERIAL_SHORT={_text(identity, 3)}\nA: dev=166:{self.tty_number}\\n\nL: device=../..\n\n",
        )


def _text(identity: UsbIdentity, index: int) -> str:
    return identity.strings[index][2:].decode("utf-16-le") if index in identity.strings else ""


def _root_hub(bus: int) -> str:
    content = _ROOT_HUB_DESCRIPTORS.hex().upper()
    return (
        f"P: {_HOST_CONTROLLER}/usb{bus}\nN: bus/usb/{bus:03d}/001={content}\nE: SUBSYSTEM=usb\nE: DEVTYPE=usb_device\n"
        f"E: DEVNAME=/dev/bus/usb/{bus:03d}/001\nE: BUSNUM={bus:03d}\nE: DEVNUM=001\n"
        f"A: busnum={bus}\\n\nA: devnum=1\\n\n"
        f"A: bConfigurationValue=1\\n\nA: bNumConfigurations=1\\n\nA: idVendor=1d6b\\n\nA: idProduct=0002\\n\n"
        f"A: bDeviceClass=09\\n\nA: speed=480\\n\nA: rx_lanes=1\\n\nA: tx_lanes=1\\n\nA: maxchild=16\\n\n"
        f"H: descriptors={content}\n\n"
    )


def _device(path: str, node: str, bus: int, address: int, identity: UsbIdentity, interfaces: int) -> str:
    device, configuration = identity.device, identity.configuration
    vid, pid, release = struct.unpack_from("<HHH", device, 8)
    content = (device + configuration).hex().upper()
    attributes = {
        "busnum": bus,
        "devnum": address,
        "devpath": path.rpartition("-")[2],
        "speed": 12,
        "rx_lanes": 1,
        "tx_lanes": 1,
        "version": " 2.00",
        "maxchild": 0,
        "bDeviceClass": f"{device[4]:02x}",
        "bDeviceSubClass": f"{device[5]:02x}",
        "bDeviceProtocol": f"{device[6]:02x}",
        "bMaxPacketSize0": device[7],
        "idVendor": f"{vid:04x}",
        "idProduct": f"{pid:04x}",
        "bcdDevice": f"{release:04x}",
        "manufacturer": _text(identity, 1),
        "product": _text(identity, 2),
        "serial": _text(identity, 3),
        "configuration": _text(identity, configuration[6]),
        "bNumConfigurations": device[17],
        "bConfigurationValue": configuration[5],
        "bNumInterfaces": f"{interfaces:2d}",
        "bmAttributes": f"{configuration[7]:02x}",
        "bMaxPower": f"{configuration[8] * 2}mA",
    }
    return (
        f"P: {path}\nN: {node}={content}\nE: SUBSYSTEM=usb\nE: DEVTYPE=usb_device\nE: DEVNAME=/dev/{node}\n"
        f"E: BUSNUM={bus:03d}\nE: DEVNUM={address:03d}\nE: PRODUCT={vid:x}/{pid:x}/{release:x}\n"
        f"E: ID_VENDOR_ID={vid:04x}\nE: ID_MODEL_ID={pid:04x}\nE: ID_SERIAL_SHORT={_text(identity, 3)}\n"
        + "".join(f"A: {name}={value}\\n\n" for name, value in attributes.items())
        + f"H: descriptors={content}\n\n"
    )


def _interface(path: str, descriptor: bytes) -> str:
    numbers = ("bInterfaceNumber", "bAlternateSetting", "bNumEndpoints")
    classes = ("bInterfaceClass", "bInterfaceSubClass", "bInterfaceProtocol")
    values = descriptor[2:8]
    return (
        f"P: {path}\nE: SUBSYSTEM=usb\nE: DEVTYPE=usb_interface\n"
        + "".join(f"A: {name}={value:02x}\\n\n" for name, value in zip(numbers + classes, values, strict=True))
        + "\n"
    )
