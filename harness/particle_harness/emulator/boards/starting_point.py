"""Boards as another bench has kept them, to begin from again and again: past the boot, say. They stay as they are."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

from particle_dev.errors import BenchError
from particle_harness.boards import Hardware
from particle_harness.emulator.boards.images import emulated_hardware
from particle_harness.emulator.boards.new_board import (
    SNAPSHOT_FILE,
    STATE_FILE,
    NewBoard,
    being_made,
    is_kept,
    make_chip,
    make_memories,
    read_kept,
)
from particle_harness.state_lock import StateLock

if TYPE_CHECKING:
    from particle_harness.emulator.chip import EmulatedChip


class StartingPoint:
    """``folder``: the state folder of a bench that is closed. BenchError when it is none, or in use."""

    def __init__(self, folder: Path) -> None:
        if not os.path.isdir(folder):  # noqa: PTH112  Path.is_dir raises for a name that is too long
            raise BenchError(
                f"there are no boards to begin from in {folder}",
                key="bench.options.begin_from",
                hint="name the state_dir of a bench whose boards have been where yours are to begin",
            )
        self.folder = folder

    def copy(self, slot: str, target: Path, expected: Hardware | None = None, device_id: str | None = None) -> None:
        """Put the board of a slot into ``target``, unless one is there. BenchError when there is none in that slot, or
        it is not the one expected, or in use."""
        if is_kept(target):
            return
        source = self.folder / slot
        if not is_kept(source):
            there = sorted(file.parent.name for file in self.folder.glob(f"*/{STATE_FILE}"))
            raise BenchError(
                f"no emulated board was kept in {source}",
                slot=slot,
                hint=f"call yours as one of the slots whose boards are there: {', '.join(there)}"
                if there
                else "open a bench with that state_dir first",
            )
        lock = StateLock(self.folder, to_read=True)
        try:
            table = read_kept(source)
            kind = emulated_hardware(table["platform"])
            if expected is not None and expected.name != kind.name:
                raise BenchError(
                    f"{source}, to begin from, holds an emulated {kind.name}, and {expected.name} is asked for",
                    slot=slot,
                    hint=f"ask for {kind.name}, or begin from another folder",
                )
            if device_id not in (None, table["device_id"]):
                raise BenchError(
                    f"{source}, to begin from, holds the board {table['device_id']}, and the slot is for {device_id}",
                    slot=slot,
                    hint="leave device_id out of the slot, or begin from another folder",
                )
            with being_made(target):
                shutil.copytree(source, target, dirs_exist_ok=True)
        except OSError as error:
            raise BenchError(
                f"the board in {source} cannot be copied: {error.strerror or error}",
                slot=slot,
                hint="check permissions and room, or begin from another folder",
            ) from error
        finally:
            lock.release()


@contextmanager
def kept_chip(slot_folder: Path, expected: Hardware | None = None) -> Iterator[EmulatedChip]:
    """A chip where a board that was kept in the folder of its slot stood. BenchError for another board than the one
    expected, and for one that can only boot."""
    with TemporaryDirectory() as name:
        copy = Path(name) / slot_folder.name
        StartingPoint(slot_folder.parent).copy(slot_folder.name, copy, expected)
        table = read_kept(copy)
        kind = emulated_hardware(table["platform"])
        chip = make_chip(NewBoard(kind, table["device_id"]), make_memories(kind, copy))
        try:
            chip.restore((copy / SNAPSHOT_FILE).read_bytes())
        except (OSError, ValueError) as error:
            raise BenchError(
                f"the board in {slot_folder} does not go on from where it stood: {error}",
                hint="it has to have power, and its program to end by itself; open a bench with that state_dir again",
            ) from error
        yield chip
