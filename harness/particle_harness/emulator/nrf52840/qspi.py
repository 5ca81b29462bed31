"""QSPI: the controller of the serial flash beside the chip, and that flash's own status registers."""

from __future__ import annotations

from typing import ClassVar

from particle_harness.emulator.core.interrupt_line import InterruptLine
from particle_harness.emulator.core.timeline import Timeline
from particle_harness.emulator.nrf52840.peripheral import INTERRUPTS, NrfPeripheral, Wires, event, task
from particle_harness.emulator.peripherals.registers import Register, RegisterMap
from particle_harness.nor_flash import NorFlash
from particle_harness.swd.bus import Bus

_READY = 0x100
_READ_SRC, _READ_DST, _READ_CNT = 0x504, 0x508, 0x50C
_WRITE_DST, _WRITE_SRC, _WRITE_CNT = 0x510, 0x514, 0x518
_ERASE_PTR, _ERASE_LEN = 0x51C, 0x520
_STATUS, _CINSTRCONF, _CINSTRDAT = 0x604, 0x634, 0x638
_IDLE = 1 << 3
_PAGE_SIZE_BYTES = 256
_SECTOR_SIZE_BYTES, _BLOCK_SIZE_BYTES = 0x1000, 0x10000
_QUAD_ENABLED, _WRITE_ENABLED = 0x40, 0x02
_READ_STATUS, _READ_CONFIGURATION, _WRITE_STATUS, _WRITE_ENABLE, _WRITE_DISABLE = 0x05, 0x15, 0x01, 0x06, 0x04
_READ_IDENTIFICATION, _ENTER_SECURED, _EXIT_SECURED, _RESET, _READ_SECURITY = 0x9F, 0xB1, 0xC1, 0x99, 0x2B
_JEDEC = {4: bytes((0xC2, 0x20, 0x16)), 8: bytes((0xC2, 0x28, 0x17))}
"""MX25L3233F with 4 MiB, MX25R6435F with 8 MiB. Source: Macronix data sheets, RDID."""
OTP_SIZE_BYTES = 512


