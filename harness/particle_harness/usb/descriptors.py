"""Descriptors and strings of Particle devices in both USB modes, byte by byte.

Checked against recordings of Particle's own firmware (tests/golden/usb) where there is one; otherwise from the
sources named at each function.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from particle_harness.boards import MIB, Hardware
from particle_harness.usb.names import NormalNames

DEVICE, CONFIGURATION, STRING, INTERFACE, ENDPOINT = 1, 2, 3, 4, 5
DFU_FUNCTIONAL = 0x21
MS_OS_STRING_INDEX = 0xEE
MS_OS_VENDOR_CODE = 0xEE
TRANSFER_SIZE_BYTES = 4096
LANGUAGES = b"\x04\x03\x09\x04"
MS_OS_STRING = b"\x12\x03" + "MSFT100".encode("utf-16-le") + bytes([MS_OS_VENDOR_CODE, 0])
NORMAL_GUID = "{20b6cfa4-6dc7-468a-a8db-faa7c23ddea5}"
DFU_GUID = "{37fb5f90-1a34-4929-933b-8a27e1850033}"


@dataclass(frozen=True, slots=True)
class UsbIdentity:
    """What a device tells about itself before anyone asks more."""

    device: bytes
    configuration: bytes
    strings: Mapping[int, bytes]
    ms_os_compat_interface: int | None
    """Interface of the Extended Compat ID descriptor; None where the request stalls."""
    ms_os_guid: str
    ms_os_properties_value: int
    """wValue (low byte) that the extended properties request needs; others get ten zero bytes."""
    self_powered_status: int = 0


def string_descriptor(text: str) -> bytes:
    """A string descriptor."""
    data = text.encode("utf-16-le")
    return bytes([len(data) + 2, STRING]) + data


def device_descriptor(vid: int, pid: int, bcd_device: int, device_class: tuple[int, int, int] = (0, 0, 0)) -> bytes:
    """USB 2.0, 64-byte endpoint 0, strings 1 to 3, one configuration."""
    return struct.pack("<BBHBBBBHHHBBBB", 18, DEVICE, 0x0200, *device_class, 64, vid, pid, bcd_device, 1, 2, 3, 1)


def configuration_descriptor(body: bytes, interfaces: int, *, string: int, attributes: int, max_power_ma: int) -> bytes:
    """A configuration of value 1 around ``body``."""
    head = struct.pack(
        "<BBHBBBBB", 9, CONFIGURATION, 9 + len(body), interfaces, 1, string, attributes, max_power_ma // 2
    )
    return head + body


def interface(number: int, alt: int, endpoints: int, triple: tuple[int, int, int], string: int) -> bytes:
    """An interface descriptor; ``triple`` is class, subclass and protocol."""
    return bytes([9, INTERFACE, number, alt, endpoints, *triple, string])


def endpoint(address: int, kind: int, size: int, interval: int) -> bytes:
    """An endpoint descriptor; ``kind`` is 2 for bulk and 3 for interrupt."""
    return struct.pack("<BBBBHB", 7, ENDPOINT, address, kind, size, interval)


def ms_os_compat_id(interface: int) -> bytes:
    """Microsoft OS 1.0 Extended Compat ID: WINUSB for one interface."""
    head = struct.pack("<IHHB7x", 40, 0x0100, 4, 1)
    return head + bytes([interface, 1]) + b"WINUSB\0\0" + bytes(8) + bytes(6)


def ms_os_properties(guid: str) -> bytes:
    """Microsoft OS 1.0 Extended Properties: one list of DeviceInterfaceGUIDs (REG_MULTI_SZ).

    Source: device-os v2.1.0 hal/src/nRF52840/usbd_wcid.h, the same file of the STM32F2xx and v6.2.0's of RTL872x.
    """
    name = "DeviceInterfaceGUIDs\0".encode("utf-16-le")
    value = (guid + "\0\0").encode("utf-16-le")
    prop = struct.pack("<IIH", 14 + len(name) + len(value), 7, len(name)) + name
    prop += struct.pack("<I", len(value)) + value
    return struct.pack("<IHHH", 10 + len(prop), 0x0100, 5, 1) + prop


def descriptors_of(configuration: bytes) -> Iterator[bytes]:
    """The descriptors that a configuration consists of, one by one."""
    rest = configuration
    while rest:
        yield rest[: rest[0]]
        rest = rest[rest[0] :]


def endpoint_kinds(configuration: bytes) -> dict[int, int]:
    """Transfer type (2 bulk, 3 interrupt) by endpoint address."""
    return {d[2]: d[3] & 3 for d in descriptors_of(configuration) if d[1] == ENDPOINT}


_INTERNAL_GEN3 = "@Internal Flash   /0x00000000/1*004Ka,47*004Kg,192*004Kg,4*004Kg,4*004Kg,8*004Ka"
_INTERNAL_GEN2 = "@Internal Flash   /0x08000000/03*016Ka,01*016Kg,01*064Kg,07*128Kg"


@dataclass(frozen=True, slots=True)
class DfuEra:
    """What changed between bootloaders, as far as a host can tell.

    ``commands``: the reply to UPLOAD block 0. ``dct_name``: how the string of setting 1 begins.
    ``ms_os_string_twice``: the Microsoft string carries two headers.
    """

    bcd_device: int
    commands: bytes = b"\x00\x21\x41"
    dct_name: str = "@DCD Flash"
    external_8_mib: str = "2048*004Kg"
    ms_os_compat: bool = True
    ms_os_string_twice: bool = False
    manufacturer: str = "Particle"
    gen2_strings: tuple[str, str] = ("DFU", "DFU")
    gen2_first_library: bool = False
    """The Photon's first DFU code: other poll times and a visible manifest state."""


