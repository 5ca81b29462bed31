"""Which faults of a script can happen to an emulated board: what its firmware decides is not for a script."""

from __future__ import annotations

from collections.abc import Iterable

from particle_harness.boards import Hardware
from particle_harness.faults import PLACES, Fault, possible_instead

_OF_FIRMWARE = {
    "re_enumeration": "whether a board comes back, and by which Device ID, its firmware decides",
    "algorithm": "the core runs what a debugger starts",
}
_PROBE_PLACES = ("swd_transfer", "protection_reading")


def check_faults(faults: Iterable[Fault], kind: Hardware, *, has_probe: bool) -> None:
    """ValueError names a fault that would never fire, and where it, or what else, does."""
    for fault in faults:
        if reason := _why_never(fault, kind, has_probe):
            possible = possible_faults(kind, has_probe=has_probe)
            is_place_right = fault.at in possible.get(fault.do, ())
            instead = "" if is_place_right else f"; {possible_instead(fault.do, possible)}"
            raise ValueError(f"fault {fault.do!r} at {fault.at!r} never happens to this board: {reason}{instead}")


def possible_faults(kind: Hardware, *, has_probe: bool) -> dict[str, list[str]]:
    """What can happen to a board of that kind, and at which places."""
    never = {*_OF_FIRMWARE, *(() if kind.is_gen3 else ("protection_reading",)), *(() if has_probe else _PROBE_PLACES)}
    places = {do: [place for place in places if place not in never] for do, places in PLACES.items()}
    return {do: found for do, found in places.items() if found}


def _why_never(fault: Fault, kind: Hardware, has_probe: bool) -> str | None:
    if fault.at in _OF_FIRMWARE:
        return _OF_FIRMWARE[fault.at]
    if fault.at == "protection_reading" and not kind.is_gen3:
        return f"a {kind.name} has no such register"
    if fault.at in _PROBE_PLACES and not has_probe:
        return "its slot has no debug probe (probe = true)"
    flash = kind.internal_chip
    end_address = flash.base_address + flash.size_bytes
    if fault.address is not None and not flash.base_address <= fault.address < end_address:
        return f"0x{fault.address:X} is not in its internal flash, 0x{flash.base_address:X} to 0x{end_address - 1:X}"
    return None
