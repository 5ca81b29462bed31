"""Parts on the board that a controller reaches by I2C, written down as peripherals are: a table of registers."""

from __future__ import annotations

from typing import ClassVar, Protocol

from particle_harness.emulator.peripherals.registers import RegisterTable


class I2cDevice(Protocol):
    """Something on an I2C bus."""

    def write(self, data: bytes) -> None:
        """The master writes."""
        ...

    def read(self, size_bytes: int) -> bytes:
        """The master reads."""
        ...


class WiredRegisters(RegisterTable):
    """An I2C device: the first byte of a write is the number of a register, further ones go into registers from there;
    a read goes on where the last transfer left off. A register has ``register_bytes``, the highest first, and as many
    numbers. Registers that the table does not list read 0."""

    register_bytes: ClassVar[int] = 1

    def reset(self) -> None:
        """As after power came."""
        super().reset()
        self.pointer = 0

    def write(self, data: bytes) -> None:
        """As the bus asks."""
        if not data:
            return
        self.pointer, values = data[0], data[1:]
        width = self.register_bytes
        for at in range(0, len(values) - width + 1, width):
            self._store(self.pointer, int.from_bytes(values[at : at + width], "big"))
            self._advance(width)

    def read(self, size_bytes: int) -> bytes:
        """As the bus asks."""
        width = self.register_bytes
        data = bytearray()
        for _ in range(size_bytes):
            place = self.pointer % width
            data.append(self._load(self.pointer - place).to_bytes(width, "big")[place])
            self._advance(1)
        return bytes(data)

    def _advance(self, count: int) -> None:
        self.pointer = self.pointer + count & 0xFF

    def _load(self, number: int) -> int:
        reader = self._readers.get(number)
        if reader is not None:
            return reader()
        return 0 if self._access.get(number) == "w" else self.stored.get(number, 0)

    def _store(self, number: int, value: int) -> None:
        writer = self._writers.get(number)
        if writer is not None:
            writer(value)
        elif self._access.get(number, "r") != "r":
            self.stored[number] = value
