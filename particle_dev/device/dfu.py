"""DFU session with one device: memories, reading, erasing, writing, leaving."""

from __future__ import annotations

from dataclasses import dataclass
from types import TracebackType

from particle_dev.catalog.modules import ModuleFunction
from particle_dev.catalog.platforms import Platform, UsbMode
from particle_dev.device.exchange import run
from particle_dev.device.model import Device
from particle_dev.errors import DeviceModeError, DfuProtocolError, FlashRangeError
from particle_dev.protocol import dfu
from particle_dev.protocol.dfuse import MemoryLayout, Sector, parse_memory_layout
from particle_dev.protocol.usb import Machine
from particle_dev.transport.base import Host

_INTERFACE_DESCRIPTOR = 4
_FUNCTIONAL_DESCRIPTOR = 0x21
_WRITABLE_FUNCTIONS = (ModuleFunction.SYSTEM_PART, ModuleFunction.USER_PART, ModuleFunction.MONO_FIRMWARE)
INTERNAL_FLASH_ALT = 0
DCT_ALT = 1


@dataclass(frozen=True, slots=True)
class DfuDescriptors:
    """What a configuration descriptor says about DFU: transfer size and, per alternate setting, its string index."""

    interface: int
    transfer_size_bytes: int
    alternate_strings: dict[int, int]


def parse_descriptors(data: bytes) -> DfuDescriptors:
    """From a raw configuration descriptor. Raises DfuProtocolError when it has no DFU interface."""
    interface, transfer_size, alternates = 0, 0, {}
    offset = 0
    while offset + 2 <= len(data) and data[offset] >= 2:
        descriptor = data[offset : offset + data[offset]]
        if descriptor[1] == _INTERFACE_DESCRIPTOR and descriptor[5:7] == b"\xfe\x01":
            interface = descriptor[2]
            alternates[descriptor[3]] = descriptor[8]
        elif descriptor[1] == _FUNCTIONAL_DESCRIPTOR and alternates:
            transfer_size = int.from_bytes(descriptor[5:7], "little")
        offset += data[offset]
    if not alternates or not transfer_size:
        raise DfuProtocolError("the device offers no DFU interface", hint="it may be in another mode")
    return DfuDescriptors(interface, transfer_size, alternates)


def writable_ranges(platform: Platform) -> tuple[tuple[int, int], ...]:
    """[start, end) of internal flash that a session erases and writes: the slots of system and user parts.

    Everything else is refused whatever a plan says: the nRF52840 bootloader accepts an erase of itself and of the MBR,
    and would not survive it.
    """
    return tuple(
        (
            slot.start_address if slot.start_address is not None else slot.end_address - slot.max_size_bytes,
            slot.end_address,
        )
        for slot in platform.module_slots
        if slot.function in _WRITABLE_FUNCTIONS and slot.end_address is not None
    )


class DfuSession:
    """Reads, erases and writes flash of a device in DFU mode. Use as a context manager.

    ``memories`` gives the layout of each alternate setting as the device announces it. Nothing here boots the
    application, except :meth:`leave`.
    """

    def __init__(self, host: Host, device: Device) -> None:
        if device.mode is not UsbMode.DFU:
            raise DeviceModeError(
                f"{device} is not in DFU mode",
                expected=UsbMode.DFU,
                actual=device.mode,
                hint="enter DFU mode first",
            )
        self._clock = host.clock
        self.device = device
        self._writable = writable_ranges(device.platform)
        self._link = host.usb.open(device.usb)
        try:
            descriptors = parse_descriptors(self._link.configuration_descriptor())
            self._interface = descriptors.interface
            self.transfer_size_bytes = min(descriptors.transfer_size_bytes, dfu.TRANSFER_SIZE_BYTES)
            self._link.claim_interface(self._interface)
            self.memories: dict[int, MemoryLayout] = {
                alt: parse_memory_layout(self._link.string_descriptor(index))
                for alt, index in descriptors.alternate_strings.items()
            }
            self._alt: int | None = None
            run(dfu.go_idle(self._interface), self._link, self._clock)
        except BaseException:
            self._link.close()
            raise

    def __enter__(self) -> DfuSession:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        self.close()

    def close(self) -> None:
        """Give the device back; it stays in DFU mode."""
        self._link.close()

    def _select(self, alt: int) -> None:
        if alt == self._alt:
            return
        if alt not in self.memories:
            raise DfuProtocolError(f"{self.device} has no alternate setting {alt}")
        self._link.set_interface_altsetting(self._interface, alt)
        self._alt = alt

    def read(self, alt: int, address: int, size_bytes: int) -> bytes:
        """``size_bytes`` bytes from ``address`` on; changes nothing. Raises DfuProtocolError, TransportError."""
        self._select(alt)
        return run(dfu.upload(address, size_bytes, self._interface), self._link, self._clock)

    def sectors(self, address: int, size_bytes: int) -> tuple[Sector, ...]:
        """Erase units of internal flash that hold a range."""
        return self.memories[INTERNAL_FLASH_ALT].sectors_in(address, size_bytes)

    def erase_sector(self, sector: Sector) -> None:
        """Erase one sector of internal flash. **Its contents are gone.** Raises FlashRangeError outside of the slots of
        system and user parts, DfuProtocolError when the device refuses."""
        self._check_range(sector.address, sector.size_bytes)
        self._select(INTERNAL_FLASH_ALT)
        run(dfu.erase_sector(sector.address, self._interface), self._link, self._clock)

    def write(self, address: int, data: bytes) -> None:
        """Program one block (at most ``transfer_size_bytes``) of erased internal flash. Raises as
        :meth:`erase_sector`; STM32F2 hides failed writes, so read back."""
        self._check_range(address, len(data))
        self._select(INTERNAL_FLASH_ALT)
        run(self._write(address, data), self._link, self._clock)

    def _write(self, address: int, data: bytes) -> Machine[None]:
        yield from dfu.set_address(address, self._interface)
        yield from dfu.write_block(0, data, address, self._interface)

    def leave(self) -> None:
        """Reset into the application. **It may connect to the cloud, which starts billing**: callers must hold the
        permission ``may_connect``. The device is gone afterwards."""
        run(dfu.go_idle(self._interface), self._link, self._clock)
        run(dfu.leave(self._interface), self._link, self._clock)

    def _check_range(self, address: int, size_bytes: int) -> None:
        if any(start <= address and address + size_bytes <= end for start, end in self._writable):
            return
        raise FlashRangeError(
            f"0x{address:08x}+{size_bytes} is outside the module slots of {self.device.platform.display_name}",
            address=address,
            size_bytes=size_bytes,
            hint="only system and user parts are written over DFU; bootloader and SoftDevice never are",
        )
