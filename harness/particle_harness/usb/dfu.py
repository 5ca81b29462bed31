"""DFU mode of both generations: DfuSe state machines as Particle's bootloaders have them, and the memory behind them.

Source: device-os v2.1.0 bootloader/src/nRF52840/usbd_dfu.cpp and usbd_dfu_mal.cpp (Gen 3),
platform/MCU/STM32F2xx/STM32_USB_Device_Driver/src/usbd_dfu_core.c, usbd_dfu_mal.c, usbd_flash_if.c (Gen 2).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from particle_harness.protection import Protection
from particle_harness.usb.descriptors import (
    DFU_FUNCTIONAL,
    TRANSFER_SIZE_BYTES,
    DfuEra,
    UsbIdentity,
    dfu_functional,
    string_descriptor,
)
from particle_harness.usb.device import UsbDevice
from particle_harness.usb.dfu_protection import (
    REFUSED_TEXT,
    STATE_STRING_INDEX,
    ProtectedError,
    closed_name,
    state_text,
)
from particle_harness.usb.dfu_terms import Command, CrashError, DfuMemory, DfuRegisters, Request, State, Status
from particle_harness.usb.nrf52840_requests import NrfUsbDevice
from particle_harness.usb.stm32_requests import Stm32UsbDevice
from particle_harness.usb.transfer import TYPE_CLASS, Setup, SilentError, StallError

_SERIAL_FLASH = 2
"""Alternate setting."""

__all__ = [
    "Command",
    "DfuDevice",
    "DfuMemory",
    "DfuRegisters",
    "Gen2Dfu",
    "Gen3Dfu",
    "Request",
    "State",
    "Status",
]


class DfuDevice(UsbDevice):
    """What both machines share. ``leave(safe_mode)`` is called when the reset countdown starts."""

    first_address = 0
    """Address pointer of a bootloader that has just started."""

    def __init__(
        self,
        identity: UsbIdentity,
        era: DfuEra,
        memories: Sequence[DfuMemory],
        *,
        leave: Callable[[bool], None],
        detach: Callable[[], None],
    ) -> None:
        super().__init__(identity)
        self.era = era
        self.memories = tuple(memories)
        self.registers = DfuRegisters(address=self.first_address)
        self.alternate_settings = len(self.memories)
        self._leave = leave
        self._detach = detach

    @property
    def leaving(self) -> bool:
        """Whether a countdown to the reset still runs. On Gen 2 nothing stops it."""
        return True

    @property
    def memory(self) -> DfuMemory:
        """Memory of the present alternate setting."""
        return self.memories[self.alternate]

    def class_descriptor(self, kind: int) -> bytes:
        """The functional descriptor by itself."""
        if kind == DFU_FUNCTIONAL:
            return dfu_functional()
        raise StallError

    def _status_reply(self) -> bytes:
        r = self.registers
        return bytes([r.status]) + r.poll_timeout_ms.to_bytes(3, "little") + bytes([r.reported_state, r.string_index])

    def _block_address(self, block: int) -> int:
        return self.registers.address + (block - 2) * TRANSFER_SIZE_BYTES


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


class Gen2Dfu(DfuDevice, Stm32UsbDevice):
    """STM32F2: what fails when its work is due stalls the status stage of that GETSTATUS, and the next one says that
    all is well. A wrong CLRSTATUS does not stall."""

    first_address = 0x08020000
    _buffer: bytearray
    _IDLE_AGAIN = (State.IDLE, State.DNLOAD_SYNC, State.DNLOAD_IDLE, State.MANIFEST_SYNC, State.UPLOAD_IDLE)

    crashed = False
    """It has faulted and answers nothing any more."""

    def __init__(self, *arguments: Any, **more: Any) -> None:
        super().__init__(*arguments, **more)
        self._buffer = bytearray(TRANSFER_SIZE_BYTES)

    def control(self, setup: Setup, data: bytes = b"") -> bytes:
        """As any device; SilentError once it has crashed."""
        with self._crashing():
            return super().control(setup, data)

    def abandon(self, setup: Setup, data: bytes = b"", packets: int = 0) -> bytes:
        """As any device; SilentError once it has crashed."""
        with self._crashing():
            return super().abandon(setup, data, packets)

    @contextmanager
    def _crashing(self) -> Iterator[None]:
        if self.crashed:
            raise SilentError
        try:
            yield
        except CrashError:
            self.crashed = True
            raise SilentError(during=True) from None

    def on_configured(self) -> None:
        """Only the state starts anew; the address pointer stays."""
        self._enter(State.IDLE)

    def on_deconfigured(self) -> None:
        """The state starts anew, and what was to be written is forgotten."""
        self._enter(State.IDLE)
        self._forget()

    def class_descriptor(self, kind: int) -> bytes:
        """The functional descriptor by itself; nothing, and no stall, of others."""
        return dfu_functional() if kind == DFU_FUNCTIONAL else b""

    def data_announced(self, setup: Setup, arrived: bytes) -> None:
        """The state changes at SETUP; behind what has arrived, the buffer still holds what came before."""
        if setup.kind == TYPE_CLASS and setup.b_request == Request.DNLOAD:
            if not self.configured:
                raise StallError
            self._accept(setup, arrived + bytes(self._buffer[len(arrived) : setup.w_length]))

    def class_request(self, setup: Setup, data: bytes) -> bytes:
        """DFU requests."""
        r = self.registers
        match setup.b_request:
            case Request.DNLOAD:
                self._accept(setup, data)
                return b""
            case Request.UPLOAD:
                return self._upload(setup)
            case Request.GETSTATUS:
                return self._get_status()
            case Request.CLRSTATUS:
                clear = r.state == State.ERROR
                r.status = Status.OK if clear else Status.UNKNOWN
                self._enter(State.IDLE if clear else State.ERROR)
                return b""
            case Request.GETSTATE:
                return bytes([r.state])
            case Request.ABORT | Request.DETACH:
                if r.state in self._IDLE_AGAIN:
                    r.status = Status.OK
                    self._forget()
                    self._enter(State.IDLE)
                if setup.b_request == Request.DETACH:
                    self._detach()
                return b""
        raise StallError

    def data_stage_done(self, setup: Setup) -> None:
        """The reply to GETSTATUS has gone out: now the flash is touched, or the countdown starts."""
        if not setup.is_in:
            return
        if self.registers.state == State.DNBUSY:
            done = self._work()
            self._forget()
            self._enter(State.DNLOAD_SYNC)
            if not done:
                raise StallError
        elif self.registers.state == State.MANIFEST:
            self._enter(State.MANIFEST_WAIT_RESET)
            self._leave(False)

    def _upload(self, setup: Setup) -> bytes:
        r = self.registers
        if setup.w_length == 0:
            self._enter(State.IDLE)
            return b""
        if r.state not in (State.IDLE, State.UPLOAD_IDLE):
            self._forget()
            raise StallError
        if setup.w_value == 0:
            self._enter(State.IDLE if setup.w_length > 3 else State.UPLOAD_IDLE)
            self._buffer[: len(self.era.commands)] = self.era.commands
            return self.era.commands
        if setup.w_value == 1:
            r.state = r.reported_state = Status.STALLED_PACKET  # sic: a status where a state belongs
            raise StallError
        self._enter(State.UPLOAD_IDLE)
        data = self.memory.read(self._block_address(setup.w_value), setup.w_length)
        if data is None:
            self._buffer[:] = bytes(TRANSFER_SIZE_BYTES)
            return bytes(setup.w_length)
        if self.alternate == _SERIAL_FLASH:
            # It comes through the buffer. Source: device-os v2.1.0 platform/MCU/STM32F2xx/STM32_USB_Device_Driver/src/
            # usbd_sflash_if.c sFLASH_If_Read; other memories give a pointer.
            self._buffer[: len(data)] = data
        return data

    def _get_status(self) -> bytes:
        r = self.registers
        if r.state == State.DNLOAD_SYNC and r.data:
            self._enter(State.DNBUSY)
            is_erase = r.block == 0 and r.data[0] == Command.ERASE
            poll_ms = self._poll_timeout_ms(is_erase)
            r.poll_timeout_ms = r.poll_timeout_ms if poll_ms is None else poll_ms
        elif r.state == State.DNLOAD_SYNC:
            self._enter(State.DNLOAD_IDLE)
            if self.era.gen2_first_library:
                r.poll_timeout_ms = 0
        elif r.state == State.MANIFEST_SYNC:
            r.state = State.MANIFEST
            # Later code reports dfuDNLOAD-IDLE here, so that dfu-util ends with a tidy line.
            r.reported_state = State.MANIFEST if self.era.gen2_first_library else State.DNLOAD_IDLE
            r.poll_timeout_ms = 1 if self.era.gen2_first_library else r.poll_timeout_ms
        elif r.state == State.MANIFEST:
            self._enter(State.IDLE)
        return self._status_reply()

    def _poll_timeout_ms(self, is_erase: bool) -> int | None:
        if not self.era.gen2_first_library:
            return self.memory.poll_timeout_ms(is_erase, self.registers.address)
        # The first library goes on to the next settings when the address is not in the chosen one.
        for number, memory in enumerate(self.memories[self.alternate :], self.alternate):
            poll_ms = memory.poll_timeout_ms(is_erase, self.registers.address)
            if poll_ms is not None:
                return 50 if number == 0 else poll_ms
        return None

    def _accept(self, setup: Setup, data: bytes) -> None:
        r = self.registers
        if r.state not in (State.IDLE, State.DNLOAD_IDLE):
            raise StallError
        if setup.w_length:
            r.block, r.data = setup.w_value, data
            # The driver reads whole words out of the FIFO.
            words = data + bytes(-len(data) % 4)
            self._buffer[: len(words)] = words
        self._enter(State.DNLOAD_SYNC if setup.w_length else State.MANIFEST_SYNC)

    def _forget(self) -> None:
        self.registers.block, self.registers.data = 0, b""

    def _fill_up(self, size_bytes: int) -> None:
        """A write to internal flash makes whole words of the block, in the buffer, refused or not. Source: a Photon's
        bootloader 1005, run on an emulated chip."""
        if self.alternate == 0 and size_bytes % 4:
            self._buffer[size_bytes : size_bytes // 4 * 4 + 4] = b"\xff" * (4 - size_bytes % 4)

    def _work(self) -> bool:
        """Whether it was done. Nobody is told of a block 1, which is not a command and has no address."""
        r = self.registers
        # The first library ignores what becomes of erases and writes.
        tells = not self.era.gen2_first_library
        if r.block > 1:
            self._fill_up(len(r.data))
            return self.memory.write(self._block_address(r.block), r.data) or not tells
        if r.block == 1 or r.data == bytes([Command.GET_COMMANDS]):
            return True
        if len(r.data) != 5 or r.data[0] not in (Command.SET_ADDRESS, Command.ERASE):
            return False
        r.address = int.from_bytes(r.data[1:], "little")
        return r.data[0] == Command.SET_ADDRESS or self.memory.erase(r.address) or not tells

    def _enter(self, state: State) -> None:
        self.registers.state = self.registers.reported_state = state
