"""The serial protocol of an ESP32's ROM loader, and of the stub that esptool puts into its RAM: bytes in, bytes out.

What the stub is made of does not matter here: once something was loaded into RAM and started, the loader answers as the
documentation says of the stub.

Source: Espressif, esptool documentation, Serial Protocol.
"""

from __future__ import annotations

import hashlib
import struct
import zlib
from collections.abc import Callable
from dataclasses import dataclass

from particle_harness.esp32.chip import Runs, VirtualEsp32
from particle_harness.esp32.slip import Decoder, encode

FLASH_BEGIN, FLASH_DATA, FLASH_END = 0x02, 0x03, 0x04
MEM_BEGIN, MEM_END, MEM_DATA = 0x05, 0x06, 0x07
SYNC, WRITE_REG, READ_REG = 0x08, 0x09, 0x0A
SPI_SET_PARAMS, SPI_ATTACH, READ_FLASH_SLOW, CHANGE_BAUDRATE = 0x0B, 0x0D, 0x0E, 0x0F
FLASH_DEFL_BEGIN, FLASH_DEFL_DATA, FLASH_DEFL_END, SPI_FLASH_MD5 = 0x10, 0x11, 0x12, 0x13
ERASE_FLASH, ERASE_REGION, READ_FLASH = 0xD0, 0xD1, 0xD2
_BAD_MESSAGE, _FAILED, _BAD_CHECKSUM = 0x05, 0x06, 0x07
_SYNC_BODY = b"\x07\x07\x12\x20" + b"\x55" * 32
_SYNC_ANSWERS = 8
_CHECKSUM_SEED = 0xEF
_SLOW_READ_BYTES = 64
_ROM_SYNC_VALUE = 0x20120707
"""Any number but 0, which means that the stub answers."""


@dataclass(slots=True)
class LoaderFaults:
    """What goes wrong on the line. ``no_sync``: held in reset, or a wrong boot strap. ``refuse_stub``: what is loaded
    into RAM is not started. ``drop_after_blocks``: the line is cut after so many data blocks.
    ``silent_after_blocks``: it answers no more. ``busy_blocks``: so many blocks, the first ones, are refused."""

    no_sync: bool = False
    refuse_stub: bool = False
    drop_after_blocks: int | None = None
    silent_after_blocks: int | None = None
    busy_blocks: int = 0


class LineCutError(Exception):
    """The line is cut now; whoever serves it closes it."""


class _RefusedError(Exception):
    """The command fails with this reason."""


@dataclass(slots=True)
class _Writing:
    """A running transfer into flash. ``unpack`` is None for data as they are."""

    address: int
    end: int
    unpack: Callable[[bytes], bytes] | None = None


