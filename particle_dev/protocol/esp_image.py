"""ESP32 application images: what the network processor of Argon and Tracker runs, alone or inside a module.

:func:`read_image` says what an image holds and finds everything that its ROM loader and bootloader check: codes
``esp_no_image``, ``esp_truncated``, ``esp_segments``, ``esp_checksum``, ``esp_hash``, ``esp_wrong_chip``,
``esp_trailing``. Offsets count from the start of the image.

Layout, little-endian: header of 8 bytes (magic 0xE9, number of segments, flash mode, flash size and frequency, entry
point) and 16 (SPI pins, chip id at 12, least and most chip revision, at 23 whether a hash follows); segments, each with
address and length; zeros so that the XOR of all segment bytes, begun with 0xEF, ends a block of 16; its SHA-256.

Source: Espressif, esptool documentation, Firmware Image Format; ESP-IDF Programming Guide, App Image Format.
"""

from __future__ import annotations

import hashlib
import struct
from typing import NamedTuple

from particle_dev.protocol.module_values import Problem

MAGIC = 0xE9
HEADER_SIZE_BYTES = 24
HASH_SIZE_BYTES = 32
ESP32_CHIP_ID = 0
MAX_SEGMENTS = 16
CHIP_NAMES = {
    0: "ESP32",
    2: "ESP32-S2",
    5: "ESP32-C3",
    9: "ESP32-S3",
    12: "ESP32-C2",
    13: "ESP32-C6",
    16: "ESP32-H2",
    18: "ESP32-P4",
}
"""Source: ESP-IDF components/bootloader_support/include/esp_app_format.h esp_chip_id_t."""
FLASH_SIZES_MB = {0: 1, 1: 2, 2: 4, 3: 8, 4: 16}
_HEADER = struct.Struct("<BBBBI4xHBHH4xB")
_SEGMENT = struct.Struct("<II")
_CHECKSUM_SEED = 0xEF
_BLOCK_BYTES = 16
_DESCRIPTION_MAGIC = 0xABCD5432
_DESCRIPTION = struct.Struct("<II8x32s32s16s16s32s")


class Segment(NamedTuple):
    """Bytes that are loaded to ``address``; ``offset`` is where they stand in the image."""

    address: int
    offset: int
    size_bytes: int


class AppDescription(NamedTuple):
    """What the build wrote into the image about itself."""

    version: str
    project: str
    built: str
    idf: str


class EspRegion(NamedTuple):
    """Bytes for the flash of an ESP32; ``title`` is for people."""

    address: int
    data: bytes
    title: str


class EspImage(NamedTuple):
    """An image as it describes itself. Trust the fields only when :attr:`ok`. ``size_bytes`` is with checksum and
    hash; ``flash_size_mb`` is None for a code that is not known; ``description`` None when the build left none."""

    size_bytes: int
    chip_id: int
    entry_address: int
    flash_mode: int
    flash_size_mb: int | None
    segments: tuple[Segment, ...]
    has_hash: bool
    description: AppDescription | None
    problems: tuple[Problem, ...]

    @property
    def ok(self) -> bool:
        """Whether the bytes are exactly one intact image for the chip that was asked for."""
        return not self.problems

    @property
    def chip_name(self) -> str:
        """Espressif's name of the chip."""
        return CHIP_NAMES.get(self.chip_id, f"unknown chip {self.chip_id}")


def read_image(data: bytes | memoryview, *, chip_id: int = ESP32_CHIP_ID) -> EspImage:
    """The image at the start of ``data`` with its problems; ``chip_id`` is the chip that is to run it. Raises nothing:
    what is no image has the problem ``esp_no_image`` and fields that are 0."""
    view = memoryview(data)
    if not view or view[0] != MAGIC:
        return _none(Problem("esp_no_image", 0, "No ESP32 image begins here: its first byte is not 0xE9."))
    if len(view) < HEADER_SIZE_BYTES:
        return _none(_cut(len(view)))
    _, count, mode, size_code, entry, chip, _, _, _, hash_flag = _HEADER.unpack_from(view)
    segments, end, problem = _segments(view, count)
    problems = [problem] if problem else []
    has_hash = hash_flag == 1
    if not problem:
        end, problems = _end_of_image(view, segments, end, has_hash=has_hash)
    if chip != chip_id:
        message = f"The image is for {CHIP_NAMES.get(chip, f'chip {chip}')}, not {CHIP_NAMES.get(chip_id, chip_id)}."
        problems.append(Problem("esp_wrong_chip", 12, message))
    size_mb = FLASH_SIZES_MB.get(size_code >> 4)
    return EspImage(end, chip, entry, mode, size_mb, segments, has_hash, _description(view), tuple(problems))


