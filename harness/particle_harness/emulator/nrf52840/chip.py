"""The chip: core, memories and peripherals on one bus, around flash that others share."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import ClassVar, TypeVar

from particle_harness.emulator.chip import ChecksumUnits
from particle_harness.emulator.core.debug_unit import ProcessorDebug
from particle_harness.emulator.core.interrupt_line import InterruptLine
from particle_harness.emulator.core.processor import Processor
from particle_harness.emulator.core.timeline import Timeline
from particle_harness.emulator.nrf52840 import power
from particle_harness.emulator.nrf52840.analog import AnalogInputs, EcbCipher, RandomNumbers, Temperature
from particle_harness.emulator.nrf52840.boot_record import SERVICES_ADDRESS, BootRecordServices
from particle_harness.emulator.nrf52840.bystanders import BYSTANDERS, Bystander
from particle_harness.emulator.nrf52840.counters import Rtc, Timer
from particle_harness.emulator.nrf52840.cryptocell import CryptoCellEngine, CryptoCellSwitch
from particle_harness.emulator.nrf52840.factory_information import RevisionPage, factory_information
from particle_harness.emulator.nrf52840.light import Pwm
from particle_harness.emulator.nrf52840.memory_controller import MemoryController
from particle_harness.emulator.nrf52840.peripheral import CORE_HZ, NrfPeripheral
from particle_harness.emulator.nrf52840.pins import Gpio, Gpiote
from particle_harness.emulator.nrf52840.ppi import EventGenerator, Interconnect
from particle_harness.emulator.nrf52840.qspi import OTP_SIZE_BYTES, SerialFlashController
from particle_harness.emulator.nrf52840.radio import AddressResolver, RadioPeripheral
from particle_harness.emulator.nrf52840.serial_buses import SerialMaster
from particle_harness.emulator.nrf52840.tracker_parts import CLOCK_ADDRESS, ExpanderOnSpi, ExternalClock
from particle_harness.emulator.nrf52840.uarte import Uarte
from particle_harness.emulator.nrf52840.usbd import Usbd
from particle_harness.emulator.nrf52840.watchdog import Watchdog
from particle_harness.emulator.parts.modem import AtModem, ModemPins
from particle_harness.emulator.parts.power import Charger, wire_power_parts
from particle_harness.emulator.peripherals.registers import RegisterBlock
from particle_harness.emulator.snapshot import Snapshots
from particle_harness.nor_flash import NorFlash
from particle_harness.swd.bus import Bus, Memory
from particle_harness.swd.debug_unit import C_DEBUGEN
from particle_harness.swd.nrf52840 import Silicon
from particle_harness.user_information import Uicr, reset_pin_is_selected

RAM_ADDRESS, RAM_SIZE_BYTES = 0x20000000, 0x40000
_XIP_ADDRESS = 0x12000000
_PRIORITY_BITS, _INTERRUPTS = 3, 48
_LOCKUP_S = 0.1
"""From a lockup to the reset that it brings: long for silicon, so that a chip with nothing to run, which does this
again and again, costs the host little."""
_TIMERS = {0x40008000: (8, 4), 0x40009000: (9, 4), 0x4000A000: (10, 4), 0x4001A000: (26, 6), 0x4001B000: (27, 6)}
_RTCS = {0x4000B000: 11, 0x40011000: 17, 0x40024000: 36}
_PWMS = {0x4001C000: 28, 0x40021000: 33, 0x40022000: 34, 0x4002D000: 45}
_SERIAL = {0x40003000: 3, 0x40004000: 4, 0x40023000: 35, 0x4002F000: 47}
_UARTS = {0x40002000: 2, 0x40028000: 40}
_EGUS = {0x40014000 + 0x1000 * n: 20 + n for n in range(6)}
_Block = TypeVar("_Block", bound=RegisterBlock)


@dataclass(frozen=True, slots=True)
class BoardPins:
    """What a board has on which pin: number in port 0, or 32 + number in port 1. Light and button are active low."""

    mode_button: int
    red: int
    green: int
    blue: int


class EmulatedNrf52840:
    """Executes what is in ``internal`` flash. ``uicr`` and both flashes are the board's own objects; time starts when
    power comes. Random numbers depend on the chip's Device ID alone.

    ``resets`` counts resets by firmware, watchdog and lockup since the power came. ``on_restart`` is called before the
    core starts at its reset vector.
    """

    checksum_units: ClassVar[ChecksumUnits] = {}

    def __init__(
        self, silicon: Silicon, internal: NorFlash, uicr: Uicr, external: NorFlash | None, pins: BoardPins
    ) -> None:
        self.silicon = silicon
        self.internal, self.external, self.uicr = internal, external, uicr
        self.pins = pins
        self.powered = False
        self.resets = 0
        self.on_restart: Callable[[], None] | None = None
        self.off = False
        """Firmware has switched the chip off (SYSTEMOFF)."""
        self.ram = bytearray(RAM_SIZE_BYTES)
        self.secured = bytearray(b"\xff" * OTP_SIZE_BYTES)
        self.timeline = Timeline(CORE_HZ)
        self.bus = Bus()
        self.processor = Processor(self.bus, 4, self.timeline, _PRIORITY_BITS, _INTERRUPTS)
        self.processor.on_reset_request = partial(self.reset, power.RESET_SOFTWARE)
        self.processor.on_lockup = self._locked_up
        self.blocks: list[RegisterBlock] = []
        self.wires = self._add(0x4001F000, Interconnect())
        self.wires.peripherals[0x4001F000] = self.wires
        self._add_memories()
        self._add_system()
        self._add_counters()
        self._add_inputs()
        self._add_serial()
        self._add_radio()
        self.gpio.on_change = self.gpiote.pin_changed
        self.debug = ProcessorDebug(self.processor)
        self.modem: AtModem | None = None
        self.charger: Charger | None = None
        self.processor.map_bus()

    # ---- building ---------------------------------------------------------------------------------------------------

    def _add(self, address: int, block: _Block) -> _Block:
        self.bus.add_peripheral(address, block)
        self.blocks.append(block)
        if isinstance(block, NrfPeripheral):
            self.wires.peripherals[address] = block
        return block

    def _line(self, number: int) -> InterruptLine:
        return self.processor.interrupt_line(number)

    def _add_memories(self) -> None:
        self.controller = self._add(0x4001E000, MemoryController(self.bus, self.internal, self.uicr))
        self.bus.add_memory(Memory(0x00000000, self.internal.cells, self.controller.store_flash))
        self.bus.add_memory(Memory(0x10000000, factory_information(self.silicon), _refuse))
        self.bus.add_memory(Memory(0x10001000, self.uicr, self.controller.store_uicr))
        self.bus.add_memory(Memory(RAM_ADDRESS, self.ram))
        if self.external is not None:
            self.bus.add_memory(Memory(_XIP_ADDRESS, self.external.cells, _refuse))
            self.serial_flash = self._add(
                0x40029000,
                SerialFlashController(self.timeline, self._line(41), self.wires, self.bus, self.external, self.secured),
            )

    def _add_system(self) -> None:
        timeline, wires = self.timeline, self.wires
        self.power = self._add(0x40000000, power.ClockPower(timeline, self._line(0), wires, self._switch_off))
        self.watchdog = self._add(0x40010000, Watchdog(timeline, self._line(16), wires, self._bite))
        self.boot_record = self._add(
            SERVICES_ADDRESS,
            BootRecordServices(self.bus, self.internal, self.uicr, self.processor.request_reset),
        )
        for address, name in BYSTANDERS.items():
            self._add(address, Bystander(name))
        self._add(0xF0000000, RevisionPage())
        self._add(0x5002A000, CryptoCellSwitch())
        self.cryptocell = self._add(0x5002B000, CryptoCellEngine(self._line(42), self.bus, self._seed))
        self.usb = self._add(0x40027000, Usbd(timeline, self._line(39), wires, self.bus))

    def _add_counters(self) -> None:
        for number, (address, (line, channels)) in enumerate(_TIMERS.items()):
            self._add(address, Timer(address, self.timeline, self._line(line), self.wires, f"TIMER{number}", channels))
        for number, (address, line) in enumerate(_RTCS.items()):
            self._add(address, Rtc(address, self.timeline, self._line(line), self.wires, f"RTC{number}"))

    def _add_inputs(self) -> None:
        timeline, wires = self.timeline, self.wires
        self.gpio = Gpio()
        self._add(0x50000000, self.gpio)
        self.gpiote = self._add(0x40006000, Gpiote(timeline, self._line(6), wires, self.gpio))
        self._add(0x40007000, AnalogInputs(timeline, self._line(7), wires, self.bus))
        self._add(0x4000C000, Temperature(0x4000C000, timeline, self._line(12), wires))
        self._add(0x4000D000, RandomNumbers(timeline, self._line(13), wires, self._seed))
        self._add(0x4000E000, EcbCipher(timeline, self._line(14), wires, self.bus))
        self.pwms = [
            self._add(address, Pwm(address, timeline, self._line(line), wires, f"PWM{number}", self.bus))
            for number, (address, line) in enumerate(_PWMS.items())
        ]

    def _add_serial(self) -> None:
        self.serial_masters = [
            self._add(
                address,
                SerialMaster(address, self.timeline, self._line(line), self.wires, f"SPIM/TWIM{number}", self.bus),
            )
            for number, (address, line) in enumerate(_SERIAL.items())
        ]
        self.uarts = [
            self._add(address, Uarte(address, self.timeline, self._line(line), self.wires, f"UARTE{number}", self.bus))
            for number, (address, line) in enumerate(_UARTS.items())
        ]

    def _add_radio(self) -> None:
        self.radio = self._add(0x40001000, RadioPeripheral(self.timeline, self._line(1), self.wires))
        self._add(0x4000F000, AddressResolver(0x4000F000, self.timeline, self._line(15), self.wires))
        for number, (address, line) in enumerate(_EGUS.items()):
            self._add(address, EventGenerator(address, self.timeline, self._line(line), self.wires, f"EGU{number}"))

    @property
    def _seed(self) -> int:
        return int.from_bytes(self.silicon.device_id, "little")

    # ---- supply and resets ------------------------------------------------------------------------------------------

    @property
    def runs(self) -> bool:
        """Whether the core executes or sleeps."""
        return self.powered and not self.off and not self.processor.locked_up and not self.processor.halted

    def power_on(self) -> None:
        """Power comes: RAM holds nothing, the core starts at its reset vector."""
        self.ram[:] = bytes(RAM_SIZE_BYTES)
        self.bus.code_changed = True
        self.power.lose_power()
        if self.external is not None:
            self.serial_flash.lose_power()
        if self.modem is not None:
            self.modem.lose_power()
        self.powered, self.resets = True, 0
        self._restart(self.blocks)

    def power_off(self) -> None:
        """Power goes: RAM and registers are lost, and whatever was to come does not."""
        self.powered = False
        self.timeline.clear()
        self.usb.vbus = False
        self.usb.reset()
        self.processor.stop_requested = True

    def pin_reset(self) -> None:
        """The reset line, where UICR names its pin."""
        if self.powered and reset_pin_is_selected(self.uicr):
            self.reset(power.RESET_PIN)

    def reset(self, reason: int) -> None:
        """A reset that RAM survives. ``reason``: a bit of RESETREAS."""
        self.power.note_reset(reason)
        self.resets += 1
        goes_on = self.watchdog if reason in power.RESETS_OF_THE_CORE else None
        self._restart([block for block in self.blocks if block is not goes_on])

    def _restart(self, blocks: Iterable[RegisterBlock]) -> None:
        self.off = False
        for block in blocks:
            block.reset()
        self.usb.vbus = self.power.vbus
        self.processor.stop_requested = False
        if self.on_restart is not None:
            self.on_restart()
        self.processor.reset()

    def _bite(self) -> None:
        self.reset(power.RESET_WATCHDOG)

    def _locked_up(self) -> None:
        """A debugger gets the core as it is; without one the chip is reset."""
        if self.debug.dhcsr & C_DEBUGEN:
            return
        self.timeline.pass_until(self.timeline.cycles + self.timeline.cycles_of(_LOCKUP_S))
        if self.processor.locked_up:
            self.reset(power.RESET_LOCKUP)

    def _switch_off(self) -> None:
        """The watchdog does not run in System OFF."""
        self.off = True
        self.watchdog.reset()
        self.processor.stop_requested = True

    def attach_vbus(self) -> None:
        """5 V come on the USB cable."""
        self.usb.vbus = True
        self.power.attach_vbus()
        if self.charger is not None:
            self.charger.has_input = True

    def detach_vbus(self) -> None:
        """They go."""
        self.usb.vbus = False
        self.power.detach_vbus()
        if self.charger is not None:
            self.charger.has_input = False

    def snapshot(self) -> bytes:
        """Everything but the contents of flash and UICR. Raises SnapshotError."""
        return Snapshots("nRF52840", self).take()

    def restore(self, snapshot: bytes) -> None:
        """Go on from a snapshot of such a chip with the same contents of flash. Raises SnapshotError."""
        Snapshots("nRF52840", self).restore(snapshot)

    def wire_modem(self, pins: ModemPins, uart: int = 1, answers: Mapping[str, str] | None = None) -> AtModem:
        """A radio on a serial line of the chip, with answers of its own."""
        line = self.uarts[uart]
        self.modem = AtModem(self.timeline, line, self.gpio, pins, answers)
        line.peer = self.modem
        if pins.power is not None:
            self.gpio.watchers[pins.power] = self.modem.power_pin
        if pins.enable is not None:
            self.gpio.watchers[pins.enable] = self.modem.enable_pin
        return self.modem

    def wire_power_parts(self, master: int) -> None:
        """A charger and a fuel gauge on an I2C bus of the chip."""
        self.charger = wire_power_parts(self.serial_masters[master].i2c_devices)

    def wire_tracker_parts(self, i2c_master: int, spi_master: int) -> None:
        """A clock on an I2C bus of the chip, and a pin expander on an SPI bus."""
        self.serial_masters[i2c_master].i2c_devices[CLOCK_ADDRESS] = ExternalClock(self.timeline)
        self.serial_masters[spi_master].spi_device = ExpanderOnSpi(self.gpio)

    # ---- what a person sees and does --------------------------------------------------------------------------------

    def hold_mode_button(self, pressed: bool) -> None:
        """Somebody presses the MODE button, or lets it go."""
        self.gpio.drive(self.pins.mode_button, False if pressed else None)

    @property
    def lights(self) -> tuple[float, float, float]:
        """Red, green, blue: 0 dark, 1 full."""
        levels: dict[int, float] = {}
        for pwm in self.pwms:
            levels |= pwm.levels()
        pins = (self.pins.red, self.pins.green, self.pins.blue)
        red, green, blue = (1.0 - levels.get(pin, float(self.gpio.level(pin))) for pin in pins)
        return red, green, blue


def _refuse(_offset: int, _data: bytes) -> bool:
    return False