class RomLoader:
    """The loader of one chip on one line."""

    def __init__(self, chip: VirtualEsp32, faults: LoaderFaults | None = None) -> None:
        self.chip = chip
        self.faults = faults or LoaderFaults()
        self.blocks = 0
        self.baud: int | None = None
        """The rate that the host asked for."""
        self._decoder = Decoder()
        self._writing: _Writing | None = None
        self._reading: tuple[bytes, int] | None = None
        self._commands: dict[int, Callable[[bytes], tuple[int, bytes]]] = {
            READ_REG: self._read_register,
            WRITE_REG: self._write_registers,
            SPI_SET_PARAMS: self._nothing_to_do,
            SPI_ATTACH: self._nothing_to_do,
            CHANGE_BAUDRATE: self._change_baud,
            MEM_BEGIN: self._nothing_to_do,
            MEM_DATA: self._memory_data,
            FLASH_BEGIN: self._flash_begin,
            FLASH_DATA: self._flash_data,
            FLASH_END: self._flash_end,
            FLASH_DEFL_BEGIN: self._deflated_begin,
            FLASH_DEFL_DATA: self._flash_data,
            FLASH_DEFL_END: self._flash_end,
            SPI_FLASH_MD5: self._md5,
            READ_FLASH_SLOW: self._read_slowly,
        }
        self._stub_commands = {ERASE_FLASH: self._erase_flash, ERASE_REGION: self._erase_region}

    @property
    def is_stub(self) -> bool:
        """Whether the stub answers."""
        return self.chip.runs is Runs.STUB

    def feed(self, data: bytes) -> bytes:
        """The answer to what came in. Raises LineCutError."""
        if self.chip.runs not in (Runs.LOADER, Runs.STUB):
            return b""
        return b"".join(self._answer(frame) for frame in self._decoder.feed(data))

    def _answer(self, frame: bytes) -> bytes:
        if self._reading is not None and len(frame) == 4:
            return self._go_on_reading(int.from_bytes(frame, "little"))
        if len(frame) < 8 or frame[0] != 0:
            return b""
        command, size_bytes, checksum = struct.unpack_from("<xBHI", frame)
        body = frame[8:]
        if len(body) != size_bytes:
            return self._reply(command, error=_BAD_MESSAGE)
        if command == SYNC:
            return self._sync(body)
        if self._is_out_of_order(command):
            return b""
        try:
            if command == READ_FLASH and self.is_stub:
                return self._start_reading(body)
            if command == MEM_END:
                return self._start_memory(body)
            self._check(command, body, checksum)
            known = self._commands | (self._stub_commands if self.is_stub else {})
            if command not in known:
                raise _RefusedError(_BAD_MESSAGE)
            value, answer = known[command](body)
        except _RefusedError as refused:
            return self._reply(command, error=refused.args[0])
        except (IndexError, struct.error, zlib.error):
            return self._reply(command, error=_FAILED)
        return self._reply(command, value, answer)

    def _is_out_of_order(self, command: int) -> bool:
        """Whether a fault swallows the command. Raises LineCutError."""
        if command in (FLASH_DATA, FLASH_DEFL_DATA):
            self.blocks += 1
            if self.faults.drop_after_blocks is not None and self.blocks > self.faults.drop_after_blocks:
                raise LineCutError
        silent = self.faults.silent_after_blocks
        return silent is not None and self.blocks > silent

    def _check(self, command: int, body: bytes, checksum: int) -> None:
        if command not in (FLASH_DATA, FLASH_DEFL_DATA, MEM_DATA):
            return
        computed = _CHECKSUM_SEED
        for byte in body[16:]:
            computed ^= byte
        if computed != checksum or len(body) - 16 != int.from_bytes(body[:4], "little"):
            raise _RefusedError(_BAD_CHECKSUM)

    def _reply(self, command: int, value: int = 0, answer: bytes = b"", error: int | None = None) -> bytes:
        status = bytes([error is not None, error or 0]) + (b"" if self.is_stub else b"\0\0")
        body = (b"" if error is not None else answer) + status
        return encode(struct.pack("<BBHI", 1, command, len(body), value) + body)

    def _sync(self, body: bytes) -> bytes:
        if self.faults.no_sync or body != _SYNC_BODY:
            return b""
        return self._reply(SYNC, 0 if self.is_stub else _ROM_SYNC_VALUE) * _SYNC_ANSWERS

    # ---- registers and RAM ------------------------------------------------------------------------------------------

    def _read_register(self, body: bytes) -> tuple[int, bytes]:
        return self.chip.read_register(*struct.unpack("<I", body)), b""

    def _write_registers(self, body: bytes) -> tuple[int, bytes]:
        for address, value, mask, _ in struct.iter_unpack("<IIII", body):
            self.chip.write_register(address, value, mask)
        return 0, b""

    def _nothing_to_do(self, body: bytes) -> tuple[int, bytes]:  # noqa: ARG002  as the others
        return 0, b""

    def _change_baud(self, body: bytes) -> tuple[int, bytes]:
        self.baud, _ = struct.unpack("<II", body)
        return 0, b""

    def _memory_data(self, body: bytes) -> tuple[int, bytes]:  # noqa: ARG002  what it is does not matter
        return 0, b""

    def _start_memory(self, body: bytes) -> bytes:
        stays, _entry = struct.unpack("<II", body)
        reply = self._reply(MEM_END)
        if stays:
            return reply
        if self.faults.refuse_stub:
            # The code hangs: nothing answers until the next reset.
            self.chip.runs = Runs.NOTHING
            return reply
        self.chip.runs = Runs.STUB
        return reply + encode(b"OHAI")

    # ---- flash ------------------------------------------------------------------------------------------------------

    def _flash_begin(self, body: bytes) -> tuple[int, bytes]:
        size_bytes, _count, _block, address = struct.unpack_from("<IIII", body)
        self._begin(address, size_bytes, None)
        return 0, b""

    def _deflated_begin(self, body: bytes) -> tuple[int, bytes]:
        size_bytes, _count, _block, address = struct.unpack_from("<IIII", body)
        self._begin(address, size_bytes, zlib.decompressobj().decompress)
        return 0, b""

    def _begin(self, address: int, size_bytes: int, unpack: Callable[[bytes], bytes] | None) -> None:
        self.chip.erase(address, size_bytes)
        self._writing = _Writing(address, address + size_bytes, unpack)

    def _flash_data(self, body: bytes) -> tuple[int, bytes]:
        if self._writing is None:
            raise _RefusedError(_FAILED)
        if self.faults.busy_blocks:
            self.faults.busy_blocks -= 1
            raise _RefusedError(_FAILED)
        data = body[16:]
        if self._writing.unpack:
            data = self._writing.unpack(data)
            if self._writing.address + len(data) > self._writing.end:
                raise _RefusedError(_FAILED)
        self.chip.flash.program(self._writing.address, data)
        self._writing.address += len(data)
        return 0, b""

    def _flash_end(self, body: bytes) -> tuple[int, bytes]:
        self._writing = None
        (stays,) = struct.unpack("<I", body)
        if not stays and self.is_stub:
            # It leaves by the way it came.
            self.chip.runs = Runs.LOADER
        elif not stays:
            self.chip.reset(into_loader=False)
        return 0, b""

    def _md5(self, body: bytes) -> tuple[int, bytes]:
        address, size_bytes = struct.unpack_from("<II", body)
        # The protocol has no other hash.
        digest = hashlib.md5(self.chip.flash.read(address, size_bytes))
        return 0, digest.digest() if self.is_stub else digest.hexdigest().encode()

    def _read_slowly(self, body: bytes) -> tuple[int, bytes]:
        address, size_bytes = struct.unpack("<II", body)
        data = self.chip.flash.read(address, min(size_bytes, _SLOW_READ_BYTES))
        return 0, data.ljust(_SLOW_READ_BYTES, b"\0")

    def _erase_flash(self, body: bytes) -> tuple[int, bytes]:  # noqa: ARG002  as the others
        self.chip.flash.erase_chip()
        return 0, b""

    def _erase_region(self, body: bytes) -> tuple[int, bytes]:
        self.chip.erase(*struct.unpack("<II", body))
        return 0, b""

    def _start_reading(self, body: bytes) -> bytes:
        address, size_bytes, block_bytes, _in_flight = struct.unpack("<IIII", body)
        data = self.chip.flash.read(address, size_bytes)
        self._reading = data, block_bytes
        return self._reply(READ_FLASH) + encode(data[:block_bytes])

    def _go_on_reading(self, received_bytes: int) -> bytes:
        assert self._reading is not None
        data, block_bytes = self._reading
        if received_bytes < len(data):
            return encode(data[received_bytes : received_bytes + block_bytes])
        self._reading = None
        return encode(hashlib.md5(data).digest())
