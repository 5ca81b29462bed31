"""The starts of a virtual board: what leads to one, and what then runs."""

from __future__ import annotations

from abc import ABC, abstractmethod

from particle_harness.agenda import Agenda
from particle_harness.boards import Hardware
from particle_harness.boot import BootDecision, BootView
from particle_harness.boot_steps import carry_out_boot, configure_user_information
from particle_harness.clock import Clock
from particle_harness.dct import Dct
from particle_harness.debug_side import DebugSide
from particle_harness.memories import Memories
from particle_harness.nor_flash import NorFlash
from particle_harness.protection import Protection
from particle_harness.radio import Radio
from particle_harness.resets import RESET_REASONS, RESET_UNKNOWN, RESET_UPDATE, Boot
from particle_harness.running import BoardSystem
from particle_harness.state import BoardState
from particle_harness.timing import BoardTiming
from particle_harness.truth import Truth
from particle_harness.usb.dfu import DfuDevice
from particle_harness.usb.port import UsbPort


class BootSide(ABC):
    """Acts on the parts of a board, which make themselves known here by name; the board's lock is held."""

    hardware: Hardware
    state: BoardState
    truth: Truth
    clock: Clock
    timing: BoardTiming
    internal: NorFlash
    dct: Dct
    protection: Protection
    _agenda: Agenda
    _debug: DebugSide
    _memories: Memories
    _port: UsbPort
    _radio: Radio
    _system: BoardSystem

    @abstractmethod
    def boot_view(self) -> BootView:
        """What the next boot would depend on."""

    # -- boot ----------------------------------------------------------------------------------------------------

    def _boot(self, at_s: float, reason: int, *, after_power_on: bool = False) -> None:
        self._debug.restart(Boot(at_s, reason, after_power_on))

    def _stop(self) -> None:
        self._radio.drop()
        self._port.detach()
        self._agenda.clear()
        self.state.net_status = self.state.cloud_status = 0
        self.state.radio_on = False

    def _start(self, boot: Boot) -> None:
        self._system.begin_boot()
        resets = configure_user_information(self.boot_view(), self._memories, is_protected=self.protection.locked)
        outcome = carry_out_boot(
            self.boot_view,
            self.internal,
            self.dct,
            self._system.firmware_update,
            after_reset=self._forget_safe_mode_request,
        )
        self.truth.boots += 1 + resets + outcome.resets
        at_s = boot.at_s + (outcome.resets + outcome.installed) * self.timing.restore_s
        self._run(outcome.decision, at_s, RESET_UPDATE if outcome.updated else boot.reason, boot.after_power_on)

    def _forget_safe_mode_request(self) -> None:
        self.state.safe_mode_requested = False

    def _run(self, decision: BootDecision, at_s: float, reason: int, after_power_on: bool) -> None:
        state, truth = self.state, self.truth
        state.start(decision, at_s, reason, is_gen2=self.hardware.is_gen2)
        usb_s = self.timing.system_usb_s
        if decision.runs == "dfu":
            truth.dfu_entries += 1
            usb_s = self.timing.bootloader_usb_s
        elif decision.runs in ("app", "safe_mode", "listening"):
            state.watchdog_armed = False
            truth.safe_mode_boots += decision.safe_mode
            truth.app_boots += not decision.safe_mode
            if self._system.asks_ncp_at_start:
                self._radio.power_on()
                state.ncp_is_known = True
            if decision.would_connect:
                self._radio.start(at_s)
        else:
            # Nothing runs that could talk: only an armed watchdog ends this.
            if state.watchdog_armed:
                self._agenda.add(at_s + self.timing.watchdog_s, "watchdog")
            return
        self._agenda.add(at_s + usb_s, "enumerate", "" if after_power_on else "reset")
        state.has_serial_port = decision.runs == "dfu" or not self.hardware.is_rtl872x
        if not state.has_serial_port:
            self._agenda.add(at_s + usb_s + self.timing.serial_port_s, "start_serial_port")

    # -- resets --------------------------------------------------------------------------------------------------

    def _restart_later(self, into: str) -> None:
        self._agenda.add(self.clock.monotonic_s() + self.timing.restart_s, "restart", into)

    def _reset_into(self, at_s: float, into: str) -> None:
        self.state.dfu_requested = into == "dfu"
        self.state.safe_mode_requested = into == "safe_mode"
        if into == "factory_reset":
            self.dct.factory_reset_requested = True
        self._boot(at_s, RESET_REASONS[into])

    def _start_leave(self, safe_mode: bool) -> None:
        argument = "safe_mode" if safe_mode else "app"
        leave_s = self.timing.rtl872x_leave_s if self.hardware.is_rtl872x else self.timing.leave_s
        self._agenda.add(self.clock.monotonic_s() + leave_s, "leave_dfu", argument)

    def _finish_leave(self, at_s: float, into: str) -> None:
        usb = self._port.device
        if isinstance(usb, DfuDevice) and usb.leaving:
            # Finish_Update() arms the watchdog of an STM32 for the boot that follows.
            self.state.watchdog_armed = self.hardware.is_gen2
            self.state.safe_mode_requested = into == "safe_mode"
            self._boot(at_s, RESET_UNKNOWN)