_GEN3_2X = DfuEra(0x0251, external_8_mib="1024*008Kg")
_GEN3_4X = DfuEra(0x0251)
_GEN3_56 = DfuEra(0x0251, dct_name="@DCT Flash")
_GEN3_611 = DfuEra(0x0251, b"\x00\x21\x41\xfa", "@DCT Flash")
_GEN3_62 = DfuEra(0x0251, b"\x00\x21\x41\xfa\xfb", "@DCT Flash")
_GEN3_08 = DfuEra(0x0250, ms_os_compat=False, ms_os_string_twice=True)
_GEN2_2X = DfuEra(0x0250)
_GEN2_FIRST = DfuEra(
    0x0200,
    ms_os_compat=False,
    manufacturer="Spark Devices",
    gen2_strings=("DFU Config", "DFU Interface"),
    gen2_first_library=True,
)


def dfu_era(hardware: Hardware, bootloader_version: int) -> DfuEra:
    """How the bootloader of that version behaves.

    Source: device-os bootloader/src/nRF52840/usbd_dfu*.{h,cpp} and usbd_device.cpp at v0.9.0 to v6.2.0 (versions:
    modules/shared/system_module_version.mk), v2.1.0 bootloader/src/stm32f2xx/usbd_desc.c; recordings for 0.8.0 on
    Gen 3, 5.6.0 on Gen 3 and the first Photon bootloaders.
    """
    if hardware.is_gen2:
        return _GEN2_2X if bootloader_version >= 100 else _GEN2_FIRST
    # The 8 MiB string follows the branch a release was cut from, so 2.3 and 3.1 have it and 3.0 has not.
    eras = ((3100, _GEN3_62), (3001, _GEN3_611), (2200, _GEN3_56), (1006, _GEN3_4X), (300, _GEN3_2X))
    return next((era for first, era in eras if bootloader_version >= first), _GEN3_08)


def dfu_identity(hardware: Hardware, name: str, serial: str, era: DfuEra) -> UsbIdentity:
    """Descriptors in DFU mode.

    Source: device-os v2.1.0 bootloader/src/nRF52840/usbd_dfu.h and usbd_device.cpp;
    bootloader/src/stm32f2xx/usbd_desc.c, platform/MCU/STM32F2xx/STM32_USB_Device_Driver/src/usbd_dfu_core.c.
    """
    product = f"{name} DFU Mode"
    names = _alternate_names(hardware, era)
    gen2_configuration, gen2_interface = era.gen2_strings
    texts = {
        1: era.manufacturer,
        2: product,
        3: serial,
        4: product if hardware.is_gen3 else gen2_configuration,
        5: product if hardware.is_gen3 else gen2_interface,
        **{6 + alt: name for alt, name in enumerate(names)},
    }
    strings = {index: string_descriptor(text) for index, text in texts.items()}
    strings[0] = LANGUAGES
    if hardware.is_gen3 and era.ms_os_string_twice:
        strings[MS_OS_STRING_INDEX] = bytes([len(MS_OS_STRING) + 2, STRING]) + MS_OS_STRING
    elif not era.gen2_first_library:
        strings[MS_OS_STRING_INDEX] = MS_OS_STRING
    body = b"".join(interface(0, alt, 0, (0xFE, 1, 2), 6 + alt) for alt in range(len(names)))
    body += dfu_functional()
    usb = hardware.platform.usb_dfu
    assert usb is not None
    return UsbIdentity(
        device=device_descriptor(usb.vid, usb.pid, era.bcd_device),
        configuration=configuration_descriptor(
            body, 1, string=4 if hardware.is_gen3 else 2, attributes=0xC0, max_power_ma=100
        ),
        strings=strings,
        ms_os_compat_interface=0 if era.ms_os_compat else None,
        ms_os_guid=DFU_GUID,
        ms_os_properties_value=0,
        self_powered_status=0 if hardware.is_gen3 else 1,
    )


