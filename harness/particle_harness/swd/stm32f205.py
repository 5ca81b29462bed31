"""STM32F205: flash interface, unique id, option bytes.

Source: ST PM0059 (flash programming), RM0033 (memory map, DBGMCU), DS6329.
"""

from __future__ import annotations

import threading

from particle_harness.nor_flash import NorFlash
from particle_harness.swd.bus import Bus, Memory
from particle_harness.swd.core import Core
from particle_harness.swd.debug_port import AccessPort, DebugPort, MemoryAccessPort
from particle_harness.swd.stm32f205_flash import (
    FLASH_START,
    OPTION_BYTES,
    SYSTEM_MEMORY,
    FlashController,
    option_bytes,
    sector_address,
    sector_number,
    system_memory,
)
from particle_harness.swd.wire_time import WireTime

_ST_F205 = (0x020, 0x411)
_DBGMCU_IDCODE = 0x20036411
BACKUP_REGISTER_1 = 0x854
"""Of RTC_BKP1R in the page of the RTC."""


class FlashInterface(FlashController):
    """The page 0x40023000: RCC as far as OpenOCD and algorithms look at it, and the flash registers at 0xC00."""

    _RCC_RESET = (0x00, 0x83), (0x04, 0x24003010), (0x74, 0x0E000000)

    def reset(self) -> None:
        """Registers as after a reset: locked."""
        super().reset()
        self._clock_control = dict(self._RCC_RESET)

    def read(self, offset: int, size_bytes: int) -> int:
        """Flash and clock registers; clocks are ready as soon as they are on."""
        if offset >= 0xC00:
            return super().read(offset - 0xC00, size_bytes)
        word = offset & ~3
        value = self._clock_control.get(word - 0x800, 0) if offset >= 0x800 else 0
        if word == 0x800:
            value |= (value & 0x01010001) << 1
        elif word == 0x808:
            value = value & ~0xC | (value & 3) << 2
        return value >> 8 * (offset & 3)

    def write(self, offset: int, size_bytes: int, value: int) -> None:
        """Flash and clock registers."""
        if offset >= 0xC00:
            super().write(offset - 0xC00, size_bytes, value)
        else:
            self._clock_control[offset - 0x800 & ~3] = value


class DebugMcu:
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
        self.interface = FlashInterface(self._erase_by_registers, lambda: self.core.halted and self.erasing)
        self.bus.add_memory(Memory(FLASH_START, flash.cells, self._store_flash, aliases=(0,)))
        self.bus.add_memory(
            Memory(SYSTEM_MEMORY, system_memory(unique_id, serial_number), lambda _offset, _data: False)
        )
        self.bus.add_memory(Memory(OPTION_BYTES, option_bytes(), lambda _offset, _data: False))
        self.bus.add_memory(Memory(0x20000000, self.ram))
        self.bus.add_peripheral(0x40023000, self.interface)
        self.power_control = PowerControl(self.interface)
        self.backup_domain = BackupDomain(self.power_control)
        self.bus.add_peripheral(0x40007000, self.power_control)
        self.bus.add_peripheral(0x40002000, self.backup_domain)
        self.bus.add_peripheral(0xE0042000, DebugMcu())
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
            self.flash.erase_sector(sector_address(self.flash, sector))
        self.bus.code_changed = True

    def _erase_by_registers(self, sectors: list[int]) -> None:
        if self.time is not None and self.core.halted:
            self.time.core_starts()
        self.erase_sectors(sectors)

    def _store_flash(self, offset: int, data: bytes) -> bool:
        address = FLASH_START + offset
        if not self.interface.allows_store(sector_number(self.flash, address), len(data)):
            return False
        self.flash.program(address, data)
        return True

    def _on_reset(self) -> None:
        self.interface.reset()
        self.power_control.control = 0
