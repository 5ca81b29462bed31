"""How an emulated board comes to be: memories, images, chip; or those that another process has kept."""

from __future__ import annotations

import json
import logging
import struct
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from particle_dev.errors import BenchError
from particle_harness.boards import Hardware
from particle_harness.clock import VirtualClock
from particle_harness.emulator.boards.board import EmulatedBoard
from particle_harness.emulator.boards.images import BoardImages, emulated_hardware
from particle_harness.emulator.chip import EmulatedChip
from particle_harness.emulator.nrf52840.boot_record import boot_record
from particle_harness.faults import Fault, FaultScript
from particle_harness.nor_flash import NorFlash
from particle_harness.state import KEPT_BY, SlotStore, unusable
from particle_harness.user_information import BOOTLOADER_ADDRESS, UICR_SIZE_BYTES, Uicr

STATE_FILE, SNAPSHOT_FILE = KEPT_BY["emulated"], "emulated.snapshot"
_UNFINISHED_FILE = "emulated.unfinished"
_MEMORY_FILES = ("internal.bin", "external.bin", "uicr.bin")
_KEPT = {
    "platform": str,
    "device_id": str,
    "powered": bool,
    "unplugged": bool,
    "replug_at_s": float | int | None,
    "fired_faults": list,
}
"""What the next process reads in the first one."""
_LOGGER = logging.getLogger(__name__)


MODE_BUTTON_S = 4.5
"""Held for so long at a start, it leads to DFU mode. Source: device-os v2.1.0 bootloader/src/main.c."""


@dataclass(frozen=True, slots=True)
class NewBoard:
    """What is to be in a slot. ``images`` gives what its flash holds when it is new; None leaves it blank.
    ``mode_button``: it is held at each start."""

    hardware: Hardware
    device_id: str
    faults: tuple[Fault, ...] = ()
    images: Callable[[], BoardImages] | None = None
    mode_button: bool = False


@dataclass(slots=True)
class BoardMemories:
    """What outlives a loss of power. ``uicr`` is there on an nRF52840."""

    internal: NorFlash
    external: NorFlash | None
    uicr: Uicr | None


def make_memories(kind: Hardware, folder: Path | None = None) -> BoardMemories:
    """Erased ones, or those in ``folder``."""
    store = SlotStore(folder) if folder else None
    # Work takes the chip's time, which its flash controllers let pass.
    clock = VirtualClock()

    def flash(name: str, size_bytes: int, chip: Any) -> NorFlash:
        return NorFlash(chip, clock, backing=store.image(name, size_bytes) if store else None, delays=False)

    internal = flash("internal", kind.internal_chip.size_bytes, kind.internal_chip)
    outside = kind.external_chip
    external = flash("external", outside.size_bytes, outside) if outside else None
    uicr: Uicr | None = None
    if kind.is_gen3:
        uicr = store.image("uicr", UICR_SIZE_BYTES) if store else bytearray(b"\xff" * UICR_SIZE_BYTES)
    return BoardMemories(internal, external, uicr)


def furnish(memories: BoardMemories, images: BoardImages) -> None:
    """Put images where their prefixes say, as a factory's gang programmer would; into an nRF52840 a stand-in for
    Nordic's boot record, too, which no package carries."""
    for image in images.all:
        memories.internal.load(image.prefix.start_address, image.payload)
    if memories.uicr is not None:
        memories.internal.load(0, boot_record())
        struct.pack_into("<I", memories.uicr, BOOTLOADER_ADDRESS, images.bootloader.prefix.start_address)


def make_board(
    new: NewBoard,
    *,
    port_path: str,
    next_address: Callable[[], int],
    folder: Path | None = None,
    paced: bool = False,
) -> EmulatedBoard:
    """A board with power, or one as ``folder`` has it. BenchError without images or emulator, or for a folder that is
    another board's."""
    kept = _kept(folder, new)
    if kept is not None or folder is None:
        return _make(new, kept, port_path, next_address, folder, paced=paced)
    with being_made(folder):
        return _make(new, None, port_path, next_address, folder, paced=paced)


def _make(
    new: NewBoard,
    kept: dict[str, Any] | None,
    port_path: str,
    next_address: Callable[[], int],
    folder: Path | None,
    *,
    paced: bool,
) -> EmulatedBoard:
    memories = make_memories(new.hardware, folder)
    if kept is None and new.images is not None:
        furnish(memories, new.images())
    chip = make_chip(new, memories)
    board = EmulatedBoard(
        new.hardware,
        new.device_id,
        chip,
        internal=memories.internal,
        external=memories.external,
        port_path=port_path,
        next_address=next_address,
        faults=FaultScript(new.faults, kept["fired_faults"] if kept else ()),
        paced=paced,
    )
    board.mode_button_s = MODE_BUTTON_S if new.mode_button else 0.0
    if folder is not None:
        keeper = _Keeper(folder, board)
        board.keep_in, board.note_in = keeper, keeper.note
    # A cable that was out is back, whether somebody was about to return it or not.
    has_power = kept is None or kept["powered"] or kept["unplugged"] or kept["replug_at_s"] is not None
    if has_power and not (kept and kept["powered"] and _goes_on(board, folder)):
        board.power_on()
    if kept is None and board.note_in is not None:
        # From now on its flash is no new board's, whatever ends this process.
        board.note_in()
    return board