def dfu_functional() -> bytes:
    """DFU functional descriptor: download, upload, will detach; 255 ms; 4096 bytes; DfuSe 1.1a."""
    return struct.pack("<BBBHHH", 9, DFU_FUNCTIONAL, 0x0B, 255, TRANSFER_SIZE_BYTES, 0x011A)


def _alternate_names(hardware: Hardware, era: DfuEra) -> tuple[str, ...]:
    if hardware.is_gen3:
        big = hardware.external_flash_size_bytes > 4 * MIB
        external = era.external_8_mib if big else "1024*004Kg"
        return (
            _INTERNAL_GEN3,
            f"{era.dct_name}   /0x00000000/1*016Ke",
            f"@External Flash   /0x80000000/{external}",
        )
    names = (_INTERNAL_GEN2, "@DCT Flash   /0x00000000/01*016Kg")
    return (*names, "@Serial Flash   /0x00000000/256*004Kg") if hardware.external_flash_size_bytes else names


def normal_identity(hardware: Hardware, names: NormalNames, serial: str) -> UsbIdentity:
    """Descriptors while the application, safe mode or listening mode runs.

    Source: a recording of Device OS 4.1.0 on an Argon; device-os v2.1.0
    platform/MCU/STM32F2xx/SPARK_Firmware_Driver/src/{usbd_composite.c,usbd_mcdc.c}, hal/src/photon/usbd_desc_device.h.
    """
    name = names.function
    texts = {1: "Particle", 3: serial}
    if hardware.is_gen3:
        texts |= {
            2: f"{names.product} CDC Mode",
            4: "Default configuration",
            5: f"{name} Serial",
            6: f"{name} Control Interface",
        }
        function_string, data_string, control_string = 0, 0, 6
        data = endpoint(0x81, 2, 64, 0) + endpoint(0x01, 2, 64, 0)
        notify, call_capabilities, bcd_device = endpoint(0x82, 3, 64, 16), 3, 0x0102
        attributes, max_power_ma = 0xC0, 500
    else:
        texts |= {2: name, 4: "Composite", 5: "", 9: f"{name} Control Interface", 10: f"{name} Serial"}
        function_string, data_string, control_string = 10, 10, 9
        # A Photon is on the high-speed port.
        interval = 16 if hardware.name == "photon" else 255
        data = endpoint(0x01, 2, 64, interval) + endpoint(0x81, 2, 64, 0)
        notify, call_capabilities, bcd_device = endpoint(0x83, 3, 8, interval), 0, 0x0250
        attributes, max_power_ma = 0x80, 100
    body = bytes([8, 0x0B, 0, 2, 2, 2, 1, function_string])
    body += interface(0, 0, 1, (2, 2, 1), function_string)
    body += bytes([5, 0x24, 0, 0x10, 1, 5, 0x24, 1, call_capabilities, 1, 4, 0x24, 2, 2, 5, 0x24, 6, 0, 1])
    body += notify + interface(1, 0, 2, (0x0A, 0, 0), data_string) + data
    body += interface(2, 0, 0, (0xFF, 0xFF, 0xFF), control_string)
    strings = {index: string_descriptor(text) for index, text in texts.items()}
    strings |= {0: LANGUAGES, MS_OS_STRING_INDEX: MS_OS_STRING}
    usb = hardware.platform.usb_normal
    assert usb is not None
    return UsbIdentity(
        device=device_descriptor(usb.vid, usb.pid, bcd_device, (0xEF, 2, 1)),
        configuration=configuration_descriptor(body, 3, string=4, attributes=attributes, max_power_ma=max_power_ma),
        strings=strings,
        ms_os_compat_interface=2,
        ms_os_guid=NORMAL_GUID,
        ms_os_properties_value=2,
        self_powered_status=1,
    )
