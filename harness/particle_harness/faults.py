"""Faults by script: what breaks, where and when.

A fault is a table such as ``{do = "unplug", at = "dfu_transfer", n = 37}``. Counting starts when the bench opens;
a fault fires once and, with a state folder, never again.

======================  ===============================================================
``do``                  ``at``
======================  ===============================================================
``unplug``              ``dfu_transfer``, ``control_transfer`` (power is lost too)
``stall``               ``dfu_transfer``, ``control_transfer``
``wrong_device_id``     ``re_enumeration``: another board answers from then on
``vanish``              ``re_enumeration``: the board hangs and never comes back
``flip_byte``           ``write``, with ``address``: one bit there keeps its old value
======================  ===============================================================

``unplug`` takes an optional ``replug_after_s``: somebody plugs the cable in again after that time.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from particle_harness.nor_flash import Reader

_PLACES = {
    "unplug": ("dfu_transfer", "control_transfer"),
    "stall": ("dfu_transfer", "control_transfer"),
    "wrong_device_id": ("re_enumeration",),
    "vanish": ("re_enumeration",),
    "flip_byte": ("write",),
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


def parse_faults(tables: Sequence[Mapping[str, Any]]) -> tuple[Fault, ...]:
    """Faults from a slot's ``faults`` list. ValueError names a key or word that means nothing."""
    faults = []
    for number, table in enumerate(tables):
        do, at = str(table.get("do")), str(table.get("at"))
        if do not in _PLACES or at not in _PLACES[do]:
            raise ValueError(f"no fault {do!r} at {at!r}; known: {_PLACES}")
        if unknown := set(table) - {"do", "at", "n", "address", "replug_after_s"}:
            raise ValueError(f"fault {do!r} has unknown keys {sorted(unknown)}")
        if (at == "write") != ("address" in table):
            raise ValueError(f"fault {do!r}: 'address' belongs to 'write' faults, and they need it")
        replug = table.get("replug_after_s")
        faults.append(Fault(do, at, int(table.get("n", 1)), table.get("address"), replug, f"{number}:{do}:{at}"))
    return tuple(faults)


class FaultScript:
    """Counts what happens and says which fault is due."""

    def __init__(self, faults: Iterable[Fault], fired: Iterable[str] = ()) -> None:
        self._faults = tuple(faults)
        self.fired = set(fired)
        self._counts: dict[str, int] = {}

    def count(self, place: str) -> Fault | None:
        """Note one more event at ``place``; the fault that fires with it, if any."""
        n = self._counts[place] = self._counts.get(place, 0) + 1
        return self._fire(fault for fault in self._faults if fault.at == place and fault.n == n)

    def spoil(self, read: Reader, address: int, data: bytes) -> bytes:
        """What a write really burns: ``data``, or ``data`` with one bit that keeps its old value or falls too."""
        end_address = address + len(data)
        fault = self._fire(f for f in self._faults if f.address is not None and address <= f.address < end_address)
        if fault is None or fault.address is None:
            return data
        offset = fault.address - address
        wanted = data[offset]
        changing = read(fault.address, 1)[0] & ~wanted
        spoilt = wanted | (changing & -changing) if changing else wanted & (wanted - 1)
        return data[:offset] + bytes([spoilt]) + data[offset + 1 :]

    def _fire(self, candidates: Iterable[Fault]) -> Fault | None:
        for fault in candidates:
            if fault.key not in self.fired:
                self.fired.add(fault.key)
                return fault
        return None
