"""Identification pages of CoreSight components and the ROM table that lists them.

Source: Arm CoreSight Architecture Specification v3.0 (IHI 0029), B2 (PIDR, CIDR) and D5 (ROM tables).
"""

from __future__ import annotations

ARM = 0x43B
"""Designer numbers: JEP106 continuation count in bits 8 to 11, identity code in bits 0 to 6 (bit 7 of the code is
parity and not stored)."""
CLASS_ROM_TABLE = 0x1
CLASS_DEBUG = 0x9
CLASS_GENERIC = 0xE
ROM_TABLE_ADDRESS = 0xE00FF000


class ComponentPage:
    """A page whose registers read back what was written, with the identification registers at its end."""

    def __init__(self, part: int, component_class: int, designer: int = ARM, device_type: int = 0) -> None:
        self.registers: dict[int, int] = {}
        self._identity: dict[int, int] = {}
        self.identify(part, component_class, designer)
        if component_class == CLASS_DEBUG:
            self._identity[0xFCC] = device_type

    def identify(self, part: int, component_class: int, designer: int) -> None:
        """Set PIDR and CIDR."""
        peripheral_id = part | (designer & 0x7F) << 12 | 1 << 19 | (designer >> 8 & 0xF) << 32
        component_id = 0xB105000D | component_class << 12
        for n in range(4):
            self._identity[0xFE0 + 4 * n] = peripheral_id >> 8 * n & 0xFF
            self._identity[0xFD0 + 4 * n] = peripheral_id >> 32 + 8 * n & 0xFF
            self._identity[0xFF0 + 4 * n] = component_id >> 8 * n & 0xFF

    def read(self, offset: int, size_bytes: int) -> int:
        """A register; parts of one are shifted down."""
        word = offset & ~3
        value = self._identity[word] if word in self._identity else self.read_word(word)
        return value >> 8 * (offset & 3) & ((1 << 8 * size_bytes) - 1)

    def write(self, offset: int, size_bytes: int, value: int) -> None:
        """Store into a register; into a part of it by reading the rest."""
        word, shift = offset & ~3, 8 * (offset & 3)
        mask = ((1 << 8 * size_bytes) - 1) << shift
        if size_bytes < 4:
            value = self.read_word(word) & ~mask | value << shift & mask
        if word not in self._identity:
            self.write_word(word, value)

    def read_word(self, offset: int) -> int:
        """A whole register."""
        return self.registers.get(offset, 0)

    def write_word(self, offset: int, value: int) -> None:
        """Store a whole register."""
        self.registers[offset] = value


def rom_table(designer: int, part: int) -> ComponentPage:
    """The table of a Cortex-M: SCS, DWT, FPB, ITM, TPIU, ETM, each by its distance from the table."""
    table = ComponentPage(part, CLASS_ROM_TABLE, designer)
    addresses = (0xE000E000, 0xE0001000, 0xE0002000, 0xE0000000, 0xE0040000, 0xE0041000)
    for n, address in enumerate(addresses):
        table.registers[4 * n] = (address - ROM_TABLE_ADDRESS) & 0xFFFFF000 | 3
    table.registers[0xFCC] = 1
    return table
