"""A differential test of one Device OS: the board listens, as a new one does, and both sides start from there."""

from __future__ import annotations

import struct
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from random import Random
from typing import Any

from particle_harness.boards import Hardware
from particle_harness.dct import DCT_SIZE_BYTES
from particle_harness.emulator.chip import EmulatedChip
from particle_harness.emulator.differential import KnownDifference, after_recorded
from particle_harness.emulator.differential_acts import Act, Enumerate, Return
from particle_harness.emulator.differential_dfu import configuration_of, reading_configuration
from particle_harness.emulator.differential_known import known_of_systems
from particle_harness.emulator.differential_requests import SystemConversation
from particle_harness.emulator.differential_sides import PATIENCE_WITH_FILES_S, Cells, EmulatedSide, ModelledSide
from particle_harness.emulator.images import BoardImages
from particle_harness.emulator.new_board import BoardMemories, NewBoard, furnish, make_chip, make_memories
from particle_harness.emulator.recording_system import conversation as recorded_conversation
from particle_harness.swd.nrf52840 import RETAINED_WORD

_ACTS = 60
_DFU_REQUESTED = 0xEDFA
_LISTENS_AFTER_S = 3.0
_BOOT_LIMIT_S, _BOOT_STEP_S, _ATTACHED_FOR_S = 5.0, 0.01, 0.15
_RESTART_EVERY, _READ_EVERY, _RECORDED_EVERY = 10, 30, 49
"""Conversations, of which one ends with a restart, or with a look into the configuration, or follows the beginning of
the one that recordings hold."""


@dataclass(frozen=True, slots=True)
class _Start:
    """Where every pair begins."""

    chip: Any
    memories: BoardMemories
    snapshot: bytes
    internal: bytes
    external: bytes
    configuration: bytes


@dataclass(slots=True)
class SystemSubject:
    """One release of Device OS on an nRF52840 board without an application, so that it stays in listening mode."""

    kind: Hardware
    images: BoardImages
    device_id: str
    _start: _Start | None = field(default=None, init=False)

    @property
    def known(self) -> Sequence[KnownDifference]:
        """What may differ, with reasons."""
        return known_of_systems(self.kind)

    @property
    def compared(self) -> Mapping[str, range]:
        """Offsets in each memory that are compared: modules, and where an update is taken in."""
        outside = self.kind.external_flash_size_bytes
        return {"internal": range(0x30000, 0xF4000), "external": range(outside // 2, outside)}

    def conversation(self, seed: int) -> list[Act]:
        """A random one."""
        random = Random(seed)
        talk = SystemConversation(random)
        acts = talk.acts(_ACTS)
        if seed % _RECORDED_EVERY == 0:
            return after_recorded(tuple(recorded_conversation()), acts, random)
        if seed % _READ_EVERY == 0:
            return [*acts, *talk.enter_dfu(), Return(), *reading_configuration()]
        return [*acts, *talk.restart()] if seed % _RESTART_EVERY == 0 else acts

    def pair(self) -> tuple[ModelledSide, EmulatedSide]:
        """Both sides, listening, from equal memories. The chip is the same for all pairs: one at a time."""
        start = self._start = self._start or self._begin()
        memories = start.memories
        assert memories.external is not None
        assert memories.uicr is not None
        memories.internal.cells[:] = start.internal
        memories.external.cells[:] = start.external
        start.chip.restore(start.snapshot)
        cells = {
            "internal": memoryview(memories.internal.cells),
            "external": memoryview(memories.external.cells),
            "uicr": memoryview(memories.uicr),
        }
        emulated = EmulatedSide(start.chip, cells, self.compared, patience_s=PATIENCE_WITH_FILES_S)
        given: Cells = {**cells, "dct": start.configuration}
        modelled = ModelledSide(self.kind, self.device_id, given, self.compared, dfu=False)
        return modelled, emulated

    def _begin(self) -> _Start:
        """A first start, in which it makes its keys; a look at its configuration in DFU mode; a second start."""
        memories = make_memories(self.kind)
        furnish(memories, self.images)
        assert memories.external is not None
        chip: Any = make_chip(NewBoard(self.kind, self.device_id), memories)
        chip.power_on()
        chip.attach_vbus()
        _wait_for_bus(chip)
        _run(chip, _LISTENS_AFTER_S)
        chip.ram[RETAINED_WORD : RETAINED_WORD + 4] = struct.pack("<I", _DFU_REQUESTED)
        chip.reset(0)
        _run(chip, _BOOT_STEP_S)
        _wait_for_bus(chip)
        configuration = configuration_of(EmulatedSide(chip, {}, {}, patience_s=PATIENCE_WITH_FILES_S))
        chip.reset(0)
        _run(chip, _BOOT_STEP_S)
        _wait_for_bus(chip)
        _run(chip, _LISTENS_AFTER_S)
        EmulatedSide(chip, {}, {}).act(Enumerate())
        return _Start(
            chip,
            memories,
            chip.snapshot(),
            bytes(memories.internal.cells),
            bytes(memories.external.cells),
            configuration.ljust(DCT_SIZE_BYTES, b"\xff"),
        )


def _run(chip: EmulatedChip, duration_s: float) -> None:
    chip.processor.run(chip.timeline.cycles + chip.timeline.cycles_of(duration_s))


def _wait_for_bus(chip: EmulatedChip) -> None:
    end_s = chip.timeline.now_s + _BOOT_LIMIT_S
    while not chip.usb.connected:
        if chip.timeline.now_s > end_s:
            raise ValueError(f"the board does not come on the bus in {_BOOT_LIMIT_S:g} s")
        _run(chip, _BOOT_STEP_S)
    _run(chip, _ATTACHED_FOR_S)