def make_chip(new: NewBoard, memories: BoardMemories) -> EmulatedChip:
    """The chip of such a board, around its memories. BenchError where the emulator is not installed."""
    identity = bytes.fromhex(new.device_id)
    try:
        # Whoever has no emulated board needs no emulator.
        from particle_harness.emulator.boards.chips import emulated_chip  # noqa: PLC0415

        return emulated_chip(new.hardware, identity, memories.internal, memories.external, memories.uicr)
    except ImportError as error:
        raise BenchError(
            f"emulated boards need the emulator, which is not installed: {error}",
            hint="pip install 'particle-dev[sim,emulator]'",
        ) from error


class _Keeper:
    """Writes down where a board is, so that the next process can go on."""

    def __init__(self, folder: Path, board: EmulatedBoard) -> None:
        self._folder = folder
        self._board = board

    def __call__(self) -> None:
        # A core that is halted by a debugger or locked up would stand still for ever: the next process lets it boot.
        if self._board.state.powered and self._board.chip.runs:
            _replace(self._folder / SNAPSHOT_FILE, self._board.chip.snapshot())
        self.note()

    def note(self) -> None:
        """All but the chip."""
        board = self._board
        table = asdict(board.state) | {
            "platform": board.hardware.name,
            "fired_faults": sorted(board.fired_faults),
        }
        _replace(self._folder / STATE_FILE, json.dumps(table).encode())


@contextmanager
def being_made(folder: Path) -> Iterator[None]:
    """While a board is put into the folder of its slot: whatever ends the process before that is done, no board is
    kept there. What another such process has left is removed."""
    unfinished = folder / _UNFINISHED_FILE
    try:
        folder.mkdir(parents=True, exist_ok=True)
        unfinished.touch()
        for name in (STATE_FILE, SNAPSHOT_FILE, *_MEMORY_FILES):
            (folder / name).unlink(missing_ok=True)
    except OSError as error:
        raise unusable(folder, f"no board can be made there: {error.strerror}") from error
    yield
    unfinished.unlink()


def is_kept(folder: Path) -> bool:
    """Whether a board is kept in the folder of a slot. BenchError where only parts of one are left."""
    if (folder / _UNFINISHED_FILE).exists():
        return False
    if (folder / STATE_FILE).exists():
        return True
    if left := [name for name in (SNAPSHOT_FILE, *_MEMORY_FILES) if (folder / name).exists()]:
        raise unusable(folder / STATE_FILE, f"it is missing, and {', '.join(left)} beside it is there")
    return False


def _kept(folder: Path | None, new: NewBoard) -> dict[str, Any] | None:
    if folder is None or not is_kept(folder):
        return None
    table = read_kept(folder)
    if table["platform"] != new.hardware.name:
        raise BenchError(
            f"{folder} holds an emulated {table['platform']}, and the slot is for another board: {new.hardware.name}",
            hint="choose another state folder, or remove that one",
        )
    if table["device_id"] != new.device_id:
        raise BenchError(
            f"{folder} holds the board {table['device_id']}, and the slot is for {new.device_id}",
            hint="leave device_id out of the slot, choose another state folder, or remove that one",
        )
    return table


def kept_device_id(folder: Path) -> str | None:
    """Of the board that the process before has kept in its slot's folder. BenchError when what is there is damaged."""
    return str(read_kept(folder)["device_id"]) if is_kept(folder) else None


def read_kept(folder: Path) -> dict[str, Any]:
    """What the process before has written down of the board in its slot's folder. BenchError when it is damaged, or a
    memory of that board is missing."""
    file = folder / STATE_FILE
    try:
        table = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise unusable(file, f"it is damaged: {error}") from error
    if not isinstance(table, dict) or any(not isinstance(table.get(key, _KEPT), kind) for key, kind in _KEPT.items()):
        raise unusable(file, "it is damaged, or of another version")
    for name in _memory_files(emulated_hardware(table["platform"])):
        if not (folder / name).exists():
            raise unusable(folder / name, f"it is missing, and {STATE_FILE} beside it is there")
    return table


def _memory_files(kind: Hardware) -> tuple[str, ...]:
    internal, external, uicr = _MEMORY_FILES
    return (internal, *((external,) if kind.external_chip else ()), *((uicr,) if kind.is_gen3 else ()))


def _goes_on(board: EmulatedBoard, folder: Path | None) -> bool:
    """Whether it stands where the process before left it."""
    snapshot = _take_snapshot(folder)
    if folder is None or snapshot is None:
        return False
    try:
        board.take_up(snapshot)
    except ValueError as error:
        _LOGGER.warning(
            "slot %s: the board boots instead of going on where it stood: %s: %s",
            folder.name,
            folder / SNAPSHOT_FILE,
            error,
        )
        return False
    return True


def _take_snapshot(folder: Path | None) -> bytes | None:
    """Once: a process that dies leaves flash behind which the snapshot knows nothing of, and then the board boots."""
    file = folder / SNAPSHOT_FILE if folder else None
    if file is None or not file.exists():
        return None
    try:
        data = file.read_bytes()
        file.unlink()
    except OSError as error:
        raise unusable(file, str(error.strerror)) from error
    return data


def _replace(file: Path, data: bytes) -> None:
    fresh = file.with_suffix(".new")
    fresh.write_bytes(data)
    fresh.replace(file)
