"""The virtual factory: boards with real bootloaders (as given) and stand-ins for the rest.

A stand-in has a valid prefix, suffix and CRC, realistic size and dependencies, and random bytes where the code
would be: enough for everything a host or a bootloader can see, since virtual boards do not execute code. System parts
and applications of a new board are always stand-ins. The bootloaders of E-SoM-X and of all RTL872x boards are too,
unless the store has them: no public package carries them; and so are boot record and firmware of an RTL872x's second
processor, KM0.
"""

from __future__ import annotations

import hashlib
import random
import struct
import zlib
from collections.abc import Iterable

from particle_dev.catalog.device_os import RELEASES
from particle_dev.catalog.modules import ModuleFunction
from particle_harness.boards import Hardware
from particle_harness.esp32.image import ESP32_TARGET, esp_image
from particle_harness.file_system import make_file_system
from particle_harness.layout_nrf52840 import FIRST_LOW_SYSTEM, FIRST_SECOND_HEADER, FIRST_TWO_USER_SLOTS
from particle_harness.layout_rtl872x import DYNAMIC_LOCATION, SYSTEM_START, USER_END
from particle_harness.layout_stm32f2 import ELECTRON
from particle_harness.module_reader import DROP_MODULE_INFO, PREFIX, PREFIX_SIZE_BYTES, read_prefix, reader_of
from particle_harness.nor_flash import NorFlash

Dependency = tuple[int, int, int]
"""Function, index and least version."""
NO_NEED: Dependency = (0, 0, 0)
OLD_DEVICE_OS = "1.4.4"
"""What goes with an old bootloader, of version 501."""
SOFTDEVICE_FIRMWARE_ID = 202
KM0_BOOT_RECORD_VERSION, KM0_FIRMWARE_VERSION = 2, 9
"""Source: device-os v6.2.0 modules/shared/system_module_version.mk PREBOOTLOADER_MBR_VERSION, _PART1_VERSION."""
_STACK_POINTER = {True: 0x2003F000, False: 0x20020000}
_SUFFIX_BASE_BYTES = 36
_NO_PRODUCT = b"\xff\xff\xff\xff"
_CRC_SIZE_BYTES = 4
_BOOTLOADER, _SYSTEM, _USER = ModuleFunction.BOOTLOADER, ModuleFunction.SYSTEM_PART, ModuleFunction.USER_PART


def build_module(
    hardware: Hardware,
    function: int,
    index: int,
    version: int,
    *,
    start_address: int,
    size_bytes: int,
    need1: Dependency = NO_NEED,
    need2: Dependency = NO_NEED,
    flags: int = 0,
    platform_id: int | None = None,
    mcu_target: int = 0,
    body: bytes | None = None,
) -> bytes:
    """A module file of ``size_bytes`` with random bytes (or ``body``) for code.

    In front of the prefix it has the head of its kind: a vector table whose first word is a stack pointer, or the
    vendor's header on RTL872x. Firmware for an ESP32 is an intact image without code.
    """
    head = _head(hardware, function, index)
    offset = hardware.mcu.head_size_bytes if head else 0
    length = size_bytes - _CRC_SIZE_BYTES
    # Seeded by what the module is, so that the same call gives the same file everywhere.
    dice = random.Random(f"{hardware.name} {function} {index} {version} {size_bytes}")
    image = bytearray(dice.randbytes(length))
    if body is not None:
        image[offset + PREFIX_SIZE_BYTES : offset + PREFIX_SIZE_BYTES + len(body)] = body
    image[: len(head)] = head
    PREFIX.pack_into(
        image,
        offset,
        start_address,
        start_address + length,
        mcu_target,
        flags,
        version,
        hardware.platform_id if platform_id is None else platform_id,
        function,
        index,
        *need1,
        *need2,
    )
    is_ncp = function == ModuleFunction.NCP_FIRMWARE
    top = b"" if is_ncp else _rtl872x_extensions(start_address) if hardware.is_rtl872x else _NO_PRODUCT
    suffix = length - _SUFFIX_BASE_BYTES - len(top)
    image[suffix : suffix + len(top) + 2] = top + b"\0\0"
    covered = suffix + len(top) + 2
    if is_ncp and mcu_target == ESP32_TARGET and body is None:
        image[PREFIX_SIZE_BYTES:suffix] = esp_image(suffix - PREFIX_SIZE_BYTES, seed=str(version))
    hashed = image[PREFIX_SIZE_BYTES:suffix] if is_ncp else image[:covered]
    image[covered : covered + 32] = hashlib.sha256(hashed).digest()
    image[length - 2 :] = (length - suffix).to_bytes(2, "little")
    return bytes(image) + zlib.crc32(image).to_bytes(4, "big")


