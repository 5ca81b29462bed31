"""What the slots of every bench here have in common, be their boards modelled or emulated."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

from particle_dev.errors import BenchError
from particle_dev.protocol.identifiers import is_device_id
from particle_harness import serial_port
from particle_harness.state import KEPT_BY
from particle_harness.usb.bus_device import BoardOnBus

if TYPE_CHECKING:
    from particle_harness.probes import SlotProbe


class SwitchedBoard(BoardOnBus, Protocol):
    """A board whose supply is switched, and which can be kept for the next process."""

    def power_on(self) -> None:
        """Its supply comes."""
        ...

    def power_off(self) -> None:
        """Its supply goes."""
        ...

    def keep(self) -> None:
        """It writes down what the next process must know, where there is a place for it."""
        ...


BoardT = TypeVar("BoardT", bound=SwitchedBoard)
_BoardT_co = TypeVar("_BoardT_co", bound=SwitchedBoard, covariant=True)


class BenchSlot(Protocol[_BoardT_co]):
    """One place of a bench; ``board`` is None in an empty one."""

    @property
    def name(self) -> str:
        """What people call it."""
        ...

    @property
    def board(self) -> _BoardT_co | None:
        """What is in it."""
        ...

    @property
    def probe(self) -> SlotProbe | None:
        """The debug probe on its board."""
        ...


SlotT = TypeVar("SlotT", bound=BenchSlot[Any])


class PowerSwitch:
    """The supply of one slot."""

    def __init__(self, board: SwitchedBoard) -> None:
        self.board = board

    def on(self) -> None:
        """Switch on; the board boots."""
        self.board.power_on()

    def off(self) -> None:
        """Switch off; the board leaves the bus and loses its RAM."""
        self.board.power_off()


def slot_called(slots: Iterable[SlotT], name: str) -> SlotT:
    """The slot of that name. KeyError when there is none."""
    return {slot.name: slot for slot in slots}[name]


def board_in(slots: Iterable[BenchSlot[BoardT]], name: str) -> BoardT:
    """The board in a slot. KeyError when the slot is empty or unknown."""
    board = slot_called(slots, name).board
    if board is None:
        raise KeyError(name)
    return board


def probe_id(slot: BenchSlot[Any]) -> str | None:
    """What pyOCD calls the debug probe of a slot."""
    return slot.probe.unique_id if slot.probe else None


def close_slots(slots: Sequence[BenchSlot[SwitchedBoard]]) -> None:
    """Take serial ports and probes away; the boards are kept."""
    boards = [slot.board for slot in slots if slot.board]
    serial_port.unregister(boards)
    for slot in slots:
        if slot.probe is not None:
            slot.probe.close()
    for board in boards:
        board.keep()


def name_of(table: Mapping[str, Any], number: int) -> str:
    """What the ``number``-th slot is called. BenchError for a name that is no text."""
    name = table.get("name", str(number))
    if not isinstance(name, str):
        raise BenchError(
            f"slot {number}: name is a text, not {name!r}", slot=str(number), hint=f'write name = "{number}"'
        )
    return name


def name_of_new(table: Mapping[str, Any], number: int, built: Iterable[BenchSlot[Any]]) -> str:
    """What the ``number``-th slot is called. BenchError when another one is called so."""
    name = name_of(table, number)
    if any(slot.name == name for slot in built):
        raise BenchError(f"two slots are called {name!r}", slot=name, hint="give each a name of its own")
    return name


def slot_folder(state_dir: Path, name: str) -> Path:
    """Where the board of a slot is kept. BenchError for a name that is no plain file name: it would lead elsewhere."""
    if not name.isprintable() or name.startswith(".") or set("/\\") & set(name) or not name:
        raise BenchError(
            f"slot {name!r} cannot be kept in {state_dir}: its name is no plain file name",
            slot=name,
            hint="leave '/', '\\' and a dot at the beginning out of the name, or take state_dir out of the bench file",
        )
    return state_dir / name


def refuse_boards_of_others(driver: str, state_dir: Path, names: Iterable[str]) -> None:
    """BenchError for a slot whose board another driver has kept: its flash is no board of this one's."""
    for name in names:
        folder = slot_folder(state_dir, name)
        for other, file in KEPT_BY.items():
            if other != driver and (folder / file).exists():
                raise BenchError(
                    f"slot {name!r}: {folder} holds a board of the driver {other!r}, and this bench has {driver!r}",
                    slot=name,
                    hint=f'choose another state_dir, write driver = "{other}" (sim serve: '
                    f"{'with' if other == 'emulated' else 'without'} --emulated), or remove that folder",
                )


@dataclass(frozen=True, slots=True)
class ValueKind:
    """What a key of a slot may hold: ``wanted`` in words."""

    is_good: Callable[[Any], bool]
    wanted: str


SWITCH = ValueKind(lambda value: isinstance(value, bool), "true or false")
TEXT = ValueKind(lambda value: isinstance(value, str) and bool(value), 'a text such as "…"')
TEXTS = ValueKind(lambda value: _is_list(value) and all(isinstance(v, str) for v in value), 'a list such as ["…"]')
DEVICE_ID = ValueKind(
    lambda value: isinstance(value, str) and is_device_id(value), "24 hexadecimal digits in lower case"
)


def words(*allowed: Any) -> ValueKind:
    """One of these, and of their type: 1 is not true."""
    return ValueKind(
        lambda value: any(type(value) is type(word) and value == word for word in allowed), f"one of {list(allowed)}"
    )


def _is_list(value: object) -> bool:
    return isinstance(value, list | tuple | set | frozenset)


def check_values(name: str, table: Mapping[str, Any], kinds: Mapping[str, ValueKind]) -> None:
    """BenchError for the first value in a slot's table that is not of its key's kind."""
    for key, kind in kinds.items():
        if key in table and not kind.is_good(table[key]):
            raise BenchError(
                f"slot {name!r}: {key} is {kind.wanted}, not {table[key]!r}",
                slot=name,
                hint=f"correct {key}, or leave it out",
            )


def check_options(options: Mapping[str, Any], kinds: Mapping[str, ValueKind]) -> None:
    """BenchError for the first option that is not of its kind."""
    for key, kind in kinds.items():
        if key in options and not kind.is_good(options[key]):
            raise BenchError(
                f"option {key} = {options[key]!r} is not {kind.wanted}",
                key=option_key(key),
                hint=f"correct {key}, or leave it out",
            )


def refuse_unknown_options(options: Mapping[str, Any], known: Iterable[str]) -> None:
    """BenchError for options that the driver does not know."""
    if unknown := sorted(set(options) - set(known)):
        raise BenchError(f"unknown bench options {unknown}", key=option_key(unknown[0]), hint=f"known: {sorted(known)}")


def option_key(name: str) -> str:
    """An option's whole name in a bench file."""
    return f"bench.options.{name}"


def refuse_blank_with_a_system(name: str, table: Mapping[str, Any]) -> None:
    """BenchError for a slot whose board is to have nothing and a release of Device OS."""
    if table.get("blank") and "device_os" in table:
        raise BenchError(
            f"slot {name!r} has blank = true, by which nothing was ever programmed, and device_os = "
            f"{table['device_os']!r}",
            slot=name,
            hint="take one of the two out",
        )
