"""Clocks and supplies: CLOCK and POWER, which share their addresses."""

from __future__ import annotations

from collections.abc import Callable
from typing import ClassVar

from particle_harness.emulator.core.interrupt_line import InterruptLine
from particle_harness.emulator.core.timeline import Alarm, Timeline
from particle_harness.emulator.nrf52840.peripheral import INTERRUPTS, NrfPeripheral, Wires, event, task
from particle_harness.emulator.peripherals.registers import Register, RegisterMap

RESET_PIN, RESET_WATCHDOG, RESET_SOFTWARE, RESET_LOCKUP = 1 << 0, 1 << 1, 1 << 2, 1 << 3
"""Bits of RESETREAS; a power-on leaves it 0."""
RESETS_OF_THE_CORE = (RESET_SOFTWARE, RESET_LOCKUP)
"""Which the watchdog and the retained registers survive. Source: nRF52840 PS v1.7, 5.3 POWER, Reset behavior."""
_HFCLKSTARTED, _LFCLKSTARTED, _DONE = 0x100, 0x104, 0x10C
_USBDETECTED, _USBREMOVED, _USBPWRRDY = 0x11C, 0x120, 0x124
_RESETREAS, _LFCLKSRC, _GPREGRET = 0x400, 0x518, 0x51C
_RUNNING = 1 << 16
_REGULATOR_READY_S = 0.003


