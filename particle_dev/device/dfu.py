"""DFU session with one device: memories, reading, erasing, writing, leaving."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from types import TracebackType

from particle_dev.catalog.gen3_nrf52840 import BRAKE_ADDRESS, INTERNAL_FLASH_END, LOW_SYSTEM_START, SYSTEM_START
from particle_dev.catalog.modules import WRITTEN_OVER_DFU
from particle_dev.catalog.ota_region import update_area
from particle_dev.catalog.platforms import Platform, UsbMode
from particle_dev.device.exchange import run
from particle_dev.device.model import LEAVE_DFU_FIRST, Device
from particle_dev.errors import (
    DeviceModeError,
    DfuProtocolError,
    FlashRangeError,
    NoWayToModeError,
    PlanRefusedError,
)
from particle_dev.permissions import NOTHING, Permissions
from particle_dev.protocol import dct, dfu
from particle_dev.protocol.dfuse import DfuseCommand, MemoryLayout, Sector, parse_memory_layout
from particle_dev.protocol.module_prefix import CRC_SIZE_BYTES, PREFIX_SIZE_BYTES, is_crc_right, unpack_prefix
from particle_dev.protocol.usb import Machine
from particle_dev.transport.base import Host

_INTERFACE_DESCRIPTOR = 4
_FUNCTIONAL_DESCRIPTOR = 0x21
INTERNAL_FLASH_ALT = 0
DCT_ALT = 1
EXTERNAL_SECTOR_SIZE_BYTES = 4096
"""One ERASE clears that much of external flash. Bootloaders before 3.x announce 8 KiB for 8 MiB parts and still do so.
Source: device-os v2.1.0 bootloader/src/nRF52840/usbd_dfu_mal.h, usbd_dfu_mal.cpp ExternalFlashMal::erase."""
_PAGE_BYTES = 4096
_STACK_MASK, _STACK_IN_RAM, _BEHIND_VECTORS = 0x2FFC0000, 0x20000000, 0x200
_BRAKE_HINT = f"set the parking brake first: erase the sector at 0x{BRAKE_ADDRESS:08x}"
_ERASE_MOVES_POINTER = "stm32f2xx"
"""Family whose ERASE moves the address pointer, too; elsewhere it stands until the next SET_ADDRESS. Source: device-os
v2.1.0 platform/MCU/STM32F2xx/STM32_USB_Device_Driver/src/usbd_dfu_core.c; v6.2.0 bootloader/src/{nRF52840,rtl872x}/
usbd_dfu.cpp."""


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
        if len(descriptor) >= 9 and descriptor[1] == _INTERFACE_DESCRIPTOR and descriptor[5:7] == b"\xfe\x01":
            interface = descriptor[2]
            alternates[descriptor[3]] = descriptor[8]
        elif len(descriptor) >= 7 and descriptor[1] == _FUNCTIONAL_DESCRIPTOR and alternates:
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
        if slot.function in WRITTEN_OVER_DFU and slot.end_address is not None
    )


def writable_dct_ranges(platform: Platform) -> tuple[tuple[int, int], ...]:
    """[start, end) of the configuration that a session writes: update slots 1–4 and the flag for the OTA region. Keys,
    claim and factory slot lie beside them and are refused."""
    if update_area(platform) is None:
        return ()
    flag = dct.OTA_UPDATE_FLAG_OFFSET
    return (flag, flag + 1), (dct.slot_offset(1), dct.slot_offset(dct.MODULE_SLOT_COUNT))


class DfuSession:
    """Reads, erases and writes flash of a device in DFU mode. Use as a context manager.

    ``memories`` gives the layout of each alternate setting as the device announces it. What was read of internal flash
    is not read again until the session erases or writes there: nobody else can. What can boot an application, or Device
    OS, needs a permission: :meth:`leave`, :meth:`leave_into_safe_mode`.
    """

    def __init__(self, host: Host, device: Device, permissions: Permissions = NOTHING) -> None:
        if device.mode is not UsbMode.DFU:
            raise DeviceModeError(
                f"{device} is not in DFU mode",
                expected=UsbMode.DFU,
                actual=device.mode,
                hint="enter DFU mode first: `particle-dev mode dfu`",
            )
        self._clock = host.clock
        self.device = device
        self.permissions = permissions
        self._writable = writable_ranges(device.platform)
        self._writable_dct = writable_dct_ranges(device.platform)
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
            self._pointer: int | None = None
            self._pages: dict[int, bytes] = {}
            """By page number of internal flash what was read from its start on."""
            self._at_once: set[str] = set()
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
            raise DfuProtocolError(
                f"{self.device} has no alternate setting {alt}",
                hint="its bootloader lacks that memory: install the one of a newer Device OS",
            )
        self._link.set_interface_altsetting(self._interface, alt)
        self._alt, self._pointer = alt, None
        # Times to wait differ between memories and acts: each is asked once.
        self._at_once.clear()

    def read(self, alt: int, address: int, size_bytes: int) -> bytes:
        """``size_bytes`` bytes from ``address`` on; changes nothing. Raises DfuProtocolError, TransportError."""
        known = self._known(address, size_bytes) if alt == INTERNAL_FLASH_ALT else None
        if known is not None:
            return known
        self._select(alt)
        self._pointer = None
        data = run(dfu.upload(address, size_bytes, self._interface), self._link, self._clock)
        if alt == INTERNAL_FLASH_ALT:
            self._keep(address, data)
        return data

    def read_blocks(self, address: int, size_bytes: int, offsets: Sequence[int]) -> list[bytes]:
        """Blocks of ``transfer_size_bytes`` at some multiples of that size behind ``address``, out of ``size_bytes``
        bytes of internal flash; a transfer each. Raises as :meth:`read`."""
        size = dfu.TRANSFER_SIZE_BYTES
        found = {o: self._known(address + o, min(size, size_bytes - o)) for o in offsets}
        unread = [offset for offset in offsets if found[offset] is None]
        if unread:
            self._select(INTERNAL_FLASH_ALT)
            self._pointer = None
            blocks = [offset // size for offset in unread]
            machine = dfu.upload_blocks(address, size_bytes, blocks, self._interface)
            for offset, data in zip(unread, run(machine, self._link, self._clock), strict=True):
                found[offset] = data
                self._keep(address + offset, data)
        return [data for data in found.values() if data is not None]

    def _known(self, address: int, size_bytes: int) -> bytes | None:
        """What was read there before; None when some of it was not."""
        first, end = address // _PAGE_BYTES, -(-(address + size_bytes) // _PAGE_BYTES)
        pieces = [self._pages.get(page, b"") for page in range(first, end)]
        if any(len(piece) < _PAGE_BYTES for piece in pieces[:-1]):
            return None
        start = address - first * _PAGE_BYTES
        data = b"".join(pieces)[start : start + size_bytes]
        return data if len(data) == size_bytes else None

    def _keep(self, address: int, data: bytes) -> None:
        """Remember what was read: of each page what follows its start."""
        for page in range(-(-address // _PAGE_BYTES), -(-(address + len(data)) // _PAGE_BYTES)):
            piece = data[page * _PAGE_BYTES - address :][:_PAGE_BYTES]
            if len(piece) > len(self._pages.get(page, b"")):
                self._pages[page] = piece

    def _forget(self, address: int, size_bytes: int) -> None:
        for page in range(address // _PAGE_BYTES, -(-(address + size_bytes) // _PAGE_BYTES)):
            self._pages.pop(page, None)

    def sectors(self, address: int, size_bytes: int) -> tuple[Sector, ...]:
        """Erase units of internal flash that hold a range."""
        return self.memories[INTERNAL_FLASH_ALT].sectors_in(address, size_bytes)

    def erase_sector(self, sector: Sector) -> None:
        """Erase one sector of internal flash. **Its contents are gone.** Raises FlashRangeError outside of the slots of
        system and user parts, DfuProtocolError when the device refuses."""
        self._check_range(sector.address, sector.size_bytes)
        self._select(INTERNAL_FLASH_ALT)
        self._forget(sector.address, sector.size_bytes)
        self._erase(sector.address)

    def replace_sector(self, sector: Sector, address: int, data: bytes) -> None:
        """:meth:`erase_sector` and :meth:`write` of the first block to be written there, in one queue of transfers
        where the device has shown that it needs no time in between. Raises as both."""
        if not {"address", "erase", "write"} <= self._at_once:
            self.erase_sector(sector)
            self.write(address, data)
            return
        self._check_range(sector.address, sector.size_bytes)
        self._check_range(address, len(data))
        self._select(INTERNAL_FLASH_ALT)
        self._forget(sector.address, sector.size_bytes)
        if self.device.platform.family == _ERASE_MOVES_POINTER:
            self._pointer = None
        self._download_all([dfu.erasing(sector.address)], address, data)

    def write(self, address: int, data: bytes) -> None:
        """Program one block (at most ``transfer_size_bytes``) of erased internal flash. Raises as
        :meth:`erase_sector`; STM32F2 hides failed writes, so read back."""
        self._check_range(address, len(data))
        self._select(INTERNAL_FLASH_ALT)
        self._forget(address, len(data))
        if {"address", "write"} <= self._at_once:
            self._download_all([], address, data)
        else:
            run(self._write(address, data), self._link, self._clock)

    def erase_external(self, address: int) -> None:
        """Erase the 4 KiB of external flash at ``address`` (0x80000000 and up). Raises FlashRangeError outside of the
        update area, where files, assets and the factory application lie, DfuProtocolError when the device refuses."""
        alt = self._check_external(address - address % EXTERNAL_SECTOR_SIZE_BYTES, EXTERNAL_SECTOR_SIZE_BYTES)
        self._select(alt)
        self._erase(address)

    def write_external(self, address: int, data: bytes) -> None:
        """Program one block (at most ``transfer_size_bytes``) of erased external flash. Raises as
        :meth:`erase_external`."""
        alt = self._check_external(address, len(data))
        self._select(alt)
        run(self._write(address, data), self._link, self._clock)

    def write_dct(self, offset: int, data: bytes) -> None:
        """Replace bytes of the configuration; no erase is needed. **What an armed slot names is installed at the next
        boot.** Raises FlashRangeError outside of the update slots and their flag, DfuProtocolError."""
        if not any(start <= offset and offset + len(data) <= end for start, end in self._writable_dct):
            raise FlashRangeError(
                f"{offset}+{len(data)} of the configuration of {self.device.platform.display_name} is not written",
                address=offset,
                size_bytes=len(data),
                hint="only update slots and their flag are; keys and claim lie beside them",
            )
        self._select(DCT_ALT)
        run(self._write(offset, data), self._link, self._clock)

    def _check_external(self, address: int, size_bytes: int) -> int:
        area = update_area(self.device.platform)
        if area is None or address < area.dfu_address or address + size_bytes > area.dfu_address + area.safe_size_bytes:
            raise FlashRangeError(
                f"0x{address:08x}+{size_bytes} is outside the update area of {self.device.platform.display_name}",
                address=address,
                size_bytes=size_bytes,
                hint="files, assets and the factory application lie around it",
            )
        return area.dfu_alt

    def _erase(self, address: int) -> None:
        if self.device.platform.family == _ERASE_MOVES_POINTER:
            self._pointer = None
        self._note("erase", run(dfu.erase_sector(address, self._interface), self._link, self._clock))

    def _write(self, address: int, data: bytes) -> Machine[None]:
        base, self._pointer = self._pointer, None
        block = self._block(base, address)
        if base is None or block is None:
            self._note("address", (yield from dfu.set_address(address, self._interface)))
            base, block = address, 0
        self._note("write", (yield from dfu.write_block(block, data, address, self._interface)))
        self._pointer = base

    def _note(self, act: str, at_once: bool) -> None:
        """Whether the device needed no time between the two GETSTATUS of that act."""
        if at_once:
            self._at_once.add(act)

    def _download_all(self, steps: list[dfu.Download], address: int, data: bytes) -> None:
        base, self._pointer = self._pointer, None
        block = self._block(base, address)
        if base is None or block is None:
            steps.append(dfu.addressing(address))
            base, block = address, 0
        steps.append(dfu.writing(block, data, address))
        run(dfu.download_all(steps, self._interface), self._link, self._clock)
        self._pointer = base

    def _block(self, base: int | None, address: int) -> int | None:
        """The block of an address behind the device's address pointer; None when it has none."""
        if base is None:
            return None
        block, rest = divmod(address - base, self.transfer_size_bytes)
        return block if not rest and 0 <= block <= dfu.LAST_BLOCK else None

    def leave(self) -> None:
        """Reset into the application. **It may connect to the cloud, which starts billing.** Needs ``may_connect``. The
        device is gone afterwards."""
        self.permissions.require_connect("leaving DFU mode")
        self._leave()

    def boot_with_brake_set(self) -> None:
        """Reset a board of which :meth:`require_brake` says that nothing but its bootloader runs: it carries out what
        waits for it and ends in DFU mode again, so this needs no permission. The device is gone afterwards. Raises
        PlanRefusedError, and resets nothing, for any other board."""
        self.require_brake()
        self._leave()

    def require_brake(self) -> None:
        """Raise PlanRefusedError unless this is an nRF52840 board whose bootloader finds no system part to start, nor
        one in an update slot; other boards' bootloaders may restore one."""
        if self.device.platform.family != "nrf52840":
            raise self._no_boot("what its bootloader would start is not known")
        if self.system_would_start():
            raise self._no_boot("a system part would start and the application with it, which may connect")
        for update in dct.pending_updates(self.read(DCT_ALT, 0, dct.SIZE_NEEDED_BYTES)):
            if any(update.writes(address) for address in (LOW_SYSTEM_START, SYSTEM_START)):
                hint = "leave DFU mode with --may-connect: it finishes that update"
                raise self._no_boot(f"{update.title}, and that system part would start, which may connect", hint)

    def system_would_start(self) -> bool:
        """Whether a boot outside DFU mode would find a system part, by the rules of nRF52840 bootloaders. Both places
        are asked, though older bootloaders know only the second one.

        Source: device-os v6.2.0 bootloader/src/nRF52840/dfu_usb.c is_application_valid,
        platform/MCU/nRF52840/src/flash_mal.c FLASH_ModuleInfo, FLASH_isUserModuleInfoValid.
        """
        return any(self._is_startable(address) for address in (LOW_SYSTEM_START, SYSTEM_START))

    def _is_startable(self, address: int) -> bool:
        head = self.read(INTERNAL_FLASH_ALT, address, _BEHIND_VECTORS + PREFIX_SIZE_BYTES)
        has_vectors = int.from_bytes(head[:4], "little") & _STACK_MASK == _STACK_IN_RAM
        prefix = unpack_prefix(head[_BEHIND_VECTORS:] if has_vectors else head[:PREFIX_SIZE_BYTES])
        fits = prefix.start_address == address and address < prefix.end_address <= INTERNAL_FLASH_END - CRC_SIZE_BYTES
        if not fits or prefix.platform_id != self.device.platform.id:
            return False
        return is_crc_right(self.read(INTERNAL_FLASH_ALT, address, prefix.size_bytes))

    def _no_boot(self, reason: str, hint: str = _BRAKE_HINT) -> PlanRefusedError:
        return PlanRefusedError(f"{self.device} is not reset: {reason}", reasons=[reason], hint=hint)

    def _leave(self) -> None:
        run(dfu.go_idle(self._interface), self._link, self._clock)
        run(dfu.leave(self._interface), self._link, self._clock)

    def commands(self) -> frozenset[int]:
        """Numbers of the DfuSe commands that the bootloader knows (protocol.dfuse.DfuseCommand). Changes nothing."""
        return run(dfu.supported_commands(self._interface), self._link, self._clock)

    def leave_into_safe_mode(self) -> None:
        """Reset into safe mode, **which connects to the cloud and starts billing.** Needs ``may_connect``. The device
        is gone afterwards. Raises NoWayToModeError, before anything is sent that changes it, for a bootloader before
        Device OS 6.1.1, which does not know the command."""
        self.permissions.require_connect("safe mode")
        if DfuseCommand.ENTER_SAFE_MODE not in self.commands():
            raise NoWayToModeError(
                f"the bootloader of {self.device} has no way into safe mode; those since Device OS 6.1.1 have",
                expected="safe",
                actual=self.device.mode,
                hint=f"{LEAVE_DFU_FIRST}; then `particle-dev mode safe --may-connect`",
            )
        run(dfu.leave_into_safe_mode(self._interface), self._link, self._clock)

    def _check_range(self, address: int, size_bytes: int) -> None:
        if any(start <= address and address + size_bytes <= end for start, end in self._writable):
            return
        raise FlashRangeError(
            f"0x{address:08x}+{size_bytes} is outside the module slots of {self.device.platform.display_name}",
            address=address,
            size_bytes=size_bytes,
            hint="only system and user parts are written over DFU; bootloader and SoftDevice never are",
        )
