"""Puts the USB side of a board together for the mode it is in."""

from __future__ import annotations

from collections.abc import Callable

from particle_harness.boards import Hardware
from particle_harness.dct import Dct
from particle_harness.module_reader import read_prefix
from particle_harness.nor_flash import NorFlash
from particle_harness.usb.descriptors import dfu_era, dfu_identity
from particle_harness.usb.dfu import DfuDevice, DfuMemory, Gen2Dfu, Gen3Dfu
from particle_harness.usb.dfu_memory import (
    DctGen2,
    DctGen3,
    ExternalFlashGen3,
    InternalFlashGen2,
    InternalFlashGen3,
    SerialFlashGen2,
)


def dfu_device(
    hardware: Hardware,
    device_id: str,
    internal: NorFlash,
    external: NorFlash | None,
    dct: Dct,
    *,
    dct_is_reachable: Callable[[], bool],
    leave: Callable[[bool], None],
    detach: Callable[[], None],
) -> DfuDevice:
    """DFU mode of the bootloader that lies in ``internal``."""
    bootloader = read_prefix(internal.read, hardware.bootloader_address, hardware.mcu)
    era = dfu_era(hardware, bootloader.version if bootloader else 0)
    machine: type[DfuDevice]
    memories: tuple[DfuMemory, ...]
    if hardware.is_gen3:
        assert external is not None
        machine = Gen3Dfu
        memories = InternalFlashGen3(internal), DctGen3(dct), ExternalFlashGen3(external)
    else:
        machine = Gen2Dfu
        # The first bootloaders had configuration code of their own.
        reachable = (lambda: True) if era.gen2_first_library else dct_is_reachable
        memories = InternalFlashGen2(internal), DctGen2(dct, reachable)
        if external is not None:
            memories = (*memories, SerialFlashGen2(external))
    return machine(dfu_identity(hardware, device_id, era), era, memories, leave=leave, detach=detach)
