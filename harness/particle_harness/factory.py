"""The virtual factory: boards with real bootloaders (as given) and stand-ins for the rest.

A stand-in has a valid prefix, suffix and CRC, realistic size and dependencies, and random bytes where the code
would be: enough for everything a host or a bootloader can see, since virtual boards do not execute code.
"""

from __future__ import annotations

import hashlib
import random
import zlib
from collections.abc import Iterable

from particle_dev.catalog.modules import ModuleFunction
from particle_harness.boards import Hardware
from particle_harness.module_reader import DROP_MODULE_INFO, PREFIX, PREFIX_SIZE_BYTES, read_prefix, reader_of
from particle_harness.nor_flash import NorFlash

NO_NEED = (0, 0, 0)
OLD_BOOTLOADER_VERSION = 501
"""Device OS 1.4.4."""
FACTORY_SYSTEM_VERSION = 2011
"""Device OS 2.0.1."""
OLD_FACTORY_SYSTEM_VERSION = 1406
"""Device OS 1.4.4: what goes with bootloader 501."""
SOFTDEVICE_FIRMWARE_ID = 202
_STACK_POINTER = {True: 0x2003F000, False: 0x20020000}
_SUFFIX_SIZE_BYTES = 40
_SHA256_END_OFFSET = 2


def build_module(
    hardware: Hardware,
    function: int,
    index: int,
    version: int,
    *,
    start_address: int,
    size_bytes: int,
    need1: tuple[int, int, int] = NO_NEED,
    need2: tuple[int, int, int] = NO_NEED,
    flags: int = 0,
    platform_id: int | None = None,
    body: bytes | None = None,
) -> bytes:
    """A module file of ``size_bytes`` with random bytes (or ``body``) for code.

    Bootloaders and system parts get a vector table, whose first word is a stack pointer, before the prefix.
    """
    has_vectors = function in (ModuleFunction.BOOTLOADER, ModuleFunction.SYSTEM_PART)
    offset = hardware.mcu.vector_table_size_bytes if has_vectors else 0
    length = size_bytes - 4
    # Seeded by what the module is, so that the same call gives the same file everywhere.
    dice = random.Random(f"{hardware.name} {function} {index} {version} {size_bytes}")
    image = bytearray(dice.randbytes(length))
    if body is not None:
        image[offset + PREFIX_SIZE_BYTES : offset + PREFIX_SIZE_BYTES + len(body)] = body
    if has_vectors:
        image[:4] = _STACK_POINTER[hardware.is_gen3].to_bytes(4, "little")
    PREFIX.pack_into(
        image,
        offset,
        start_address,
        start_address + length,
        0,
        flags,
        version,
        hardware.platform_id if platform_id is None else platform_id,
        function,
        index,
        *need1,
        *need2,
    )
    suffix = length - _SUFFIX_SIZE_BYTES
    image[suffix : suffix + 6] = b"\xff\xff\xff\xff\x00\x00"
    image[length - _SHA256_END_OFFSET :] = _SUFFIX_SIZE_BYTES.to_bytes(2, "little")
    image[suffix + 6 : suffix + 38] = hashlib.sha256(image[: suffix + 6]).digest()
    return bytes(image) + zlib.crc32(image).to_bytes(4, "big")


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
        need1=(ModuleFunction.BOOTLOADER, 0, 501),
        flags=DROP_MODULE_INFO,
        body=bytes(body),
    )


def bootloader_stand_in(hardware: Hardware, version: int) -> bytes:
    """A bootloader module of that version."""
    size_bytes = 41948 if hardware.is_gen3 else 15000
    return build_module(
        hardware,
        ModuleFunction.BOOTLOADER,
        0,
        version,
        start_address=hardware.bootloader_address,
        size_bytes=size_bytes,
    )


def system_stand_ins(hardware: Hardware, version: int, bootloader_version: int) -> tuple[bytes, ...]:
    """System part 1 (Gen 3) or 1 and 2 (Photon, P1) of that version."""
    system = ModuleFunction.SYSTEM_PART
    bootloader_need = (ModuleFunction.BOOTLOADER, 0, bootloader_version)
    if hardware.is_gen3:
        radio_need = (ModuleFunction.RADIO_STACK, 0, SOFTDEVICE_FIRMWARE_ID)
        return (
            build_module(
                hardware,
                system,
                1,
                version,
                start_address=0x30000,
                size_bytes=480000,
                need1=bootloader_need,
                need2=radio_need,
            ),
        )
    return (
        build_module(hardware, system, 1, version, start_address=0x08020000, size_bytes=230000, need1=(system, 2, 207)),
        build_module(
            hardware,
            system,
            2,
            version,
            start_address=0x08060000,
            size_bytes=250000,
            need1=(system, 1, version),
            need2=bootloader_need,
        ),
    )


def app_stand_in(hardware: Hardware, system_version: int, *, version: int = 6) -> bytes:
    """An AUTOMATIC application such as Tinker that needs ``system_version``."""
    return build_module(
        hardware,
        ModuleFunction.USER_PART,
        1,
        version,
        start_address=0xD4000 if hardware.is_gen3 else 0x080A0000,
        size_bytes=11644,
        need1=(ModuleFunction.SYSTEM_PART, 1 if hardware.is_gen3 else 2, system_version),
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
) -> None:
    """Fill the flash of a new board.

    ``release_modules`` are bootloader and, on nRF52840, SoftDevice. With ``old_bootloader`` a stand-in of version
    501 takes the bootloader's place, and system and application are of that time, so that the board is sound.
    """
    for module in release_modules:
        prefix = read_prefix(reader_of(module), 0, hardware.mcu)
        if not (old_bootloader and prefix and prefix.function == ModuleFunction.BOOTLOADER):
            install(internal, hardware, module)
    version, bootloader_version = FACTORY_SYSTEM_VERSION, 1005
    if old_bootloader:
        version, bootloader_version = OLD_FACTORY_SYSTEM_VERSION, OLD_BOOTLOADER_VERSION
        install(internal, hardware, bootloader_stand_in(hardware, OLD_BOOTLOADER_VERSION))
    for module in system_stand_ins(hardware, version, bootloader_version):
        install(internal, hardware, module)
    app = app_stand_in(hardware, version)
    install(internal, hardware, app)
    if factory_image:
        slot = external if hardware.is_gen3 and external is not None else internal
        slot.load(hardware.factory_address, app)
