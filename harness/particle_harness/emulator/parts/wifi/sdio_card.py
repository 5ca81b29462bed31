"""An SDIO card with functions and no memory: how it is found, its registers of function 0, transfers to the others."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

_IO_ENABLE, _IO_READY, _INTERRUPT_ENABLE, _INTERRUPT_PENDING, _ABORT = 0x02, 0x03, 0x04, 0x05, 0x06
_REVISIONS, _CAPABILITIES, _HIGH_SPEED, _BLOCK_SIZE = {0x00: 0x43, 0x01: 0x03}, 0x08, 0x13, 0x10
_RESETS_CARD, _SUPPORTS_HIGH_SPEED, _SUPPORTS_BLOCKS = 1 << 3, 1 << 0, 1 << 1
_MASTER_ENABLE = 1 << 0
_REGISTERS_OF_A_FUNCTION = 0x100
_SEND_ADDRESS, _OPERATING_CONDITIONS, _SELECT, _DIRECT, _EXTENDED = 3, 5, 7, 52, 53
_READY, _VOLTAGES = 1 << 31, 0x00FFFF00
_RELATIVE_ADDRESS = 1
_SELECTED_STATE = 0x1E00
_COMMAND_STATE, _ERROR, _BAD_FUNCTION = 0x1000, 0x0800, 0x0200
_LONGEST_OF_BYTES = 512


class Functions(Protocol):
    """What is behind the functions 1 to ``count``."""

    count: int

    def ready(self, function: int) -> bool:
        """Whether a function that is enabled can be used."""
        ...

    def read(self, function: int, address: int, size_bytes: int, *, increments: bool) -> bytes:
        """Data of a function; ``increments``: from one address after the other."""
        ...

    def write(self, function: int, address: int, data: bytes, *, increments: bool) -> None:
        """Data for it."""
        ...

    def abort(self, function: int) -> None:
        """The host wants no more of a transfer."""
        ...

    @property
    def pending(self) -> int:
        """Functions that want to interrupt the host, one bit each."""
        ...


@dataclass(frozen=True, slots=True)
class Extended:
    """The arguments of CMD53. ``increments``: the address follows the data, else it stays."""

    is_write: bool
    function: int
    increments: bool
    address: int
    size_bytes: int


class IoCard:
    """Implements :class:`particle_harness.emulator.stm32f205.sdio.SdioCard`.

    Left out: tuples of the CIS, suspend and resume, transfers without an end. Source: SDIO specification 3.0, 3 (how a
    host finds it), 5 (CMD52, CMD53), 6.9 (CCCR), 6.10 (FBR), 8 (interrupts).
    """

    def __init__(self, functions: Functions) -> None:
        self._functions = functions
        self.powered = False
        """Without power, or held in reset, it answers nothing."""
        self.reset()

    def reset(self) -> None:
        """As when power comes."""
        self.selected = False
        self.registers: dict[int, int] = {}
        """Of function 0, those that were written."""
        self.asked: Extended | None = None
        """The transfer whose data comes next."""

    # ---- the bus ----------------------------------------------------------------------------------------------------

    def command(self, index: int, argument: int) -> int | None:
        """A command; the 32 bits of its short reply, None when there is none."""
        if not self.powered:
            return None
        self.asked = None
        if index == _OPERATING_CONDITIONS:
            return _READY | self._functions.count << 28 | _VOLTAGES
        if index == _SEND_ADDRESS:
            return _RELATIVE_ADDRESS << 16
        if index == _SELECT:
            self.selected = argument >> 16 == _RELATIVE_ADDRESS
            return _SELECTED_STATE if self.selected else None
        if not self.selected or index not in (_DIRECT, _EXTENDED):
            return None
        return self._direct(argument) if index == _DIRECT else self._extended(argument)

    def send(self, size_bytes: int) -> bytes:
        """Data for the host, after a CMD53 that reads."""
        asked = self.asked
        if asked is None or asked.is_write:
            return b""
        self.asked = None
        data = self._read(asked.function, asked.address, asked.size_bytes, increments=asked.increments)
        return data[:size_bytes]

    def receive(self, data: bytes) -> None:
        """Data of the host, after a CMD53 that writes."""
        asked, self.asked = self.asked, None
        if asked is not None and asked.is_write:
            self._write(asked.function, asked.address, data[: asked.size_bytes], increments=asked.increments)

    @property
    def interrupts(self) -> bool:
        """Whether it pulls DAT1."""
        enabled = self.registers.get(_INTERRUPT_ENABLE, 0)
        return self.powered and bool(enabled & _MASTER_ENABLE) and bool(enabled & self._pending())

    # ---- CMD52, CMD53 -----------------------------------------------------------------------------------------------

    def _direct(self, argument: int) -> int:
        function, address, data = argument >> 28 & 7, argument >> 9 & 0x1FFFF, argument & 0xFF
        is_write, reads_back = argument >> 31, argument >> 27 & 1
        if not self._has(function):
            return _COMMAND_STATE | _BAD_FUNCTION
        if is_write:
            self._write(function, address, bytes([data]))
            if not reads_back:
                return _COMMAND_STATE | data
        return _COMMAND_STATE | self._read(function, address, 1)[0]

    def _extended(self, argument: int) -> int:
        function, in_blocks, count = argument >> 28 & 7, argument >> 27 & 1, argument & 0x1FF
        if not self._has(function):
            return _COMMAND_STATE | _BAD_FUNCTION
        size_bytes = count * self.block_size(function) if in_blocks else count or _LONGEST_OF_BYTES
        if not size_bytes:
            return _COMMAND_STATE | _ERROR
        is_write, increments = bool(argument >> 31), bool(argument >> 26 & 1)
        self.asked = Extended(is_write, function, increments, argument >> 9 & 0x1FFFF, size_bytes)
        return _COMMAND_STATE

    def block_size(self, function: int) -> int:
        """What the host has set for CMD53 in blocks."""
        at = function * _REGISTERS_OF_A_FUNCTION + _BLOCK_SIZE
        return self.registers.get(at, 0) | self.registers.get(at + 1, 0) << 8

    def _has(self, function: int) -> bool:
        return function == 0 or (function <= self._functions.count and self.is_enabled(function))

    def is_enabled(self, function: int) -> bool:
        """Whether the host has switched a function on."""
        return bool(self.registers.get(_IO_ENABLE, 0) >> function & 1)

    def _read(self, function: int, address: int, size_bytes: int, *, increments: bool = True) -> bytes:
        if function:
            return self._functions.read(function, address, size_bytes, increments=increments)
        return bytes(self._register(address + n * increments) for n in range(size_bytes))

    def _write(self, function: int, address: int, data: bytes, *, increments: bool = True) -> None:
        if function:
            self._functions.write(function, address, data, increments=increments)
            return
        for n, value in enumerate(data):
            self._set_register(address + n * increments, value)

    # ---- function 0 -------------------------------------------------------------------------------------------------

    def _pending(self) -> int:
        return self._functions.pending & self.registers.get(_IO_ENABLE, 0)

    def _register(self, address: int) -> int:
        if address in _REVISIONS:
            return _REVISIONS[address]
        if address == _IO_READY:
            functions = range(1, self._functions.count + 1)
            return sum(1 << f for f in functions if self.is_enabled(f) and self._functions.ready(f))
        if address == _INTERRUPT_PENDING:
            return self._pending()
        value = self.registers.get(address, 0)
        return value | {_CAPABILITIES: _SUPPORTS_BLOCKS, _HIGH_SPEED: _SUPPORTS_HIGH_SPEED}.get(address, 0)

    def _set_register(self, address: int, value: int) -> None:
        if address in (*_REVISIONS, _IO_READY, _INTERRUPT_PENDING):
            return
        if address == _ABORT:
            if value & _RESETS_CARD:
                self.reset()
            elif value & 7:
                self._functions.abort(value & 7)
            return
        self.registers[address] = value
