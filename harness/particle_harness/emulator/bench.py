"""The bench of emulated boards: entry point ``emulated`` of the group ``particle_dev.benches``.

Boards run firmware images that the user holds: :mod:`particle_harness.emulator.boards.images` finds them.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

from particle_dev.errors import BenchError
from particle_harness import serial_port
from particle_harness.bench import default_device_id
from particle_harness.bench_slots import (
    DEVICE_ID,
    SWITCH,
    TEXT,
    PowerSwitch,
    board_in,
    check_options,
    check_values,
    close_slots,
    name_of,
    name_of_new,
    option_key,
    probe_id,
    refuse_blank_with_a_system,
    refuse_boards_of_others,
    refuse_unknown_options,
    slot_called,
    slot_folder,
    words,
)
from particle_harness.boards import Hardware, kinds
from particle_harness.emulator.boards.board import EmulatedBoard
from particle_harness.emulator.boards.faults import check_faults, possible_faults
from particle_harness.emulator.boards.image_source import ImageSource
from particle_harness.emulator.boards.images import EMULATED, BoardImages, emulated_hardware
from particle_harness.emulator.boards.new_board import NewBoard, kept_device_id, make_board
from particle_harness.emulator.boards.real_time import RealTime
from particle_harness.emulator.boards.starting_point import StartingPoint
from particle_harness.faults import Fault, parse_faults
from particle_harness.state_lock import StateLock
from particle_harness.usb.addresses import Addresses
from particle_harness.usb.bus_device import BusDevice
from particle_harness.usb.pyusb_backend import VirtualBackend

if TYPE_CHECKING:
    from particle_harness.probes import SlotProbe

_OPTIONS = {"clock": words("real", "virtual"), "power_control": SWITCH}
_IMAGES, _BEGIN_FROM = "images", "begin_from"
_SLOT_KEYS = frozenset(
    {"name", "platform", "device_id", "device_os", "faults", "connected", "probe", "blank", "battery", "mode_button"}
)
_SLOT_VALUES = {
    "platform": TEXT,
    "device_id": DEVICE_ID,
    "device_os": TEXT,
    **dict.fromkeys(("connected", "probe", "blank", "battery", "mode_button"), SWITCH),
}
_ARRIVAL_LIMIT_S = 6.0
"""Of a board's time, within which it is expected on the bus when the bench is opened."""
_ARRIVAL_WALL_LIMIT_S = 20.0


@dataclass(slots=True)
class EmulatedSlot:
    """One place on the bench. ``board`` is None in an empty slot."""

    name: str
    port_path: str
    board: EmulatedBoard | None
    power: PowerSwitch | None
    probe: SlotProbe | None = None
    battery: bool | None = None
    is_kept: bool = False
    """Whether a later command finds it as it is."""

    @property
    def clock(self) -> Any:
        """Time in it."""
        return self.board.clock if self.board else None

    @property
    def absence(self) -> str | None:
        """Why a board that has power cannot be found, None for others."""
        board = self.board
        if board is None or not board.state.powered or board.on_bus():
            return None
        if board.internal.is_erased:
            return f"the emulated {board.hardware.name} has power and is blank: nothing to boot"
        stands = "its core is locked up, halted by a debugger, or switched off"
        what = "its firmware runs" if board.chip.runs else stands
        if board.chip.runs and self.power and self.is_kept:
            what += "; where that hangs, `power cycle` with mode_button = true in the slot leads to DFU mode"
        return f"the emulated {board.hardware.name} has power and is not on the bus: {what}"

    @property
    def platform(self) -> str | None:
        """What is in it."""
        return self.board.hardware.name if self.board else None

    @property
    def probe_id(self) -> str | None:
        """What pyOCD calls the debug probe of this slot."""
        return probe_id(self)


class EmulatedBench:
    """A bench of emulated boards. In real time a thread runs them until :meth:`close`."""

    name = "emulated"

    def __init__(self, slots: Sequence[EmulatedSlot], *, real_time: bool, to_close: ExitStack) -> None:
        self.slots = tuple(slots)
        self.boards = tuple(slot.board for slot in self.slots if slot.board)
        probes = tuple(slot.probe.usb for slot in self.slots if slot.probe)
        self.bus_devices: tuple[BusDevice, ...] = (*self.boards, *probes)
        self.usb_backend = VirtualBackend(self.boards)
        self._to_close = to_close
        serial_port.register(self.boards)
        self._real_time = RealTime(lambda: self.boards) if real_time else None

    def serial_ports(self) -> Sequence[tuple[str, int, int, str]]:
        """Ports there are now: pyserial URL, vendor id, product id, USB serial number."""
        ports = []
        for board in self.boards:
            present = board.on_bus()
            if present and serial_port.has_serial_port(present[1]):
                device = present[1].device
                vid, pid = int.from_bytes(device[8:10], "little"), int.from_bytes(device[10:12], "little")
                ports.append((f"{serial_port.SCHEME}://{board.port_path}", vid, pid, board.state.device_id))
        return ports

    def slot(self, name: str) -> EmulatedSlot:
        """The slot of that name. KeyError when there is none."""
        return slot_called(self.slots, name)

    def board(self, name: str) -> EmulatedBoard:
        """The board in a slot, for tests. KeyError when the slot is empty or unknown."""
        return board_in(self.slots, name)

    def close(self) -> None:
        """The boards stand still. With a state folder the next process takes them up where they are."""
        if self._real_time is not None:
            self._real_time.stop()
        close_slots(self.slots)
        self._to_close.close()


