"""The chips as pyOCD is told about them: without what it does on its own when it connects, and one that it lacks."""

from __future__ import annotations

import time
from typing import Any

from pyocd.core import exceptions
from pyocd.core.memory_map import FlashRegion, MemoryMap, RamRegion
from pyocd.core.session import Session
from pyocd.coresight.coresight_target import CoreSightTarget
from pyocd.target import TARGET
from pyocd.target.builtin import target_nRF52840_xxAA as pyocd_nrf52840
from pyocd.target.builtin.target_STM32F412xx import FLASH_ALGO as STM32F4_FLASH_ALGO

from particle_dev.catalog.chips import STM32F205

_APPROTECT_READINGS = 3
"""A glitch of the line reads as "protected"; a lock is believed when every reading says so.
Source: github.com/pyocd/pyOCD issue 1766."""
_AHB_AP, _CTRL_AP = 0, 1
_RESET, _ERASEALL, _ERASEALLSTATUS, _APPROTECTSTATUS = 0x00, 0x04, 0x08, 0x0C
_IDR_MASK, _NORDIC_IDR = 0x0FFFFFFF, 0x02880000
ERASE_ALL_TIMEOUT_S = 5.0
"""tERASEALL is at most 295 ms. Source: Nordic nRF52840 Product Specification v1.7, NVMC electrical specification."""


class LockedError(Exception):
    """Carries the finding out of pyOCD's start-up sequence."""


class EraseAllTimeoutError(Exception):
    """CTRL-AP stayed busy."""


def port_is_protected(target: Any) -> bool:
    """Whether CTRL-AP of an nRF52840 says in every reading that its memory is closed to debuggers."""
    port = target.dp.aps[_CTRL_AP]
    return all(port.read_reg(_APPROTECTSTATUS) == 0 for _ in range(_APPROTECT_READINGS))


class _Nrf52840(pyocd_nrf52840.NRF52840):  # type: ignore[misc]
    """pyOCD's nRF52840 without the two things it does on its own when it connects: erasing a locked chip, and writing
    UICR to keep a newer one open. Names of registers are for debuggers: to read them in takes half a second."""

    def __init__(self, session: Session) -> None:
        super().__init__(session)
        self._svd_location = None

    def check_flash_security(self) -> None:
        if port_is_protected(self):
            raise LockedError

    def persist_unlock(self) -> None:
        return


class _RecoveredNrf52840(_Nrf52840):
    """**Erases flash, UICR and RAM** when it connects, which opens a locked chip."""

    def check_flash_security(self) -> None:
        port = self.dp.aps[_CTRL_AP]
        if port.idr & _IDR_MASK != _NORDIC_IDR:
            raise exceptions.TargetError(f"access port 1 is no CTRL-AP: IDR 0x{port.idr:08x}; nothing was erased")
        port.write_reg(_ERASEALL, 1)
        end_s = time.monotonic() + ERASE_ALL_TIMEOUT_S
        while port.read_reg(_ERASEALLSTATUS) != 0:
            if time.monotonic() > end_s:
                raise EraseAllTimeoutError
        # A reset through CTRL-AP keeps the port open; one by pin or power closes it again on newer silicon.
        port.write_reg(_RESET, 1)
        port.write_reg(_RESET, 0)
        port.write_reg(_ERASEALL, 0)
        # What was found of the memory access port while it was closed does not hold any more.
        self._discoverer._create_1_ap(_AHB_AP)


class _Stm32f205(CoreSightTarget):  # type: ignore[misc]
    """STM32F205, which pyOCD lacks: its flash registers are those of STM32F4, whose algorithm runs on it."""

    VENDOR = "STMicroelectronics"

    def __init__(self, session: Session) -> None:
        regions, address = [], STM32F205.flash_start_address
        for run in STM32F205.sectors:
            size_bytes = run.count * run.size_bytes
            regions.append(
                FlashRegion(
                    start=address,
                    length=size_bytes,
                    sector_size=run.size_bytes,
                    page_size=0x1000,
                    is_boot_memory=address == STM32F205.flash_start_address,
                    algo=STM32F4_FLASH_ALGO,
                )
            )
            address += size_bytes
        regions.append(RamRegion(start=STM32F205.ram_start_address, length=STM32F205.ram_size_bytes))
        super().__init__(session, MemoryMap(*regions))


_PREFIX = "particle_"
_RECOVERED = "_recovered"
_TARGETS: dict[str, Any] = {
    "nrf52840": _Nrf52840,
    "nrf52840" + _RECOVERED: _RecoveredNrf52840,
    "stm32f205": _Stm32f205,
}
TARGET.update({_PREFIX + name: target for name, target in _TARGETS.items()})


def target_name(chip_name: str, *, recover: bool = False) -> str:
    """The name of a chip's target in pyOCD. Raises KeyError for a chip that has none such."""
    name = chip_name + _RECOVERED * recover
    return _PREFIX + name if name in _TARGETS else _TARGETS[name]