class SerialFlashController(NrfPeripheral):
    """Reads, programs and erases ``flash``, page by page and sector by sector, each in one operation of the flash.

    ``secured`` is the flash's one-time programmable area, which is in place of its array between the instructions ENSO
    and EXSO.
    """

    registers: ClassVar[RegisterMap] = RegisterMap(
        "QSPI",
        "nRF52840 PS v1.7, 6.19 QSPI",
        task("ACTIVATE", 0x000),
        task("READSTART", 0x004),
        task("WRITESTART", 0x008),
        task("ERASESTART", 0x00C),
        task("DEACTIVATE", 0x010),
        event("READY", _READY),
        *INTERRUPTS,
        Register("ENABLE", 0x500),
        Register("READ.SRC", _READ_SRC),
        Register("READ.DST", _READ_DST),
        Register("READ.CNT", _READ_CNT),
        Register("WRITE.DST", _WRITE_DST),
        Register("WRITE.SRC", _WRITE_SRC),
        Register("WRITE.CNT", _WRITE_CNT),
        Register("ERASE.PTR", _ERASE_PTR),
        Register("ERASE.LEN", _ERASE_LEN),
        Register("PSEL.SCK", 0x524, reset=0xFFFFFFFF),
        Register("PSEL.CSN", 0x528, reset=0xFFFFFFFF),
        Register("PSEL.IO", 0x530, reset=0xFFFFFFFF, count=4),
        Register("XIPOFFSET", 0x540),
        Register("IFCONFIG0", 0x544),
        Register("IFCONFIG1", 0x600, reset=0x00040480),
        Register("STATUS", _STATUS, access="r"),
        Register("DPMDUR", 0x614, reset=0xFFFFFFFF),
        Register("ADDRCONF", 0x624, reset=0x000000B7),
        Register("CINSTRCONF", _CINSTRCONF, reset=0x00002000),
        Register("CINSTRDAT", _CINSTRDAT, count=2),
        Register("IFTIMING", 0x640, reset=0x00000200),
    )

    def __init__(
        self, timeline: Timeline, line: InterruptLine, wires: Wires, bus: Bus, flash: NorFlash, secured: bytearray
    ) -> None:
        self.bus = bus
        self.flash = flash
        self.secured = secured
        self.in_secured_area = False
        self.flash_status = _QUAD_ENABLED
        self.flash_configuration = 0
        super().__init__(0x40029000, timeline, line, wires, "QSPI")

    def lose_power(self) -> None:
        """The flash keeps what is in its cells, QE among it: its array is there again, and writing is disabled."""
        self.in_secured_area = False
        self.flash_status &= ~_WRITE_ENABLED
        self.flash_configuration = 0

    # ---- tasks ------------------------------------------------------------------------------------------------------

    def task_activate(self) -> None:
        """Ready at once."""
        self.raise_event(_READY)

    def task_deactivate(self) -> None:
        """Off."""

    def task_readstart(self) -> None:
        """Flash to RAM."""
        start, count = self._in_flash(self.word(_READ_SRC)), self.word(_READ_CNT) & 0x1FFFFC
        if self.in_secured_area:
            data = bytes(self.secured[start : start + count]).ljust(count, b"\xff")
        else:
            data = self.flash.read(start, min(count, self.flash.end_address - start))
        self.bus.write(self.word(_READ_DST), data)
        self.raise_event(_READY)

    def task_writestart(self) -> None:
        """RAM to flash."""
        start, count = self._in_flash(self.word(_WRITE_DST)), self.word(_WRITE_CNT) & 0x1FFFFC
        data = self.bus.read(self.word(_WRITE_SRC), count)
        if self.in_secured_area:
            for index, value in enumerate(data[: len(self.secured) - start]):
                self.secured[start + index] &= value
        else:
            self._program(start, data)
        self.raise_event(_READY)

    def _program(self, start: int, data: bytes) -> None:
        at = 0
        while at < len(data):
            size_bytes = min(_PAGE_SIZE_BYTES - (start + at) % _PAGE_SIZE_BYTES, len(data) - at)
            self.flash.program(start + at, data[at : at + size_bytes])
            at += size_bytes
        self.bus.code_changed = True

    def task_erasestart(self) -> None:
        """A sector, a block, or all."""
        length = self.word(_ERASE_LEN) & 3
        if length == 2:
            self.flash.erase_chip()
        else:
            size_bytes = (_SECTOR_SIZE_BYTES, _BLOCK_SIZE_BYTES)[length & 1]
            start = self._in_flash(self.word(_ERASE_PTR)) & ~(size_bytes - 1)
            for sector in range(start, start + size_bytes, _SECTOR_SIZE_BYTES):
                self.flash.erase_sector(sector)
        self.bus.code_changed = True
        self.raise_event(_READY)

    def _in_flash(self, address: int) -> int:
        """The flash takes as many address bits as it has bytes."""
        return address % self.flash.chip.size_bytes

    # ---- registers --------------------------------------------------------------------------------------------------

    def read_status(self) -> int:
        """Idle, and the flash's own status register."""
        return _IDLE | self.flash_status << 24

    def write_cinstrconf(self, value: int) -> None:
        """Sends an instruction of the firmware's choice."""
        self.stored[_CINSTRCONF] = value
        self._instruct(value & 0xFF, value >> 8 & 0xF)
        self.raise_event(_READY)

    def _instruct(self, opcode: int, length: int) -> None:
        if opcode == _READ_IDENTIFICATION:
            self.stored[_CINSTRDAT] = int.from_bytes(_JEDEC[self.flash.chip.size_bytes >> 20], "little")
        elif opcode == _READ_STATUS:
            self.stored[_CINSTRDAT] = self.flash_status
        elif opcode == _READ_CONFIGURATION:
            self.stored[_CINSTRDAT] = self.flash_configuration
        elif opcode == _READ_SECURITY:
            self.stored[_CINSTRDAT] = 0
        elif opcode == _WRITE_STATUS:
            self.flash_status = self.word(_CINSTRDAT) & 0xFC
            if length > 2:
                self.flash_configuration = self.word(_CINSTRDAT) >> 8 & 0xFFFF
        elif opcode == _WRITE_ENABLE:
            self.flash_status |= _WRITE_ENABLED
        elif opcode in (_WRITE_DISABLE, _RESET):
            self.flash_status &= ~_WRITE_ENABLED
            self.in_secured_area = self.in_secured_area and opcode != _RESET
        elif opcode in (_ENTER_SECURED, _EXIT_SECURED):
            self.in_secured_area = opcode == _ENTER_SECURED
