"""Faults by script: what breaks, where and when.

A fault is a table such as ``{do = "unplug", at = "dfu_transfer", n = 37}``. Counting starts when the bench opens;
a fault fires once and, with a state folder, never again.

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
======================  ===============================================================

``unplug`` and ``power_off`` take an optional ``replug_after_s``: somebody plugs the cable in again, or the port gets
power again, after that time.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from particle_harness.nor_flash import Reader

_TRANSFERS = ("dfu_transfer", "control_transfer")
_PLACES = {
    "unplug": _TRANSFERS,
    "power_off": _TRANSFERS,
    "brown_out": (*_TRANSFERS, "write"),
    "stall": _TRANSFERS,
    "short_reply": _TRANSFERS,
    "slow": _TRANSFERS,
    "wrong_device_id": ("re_enumeration",),
    "vanish": ("re_enumeration",),
    "flip_byte": ("write",),
}


_OWN_KEYS = {
    "unplug": {"replug_after_s"},
    "power_off": {"replug_after_s"},
    "short_reply": {"size_bytes"},
    "slow": {"delay_s"},
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


def parse_faults(tables: Sequence[Mapping[str, Any]]) -> tuple[Fault, ...]:
    """Faults from a slot's ``faults`` list. ValueError names a key or word that means nothing."""
    faults = []
    for number, table in enumerate(tables):
        do, at = str(table.get("do")), str(table.get("at"))
        if do not in _PLACES or at not in _PLACES[do]:
            raise ValueError(f"no fault {do!r} at {at!r}; known: {_PLACES}")
        if unknown := set(table) - {"do", "at", "n", "address"} - _OWN_KEYS.get(do, set()):
            raise ValueError(f"fault {do!r} has unknown keys {sorted(unknown)}")
        if (at == "write") != ("address" in table):
            raise ValueError(f"fault {do!r}: 'address' belongs to 'write' faults, and they need it")
        faults.append(
            Fault(
                do,
                at,
                int(table.get("n", 1)),
                table.get("address"),
                table.get("replug_after_s"),
                f"{number}:{do}:{at}",
                float(table.get("delay_s", 0.0)),
                int(table.get("size_bytes", 0)),
            )
        )
    return tuple(faults)


class FaultScript:
    """Counts what happens and says which fault is due."""

    def __init__(self, faults: Iterable[Fault], fired: Iterable[str] = ()) -> None:
        self._faults = tuple(faults)
        self.fired = set(fired)
        self._counts: dict[str, int] = {}
        self.browns_out = False
        """A write has run into a brown-out; the board sees to the rest."""

    def count(self, place: str) -> Fault | None:
        """Note one more event at ``place``; the fault that fires with it, if any."""
        n = self._counts[place] = self._counts.get(place, 0) + 1
        return self._fire(f for f in self._faults if f.at == place and f.n == n and f.do != "slow")

    def slowdown_s(self, place: str) -> float:
        """How much longer the present event at ``place`` takes."""
        n = self._counts.get(place, 0)
        return sum(f.delay_s for f in self._faults if f.do == "slow" and f.at == place and f.n <= n)

    def spoil(self, read: Reader, address: int, data: bytes) -> bytes:
        """What a write really burns: ``data``, its start, or ``data`` with one bit that stays or falls too."""
        end_address = address + len(data)
        fault = self._fire(f for f in self._faults if f.address is not None and address <= f.address < end_address)
        if fault is None or fault.address is None:
            return data
        offset = fault.address - address
        if fault.do == "brown_out":
            self.browns_out = True
            return data[:offset] + b"\xff" * (len(data) - offset)
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
