"""User information configuration registers of nRF52840, as Particle boards use them.

Source: Nordic nRF52840 Product Specification v1.7, UICR; device-os v6.2.0 ``platform/MCU/nRF52840/src/hw_config.c``;
values of a board from the factory: particle-iot/docs ``src/assets/files/device-restore/6.2.1/boron.hex``.
"""

from __future__ import annotations

UICR_START, UICR_SIZE_BYTES = 0x10001000, 0x400
UICR_BOOTLOADER_ADDRESS = 0x10001014
"""The MBR starts what lies there."""
UICR_MBR_PARAMETERS = 0x10001018
"""Written by the bootloader itself at its first start."""
UICR_RESET_PINS = (0x10001200, 0x10001204)
UICR_APPROTECT = 0x10001208
UICR_NFC_PINS = 0x1000120C
UICR_NAMES = {
    UICR_BOOTLOADER_ADDRESS: "NRFFW[0] bootloader",
    UICR_MBR_PARAMETERS: "NRFFW[1] MBR parameters",
    UICR_RESET_PINS[0]: "PSELRESET[0]",
    UICR_RESET_PINS[1]: "PSELRESET[1]",
    UICR_APPROTECT: "APPROTECT",
    UICR_NFC_PINS: "NFCPINS",
}
FACTORY_WORDS = {UICR_BOOTLOADER_ADDRESS: 0x000F4000, UICR_RESET_PINS[0]: 0x12, UICR_RESET_PINS[1]: 0x12}
"""Without them the board does not start, or its reset pin does nothing."""
APPROTECT_OPEN = 0x5A
"""HwDisabled: what hardened silicon needs to stay open; on older silicon it locks, as everything but 0xFF does."""
APPROTECT_LOCKED_WORD = 0xFFFFFF00
"""Locks every silicon."""
APPROTECT_CLOSES = "closes the debug port for good: only erasing everything (swd recover --may-erase) opens it again"
"""What locking means for people. USB stays as it is, and no owner in the cloud can open it."""


def is_hardened(variant: str) -> bool:
    """Whether the silicon (FICR INFO.VARIANT, such as ``AAF0``) is closed unless UICR and firmware open it: build code
    F0 and later. Source: Product Specification v1.7, access port protection; github.com/nrf-rs/nrf-hal issue 420."""
    return variant[2:] >= "F0"


def locks(approtect: int, *, hardened: bool) -> bool:
    """Whether this APPROTECT closes a port that would be open without it."""
    low = approtect & 0xFF
    return low not in ((0xFF, APPROTECT_OPEN) if hardened else (0xFF,))