def _head(hardware: Hardware, function: int, index: int) -> bytes:
    if hardware.is_rtl872x:
        return hardware.mcu.signature if function == _BOOTLOADER and index < 2 else b""
    has_vectors = function == _BOOTLOADER or (function == _SYSTEM and index < 3)
    return _STACK_POINTER[hardware.is_gen3].to_bytes(4, "little") if has_vectors else b""


def _rtl872x_extensions(start_address: int) -> bytes:
    """Dynamic location and product data, as the linker script of these boards puts them."""
    location = struct.pack("<HHIII", DYNAMIC_LOCATION, 16, start_address, start_address, 0x02000000)
    return location + struct.pack("<HHIH", 1, 10, 0xFFFFFFFF, 0xFFFF)


def softdevice_stand_in(hardware: Hardware) -> bytes:
    """A radio stack module: the prefix is dropped when it is written, the firmware id ends at 0x300C."""
    body = bytearray(0x2100)
    body[0x200C:0x200E] = SOFTDEVICE_FIRMWARE_ID.to_bytes(2, "little")
    return build_module(
        hardware,
        ModuleFunction.RADIO_STACK,
        0,
        SOFTDEVICE_FIRMWARE_ID,
        start_address=0x1000,
        size_bytes=153048,
        need1=(_BOOTLOADER, 0, 501),
        flags=DROP_MODULE_INFO,
        body=bytes(body),
    )


def bootloader_stand_in(hardware: Hardware, version: int) -> bytes:
    """A bootloader module of that version."""
    needs_km0 = (_BOOTLOADER, 2, KM0_FIRMWARE_VERSION)
    return build_module(
        hardware,
        _BOOTLOADER,
        0,
        version,
        start_address=hardware.bootloader_address,
        size_bytes=15000 if hardware.is_gen2 else 41948,
        need1=needs_km0 if hardware.is_rtl872x else NO_NEED,
    )


def km0_stand_ins(hardware: Hardware) -> tuple[bytes, bytes]:
    """What runs on the second processor of an RTL872x: boot record and firmware."""
    return (
        build_module(hardware, _BOOTLOADER, 1, KM0_BOOT_RECORD_VERSION, start_address=0x08000000, size_bytes=7000),
        build_module(hardware, _BOOTLOADER, 2, KM0_FIRMWARE_VERSION, start_address=0x08014000, size_bytes=79000),
    )


def release_stand_ins(hardware: Hardware) -> list[bytes]:
    """Bootloader and radio stack of a new board, without any firmware file."""
    _, bootloader_version = known_release(hardware.factory_device_os)
    bootloader = bootloader_stand_in(hardware, bootloader_version)
    return [bootloader, softdevice_stand_in(hardware)] if hardware.is_gen3 else [bootloader]


def system_stand_ins(hardware: Hardware, version: int, bootloader_version: int) -> tuple[bytes, ...]:
    """The system parts of that version: one, two on Photon and P1, three on Electron."""
    needs_bootloader = (_BOOTLOADER, 0, bootloader_version)
    rows: list[tuple[int, int, int, Dependency, Dependency]]
    if hardware.is_gen3:
        start = 0x28000 if version >= FIRST_LOW_SYSTEM else 0x30000
        rows = [(1, start, 480000, needs_bootloader, (ModuleFunction.RADIO_STACK, 0, SOFTDEVICE_FIRMWARE_ID))]
    elif hardware.is_rtl872x:
        rows = [(1, SYSTEM_START, 1200000, needs_bootloader, NO_NEED)]
    elif hardware.layout is ELECTRON:
        rows = [
            (1, 0x08020000, 113804, (_SYSTEM, 3, version), NO_NEED),
            (2, 0x08040000, 121272, (_SYSTEM, 1, version), needs_bootloader),
            (3, 0x08060000, 87532, (_SYSTEM, 2, 110), NO_NEED),
        ]
    else:
        rows = [
            (1, 0x08020000, 230000, (_SYSTEM, 2, 207), NO_NEED),
            (2, 0x08060000, 250000, (_SYSTEM, 1, version), needs_bootloader),
        ]
    body = _body_with_second_header(hardware, version) if hardware.is_gen3 and version >= FIRST_SECOND_HEADER else None
    return tuple(
        build_module(
            hardware,
            _SYSTEM,
            index,
            version,
            start_address=start,
            size_bytes=size_bytes,
            need1=need1,
            need2=need2,
            body=body,
        )
        for index, start, size_bytes, need1, need2 in rows
    )


