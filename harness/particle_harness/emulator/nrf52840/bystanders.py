"""Peripherals that firmware configures and then does not wait for: their registers read back what was written."""

from __future__ import annotations

from typing import ClassVar

from particle_harness.emulator.peripherals.registers import RegisterBlock, RegisterMap

BYSTANDERS = {
    0x40005000: "NFCT",
    0x40012000: "QDEC",
    0x40013000: "COMP/LPCOMP",
    0x4001D000: "PDM",
    0x40020000: "MWU",
    0x40025000: "I2S",
    0x40026000: "FPU",
    0x4006E000: "undocumented, for workarounds of errata",
}
"""Address to name. Source: 4.2.4 Instantiation, and Nordic's system_nrf52840.c for the last."""


class Bystander(RegisterBlock):
    """Remembers what it is told."""

    registers: ClassVar[RegisterMap] = RegisterMap("BYSTANDER", "nRF52840 PS v1.7, 4.2.4 Instantiation")
