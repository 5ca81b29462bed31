"""The same requests to a virtual board and to the firmware itself: what each answers, and what is in its memories
afterwards.

A sequence of acts (:mod:`particle_harness.emulator.conversations.acts`) is carried out on two sides that start from
equal memories. The first difference ends it; :func:`shrink` finds a shorter sequence that shows it, too.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from random import Random
from typing import Protocol

from particle_harness.emulator.conversations.acts import GONE, SILENT, Act, Enumerate, Return, shown, transfers_in


class Side(Protocol):
    """One of the two: a virtual board or an emulated one, in the state that every sequence starts from."""

    def act(self, act: Act) -> str:
        """Carry it out; the outcome. After ``gone`` nothing is asked any more."""
        ...

    def memories(self) -> Mapping[str, bytes | bytearray | memoryview]:
        """What is compared at the end, by name; as they are now, not copies."""
        ...


@dataclass(frozen=True, slots=True)
class Difference:
    """Where two sides part. ``number`` is the act's place in the sequence, its length for the memories afterwards."""

    acts: tuple[Act, ...]
    number: int
    modelled: str
    emulated: str

    @property
    def act(self) -> Act | None:
        """The act that they answer differently, None where a memory differs."""
        return self.acts[self.number] if self.number < len(self.acts) else None

    def __str__(self) -> str:
        lines = [f"{number:3d}  {act}" for number, act in enumerate(self.acts[: self.number + 1])]
        if self.number >= len(self.acts):
            lines.append("afterwards, in memory:")
        return "\n".join([*lines, f"     modelled: {_cut(self.modelled)}", f"     emulated: {_cut(self.emulated)}"])


@dataclass(frozen=True, slots=True)
class KnownDifference:
    """A difference that stays, and why. ``applies`` looks at the act and the two outcomes."""

    reason: str
    applies: Callable[[Act, str, str], bool]


def compare(
    modelled: Side, emulated: Side, acts: Sequence[Act], known: Sequence[KnownDifference] = ()
) -> tuple[Difference | None, int]:
    """Carry out ``acts`` on both. The first difference that is not known, and the transfers that were compared."""
    transfers = 0
    for number, act in enumerate(acts):
        outcomes = modelled.act(act), emulated.act(act)
        transfers += transfers_in(act)
        if outcomes[0] != outcomes[1]:
            if not any(difference.applies(act, *outcomes) for difference in known):
                return Difference(tuple(acts), number, *outcomes), transfers
            if GONE in outcomes or SILENT in outcomes:
                return None, transfers
        comes_back = number + 1 < len(acts) and isinstance(acts[number + 1], Return)
        if (outcomes[1] == GONE and not comes_back) or (outcomes[1] == SILENT and isinstance(act, Enumerate)):
            break
    ours, theirs = modelled.memories(), emulated.memories()
    for name, cells in ours.items():
        if cells != theirs[name]:
            first = next(n for n, (a, b) in enumerate(zip(cells, theirs[name], strict=True)) if a != b)
            here = [f"{name} 0x{first:06X}: {shown(bytes(side[first : first + 16]))}" for side in (cells, theirs[name])]
            return Difference(tuple(acts), len(acts), here[0], here[1]), transfers
    return None, transfers


def after_recorded(recorded: Sequence[Act], acts: Sequence[Act], random: Random) -> list[Act]:
    """A random conversation behind the beginning of a recorded one, of any length but the end, where the host leaves;
    the bus is reset in between."""
    return [Enumerate(), *recorded[: random.randrange(1, len(recorded) - _ENDING)], Enumerate(), *acts]


_ENDING = 2


def shrink(difference: Difference, again: Callable[[Sequence[Act]], Difference | None], tries: int = 150) -> Difference:
    """A shorter sequence with a difference in the same request or memory, found by leaving out acts.

    ``again`` carries a sequence out from the start. The first act stays: it enumerates.
    """
    best = difference
    size = max(1, best.number // 2)
    while size and tries > 0:
        start = 1
        while start < best.number and tries > 0:
            candidate = (*best.acts[:start], *best.acts[min(start + size, best.number) : best.number + 1])
            tries -= 1
            found = again(candidate)
            if found is not None and _alike(found, best):
                best = found
            else:
                start += size
        size //= 2
    return best


def _alike(one: Difference, other: Difference) -> bool:
    if one.act is None or other.act is None:
        return one.act is other.act
    return isinstance(one.act, type(other.act)) and str(one.act) == str(other.act)


def _cut(outcome: str) -> str:
    return outcome if len(outcome) <= 160 else f"{outcome[:120]}… {(len(outcome) - 3) // 2} bytes"
