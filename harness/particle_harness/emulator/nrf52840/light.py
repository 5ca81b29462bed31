"""PWM, which drives the RGB light of every Particle board."""

from __future__ import annotations

from typing import ClassVar

from particle_harness.emulator.core.interrupt_line import InterruptLine
from particle_harness.emulator.core.timeline import Timeline
from particle_harness.emulator.nrf52840.peripheral import INTERRUPTS, SHORTS, NrfPeripheral, Wires, event, task
from particle_harness.emulator.peripherals.registers import Register, RegisterMap
from particle_harness.swd.bus import Bus, BusFaultError

_STOPPED, _SEQSTARTED, _SEQEND, _PWMPERIODEND = 0x104, 0x108, 0x110, 0x118
_ENABLE, _COUNTERTOP, _SEQ, _PSEL = 0x500, 0x508, 0x520, 0x560
_DECODER, _COMMON, _GROUPED = 0x510, 0, 1
_NOT_CONNECTED = 1 << 31


class Pwm(NrfPeripheral):
    """Plays a sequence's last values at once.

    ``duties``: compare values of the four channels, bit 15 the polarity.
    """

    registers: ClassVar[RegisterMap] = RegisterMap(
        "PWM",
        "nRF52840 PS v1.7, 6.17 PWM",
        task("STOP", 0x004),
        task("SEQSTART", 0x008, count=2),
        task("NEXTSTEP", 0x010),
        event("STOPPED", _STOPPED),
        event("SEQSTARTED", _SEQSTARTED, count=2),
        event("SEQEND", _SEQEND, count=2),
        event("PWMPERIODEND", _PWMPERIODEND),
        event("LOOPSDONE", 0x11C),
        SHORTS,
        *INTERRUPTS,
        Register("ENABLE", _ENABLE),
        Register("MODE", 0x504),
        Register("COUNTERTOP", _COUNTERTOP, reset=0x3FF),
        Register("PRESCALER", 0x50C),
        Register("DECODER", _DECODER),
        Register("LOOP", 0x514),
        Register("SEQ.PTR", _SEQ, count=2, stride=0x20),
        Register("SEQ.CNT", _SEQ + 4, count=2, stride=0x20),
        Register("SEQ.REFRESH", _SEQ + 8, reset=1, count=2, stride=0x20),
        Register("SEQ.ENDDELAY", _SEQ + 12, count=2, stride=0x20),
        Register("PSEL.OUT", _PSEL, reset=0xFFFFFFFF, count=4),
    )

    def __init__(
        self, start_address: int, timeline: Timeline, line: InterruptLine, wires: Wires, name: str, bus: Bus
    ) -> None:
        self.bus = bus
        self.duties = [0x8000] * 4
        super().__init__(start_address, timeline, line, wires, name)

    def reset(self) -> None:
        """Nothing is driven."""
        super().reset()
        self.duties = [0x8000] * 4

    def levels(self) -> dict[int, float]:
        """Share of the time that each pin is high."""
        if not self.word(_ENABLE) & 1:
            return {}
        top = self.word(_COUNTERTOP) & 0x7FFF or 1
        shares: dict[int, float] = {}
        for channel, duty in enumerate(self.duties):
            pin = self.word(_PSEL + 4 * channel)
            if not pin & _NOT_CONNECTED:
                before_the_edge = min(duty & 0x7FFF, top) / top
                starts_high = bool(duty & 0x8000)
                shares[pin & 0x3F] = before_the_edge if starts_high else 1.0 - before_the_edge
        return shares

    def task_stop(self) -> None:
        """Stops at the end of a period."""
        self.raise_event(_STOPPED)

    def task_seqstart(self, index: int) -> None:
        """Loads the values and plays them."""
        pointer, count = self.word(_SEQ + 0x20 * index), self.word(_SEQ + 4 + 0x20 * index) & 0x7FFF
        self._load(pointer, count)
        self.raise_event(_SEQSTARTED + 4 * index)
        self.raise_event(_SEQEND + 4 * index)
        self.raise_event(_PWMPERIODEND)

    def _load(self, pointer: int, count: int) -> None:
        mode = self.word(_DECODER) & 3
        per_step = {_COMMON: 1, _GROUPED: 2}.get(mode, 4)
        if count < per_step:
            return
        try:
            data = self.bus.read(pointer + 2 * (count - per_step), 2 * per_step)
        except BusFaultError:
            return
        values = [int.from_bytes(data[at : at + 2], "little") for at in range(0, len(data), 2)]
        self.duties = {1: values * 4, 2: [values[0]] * 2 + [values[-1]] * 2}.get(per_step, values)
