"""A differential test of one bootloader, in DFU mode."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from random import Random

from particle_harness.boards import Hardware
from particle_harness.dct import DCT_SIZE_BYTES
from particle_harness.emulator.boards.images import BoardImages
from particle_harness.emulator.boards.new_board import BoardMemories, NewBoard, furnish, make_chip, make_memories
from particle_harness.emulator.conversations.acts import Act, Enumerate
from particle_harness.emulator.conversations.dfu import (
    Conversation,
    Terrain,
    reading_configuration,
    terrain_of,
    to_idle,
)
from particle_harness.emulator.differential.comparison import (
    KnownDifference,
    after_recorded,
)
from particle_harness.emulator.differential.known import known_differences
from particle_harness.emulator.differential.sides import (
    PATIENCE_S,
    PATIENCE_WITH_FILES_S,
    EmulatedSide,
    ModelledSide,
)
from particle_harness.emulator.differential.start import cells_of, configuration_of, wait_for_bus
from particle_harness.emulator.recordings.dfu import conversation as recorded_conversation
from particle_harness.emulator.stm32f205.chip import EmulatedStm32f205
from particle_harness.nor_flash import NorFlash

_ACTS = 60
_RECORDED_EVERY = 15
"""Conversations, of which one follows the beginning of the one that recordings hold."""
_GEN2_CONFIGURATION_END = 0xC000
"""Bootloader and the pages that hold an STM32F2 board's configuration. Source: device-os v3.3.1
build/arm/linker/linker_stm32f2xx.ld."""


@dataclass(frozen=True, slots=True)
class Subject:
    """One bootloader, without a system part, so that it stays in DFU mode."""

    kind: Hardware
    images: BoardImages
    device_id: str
    seed: int = 1
    """Of what lies in flash at the beginning."""

    @property
    def terrain(self) -> Terrain:
        """Where its memories are."""
        return terrain_of(self.kind)

    @property
    def known(self) -> Sequence[KnownDifference]:
        """What may differ, with reasons."""
        return known_differences(self.kind)

    @property
    def compared(self) -> Mapping[str, range]:
        """Offsets in each memory that are compared; the configuration is read by DFU instead."""
        outside = self.kind.external_flash_size_bytes
        inside = range(0x1000 if self.kind.is_gen3 else _GEN2_CONFIGURATION_END, 0x100000)
        if not outside:
            return {"internal": inside}
        return {"internal": inside, "external": range(outside // 2 if self.kind.is_gen3 else 0, outside)}

    def conversation(self, seed: int) -> list[Act]:
        """A random one."""
        random = Random(seed)
        acts = Conversation(self.terrain, random).acts(_ACTS)
        if seed % _RECORDED_EVERY == 0:
            acts = after_recorded(tuple(recorded_conversation(self.kind)), acts, random)
        if seed % 4 == 0:
            acts = [*acts, Enumerate(), *to_idle(self.kind), *reading_configuration()]
        return acts

    def pair(self) -> tuple[ModelledSide, EmulatedSide]:
        """Both sides, in DFU mode, from equal memories."""
        memories = make_memories(self.kind)
        self._fill(memories)
        chip = make_chip(NewBoard(self.kind, self.device_id), memories)
        if isinstance(chip, EmulatedStm32f205):
            chip.flash_takes_time = False
        chip.power_on()
        chip.attach_vbus()
        wait_for_bus(chip)
        cells = cells_of(memories)
        patience_s = PATIENCE_WITH_FILES_S if self.kind.is_gen3 else PATIENCE_S
        emulated = EmulatedSide(chip, cells, self.compared, patience_s=patience_s)
        configuration = configuration_of(emulated).ljust(DCT_SIZE_BYTES, b"\xff")
        modelled = ModelledSide(self.kind, self.device_id, {**cells, "dct": configuration}, self.compared)
        # So that both have been asked the same.
        asked: tuple[Act, ...] = (Enumerate(), *reading_configuration())
        for act in asked:
            modelled.act(act)
        return modelled, emulated

    def _fill(self, memories: BoardMemories) -> None:
        """The images, and random bytes in some sectors, as a used board has them."""
        random = Random(self.seed)
        for region in self.terrain.regions:
            flash: NorFlash | None = {0: memories.internal, 2: memories.external}.get(region.alternate)
            if flash is None:
                continue
            offset = 0x80000000 if self.kind.is_gen3 and region.alternate == 2 else 0
            for address in random.sample(region.sectors, min(4, len(region.sectors))):
                flash.load(address - offset + 0x100, random.randbytes(0xE00))
        furnish(memories, self.images)
