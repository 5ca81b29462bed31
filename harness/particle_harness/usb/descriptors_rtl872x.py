"""Descriptors of RTL872x boards in both USB modes. No recording of a real one was there to check them against.

Source: device-os v6.2.0 bootloader/src/rtl872x/{usb_hal.cpp,usbd_dfu.h,usbd_dfu_mal.h},
hal/src/rtl872x/{usb_hal.cpp,usbd_device.cpp,usbd_cdc.cpp,usbd_control.cpp,usbd_driver.cpp getEndpointMask}.
What the vendor's closed library answers by itself (GET_STATUS) is assumed from the descriptors.
"""

from __future__ import annotations

from particle_harness.boards import Hardware
from particle_harness.usb.descriptors import (
    DFU_GUID,
    LANGUAGES,
    MS_OS_STRING,
    MS_OS_STRING_INDEX,
    NORMAL_GUID,
    DfuEra,
    UsbIdentity,
    configuration_descriptor,
    device_descriptor,
    dfu_functional,
    endpoint,
    interface,
    string_descriptor,
)

_CONFIGURATION, _FIRST_INTERFACE = 4, 5  # string indexes
_ALTERNATES = ("@Internal Flash   /0x08000000/2048*004Kg", "@DCT Flash   /0x00000000/1*016Ke")
_RTL_2X = DfuEra(0x0252, dct_name="@DCT Flash", ms_os_string_twice=False)
_RTL_611 = DfuEra(0x0252, b"\x00\x21\x41\xfa", "@DCT Flash", ms_os_string_twice=False)
_RTL_62 = DfuEra(0x0252, b"\x00\x21\x41\xfa\xfb", "@DCT Flash", ms_os_string_twice=False)


def rtl872x_dfu_era(bootloader_version: int) -> DfuEra:
    """How the bootloader of that version behaves. Source: usbd_dfu.cpp at v5.0.0 to v6.2.0."""
    eras = ((3100, _RTL_62), (3001, _RTL_611))
    return next((era for first, era in eras if bootloader_version >= first), _RTL_2X)


def rtl872x_dfu_identity(hardware: Hardware, name: str, serial: str, era: DfuEra) -> UsbIdentity:
    """Two alternate settings; their strings begin at 5."""
    body = b"".join(interface(0, alt, 0, (0xFE, 1, 2), _FIRST_INTERFACE + alt) for alt in range(len(_ALTERNATES)))
    texts = {_FIRST_INTERFACE + alt: text for alt, text in enumerate(_ALTERNATES)}
    usb = hardware.platform.usb_dfu
    assert usb is not None
    return UsbIdentity(
        device=device_descriptor(usb.vid, usb.pid, era.bcd_device),
        configuration=configuration_descriptor(
            body + dfu_functional(), 1, string=_CONFIGURATION, attributes=0xC0, max_power_ma=100
        ),
        strings=_strings(f"{name} DFU Mode", serial, texts),
        ms_os_compat_interface=0,
        ms_os_guid=DFU_GUID,
        ms_os_properties_value=0,
        self_powered_status=1,
    )


def rtl872x_normal_identity(hardware: Hardware, name: str, serial: str, *, has_serial_port: bool) -> UsbIdentity:
    """The control interface comes first. The serial port joins it when the system has started it, after a second
    enumeration."""
    body = interface(0, 0, 0, (0xFF, 0xFF, 0xFF), _FIRST_INTERFACE)
    texts = {_FIRST_INTERFACE: f"{name} Control Interface"}
    if has_serial_port:
        body += bytes([8, 0x0B, 1, 2, 2, 2, 1, _FIRST_INTERFACE + 1])
        body += interface(1, 0, 1, (2, 2, 1), _FIRST_INTERFACE + 1)
        body += bytes([5, 0x24, 0, 0x10, 1, 5, 0x24, 1, 0, 2, 4, 0x24, 2, 2, 5, 0x24, 6, 1, 2])
        body += endpoint(0x81, 3, 8, 16) + interface(2, 0, 2, (0x0A, 0, 0), _FIRST_INTERFACE + 1)
        body += endpoint(0x02, 2, 64, 16) + endpoint(0x83, 2, 64, 16)
        texts[_FIRST_INTERFACE + 1] = f"{name} USB Serial"
    usb = hardware.platform.usb_normal
    assert usb is not None
    return UsbIdentity(
        device=device_descriptor(usb.vid, usb.pid, 0x0251, (0xEF, 2, 1)),
        configuration=configuration_descriptor(
            body, 3 if has_serial_port else 1, string=_CONFIGURATION, attributes=0x80, max_power_ma=500
        ),
        strings=_strings(name, serial, texts),
        ms_os_compat_interface=0,
        ms_os_guid=NORMAL_GUID,
        ms_os_properties_value=0,
    )


def _strings(product: str, serial: str, texts: dict[int, str]) -> dict[int, bytes]:
    texts = {1: "Particle", 2: product, 3: serial, _CONFIGURATION: product, **texts}
    return {
        **{index: string_descriptor(text) for index, text in texts.items()},
        0: LANGUAGES,
        MS_OS_STRING_INDEX: MS_OS_STRING,
    }
