"""The STM32F205 as Photon, P1 and Electron have it: a Cortex-M3 at 120 MHz with its peripherals on one bus."""

from __future__ import annotations

from functools import partial
from typing import ClassVar

from particle_harness.emulator.chip import ChecksumUnits
from particle_harness.emulator.core.debug_unit import ProcessorDebug
from particle_harness.emulator.core.interrupt_line import SharedLine
from particle_harness.emulator.core.processor import Processor
from particle_harness.emulator.core.timeline import Timeline
from particle_harness.emulator.parts.modem import AtModem, ModemPins
from particle_harness.emulator.parts.power import Charger, wire_power_parts
from particle_harness.emulator.parts.serial_flash import SerialFlash
from particle_harness.emulator.peripherals.registers import RegisterBlock
from particle_harness.emulator.snapshot import Snapshots
from particle_harness.emulator.stm32f205 import board_pins
from particle_harness.emulator.stm32f205.arithmetic import CrcUnit, RandomNumbers
from particle_harness.emulator.stm32f205.clocks import (
    PIN_RESET,
    SOFTWARE_RESET,
    WATCHDOG_RESET,
    PowerControl,
    RealTimeClock,
    ResetAndClock,
    Watchdog,
)
from particle_harness.emulator.stm32f205.dma import DmaController
from particle_harness.emulator.stm32f205.dwc2 import Dwc2
from particle_harness.emulator.stm32f205.i2c import I2c
from particle_harness.emulator.stm32f205.otg_hs import OtgHs
from particle_harness.emulator.stm32f205.pages import Reserved, SharedPage
from particle_harness.emulator.stm32f205.pins import (
    EXTI_INTERRUPTS,
    ExternalInterrupts,
    GpioPort,
    NumberedPins,
    SystemConfiguration,
)
from particle_harness.emulator.stm32f205.sdio import Sdio
from particle_harness.emulator.stm32f205.serial_buses import Adc, Spi, Usart
from particle_harness.emulator.stm32f205.timers import Timer
from particle_harness.emulator.stm32f205.wifi_module import WifiModule
from particle_harness.nor_flash import NorFlash
from particle_harness.swd.bus import Bus, Memory, Peripheral
from particle_harness.swd.stm32f205 import BitBand, DebugMcu
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

CORE_HZ = 120_000_000
_APB1_TIMERS_HZ, _APB2_TIMERS_HZ = 60_000_000, 120_000_000
_PRIORITY_BITS, _INTERRUPTS = 4, 81
_SRAM, _BACKUP_SRAM = 0x20000000, 0x40024000
_SRAM_BYTES, _BACKUP_SRAM_BYTES = 0x20000, 0x1000
_BIT_BAND_PAGES = (0x40007000, 0x40012000, 0x40013000, 0x40023000)
"""Pages whose bits ST's library sets through the alias: PWR, SDIO, SYSCFG, RCC."""
_RESERVED = (*range(0x40000000, 0x40008000, 0x1000), *range(0x40010000, 0x40015000, 0x1000),
             *range(0x40020000, 0x40028000, 0x1000), 0x50050000, 0x50060000)  # fmt: skip
_OTG_PAGES = 0x40
_CRC = 0x40023000
_SDIO, _SDIO_FIFO, _SDIO_RESET = 0x40012C00, 0x80, 1 << 11
_TIMER_LINES = {
    1: (25, 27), 2: (28, 28), 3: (29, 29), 4: (30, 30), 5: (50, 50), 6: (54, 54), 7: (55, 55), 8: (44, 46),
    9: (24, 24), 10: (25, 25), 11: (26, 26), 12: (43, 43), 13: (44, 44), 14: (45, 45),
}  # fmt: skip
"""Vectors of the update and compare events by number of the timer. Source: ST RM0033, vector table."""
_SHARED_LINES = (25, 44)
"""Of those, the ones of two timers."""
_WIDE_TIMERS, _APB2_TIMERS = (2, 5), (1, 8, 9, 10, 11)


