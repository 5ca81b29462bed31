"""DFU mode of nRF52840 boards.

Source: device-os v2.1.0 bootloader/src/nRF52840/usbd_dfu.cpp, usbd_dfu_mal.cpp.
"""

from __future__ import annotations

from typing import Any

from particle_harness.protection import Protection
from particle_harness.usb.descriptors import DFU_FUNCTIONAL, TRANSFER_SIZE_BYTES, dfu_functional, string_descriptor
from particle_harness.usb.dfu import DfuDevice
from particle_harness.usb.dfu_protection import (
    REFUSED_TEXT,
    STATE_STRING_INDEX,
    ProtectedError,
    closed_name,
    state_text,
)
from particle_harness.usb.dfu_terms import Command, DfuRegisters, Request, State, Status
from particle_harness.usb.nrf52840_requests import NrfUsbDevice
from particle_harness.usb.transfer import TYPE_CLASS, Setup, SilentError, StallError


class Gen3Dfu(DfuDevice, NrfUsbDevice):
    """nRF52840: every request in the wrong state stalls and ends in dfuERROR; work follows the DNBUSY reply, and what
    fails stalls the status stage of that GETSTATUS.

    (The firmware first allows the status stage, then stalls it: a host that asks for it within those microseconds is
    told nothing yet.)
    """

    error_string_index = 10
    stalls_failed_work = True
    protection: Protection | None = None
    """Set by who builds the device for a bootloader that knows device protection."""

    _buffer: bytearray

    def __init__(self, *arguments: Any, **more: Any) -> None:
        super().__init__(*arguments, **more)
        self._buffer = bytearray(TRANSFER_SIZE_BYTES)

    @property
    def locked(self) -> bool:
        """Whether protection closes the board now."""
        return self.protection is not None and self.protection.locked

    def string(self, index: int) -> bytes | None:
        """A string descriptor; a locked board spells its alternate settings differently."""
        if index == STATE_STRING_INDEX and Command.CLEAR_SECURITY_MODE_OVERRIDE in self.era.commands:
            return string_descriptor(state_text(self.protection))
        if index == self.error_string_index:
            return string_descriptor(REFUSED_TEXT) if self.registers.string_index else None
        found = super().string(index)
        text = found[2:].decode("utf-16-le") if found else ""
        return string_descriptor(closed_name(text)) if self.locked and text.startswith("@") else found

    def on_configured(self) -> None:
        """The class driver starts anew."""
        self.registers = DfuRegisters()

    @property
    def leaving(self) -> bool:
        """Whether the countdown to the reset still runs: any wrong request has stopped it."""
        return self.registers.state == State.MANIFEST_WAIT_RESET

    def class_request(self, setup: Setup, data: bytes) -> bytes:
        """DFU requests."""
        state = self.registers.state
        match setup.b_request:
            case Request.DNLOAD:
                self._require(state in (State.IDLE, State.DNLOAD_IDLE))
                self._accept_block(setup, data)
                return b""
            case Request.UPLOAD:
                self._require(state in (State.IDLE, State.UPLOAD_IDLE))
                return self._upload(setup)
            case Request.GETSTATUS:
                return self._get_status()
            case Request.CLRSTATUS:
                self._require(state == State.ERROR)
                self._enter(State.IDLE, Status.OK)
                return b""
            case Request.GETSTATE:
                self._require(state not in (State.DNBUSY, State.MANIFEST, State.MANIFEST_WAIT_RESET))
                return bytes([state])
            case Request.ABORT | Request.DETACH:
                idle_again = (State.IDLE, State.DNLOAD_SYNC, State.DNLOAD_IDLE, State.MANIFEST_SYNC, State.UPLOAD_IDLE)
                self._require(state in idle_again)
                self._enter(State.IDLE, Status.OK)
                self.registers.block, self.registers.data = 0, b""
                if setup.b_request == Request.DETACH:
                    self._detach()
                return b""
        raise StallError

    def data_stage_done(self, setup: Setup) -> None:
        """The reply to GETSTATUS has gone out: now the flash is touched, or the countdown starts."""
        if not setup.is_in:
            return
        if self.registers.state == State.DNBUSY:
            self._work()
            r = self.registers
            # Refusals of a protected device do not stall.
            if self.stalls_failed_work and r.state == State.ERROR and r.status != Status.VENDOR:
                raise StallError
        elif self.registers.state == State.MANIFEST:
            self._enter(State.MANIFEST_WAIT_RESET)
            # The host was told dfuMANIFEST; the last status block is not sent again.
            self._leave(self.registers.data[:1] == bytes([Command.ENTER_SAFE_MODE]))

    def class_descriptor(self, kind: int) -> bytes:
        """The functional descriptor by itself; others are neither sent nor refused."""
        if kind != DFU_FUNCTIONAL:
            raise SilentError
        return dfu_functional()

    def data_announced(self, setup: Setup, arrived: bytes) -> None:
        """The state changes at SETUP; behind what has arrived, the buffer still holds what came before."""
        if setup.kind == TYPE_CLASS and setup.b_request == Request.DNLOAD:
            self._require(self.configured and self.registers.state in (State.IDLE, State.DNLOAD_IDLE))
            self._accept_block(setup, arrived + bytes(self._buffer[len(arrived) : setup.w_length]))

    def _accept_block(self, setup: Setup, data: bytes) -> None:
        self.registers.block, self.registers.data = setup.w_value, data
        self._buffer[: len(data)] = data
        self._enter(State.DNLOAD_SYNC if setup.w_length else State.MANIFEST_SYNC)

    def _upload(self, setup: Setup) -> bytes:
        if setup.w_value == 0:
            self._enter(State.IDLE)
            self._buffer[: len(self.era.commands)] = self.era.commands
            return self.era.commands
        self._require(setup.w_value > 1)
        if self.locked:
            self._refuse()
            return b""
        data = self.memory.read(self._block_address(setup.w_value), setup.w_length)
        if data is None:
            self._fail(Status.UNKNOWN)
            raise StallError
        self._enter(State.UPLOAD_IDLE)
        # What a memory does not give is what the buffer held.
        self._buffer[: len(data)] = data
        return bytes(self._buffer[: setup.w_length])

    def _get_status(self) -> bytes:
        state = self.registers.state
        self._require(state not in (State.DNBUSY, State.MANIFEST_WAIT_RESET))
        if state == State.DNLOAD_SYNC:
            self._enter(State.DNBUSY)
            self.registers.poll_timeout_ms = 0
            if self.locked and not self._passes_protection():
                self._refuse()
        elif state == State.MANIFEST_SYNC:
            self._enter(State.MANIFEST, Status.OK)
        return self._status_reply()

    def _work(self) -> None:
        r = self.registers
        if r.block == 0:
            self._command(r.data)
        elif r.block > 1:
            try:
                self._finish(self.memory.write(self._block_address(r.block), r.data))
            except ProtectedError:
                self._refuse()
        else:
            self._fail(Status.TARGET)

    def _command(self, data: bytes) -> None:
        argument = int.from_bytes(data[1:5], "little") if len(data) == 5 else None
        match data[0]:
            case Command.GET_COMMANDS:
                pass  # The firmware forgets to leave dfuDNBUSY.
            case Command.SET_ADDRESS:
                if argument is not None:
                    self.registers.address = argument
                self._finish(argument is not None)
            case Command.ERASE if len(data) == 1:
                self._fail(Status.TARGET)
            case Command.ERASE:
                self._finish(argument is not None and self.memory.erase(argument))
            case Command.READ_UNPROTECT:
                self._fail(Status.UNKNOWN)
            case command if command == Command.ENTER_SAFE_MODE and command in self.era.commands:
                self._enter(State.MANIFEST_SYNC, Status.OK)
            case command if command == Command.CLEAR_SECURITY_MODE_OVERRIDE and command in self.era.commands:
                if self.protection is not None:
                    self.protection.lock()
                self._finish(True)
            case _:
                self._fail(Status.STALLED_PACKET)

    def _finish(self, ok: bool) -> None:
        if ok:
            self._enter(State.DNLOAD_IDLE, Status.OK)
        else:
            self._fail(Status.UNKNOWN)

    def _require(self, allowed: bool) -> None:
        if not allowed:
            self._fail(Status.UNKNOWN)
            raise StallError

    def _fail(self, status: Status) -> None:
        self.registers.string_index = 0
        self._enter(State.ERROR, status)

    def _refuse(self) -> None:
        self._enter(State.ERROR, Status.VENDOR)
        self.registers.string_index = self.error_string_index

    def _passes_protection(self) -> bool:
        r = self.registers
        allowed = {Command.ENTER_SAFE_MODE, Command.CLEAR_SECURITY_MODE_OVERRIDE} & set(self.era.commands)
        return r.block == 0 and r.data[0] in allowed

    def _enter(self, state: State, status: Status | None = None) -> None:
        r = self.registers
        r.state = r.reported_state = state
        if status is not None:
            r.status = status
