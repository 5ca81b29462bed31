"""From a chip's state and what is to lie in it to a plan for a debug probe, without a device.

The result is the same by every method; only the time differs. What is not in the set stays: erased in passing, it is
written again. The *brake*: the sector without which the bootloader finds no system part is erased before anything else
and written last, on an STM32F2 with the first word of the part's prefix behind all, so a board that loses power in
between boots into nothing or DFU mode, never into safe mode, where it would connect. An application alone is written
without it for those who hold ``may_connect``. Source: device-os v2.1.0, v6.2.0 bootloader/src/main.c,
bootloader/src/nRF52840/dfu_usb.c.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from enum import StrEnum
from functools import cached_property
from types import MappingProxyType

from isal import isal_zlib

from particle_dev.catalog.chips import NRF52840, Chip, flash_slots
from particle_dev.catalog.gen3_nrf52840 import BRAKE_ADDRESS, LOW_SYSTEM_START
from particle_dev.catalog.modules import ModuleFunction
from particle_dev.catalog.platforms import Platform
from particle_dev.catalog.uicr import (
    APPROTECT_CLOSES,
    APPROTECT_OPEN,
    FACTORY_WORDS,
    UICR_APPROTECT,
    UICR_BOOTLOADER_ADDRESS,
    UICR_NAMES,
    UICR_START,
    locks,
)
from particle_dev.errors import PlanRefusedError
from particle_dev.flash.board_modules import Part
from particle_dev.flash.dependencies import resolve
from particle_dev.flash.swd_image import (
    ERASED_PAGE,
    ERASED_PAGE_CRC,
    PAGE_SIZE_BYTES,
    Segment,
    pages_of,
    problems_of,
    uicr_words,
)
from particle_dev.permissions import Effect, Permissions

WORD_CLOCKS = 46
"""Clocks of the wire for a word. Source: ARM IHI 0031, B4.2."""
_CRC_PAGE_S = 0.0007
"""4096 bytes at 10 instructions each and 64 MHz."""
_ERASED_WORD = 0xFFFFFFFF
_WORD_BYTES = 4
NO_PAGES: Mapping[int, bytes] = MappingProxyType({})
_MBR_ADDRESS = 0
_UNBRAKED = "a cut of power meanwhile means safe mode, which connects: allowed by may_connect"
_SERIAL_FLASH = "serial flash stays as it is; a blank one is formatted by the firmware at its first start"
"""Source: device-os v6.2.0 hal/src/nRF52840/filesystem.cpp, services/inc/dct_file.h."""
_STM32F2_KEPT = (0x08004000, 0x08020000)
"""Sectors 1 to 4: DCT with keys and credentials, EEPROM."""


class Method(StrEnum):
    """How a plan gets there."""

    NOTHING = "nothing"
    PAGES = "pages"
    MASS_ERASE = "mass erase"


@dataclass(frozen=True, slots=True)
class ChipState:
    """A chip before anything is done. ``page_crcs``: CRC-32 of every page, by address. ``parts``: the modules in it,
    with what is known of them. ``uicr``: 1024 bytes, empty on STM32F2."""

    device_id: str
    chip: Chip
    platform: Platform
    hardened: bool
    uicr: bytes
    page_crcs: Mapping[int, int]
    parts: tuple[Part, ...]

    def uicr_word(self, address: int) -> int:
        """A word of UICR."""
        return int.from_bytes(self.uicr[address - UICR_START :][:4], "little")


@dataclass(frozen=True)
class SwdPlan:
    """What will happen to one board, in order: ``erase_uicr``; the brake's sector is erased; mass erase, or ``erase``
    sector by sector; ``keep`` are pages that are read before and written again; ``pages`` is all that must be there in
    the end; ``writes`` are those that are written, ``brake_writes`` behind them, without the word at ``key_address``,
    which follows by itself, then ``uicr``."""

    device_id: str
    platform: Platform
    chip: Chip
    method: Method
    segments: tuple[Segment, ...]
    pages: Mapping[int, bytes] = field(repr=False)
    brake_address: int | None = None
    erase: tuple[int, ...] = ()
    keep: tuple[int, ...] = ()
    writes: tuple[int, ...] = ()
    brake_writes: tuple[int, ...] = ()
    key_address: int | None = None
    erase_uicr: bool = False
    uicr: Mapping[int, int] = field(default_factory=dict)
    permissions_needed: tuple[Effect, ...] = ()
    notes: tuple[str, ...] = ()
    expected_duration_s: float = 0.0

    @property
    def size_bytes(self) -> int:
        """Bytes that are programmed."""
        return PAGE_SIZE_BYTES * (len(self.writes) + len(self.brake_writes))

    def touches(self, page: int) -> bool:
        """Whether a page is erased or written."""
        sector = self.chip.sector(page)[0]
        return self.method is Method.MASS_ERASE or sector in self._touched

    @cached_property
    def _touched(self) -> frozenset[int]:
        brake = () if self.brake_address is None else (self.brake_address,)
        starts = (self.chip.sector(a)[0] for a in (*self.writes, *self.brake_writes))
        return frozenset({*self.erase, *brake, *starts})

    def require(self, permissions: Permissions) -> None:
        """Raise PermissionMissingError for the first permission that is not held."""
        for effect in self.permissions_needed:
            consequence = APPROTECT_CLOSES if effect is Effect.LOCK else None
            permissions.require(effect, f"this plan ({self.method})", consequence)

    def lines(self) -> tuple[str, ...]:
        """The plan for people, one step a line."""
        right = sum(page not in self.writes and page not in self.brake_writes for page in self.pages)
        lines = [f"want {s.title}: {len(s.data)} bytes at 0x{s.address:08x}" for s in self.segments]
        lines.append(f"{right} of {len(self.pages)} pages are right and stay")
        if self.keep:
            lines.append(f"read {len(self.keep)} pages that are not in the set, and write them again")
        if self.erase_uicr:
            lines.append("erase UICR: the board does not start until it is written")
        if self.brake_address is not None:
            lines.append(f"erase the sector at 0x{self.brake_address:08x}: no system part starts from here on")
        if self.method is Method.MASS_ERASE:
            lines.append("erase the whole flash and UICR; external flash with keys and settings stays")
        elif self.erase:
            lines.append(f"erase {len(self.erase)} sectors")
        if self.writes:
            lines.append(f"write {len(self.writes)} pages")
        if self.brake_writes:
            lines.append(f"write {len(self.brake_writes)} pages of the system part last")
        lines += [f"write UICR {UICR_NAMES.get(a, hex(a))} = 0x{value:08x}" for a, value in self.uicr.items()]
        return (*lines, *(f"note: {note}" for note in self.notes), f"prove {len(self.pages)} pages by CRC")


def make_swd_plan(
    state: ChipState,
    segments: Sequence[Segment],
    permissions: Permissions,
    *,
    frequency_hz: int = 4_000_000,
    missing_pages: Mapping[int, bytes] = NO_PAGES,
) -> SwdPlan:
    """The fastest plan that ``permissions`` allow to put ``segments`` into the chip of ``state``.

    ``missing_pages`` were erased by an interrupted run and are written again. A mass erase needs ``may_erase`` and is
    chosen only where it saves time, never on STM32F2; with ``may_connect`` an application alone is written without the
    brake, which costs a sector. Writing APPROTECT so that it locks needs ``may_lock``:
    :meth:`SwdPlan.require` asks for it. Raises PlanRefusedError with all reasons, before anything is touched: data
    outside the map, overlaps, keys in the way, a set that would boot into safe mode, an nRF52840 without MBR.
    """
    reasons = _reasons(state, segments)
    offered = [s.part for s in segments if s.part]
    resolution = resolve(state.platform, offered, state.parts)
    reasons += [finding.message for finding in resolution.findings]
    if reasons:
        hints = [_MBR_HINT] if _lacks_mbr(state, segments) else [f.hint for f in resolution.findings]
        raise PlanRefusedError(
            f"{state.platform.display_name} {state.device_id}: refused before anything was erased: "
            + "; ".join(reasons),
            reasons=reasons,
            hint="; ".join(dict.fromkeys(hints)) or "give files for this board",
        )
    in_flash = [s for s in segments if s.address < UICR_START]
    erased = dict.fromkeys(_outdated(state, segments, resolution.invalidate), ERASED_PAGE)
    pages = {**missing_pages, **erased, **pages_of(in_flash)}
    plan = _Planner(state, tuple(segments), pages, permissions, frequency_hz, _wanted_uicr(state, segments)).plan()
    is_blank = state.chip == NRF52840 and state.page_crcs[_MBR_ADDRESS] == ERASED_PAGE_CRC
    return replace(plan, notes=(*plan.notes, _SERIAL_FLASH)) if is_blank else plan


def make_restore_plan(
    state: ChipState, pages: Mapping[int, bytes], uicr: Mapping[int, int], permissions: Permissions, frequency_hz: int
) -> SwdPlan:
    """The plan that makes flash and UICR what they were in a dump, keys of STM32F2 included; nothing is asked of the
    contents. **What is on the board now is lost**: needs ``may_erase``, unless all of it is there already."""
    segments = (Segment("the dump", min(pages), b"".join(pages[a] for a in sorted(pages))),)
    plan = _Planner(state, segments, dict(pages), permissions, frequency_hz, dict(uicr)).plan()
    if plan.method is Method.NOTHING:
        return plan
    return replace(plan, permissions_needed=tuple(dict.fromkeys((Effect.ERASE, *plan.permissions_needed))))


_MBR_HINT = (
    "give --restore FILE: the Intel-HEX restore file of this board (particle-iot/docs "
    "src/assets/files/device-restore), which holds the MBR"
)


def _lacks_mbr(state: ChipState, segments: Sequence[Segment]) -> bool:
    if state.chip != NRF52840 or any(s.address == _MBR_ADDRESS for s in segments):
        return False
    return state.page_crcs[_MBR_ADDRESS] == ERASED_PAGE_CRC


def _reasons(state: ChipState, segments: Sequence[Segment]) -> list[str]:
    reasons = problems_of(state.chip, segments)
    if not segments:
        reasons.append("nothing was given")
    if _lacks_mbr(state, segments):
        reasons.append("the chip has no MBR and the set brings none: it would never start")
    if state.chip != NRF52840:
        low, high = _STM32F2_KEPT
        reasons += [
            f"{s.title} lies in sectors 1 to 4, where keys and settings are"
            for s in segments
            if s.address < high and low < s.end_address
        ]
    return reasons


def _outdated(state: ChipState, segments: Sequence[Segment], applications: Sequence[int]) -> list[int]:
    """Pages whose old contents would win over the new: an application, or a system part of another era."""
    starts = [s.address for s in segments if s.part and s.part.function == ModuleFunction.SYSTEM_PART]
    is_old_era = state.chip == NRF52840 and BRAKE_ADDRESS in starts
    return [*applications, *([LOW_SYSTEM_START] if is_old_era else [])]


@dataclass(slots=True)
class _Planner:
    state: ChipState
    segments: tuple[Segment, ...]
    pages: dict[int, bytes]
    permissions: Permissions
    frequency_hz: int
    wanted_uicr: Mapping[int, int]

    def plan(self) -> SwdPlan:
        state = self.state
        base = SwdPlan(state.device_id, state.platform, state.chip, Method.NOTHING, self.segments, self.pages)
        wrong = {a for a, data in self.pages.items() if state.page_crcs[a] != isal_zlib.crc32(data)}
        uicr, erase_uicr = self._uicr()
        if not wrong and not uicr:
            return replace(base, expected_duration_s=len(self.pages) * _CRC_PAGE_S)
        by_pages = self._by_pages(base, wrong, uicr, erase_uicr=erase_uicr)
        if state.chip == NRF52840 and self.permissions.may_erase:
            by_mass_erase = self._by_mass_erase(base)
            if by_mass_erase.expected_duration_s < by_pages.expected_duration_s:
                return by_mass_erase
        return by_pages

    def _by_pages(self, base: SwdPlan, wrong: set[int], uicr: Mapping[int, int], *, erase_uicr: bool) -> SwdPlan:
        chip = base.chip
        # Without the system part's page an application takes a quarter less time, and may come up in safe mode.
        unbraked = self.permissions.may_connect and bool(wrong) and wrong <= self._application_pages()
        brake = self._brake() if wrong and not unbraked else None
        braked = set() if brake is None else set(self._sector_pages(brake))
        dirty = {chip.sector(a)[0] for a in wrong if self._is_written(a)}
        if brake is not None and any(map(self._is_written, braked)):
            dirty.add(brake)
        emptied = {page for start in dirty for page in self._sector_pages(start)}
        # In a sector with wanted pages the others are the rest of an older module.
        used = {chip.sector(a)[0] for a in self.pages}
        keep = {a for a in emptied if chip.sector(a)[0] not in used and self._is_written(a)}
        rewritten = {a for a in self._contents() | keep if a in emptied or a in wrong}
        plan = replace(
            base,
            method=Method.PAGES,
            brake_address=brake if brake in dirty else None,
            erase=tuple(sorted(dirty - {brake})),
            keep=tuple(sorted(keep)),
            writes=tuple(sorted(rewritten - braked)),
            brake_writes=tuple(sorted(rewritten & braked)),
            key_address=self._key_address(brake, rewritten),
            erase_uicr=erase_uicr,
            uicr=uicr,
            permissions_needed=(Effect.CONNECT,) if unbraked else (),
            notes=(_UNBRAKED,) if unbraked else (),
        )
        erase_s = sum(chip.sector(a)[2] for a in dirty) + erase_uicr * NRF52840.sectors[0].erase_s
        return self._finished(plan, erase_s)

    def _by_mass_erase(self, base: SwdPlan) -> SwdPlan:
        """Everything that is not in the set is read first and written again."""
        keep = {a for a in self.state.page_crcs if a not in self.pages and self._is_written(a)}
        braked = set(self._sector_pages(BRAKE_ADDRESS))
        contents = self._contents() | keep
        plan = replace(
            base,
            method=Method.MASS_ERASE,
            keep=tuple(sorted(keep)),
            writes=tuple(sorted(contents - braked)),
            brake_writes=tuple(sorted(contents & braked)),
            uicr={a: word for a, word in self.wanted_uicr.items() if word != _ERASED_WORD},
            permissions_needed=(Effect.ERASE,),
        )
        return self._finished(plan, base.chip.mass_erase_s)

    def _finished(self, plan: SwdPlan, erase_s: float) -> SwdPlan:
        """With time, permissions and notes."""
        word_wire_s = WORD_CLOCKS / self.frequency_hz
        words_s = plan.size_bytes / 4 * max(plan.chip.word_program_s, word_wire_s)
        read_s = len(plan.keep) * PAGE_SIZE_BYTES / 4 * word_wire_s
        plan = replace(plan, expected_duration_s=erase_s + words_s + read_s + len(plan.pages) * _CRC_PAGE_S)
        if UICR_BOOTLOADER_ADDRESS in plan.uicr:
            # Last: without it nothing starts.
            words = dict(plan.uicr)
            words[UICR_BOOTLOADER_ADDRESS] = words.pop(UICR_BOOTLOADER_ADDRESS)
            plan = replace(plan, uicr=words)
        hardened, approtect = self.state.hardened, self.wanted_uicr.get(UICR_APPROTECT, _ERASED_WORD)
        if UICR_APPROTECT in plan.uicr and locks(approtect, hardened=hardened):
            note = "APPROTECT closes the debug port at the next reset"
            needed = (*plan.permissions_needed, Effect.LOCK)
            return replace(plan, permissions_needed=needed, notes=(*plan.notes, note))
        if hardened and approtect & 0xFF != APPROTECT_OPEN:
            note = "this silicon closes its debug port at the next power-up; opening it again erases everything"
            return replace(plan, notes=(*plan.notes, note))
        return plan

    # ---- what is where ----------------------------------------------------------------------------------------------

    def _is_written(self, page: int) -> bool:
        return self.state.page_crcs[page] != ERASED_PAGE_CRC

    def _contents(self) -> set[int]:
        """Wanted pages that are not just erased flash."""
        return {a for a, data in self.pages.items() if data != ERASED_PAGE}

    def _application_pages(self) -> set[int]:
        """Where the applications of the set lie, and what they replace."""
        parts = [s.part for s in self.segments if s.part and s.part.function == ModuleFunction.USER_PART]
        slots = [s for s in flash_slots(self.state.platform) if s.function == ModuleFunction.USER_PART] if parts else []
        starts = [s.start_address for s in slots if s.start_address is not None]
        ends = [s.start_address + s.max_size_bytes for s in slots if s.start_address is not None]
        return set(range(min(starts), max(ends), PAGE_SIZE_BYTES)) if starts else set()

    def _sector_pages(self, start: int) -> range:
        _, size_bytes, _ = self.state.chip.sector(start)
        return range(start, start + size_bytes, PAGE_SIZE_BYTES)

    def _brake(self) -> int | None:
        """The sector without which no system part starts. Of a dump nothing says where one lies: its slot does."""
        if self.state.chip == NRF52840:
            return BRAKE_ADDRESS
        parts = [s.part for s in self.segments if s.part] + list(self.state.parts)
        for places in (parts, flash_slots(self.state.platform)):
            starts = [
                p.start_address
                for p in places
                if p.function in (ModuleFunction.SYSTEM_PART, ModuleFunction.MONO_FIRMWARE)
                and p.start_address is not None
            ]
            if starts:
                return min(starts)
        return None

    def _key_address(self, brake: int | None, rewritten: set[int]) -> int | None:
        """The word without which an STM32F2 bootloader takes the part in the brake's sector for none: the first of its
        prefix, since it asks for no CRC-32. None where it is not written."""
        if brake is None or self.state.chip == NRF52840:
            return None
        slot = next((s for s in flash_slots(self.state.platform) if s.start_address == brake), None)
        if slot is None:
            return None
        address = brake + slot.prefix_offset
        page = address & -PAGE_SIZE_BYTES
        word = self.pages[page][address - page :][:_WORD_BYTES] if page in self.pages and page in rewritten else b""
        return address if word.strip(b"\xff") else None

    def _uicr(self) -> tuple[dict[int, int], bool]:
        """Words to be written, and whether UICR must be erased before."""
        wanted = self.wanted_uicr
        changed = {a: word for a, word in wanted.items() if word != self.state.uicr_word(a)}
        if all(self.state.uicr_word(a) & word == word for a, word in changed.items()):
            return changed, False
        return {a: word for a, word in wanted.items() if word != _ERASED_WORD}, True


def _wanted_uicr(state: ChipState, segments: Sequence[Segment]) -> dict[int, int]:
    """Every word of UICR as it is to be: what is there, over it the set's, and what no board can do without."""
    if not state.uicr:
        return {}
    words = {a: state.uicr_word(a) for a in range(UICR_START, UICR_START + len(state.uicr), 4)}
    words |= uicr_words(segments)
    return words | {a: word for a, word in FACTORY_WORDS.items() if words[a] == _ERASED_WORD}