class ClockPower(NrfPeripheral):
    """Clocks start at once. The USB supply is detected when it comes, and its regulator is ready 3 ms later: firmware
    that sees both at the same time waits for ever for EVENTCAUSE.READY.

    RESETREAS survives all resets but that of the supply, GPREGRET those of the core alone. ``on_system_off``: firmware
    has switched the chip off.
    """

    registers: ClassVar[RegisterMap] = RegisterMap(
        "CLOCK/POWER",
        "nRF52840 PS v1.7, 5.3 POWER, 5.4 CLOCK",
        task("HFCLKSTART", 0x000),
        task("HFCLKSTOP", 0x004),
        task("LFCLKSTART", 0x008),
        task("LFCLKSTOP", 0x00C),
        task("CAL", 0x010),
        task("CTSTART", 0x014),
        task("CTSTOP", 0x018),
        task("CONSTLAT", 0x078),
        task("LOWPWR", 0x07C),
        event("HFCLKSTARTED", _HFCLKSTARTED),
        event("LFCLKSTARTED", _LFCLKSTARTED),
        event("POFWARN", 0x108),
        event("DONE", _DONE),
        event("CTTO", 0x110),
        event("SLEEPENTER", 0x114),
        event("SLEEPEXIT", 0x118),
        event("USBDETECTED", _USBDETECTED),
        event("USBREMOVED", _USBREMOVED),
        event("USBPWRRDY", _USBPWRRDY),
        event("CTSTARTED", 0x128),
        event("CTSTOPPED", 0x12C),
        *INTERRUPTS,
        Register("RESETREAS", _RESETREAS),
        Register("HFCLKRUN", 0x408, access="r"),
        Register("HFCLKSTAT", 0x40C, access="r"),
        Register("LFCLKRUN", 0x414, access="r"),
        Register("LFCLKSTAT", 0x418, access="r"),
        Register("LFCLKSRCCOPY", 0x41C, access="r"),
        Register("RAMSTATUS", 0x428, access="r"),
        Register("USBREGSTATUS", 0x438, access="r"),
        Register("SYSTEMOFF", 0x500, access="w"),
        Register("POFCON", 0x510),
        Register("LFCLKSRC", _LFCLKSRC),
        Register("GPREGRET", _GPREGRET, count=2),
        Register("HFXODEBOUNCE", 0x528, reset=0x10),
        Register("CTIV", 0x538),
        Register("TRACECONFIG", 0x55C),
        Register("DCDCEN", 0x578),
        Register("DCDCEN0", 0x580),
        Register("LFRCMODE", 0x5B4),
        Register("MAINREGSTATUS", 0x640, access="r"),
        Register("RAM.POWER", 0x900, reset=0xFFFF, count=9, stride=0x10),
        Register("RAM.POWERSET", 0x904, access="w", count=9, stride=0x10),
        Register("RAM.POWERCLR", 0x908, access="w", count=9, stride=0x10),
    )

    def __init__(
        self,
        timeline: Timeline,
        line: InterruptLine,
        wires: Wires,
        on_system_off: Callable[[], None] | None = None,
    ) -> None:
        self.crystal = False
        self.slow_clock = False
        self.vbus = False
        self.regulator_ready = False
        self.alarm: Alarm | None = None
        """The USB regulator gets ready."""
        self.on_system_off = on_system_off
        super().__init__(0x40000000, timeline, line, wires)

    def reset(self) -> None:
        """What survives a reset does."""
        kept = {offset: self.word(offset) for offset in (_RESETREAS, _GPREGRET, _GPREGRET + 4)}
        super().reset()
        self.stored.update(kept)
        self.crystal = self.slow_clock = False
        if self.vbus:
            self.regulator_ready = False
            self._detect()

    def lose_power(self) -> None:
        """Nothing survives."""
        self.vbus = self.regulator_ready = False
        self._cancel()
        self.stored.clear()
        self.reset()

    def note_reset(self, reason: int) -> None:
        """RESETREAS collects reasons until firmware clears them. GPREGRET is lost where the reset is not the core's."""
        self.stored[_RESETREAS] = self.word(_RESETREAS) | reason
        if reason not in RESETS_OF_THE_CORE:
            self.stored[_GPREGRET] = self.stored[_GPREGRET + 4] = 0

    # ---- USB supply -------------------------------------------------------------------------------------------------

    def attach_vbus(self) -> None:
        """5 V appear at the USB connector."""
        if not self.vbus:
            self.vbus = True
            self._detect()

    def detach_vbus(self) -> None:
        """And go."""
        if self.vbus:
            self.vbus = self.regulator_ready = False
            self._cancel()
            self.raise_event(_USBREMOVED)

    def _detect(self) -> None:
        self._cancel()
        self.raise_event(_USBDETECTED)
        self.alarm = self.timeline.after(self.timeline.cycles_of(_REGULATOR_READY_S), self._become_ready)

    def _cancel(self) -> None:
        if self.alarm is not None:
            self.alarm.cancel()
            self.alarm = None

    def _become_ready(self) -> None:
        self.alarm = None
        self.regulator_ready = True
        self.raise_event(_USBPWRRDY)

    # ---- tasks ------------------------------------------------------------------------------------------------------

    def task_hfclkstart(self) -> None:
        """The crystal runs."""
        self.crystal = True
        self.raise_event(_HFCLKSTARTED)

    def task_hfclkstop(self) -> None:
        """Back to the internal oscillator."""
        self.crystal = False

    def task_lfclkstart(self) -> None:
        """32768 Hz."""
        self.slow_clock = True
        self.raise_event(_LFCLKSTARTED)

    def task_lfclkstop(self) -> None:
        """No slow clock."""
        self.slow_clock = False

    def task_cal(self) -> None:
        """Calibration is over at once."""
        self.raise_event(_DONE)

    # ---- registers --------------------------------------------------------------------------------------------------

    def write_resetreas(self, value: int) -> None:
        """Ones clear."""
        self.stored[_RESETREAS] = self.word(_RESETREAS) & ~value

    def read_hfclkrun(self) -> int:
        """Whether HFCLKSTART was triggered."""
        return int(self.crystal)

    def read_hfclkstat(self) -> int:
        """Source and state."""
        return _RUNNING | int(self.crystal)

    def read_lfclkrun(self) -> int:
        """Whether LFCLKSTART was triggered."""
        return int(self.slow_clock)

    def read_lfclkstat(self) -> int:
        """Source and state."""
        return _RUNNING | self.word(_LFCLKSRC) & 3 if self.slow_clock else 0

    def read_lfclksrccopy(self) -> int:
        """LFCLKSRC at the start of the clock."""
        return self.word(_LFCLKSRC) & 3

    def read_usbregstatus(self) -> int:
        """VBUSDETECT and OUTPUTRDY."""
        return int(self.vbus) | int(self.regulator_ready) << 1

    def write_systemoff(self, value: int) -> None:
        """The chip is off until it is reset; pins with SENSE and VBUS, which wake silicon, do not."""
        if value & 1 and self.on_system_off is not None:
            self.on_system_off()