def open_bench(
    *,
    options: Mapping[str, Any],
    slots: Sequence[Mapping[str, Any]],
    state_dir: Path | None,
    factory_modules: Callable[[str], Sequence[bytes]],
) -> EmulatedBench:
    """Build the bench, or take it up again from ``state_dir``.

    ``options``: ``images``, a folder with the user's firmware images (default: the one that PARTICLE_DEV_FIRMWARE_DIR
    names, else the user's firmware store, else the bootloaders that ``factory_modules`` gives); ``begin_from``, the
    ``state_dir`` of another bench, whose boards these are copies of when they are new; ``clock`` "real" (default) or
    "virtual", in which boards run only while somebody waits or transfers; ``power_control`` true or false.

    ``slots``: tables with ``name``, ``platform`` (which a slot that is called by it need not name) and optionally
    ``device_id``; ``device_os``, a release whose system parts a new board has (without, it has bootloader and
    SoftDevice alone and is in DFU mode); ``faults`` (see particle_harness.faults: transfers and flash operations);
    ``connected``; ``probe`` (true: a debug probe is connected); ``blank`` (true: nothing was ever programmed);
    ``battery``; ``mode_button`` (true: MODE is held whenever power comes, until the board is in DFU mode). Default: up
    to four of the boards that have images. Raises BenchError: no images, an unknown key, option and board, and when
    another process has the boards of ``state_dir`` open.
    """
    _check_options(options)
    names = [name_of(table, number) for number, table in enumerate(slots, start=1)]
    tables = [_of_its_name(table) for table in slots]
    for name, table in zip(names, tables, strict=True):
        _check_slot(name, table, state_dir)
    source = ImageSource(options.get(_IMAGES), factory_modules)
    tables = [{**table, "name": name} for table, name in zip(tables, names, strict=True)] or [
        {"name": str(number), "platform": name} for number, name in enumerate(source.default_platforms(), start=1)
    ]
    is_real, is_kept = options.get("clock", "real") == "real", state_dir is not None
    if _BEGIN_FROM in options:
        _check_beginning(Path(options[_BEGIN_FROM]), tables, state_dir)
    with ExitStack() as opened:
        if state_dir is not None:
            opened.callback(StateLock(state_dir).release)
            refuse_boards_of_others("emulated", state_dir, (str(table["name"]) for table in tables))
        if _BEGIN_FROM in options:
            start = StartingPoint(Path(options[_BEGIN_FROM]))
            folder = state_dir or Path(opened.enter_context(TemporaryDirectory(prefix="particle-emulated-")))
            state_dir = _begin(start, tables, folder)
        built = _build(tables, source, state_dir, is_real=is_real, power=bool(options.get("power_control", True)))
        for slot in built:
            slot.is_kept = is_kept
        return EmulatedBench(built, real_time=is_real, to_close=opened.pop_all())


def _check_beginning(begin_from: Path, tables: Sequence[Mapping[str, Any]], state_dir: Path | None) -> None:
    if state_dir is not None and state_dir.resolve() == begin_from.resolve():
        raise BenchError(
            f"state_dir and begin_from are one folder, {state_dir}",
            hint="leave begin_from out to go on with those boards, or give copies of them a state_dir of their own",
        )
    for table in tables:
        for key in ("device_os", "blank"):
            if table.get(key):
                raise BenchError(
                    f"slot {table['name']!r} has {key}, and its board is to be a copy of the one in {begin_from}",
                    slot=str(table["name"]),
                    hint=f"take {key} or begin_from out",
                )


def _begin(start: StartingPoint, tables: Sequence[Mapping[str, Any]], folder: Path) -> Path:
    for number, table in enumerate(tables, start=1):
        if table.get("connected", True):
            name = str(table.get("name", number))
            kind = emulated_hardware(str(table["platform"]), name)
            start.copy(name, slot_folder(folder, name), kind, table.get("device_id"))
    return folder


def _of_its_name(table: Mapping[str, Any]) -> Mapping[str, Any]:
    """A slot that is called by a board and names none is for that one: `--bench emulated:boron`."""
    name = table.get("name")
    return {**table, "platform": name} if "platform" not in table and name in kinds() else table


