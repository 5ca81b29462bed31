"""The board's controller as a debug probe sees it: its core runs the firmware, which is a model, or stands still.

Made when somebody first asks for the chip, so that boards without a probe need no Unicorn.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from particle_harness.agenda import Agenda
from particle_harness.boards import Hardware
from particle_harness.faults import Fault, FaultScript
from particle_harness.memories import Memories
from particle_harness.resets import RESET_PIN, RESET_UNKNOWN, Boot
from particle_harness.state import BoardState
from particle_harness.user_information import reset_pin_is_selected

if TYPE_CHECKING:
    # The emulator is an extra of its own.
    from particle_harness.swd.chip import Chip

DFU_WORD, SAFE_MODE_WORD = 0xEDFA, 0x5AFE
"""Backup register 1 when DFU or safe mode is wanted. Source: device-os v6.2.0 bootloader/src/main.c."""


@dataclass(frozen=True, slots=True)
class BoardActs:
    """What the board does for its core. ``start``: follow the boot rules. ``stop``: leave the bus, forget what was to
    come. ``opens_debug_port``: whether the bootloader in flash would. ``cut_power``: by that fault."""

    advance: Callable[[], None]
    start: Callable[[Boot], None]
    stop: Callable[[], None]
    save: Callable[[], None]
    opens_debug_port: Callable[[], bool]
    cut_power: Callable[[Fault], None]


class DebugSide:
    """Between a board and its chip; ``lock`` is the board's and becomes the chip's."""

    def __init__(
        self,
        hardware: Hardware,
        silicon: str,
        state: BoardState,
        memories: Memories,
        agenda: Agenda,
        faults: FaultScript,
        lock: threading.RLock,
        *,
        now_s: Callable[[], float],
        acts: BoardActs,
    ) -> None:
        self._hardware = hardware
        self._silicon = silicon
        self._state = state
        self._memories = memories
        self._agenda = agenda
        self._faults = faults
        self._lock = lock
        self._now_s = now_s
        self._acts = acts
        self._chip: Chip | None = None
        self._boot: Boot | None = None
        self._known_word: int | None = None
        self._flash_when_halted = (0, 0)

    # ---- the chip ---------------------------------------------------------------------------------------------------

    def chip(self) -> Chip:
        """The chip, with the board's flash."""
        if self._chip is None:
            from particle_harness.swd.board_chip import make_chip  # noqa: PLC0415  # needs the emulator

            state = self._state
            chip = self._chip = make_chip(self._hardware, state.device_id, self._silicon, self._memories, self._faults)
            chip.lock = self._lock
            chip.debug_port.on_transfer = self._on_transfer
            chip.core.hangs = lambda: self._faults.count("algorithm") is not None
            chip.core.after_reset = self._after_reset
            chip.core.adopt(self, runs=state.powered, halted=state.halted_at_s is not None)
            if state.powered and state.debug_port_open:
                chip.open_debug_port()
            self._put_word()
        return self._chip

    def _on_transfer(self, count: int) -> None:
        from particle_harness.swd.wire_faults import spoil_transfers  # noqa: PLC0415  # needs the emulator

        assert self._chip is not None
        self._acts.advance()
        self._cut_power_if_due()
        spoil_transfers(
            self._chip.debug_port,
            self._faults,
            count,
            cut_power=self._acts.cut_power,
            is_powered=lambda: self._state.powered,
        )

    def _cut_power_if_due(self) -> None:
        fault = self._faults.take_power_cut()
        if fault is not None:
            self._acts.cut_power(fault)

    # ---- what the board does ----------------------------------------------------------------------------------------

    def restart(self, boot: Boot) -> None:
        """Reset the core, or power it up; the board starts unless a debugger holds its core."""
        chip = self._chip
        if boot.reason == RESET_PIN and not self._reset_pin_works():
            return
        self._state.halted_at_s = None
        if boot.after_power_on or boot.reason == RESET_PIN:
            self._state.debug_port_open = False
        if chip is None:
            self._acts.stop()
            self._start(boot)
            return
        self._boot = boot
        self._put_word()
        if boot.after_power_on:
            chip.power_on()
        elif boot.reason == RESET_PIN:
            chip.pin_reset()
        else:
            chip.core.reset()
        self._boot = None

    def _reset_pin_works(self) -> bool:
        if self._chip is not None:
            return self._chip.reset_pin_works
        return self._memories.uicr is None or reset_pin_is_selected(self._memories.uicr)

    def lose_power(self) -> None:
        """The supply goes."""
        self._state.halted_at_s = None
        self._state.debug_port_open = False
        if self._chip is not None:
            self._chip.power_off()

    def keep(self) -> None:
        """Note in the board's state what the next process must know."""
        if self._chip is not None and self._state.powered:
            self._take_word()
            self._state.debug_port_open = self._chip.debug_port_was_opened

    # ---- what the core does -----------------------------------------------------------------------------------------

    def _after_reset(self) -> None:
        """USB is off, RAM that the system used means nothing."""
        self._acts.stop()
        self._state.runs = "booting"
        self._state.halted_at_s = self._now_s()
        self._acts.save()

    def run(self) -> None:
        """After a reset the board boots; else it goes on, unless its flash is no longer what it was."""
        state = self._state
        halted_at_s, state.halted_at_s = state.halted_at_s, None
        if state.runs == "booting":
            self._start(self._boot or Boot(self._now_s(), RESET_UNKNOWN))
        elif halted_at_s is not None:
            self._agenda.shift(self._now_s() - halted_at_s)
            if self._flash_when_halted != self._flash_operations():
                self._acts.stop()
                state.runs = "hung"
                state.reasons = ["went on after a halt in flash that was written meanwhile"]
        self._acts.save()

    def halt(self) -> None:
        """Code stands still: nobody serves USB or radio."""
        self._acts.advance()
        self._state.halted_at_s = self._now_s()
        self._flash_when_halted = self._flash_operations()
        self._acts.save()

    def _start(self, boot: Boot) -> None:
        if self._chip is not None:
            self._take_word()
        self._acts.start(boot)
        if self._acts.opens_debug_port():
            self._state.debug_port_open = True
            if self._chip is not None:
                self._chip.open_debug_port()
        self._put_word()

    def _flash_operations(self) -> tuple[int, int]:
        return self._memories.internal.erases, self._memories.internal.programs

    # ---- backup register 1 ------------------------------------------------------------------------------------------

    def _put_word(self) -> None:
        """Into the chip, where the board has changed it."""
        state = self._state
        word = DFU_WORD if state.dfu_requested else SAFE_MODE_WORD if state.safe_mode_requested else 0
        if self._chip is not None and word != self._known_word:
            self._chip.retained_word = self._known_word = word

    def _take_word(self) -> None:
        """Out of the chip, where somebody else has changed it."""
        assert self._chip is not None
        word = self._chip.retained_word
        if word != self._known_word:
            self._known_word = word
            self._state.dfu_requested, self._state.safe_mode_requested = word == DFU_WORD, word == SAFE_MODE_WORD
