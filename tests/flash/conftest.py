"""Fixtures of tests that flash chips by a debug probe."""

from dataclasses import replace

import pytest

from particle_dev.catalog.chips import flash_slots
from particle_dev.catalog.modules import ModuleFunction
from particle_dev.errors import ModuleFormatError
from particle_dev.flash.board_modules import ModuleFile, Part
from particle_dev.flash.boot_outcome import BootEnd, boot_outcome
from particle_dev.protocol.module import parse


@pytest.fixture
def boot_end():
    """Where a boot of what is in a chip ends, by the rules of the device."""

    def end(chip, platform):
        if chip.uicr[0x14:0x18] == bytes(b"\xff" * 4) or chip.flash.read(0, 4096) == bytes(b"\xff" * 4096):
            return BootEnd.HANGS
        parts = []
        for slot in flash_slots(platform):
            try:
                module = parse(chip.flash.read(slot.start_address, slot.end_address - slot.start_address))
            except ModuleFormatError:
                continue
            if (module.function, module.index, module.start_address) == (slot.function, slot.index, slot.start_address):
                part = ModuleFile(module, "", "on the board").part
                parts.append(replace(part, intact=module.crc32.ok))
        softdevice = int.from_bytes(chip.flash.read(0x300C, 2), "little")
        parts.append(Part("on the board", platform.id, ModuleFunction.RADIO_STACK, 0, softdevice))
        return boot_outcome(platform, parts).end

    return end
