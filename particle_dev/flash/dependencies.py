"""Modules offered against modules on a board: do they go together, in which order, and what comes out of it.

Pure: nothing is read or sent. Codes of findings: ``wrong_platform``, ``duplicate``, ``overlap``, ``no_slot``,
``wrong_address``, ``too_large``, ``missing``, ``too_old``, ``damaged``, ``no_system_part``, ``no_application``,
``other_application_wins``.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

from particle_dev.catalog.modules import ModuleFunction
from particle_dev.catalog.platforms import ModuleSlot, Platform, platform_by_id
from particle_dev.flash.board_modules import Part, module_title
from particle_dev.flash.boot_outcome import (
    BootEnd,
    BootOutcome,
    Finding,
    boot_outcome,
    damaged,
    is_met,
    started_by_bootloader,
    unmet_needs,
)
from particle_dev.flash.releases import Stop, release_for_layout, stops_between

_IN_FLASH = (ModuleFunction.SYSTEM_PART, ModuleFunction.USER_PART, ModuleFunction.MONO_FIRMWARE)
_RANKS = (
    ModuleFunction.BOOTLOADER,
    ModuleFunction.RADIO_STACK,
    ModuleFunction.NCP_FIRMWARE,
    ModuleFunction.SYSTEM_PART,
    ModuleFunction.MONO_FIRMWARE,
    ModuleFunction.USER_PART,
)
"""Who carries whom, from the ground up."""


@dataclass(frozen=True, slots=True)
class Resolution:
    """What becomes of a board.

    ``order``: the modules offered, so that every module finds what it needs after each step; ``cycle`` holds those for
    which no such order exists, because each needs the new version of the other: they must go on in one DFU session.
    ``invalidate``: addresses of applications that would win over the one offered; their first sector must be erased.
    ``findings``: why the set is refused. ``stops``: releases in between that may not be skipped.
    """

    order: tuple[Part, ...]
    cycle: tuple[Part, ...]
    after: tuple[Part, ...]
    invalidate: tuple[int, ...]
    findings: tuple[Finding, ...]
    stops: tuple[Stop, ...]
    outcome: BootOutcome

    @property
    def ok(self) -> bool:
        """Whether the board will run the application."""
        return not self.findings


def resolve(platform: Platform, offered: Sequence[Part], on_board: Sequence[Part]) -> Resolution:
    """Put ``offered`` onto a board with ``on_board``, in thought.

    Findings are stricter than the device: it does not look at every dependency, and never at two applications.
    """
    order, cycle = flashing_order(offered, on_board)
    invalidate = former_applications(platform, offered)
    after = parts_after(offered, on_board, invalidate)
    outcome = boot_outcome(platform, after)
    findings = [finding for part in offered if (finding := wrong_platform(platform, part))]
    if not findings:
        findings = [
            *_duplicates(offered),
            *_overlaps(offered),
            *_misplaced(platform, offered, after),
            *_needs_findings(platform, offered, after),
            *_outcome_findings(outcome, offered),
        ]
    return Resolution(
        order, cycle, after, invalidate, tuple(dict.fromkeys(findings)), _stops(platform, offered, on_board), outcome
    )


def flashing_order(offered: Sequence[Part], on_board: Sequence[Part]) -> tuple[tuple[Part, ...], tuple[Part, ...]]:
    """The order in which each module finds what it needs, and the modules for which there is none.

    Upwards that is dependency first; downwards the other way round, as the old user of a module must go before it.
    """
    new, old = _by_key(offered), _by_key(on_board)
    before: dict[Part, set[Part]] = {part: set() for part in offered}
    for part in offered:
        for need in part.needs:
            provider = new.get((need.function, need.index))
            if provider and provider is not part and not is_met(need, old.get(provider.key)):
                before[part].add(provider)
        replaced = old.get(part.key)
        for need in replaced.needs if replaced else ():
            provider = new.get((need.function, need.index))
            if provider and provider is not part and provider.version < need.version:
                before[provider].add(part)
    downwards = any(
        p.function == ModuleFunction.SYSTEM_PART and p.key in old and p.version < old[p.key].version for p in offered
    )
    return _sorted(before, downwards=downwards)


def parts_after(offered: Sequence[Part], on_board: Sequence[Part], invalidate: Sequence[int] = ()) -> tuple[Part, ...]:
    """What is on the board afterwards: what is offered, and what it leaves alone."""
    new = _by_key(offered)
    kept = [
        part
        for part in on_board
        if part.key not in new
        and not (part.function == ModuleFunction.USER_PART and part.start_address in invalidate)
        and not any(_overlap(part, other) for other in offered)
    ]
    return (*kept, *new.values())


def former_applications(platform: Platform, offered: Sequence[Part]) -> tuple[int, ...]:
    """The former 128 KiB application slot, when an application goes below it that does not cover it.

    Source: device-os v6.2.0 ``platform/MCU/nRF52840/src/flash_mal.c``, where the bootloader does the same.
    """
    former = platform.layout.former_user_part if platform.layout else None
    if former is None:
        return ()
    return tuple(
        former.address
        for part in offered
        if part.function == ModuleFunction.USER_PART
        and part.start_address is not None
        and part.start_address < former.address
        and part.start_address + part.size_bytes <= former.address
    )


def wrong_platform(platform: Platform, part: Part) -> Finding | None:
    """A module for other boards; the bootloader and Device OS refuse it by its platform id."""
    if part.platform_id == platform.id:
        return None
    other = platform_by_id(part.platform_id)
    name = other.display_name if other else f"platform {part.platform_id}"
    present = other.name if other else name
    message = f"{part.name} is for {name}, not for {platform.display_name}"
    hint = f"build it for {platform.display_name}"
    return Finding("wrong_platform", part.title, platform.name, present, message, hint)


def slot_finding(platform: Platform, part: Part, device_os: str) -> Finding | None:
    """Why a part does not fit into its place under that release, if so."""
    slot = platform.slot_for(part.function, part.index, device_os)
    if slot is None:
        return _no_slot(platform, part, device_os)
    where = None if slot.start_address is None else f"0x{slot.start_address:08x}"
    if where and part.start_address is not None and part.start_address != slot.start_address:
        message = (
            f"{part.title} is linked for 0x{part.start_address:08x}, its slot under Device OS {device_os} "
            f"starts at {where}"
        )
        hint = f"build it for Device OS {device_os}"
        return Finding("wrong_address", part.title, where, f"0x{part.start_address:08x}", message, hint)
    if slot.fixed_end and part.end_address is not None and part.end_address != slot.end_address:
        message = f"{part.title} ends at 0x{part.end_address:08x}, it must end at 0x{slot.end_address or 0:08x}"
        hint = f"build it for Device OS {device_os}"
        return Finding("wrong_address", part.title, None, f"0x{part.end_address:08x}", message, hint)
    if part.size_bytes > slot.max_size_bytes:
        message = f"{part.title} has {part.size_bytes} bytes, its slot holds {slot.max_size_bytes}"
        hint = _larger_slot_hint(platform, slot)
        return Finding("too_large", part.title, str(slot.max_size_bytes), str(part.size_bytes), message, hint)
    return None


def _no_slot(platform: Platform, part: Part, device_os: str) -> Finding:
    others = [s for s in platform.module_slots if (s.function, s.index) == part.key]
    since = next((s.since_device_os for s in others if s.since_device_os), None)
    message = f"{part.title}: Device OS {device_os} has no slot for it"
    hint = f"it goes to {platform.display_name} boards with Device OS {since} or later" if since else "leave it out"
    return Finding("no_slot", part.title, f"Device OS {since}" if since else None, device_os, message, hint)


def _larger_slot_hint(platform: Platform, slot: ModuleSlot) -> str:
    larger = [
        s
        for s in platform.module_slots
        if s.function == slot.function and s.max_size_bytes > slot.max_size_bytes and s.since_device_os
    ]
    if not larger:
        return "make it smaller"
    best = larger[-1]
    return f"make it smaller, or build it for Device OS {best.since_device_os} or later ({best.max_size_bytes} bytes)"


def _misplaced(platform: Platform, offered: Sequence[Part], after: Sequence[Part]) -> list[Finding]:
    system = started_by_bootloader(after)
    if system is None:
        return []  # Which places there are depends on Device OS; that it is missing is said elsewhere.
    device_os = release_for_layout(system.version)
    return [finding for part in offered if (finding := slot_finding(platform, part, device_os))]


def _duplicates(offered: Sequence[Part]) -> list[Finding]:
    seen: dict[tuple[int, int], Part] = {}
    findings = []
    for part in offered:
        if part.key in seen:
            message = f"{part.name} and {seen[part.key].name} are both {module_title(*part.key)}"
            hint = "offer one of them"
            findings.append(Finding("duplicate", part.title, None, seen[part.key].title, message, hint))
        seen[part.key] = part
    applications = [part for part in seen.values() if part.function == ModuleFunction.USER_PART]
    for first, second in pairwise(applications):
        message = f"{first.name} and {second.name} are both applications, and only one runs"
        findings.append(Finding("duplicate", second.title, None, first.title, message, "offer one of them"))
    return findings


def _overlaps(offered: Sequence[Part]) -> list[Finding]:
    ordered = sorted(
        (p for p in offered if p.function in _IN_FLASH and p.start_address is not None),
        key=lambda p: p.start_address or 0,
    )
    return [
        Finding(
            "overlap",
            b.title,
            None,
            a.title,
            f"{a.name} (up to 0x{a.end_address or 0:08x}) overlaps {b.name} (from 0x{b.start_address or 0:08x})",
            "take both from the same release",
        )
        for a, b in pairwise(ordered)
        if a.key != b.key and _overlap(a, b)
    ]


def _needs_findings(platform: Platform, offered: Sequence[Part], after: Sequence[Part]) -> list[Finding]:
    """Needs that stay open, of all modules and not only of those that the device checks; an application that was on
    the board counts if it runs, and the outcome tells that."""
    board = _by_key(after)
    findings: list[Finding] = []
    for part in (*offered, *(p for p in after if p not in offered and p.function != ModuleFunction.USER_PART)):
        findings += unmet_needs(platform, part, board)
        if part.function == ModuleFunction.SYSTEM_PART and not part.intact:
            findings.append(damaged(part))
    return findings


def _outcome_findings(outcome: BootOutcome, offered: Sequence[Part]) -> list[Finding]:
    """Why it does not end in the application that was offered, or in any."""
    if outcome.end is not BootEnd.APPLICATION:
        return list(outcome.findings)
    applications = [p for p in offered if p.function == ModuleFunction.USER_PART]
    winner = outcome.application
    if not applications or winner is None or winner in applications:
        return []
    application = applications[0]
    message = f"{winner.title} would win over {application.title}: of two applications that with the lower index runs"
    hint = "flash an application for the same slot, or erase the other one"
    return [Finding("other_application_wins", application.title, None, winner.title, message, hint)]


def _stops(platform: Platform, offered: Sequence[Part], on_board: Sequence[Part]) -> tuple[Stop, ...]:
    target, present = started_by_bootloader(offered), started_by_bootloader(on_board)
    if target is None or present is None:
        return ()
    return stops_between(platform, release_for_layout(present.version), release_for_layout(target.version))


def _sorted(before: Mapping[Part, set[Part]], *, downwards: bool) -> tuple[tuple[Part, ...], tuple[Part, ...]]:
    def rank(part: Part) -> tuple[int, int]:
        ground = _RANKS.index(ModuleFunction(part.function)) if part.function in _RANKS else len(_RANKS)
        return (-ground if downwards else ground, part.index)

    waiting = sorted(before, key=rank)
    done: list[Part] = []
    cycle: list[Part] = []
    while waiting:
        ready = next((part for part in waiting if before[part].issubset(done)), None)
        if ready is None:
            ready = waiting[0]
            cycle = cycle or list(waiting)
        waiting.remove(ready)
        done.append(ready)
    return tuple(done), tuple(cycle)


def _by_key(parts: Sequence[Part]) -> dict[tuple[int, int], Part]:
    return {part.key: part for part in parts}


def _overlap(a: Part, b: Part) -> bool:
    if a.start_address is None or b.start_address is None or {a.function, b.function} - set(_IN_FLASH):
        return False
    return a.start_address < b.start_address + b.size_bytes and b.start_address < a.start_address + a.size_bytes
