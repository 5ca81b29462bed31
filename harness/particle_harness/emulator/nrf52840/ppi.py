"""PPI, which lets events trigger tasks, and EGU, whose events software triggers."""

from __future__ import annotations

from typing import ClassVar, Protocol

from particle_harness.emulator.nrf52840.peripheral import INTERRUPTS, NrfPeripheral, event, task
from particle_harness.emulator.peripherals.registers import Register, RegisterBlock, RegisterMap
from particle_harness.swd.bus import PAGE_SIZE_BYTES

_CHEN, _EEP, _TEP, _CHG, _FORK = 0x500, 0x510, 0x514, 0x800, 0x910
_PROGRAMMABLE = 20
_RADIO, _TIMER0, _RTC0, _AAR, _CCM = 0x40001000, 0x40008000, 0x4000B000, 0x4000F000, 0x4000F000
FIXED_CHANNELS = {
    20: (_TIMER0 + 0x140, _RADIO + 0x000),
    21: (_TIMER0 + 0x140, _RADIO + 0x004),
    22: (_TIMER0 + 0x144, _RADIO + 0x010),
    23: (_RADIO + 0x128, _AAR + 0x000),
    24: (_RADIO + 0x100, _CCM + 0x000),
    25: (_RADIO + 0x104, _CCM + 0x004),
    26: (_RADIO + 0x104, _TIMER0 + 0x044),
    27: (_RADIO + 0x10C, _TIMER0 + 0x048),
    28: (_RTC0 + 0x140, _RADIO + 0x000),
    29: (_RTC0 + 0x140, _RADIO + 0x004),
    30: (_RTC0 + 0x140, _TIMER0 + 0x00C),
    31: (_RTC0 + 0x140, _TIMER0 + 0x000),
}
"""Event and task of the channels that are wired in the chip. Source: 6.16.2 Pre-programmed channels."""


class Tasks(Protocol):
    """Something with tasks."""

    def run_task(self, offset: int) -> None:
        """Trigger one."""
        ...


class Interconnect(RegisterBlock):
    """PPI. ``peripherals``: who is at which page; filled by the chip."""

    registers: ClassVar[RegisterMap] = RegisterMap(
        "PPI",
        "nRF52840 PS v1.7, 6.16 PPI",
        Register("TASKS_CHG.EN", 0x000, access="w", count=6, stride=8),
        Register("TASKS_CHG.DIS", 0x004, access="w", count=6, stride=8),
        Register("CHEN", _CHEN),
        Register("CHENSET", 0x504),
        Register("CHENCLR", 0x508),
        Register("CH_EEP", _EEP, count=_PROGRAMMABLE, stride=8),
        Register("CH_TEP", _TEP, count=_PROGRAMMABLE, stride=8),
        Register("CHG", _CHG, count=6),
        Register("FORK_TEP", _FORK, count=32),
    )

    def __init__(self) -> None:
        self.peripherals: dict[int, Tasks] = {}
        self.routes: dict[int, tuple[int, ...]] = {}
        super().__init__("PPI")

    def reset(self) -> None:
        """No channel is enabled."""
        super().reset()
        self.routes = {}

    def published(self, event_address: int) -> None:
        """An event happened: the tasks of its channels run."""
        for task_address in self.routes.get(event_address, ()):
            self._trigger(task_address)

    def run_task(self, offset: int) -> None:
        """A channel group on or off."""
        group, off = divmod(offset // 4, 2)
        channels = self.stored[_CHG + 4 * group]
        enabled = self.stored[_CHEN]
        self.write_chen(enabled & ~channels if off else enabled | channels)

    def _trigger(self, task_address: int) -> None:
        page = task_address & ~(PAGE_SIZE_BYTES - 1)
        peripheral = self.peripherals.get(page)
        if peripheral is not None:
            peripheral.run_task(task_address - page)

    def _rewire(self) -> None:
        routes: dict[int, tuple[int, ...]] = {}
        for channel in range(32):
            if not self.stored[_CHEN] >> channel & 1:
                continue
            if channel < _PROGRAMMABLE:
                source, target = self.stored[_EEP + 8 * channel], self.stored[_TEP + 8 * channel]
            else:
                source, target = FIXED_CHANNELS[channel]
            targets = tuple(address for address in (target, self.stored[_FORK + 4 * channel]) if address)
            routes[source] = routes.get(source, ()) + targets
        self.routes = routes

    # ---- registers --------------------------------------------------------------------------------------------------

    def write_chen(self, value: int) -> None:
        """CHEN."""
        self.stored[_CHEN] = value
        self._rewire()

    def read_chenset(self) -> int:
        """CHENSET reads as CHEN."""
        return self.stored[_CHEN]

    def read_chenclr(self) -> int:
        """CHENCLR reads as CHEN."""
        return self.stored[_CHEN]

    def write_chenset(self, value: int) -> None:
        """CHENSET."""
        self.write_chen(self.stored[_CHEN] | value)

    def write_chenclr(self, value: int) -> None:
        """CHENCLR."""
        self.write_chen(self.stored[_CHEN] & ~value)

    def write_ch_eep(self, index: int, value: int) -> None:
        """Event of a channel."""
        self.stored[_EEP + 8 * index] = value
        self._rewire()

    def write_ch_tep(self, index: int, value: int) -> None:
        """Task of a channel."""
        self.stored[_TEP + 8 * index] = value
        self._rewire()

    def write_fork_tep(self, index: int, value: int) -> None:
        """Second task of a channel."""
        self.stored[_FORK + 4 * index] = value
        self._rewire()

    def write(self, offset: int, size_bytes: int, value: int) -> None:
        """As the bus asks."""
        if offset < 0x30:
            if value & 1:
                self.run_task(offset & ~3)
        else:
            super().write(offset, size_bytes, value)


class EventGenerator(NrfPeripheral):
    """EGU: 16 interrupts for software."""

    registers: ClassVar[RegisterMap] = RegisterMap(
        "EGU",
        "nRF52840 PS v1.7, 6.8 EGU",
        task("TRIGGER", 0x000, count=16),
        event("TRIGGERED", 0x100, count=16),
        *INTERRUPTS,
    )

    def task_trigger(self, index: int) -> None:
        """The event of the same number."""
        self.raise_event(0x100 + 4 * index)
