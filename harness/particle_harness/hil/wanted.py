"""What a test wants of a board, as its markers say. Imports nothing of the host library: every pytest loads this."""

from __future__ import annotations

import operator
import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

MARKERS = {
    "particle_platform(*names)": "boards of these platforms only, e.g. 'boron'",
    "particle_link(*links)": "boards reached by all of these: 'usb', 'serial', 'swd'",
    "particle_device_os(condition)": "boards that run such a Device OS, e.g. '>=3.0.0' or '>=2.0.0,<4.0.0'",
    "particle_wiring(*names)": "boards that are wired so, in the bench's own words (key wiring of a slot)",
    "particle_power": "boards whose supply the bench can switch",
    "particle_each_board": "one run on each board of the bench that suits, instead of on any",
    "may_connect": "the test may bring its board online, which starts billing: on boards that the bench file names",
    "may_erase": "the test destroys what is on its board: on boards that the bench file names alone",
}
LINKS = ("usb", "serial", "swd")
_CONDITION = re.compile(r"(>=|<=|==|!=|<|>)\s*(\S+)")
_OPERATORS: dict[str, Callable[[Any, Any], bool]] = {
    ">=": operator.ge,
    "<=": operator.le,
    "==": operator.eq,
    "!=": operator.ne,
    "<": operator.lt,
    ">": operator.gt,
}


class Marked(Protocol):
    """A pytest item, or a function that is to become some."""

    def iter_markers(self, name: str) -> Iterable[Any]:
        """Markers of that name, closest first."""
        ...


@dataclass(frozen=True, slots=True)
class Wanted:
    """``device_os``: pairs of operator and version, all of which must hold."""

    platforms: frozenset[str] = frozenset()
    links: frozenset[str] = frozenset({"usb"})
    device_os: tuple[tuple[str, str], ...] = ()
    wiring: frozenset[str] = frozenset()
    power: bool = False
    may_connect: bool = False
    may_erase: bool = False

    def runs_on(self, device_os: str, key: Callable[[str], Any]) -> bool:
        """Whether a Device OS version keeps all conditions; ``key`` makes versions comparable."""
        return all(_OPERATORS[sign](key(device_os), key(version)) for sign, version in self.device_os)


def wanted_by(item: Marked) -> Wanted:
    """What the markers of a test ask for. ValueError: a marker that means nothing."""
    links = _words(item, "particle_link") or {"usb"}
    if unknown := links - set(LINKS):
        raise ValueError(f"particle_link({sorted(unknown)[0]!r}): links are {', '.join(LINKS)}")
    return Wanted(
        platforms=frozenset(_words(item, "particle_platform")),
        links=frozenset(links),
        device_os=tuple(c for text in sorted(_words(item, "particle_device_os")) for c in _conditions(text)),
        wiring=frozenset(_words(item, "particle_wiring")),
        power=_has(item, "particle_power"),
        may_connect=_has(item, "may_connect"),
        may_erase=_has(item, "may_erase"),
    )


def _words(item: Marked, name: str) -> set[str]:
    return {str(word) for mark in item.iter_markers(name) for word in mark.args}


def _has(item: Marked, name: str) -> bool:
    return any(True for _ in item.iter_markers(name))


def _conditions(text: str) -> Sequence[tuple[str, str]]:
    found = [_CONDITION.fullmatch(part.strip()) for part in text.split(",")]
    if not all(found):
        raise ValueError(f"particle_device_os({text!r}): a condition is such as '>=3.0.0'")
    return [(match[1], match[2]) for match in found if match]
