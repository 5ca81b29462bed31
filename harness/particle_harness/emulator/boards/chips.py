"""Which chip is emulated for which board."""

from __future__ import annotations

from particle_dev.errors import BenchError
from particle_harness.boards import Hardware, serial_number_of
from particle_harness.emulator.chip import EmulatedChip
from particle_harness.emulator.nrf52840.chip import BoardPins, EmulatedNrf52840
from particle_harness.emulator.parts.modem import ModemPins, network_processor_answers
from particle_harness.emulator.stm32f205 import board_pins
from particle_harness.emulator.stm32f205.chip import EmulatedStm32f205
from particle_harness.nor_flash import NorFlash
from particle_harness.swd.nrf52840 import Silicon
from particle_harness.user_information import Uicr

# Source: device-os v1.5.2 and v2.1.0 hal/src/{argon,boron,b5som,tracker,xenon}/pinmap_hal.c.
_FEATHER, _B5SOM, _TRACKER = BoardPins(11, 13, 14, 15), BoardPins(25, 16, 15, 14), BoardPins(45, 38, 37, 35)
_PINS = {
    "argon": _FEATHER,
    "boron": _FEATHER,
    "xenon": _FEATHER,
    "bsom": _FEATHER,
    "b5som": _B5SOM,
    "tracker": _TRACKER,
}
_MODEMS = {
    "boron": ModemPins(power=16, power_pulse=False, sense=2, sense_on=True),
    "bsom": ModemPins(power=16, power_pulse=False, sense=7, sense_on=True),
    "b5som": ModemPins(power=38, power_pulse=True, sense=43, sense_on=False),
    "tracker": ModemPins(power=40, power_pulse=True, sense=46, sense_on=False),
    "argon": ModemPins(enable=24),
}
"""A u-blox SARA, a Quectel EG91 or BG96, or an ESP32. Source: as above, and hal/network/ncp_client/{sara,quectel}."""
_ELECTRON_MODEM = ModemPins(
    power=16 * board_pins.MODEM_POWER_PORT + board_pins.MODEM_POWER_PIN,
    sense=16 * board_pins.MODEM_SENSE_PORT + board_pins.MODEM_SENSE_PIN,
)
_POWER_PARTS = {"boron": 1, "tracker": 1, "bsom": 0, "b5som": 0, "electron": 3}
"""Number of the I2C bus with charger and fuel gauge: the board's own, or those of a SoM's evaluation board.
Source: device-os v2.1.0 hal/src/{boron,b5som,tracker}/hal_platform_config.h, hal/src/stm32f2xx/i2c_hal.c."""
_LOCALLY_ADMINISTERED = b"\x02"
"""First byte of a MAC address that nobody was given."""
_SYSTEM_CYCLES = 4
"""Cycles of an instruction on a board that has a system part: Device OS never sleeps, and its idle loop costs the
host's time. This is fast enough for the SoftDevice."""
_SYSTEM_ADDRESS = 0x30000
_FICR_AFTER_PREFIX = 4
"""The Device ID of an nRF52840 board is a fixed prefix and FICR.DEVICEID."""


def emulated_chip(
    hardware: Hardware, identity: bytes, internal: NorFlash, external: NorFlash | None, uicr: Uicr | None
) -> EmulatedChip:
    """The chip of such a board around memories that others share. BenchError where none is emulated."""
    if hardware.is_gen2:
        serial_number = serial_number_of(hardware, identity.hex())
        chip_f2 = EmulatedStm32f205(
            identity, internal, external, on_full_speed_port=hardware.name != "photon", serial_number=serial_number
        )
        if hardware.name in _POWER_PARTS:
            chip_f2.wire_power_parts(_POWER_PARTS[hardware.name])
        if hardware.name == "electron":
            chip_f2.wire_modem(_ELECTRON_MODEM, uart=3)
        if hardware.name in board_pins.WIFI_RESET:
            chip_f2.wire_wifi(_LOCALLY_ADMINISTERED + identity[-5:], board_pins.WIFI_RESET[hardware.name])
        return chip_f2
    pins = _PINS.get(hardware.name)
    if pins is None or uicr is None:
        raise BenchError(f"no chip of a {hardware.name} is emulated", hint="use --bench virtual, which models it")
    chip = EmulatedNrf52840(Silicon(identity[_FICR_AFTER_PREFIX:]), internal, uicr, external, pins)
    chip.on_restart = lambda: _set_pace(chip)
    _set_pace(chip)
    if hardware.name in _POWER_PARTS:
        chip.wire_power_parts(_POWER_PARTS[hardware.name])
    if hardware.name == "tracker":
        chip.wire_tracker_parts(i2c_master=1, spi_master=2)
    if hardware.name in _MODEMS:
        is_esp32 = hardware.radio == "wifi"
        answers = network_processor_answers(_LOCALLY_ADMINISTERED + identity[-5:]) if is_esp32 else None
        chip.wire_modem(_MODEMS[hardware.name], answers=answers)
    return chip


def _set_pace(chip: EmulatedNrf52840) -> None:
    # By the flash object: whoever notes what a start has read of flash has to know of this, too.
    has_system = chip.internal.read(_SYSTEM_ADDRESS, 4) != b"\xff" * 4
    chip.processor.instruction_cycles = _SYSTEM_CYCLES if has_system else 1