class EmulatedStm32f205:
    """``flash`` (1 MiB from 0x08000000) and ``external`` (a P1's serial flash, else None) are the board's own.

    ``on_full_speed_port``: USB is on OTG_FS (P1, Electron) instead of OTG_HS (Photon). ``serial_number`` lies in OTP.
    """

    checksum_units: ClassVar[ChecksumUnits] = {_CRC: CrcUnit}

    def __init__(
        self,
        unique_id: bytes,
        flash: NorFlash,
        external: NorFlash | None = None,
        *,
        on_full_speed_port: bool = False,
        serial_number: str = "",
    ) -> None:
        self.flash_takes_time = True
        """Otherwise programming and erasing are over at once."""
        self.powered = False
        self.resets = 0
        """By firmware and watchdog since the power came."""
        self.flash = flash
        self.external = external
        self.timeline = Timeline(CORE_HZ)
        self.ram = bytearray(_SRAM_BYTES)
        self.backup_ram = bytearray(_BACKUP_SRAM_BYTES)
        self.bus = Bus()
        self._add_memories(unique_id, serial_number)
        self.processor = Processor(self.bus, 3, self.timeline, _PRIORITY_BITS, _INTERRUPTS)
        self._add_peripherals()
        line = self.processor.interrupt_line
        self.otg_fs = Dwc2("OTG_FS", self.timeline, line(67), endpoints=4)
        self.otg_hs = OtgHs(self.timeline, line(77), (line(75), line(74)))
        self.usb: Dwc2 = self.otg_fs if on_full_speed_port else self.otg_hs
        self.bus.add_peripheral(0x40040000, self.otg_hs, pages=_OTG_PAGES)
        self.bus.add_peripheral(0x50000000, self.otg_fs, pages=_OTG_PAGES)
        self.debug = ProcessorDebug(self.processor)
        self.charger: Charger | None = None
        self.modem: AtModem | None = None
        self.modem_pulse = False
        self.processor.map_bus()
        self.processor.on_reset_request = self._software_reset

    # ---- parts ------------------------------------------------------------------------------------------------------

    def _add_memories(self, unique_id: bytes, serial_number: str) -> None:
        add = self.bus.add_memory
        add(Memory(FLASH_START, self.flash.cells, self._store_flash, aliases=(0,)))
        add(Memory(SYSTEM_MEMORY, system_memory(unique_id, serial_number), _refuse))
        add(Memory(OPTION_BYTES, option_bytes(), _refuse))
        add(Memory(_SRAM, self.ram))
        add(Memory(_BACKUP_SRAM, self.backup_ram))

    def _add_peripherals(self) -> None:
        line = self.processor.interrupt_line
        self.clocks = ResetAndClock()
        self.power = PowerControl(self.clocks)
        self.rtc = RealTimeClock(self.timeline, self.power)
        self.watchdog = Watchdog(self.timeline, self._watchdog_bites)
        self.controller = FlashController(self._erase, _never)
        self.syscfg = SystemConfiguration()
        self.exti = ExternalInterrupts(self.syscfg, [line(number) for number in EXTI_INTERRUPTS])
        self.ports = [self._port(number) for number in range(9)]
        self.wires: dict[int, list[SharedLine]] = {number: [] for number in _SHARED_LINES}
        self.timers = {number: self._timer(number) for number in _TIMER_LINES}
        self.spis = {n: Spi(f"SPI{n}", line(number)) for n, number in ((1, 35), (2, 36), (3, 51))}
        self.uarts = {
            n: Usart(f"{kind}{n}", line(number))
            for kind, n, number in (
                ("USART", 1, 37), ("USART", 2, 38), ("USART", 3, 39), ("UART", 4, 52), ("UART", 5, 53), ("USART", 6, 71)
            )
        }  # fmt: skip
        self.i2cs = {n: I2c(f"I2C{n}", line(e), line(e + 1)) for n, e in ((1, 31), (2, 33), (3, 72))}
        self.sdio = Sdio(line(49))
        self.clocks.resets[_SDIO_RESET] = self.sdio
        self.adc = Adc()
        self.crc = CrcUnit(self.processor.native)
        self.rng = RandomNumbers()
        self.dma = [
            DmaController("DMA1", self.bus, [line(n) for n in (*range(11, 18), 47)]),
            DmaController("DMA2", self.bus, [line(n) for n in (*range(56, 61), 68, 69, 70)]),
        ]
        self.dma[1].pace(_SDIO + _SDIO_FIFO, self.sdio)
        self.sdio.on_dma_request = partial(self.dma[1].serve, _SDIO + _SDIO_FIFO)
        self.serial_flash: SerialFlash | None = None
        if self.external is not None:
            self.serial_flash = SerialFlash(self.external)
            self.spis[2].device = self.serial_flash
            self._watch(board_pins.FLASH_SELECT_PORT)
        self.wifi: WifiModule | None = None
        self.wifi_reset: tuple[int, int] | None = None
        self._map()

    def _map(self) -> None:
        t, s, u, i = self.timers, self.spis, self.uarts, self.i2cs
        pages: dict[int, tuple[Peripheral | None, ...]] = {
            0x40000000: (t[2], t[3], t[4], t[5]),
            0x40001000: (t[6], t[7], t[12], t[13]),
            0x40002000: (t[14], None, self.rtc),
            0x40003000: (self.watchdog, None, s[2], s[3]),
            0x40004000: (None, u[2], u[3], u[4]),
            0x40005000: (u[5], i[1], i[2], i[3]),
            0x40007000: (self.power,),
            0x40010000: (t[1], t[8]),
            0x40011000: (u[1], u[6]),
            0x40012000: (self.adc, None, None, self.sdio),
            0x40013000: (s[1], None, self.syscfg, self.exti),
            0x40014000: (t[9], t[10], t[11]),
            0x40020000: tuple(self.ports[0:4]),
            0x40021000: tuple(self.ports[4:8]),
            0x40022000: (self.ports[8],),
            _CRC: (self.crc, None, self.clocks, self.controller),
            0x40026000: tuple(self.dma),
            0x50060000: (None, None, self.rng),
        }
        for page in _RESERVED:
            if page in pages:
                self.bus.add_peripheral(page, SharedPage(*pages[page]))
            elif page != _BACKUP_SRAM:
                self.bus.add_peripheral(page, Reserved())
        for page in _BIT_BAND_PAGES:
            alias = 0x42000000 + (page - 0x40000000) * 32
            self.bus.add_peripheral(alias, BitBand(self.bus, page), pages=0x20)
        self.bus.add_peripheral(0xE0042000, DebugMcu())
        self.processor.native.be_crc_unit(_CRC)

    def _port(self, number: int) -> GpioPort:
        # JTDI, JTMS and JTCK, JTDO are alternate functions after a reset. Source: RM0033, GPIOx_MODER.
        reset_modes = {0: 0xA8000000, 1: 0x00000280}.get(number, 0)
        return GpioPort(f"GPIO{'ABCDEFGHI'[number]}", number, reset_modes, self.exti)

    def _timer(self, number: int) -> Timer:
        by_number = {n: self.processor.interrupt_line(n) for n in _TIMER_LINES[number]}
        for shared in by_number.keys() & self.wires.keys():
            by_number[shared] = SharedLine(by_number[shared], self.wires[shared])
        clock_hz = _APB2_TIMERS_HZ if number in _APB2_TIMERS else _APB1_TIMERS_HZ
        lines = {event: by_number[n] for event, n in zip(("update", "compare"), _TIMER_LINES[number], strict=True)}
        bits = 32 if number in _WIDE_TIMERS else 16
        return Timer(f"TIM{number}", self.timeline, clock_hz, lines, bits=bits)

    def wire_wifi(self, address: bytes, reset: tuple[int, int]) -> None:
        """A Wi-Fi chip hangs on SDIO. ``address``: its MAC address; ``reset``: port and pin of its reset line."""
        self.wifi = WifiModule(self.timeline, self.sdio, address)
        self.wifi_reset = reset
        self._watch(reset[0])

    def _watch(self, port: int) -> None:
        self.ports[port].on_output = partial(self._tell_parts, port)

    def _tell_parts(self, port: int, pins: int) -> None:
        """Of what the chip puts on the pins of a port."""
        if self.serial_flash is not None and port == board_pins.FLASH_SELECT_PORT:
            self.serial_flash.select(low=not pins >> board_pins.FLASH_SELECT_PIN & 1)
        if self.wifi is not None and self.wifi_reset is not None and port == self.wifi_reset[0]:
            self.wifi.reset_line(high=bool(pins >> self.wifi_reset[1] & 1))

    # ---- flash ------------------------------------------------------------------------------------------------------

    def _store_flash(self, offset: int, data: bytes) -> bool:
        address = FLASH_START + offset
        # The core splits a store that is not aligned.
        width = 1 if address % len(data) else len(data)
        if not self.controller.allows_store(sector_number(self.flash, address), width):
            return False
        self.flash.program(address, data)
        self._wait(self.flash.chip.program_s)
        return True

    def _erase(self, sectors: list[int]) -> None:
        for sector in sectors:
            start = sector_address(self.flash, sector)
            self.flash.erase_sector(start)
            self._wait(self.flash.chip.sector(start)[2])
        self.bus.code_changed = True

    def _wait(self, duration_s: float) -> None:
        """The core stands still meanwhile: it executes from the flash that is busy."""
        if self.flash_takes_time:
            self.processor.stand_still(self.timeline.cycles_of(duration_s))

    # ---- power, resets, board ---------------------------------------------------------------------------------------

    @property
    def runs(self) -> bool:
        """Whether the core executes or sleeps."""
        return self.powered and not self.processor.locked_up and not self.processor.halted

    def power_on(self) -> None:
        """Power comes: RAM and backup domain have lost their contents."""
        self.ram[:] = bytes(len(self.ram))
        self.backup_ram[:] = bytes(len(self.backup_ram))
        self.bus.code_changed = True
        self.rtc.power_on()
        self.clocks.power_on()
        self._cut_parts_off()
        self.powered = True
        self.resets = 0
        self._reset(0)

    def power_off(self) -> None:
        """Power goes."""
        self.powered = False
        self.timeline.clear()
        self._cut_parts_off()
        self._reset_peripherals()

    def _cut_parts_off(self) -> None:
        if self.modem is not None:
            self.modem.lose_power()
        if self.serial_flash is not None:
            self.serial_flash.lose_power()

    def pin_reset(self) -> None:
        """The reset line."""
        self._reset(PIN_RESET)

    def _watchdog_bites(self) -> None:
        self.resets += 1
        self._reset(WATCHDOG_RESET | PIN_RESET)

    def _software_reset(self) -> None:
        self.resets += 1
        self._reset(SOFTWARE_RESET | PIN_RESET)

    def _reset(self, reason: int) -> None:
        self._reset_peripherals()
        self.clocks.reset_flags |= reason
        self.processor.reset()

    def _reset_peripherals(self) -> None:
        blocks: tuple[RegisterBlock | FlashController, ...] = (
            self.clocks, self.power, self.rtc, self.watchdog, self.controller, self.syscfg, self.exti, self.sdio,
            self.adc, self.crc, self.rng, self.otg_fs, self.otg_hs, *self.ports, *self.timers.values(),
            *self.spis.values(), *self.uarts.values(), *self.i2cs.values(), *self.dma,
        )  # fmt: skip
        for block in blocks:
            block.reset()
        if self.wifi is not None:
            # The chip's own resistor holds the line low while nobody drives it.
            self.wifi.reset_line(high=False)
        if self.serial_flash is not None:
            # Nobody drives its chip select, which a pull-up raises: that ends a command.
            self.serial_flash.select(low=False)

    def attach_vbus(self) -> None:
        """5 V come on the USB cable."""
        self.usb.attach_vbus()
        if self.charger is not None:
            self.charger.has_input = True

    def detach_vbus(self) -> None:
        """They go."""
        self.usb.detach_vbus()
        if self.charger is not None:
            self.charger.has_input = False

    def wire_power_parts(self, bus: int) -> None:
        """A charger and a fuel gauge on an I2C bus of the chip."""
        self.charger = wire_power_parts(self.i2cs[bus].devices)

    def wire_modem(self, pins: ModemPins, uart: int) -> AtModem:
        """A radio on a serial line of the chip. Its power pin is low for a pulse; it is always ready to receive."""
        line = self.uarts[uart]
        self.modem = AtModem(self.timeline, line, NumberedPins(self.ports), pins)
        line.on_byte = self._send_to_modem
        self.ports[board_pins.MODEM_POWER_PORT].on_output = self._look_at_modem_power
        self.ports[board_pins.MODEM_READY_PORT].set_level(board_pins.MODEM_READY_PIN, high=False)
        return self.modem

    def _send_to_modem(self, byte: int) -> None:
        if self.modem is not None:
            self.modem.receive(bytes((byte,)))

    def _look_at_modem_power(self, _pins: int) -> None:
        pulse = self.ports[board_pins.MODEM_POWER_PORT].drives_low(board_pins.MODEM_POWER_PIN)
        if self.modem is not None and pulse is not self.modem_pulse:
            self.modem_pulse = pulse
            self.modem.power_pin(not pulse)

    def hold_mode_button(self, pressed: bool) -> None:
        """Somebody presses the MODE button, or lets it go."""
        self.ports[board_pins.MODE_BUTTON_PORT].set_level(board_pins.MODE_BUTTON_PIN, high=not pressed)

    @property
    def lights(self) -> tuple[float, float, float]:
        """Red, green, blue: 0 dark, 1 full."""
        timer = self.timers[2]
        top = timer.stored[0x2C] + 1
        red, green, blue = (min(1.0, timer.stored[0x34 + 4 * n] / top) for n in board_pins.LIGHT_CHANNELS)
        return red, green, blue

    def snapshot(self) -> bytes:
        """Everything but the contents of flash. Raises SnapshotError."""
        return Snapshots("STM32F205", self).take()

    def restore(self, snapshot: bytes) -> None:
        """Go on from a snapshot of such a chip with the same contents of flash. Raises SnapshotError."""
        Snapshots("STM32F205", self).restore(snapshot)


def _refuse(_offset: int, _data: bytes) -> bool:
    return False


def _never() -> bool:
    return False
