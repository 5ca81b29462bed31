"""STM32F205: flash interface, unique id, option bytes.

Source: ST PM0059 (flash programming), RM0033 (memory map, DBGMCU), DS6329.
"""

from __future__ import annotations

import struct
import threading

from particle_harness.nor_flash import NorFlash
from particle_harness.swd.bus import Bus, Memory
from particle_harness.swd.core import Core
from particle_harness.swd.debug_port import AccessPort, DebugPort, MemoryAccessPort
from particle_harness.swd.wire_time import WireTime

FLASH_START = 0x08000000
_SYSTEM_MEMORY, _OPTION_BYTES = 0x1FFF0000, 0x1FFFC000
_OTP = 0x7800
"""Offset in system memory. Source: device-os v3.3.1 hal/src/stm32f2xx/deviceid_hal.cpp (serial number at its start)."""
_UNIQUE_ID, _FLASH_SIZE = 0x7A10, 0x7A22
_ST_F205 = (0x020, 0x411)
_DBGMCU_IDCODE = 0x20036411
_KEYS = (0x45670123, 0xCDEF89AB)
_OPTION_KEYS = (0x08192A3B, 0x4C5D6E7F)
_ACR, _KEYR, _OPTKEYR, _SR, _CR, _OPTCR = 0x00, 0x04, 0x08, 0x0C, 0x10, 0x14
_PG, _SER, _MER, _STRT, _EOPIE, _LOCK = 1 << 0, 1 << 1, 1 << 2, 1 << 16, 1 << 24, 1 << 31
_EOP, _WRPERR, _PGPERR, _PGSERR, _BSY = 1 << 0, 1 << 4, 1 << 6, 1 << 7, 1 << 16
_OPTLOCK = 1
BACKUP_REGISTER_1 = 0x854
"""Of RTC_BKP1R in the page of the RTC."""
OPTION_DEFAULT = 0x0FFFAAED
"""Read protection level 0 (0xAA), no sector write-protected."""


class FlashInterface:
    """The page 0x40023000: RCC as far as OpenOCD and algorithms look at it, and the flash registers at 0xC00."""

    _RCC_RESET = (0x00, 0x83), (0x04, 0x24003010), (0x74, 0x0E000000)

    def __init__(self, chip: Stm32f205) -> None:
        self._chip = chip
        self.option_control = OPTION_DEFAULT
        self.reset()

    def reset(self) -> None:
        """Registers as after a reset: locked."""
        self._clock_control = dict(self._RCC_RESET)
        self.access_control, self.status, self.control = 0, 0, _LOCK
        self.option_control |= _OPTLOCK
        self._keys_given = self._option_keys_given = 0

    def allows_store(self, sector: int, size_bytes: int) -> bool:
        """Whether a store of that width into that sector is programmed; sets the error flag when not."""
        if self.control & (_LOCK | _PG) != _PG:
            self.status |= _PGSERR
            return False
        if not self.option_control >> 16 + sector & 1:
            self.status |= _WRPERR
            return False
        if size_bytes != 1 << (self.control >> 8 & 3):
            self.status |= _PGPERR
            return False
        if self.control & _EOPIE:
            self.status |= _EOP
        return True

    def read(self, offset: int, _size_bytes: int) -> int:
        """Flash and clock registers; clocks are ready as soon as they are on."""
        word, shift = offset & ~3, 8 * (offset & 3)
        if offset >= 0xC00:
            status = self.status | (_BSY if self._chip.core.halted and self._chip.erasing else 0)
            registers = {_ACR: self.access_control, _SR: status, _CR: self.control, _OPTCR: self.option_control}
            return registers.get(word - 0xC00, 0) >> shift
        value = self._clock_control.get(word - 0x800, 0) if offset >= 0x800 else 0
        if word == 0x800:
            value |= (value & 0x01010001) << 1
        elif word == 0x808:
            value = value & ~0xC | (value & 3) << 2
        return value >> shift

    def write(self, offset: int, _size_bytes: int, value: int) -> None:
        """Flash and clock registers."""
        register = offset - 0xC00
        if register < 0:
            self._clock_control[offset - 0x800 & ~3] = value
        elif register == _ACR:
            self.access_control = value
        elif register == _KEYR:
            self._give_key(value)
        elif register == _OPTKEYR:
            self._give_option_key(value)
        elif register == _SR:
            self.status &= ~(value & 0xF3)
        elif register == _CR:
            self._write_control(value)
        elif register == _OPTCR and not self.option_control & _OPTLOCK:
            self.option_control = value & 0x0FFFFFFF

    def _give_key(self, value: int) -> None:
        if self._keys_given < 2 and value == _KEYS[self._keys_given]:
            self._keys_given += 1
            if self._keys_given == 2:
                self.control &= ~_LOCK
                self._keys_given = 0
        else:
            # A wrong key locks the register until the next reset.
            self._keys_given = 2

    def _give_option_key(self, value: int) -> None:
        if value == _OPTION_KEYS[self._option_keys_given]:
            self._option_keys_given += 1
            if self._option_keys_given == 2:
                self.option_control &= ~_OPTLOCK
                self._option_keys_given = 0
        else:
            self._option_keys_given = 0

    def _write_control(self, value: int) -> None:
        if self.control & _LOCK:
            return
        if value & _LOCK:
            self.control |= _LOCK
            return
        self.control = value & 0x0300037F
        if not value & _STRT:
            return
        if value & _MER:
            self._erase(range(12))
        elif value & _SER:
            self._erase([value >> 3 & 0xF])
        if self.control & _EOPIE:
            self.status |= _EOP

    def _erase(self, sectors: range | list[int]) -> None:
        """A mass erase with one protected sector erases nothing."""
        if any(sector > 11 or not self.option_control >> 16 + sector & 1 for sector in sectors):
            self.status |= _WRPERR
            return
        if self._chip.time is not None and self._chip.core.halted:
            self._chip.time.core_starts()
        self._chip.erase_sectors(list(sectors))


