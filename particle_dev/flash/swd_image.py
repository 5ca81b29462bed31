"""What is to lie in a chip's flash, as pieces and as pages of 4096 bytes. Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise

from isal import isal_zlib

from particle_dev.catalog.chips import NRF52840, Chip, flash_slots
from particle_dev.catalog.gen3_nrf52840 import SOFTDEVICE_FWID_ADDRESS, SOFTDEVICE_START
from particle_dev.catalog.modules import ModuleFunction
from particle_dev.catalog.platforms import Platform
from particle_dev.catalog.uicr import UICR_SIZE_BYTES, UICR_START
from particle_dev.errors import ModuleFormatError, PlanRefusedError
from particle_dev.flash.board_modules import ModuleFile, Need, Part
from particle_dev.flash.plan import file_problems, problem_hint
from particle_dev.protocol.module import parse
from particle_dev.protocol.module_prefix import PREFIX_SIZE_BYTES, read_prefix

PAGE_SIZE_BYTES = 4096
ERASED_PAGE = b"\xff" * PAGE_SIZE_BYTES
ERASED_PAGE_CRC = isal_zlib.crc32(ERASED_PAGE)
_ZERO_PAGE = bytes(PAGE_SIZE_BYTES)
_ZERO_PAGE_CRC = isal_zlib.crc32(_ZERO_PAGE)
_IN_FLASH = (
    ModuleFunction.BOOTLOADER,
    ModuleFunction.RADIO_STACK,
    ModuleFunction.SYSTEM_PART,
    ModuleFunction.USER_PART,
    ModuleFunction.MONO_FIRMWARE,
)
_UICR_PAGE_END = UICR_START + 0x1000
"""Restore files carry the whole page; the registers end at 0x400."""


@dataclass(frozen=True, slots=True)
class Segment:
    """Bytes for one place. ``part`` is the module that they are, None for MBR, UICR and
    erased flash."""

    name: str
    address: int
    data: bytes = field(repr=False)
    part: Part | None = None

    @property
    def end_address(self) -> int:
        """Behind the last byte."""
        return self.address + len(self.data)

    @property
    def is_erased(self) -> bool:
        """Whether it only asks for erased flash."""
        return self.data.count(0xFF) == len(self.data)

    @property
    def title(self) -> str:
        """``system part 1 v2101 (boron.hex)``."""
        return self.part.title if self.part else self.name


def out_of_reach(files: Iterable[ModuleFile]) -> tuple[ModuleFile, ...]:
    """Modules that belong to a release and lie where a probe does not write: firmware of network processors, assets."""
    elsewhere = (ModuleFunction.NCP_FIRMWARE, ModuleFunction.ASSET)
    return tuple(f for f in files if f.module.function in elsewhere)


def module_segments(
    platform: Platform, files: Sequence[ModuleFile], read_file: Callable[[str], bytes]
) -> tuple[Segment, ...]:
    """The modules of files, each at its place. Raises PlanRefusedError for those that a probe cannot write: damaged,
    compressed, for another platform or another chip."""
    reasons, segments = [], []
    for file in files:
        module, problems = file.module, file_problems(file, platform)
        if module.function not in _IN_FLASH:
            problems = [f"{file.title} does not lie in the flash that a probe writes"]
        reasons += problems
        data = read_file(file.sha256)[module.payload_offset : module.size_bytes]
        segments.append(Segment(file.title, module.start_address, data, file.part))
    if reasons:
        message = f"{platform.display_name}: refused before anything was erased: " + "; ".join(reasons)
        raise PlanRefusedError(message, reasons=reasons, hint=problem_hint(files, platform))
    return tuple(segments)


def named_segments(platform: Platform, pieces: Sequence[tuple[int, bytes]], file_name: str) -> tuple[Segment, ...]:
    """Pieces of a restore file, with the modules in them recognised: one that is not intact is none."""
    named: list[Segment] = []
    for address, data in pieces:
        # MBR and SoftDevice touch each other.
        cut = SOFTDEVICE_START - address if platform.family == "nrf52840" and address < SOFTDEVICE_START else 0
        for start, piece in ((address, data[:cut]), (address + cut, data[cut:])):
            if piece:
                named += _split(platform, Segment("", start, piece), file_name)
    return tuple(sorted(named, key=lambda s: s.address))


def _split(platform: Platform, segment: Segment, file_name: str) -> list[Segment]:
    """The modules of a piece, and what is left between them."""
    found: list[Segment] = []
    for slot in flash_slots(platform):
        assert slot.start_address is not None
        if any(s.address == slot.start_address for s in found):
            continue  # the same place in another era
        offset = slot.start_address - segment.address
        data = segment.data[max(offset, 0) :] if offset >= 0 else b""
        prefix_data = data[slot.prefix_offset : slot.prefix_offset + PREFIX_SIZE_BYTES]
        if len(prefix_data) < PREFIX_SIZE_BYTES:
            continue
        prefix = read_prefix(prefix_data, start_address=slot.start_address, max_size_bytes=slot.max_size_bytes)
        if prefix is None or (prefix.function, prefix.index) != (slot.function, slot.index):
            continue
        image = data[: prefix.size_bytes]
        try:
            module = parse(image)
        except ModuleFormatError:
            continue
        if not module.crc32.ok:
            continue
        needs = tuple(Need(*d) for d in module.dependencies)
        part = Part(
            file_name, module.platform_id, module.function, module.index, module.version, needs, slot.start_address,
            module.size_bytes,
        )  # fmt: skip
        found.append(Segment(part.title, slot.start_address, image, part))
    found.sort(key=lambda s: s.address)
    rest, at = [], segment.address
    for module_segment in [*found, Segment("", segment.end_address, b"")]:
        if at < module_segment.address:
            data = segment.data[at - segment.address : module_segment.address - segment.address]
            rest.append(_named_rest(platform, at, data, file_name))
        at = max(at, module_segment.end_address)
    return [*found, *rest]


def _named_rest(platform: Platform, address: int, data: bytes, file_name: str) -> Segment:
    """SoftDevice, MBR, UICR by their places; Particle platforms with an nRF52840 have no other use for them."""
    part, name = None, f"{len(data)} bytes of {file_name}"
    if address == SOFTDEVICE_START and address + len(data) > SOFTDEVICE_FWID_ADDRESS:
        fwid = int.from_bytes(data[SOFTDEVICE_FWID_ADDRESS - address :][:2], "little")
        part = Part(file_name, platform.id, ModuleFunction.RADIO_STACK, 0, fwid, (), address, len(data))
    elif address == 0:
        name = f"MBR of {file_name}"
    elif address == UICR_START:
        name = f"UICR of {file_name}"
    return Segment(name, address, data, part)


def merge(base: Sequence[Segment], offered: Sequence[Segment]) -> tuple[Segment, ...]:
    """A restore file, with the modules in it replaced by those that were offered beside it."""
    keys = {_family(s.part) for s in offered if s.part}
    kept = [s for s in base if s.part is None or _family(s.part) not in keys]
    # An erased block of the file keeps an old application from winning; an offered module there is what wins.
    kept = [s for s in kept if not (s.is_erased and any(_overlap(s, other) for other in offered))]
    return tuple(sorted((*kept, *offered), key=lambda s: s.address))


def _family(part: Part) -> tuple[int, int]:
    """Applications replace each other whatever their index."""
    return (part.function, -1) if part.function == ModuleFunction.USER_PART else part.key


def problems_of(chip: Chip, segments: Sequence[Segment]) -> list[str]:
    """Overlaps, and data where no flash is; one sentence each."""
    problems = []
    flash_end = chip.flash_start_address + chip.flash_size_bytes
    for segment in segments:
        in_flash = chip.flash_start_address <= segment.address and segment.end_address <= flash_end
        if in_flash:
            continue
        in_uicr = chip == NRF52840 and segment.address >= UICR_START and segment.end_address <= _UICR_PAGE_END
        beyond = segment.data[max(0, UICR_START + UICR_SIZE_BYTES - segment.address) :]
        if not in_uicr:
            problems.append(f"{segment.title}: 0x{segment.address:08x}+{len(segment.data)} is outside the flash")
        elif beyond.count(0xFF) != len(beyond):
            problems.append(f"{segment.title}: data behind the registers of UICR, where nothing can be written")
    for one, other in pairwise(sorted(segments, key=lambda s: s.address)):
        if _overlap(one, other):
            problems.append(f"{one.title} and {other.title} overlap at 0x{other.address:08x}")
    return problems


def _overlap(one: Segment, other: Segment) -> bool:
    return one.address < other.end_address and other.address < one.end_address


def pages_of(segments: Iterable[Segment]) -> dict[int, bytes]:
    """The pages that these pieces touch; what no piece covers is erased. Addresses must be in flash."""
    pages: dict[int, bytearray] = {}
    for segment in segments:
        at = segment.address
        while at < segment.end_address:
            page = at & -PAGE_SIZE_BYTES
            end = min(page + PAGE_SIZE_BYTES, segment.end_address)
            cells = pages.setdefault(page, bytearray(ERASED_PAGE))
            cells[at - page : end - page] = segment.data[at - segment.address : end - segment.address]
            at = end
    return {address: bytes(pages[address]) for address in sorted(pages)}


def uicr_words(segments: Iterable[Segment]) -> Mapping[int, int]:
    """The words of UICR that these pieces ask for; erased words ask for nothing."""
    words = {}
    for segment in segments:
        if UICR_START <= segment.address < UICR_START + UICR_SIZE_BYTES:
            limit = min(len(segment.data), UICR_START + UICR_SIZE_BYTES - segment.address)
            for offset in range(0, limit, 4):
                word = int.from_bytes(segment.data[offset : offset + 4].ljust(4, b"\xff"), "little")
                if word != 0xFFFFFFFF:
                    words[segment.address + offset] = word
    return words


def crc_of_pages(page_crcs: Iterable[int], tail: bytes) -> int:
    """CRC-32 of whole pages, of which only their own CRCs are known, and of what follows them.

    For a fixed length CRC-32 is linear in the difference of two messages, whatever went before: so the CRC behind a
    page follows from that behind a page of zeros.
    """
    crc = 0
    for page_crc in page_crcs:
        crc = isal_zlib.crc32(_ZERO_PAGE, crc) ^ _ZERO_PAGE_CRC ^ page_crc
    return int(isal_zlib.crc32(tail, crc))