def _build(
    tables: Sequence[Mapping[str, Any]], source: ImageSource, state_dir: Path | None, *, is_real: bool, power: bool
) -> list[EmulatedSlot]:
    addresses = Addresses()
    built: list[EmulatedSlot] = []
    try:
        for number, table in enumerate(tables, start=1):
            name = name_of_new(table, number, built)
            port_path = f"1-{number}"
            board = None
            if table.get("connected", True):
                board = _board(name, table, source, state_dir, addresses, port_path, is_real=is_real)
            switch = PowerSwitch(board) if board and power else None
            probe = _probe(board, number) if board and table.get("probe") else None
            built.append(EmulatedSlot(name, port_path, board, switch, probe, table.get("battery")))
    except BaseException:
        # Those that were taken up already go on from there when the bench is mended.
        close_slots(built)
        raise
    _arrive([slot.board for slot in built if slot.board])
    return built


def _board(
    name: str,
    table: Mapping[str, Any],
    source: ImageSource,
    state_dir: Path | None,
    addresses: Addresses,
    port_path: str,
    *,
    is_real: bool,
) -> EmulatedBoard:
    kind = emulated_hardware(str(table["platform"]), name)
    folder = slot_folder(state_dir, name) if state_dir else None
    kept = kept_device_id(folder) if folder else None
    new = NewBoard(
        kind,
        str(table.get("device_id") or kept or default_device_id(kind, name)),
        faults=_faults(name, table, kind),
        images=None if table.get("blank") else lambda: _images(name, source, kind, table.get("device_os")),
        mode_button=bool(table.get("mode_button")),
    )
    return make_board(
        new,
        port_path=port_path,
        next_address=lambda: addresses.next(port_path),
        folder=folder,
        paced=is_real,
    )


def _images(name: str, source: ImageSource, kind: Hardware, device_os: str | None) -> BoardImages:
    try:
        return source.images(kind, device_os)
    except BenchError as error:
        if error.key:
            # The key is to be corrected, not the slot.
            raise
        raise BenchError(f"slot {name!r}: {error.message}", slot=name, hint=error.hint) from error


def _faults(name: str, table: Mapping[str, Any], kind: Hardware) -> tuple[Fault, ...]:
    try:
        has_probe = bool(table.get("probe"))
        faults = parse_faults(table.get("faults", ()), possible_faults(kind, has_probe=has_probe))
        check_faults(faults, kind, has_probe=has_probe)
    except ValueError as error:
        raise BenchError(f"slot {name!r}: {error}", slot=name, hint="correct the slot in the bench file") from error
    return faults


def _arrive(boards: Sequence[EmulatedBoard]) -> None:
    """Let boards that have just got power come onto the bus, as those on a desk have."""
    end_s = time.monotonic() + _ARRIVAL_WALL_LIMIT_S
    for board in boards:
        board.run_until(lambda b=board: b.on_bus() is not None or time.monotonic() > end_s, _ARRIVAL_LIMIT_S)  # type: ignore[misc]


def _probe(board: EmulatedBoard, number: int) -> SlotProbe:
    # Boards without a probe need none of its servers.
    from particle_harness.emulator.boards.probed_chip import probed_chip  # noqa: PLC0415
    from particle_harness.probes import SlotProbe  # noqa: PLC0415

    return SlotProbe(probed_chip(board), board.state.device_id, number)


def _check_options(options: Mapping[str, Any]) -> None:
    refuse_unknown_options(options, {*_OPTIONS, _IMAGES, _BEGIN_FROM})
    for key in (_IMAGES, _BEGIN_FROM):
        folder = options.get(key, key)
        if not isinstance(folder, str | os.PathLike) or not str(folder):
            raise BenchError(
                f"option {key} = {folder!r} is no folder", key=option_key(key), hint=f"correct {key}, or leave it out"
            )
    check_options(options, _OPTIONS)


def _check_slot(name: str, table: Mapping[str, Any], state_dir: Path | None) -> None:
    """All that can be said of it before any image is read."""
    if unknown := set(table) - _SLOT_KEYS:
        raise BenchError(
            f"slot {name!r} has keys that mean nothing to emulated boards: {sorted(unknown)}",
            slot=name,
            hint=f"known: {sorted(_SLOT_KEYS)}",
        )
    check_values(name, table, _SLOT_VALUES)
    if "platform" not in table and table.get("connected", True):
        raise BenchError(
            f"slot {name!r} names no platform, and no board that is emulated is called so",
            slot=name,
            hint=f'add platform = "boron" to a bench file; there are {", ".join(EMULATED)}',
        )
    refuse_blank_with_a_system(name, table)
    if state_dir is not None:
        slot_folder(state_dir, name)
    if table.get("connected", True):
        _faults(name, table, emulated_hardware(str(table["platform"]), name))
