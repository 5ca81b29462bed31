"""DFU mode of STM32F2 boards.

Source: device-os v2.1.0 platform/MCU/STM32F2xx/STM32_USB_Device_Driver/src/usbd_dfu_core.c, usbd_dfu_mal.c,
usbd_flash_if.c.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from particle_harness.usb.descriptors import DFU_FUNCTIONAL, TRANSFER_SIZE_BYTES, dfu_functional
from particle_harness.usb.dfu import DfuDevice
from particle_harness.usb.dfu_terms import Command, CrashError, Request, State, Status
from particle_harness.usb.stm32_requests import Stm32UsbDevice
from particle_harness.usb.transfer import TYPE_CLASS, Setup, SilentError, StallError

_SERIAL_FLASH = 2
"""Alternate setting."""


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
