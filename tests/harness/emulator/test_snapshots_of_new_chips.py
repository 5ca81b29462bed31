"""A snapshot is restored by another process, on a chip that has done nothing yet: it has to have all the same state."""

import ast
import functools
import inspect
import textwrap

import pytest
from particle_harness.boards import hardware
from particle_harness.clock import VirtualClock
from particle_harness.emulator.boards.chips import emulated_chip
from particle_harness.emulator.power_cuts.flash_use import FlashUse
from particle_harness.emulator.snapshot import Snapshots
from particle_harness.nor_flash import NorFlash
from particle_harness.user_information import UICR_SIZE_BYTES

from particle_dev.catalog.flash_chips import NRF52840_FLASH, STM32F205_FLASH, qspi_flash


def new_chip(name):
    kind, clock = hardware(name), VirtualClock()
    internal = NorFlash(NRF52840_FLASH if kind.is_gen3 else STM32F205_FLASH, clock, delays=False)
    external = NorFlash(qspi_flash(4 << 20), clock, delays=False) if kind.external_chip else None
    uicr = bytearray(b"\xff" * UICR_SIZE_BYTES) if kind.is_gen3 else None
    return emulated_chip(kind, bytes(12), internal, external, uicr)


@functools.cache
def assigned(kind):
    """Names that methods of a class, or of those it inherits from, give to attributes of ``self``."""
    names = set()
    for each in kind.__mro__[:-1]:
        tree = ast.parse(textwrap.dedent(inspect.getsource(each)))
        for node in ast.walk(tree):
            if (
                isinstance(node, ast.Attribute)
                and isinstance(node.ctx, ast.Store)
                and isinstance(node.value, ast.Name)
                and node.value.id == "self"
            ):
                names.add(node.attr)
    return names


@pytest.mark.parametrize("name", ["boron", "tracker", "argon", "photon", "p1", "electron"])
def test_parts_have_all_their_attributes_from_the_start(name):
    chip = new_chip(name)
    missing = []
    for path, part in Snapshots("chip", chip)._parts.items():
        if hasattr(part, "saved_state"):
            continue
        properties = {n for n, value in inspect.getmembers(type(part)) if isinstance(value, property)}
        hooks = {n for n in assigned(type(part)) if n.startswith("on_")}
        late = assigned(type(part)) - vars(part).keys() - properties - hooks - getattr(part, "unsaved", frozenset())
        missing += [f"{path}.{attribute}" for attribute in sorted(late)]
    assert not missing


def test_a_board_runs_as_fast_as_what_its_flash_holds_at_each_start():
    chip = new_chip("boron")
    used = FlashUse(chip, {"internal": chip.internal})
    with used.noting():
        chip.power_on()
    assert chip.processor.instruction_cycles == 1
    assert any(first <= 0x30000 and end >= 0x30004 for first, end in used.read("internal"))
    chip.internal.load(0x30000, bytes(64))
    chip.processor.request_reset()
    assert chip.processor.instruction_cycles == 4
    chip.internal.erase_sector(0x30000)
    assert chip.processor.instruction_cycles == 4
    chip.power_off()
    chip.power_on()
    assert chip.processor.instruction_cycles == 1
