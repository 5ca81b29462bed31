"""nRF52840: flash controller, user and factory information, protection.

Source: Nordic nRF52840 Product Specification v1.7, chapters NVMC, FICR, UICR, Debug and trace; Nordic nWP-027 and the
comments of nrf-hal issue 420 for the hardened protection of revision 3.
"""

from __future__ import annotations

import struct
import threading
from dataclasses import dataclass

from particle_harness.nor_flash import NorFlash
from particle_harness.swd.bus import Bus, Memory
from particle_harness.swd.core import Core
from particle_harness.swd.debug_port import AccessPort, ControlAccessPort, DebugPort, MemoryAccessPort
from particle_harness.swd.wire_time import WireTime
from particle_harness.user_information import APPROTECT as UICR_APPROTECT
from particle_harness.user_information import OPEN_TO_FIRMWARE, Uicr, reset_pin_is_selected

PAGE_SIZE_BYTES = 0x1000
RETAINED_WORD = 0x3F380
"""Offset in RAM."""
_NORDIC_NRF52840 = (0x244, 0x008)
_READY, _READY_NEXT, _CONFIG, _ERASE_PAGE, _ERASE_ALL = 0x400, 0x408, 0x504, 0x508, 0x50C
_ERASE_PAGE_PARTIAL, _ERASE_UICR, _ICACHE = 0x510, 0x514, 0x540
_WRITE_ENABLED, _ERASE_ENABLED = 1, 2


@dataclass(frozen=True, slots=True)
class Silicon:
    """``device_id``: the eight bytes of FICR.DEVICEID. ``variant``: build code, ``AAD0`` before and ``AAF0`` since
    revision 3, whose protection is in force unless UICR and firmware lift it."""

    device_id: bytes
    variant: str = "AAD0"

    @property
    def hardened(self) -> bool:
        """Whether an erased UICR means locked."""
        return self.variant[2] >= "F"


class FlashController:
    """NVMC: stores reach flash only while it allows writing, erases only while it allows erasing."""

    def __init__(self, chip: Nrf52840) -> None:
        self._chip = chip
        self.config = 0
        self._icache = 0

    def read(self, offset: int, _size_bytes: int) -> int:
        """To the core it is always ready: what takes time has passed when the store returns. A debugger sees it busy
        while the core stands."""
        if offset in (_READY, _READY_NEXT):
            return int(not (self._chip.core.halted and self._chip.erasing))
        return {_CONFIG: self.config, _ICACHE: self._icache}.get(offset, 0)

    def write(self, offset: int, _size_bytes: int, value: int) -> None:
        """CONFIG, ERASEPAGE, ERASEALL, ERASEUICR, ICACHECNF."""
        if offset == _CONFIG:
            self.config = value & 3
        elif offset == _ICACHE:
            self._icache = value
        elif self.config == _ERASE_ENABLED:
            if self._chip.time is not None and self._chip.core.halted:
                self._chip.time.core_starts()
            if offset in (_ERASE_PAGE, _ERASE_PAGE_PARTIAL):
                self._chip.erase_page(value)
            elif offset == _ERASE_ALL and value & 1:
                self._chip.erase_flash_and_uicr()
            elif offset == _ERASE_UICR and value & 1:
                self._chip.erase_uicr()


class Watchdog:
    """Counts what feeds it; nothing here starts it but a store to TASKS_START."""

    _FEED = 0x6E524635

    def __init__(self) -> None:
        self.running = False
        self.feeds = 0

    def read(self, offset: int, _size_bytes: int) -> int:
        """RUNSTATUS and REQSTATUS."""
        return int(self.running) if offset in (0x400, 0x404) else {0x504: 0xFFFFFFFF, 0x508: 1}.get(offset, 0)

    def write(self, offset: int, _size_bytes: int, value: int) -> None:
        """TASKS_START, RR[n]."""
        if offset == 0:
            self.running = True
        elif 0x600 <= offset < 0x620 and value == self._FEED:
            self.feeds += 1


