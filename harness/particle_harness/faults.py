"""Faults by script: what breaks, where and when.

A fault is a table such as ``{do = "unplug", at = "dfu_transfer", n = 37}``. Counting starts when the bench opens;
a fault fires once and, with a state folder, never again. Times are a day at most.

======================  ===============================================================
``do``                  ``at``
======================  ===============================================================
``unplug``              ``dfu_transfer``, ``control_transfer`` (power is lost too)
``power_off``           ``dfu_transfer``, ``control_transfer``: the port loses power, the cable stays in
``brown_out``           ``dfu_transfer``, ``control_transfer``; ``write``, with ``address``: bytes from there on are not
                        burned. The board starts again at once, without what it had in RAM
``stall``               ``dfu_transfer``, ``control_transfer``
``short_reply``         ``dfu_transfer``, ``control_transfer``: the host gets ``size_bytes`` (0) bytes of the reply
``slow``                ``dfu_transfer``, ``control_transfer``: from there on each takes ``delay_s`` longer
``wrong_device_id``     ``re_enumeration``: another board answers from then on
``vanish``              ``re_enumeration``: the board hangs and never comes back
``flip_byte``           ``write``, with ``address``: one bit there keeps its old value
``wear``                ``flash_erase``, with ``address``: bit 0 there is 0 after every erase from the ``n``-th on
``lose_probe``          ``swd_transfer``: the debug probe's own cable is pulled
``wait``, ``fault``     ``swd_transfer``: so the debug port answers, ``count`` transfers long
``parity``              ``swd_transfer``: likewise the wire garbles data
``read_as_locked``      ``protection_reading``: APPROTECTSTATUS says "protected", ``count`` readings long
``hang``                ``algorithm``: code that a debugger starts in RAM never ends
======================  ===============================================================

``unplug``, ``power_off`` and ``brown_out`` are possible at ``swd_transfer``, ``flash_write`` and ``flash_erase``, too:
the ``n``-th store into internal flash does nothing any more, the ``n``-th erase leaves half of it as it was.

A class request to a board in DFU mode counts as a ``dfu_transfer``, a vendor request to one that runs an application as
a ``control_transfer``, and others not at all.

``unplug`` and ``power_off`` take an optional ``replug_after_s``: somebody plugs the cable in again, or the port gets
power again, after that time.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from particle_harness.nor_flash import Reader
from particle_harness.usb.transfer import TYPE_CLASS, TYPE_VENDOR, Setup

_TRANSFERS = ("dfu_transfer", "control_transfer")
_POWER_CUTS = (*_TRANSFERS, "swd_transfer", "flash_write", "flash_erase")
PLACES = {
    "unplug": _POWER_CUTS,
    "power_off": _POWER_CUTS,
    "brown_out": (*_POWER_CUTS, "write"),
    "stall": _TRANSFERS,
    "short_reply": _TRANSFERS,
    "slow": _TRANSFERS,
    "wrong_device_id": ("re_enumeration",),
    "vanish": ("re_enumeration",),
    "flip_byte": ("write",),
    "wear": ("flash_erase",),
    "lose_probe": ("swd_transfer",),
    "wait": ("swd_transfer",),
    "fault": ("swd_transfer",),
    "parity": ("swd_transfer",),
    "read_as_locked": ("protection_reading",),
    "hang": ("algorithm",),
}
_AT_ADDRESS = (("brown_out", "write"), ("flip_byte", "write"), ("wear", "flash_erase"))


_LASTING = ("slow", "wear")
_LONGEST_S = 86_400
_OWN_KEYS = {
    "unplug": {"replug_after_s"},
    "power_off": {"replug_after_s"},
    "short_reply": {"size_bytes"},
    "slow": {"delay_s"},
    **{do: {"count"} for do in ("wait", "fault", "parity", "read_as_locked")},
}


@dataclass(frozen=True, slots=True)
class Fault:
    """One line of the script; ``key`` tells it from the others in the kept state."""

    do: str
    at: str
    n: int
    address: int | None
    replug_after_s: float | None
    key: str
    delay_s: float = 0.0
    size_bytes: int = 0
    count: int = 1

    @property
    def last_n(self) -> int:
        """The last event that it spoils."""
        return self.n + self.count - 1


def parse_faults(
    tables: Sequence[Mapping[str, Any]], possible: Mapping[str, Sequence[str]] = PLACES
) -> tuple[Fault, ...]:
    """Faults from a slot's ``faults`` list. ValueError names a key, word or value that means nothing, and of the others
    those that are ``possible`` with the board."""
    if not isinstance(tables, list | tuple) or not all(isinstance(table, Mapping) for table in tables):
        raise ValueError(f'faults must be a list such as [{{do = "unplug", at = "dfu_transfer"}}], not {tables!r}')
    faults = []
    for number, table in enumerate(tables):
        if "do" not in table:
            raise ValueError(f"fault {dict(table)!r} has no 'do'; there are {', '.join(possible)}")
        do, at = str(table["do"]), str(table.get("at", ""))
        if do not in PLACES:
            raise ValueError(f"there is no fault {do!r}; there are {', '.join(possible)}")
        if not at:
            raise ValueError(f"fault {do!r} has no 'at'; {possible_instead(do, possible)}")
        if at not in PLACES[do]:
            raise ValueError(f"there is no fault {do!r} at {at!r}; {possible_instead(do, possible)}")
        if unknown := set(table) - {"do", "at", "n", "address"} - _OWN_KEYS.get(do, set()):
            raise ValueError(f"fault {do!r} has unknown keys: {', '.join(sorted(unknown))}")
        if ((do, at) in _AT_ADDRESS) != ("address" in table):
            raise ValueError(f"fault {do!r} at {at!r}: 'address' belongs to {_words(_AT_ADDRESS)}, and they need it")
        faults.append(
            Fault(
                do,
                at,
                _whole(table, "n", 1, least=1),
                _whole(table, "address", 0) if "address" in table else None,
                _seconds(table, "replug_after_s") if "replug_after_s" in table else None,
                f"{number}:{do}:{at}",
                _seconds(table, "delay_s"),
                _whole(table, "size_bytes", 0),
                _whole(table, "count", 1, least=1),
            )
        )
    return tuple(faults)


def possible_instead(do: str, possible: Mapping[str, Sequence[str]]) -> str:
    """Where else ``do`` can happen; what else can, where it cannot."""
    if places := possible.get(do):
        return f"it can be at {', '.join(places)}"
    return f"this board can have {', '.join(possible)}"


def place_of(setup: Setup, runs: str) -> str | None:
    """Where faults in this transfer stand, None for one that none is made for. ``runs``: ``dfu`` or ``app``."""
    if runs == "dfu" and setup.kind == TYPE_CLASS:
        return "dfu_transfer"
    return "control_transfer" if runs == "app" and setup.kind == TYPE_VENDOR else None


def _whole(table: Mapping[str, Any], key: str, default: int, *, least: int = 0) -> int:
    value = table.get(key, default)
    if isinstance(value, bool) or not isinstance(value, int) or value < least:
        raise ValueError(f"fault {table['do']!r}: {key} is a whole number from {least} on, not {value!r}")
    return value


def _seconds(table: Mapping[str, Any], key: str) -> float:
    value = table.get(key, 0.0)
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= _LONGEST_S:
        raise ValueError(f"fault {table['do']!r}: {key} is a number of seconds from 0 to {_LONGEST_S}, not {value!r}")
    return float(value)


def _words(places: Iterable[tuple[str, str]]) -> str:
    return ", ".join(f"{do} at {at}" for do, at in places)


class FaultScript:
    """Counts what happens and says which fault is due."""

    def __init__(self, faults: Iterable[Fault], fired: Iterable[str] = ()) -> None:
        self._faults = tuple(faults)
        self.fired = set(fired)
        self._counts: dict[str, int] = {}
        self._power_cut: Fault | None = None

    def add(self, table: Mapping[str, Any]) -> None:
        """Let something else go wrong; ``n`` is counted from now on. ValueError as :func:`parse_faults`."""
        (fault,) = parse_faults([table])
        n = self._counts.get(fault.at, 0) + fault.n
        self._faults = (*self._faults, replace(fault, n=n, key=f"{len(self._faults)}+{fault.key}"))

    def count(self, place: str, events: int = 1) -> Fault | None:
        """Note more events at ``place`` that come in one go; the fault that fires with them, if any."""
        first = self._counts.get(place, 0) + 1
        last = self._counts[place] = first + events - 1
        for fault in self._faults:
            meets = fault.n <= last and first <= fault.last_n and fault.key not in self.fired
            if fault.at == place and fault.do not in _LASTING and meets:
                if fault.last_n <= last:
                    self.fired.add(fault.key)
                return fault
        return None

    def take_power_cut(self) -> Fault | None:
        """The fault by which flash work has run into a loss of power, once; the board sees to the rest."""
        cut, self._power_cut = self._power_cut, None
        return cut

    @property
    def slows(self) -> bool:
        """Whether some transfers take longer."""
        return any(f.do == "slow" for f in self._faults)

    def slowdown_s(self, place: str) -> float:
        """How much longer the present event at ``place`` takes."""
        n = self._counts.get(place, 0)
        return sum(f.delay_s for f in self._faults if f.do == "slow" and f.at == place and f.n <= n)

    def spoil(self, read: Reader, address: int, data: bytes) -> bytes:
        """What a write really burns: ``data``, its start, or ``data`` with one bit that stays or falls too."""
        if self._loses_power("flash_write"):
            return b"\xff" * len(data)
        end_address = address + len(data)
        fault = self._fire(
            f for f in self._faults if f.at == "write" and f.address is not None and address <= f.address < end_address
        )
        if fault is None or fault.address is None:
            return data
        offset = fault.address - address
        if fault.do == "brown_out":
            self._power_cut = fault
            return data[:offset] + b"\xff" * (len(data) - offset)
        wanted = data[offset]
        changing = read(fault.address, 1)[0] & ~wanted
        spoilt = wanted | (changing & -changing) if changing else wanted & (wanted - 1)
        return data[:offset] + bytes([spoilt]) + data[offset + 1 :]

    def spoil_erase(self, address: int, before: bytes, after: bytes) -> bytes:
        """What an erase leaves: all erased; half of it; nothing, when power has gone already; or a worn cell."""
        if self._power_cut is not None:
            return before
        if self._loses_power("flash_erase"):
            half = len(after) // 2
            return after[:half] + before[half:]
        n, erased = self._counts["flash_erase"], bytearray(after)
        for fault in self._faults:
            if fault.do == "wear" and fault.address is not None and fault.n <= n:
                offset = fault.address - address
                if 0 <= offset < len(erased):
                    erased[offset] &= 0xFE
        return bytes(erased)

    def _loses_power(self, place: str) -> bool:
        if self._power_cut is None:
            self._power_cut = self.count(place)
        return self._power_cut is not None

    def _fire(self, candidates: Iterable[Fault]) -> Fault | None:
        for fault in candidates:
            if fault.key not in self.fired:
                self.fired.add(fault.key)
                return fault
        return None
