"""Puts the USB side of a board together for the mode it is in."""

from __future__ import annotations

from collections.abc import Callable

from particle_harness.boards import Hardware
from particle_harness.memories import Memories
from particle_harness.module_reader import read_prefix
from particle_harness.protection import Protection
from particle_harness.usb.cdc import NormalDevice
from particle_harness.usb.descriptors import UsbIdentity, dfu_era, dfu_identity, normal_identity
from particle_harness.usb.descriptors_rtl872x import rtl872x_dfu_era, rtl872x_dfu_identity, rtl872x_normal_identity
from particle_harness.usb.dfu import DfuDevice
from particle_harness.usb.dfu_memory import (
    DctGen2,
    DctGen3,
    ExternalFlashGen3,
    InternalFlashGen2,
    InternalFlashGen3,
    SerialFlashGen2,
)
from particle_harness.usb.dfu_nrf52840 import Gen3Dfu
from particle_harness.usb.dfu_protection import GuardedSystem, GuardedUpdates, SystemPlace
from particle_harness.usb.dfu_rtl872x import InternalFlashRtl872x, Rtl872xDfu
from particle_harness.usb.dfu_stm32f2 import Gen2Dfu
from particle_harness.usb.dfu_terms import DfuMemory
from particle_harness.usb.names import dfu_name, normal_names
from particle_harness.usb.nrf52840_system import NrfNormalDevice
from particle_harness.usb.stm32_system import Stm32NormalDevice

FIRST_SYSTEM_THAT_PROTECTS = 6000
_SYSTEM_NRF52840 = SystemPlace((0x28000, 0x30000), 0xB4000)
_SYSTEM_RTL872X = SystemPlace((0x08060000,), 0x081E0000)


def dfu_device(
    hardware: Hardware,
    device_id: str,
    memories: Memories,
    protection: Protection,
    *,
    dct_is_reachable: Callable[[], bool],
    leave: Callable[[bool], None],
    detach: Callable[[], None],
) -> DfuDevice:
    """DFU mode of the bootloader that lies in flash."""
    internal, external, dct = memories.internal, memories.external, memories.dct
    bootloader = read_prefix(internal.read, hardware.bootloader_address, hardware.mcu)
    version = bootloader.version if bootloader else 0
    name = dfu_name(hardware, version)
    if hardware.is_rtl872x:
        era = rtl872x_dfu_era(version)
        identity = rtl872x_dfu_identity(hardware, name, device_id, era)
        region = hardware.layout.ota_region(FIRST_SYSTEM_THAT_PROTECTS, internal.read)
        flash = GuardedUpdates(InternalFlashRtl872x(internal), protection, 0, region)
        system = GuardedSystem(flash, protection, hardware.mcu, _SYSTEM_RTL872X)
        rtl872x = Rtl872xDfu(identity, era, (system, DctGen3(dct)), leave=leave, detach=detach)
        rtl872x.protection = protection
        return rtl872x
    era = dfu_era(hardware, version)
    if hardware.is_gen3:
        assert external is not None
        system = GuardedSystem(InternalFlashGen3(internal), protection, hardware.mcu, _SYSTEM_NRF52840)
        region = hardware.layout.ota_region(FIRST_SYSTEM_THAT_PROTECTS, internal.read)
        updates = GuardedUpdates(ExternalFlashGen3(external), protection, ExternalFlashGen3.OFFSET, region)
        gen3 = Gen3Dfu(
            dfu_identity(hardware, name, device_id, era),
            era,
            (system, DctGen3(dct), updates),
            leave=leave,
            detach=detach,
        )
        gen3.protection = protection
        return gen3
    # The first bootloaders had configuration code of their own, and an Electron's still has.
    own_code = era.gen2_first_library or hardware.name == "electron"
    configuration = (
        DctGen2(dct, lambda: True) if own_code else DctGen2(dct, dct_is_reachable, end_address=DctGen2.SYSTEM_PARTS_END)
    )
    alternates: tuple[DfuMemory, ...] = (InternalFlashGen2(internal), configuration)
    if external is not None:
        alternates = (*alternates, SerialFlashGen2(external))
    return Gen2Dfu(dfu_identity(hardware, name, device_id, era), era, alternates, leave=leave, detach=detach)


def running_identity(hardware: Hardware, device_id: str, system_version: int, *, has_serial_port: bool) -> UsbIdentity:
    """Descriptors of a board on which Device OS runs. Only RTL872x boards are ever seen without their serial port."""
    names = normal_names(hardware, system_version)
    if hardware.is_rtl872x:
        return rtl872x_normal_identity(hardware, names.product, device_id, has_serial_port=has_serial_port)
    return normal_identity(hardware, names, device_id)


def running_kind(hardware: Hardware) -> type[NormalDevice]:
    """How the controller of such a board handles what a running Device OS is sent."""
    if hardware.is_gen3:
        return NrfNormalDevice
    return Stm32NormalDevice if hardware.is_gen2 else NormalDevice
