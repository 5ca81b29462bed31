"""The ioctls of a usbfs node (/dev/bus/usb/BBB/DDD), in front of one enumeration of a virtual board.

Source: Linux include/uapi/linux/usbdevice_fs.h (numbers, structures on 64-bit machines) and
Documentation/driver-api/usb/usb.rst; drivers/usb/core/devio.c for error codes.
"""

from __future__ import annotations

import errno
import struct
import sys
import threading
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field

from particle_harness.umockdev.library import ClientMemory, IoctlCall, IoctlNode
from particle_harness.usb.bus_device import BusDevice
from particle_harness.usb.descriptors import INTERFACE, UsbIdentity, descriptors_of
from particle_harness.usb.transfer import TO_INTERFACE, TYPE_VENDOR, GoneError, Setup, SilentError, StallError
from particle_harness.usb.urbs import Urb, UrbQueue

_URB = struct.Struct("<BB2xiI4xQii")
"""type, endpoint, status, flags, buffer, buffer_length, actual_length; the rest is for isochronous transfers."""
_URB_SIZE_BYTES, _STATUS_AT, _BUFFER_AT, _ACTUAL_AT = 56, 4, 16, 28
_URB_CONTROL = 2
_SETUP_SIZE_BYTES = 8
_DRIVER_NAME_SIZE_BYTES = 256
_NOT_DONE_YET_S = 0.001
"""poll() says that a plain file is always ready, so libusb asks for finished URBs in a circle: slow it down."""
_CAPABILITIES = 0x01 | 0x04 | 0x10  # zero packet, no packet size limit, reap after disconnect
_FULL_SPEED = 2
_CDC_CLASSES = (0x02, 0x0A)
_KERNEL = "cdc_acm"


@dataclass(slots=True, eq=False)
class _Submitted:
    urb: Urb
    memory: ClientMemory
    buffer: ClientMemory | None


@dataclass(slots=True)
class _OpenFile:
    """What one open() of the node has: URBs by the address that the program gave, claims."""

    submitted: dict[int, _Submitted] = field(default_factory=dict)
    done: deque[_Submitted] = field(default_factory=deque)
    claimed: set[int] = field(default_factory=set)
    waits: tuple[IoctlCall, ClientMemory] | None = None


