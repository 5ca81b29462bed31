"""What a bootloader does with the slots of the configuration: FLASH_UpdateModules and verify_module()."""

import dataclasses

import pytest
from particle_harness.boards import hardware
from particle_harness.dct import ModuleSlot
from particle_harness.factory import bootloader_stand_in, build_module

from particle_dev.catalog.modules import ModuleFunction

SOURCE = 0x289000
BOOTLOADER = bootloader_stand_in(hardware("boron"), 1006)
RADIO_STACK = build_module(
    hardware("boron"), ModuleFunction.RADIO_STACK, 0, 7, start_address=0x1000, size_bytes=9000, flags=1
)
SLOT = ModuleSlot(1, 0, SOURCE, 0xD4000, len(BOOTLOADER), 0x0E, ModuleFunction.BOOTLOADER)
RADIO_SLOT = ModuleSlot(1, 0, SOURCE, 0x1000, len(RADIO_STACK), 0x1E, ModuleFunction.RADIO_STACK)


@pytest.fixture
def board(make_board):
    board = make_board("boron", arrives_in="dfu")
    board.internal.erase_sector(0x30000)  # no system part
    return board


def boot(board, module, slot):
    board.external.load(SOURCE, module)
    assert board.dct.add_module(slot)
    board.reset_pin()
    assert board.state.runs == "dfu"
    assert board.dct.modules() == []


def test_bootloader_is_taken_over_by_the_master_boot_record(board):
    before = board.internal.read(0xD4000, 0x20000)
    boot(board, BOOTLOADER, SLOT)
    assert board.internal.read(0xF4000, len(BOOTLOADER)) == BOOTLOADER
    assert board.internal.read(0xD4000, 0x20000) == before


def test_radio_stack_loses_its_prefix(board):
    boot(board, RADIO_STACK, RADIO_SLOT)
    assert board.internal.read(0x1000, len(RADIO_STACK) - 24) == RADIO_STACK[24:]


@pytest.mark.parametrize(
    "changes",
    [
        {"destination_address": 0x2000},
        {"function": ModuleFunction.USER_PART},
        {"length": len(RADIO_STACK) - 1},
        {"source_address": SOURCE + 4},
    ],
)
def test_a_slot_that_does_not_fit_its_module_is_dropped(board, changes):
    before = board.internal.read(0x1000, 0x20000)
    boot(board, RADIO_STACK, dataclasses.replace(RADIO_SLOT, **changes))
    assert board.internal.read(0x1000, 0x20000) == before


@pytest.mark.parametrize("spoil", ["crc", "platform"])
def test_a_module_that_is_damaged_or_for_another_board_is_dropped(board, spoil):
    module = bytearray(RADIO_STACK)
    module[5000] ^= spoil == "crc"
    if spoil == "platform":
        module = bytearray(
            build_module(
                hardware("bsom"), ModuleFunction.RADIO_STACK, 0, 7, start_address=0x1000, size_bytes=9000, flags=1
            )
        )
    before = board.internal.read(0x1000, 0x20000)
    boot(board, bytes(module), RADIO_SLOT)
    assert board.internal.read(0x1000, 0x20000) == before


def test_without_flags_bytes_are_copied_as_they_are(board):
    """As the bootloader does to put back what it moved away for the master boot record."""
    boot(board, b"application" * 100, ModuleSlot(1, 0, SOURCE, 0xD4000, 1100, 0, ModuleFunction.NONE))
    assert board.internal.read(0xD4000, 1100) == b"application" * 100
