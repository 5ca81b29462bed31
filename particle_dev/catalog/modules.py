"""Numbers and names of the firmware module format that boards, files and cloud share.

Source: device-os v6.2.0 ``dynalib/inc/module_info.h`` (functions, flags) and
``hal/inc/ota_flash_hal.h`` (stores, validity); function 9: same header, ``MODULE_FUNCTION_ASSET``.
"""

from __future__ import annotations

from enum import IntEnum, IntFlag


class ModuleFunction(IntEnum):
    """What a module is (prefix byte 14). ``label`` is the word for people."""

    NONE = 0
    RESOURCE = 1
    BOOTLOADER = 2
    MONO_FIRMWARE = 3
    SYSTEM_PART = 4
    USER_PART = 5
    SETTINGS = 6
    NCP_FIRMWARE = 7
    RADIO_STACK = 8
    ASSET = 9

    @property
    def label(self) -> str:
        """The name as people say it: ``system part``, ``radio stack``, ``NCP firmware``."""
        return "NCP firmware" if self is ModuleFunction.NCP_FIRMWARE else self.name.lower().replace("_", " ")


WRITTEN_OVER_DFU = (ModuleFunction.SYSTEM_PART, ModuleFunction.USER_PART, ModuleFunction.MONO_FIRMWARE)
"""What a host writes to its place over DFU. Half of anything else might leave a board without USB."""
COPIED_BY_BOOTLOADER = (ModuleFunction.BOOTLOADER, ModuleFunction.RADIO_STACK)
"""What the bootloader of an nRF52840 copies to its place (see flash.bootloader_copies)."""
INSTALLED_BY_BOARD = (*COPIED_BY_BOOTLOADER, ModuleFunction.NCP_FIRMWARE)
"""Firmware that only the board itself puts into its place."""
APPLICATIONS = (ModuleFunction.USER_PART, ModuleFunction.MONO_FIRMWARE)
"""What is, or holds, an application."""


class ModuleFlag(IntFlag):
    """How a module is stored in its file (prefix byte 9)."""

    DROP_MODULE_INFO = 0x01
    """The prefix is not written to the target; the data after it starts at the start address."""
    COMPRESSED = 0x02
    COMBINED = 0x04
    """Another module follows in the same file."""
    ENCRYPTED = 0x08
    PREFIX_EXTENSIONS = 0x10
    """TLV extensions follow the 24-byte prefix."""


class ModuleStore(IntEnum):
    """Where on the device a reported module lies."""

    MAIN = 0
    FACTORY = 1
    BACKUP = 2
    SCRATCHPAD = 3


class ModuleValidity(IntFlag):
    """Checks a device made on a module; it is good when the checked and passed sets are equal."""

    INTEGRITY = 0x02
    DEPENDENCIES = 0x04
    RANGE = 0x08
    PLATFORM = 0x10
    PRODUCT = 0x20
    DEPENDENCIES_FULL = 0x40
