"""Clocks, resets and power: RCC, PWR, the backup domain with its clock, the independent watchdog."""

from __future__ import annotations

from collections.abc import Callable

from particle_harness.emulator.core.timeline import Alarm, Timeline
from particle_harness.emulator.peripherals.registers import Register, RegisterBlock, RegisterMap

BROWN_OUT_RESET, PIN_RESET, POWER_ON_RESET = 1 << 25, 1 << 26, 1 << 27
SOFTWARE_RESET, WATCHDOG_RESET = 1 << 28, 1 << 29
"""Flags of RCC_CSR."""
_REMOVE_RESET_FLAGS = 1 << 24
_OSCILLATORS = 0x05010001
"""HSION, HSEON, PLLON, PLLI2SON; each ready flag is one bit higher."""
_PWR_CLOCK = 1 << 28
_DISABLE_BACKUP_PROTECTION = 1 << 8


class ResetAndClock(RegisterBlock):
    """Clocks are ready as soon as they are on. The tree's frequencies are not followed: the chip runs at its
    nominal clock throughout. Of the peripherals' reset bits, those in ``resets`` do something."""

    registers = RegisterMap(
        "RCC",
        "ST RM0033, Reset and clock control (RCC), RCC registers",
        Register("CR", 0x00, reset=0x83),
        Register("PLLCFGR", 0x04, reset=0x24003010),
        Register("CFGR", 0x08),
        Register("CIR", 0x0C),
        Register("AHB1RSTR", 0x10),
        Register("AHB2RSTR", 0x14),
        Register("AHB3RSTR", 0x18),
        Register("APB1RSTR", 0x20),
        Register("APB2RSTR", 0x24),
        Register("AHB1ENR", 0x30, reset=0x00100000),
        Register("AHB2ENR", 0x34),
        Register("AHB3ENR", 0x38),
        Register("APB1ENR", 0x40),
        Register("APB2ENR", 0x44),
        Register("AHB1LPENR", 0x50, reset=0x7E6791FF),
        Register("AHB2LPENR", 0x54, reset=0xF1),
        Register("AHB3LPENR", 0x58, reset=0x01),
        Register("APB1LPENR", 0x60, reset=0x36FEC9FF),
        Register("APB2LPENR", 0x64, reset=0x00075F33),
        Register("BDCR", 0x70),
        Register("CSR", 0x74, reset=0x0E000000),
        Register("SSCGR", 0x80),
        Register("PLLI2SCFGR", 0x84, reset=0x20003000),
    )

    def __init__(self) -> None:
        self.power_on()
        self.resets: dict[int, RegisterBlock] = {}
        """Peripherals by their bit of APB2RSTR."""
        super().__init__()

    def power_on(self) -> None:
        """Power was off: the backup domain's register is lost, and of the flags those of a power-on are set."""
        self.backup_control = 0
        self.reset_flags = BROWN_OUT_RESET | PIN_RESET | POWER_ON_RESET

    def reset(self) -> None:
        """Everything but the backup domain's register and the reset flags."""
        super().reset()
        self.low_speed = 0

    @property
    def power_control_is_clocked(self) -> bool:
        """Whether stores to PWR arrive."""
        return bool(self.stored[0x40] & _PWR_CLOCK)

    def read_cr(self) -> int:
        """Oscillators and their ready flags."""
        value = self.stored[0x00]
        return value & ~(_OSCILLATORS << 1) | (value & _OSCILLATORS) << 1

    def write_apb2rstr(self, value: int) -> None:
        """A bit holds a peripheral in reset."""
        for bit, peripheral in self.resets.items():
            if value & ~self.stored[0x24] & bit:
                peripheral.reset()
        self.stored[0x24] = value

    def read_cfgr(self) -> int:
        """The switch and where it stands."""
        value = self.stored[0x08]
        return value & ~0xC | (value & 3) << 2

    def read_bdcr(self) -> int:
        """LSE is ready when it is on."""
        return self.backup_control & ~2 | (self.backup_control & 1) << 1

    def write_bdcr(self, value: int) -> None:
        """Survives resets."""
        self.backup_control = value

    def read_csr(self) -> int:
        """LSI, and why the chip was reset."""
        return self.low_speed | self.low_speed << 1 | self.reset_flags

    def write_csr(self, value: int) -> None:
        """RMVF forgets the reasons."""
        self.low_speed = value & 1
        if value & _REMOVE_RESET_FLAGS:
            self.reset_flags = 0


class PowerControl(RegisterBlock):
    """DBP opens the backup domain. Without its clock, stores are lost."""

    registers = RegisterMap(
        "PWR", "ST RM0033, Power control (PWR), PWR registers", Register("CR", 0x00), Register("CSR", 0x04)
    )

    def __init__(self, clocks: ResetAndClock) -> None:
        self._clocks = clocks
        super().__init__()

    @property
    def backup_domain_is_open(self) -> bool:
        """Whether RTC registers take what is written."""
        return bool(self.stored[0x00] & _DISABLE_BACKUP_PROTECTION)

    def write_cr(self, value: int) -> None:
        """CWUF, CSBF clear flags that are not modelled."""
        if self._clocks.power_control_is_clocked:
            self.stored[0x00] = value & ~0xC

    def read_csr(self) -> int:
        """The backup regulator is ready when it is asked for: BRR follows BRE."""
        value = self.stored[0x04]
        return value & ~8 | (value >> 9 & 1) << 3


