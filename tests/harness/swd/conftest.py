"""Bare virtual chips, without a board around them."""

import pytest
from particle_harness.clock import VirtualClock
from particle_harness.nor_flash import NorFlash
from particle_harness.swd.nrf52840 import Nrf52840, Silicon
from particle_harness.swd.stm32f205 import Stm32f205

from particle_dev.catalog.flash_chips import NRF52840_FLASH, STM32F205_FLASH

DEVICE_ID = bytes.fromhex("0123456789abcdef")
UNIQUE_ID = bytes.fromhex("3a0037000b47343138333038")


@pytest.fixture
def nrf52840():
    def make(variant="AAD0", uicr=None):
        return Nrf52840(Silicon(DEVICE_ID, variant), NorFlash(NRF52840_FLASH, VirtualClock(), delays=False), uicr)

    return make


@pytest.fixture
def stm32f205():
    return Stm32f205(UNIQUE_ID, NorFlash(STM32F205_FLASH, VirtualClock(), delays=False))


class Probe:
    """Memory accesses as a probe makes them, register by register."""

    def __init__(self, chip):
        self.port = chip.debug_port
        self.port.write_dp(4, 0x50000000)
        self.port.write_dp(8, 0)
        self.port.write_ap(0, 0x23000012)

    def read(self, address):
        self.port.write_dp(8, 0)
        self.port.write_ap(4, address)
        return self.port.read_ap(0xC)

    def write(self, address, *words):
        self.port.write_dp(8, 0)
        self.port.write_ap(4, address)
        self.port.write_ap_repeatedly(0xC, words)

    def access_port(self, number, register):
        self.port.write_dp(8, number << 24 | register & 0xF0)
        return self.port.read_ap(register & 0xC)

    def write_access_port(self, number, register, value):
        self.port.write_dp(8, number << 24 | register & 0xF0)
        self.port.write_ap(register & 0xC, value)


@pytest.fixture
def probe():
    return Probe
