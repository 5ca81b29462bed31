"""Charger and fuel gauge beside the controller, with a battery that is there and full."""

from __future__ import annotations

from typing import ClassVar

from particle_harness.emulator.parts.wired_registers import I2cDevice, WiredRegisters
from particle_harness.emulator.peripherals.registers import Register, RegisterMap

CHARGER_ADDRESS, GAUGE_ADDRESS = 0x6B, 0x36
_POWER_ON, _MISCELLANEOUS = 0x01, 0x07
_RESETS, _RESTARTS_WATCHDOG, _DETECTS = 1 << 7, 1 << 6, 1 << 7
_LIMIT_MASK, _LIMIT_500_MA = 0x07, 0x02
_USB_HOST, _CHARGED, _POWER_GOOD = 1 << 6, 3 << 4, 1 << 2
_CONFIG = 0x0C
_POWER_ON_RESET = 0x5400
_CELL_MV, _CELL_STEP_MV = 4100, 1.25
_CHARGE_PERCENT = 95


class Charger(WiredRegisters):
    """BQ24195 at address 0x6B. ``has_input``: 5 V come in, from a USB host. Nothing is ever wrong with it, and its
    watchdog never bites."""

    registers: ClassVar[RegisterMap] = RegisterMap(
        "BQ24195",
        "TI SLUSB97A, 8.5 Register Map",
        Register("REG00", 0x00, reset=0x30),
        Register("REG01", _POWER_ON, reset=0x1B),
        Register("REG02", 0x02, reset=0x60),
        Register("REG03", 0x03, reset=0x11),
        Register("REG04", 0x04, reset=0xB2),
        Register("REG05", 0x05, reset=0x9A),
        Register("REG06", 0x06, reset=0x03),
        Register("REG07", _MISCELLANEOUS, reset=0x4B),
        Register("REG08", 0x08, access="r"),
        Register("REG09", 0x09, access="r"),
        Register("REG0A", 0x0A, access="r", reset=0x23),
    )

    def __init__(self) -> None:
        self.has_input = False
        super().__init__()

    def write_reg01(self, value: int) -> None:
        """Bit 7 resets all registers; it and the bit that restarts the watchdog read 0."""
        if value & _RESETS:
            self.reset()
        else:
            self.stored[_POWER_ON] = value & ~_RESTARTS_WATCHDOG

    def write_reg07(self, value: int) -> None:
        """Detection of the input is over at once; it finds a host, which gives 500 mA."""
        self.stored[_MISCELLANEOUS] = value & ~_DETECTS
        if value & _DETECTS and self.has_input:
            self.stored[0x00] = self.stored[0x00] & ~_LIMIT_MASK | _LIMIT_500_MA

    def read_reg08(self) -> int:
        """Where the power comes from, and that the battery is full."""
        return _USB_HOST | _CHARGED | _POWER_GOOD if self.has_input else 0


class FuelGauge(WiredRegisters):
    """MAX17043 at address 0x36."""

    registers: ClassVar[RegisterMap] = RegisterMap(
        "MAX17043",
        "Maxim 19-4811, Register Summary",
        Register("VCELL", 0x02, access="r", reset=round(_CELL_MV / _CELL_STEP_MV) << 4),
        Register("SOC", 0x04, access="r", reset=_CHARGE_PERCENT << 8),
        Register("MODE", 0x06, access="w"),
        Register("VERSION", 0x08, access="r", reset=0x0003),
        Register("CONFIG", _CONFIG, reset=0x971C),
        Register("COMMAND", 0xFE, access="w"),
    )
    register_bytes: ClassVar[int] = 2

    def write_command(self, value: int) -> None:
        """One command is known: start anew."""
        if value == _POWER_ON_RESET:
            self.reset()


def wire_power_parts(devices: dict[int, I2cDevice]) -> Charger:
    """Put both on a bus."""
    devices[CHARGER_ADDRESS] = charger = Charger()
    devices[GAUGE_ADDRESS] = FuelGauge()
    return charger