class DebugUnit:
    """DBGMCU: the device's identity code."""

    def __init__(self) -> None:
        self._registers = {0: _DBGMCU_IDCODE}

    def read(self, offset: int, _size_bytes: int) -> int:
        """IDCODE, and what was stored elsewhere."""
        return self._registers.get(offset & ~3, 0) >> 8 * (offset & 3)

    def write(self, offset: int, _size_bytes: int, value: int) -> None:
        """CR and freeze registers only read back."""
        if offset >= 4:
            self._registers[offset & ~3] = value


class BackupDomain:
    """RTC backup registers (page 0x40002000, RTC at 0x800) behind PWR_CR.DBP (page 0x40007000). They survive resets.

    Source: ST RM0033, PWR_CR, RTC_BKPxR, backup domain access.
    """

    _BACKUP_REGISTERS, _DBP = range(0x850, 0x8A0, 4), 1 << 8

    def __init__(self, power: PowerControl) -> None:
        self._power = power
        self.power_on()

    def power_on(self) -> None:
        """Boards have no battery that would keep them."""
        self.registers = dict.fromkeys(self._BACKUP_REGISTERS, 0)

    def read(self, offset: int, _size_bytes: int) -> int:
        """A backup register."""
        return self.registers.get(offset & ~3, 0) >> 8 * (offset & 3)

    def write(self, offset: int, _size_bytes: int, value: int) -> None:
        """Ignored while the domain is write-protected."""
        if offset in self.registers and self._power.control & self._DBP:
            self.registers[offset] = value


class PowerControl:
    """PWR, whose clock is APB1ENR.PWREN: without it stores are lost."""

    _APB1ENR, _PWREN = 0x40, 1 << 28

    def __init__(self, interface: FlashInterface) -> None:
        self._interface = interface
        self.control = 0

    def read(self, offset: int, _size_bytes: int) -> int:
        """PWR_CR."""
        return self.control if offset == 0 else 0

    def write(self, offset: int, _size_bytes: int, value: int) -> None:
        """PWR_CR."""
        if offset == 0 and self._interface.read(0x800 + self._APB1ENR, 4) & self._PWREN:
            self.control = value


class BitBand:
    """Each word of the alias stands for one bit below ``target``. Source: Armv7-M ARM, B3.1."""

    def __init__(self, bus: Bus, target: int) -> None:
        self._bus = bus
        self._target = target

    def read(self, offset: int, _size_bytes: int) -> int:
        """The bit."""
        return self._bus.read_word(self._target + (offset >> 5 & ~3)) >> (offset >> 2 & 31) & 1

    def write(self, offset: int, _size_bytes: int, value: int) -> None:
        """Set or clear the bit."""
        address, bit = self._target + (offset >> 5 & ~3), offset >> 2 & 31
        word = self._bus.read_word(address) & ~(1 << bit) | (value & 1) << bit
        self._bus.write(address, word.to_bytes(4, "little"))


