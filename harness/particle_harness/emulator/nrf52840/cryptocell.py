"""CRYPTOCELL 310: its random numbers. Arithmetic that is not here is refused aloud.

Nordic documents the subsystem's ENABLE register alone; the engine's registers are those that the nRF5340 Product
Specification v1.3 documents for its sibling, 7.7 CRYPTOCELL.
"""

from __future__ import annotations

import random
from typing import ClassVar

from particle_harness.emulator.interrupt_line import InterruptLine
from particle_harness.emulator.registers import Register, RegisterBlock, RegisterMap

_RNG_DONE, _RND_SOURCE_ENABLE = 1 << 10, 0x12C
_HOST_IRR, _HOST_IMR, _HOST_ICR = 0xA00, 0xA04, 0xA08


class CryptoCellSwitch(RegisterBlock):
    """ENABLE of the subsystem."""

    registers: ClassVar[RegisterMap] = RegisterMap(
        "CRYPTOCELL", "nRF52840 PS v1.7, 6.5 CRYPTOCELL", Register("ENABLE", 0x500)
    )


class CryptoCellEngine(RegisterBlock):
    """Entropy is there at once, from a seed. ``asked_for``: names of what firmware wanted and did not get."""

    registers: ClassVar[RegisterMap] = RegisterMap(
        "CC_HOST_RGF",
        "nRF5340 PS v1.3, 7.7.5 (the CryptoCell 312's registers of the same names)",
        Register("PKA_PIPE", 0x0B0, access="r"),
        Register("PKA_DONE", 0x0B4, access="r"),
        Register("RNG_IMR", 0x100),
        Register("RNG_ISR", 0x104, access="r"),
        Register("RNG_ICR", 0x108),
        Register("TRNG_CONFIG", 0x10C),
        Register("TRNG_VALID", 0x110, access="r"),
        Register("EHR_DATA", 0x114, access="r", count=6),
        Register("RND_SOURCE_ENABLE", _RND_SOURCE_ENABLE),
        Register("HOST_IRR", _HOST_IRR, access="r"),
        Register("HOST_IMR", _HOST_IMR, reset=0xFFFFFFFF),
        Register("HOST_ICR", _HOST_ICR, access="w"),
    )

    def __init__(self, line: InterruptLine, seed: int) -> None:
        self.line = line
        self.generator = random.Random(seed)
        self.pending = 0
        self.asked_for: list[str] = []
        super().__init__("CC310")

    def reset(self) -> None:
        """Nothing pending."""
        super().reset()
        self.pending = 0
        self._pull()

    def _pull(self) -> None:
        self.line.set(bool(self.pending & ~self.stored[_HOST_IMR]))

    def read_trng_valid(self) -> int:
        """There are random bits."""
        return 1

    def read_rng_isr(self) -> int:
        """They are there."""
        return 1

    def read_ehr_data(self, _index: int) -> int:
        """Random bits."""
        return self.generator.getrandbits(32)

    def write_rnd_source_enable(self, value: int) -> None:
        """Starts to collect entropy, and has it."""
        self.stored[_RND_SOURCE_ENABLE] = value
        if value & 1:
            self.pending |= _RNG_DONE
            self._pull()

    def read_host_irr(self) -> int:
        """Causes that are pending."""
        return self.pending

    def write_host_imr(self, value: int) -> None:
        """Masks causes."""
        self.stored[_HOST_IMR] = value
        self._pull()

    def write_host_icr(self, value: int) -> None:
        """Ones clear."""
        self.pending &= ~value
        self._pull()