def _body_with_second_header(hardware: Hardware, version: int) -> bytes:
    """The start of a system part at 0x28000, whose second vector table and prefix at 0x30000 have a CRC of their own: a
    bootloader that does not know the low address starts it all the same.

    Source: device-os v6.2.0 modules/shared/nRF52840/linker_system_part1_common.ld, build/module.mk.
    """
    vectors, first_prefix = hardware.mcu.head_size_bytes, hardware.mcu.head_size_bytes + PREFIX_SIZE_BYTES
    length = first_prefix + 0x100
    dice = random.Random(f"{hardware.name} {version}")
    block = bytearray(dice.randbytes(length))
    block[:4] = _STACK_POINTER[True].to_bytes(4, "little")
    needs = (*NO_NEED, *NO_NEED)
    PREFIX.pack_into(block, vectors, 0x30000, 0x30000 + length, 0, 0, version, hardware.platform_id, _SYSTEM, 1, *needs)
    return dice.randbytes(0x30000 - 0x28000 - first_prefix) + block + zlib.crc32(block).to_bytes(4, "big")


def app_stand_in(hardware: Hardware, system_version: int, *, version: int = 6, linked_for: int = 0) -> bytes:
    """An AUTOMATIC application such as Tinker that needs ``system_version``.

    ``linked_for``: the system version whose memory map it is made for; nRF52840 boards have two.
    """
    index, size_bytes = 1, 11644
    if hardware.is_gen3:
        index, start = (2, 0xB4000) if linked_for >= FIRST_TWO_USER_SLOTS else (1, 0xD4000)
    elif hardware.is_rtl872x:
        # Whole pages, as modules/shared/rtl872x/build_linker_script.mk makes them.
        size_bytes = 3 * 4096
        start = USER_END - size_bytes
    else:
        start = 0x08080000 if hardware.layout is ELECTRON else 0x080A0000
    return build_module(
        hardware,
        _USER,
        index,
        version,
        start_address=start,
        size_bytes=size_bytes,
        need1=(_SYSTEM, hardware.layout.main_system_index, system_version),
    )


def install(flash: NorFlash, hardware: Hardware, module: bytes) -> None:
    """Put a module file where its prefix says, as a gang programmer would."""
    prefix = read_prefix(reader_of(module), 0, hardware.mcu)
    if prefix is None or prefix.platform_id != hardware.platform_id:
        raise ValueError(f"this is no module for {hardware.name}")
    payload = module[PREFIX_SIZE_BYTES:] if prefix.flags & DROP_MODULE_INFO else module
    flash.load(prefix.start_address, payload)


def furnish(
    internal: NorFlash,
    external: NorFlash | None,
    hardware: Hardware,
    release_modules: Iterable[bytes],
    *,
    old_bootloader: bool,
    factory_image: bool,
    device_os: str | None = None,
) -> None:
    """Fill the flash of a new board.

    ``release_modules`` are bootloader and, on nRF52840, SoftDevice. With ``old_bootloader`` or a ``device_os`` of its
    own a stand-in takes the bootloader's place, and system and application are of that release, so that the board is
    sound. Raises ValueError for a release that nobody knows.
    """
    if hardware.is_rtl872x:
        make_file_system(internal)
    release = device_os or (OLD_DEVICE_OS if old_bootloader else hardware.factory_device_os)
    version, bootloader_version = known_release(release)
    own_bootloader = bool(device_os or old_bootloader)
    for module in release_modules:
        prefix = read_prefix(reader_of(module), 0, hardware.mcu)
        if not (own_bootloader and prefix and prefix.function == _BOOTLOADER):
            install(internal, hardware, module)
    if own_bootloader:
        install(internal, hardware, bootloader_stand_in(hardware, bootloader_version))
    km0 = km0_stand_ins(hardware) if hardware.is_rtl872x else ()
    app = app_stand_in(hardware, version, linked_for=version)
    for module in (*km0, *system_stand_ins(hardware, version, bootloader_version), app):
        install(internal, hardware, module)
    if factory_image and hardware.factory_address is not None:
        slot = external if hardware.is_gen3 and external is not None else internal
        slot.load(hardware.factory_address, app)


def known_release(device_os: str) -> tuple[int, int]:
    """Versions of system part and bootloader in a release. Raises ValueError for one that nobody knows."""
    for release in RELEASES:
        if release.name == device_os and release.bootloader_version is not None:
            return release.system_version, release.bootloader_version
    raise ValueError(f"no Device OS {device_os!r} with a known bootloader")