class UsbfsNode(IoctlNode):
    """One device node. :meth:`close` when the board leaves the bus."""

    def __init__(self, board: BusDevice, address: int, identity: UsbIdentity) -> None:
        super().__init__(self._ioctl, closed=self._vanished)
        self._board, self._address = board, address
        interfaces = [d for d in descriptors_of(identity.configuration) if d[1] == INTERFACE]
        self._interfaces = {d[2] for d in interfaces}
        self.kernel_driven = {d[2] for d in interfaces if d[5] in _CDC_CLASSES}
        self._files: dict[int, _OpenFile] = {}
        self._owner_of: dict[Urb, tuple[_OpenFile, int]] = {}
        self._changed = threading.Condition()
        self._gone = False
        self._urbs = UrbQueue(board, address, self._give_back)
        threading.Thread(target=self._answer_late, name=f"reap {board.port_path}/{address}", daemon=True).start()
        self._calls: dict[int, Callable[[IoctlCall, _OpenFile], int | None]] = {
            0x5503: lambda _call, _file: 0,  # RESETEP
            0x5504: self._set_interface,
            0x5505: self._set_configuration,
            0x5508: self._get_driver,
            0x550A: self._submit,
            0x550B: self._discard,
            0x550D: self._reap_without_delay,
            0x550F: self._claim,
            0x5510: self._release,
            0x5512: self._interface_ioctl,
            0x5514: self._reset,
            0x5515: self._clear_halt,
            0x551A: self._capabilities,
            0x551B: self._disconnect_and_claim,
            0x551F: lambda _call, _file: _FULL_SPEED,
        }

    def close(self) -> None:
        """The board left: URBs end with -ENODEV, as do all later calls but the reaping of what is done."""
        with self._changed:
            self._gone = True
        self._urbs.close()

    # -- dispatch ------------------------------------------------------------------------------------------------

    def _ioctl(self, call: IoctlCall) -> int | None:
        handler = self._calls.get(call.request & 0xFFFF)
        if handler is None:
            print(f"usbfs: ioctl {call.request:08x} is not known", file=sys.stderr)  # noqa: T201
            return -errno.ENOTTY
        file = self._files.setdefault(call.client, _OpenFile())
        if self._gone and handler != self._reap_without_delay:
            return -errno.ENODEV
        return handler(call, file)

    def _vanished(self, client: int) -> None:
        file = self._files.pop(client, None)
        if file:
            for submitted in list(file.submitted.values()):
                if self._urbs.cancel(submitted.urb):
                    self._owner_of.pop(submitted.urb, None)

    # -- URBs ----------------------------------------------------------------------------------------------------

    def _submit(self, call: IoctlCall, file: _OpenFile) -> int:
        # Following a pointer replaces it, so the URB's address, its name later on, is read first.
        key = int.from_bytes(call.argument.read()[:8], "little")
        memory = call.pointed(_URB_SIZE_BYTES)
        kind, endpoint, _, _, _, length, _ = _URB.unpack_from(memory.read())
        buffer = memory.follow(_BUFFER_AT, length) if length else None
        data = buffer.read() if buffer else b""
        if kind == _URB_CONTROL:
            setup = Setup.unpack(data[:_SETUP_SIZE_BYTES])
            self._check_recipient(setup, file)
            urb = Urb(0, setup.w_length, setup, b"" if setup.is_in else data[_SETUP_SIZE_BYTES:])
        else:
            urb = Urb(endpoint, length, None, b"" if endpoint & 0x80 else data)
        with self._changed:
            file.submitted[key] = _Submitted(urb, memory, buffer)
            self._owner_of[urb] = file, key
        return 0 if self._urbs.submit(urb) else -errno.ENODEV

    def _check_recipient(self, setup: Setup, file: _OpenFile) -> None:
        if setup.recipient != TO_INTERFACE or setup.kind == TYPE_VENDOR:
            return
        interface = setup.w_index & 0xFF
        if interface not in self._interfaces:
            raise OSError(errno.ENOENT, "no such interface")
        if interface not in file.claimed:
            self._take(interface, file)

    def _give_back(self, urb: Urb) -> None:
        with self._changed:
            file, key = self._owner_of.pop(urb)
            submitted = file.submitted.pop(key, None)
            if submitted:
                file.done.append(submitted)
                self._changed.notify()

    def _discard(self, call: IoctlCall, file: _OpenFile) -> int:
        submitted = file.submitted.get(int.from_bytes(call.argument.read()[:8], "little"))
        if submitted is None or not self._urbs.cancel(submitted.urb):
            return -errno.EINVAL
        submitted.urb.status = -errno.ENOENT
        self._give_back(submitted.urb)
        return 0

    def _reap_without_delay(self, call: IoctlCall, file: _OpenFile) -> int | None:
        slot = call.pointed(8)
        with self._changed:
            if not file.done and not file.submitted:
                return -errno.EAGAIN
            if not file.done:
                file.waits = call, slot
                self._changed.notify()
                return None
            submitted = file.done.popleft()
        return self._reap(submitted, slot)

    @staticmethod
    def _reap(submitted: _Submitted, slot: ClientMemory) -> int:
        urb = submitted.urb
        if urb.reply and submitted.buffer:
            submitted.buffer.write(_SETUP_SIZE_BYTES if urb.setup else 0, urb.reply)
        submitted.memory.write(_STATUS_AT, struct.pack("<i", urb.status))
        submitted.memory.write(_ACTUAL_AT, struct.pack("<i", urb.actual_length))
        slot.point_at(0, submitted.memory)
        return 0

    def _answer_late(self) -> None:
        """Answers programs that asked for finished URBs when there were none: with one, or EAGAIN after a moment."""
        while self._answer_one() or not self._gone:
            pass

    def _answer_one(self) -> bool:
        # A method of its own: a reference to a call that outlives it would keep the program's file open.
        with self._changed:
            if not self._changed.wait_for(self._waiting_file, timeout=0.5):
                return False
            self._changed.wait_for(self._ready_file, _NOT_DONE_YET_S)
            file = self._ready_file() or self._waiting_file()
            if file is None or file.waits is None:
                return False
            (call, slot), file.waits = file.waits, None
            submitted = file.done.popleft() if file.done else None
        if submitted:
            call.complete(self._reap(submitted, slot))
        else:
            call.complete(-errno.ENODEV if self._gone else -errno.EAGAIN)
        return True

    def _waiting_file(self) -> _OpenFile | None:
        return next((file for file in self._files.copy().values() if file.waits), None)

    def _ready_file(self) -> _OpenFile | None:
        return next((file for file in self._files.copy().values() if file.waits and file.done), None)

    # -- interfaces ----------------------------------------------------------------------------------------------

    def _claim(self, call: IoctlCall, file: _OpenFile) -> int:
        self._take(_number(call.pointed(4)), file)
        return 0

    def _take(self, interface: int, file: _OpenFile) -> None:
        if interface not in self._interfaces:
            raise OSError(errno.ENOENT, "no such interface")
        taken = any(interface in other.claimed for other in self._files.values() if other is not file)
        if taken or interface in self.kernel_driven:
            raise OSError(errno.EBUSY, "in use")
        file.claimed.add(interface)

    def _release(self, call: IoctlCall, file: _OpenFile) -> int:
        interface = _number(call.pointed(4))
        if interface not in file.claimed:
            return -errno.EINVAL
        file.claimed.discard(interface)
        return 0

    def _get_driver(self, call: IoctlCall, file: _OpenFile) -> int:  # noqa: ARG002
        memory = call.pointed(4 + _DRIVER_NAME_SIZE_BYTES)
        interface = _number(memory)
        if interface in self.kernel_driven:
            name = _KERNEL
        elif any(interface in other.claimed for other in self._files.values()):
            name = "usbfs"
        else:
            return -errno.ENODATA
        memory.write(4, name.encode() + b"\0")
        return 0

    def _interface_ioctl(self, call: IoctlCall, file: _OpenFile) -> int:  # noqa: ARG002
        interface, code = struct.unpack_from("<ii", call.pointed(16).read())
        if code == 0x5516 and interface in self.kernel_driven:  # DISCONNECT
            self.kernel_driven.discard(interface)
            return 0
        if code == 0x5517:  # CONNECT: the serial driver does not bind again here
            return 0
        return -errno.ENODATA

    def _disconnect_and_claim(self, call: IoctlCall, file: _OpenFile) -> int:
        interface = _number(call.pointed(8 + _DRIVER_NAME_SIZE_BYTES))
        self.kernel_driven.discard(interface)
        self._take(interface, file)
        return 0

    def _set_interface(self, call: IoctlCall, file: _OpenFile) -> int:
        interface, alternate = struct.unpack("<II", call.pointed(8).read())
        if interface not in file.claimed:
            self._take(interface, file)
        return self._control(Setup(0x01, 11, alternate, interface, 0))

    def _set_configuration(self, call: IoctlCall, file: _OpenFile) -> int:
        if any(other.claimed for other in self._files.values() if other is not file) or self.kernel_driven:
            return -errno.EBUSY
        return self._control(Setup(0x00, 9, _number(call.pointed(4)), 0, 0))

    def _clear_halt(self, call: IoctlCall, file: _OpenFile) -> int:  # noqa: ARG002
        return self._control(Setup(0x02, 1, 0, _number(call.pointed(4)), 0))

    def _control(self, setup: Setup) -> int:
        try:
            self._board.control(self._address, setup)
        except StallError:
            return -errno.EPIPE
        except SilentError:
            return -errno.ETIMEDOUT
        except GoneError:
            return -errno.ENODEV
        return 0

    def _reset(self, call: IoctlCall, file: _OpenFile) -> int:  # noqa: ARG002
        try:
            self._board.bus_reset(self._address)
        except GoneError:
            return -errno.ENODEV
        return 0

    def _capabilities(self, call: IoctlCall, file: _OpenFile) -> int:  # noqa: ARG002
        call.pointed(4).write(0, struct.pack("<I", _CAPABILITIES))
        return 0


def _number(memory: ClientMemory) -> int:
    return int.from_bytes(memory.read()[:4], "little")
