"""What is written where into the ESP32 of a board, by its ROM loader. Pure: plans are made without a device.

An NCP module, or an application image, goes to the first application slot of the partition table, and then the boot
choice is cleared, so that the bootloader starts that slot. What is in the other slot stays: cut off before the boot
choice, a board that ran from there still does. Everything else goes to the address that it was given.

Source: particle-iot/esp32-ncp-firmware partition tables and build (addresses); ESP-IDF Programming Guide, OTA.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from particle_dev.catalog.modules import ModuleFunction
from particle_dev.catalog.platforms import platform_by_id
from particle_dev.errors import FormatError, ModuleFormatError, PlanRefusedError
from particle_dev.protocol.esp_image import MAGIC, EspImage, EspRegion, read_image
from particle_dev.protocol.esp_partitions import (
    TABLE_ADDRESS,
    TABLE_SIZE_BYTES,
    Partition,
    application_slots,
    boot_choice_partition,
    read_table,
)
from particle_dev.protocol.module import Module, ncp_image, parse

FLASH_SIZE_BYTES = 4 << 20
"""Of the ESP32 on an Argon."""
BOOTLOADER_ADDRESS = 0x1000
_REACHABLE = ("argon",)
"""Whose ESP32 hangs on a UART of the main processor with its boot lines; a Tracker's hangs on SPI."""
_HINT_FILE = "give a network processor module, an ESP32 application image, or ADDRESS:FILE"


@dataclass(frozen=True, slots=True)
class EspFile:
    """One file for an ESP32. ``address`` None: an application, which goes to a slot of the partition table. ``image``
    None for what is no image: tables, whole flash contents. ``module``: the module that the image came in."""

    name: str
    data: bytes
    address: int | None
    image: EspImage | None
    module: Module | None = None


@dataclass(frozen=True, slots=True)
class EspPlan:
    """Regions in the order in which they are written. ``slot`` is where an application goes."""

    regions: tuple[EspRegion, ...]
    slot: Partition | None

    @property
    def size_bytes(self) -> int:
        """Of all regions."""
        return sum(len(region.data) for region in self.regions)


def esp_file(name: str, data: bytes, address: int | None = None) -> EspFile:
    """A file, checked as far as its kind allows. Raises PlanRefusedError for another board's module, and
    ModuleFormatError for a damaged module, a damaged image, one for another chip, or what is neither."""
    if address is not None:
        return _placed(name, data, address)
    if data[:1] == bytes([MAGIC]):
        return EspFile(name, data, None, _intact(name, data))
    try:
        module = parse(data)
    except ModuleFormatError as error:
        if error.code == "no_prefix":
            # It is another kind of file: no place in it is wrong.
            error.hint, error.offset = _HINT_FILE, None
        error.name_file(name)
        raise
    for problem in module.problems:
        raise _refused(name, problem.code, problem.offset, problem.message)
    image = ncp_image(data, module)
    if module.function != ModuleFunction.NCP_FIRMWARE or image is None:
        raise _refused(name, "no_ncp_module", None, "The module is not for an ESP32.")
    platform = platform_by_id(module.platform_id)
    if platform is None or platform.name not in _REACHABLE:
        title = platform.display_name if platform else f"platform {module.platform_id}"
        reason = f"{name} is for {title}, whose ESP32 no UART reaches"
        raise PlanRefusedError(
            f"nothing was sent: {reason}",
            reasons=[reason],
            hint="give it to the running Device OS: `particle-dev flash FILE --may-connect`",
        )
    return EspFile(name, bytes(image), None, read_image(image), module)


def make_esp_plan(files: Sequence[EspFile], table: bytes | None = None) -> EspPlan:
    """A plan for files. ``table`` is the partition table on the chip, needed when an application has no address and no
    file brings a table. Raises PlanRefusedError: overlaps, no room, no table, two applications."""
    slot = None
    regions = [EspRegion(f.address, f.data, f.name) for f in files if f.address is not None]
    applications = [f for f in files if f.address is None]
    if len(applications) > 1:
        raise _plan_refused([f"{f.name} is an application too" for f in applications[1:]], "give one of them")
    if applications:
        partitions = _partitions(brought_table(files) or table)
        slot, choice = _slots(partitions)
        application = applications[0]
        if len(application.data) > slot.size_bytes:
            reason = f"{application.name} has {len(application.data)} bytes, {slot.label} {slot.size_bytes}"
            raise _plan_refused([reason], "give firmware for this board's partition table")
        regions.append(EspRegion(slot.address, application.data, f"{application.name} to {slot.label}"))
        if not any(_overlap(region, choice.address, choice.size_bytes) for region in regions):
            blank = b"\xff" * choice.size_bytes
            regions.append(EspRegion(choice.address, blank, f"boot choice: {slot.label}"))
    _check_places(regions)
    return EspPlan(tuple(regions), slot)


def brought_table(files: Sequence[EspFile]) -> bytes | None:
    """The partition table that one of the files brings."""
    for file in files:
        if file.address is not None and file.address <= TABLE_ADDRESS < file.address + len(file.data):
            return file.data[TABLE_ADDRESS - file.address :][:TABLE_SIZE_BYTES]
    return None


def _placed(name: str, data: bytes, address: int) -> EspFile:
    if not data:
        raise _refused(name, "empty", 0, "The file is empty.")
    if address % 4:
        raise _refused(name, "esp_address", None, f"Address 0x{address:X} is no multiple of 4.")
    if address == TABLE_ADDRESS:
        try:
            read_table(data)
        except FormatError as error:
            error.name_file(name)
            raise
    if data[0] == MAGIC or address == BOOTLOADER_ADDRESS:
        return EspFile(name, data, address, _intact(name, data))
    return EspFile(name, data, address, None)


def _intact(name: str, data: bytes) -> EspImage:
    image = read_image(data)
    for problem in image.problems:
        raise _refused(name, problem.code, problem.offset, problem.message)
    return image


def _partitions(table: bytes | None) -> tuple[Partition, ...]:
    try:
        return read_table(table or b"")
    except FormatError as error:
        raise _plan_refused([f"on the ESP32, {error.message}"], error.hint) from error


def _slots(partitions: tuple[Partition, ...]) -> tuple[Partition, Partition]:
    slots, choice = application_slots(partitions), boot_choice_partition(partitions)
    if not slots or choice is None:
        raise _plan_refused(
            ["the partition table has no application slot, or no boot choice"],
            "write a whole image at 0x0, or each part at its address",
        )
    return slots[0], choice


def _check_places(regions: Sequence[EspRegion]) -> None:
    reasons = []
    for number, region in enumerate(regions):
        end = region.address + len(region.data)
        if end > FLASH_SIZE_BYTES:
            reasons.append(f"{region.title} would end at 0x{end:X}, the flash at 0x{FLASH_SIZE_BYTES:X}")
        reasons += [
            f"{region.title} and {other.title} overlap"
            for other in regions[:number]
            if _overlap(other, region.address, len(region.data))
        ]
    if reasons:
        raise _plan_refused(reasons, "check the addresses")


def _overlap(region: EspRegion, address: int, size_bytes: int) -> bool:
    return region.address < address + size_bytes and address < region.address + len(region.data)


def _refused(name: str, code: str, offset: int | None, message: str) -> ModuleFormatError:
    error = ModuleFormatError(message, code=code, offset=offset, hint=_HINT_FILE)
    error.name_file(name)
    return error


def _plan_refused(reasons: Sequence[str], hint: str) -> PlanRefusedError:
    return PlanRefusedError("nothing was sent: " + "; ".join(reasons), reasons=reasons, hint=hint)