class Nrf52840:
    """The chip around ``flash``, which it shares with whoever else holds it.

    ``flash`` keeps the time that stores and erases take, ``time`` that of wire and core (then the flash takes its time
    there); ``uicr`` survives resets and, with ``flash``, power cuts. ``on_board``: the reset pin works only where UICR
    names it, and nobody but the board's firmware opens a hardened chip; a bare one is taken for wired and opened.
    """

    name = "nrf52840"

    def __init__(
        self,
        silicon: Silicon,
        flash: NorFlash,
        uicr: Uicr | None = None,
        time: WireTime | None = None,
        *,
        on_board: bool = False,
    ) -> None:
        self.silicon = silicon
        self.time = time
        self.flash = flash
        self.uicr: Uicr = bytearray(b"\xff" * PAGE_SIZE_BYTES) if uicr is None else uicr
        self.ram = bytearray(0x40000)
        self.lock = threading.RLock()
        self.locked = False
        self.opened = False
        self._on_board = on_board
        self.reset_pin_works = True
        """As UICR said at the last reset."""
        self.controller = FlashController(self)
        self.watchdog = Watchdog()
        self.bus = Bus()
        self.bus.add_memory(Memory(0x00000000, flash.cells, self._store_flash))
        self.bus.add_memory(Memory(0x10000000, self._factory_information(), lambda _offset, _data: False))
        self.bus.add_memory(Memory(0x10001000, self.uicr, self._store_uicr))
        self.bus.add_memory(Memory(0x20000000, self.ram))
        self.bus.add_peripheral(0x4001E000, self.controller)
        self.bus.add_peripheral(0x40010000, self.watchdog)
        # Source: nRF52840 Product Specification, "Reset behavior": a CPU lockup, unless a debugger is there.
        self.core = Core(self.bus, 4, self._on_reset, lockup_resets=True)
        self.control_access_port = ControlAccessPort(self)
        self.core.rom_table.identify(_NORDIC_NRF52840[1], 1, _NORDIC_NRF52840[0])
        self.core.cpu.map_bus()
        ports: dict[int, AccessPort] = {
            0: MemoryAccessPort(self.core, lambda: self.locked),
            1: self.control_access_port,
        }
        self.debug_port = DebugPort(ports)
        self.core.time = time
        if time is not None:
            self.debug_port.on_transfer = time.transfer
        self.power_on()

    def power_on(self) -> None:
        """Power comes: RAM has lost its contents, and a hardened chip is locked again."""
        self.opened = False
        self.ram[:] = bytes(len(self.ram))
        self.debug_port.power_on()
        self.core.power_on()

    def power_off(self) -> None:
        """Power goes."""
        self.core.power_off()

    @property
    def retained_word(self) -> int:
        """Backup register 1 of Device OS. Source: device-os v6.2.0 build/arm/linker/nrf52840, BKP_DR_01."""
        return int.from_bytes(self.ram[RETAINED_WORD : RETAINED_WORD + 4], "little")

    @retained_word.setter
    def retained_word(self, value: int) -> None:
        self.ram[RETAINED_WORD : RETAINED_WORD + 4] = value.to_bytes(4, "little")

    @property
    def debug_port_was_opened(self) -> bool:
        """By ERASEALL or by firmware, since the last hard reset."""
        return self.opened

    def open_debug_port(self) -> None:
        """Firmware writes APPROTECT.DISABLE, which only hardened silicon has."""
        if self.silicon.hardened:
            self.opened, self.locked = True, False

    def set_wire_clock(self, frequency_hz: float) -> None:
        """Clock of the wire, which only its time depends on."""
        if self.time is not None:
            self.time.frequency_hz = frequency_hz

    @property
    def erasing(self) -> bool:
        """Whether the last mass erase still takes time."""
        return self.time is not None and self.time.core_is_busy

    def pin_reset(self) -> None:
        """The reset line, which brings hardened protection back."""
        if self.reset_pin_works:
            self.opened = False
            self.core.reset()

    def control_reset(self) -> None:
        """Reset through CTRL-AP: protection that ERASEALL lifted stays lifted."""
        self.core.reset()

    def erase_all(self) -> None:
        """CTRL-AP ERASEALL."""
        self.erase_flash_and_uicr()
        self.ram[:] = bytes(len(self.ram))
        self.locked, self.opened = False, True
        self.core.lock_up()

    def erase_flash_and_uicr(self) -> None:
        """Both at once, in the time of one mass erase."""
        if self.time is not None:
            self.time.core_starts()
        self.flash.erase_chip()
        self.uicr[:] = b"\xff" * len(self.uicr)
        self.bus.code_changed = True

    def erase_uicr(self) -> None:
        """User information alone."""
        self.uicr[:] = b"\xff" * len(self.uicr)

    def erase_page(self, address: int) -> None:
        """One page of flash; an address outside does nothing."""
        if address < len(self.flash.cells):
            self.flash.erase_sector(address)
            self.bus.code_changed = True

    def _store_flash(self, offset: int, data: bytes) -> bool:
        if self.controller.config != _WRITE_ENABLED:
            return False
        self.flash.program(offset, data)
        return True

    def _store_uicr(self, offset: int, data: bytes) -> bool:
        if self.controller.config != _WRITE_ENABLED:
            return False
        old = int.from_bytes(self.uicr[offset : offset + len(data)], "little")
        new = old & int.from_bytes(data, "little")
        self.uicr[offset : offset + len(data)] = new.to_bytes(len(data), "little")
        return True

    def _on_reset(self) -> None:
        self.controller.config = 0
        (approtect,) = struct.unpack_from("<I", self.uicr, UICR_APPROTECT)
        if self.silicon.hardened:
            taken_for_opened = not self._on_board and approtect & 0xFF == OPEN_TO_FIRMWARE
            self.locked = not (self.opened or taken_for_opened)
        else:
            self.locked = approtect & 0xFF != 0xFF
        self.reset_pin_works = not self._on_board or reset_pin_is_selected(self.uicr)

    def _factory_information(self) -> bytearray:
        """FICR."""
        page = bytearray(b"\xff" * PAGE_SIZE_BYTES)
        page[0x60:0x68] = self.silicon.device_id
        words = {0x10: PAGE_SIZE_BYTES, 0x14: len(self.flash.cells) // PAGE_SIZE_BYTES, 0x100: 0x52840, 0x108: 0x2004}
        words |= {0x104: int.from_bytes(self.silicon.variant.encode(), "big"), 0x10C: 256, 0x110: 1024}
        for offset, value in words.items():
            struct.pack_into("<I", page, offset, value)
        return page
