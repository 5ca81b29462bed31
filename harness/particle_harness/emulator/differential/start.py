"""How the sides of a differential test begin: a chip that runs until it is on the bus, and what its memories hold."""

from __future__ import annotations

from particle_harness.emulator.boards.new_board import BoardMemories
from particle_harness.emulator.chip import EmulatedChip
from particle_harness.emulator.conversations.acts import Enumerate
from particle_harness.emulator.conversations.dfu import reading_configuration
from particle_harness.emulator.differential.comparison import Side

BOOT_STEP_S = 0.01
_BOOT_LIMIT_S, _ATTACHED_FOR_S = 5.0, 0.15


def configuration_of(side: Side) -> bytes:
    """What a board in DFU mode says of it."""
    side.act(Enumerate())
    outcomes = [side.act(act) for act in reading_configuration()]
    return b"".join(bytes.fromhex(text[4:]) for text in outcomes if text.startswith("in: ") and len(text) > 1000)


def cells_of(memories: BoardMemories) -> dict[str, memoryview]:
    """By name, as they are now."""
    cells = {"internal": memoryview(memories.internal.cells)}
    if memories.external is not None:
        cells["external"] = memoryview(memories.external.cells)
    if memories.uicr is not None:
        cells["uicr"] = memoryview(memories.uicr)
    return cells


def let_run(chip: EmulatedChip, duration_s: float) -> None:
    """So much of its time."""
    chip.processor.run(chip.timeline.cycles + chip.timeline.cycles_of(duration_s))


def wait_for_bus(chip: EmulatedChip, limit_s: float = _BOOT_LIMIT_S) -> None:
    """Let it run until a hub would have noticed it. ValueError when it does not come in ``limit_s`` of its time."""
    end_s = chip.timeline.now_s + limit_s
    while not chip.usb.connected:
        if chip.timeline.now_s > end_s:
            raise ValueError(f"the board does not come on the bus in {limit_s:g} s")
        let_run(chip, BOOT_STEP_S)
    let_run(chip, _ATTACHED_FOR_S)
