"""A differential test of Device OS on boards with an STM32F205, in listening mode."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from random import Random
from typing import Any, ClassVar

from particle_harness.emulator.conversations.acts import Act, Enumerate, Return, Wait
from particle_harness.emulator.conversations.system import USUAL_BAUD, line_coding
from particle_harness.emulator.conversations.system_stm32f205 import BusyConversation
from particle_harness.emulator.differential.sides import PATIENCE_S
from particle_harness.emulator.differential.system import DFU_REQUESTED, SystemSubject
from particle_harness.usb.cdc import LISTENING_TOUCH_BAUD

_CONFIGURATION_END, _FLASH_END = 0xC000, 0x100000
_ACTS = 60
_LISTENS_AFTER_S, _REGISTERS_AFTER_S = 1.0, 3.0
"""After the touch. Its modem is switched on before it looks."""
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


@dataclass(slots=True)
class ListeningElectron(Stm32SystemSubject):
    """One release of Device OS on an Electron, which the host has asked to listen before it has begun to register."""

    opening: ClassVar[Sequence[Act]] = (
        Enumerate(),
        line_coding(LISTENING_TOUCH_BAUD),
        Wait(_LISTENS_AFTER_S),
        line_coding(USUAL_BAUD),
    )

    @property
    def is_ready_after_s(self) -> float:
        """At once: it goes on the air a second after its start."""
        return 0.0


@dataclass(slots=True)
class RegisteringElectron(Stm32SystemSubject):
    """One release of Device OS on an Electron that registers with a network, and does nothing else meanwhile."""

    opening: ClassVar[Sequence[Act]] = (Enumerate(), Wait(_REGISTERS_AFTER_S))

    def conversation(self, seed: int) -> list[Act]:
        """A random one."""
        talk = BusyConversation(Random(seed))
        acts = talk.acts(_ACTS)
        return [*acts, *talk.touch(), Return()] if seed % self.restart_every == 0 else acts