class RealTimeClock(RegisterBlock):
    """Time of day and the 20 backup registers. They survive resets, not the loss of power: boards have no battery.

    The date stays as it was set, past midnight, too; BDCR.BDRST resets nothing; alarms and the wake-up timer never come
    due.
    """

    registers = RegisterMap(
        "RTC",
        "ST RM0033, Real-time clock (RTC), RTC registers",
        Register("TR", 0x00),
        Register("DR", 0x04, reset=0x2101),
        Register("CR", 0x08),
        Register("ISR", 0x0C, reset=0x07),
        Register("PRER", 0x10, reset=0x007F00FF),
        Register("WUTR", 0x14, reset=0xFFFF),
        Register("CALIBR", 0x18),
        Register("ALRMAR", 0x1C),
        Register("ALRMBR", 0x20),
        Register("WPR", 0x24, access="w"),
        Register("TSTR", 0x30, access="r"),
        Register("TSDR", 0x34, access="r"),
        Register("TAFCR", 0x40),
        Register("BKPR", 0x50, count=20),
    )
    _INIT = 1 << 7

    def __init__(self, timeline: Timeline, power: PowerControl) -> None:
        self._timeline = timeline
        self._power = power
        self.set_at_cycle = 0
        super().__init__()
        self.power_on()

    def reset(self) -> None:
        """A reset of the chip changes nothing here."""
        if not self.stored:
            super().reset()

    def power_on(self) -> None:
        """Power was off."""
        super().reset()
        self.stored |= dict.fromkeys(range(0x50, 0xA0, 4), 0)
        self.set_at_cycle = self._timeline.cycles

    def write(self, offset: int, size_bytes: int, value: int) -> None:
        """Nothing arrives while the domain is write-protected."""
        if self._power.backup_domain_is_open:
            super().write(offset, size_bytes, value)

    def read_isr(self) -> int:
        """Initialization mode on request, shadow registers in step, alarms writable."""
        value = self.stored[0x0C]
        return value & ~0x40 | (value & self._INIT) >> 1 | 0x27

    def read_tr(self) -> int:
        """The time that was set, and what has passed since."""
        seconds = _seconds(self.stored[0x00]) + int(
            (self._timeline.cycles - self.set_at_cycle) / self._timeline.frequency_hz
        )
        hours, minutes, seconds = seconds // 3600 % 24, seconds // 60 % 60, seconds % 60
        return _bcd(hours) << 16 | _bcd(minutes) << 8 | _bcd(seconds)

    def write_tr(self, value: int) -> None:
        """Set the time."""
        self.stored[0x00] = value
        self.set_at_cycle = self._timeline.cycles


def _bcd(value: int) -> int:
    return value // 10 << 4 | value % 10


def _seconds(register: int) -> int:
    hours, minutes, seconds = register >> 16 & 0x3F, register >> 8 & 0x7F, register & 0x7F
    return sum((v >> 4) * 10 * unit + (v & 15) * unit for v, unit in ((hours, 3600), (minutes, 60), (seconds, 1)))


class Watchdog(RegisterBlock):
    """Independent watchdog on the 32 kHz oscillator. Once started, only a reset stops it. ``bite`` resets the chip."""

    registers = RegisterMap(
        "IWDG",
        "ST RM0033, Independent watchdog (IWDG), IWDG registers",
        Register("KR", 0x00, access="w"),
        Register("PR", 0x04),
        Register("RLR", 0x08, reset=0xFFF),
        Register("SR", 0x0C, access="r"),
    )
    _LSI_HZ = 32_000

    def __init__(self, timeline: Timeline, bite: Callable[[], None]) -> None:
        self._timeline = timeline
        self._bite = bite
        self.alarm: Alarm | None = None
        self.open = False
        super().__init__()

    def reset(self) -> None:
        """Stopped."""
        super().reset()
        if self.alarm is not None:
            self.alarm.cancel()
        self.alarm, self.open = None, False

    def write_kr(self, value: int) -> None:
        """Start, reload, or open PR and RLR."""
        self.open = value == 0x5555
        if value == 0xCCCC or (value == 0xAAAA and self.alarm is not None):
            self._wind_up()

    def write_pr(self, value: int) -> None:
        """Prescaler 4 shifted left by this."""
        if self.open:
            self.stored[0x04] = value & 7

    def write_rlr(self, value: int) -> None:
        """Counts until it bites."""
        if self.open:
            self.stored[0x08] = value & 0xFFF

    def _wind_up(self) -> None:
        if self.alarm is not None:
            self.alarm.cancel()
        counts = (self.stored[0x08] + 1) * (4 << min(self.stored[0x04], 6))
        self.alarm = self._timeline.after(self._timeline.cycles_of(counts / self._LSI_HZ), self._bitten)

    def _bitten(self) -> None:
        self.alarm = None
        self._bite()
