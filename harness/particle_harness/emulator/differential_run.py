"""A differential test of one bootloader: conversations from a seed until so many transfers are compared."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from random import Random
from typing import Protocol

from particle_harness.boards import Hardware
from particle_harness.dct import DCT_SIZE_BYTES
from particle_harness.emulator.differential import Difference, KnownDifference, Side, after_recorded, compare, shrink
from particle_harness.emulator.differential_acts import Act, Enumerate
from particle_harness.emulator.differential_dfu import (
    Conversation,
    Terrain,
    configuration_of,
    reading_configuration,
    terrain_of,
    to_idle,
)
from particle_harness.emulator.differential_known import known_differences
from particle_harness.emulator.differential_sides import (
    PATIENCE_S,
    PATIENCE_WITH_FILES_S,
    EmulatedSide,
    ModelledSide,
)
from particle_harness.emulator.images import BoardImages
from particle_harness.emulator.new_board import BoardMemories, NewBoard, furnish, make_chip, make_memories
from particle_harness.emulator.recording import conversation as recorded_conversation
from particle_harness.emulator.stm32f205.chip import EmulatedStm32f205
from particle_harness.nor_flash import NorFlash

_BOOT_LIMIT_S, _BOOT_STEP_S, _SETTLE_S = 5.0, 0.01, 0.15
_ACTS = 60
_RECORDED_EVERY = 15
"""Conversations, of which one follows the beginning of the one that recordings hold."""
_SEQUENCES_PER_PAIR = 12
"""Then both start anew, which keeps what has to be repeated for a difference short."""
_GEN2_CONFIGURATION_END = 0xC000
"""Bootloader and the pages that hold an STM32F2 board's configuration. Source: device-os v3.3.1
build/arm/linker/linker_stm32f2xx.ld."""


@dataclass(slots=True)
class Report:
    """What was compared, and the differences that nobody knew of, each by its shortest sequence."""

    transfers: int = 0
    sequences: int = 0
    differences: list[Difference] = field(default_factory=list)


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
        end = chip.timeline.cycles_of(_BOOT_LIMIT_S)
        while not chip.usb.connected:
            if chip.timeline.cycles > end:
                raise ValueError(f"the {self.kind.name} does not come up in DFU mode in {_BOOT_LIMIT_S:g} s")
            chip.processor.run(chip.timeline.cycles + chip.timeline.cycles_of(_BOOT_STEP_S))
        chip.processor.run(chip.timeline.cycles + chip.timeline.cycles_of(_SETTLE_S))
        cells: dict[str, bytes | bytearray | memoryview] = {"internal": memoryview(memories.internal.cells)}
        if memories.external is not None:
            cells["external"] = memoryview(memories.external.cells)
        if memories.uicr is not None:
            cells["uicr"] = memoryview(memories.uicr)
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


class Comparable(Protocol):
    """Firmware and its model, and what is said to both."""

    @property
    def known(self) -> Sequence[KnownDifference]:
        """What may differ, with reasons."""
        ...

    def pair(self) -> tuple[Side, SideThatEnds]:
        """The model and the firmware, in the same state: the one that every sequence starts from."""
        ...

    def conversation(self, seed: int) -> list[Act]:
        """A sequence; the same seed makes the same one."""
        ...


class SideThatEnds(Side, Protocol):
    """The firmware's side."""

    @property
    def is_over(self) -> bool:
        """Nothing more can be compared with it."""
        ...


def run(subject: Comparable, transfers: int, *, first_seed: int = 1, most_differences: int = 3) -> Report:
    """Compare until so many transfers are done, or so many differences found."""
    report, seed = Report(), first_seed
    pair, history = None, list[Act]()
    while report.transfers < transfers and len(report.differences) < most_differences:
        if pair is None:
            pair, history = subject.pair(), []
        acts = subject.conversation(seed)
        seed += 1
        difference, done = compare(*pair, acts, subject.known)
        report.transfers += done
        report.sequences += 1
        history += acts
        if difference is not None:
            report.differences.append(_smallest(subject, difference, history))
        if difference is not None or pair[1].is_over or report.sequences % _SEQUENCES_PER_PAIR == 0:
            pair = None
    return report


def _smallest(subject: Comparable, found: Difference, history: Sequence[Act]) -> Difference:
    def again(acts: Sequence[Act]) -> Difference | None:
        return compare(*subject.pair(), acts, subject.known)[0]

    alone = again(found.acts)
    if alone is None:
        # What came before has a part in it.
        alone = again(history)
    return shrink(alone, again) if alone is not None else found
