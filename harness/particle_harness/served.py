"""What servers and mocked buses need of a bench, whether its boards are modelled or emulated."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Protocol

from particle_harness.boards import Hardware
from particle_harness.nor_flash import NorFlash
from particle_harness.usb.bus_device import BoardOnBus, BusDevice

if TYPE_CHECKING:
    from particle_harness.probes import SlotProbe


class ServedState(Protocol):
    """What shows how a board does."""

    device_id: str
    powered: bool
    unplugged: bool
    runs: str


class ServedBoard(BoardOnBus, Protocol):
    """A board with a cable, a switch and a reset button."""

    @property
    def hardware(self) -> Hardware:
        """Its kind."""
        ...

    @property
    def internal(self) -> NorFlash:
        """The flash that modules run from."""
        ...

    @property
    def state(self) -> ServedState:
        """How it does."""
        ...

    def power_on(self) -> None:
        """Its supply comes."""
        ...

    def power_off(self) -> None:
        """Its supply goes."""
        ...

    def reset_pin(self) -> None:
        """Somebody presses its reset button."""
        ...


class ServedSlot(Protocol):
    """One place of a bench."""

    @property
    def name(self) -> str:
        """What people call it."""
        ...

    @property
    def port_path(self) -> str | None:
        """Its USB port."""
        ...

    @property
    def board(self) -> ServedBoard | None:
        """What is in it."""
        ...

    @property
    def probe(self) -> SlotProbe | None:
        """The debug probe on its board."""
        ...


class ServedBench(Protocol):
    """An open bench."""

    @property
    def slots(self) -> Sequence[ServedSlot]:
        """Its places."""
        ...

    @property
    def boards(self) -> Sequence[ServedBoard]:
        """What is in them."""
        ...

    @property
    def bus_devices(self) -> Sequence[BusDevice]:
        """Boards and debug probes on USB."""
        ...

    def close(self) -> None:
        """Give everything back."""
        ...
