"""USB devices as Linux describes them in sysfs: found even when they may not be opened."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from particle_dev.catalog.platforms import platform_by_usb_id


@dataclass(frozen=True, slots=True)
class UsbNode:
    """One USB device. ``port_path`` is its name in sysfs (``1-2.3``), ``node`` what a program opens, ``ttys`` the
    serial ports that the kernel's driver made of it. Source: Linux Documentation/ABI/stable/sysfs-bus-usb."""

    port_path: str
    vid: int
    pid: int
    product: str
    serial_number: str
    node: Path
    power_control: str
    ttys: tuple[Path, ...]

    @property
    def name(self) -> str:
        """For people: product, serial number and port."""
        return f"{self.product or f'{self.vid:04x}:{self.pid:04x}'} {self.serial_number} at {self.port_path}"

    @property
    def is_particle(self) -> bool:
        """Whether the catalogue knows its vendor and product id."""
        return platform_by_usb_id(self.vid, self.pid) is not None

    @property
    def hubs_between(self) -> int:
        """External hubs between this computer and the device."""
        return self.port_path.count(".")


def usb_nodes(root: Path) -> tuple[UsbNode, ...] | None:
    """All devices below the root hubs, by port; None when this system shows no USB at all."""
    folder = root / "sys/bus/usb/devices"
    if not folder.is_dir():
        return None
    nodes = [node for path in folder.iterdir() if (node := _node(path)) is not None]
    return tuple(sorted(nodes, key=lambda n: n.port_path))


def _node(path: Path) -> UsbNode | None:
    """None for interfaces, root hubs, and a device that left meanwhile."""
    if ":" in path.name or path.name.startswith("usb"):
        return None
    vid, pid, bus, number = (_text(path / n) for n in ("idVendor", "idProduct", "busnum", "devnum"))
    if not (vid and pid and bus and number):
        return None
    root = path.parents[4]
    ttys = sorted({root / "dev" / tty.name for tty in path.glob(f"{path.name}:*/tty/*")})
    return UsbNode(
        path.name,
        int(vid, 16),
        int(pid, 16),
        _text(path / "product"),
        _text(path / "serial"),
        root / f"dev/bus/usb/{int(bus):03d}/{int(number):03d}",
        _text(path / "power/control"),
        tuple(ttys),
    )


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8", errors="replace").strip()
    except OSError:
        return ""