class Stm32f205:
    """The chip around ``flash`` (1 MiB from 0x08000000, also seen at 0), which it shares with whoever else holds it.
    ``serial_number`` lies in OTP, where Particle writes it."""

    name = "stm32f205"
    reset_pin_works = True
    debug_port_was_opened = False

    def __init__(
        self, unique_id: bytes, flash: NorFlash, time: WireTime | None = None, *, serial_number: str = ""
    ) -> None:
        self.flash = flash
        self.time = time
        self.ram = bytearray(0x20000)
        self.lock = threading.RLock()
        self.bus = Bus()
        self.interface = FlashInterface(self)
        self.bus.add_memory(Memory(FLASH_START, flash.cells, self._store_flash, aliases=(0,)))
        self.bus.add_memory(
            Memory(_SYSTEM_MEMORY, self._system_memory(unique_id, serial_number), lambda _offset, _data: False)
        )
        self.bus.add_memory(Memory(_OPTION_BYTES, self._option_bytes(), lambda _offset, _data: False))
        self.bus.add_memory(Memory(0x20000000, self.ram))
        self.bus.add_peripheral(0x40023000, self.interface)
        self.power_control = PowerControl(self.interface)
        self.backup_domain = BackupDomain(self.power_control)
        self.bus.add_peripheral(0x40007000, self.power_control)
        self.bus.add_peripheral(0x40002000, self.backup_domain)
        self.bus.add_peripheral(0xE0042000, DebugUnit())
        self.bus.add_peripheral(0x42460000, BitBand(self.bus, 0x40023000), pages=0x20)
        self.core = Core(self.bus, 3, self._on_reset)
        self.core.rom_table.identify(_ST_F205[1], 1, _ST_F205[0])
        self.core.cpu.map_bus()
        ports: dict[int, AccessPort] = {0: MemoryAccessPort(self.core, lambda: False)}
        self.debug_port = DebugPort(ports)
        self.core.time = time
        if time is not None:
            self.debug_port.on_transfer = time.transfer
        self.power_on()

    def power_on(self) -> None:
        """Power comes: RAM has lost its contents."""
        self.ram[:] = bytes(len(self.ram))
        self.backup_domain.power_on()
        self.debug_port.power_on()
        self.core.power_on()

    def power_off(self) -> None:
        """Power goes."""
        self.core.power_off()

    @property
    def retained_word(self) -> int:
        """Backup register 1 of Device OS: RTC_BKP1R."""
        return self.backup_domain.registers[BACKUP_REGISTER_1]

    @retained_word.setter
    def retained_word(self, value: int) -> None:
        self.backup_domain.registers[BACKUP_REGISTER_1] = value

    @property
    def erasing(self) -> bool:
        """Whether an erase that a debugger started still takes time."""
        return self.time is not None and self.time.core_is_busy

    def pin_reset(self) -> None:
        """The reset line."""
        self.core.reset()

    def open_debug_port(self) -> None:
        """It is open; read protection by option bytes is not modelled."""

    def set_wire_clock(self, frequency_hz: float) -> None:
        """Clock of the wire, which only its time depends on."""
        if self.time is not None:
            self.time.frequency_hz = frequency_hz

    def erase_sectors(self, sectors: list[int]) -> None:
        """Erase by sector number."""
        for sector in sectors:
            self.flash.erase_sector(self._sector_address(sector))
        self.bus.code_changed = True

    def _sector_address(self, wanted: int) -> int:
        address = FLASH_START
        for _ in range(wanted):
            start, size_bytes, _erase_s = self.flash.sector(address)
            address = start + size_bytes
        return address

    def _sector_of(self, address: int) -> int:
        number, start = 0, FLASH_START
        while True:
            start, size_bytes, _erase_s = self.flash.sector(start)
            if address < start + size_bytes:
                return number
            number, start = number + 1, start + size_bytes

    def _store_flash(self, offset: int, data: bytes) -> bool:
        address = FLASH_START + offset
        if not self.interface.allows_store(self._sector_of(address), len(data)):
            return False
        self.flash.program(address, data)
        return True

    def _on_reset(self) -> None:
        self.interface.reset()
        self.power_control.control = 0

    def _system_memory(self, unique_id: bytes, serial_number: str) -> bytearray:
        memory = bytearray(b"\xff" * 0x8000)
        memory[_OTP : _OTP + len(serial_number)] = serial_number.encode()
        memory[_UNIQUE_ID : _UNIQUE_ID + 12] = unique_id
        struct.pack_into("<H", memory, _FLASH_SIZE, 1024)
        return memory

    def _option_bytes(self) -> bytearray:
        page = bytearray(b"\xff" * 0x1000)
        struct.pack_into("<I", page, 0, OPTION_DEFAULT & 0xFFFF)
        return page
