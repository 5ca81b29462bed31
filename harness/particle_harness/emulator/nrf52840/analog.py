"""Random numbers, temperature, analogue inputs, AES in ECB mode: whatever is asked, the answer is there at once."""

from __future__ import annotations

import random
from typing import ClassVar

from particle_harness.emulator.core.interrupt_line import InterruptLine
from particle_harness.emulator.core.timeline import Alarm, Timeline
from particle_harness.emulator.nrf52840.peripheral import INTERRUPTS, SHORTS, NrfPeripheral, Wires, event, task
from particle_harness.emulator.peripherals.aes import encrypt
from particle_harness.emulator.peripherals.registers import Register, RegisterMap
from particle_harness.swd.bus import Bus

_VALRDY = 0x100
_RANDOM_BYTE_S = 30e-6


class RandomNumbers(NrfPeripheral):
    """A byte each 30 µs while it runs, from a seed: the same board gives the same numbers each time."""

    registers: ClassVar[RegisterMap] = RegisterMap(
        "RNG",
        "nRF52840 PS v1.7, 6.21 RNG",
        task("START", 0x000),
        task("STOP", 0x004),
        event("VALRDY", _VALRDY),
        SHORTS,
        *INTERRUPTS,
        Register("CONFIG", 0x504),
        Register("VALUE", 0x508, access="r"),
    )

    def __init__(self, timeline: Timeline, line: InterruptLine, wires: Wires, seed: int) -> None:
        self.generator = random.Random(seed)
        self.running = False
        self.alarm: Alarm | None = None
        super().__init__(0x4000D000, timeline, line, wires, "RNG")

    def reset(self) -> None:
        """Stopped."""
        super().reset()
        self.task_stop()

    def task_start(self) -> None:
        """A byte comes, then the next."""
        if not self.running:
            self.running = True
            self._wait()

    def task_stop(self) -> None:
        """No more."""
        self.running = False
        if self.alarm is not None:
            self.alarm.cancel()
            self.alarm = None

    def _wait(self) -> None:
        self.alarm = self.timeline.after(self.timeline.cycles_of(_RANDOM_BYTE_S), self._arrive)

    def _arrive(self) -> None:
        self.alarm = None
        self.raise_event(_VALRDY)
        if self.shortcut(0):
            self.running = False
        elif self.running:
            self._wait()

    def read_value(self) -> int:
        """A byte."""
        return self.generator.getrandbits(8)


class Temperature(NrfPeripheral):
    """25 °C."""

    registers: ClassVar[RegisterMap] = RegisterMap(
        "TEMP",
        "nRF52840 PS v1.7, 6.28 TEMP",
        task("START", 0x000),
        task("STOP", 0x004),
        event("DATARDY", 0x100),
        *INTERRUPTS,
        Register("TEMP", 0x508, reset=25 * 4, access="r"),
        Register("A", 0x520, count=6),
        Register("B", 0x540, count=6),
        Register("T", 0x560, count=5),
    )

    def task_start(self) -> None:
        """Measured."""
        self.raise_event(0x100)


class AnalogInputs(NrfPeripheral):
    """SAADC; ``value``: what each conversion reads, in counts of its resolution."""

    registers: ClassVar[RegisterMap] = RegisterMap(
        "SAADC",
        "nRF52840 PS v1.7, 6.23 SAADC",
        task("START", 0x000),
        task("SAMPLE", 0x004),
        task("STOP", 0x008),
        task("CALIBRATEOFFSET", 0x00C),
        event("STARTED", 0x100),
        event("END", 0x104),
        event("DONE", 0x108),
        event("RESULTDONE", 0x10C),
        event("CALIBRATEDONE", 0x110),
        event("STOPPED", 0x114),
        event("CH.LIMIT", 0x118, count=16),
        *INTERRUPTS,
        Register("STATUS", 0x400, access="r"),
        Register("ENABLE", 0x500),
        Register("CH.PSELP", 0x510, count=8, stride=0x10),
        Register("CH.PSELN", 0x514, count=8, stride=0x10),
        Register("CH.CONFIG", 0x518, reset=0x20000, count=8, stride=0x10),
        Register("CH.LIMIT", 0x51C, reset=0x7FFF8000, count=8, stride=0x10),
        Register("RESOLUTION", 0x5F0, reset=1),
        Register("OVERSAMPLE", 0x5F4),
        Register("SAMPLERATE", 0x5F8),
        Register("RESULT.PTR", 0x62C),
        Register("RESULT.MAXCNT", 0x630),
        Register("RESULT.AMOUNT", 0x634, access="r"),
    )

    def __init__(self, timeline: Timeline, line: InterruptLine, wires: Wires, bus: Bus) -> None:
        self.bus = bus
        self.value = 2048
        self.results = 0
        super().__init__(0x40007000, timeline, line, wires, "SAADC")

    def task_start(self) -> None:
        """The result buffer is taken."""
        self.results = 0
        self.raise_event(0x100)

    def task_sample(self) -> None:
        """One result for each channel that has an input."""
        channels = [n for n in range(8) if self.word(0x510 + 0x10 * n) & 0x1F]
        for _channel in channels:
            if self.results < self.word(0x630):
                self.bus.write(self.word(0x62C) + 2 * self.results, self.value.to_bytes(2, "little"))
                self.results += 1
        self.stored[0x634] = self.results
        self.raise_event(0x108)
        self.raise_event(0x10C)
        if self.results >= self.word(0x630):
            self.raise_event(0x104)

    def task_stop(self) -> None:
        """Stopped."""
        self.raise_event(0x114)

    def task_calibrateoffset(self) -> None:
        """Calibrated."""
        self.raise_event(0x110)


class EcbCipher(NrfPeripheral):
    """AES-128 of one block: key, clear text and cipher text lie one behind the other in RAM."""

    registers: ClassVar[RegisterMap] = RegisterMap(
        "ECB",
        "nRF52840 PS v1.7, 6.7 ECB",
        task("STARTECB", 0x000),
        task("STOPECB", 0x004),
        event("ENDECB", 0x100),
        event("ERRORECB", 0x104),
        *INTERRUPTS,
        Register("ECBDATAPTR", 0x504),
    )

    def __init__(self, timeline: Timeline, line: InterruptLine, wires: Wires, bus: Bus) -> None:
        self.bus = bus
        super().__init__(0x4000E000, timeline, line, wires, "ECB")

    def task_startecb(self) -> None:
        """Encrypts."""
        pointer = self.word(0x504)
        data = self.bus.read(pointer, 32)
        self.bus.write(pointer + 32, encrypt(data[:16], data[16:]))
        self.raise_event(0x100)
