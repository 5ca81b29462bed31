"""Which chip is emulated for which board."""

from __future__ import annotations

from particle_dev.errors import BenchError
from particle_harness.boards import Hardware
from particle_harness.emulator.chip import EmulatedChip
from particle_harness.nor_flash import NorFlash
from particle_harness.user_information import Uicr


def emulated_chip(
    hardware: Hardware, _identity: bytes, _internal: NorFlash, _external: NorFlash | None, _uicr: Uicr | None
) -> EmulatedChip:
    """The chip of such a board around memories that others share. BenchError where none is emulated."""
    raise BenchError(f"no chip of a {hardware.name} is emulated", hint="`--bench virtual` models it")
