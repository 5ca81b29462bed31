"""What the USB seams (USB/IP, usbfs) need of whatever is plugged in: boards, debug probes."""

from __future__ import annotations

from typing import Protocol

from particle_harness.clock import Clock
from particle_harness.usb.descriptors import UsbIdentity
from particle_harness.usb.transfer import Setup


class Supply(Protocol):
    """Whether a device has power."""

    @property
    def powered(self) -> bool:
        """False: it left because its supply went."""
        ...


class BusDevice(Protocol):
    """One device in one port. Bulk data has one pipe each way."""

    @property
    def port_path(self) -> str:
        """USB port chain, e.g. ``1-2``."""
        ...

    @property
    def state(self) -> Supply:
        """Its power."""
        ...

    @property
    def answers_at_once(self) -> bool:
        """Whether no transfer takes time of its own, so that whoever submits one may wait for it."""
        ...

    def on_bus(self) -> tuple[int, UsbIdentity] | None:
        """USB address and descriptors when it is on the bus."""
        ...

    def control(self, address: int, setup: Setup, data: bytes = b"") -> bytes:
        """One control transfer. Raises StallError, GoneError, SilentError."""
        ...

    def bus_reset(self, address: int) -> None:
        """The host resets the port. Raises GoneError, SilentError."""
        ...

    def serial_write(self, address: int, data: bytes) -> None:
        """Bulk data to the device. Raises GoneError, SilentError."""
        ...

    def serial_read(self, address: int, size_bytes: int) -> bytes:
        """Bulk data that waits, or nothing. Raises GoneError."""
        ...


class BoardOnBus(BusDevice, Protocol):
    """A board, whose time may be its own."""

    @property
    def clock(self) -> Clock:
        """Its time."""
        ...
