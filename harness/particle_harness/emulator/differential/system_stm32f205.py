"""A differential test of Device OS on boards with an STM32F205, in listening mode."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from particle_harness.emulator.differential.sides import PATIENCE_S
from particle_harness.emulator.differential.system import DFU_REQUESTED, SystemSubject

_CONFIGURATION_END, _FLASH_END = 0xC000, 0x100000
_BACKUP_1 = 0x54
"""Offset in RTC. Source: ST RM0033, RTC_BKPxR; device-os v2.1.0 hal/src/stm32f2xx/bkpreg_hal.c."""


@dataclass(slots=True)
class Stm32SystemSubject(SystemSubject):
    """One release of Device OS on a Photon or P1 that knows no network, so that it stays in listening mode."""

    first_boot_limit_s: ClassVar[float] = 15.0
    patience_s: ClassVar[float] = PATIENCE_S
    restart_every: ClassVar[int] = 20

    @property
    def compared(self) -> Mapping[str, range]:
        """All behind the pages of the configuration, which is read by DFU instead."""
        return {"internal": range(_CONFIGURATION_END, _FLASH_END)}

    def prepare(self, chip: Any) -> None:
        """Its flash takes no time, so that it need not be waited for."""
        chip.flash_takes_time = False

    def restart(self, chip: Any, *, into_dfu: bool) -> None:
        """By a software reset, over which backup registers last."""
        if into_dfu:
            chip.rtc.stored[_BACKUP_1] = DFU_REQUESTED
        chip.processor.request_reset()
