"""What a board needs of an emulated chip, and who makes one."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Protocol

from particle_harness.emulator.core.timeline import Timeline
from particle_harness.emulator.usb.controller import UsbController
from particle_harness.emulator.usb.host import Runner
from particle_harness.swd.bus import Peripheral

ChecksumUnits = Mapping[int, Callable[[], Peripheral]]
"""New checksum units of a chip, by the addresses of their pages."""


class EmulatedChip(Protocol):
    """A processor with its peripherals, around memories that others share."""

    @property
    def processor(self) -> Runner:
        """What executes the firmware."""
        ...

    @property
    def timeline(self) -> Timeline:
        """Its time."""
        ...

    @property
    def usb(self) -> UsbController:
        """Its USB device controller."""
        ...

    @property
    def runs(self) -> bool:
        """Whether the core executes or sleeps: it is neither locked up nor halted by a debugger."""
        ...

    def power_on(self) -> None:
        """Power comes: the core starts at its reset vector."""
        ...

    def power_off(self) -> None:
        """Power goes: RAM and registers are lost."""
        ...

    def pin_reset(self) -> None:
        """The reset line is pulled and let go."""
        ...

    def attach_vbus(self) -> None:
        """5 V come on the USB cable."""
        ...

    def detach_vbus(self) -> None:
        """They go."""
        ...

    def hold_mode_button(self, pressed: bool) -> None:
        """Somebody presses the MODE button, or lets it go."""
        ...

    def snapshot(self) -> bytes:
        """Everything but the contents of flash that outlives the process by itself."""
        ...

    def restore(self, snapshot: bytes) -> None:
        """Go on from a snapshot of such a chip. ValueError for one of another kind."""
        ...
