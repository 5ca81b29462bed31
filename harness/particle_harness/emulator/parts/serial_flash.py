"""The P1's serial flash on SPI, over the board's own NorFlash."""

from __future__ import annotations

from particle_harness.nor_flash import NorFlash

_WRITE_ENABLE, _WRITE_DISABLE, _READ_STATUS, _WRITE_STATUS = 0x06, 0x04, 0x05, 0x01
_READ, _FAST_READ, _PAGE_PROGRAM, _SECTOR_ERASE, _READ_ID = 0x03, 0x0B, 0x02, 0x20, 0x9F
_WRITE_ENABLED = 1 << 1


class SerialFlash:
    """Commands of a Macronix MX25L8006E, which the firmware drives. Work is over when chip select goes high.

    Source: Macronix MX25L8006E data sheet, command definitions; JEDEC id C2 20 14.
    """

    IDENTIFICATION = b"\xc2\x20\x14"
    _PAGE_BYTES = 256

    def __init__(self, flash: NorFlash) -> None:
        self._flash = flash
        self.selected = False
        self.status = 0
        self.message = bytearray()

    def lose_power(self) -> None:
        """A command that has not been ended is forgotten, and writing is disabled."""
        self.selected = False
        self.status = 0
        self.message.clear()

    def select(self, *, low: bool) -> None:
        """The chip select line."""
        if self.selected and not low:
            self._finish()
        self.selected = low
        self.message.clear()

    def exchange(self, byte: int) -> int:
        """One byte in, one out."""
        if not self.selected:
            return 0xFF
        self.message.append(byte)
        command, count = self.message[0], len(self.message)
        if count == 1:
            return 0xFF
        if command == _READ_STATUS:
            return self.status
        if command == _READ_ID:
            return self.IDENTIFICATION[(count - 2) % 3]
        first = {_READ: 5, _FAST_READ: 6}.get(command)
        if first is None or count < first:
            return 0xFF
        return self._flash.read((self._address + count - first) % self._flash.end_address, 1)[0]

    @property
    def _address(self) -> int:
        return int.from_bytes(self.message[1:4], "big") % self._flash.end_address

    def _finish(self) -> None:
        command = self.message[0] if self.message else None
        if command == _WRITE_ENABLE:
            self.status |= _WRITE_ENABLED
        elif command == _WRITE_DISABLE:
            self.status &= ~_WRITE_ENABLED
        elif self.status & _WRITE_ENABLED and command in (_PAGE_PROGRAM, _SECTOR_ERASE, _WRITE_STATUS):
            if command == _PAGE_PROGRAM and len(self.message) > 4:
                self._program(self._address, bytes(self.message[4:]))
            elif command == _SECTOR_ERASE and len(self.message) >= 4:
                self._flash.erase_sector(self._address)
            self.status &= ~_WRITE_ENABLED

    def _program(self, address: int, data: bytes) -> None:
        """Addresses wrap inside a page; of more than a page, the last 256 bytes count, each where it came to lie."""
        page = address & ~(self._PAGE_BYTES - 1)
        disregarded = max(0, len(data) - self._PAGE_BYTES)
        data = data[disregarded:]
        address = page + (address + disregarded) % self._PAGE_BYTES
        room = page + self._PAGE_BYTES - address
        self._flash.program(address, data[:room])
        if data[room:]:
            self._flash.program(page, data[room:])
