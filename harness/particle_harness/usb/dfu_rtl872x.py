"""DFU mode of RTL872x boards: the machine of the nRF52840 on another USB driver, and the memory behind it.

Source: device-os v6.2.0 bootloader/src/rtl872x/{usbd_dfu.cpp,usbd_dfu_mal.cpp,usb_hal.cpp},
hal/src/rtl872x/usbd_driver.cpp setupError() and setupCb().
"""

from __future__ import annotations

from particle_harness.nor_flash import NorFlash
from particle_harness.usb.device import UsbDevice
from particle_harness.usb.dfu_nrf52840 import Gen3Dfu
from particle_harness.usb.dfu_terms import State, Status
from particle_harness.usb.transfer import Setup, StallError


class Rtl872xDfu(Gen3Dfu):
    """As on nRF52840 but for errors found after the DNBUSY reply: the USB driver remembers them and stalls the next
    class request, which is carried out all the same (read in its source, seen on no board).

    The countdown to the reset counts passes of the main loop instead of milliseconds.
    """

    error_string_index = 7
    stalls_failed_work = False
    configuration_when_addressed = 0
    configuration_when_set = 1

    def _answer(self, setup: Setup, data: bytes) -> bytes:
        """Its USB driver is another one."""
        return UsbDevice._answer(self, setup, data)

    def on_configured(self) -> None:
        """The class driver starts anew; the USB driver does not."""
        owed = self.registers.stalls_next
        super().on_configured()
        self.registers.stalls_next = owed

    def class_request(self, setup: Setup, data: bytes) -> bytes:
        """DFU requests."""
        owed, self.registers.stalls_next = self.registers.stalls_next, False
        reply = super().class_request(setup, data)
        if owed:
            raise StallError
        return reply

    def data_stage_done(self, setup: Setup) -> None:
        """The reply to GETSTATUS has gone out: now the flash is touched, or the countdown starts."""
        r = self.registers
        was_busy = r.state == State.DNBUSY
        super().data_stage_done(setup)
        # Refusals of a protected device do not stall.
        r.stalls_next = was_busy and r.state == State.ERROR and r.status != Status.VENDOR


class InternalFlashRtl872x:
    """The whole chip: nothing is protected, not even the boot record."""

    def __init__(self, flash: NorFlash) -> None:
        self._flash = flash

    def read(self, address: int, size_bytes: int) -> bytes | None:
        """Bytes, also of the bootloader."""
        return self._flash.read(address, size_bytes) if self._inside(address, size_bytes) else None

    def write(self, address: int, data: bytes) -> bool:
        """Program bytes."""
        if not self._inside(address, len(data)):
            return False
        self._flash.program(address, data)
        return True

    def erase(self, address: int) -> bool:
        """One 4 KiB sector. The address just behind the chip is taken, and wraps to its start."""
        if not self._inside(address, 0):
            return False
        self._flash.erase_sector(address if address < self._flash.end_address else self._flash.base_address)
        return True

    def poll_timeout_ms(self, command_is_erase: bool, address: int) -> int | None:  # noqa: ARG002
        """Always 0."""
        return 0

    def _inside(self, address: int, size_bytes: int) -> bool:
        return self._flash.base_address <= address and address + size_bytes <= self._flash.end_address
