"""A differential test of one Device OS: the board listens, as a new one does, and both sides start from there. This
one is about nRF52840 boards; :mod:`particle_harness.emulator.differential.system_stm32f205` about the others.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from random import Random
from typing import Any, ClassVar

from particle_harness.boards import Hardware
from particle_harness.dct import DCT_SIZE_BYTES
from particle_harness.emulator.boards.images import BoardImages
from particle_harness.emulator.boards.new_board import BoardMemories, NewBoard, furnish, make_chip, make_memories
from particle_harness.emulator.conversations.acts import Act, Enumerate, Return, Transfer
from particle_harness.emulator.conversations.dfu import reading_configuration
from particle_harness.emulator.conversations.system_stm32f205 import conversations_of
from particle_harness.emulator.differential.comparison import KnownDifference, after_recorded
from particle_harness.emulator.differential.known import known_of_systems
from particle_harness.emulator.differential.sides import PATIENCE_WITH_FILES_S, Cells, EmulatedSide, ModelledSide
from particle_harness.emulator.differential.start import BOOT_STEP_S, cells_of, configuration_of, let_run, wait_for_bus
from particle_harness.emulator.recordings.system import conversation as recorded_conversation
from particle_harness.swd.nrf52840 import RETAINED_WORD
from particle_harness.usb.transfer import Setup, StandardRequest

_ACTS = 60
DFU_REQUESTED = 0xEDFA
_LISTENS_AFTER_S, _NETWORK_PROCESSOR_TELLS_AFTER_S = 3.0, 8.0
_READ_EVERY, _RECORDED_EVERY = 30, 49
"""Conversations, of which one ends with a look into the configuration, or follows the beginning of the one that
recordings hold."""


_ENUMERATION: tuple[Act, ...] = (Enumerate(), Transfer(Setup(0x80, StandardRequest.GET_DESCRIPTOR, 0x0200, 0, 255)))


@dataclass(frozen=True, slots=True)
class _Start:
    """Where every pair begins. ``flashes``: what the board's memories hold, by name."""

    chip: Any
    memories: BoardMemories
    snapshot: bytes
    flashes: Mapping[str, bytes]
    configuration: bytes


@dataclass(slots=True)
class SystemSubject:
    """One release of Device OS on an nRF52840 board without an application, so that it stays in listening mode."""

    kind: Hardware
    images: BoardImages
    device_id: str
    _start: _Start | None = field(default=None, init=False)

    first_boot_limit_s: ClassVar[float] = 5.0
    """Until a new board is on the bus."""
    patience_s: ClassVar[float] = PATIENCE_WITH_FILES_S
    restart_every: ClassVar[int] = 10
    """Conversations, of which one ends with a restart."""

    @property
    def known(self) -> Sequence[KnownDifference]:
        """What may differ, with reasons."""
        return known_of_systems(self.kind)

    @property
    def compared(self) -> Mapping[str, range]:
        """Offsets in each memory that are compared: modules, and where an update is taken in."""
        outside = self.kind.external_flash_size_bytes
        return {"internal": range(0x30000, 0xF4000), "external": range(outside // 2, outside)}

    opening: ClassVar[Sequence[Act]] = ()
    """What the host does to either side before the first conversation."""

    @property
    def is_ready_after_s(self) -> float:
        """Time on the bus until it may be talked to."""
        has_processor = self.kind.is_gen3 and self.kind.radio == "wifi"
        return _NETWORK_PROCESSOR_TELLS_AFTER_S if has_processor else _LISTENS_AFTER_S

    def prepare(self, chip: Any) -> None:
        """Before it is switched on."""

    def restart(self, chip: Any, *, into_dfu: bool) -> None:
        """As a running system does it, which leaves the bootloader a request where it wants DFU mode."""
        if into_dfu:
            chip.ram[RETAINED_WORD : RETAINED_WORD + 4] = struct.pack("<I", DFU_REQUESTED)
        chip.reset(0)

    def conversation(self, seed: int) -> list[Act]:
        """A random one."""
        random = Random(seed)
        version = self.images.system[0].prefix.version
        talk = conversations_of(self.kind, version)(random)
        acts = talk.acts(_ACTS)
        if seed % _RECORDED_EVERY == 0:
            return after_recorded(tuple(recorded_conversation(self.kind, version)), acts, random)
        if seed % _READ_EVERY == 0:
            return [*acts, *talk.enter_dfu(), Return(), *reading_configuration()]
        return [*acts, *talk.restart()] if seed % self.restart_every == 0 else acts

    def pair(self) -> tuple[ModelledSide, EmulatedSide]:
        """Both sides, listening, from equal memories. The chip is the same for all pairs: one at a time."""
        start = self._start = self._start or self._begin()
        cells = cells_of(start.memories)
        for name, contents in start.flashes.items():
            cells[name][:] = contents
        start.chip.restore(start.snapshot)
        emulated = EmulatedSide(start.chip, cells, self.compared, patience_s=self.patience_s)
        given: Cells = {**cells, "dct": start.configuration}
        modelled = ModelledSide(self.kind, self.device_id, given, self.compared, dfu=False)
        for act in self.opening:
            modelled.act(act)
        return modelled, emulated

    def _begin(self) -> _Start:
        """A first start, in which it makes its keys; a look at its configuration in DFU mode; a second start."""
        memories = make_memories(self.kind)
        furnish(memories, self.images)
        chip: Any = make_chip(NewBoard(self.kind, self.device_id), memories)
        self.prepare(chip)
        chip.power_on()
        chip.attach_vbus()
        wait_for_bus(chip, self.first_boot_limit_s)
        let_run(chip, self.is_ready_after_s)
        self.restart(chip, into_dfu=True)
        let_run(chip, BOOT_STEP_S)
        wait_for_bus(chip)
        configuration = configuration_of(EmulatedSide(chip, {}, {}, patience_s=PATIENCE_WITH_FILES_S))
        self.restart(chip, into_dfu=False)
        let_run(chip, BOOT_STEP_S)
        wait_for_bus(chip)
        let_run(chip, self.is_ready_after_s)
        host = EmulatedSide(chip, {}, {})
        for act in (*_ENUMERATION, *self.opening):
            host.act(act)
        return _Start(
            chip,
            memories,
            chip.snapshot(),
            {name: bytes(cells) for name, cells in cells_of(memories).items() if name != "uicr"},
            configuration.ljust(DCT_SIZE_BYTES, b"\xff"),
        )
