"""How releases spell the product in their USB strings."""

from __future__ import annotations

from dataclasses import dataclass

from particle_harness.boards import Hardware

_DASHED_BOOTLOADERS = ((2600, 2999), (3001, 0xFFFF))
_DASHED_SYSTEMS = ((5800, 5999), (6101, 0xFFFF))


@dataclass(frozen=True, slots=True)
class NormalNames:
    """What a running device calls itself (``product``) and its interfaces (``function``)."""

    product: str
    function: str


def dfu_name(hardware: Hardware, bootloader_version: int) -> str:
    """The product in DFU mode.

    SoMs got their dashes with 5.8.0; the branch of 6.0.0 had left before. Source: device-os v1.4.4 to v6.2.0
    bootloader/src/nRF52840/usbd_device.cpp USBD_PRODUCT_NAME; hal/src/{tron,trackerm,msom}/hal_platform_config.h.
    """
    return _spelled(hardware, bootloader_version, _DASHED_BOOTLOADERS)


def normal_names(hardware: Hardware, system_version: int) -> NormalNames:
    """The product while Device OS runs.

    Source: device-os v2.1.0 to v6.2.0 hal/src/{argon,boron,b5som,tracker}/app_usbd_string_config.h;
    v6.2.0 hal/src/rtl872x/device_code.cpp get_device_usb_name.
    """
    name = _spelled(hardware, system_version, _DASHED_SYSTEMS)
    return NormalNames("B5 SOM", "B5SOM") if name == "B5 SoM" else NormalNames(name, name)


def _spelled(hardware: Hardware, version: int, dashed: tuple[tuple[int, int], ...]) -> str:
    has_dashes = not hardware.is_gen3 or any(first <= version <= last for first, last in dashed)
    return hardware.product_name if has_dashes else hardware.product_name.replace("-", " ")