def describe_image(image: EspImage) -> dict[str, object]:
    """The image in plain values for JSON."""
    about = image.description
    return {
        "chip": image.chip_name,
        "size_bytes": image.size_bytes,
        "entry_address": image.entry_address,
        "segments": [{"address": s.address, "offset": s.offset, "size_bytes": s.size_bytes} for s in image.segments],
        "has_hash": image.has_hash,
        "flash_size_mb": image.flash_size_mb,
        "application": about
        and {"project": about.project, "version": about.version, "built": about.built, "idf": about.idf},
    }


def _segments(view: memoryview, count: int) -> tuple[tuple[Segment, ...], int, Problem | None]:
    """Segments, where they end, and why they are not all there."""
    found: list[Segment] = []
    offset = HEADER_SIZE_BYTES
    if not 0 < count <= MAX_SEGMENTS:
        message = f"An image has 1 to {MAX_SEGMENTS} segments, this one says {count}."
        return (), offset, Problem("esp_segments", 1, message)
    for number in range(count):
        if len(view) - offset < _SEGMENT.size:
            return tuple(found), len(view), _cut(len(view))
        address, size_bytes = _SEGMENT.unpack_from(view, offset)
        if size_bytes % 4:
            message = f"Segment {number} has {size_bytes} bytes, no multiple of 4."
            return tuple(found), offset, Problem("esp_segments", offset + 4, message)
        offset += _SEGMENT.size
        if size_bytes > len(view) - offset:
            return tuple(found), len(view), _cut(len(view))
        found.append(Segment(address, offset, size_bytes))
        offset += size_bytes
    return tuple(found), offset, None


def _end_of_image(
    view: memoryview, segments: tuple[Segment, ...], offset: int, *, has_hash: bool
) -> tuple[int, list[Problem]]:
    """Where the image ends, and what is wrong with its checksum, its hash and what follows."""
    checksum_at = offset + _BLOCK_BYTES - 1 - offset % _BLOCK_BYTES
    hash_at = checksum_at + 1
    end = hash_at + (HASH_SIZE_BYTES if has_hash else 0)
    if end > len(view):
        return len(view), [_cut(len(view))]
    problems = []
    computed = _CHECKSUM_SEED
    for segment in segments:
        computed ^= _xor(view[segment.offset : segment.offset + segment.size_bytes])
    if computed != view[checksum_at]:
        message = f"The checksum of the ESP32 image is wrong. Stored {view[checksum_at]:02x}, computed {computed:02x}."
        problems.append(Problem("esp_checksum", checksum_at, message))
    if has_hash and hashlib.sha256(view[:hash_at]).digest() != view[hash_at:end]:
        problems.append(Problem("esp_hash", hash_at, "The SHA-256 at the end of the ESP32 image is wrong."))
    if end != len(view):
        problems.append(Problem("esp_trailing", end, f"{len(view) - end} bytes follow the ESP32 image."))
    return end, problems


def _xor(data: memoryview) -> int:
    """XOR of all bytes. Folded as one number, since a loop takes 50 times as long."""
    size_bytes = len(data)
    value = int.from_bytes(data, "little")
    while size_bytes > 1:
        half = (size_bytes + 1) // 2
        value = (value >> (8 * half)) ^ (value & ((1 << (8 * half)) - 1))
        size_bytes = half
    return value


def _description(view: memoryview) -> AppDescription | None:
    """It stands at the start of the first segment."""
    offset = HEADER_SIZE_BYTES + _SEGMENT.size
    if len(view) - offset < _DESCRIPTION.size:
        return None
    magic, _, version, project, time, date, idf = _DESCRIPTION.unpack_from(view, offset)
    if magic != _DESCRIPTION_MAGIC:
        return None
    return AppDescription(_text(version), _text(project), f"{_text(date)} {_text(time)}", _text(idf))


def _text(field: bytes) -> str:
    return field.partition(b"\0")[0].decode("utf-8", "replace")


def _cut(offset: int) -> Problem:
    return Problem("esp_truncated", offset, f"The ESP32 image is cut short after {offset} bytes.")


def _none(problem: Problem) -> EspImage:
    return EspImage(0, ESP32_CHIP_ID, 0, 0, None, (), False, None, (problem,))
