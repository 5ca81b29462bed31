"""A board behind a debug probe: who it is, what lies in its flash, and how it is left.

Nothing here imports pyOCD before a session is opened; without the extra ``swd`` an error says what to install.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from enum import StrEnum
from importlib.util import find_spec
from typing import Any, Protocol

from particle_dev.catalog.chips import CHIPS, NRF52840, STM32F205, Chip, chip_of, flash_slots
from particle_dev.catalog.gen3_nrf52840 import SOFTDEVICE_FWID_ADDRESS
from particle_dev.catalog.modules import ModuleFunction
from particle_dev.catalog.platforms import PLATFORMS, ModuleSlot, Platform, platform_by_id
from particle_dev.catalog.uicr import (
    APPROTECT_CLOSES,
    APPROTECT_LOCKED_WORD,
    APPROTECT_OPEN,
    UICR_APPROTECT,
    UICR_SIZE_BYTES,
    UICR_START,
    is_hardened,
)
from particle_dev.errors import (
    ChipLockedError,
    DeviceModeError,
    LinkAccessError,
    PlanRefusedError,
    TransportError,
    WrongDeviceError,
)
from particle_dev.permissions import NOTHING, Effect, Permissions
from particle_dev.protocol.module_prefix import PREFIX_SIZE_BYTES, ModulePrefix, read_prefix

DFU_WORD = 0xEDFA
"""In the bootloader's first backup register: stay in DFU mode. Source: device-os v6.2.0 bootloader/src/main.c,
hal/inc/syshealth_hal.h ENTER_DFU_APP_REQUEST."""
_STM32F2_APB1ENR, _PWREN = 0x40023840, 1 << 28
_STM32F2_PWR_CR, _DBP = 0x40007000, 1 << 8
_STM32F2_OTP, _SERIAL_NUMBER_SIZE = 0x1FFF7800, 15
"""Source: device-os v3.3.1 hal/src/stm32f2xx/deviceid_hal.cpp."""
_FICR_START, _FICR_SIZE, _DEVICE_ID, _VARIANT = 0x10000060, 0xB0, 0x00, 0xA4


class Protection(StrEnum):
    """What the next power-up does to the debug port."""

    OPEN = "open"
    CLOSES = "open until the next power-up"
    """Hardened silicon whose UICR.APPROTECT is not 0x5A, or a lock that was just written."""
    BY_FIRMWARE = "open if the bootloader opens it"
    """Hardened silicon with 0x5A: bootloaders from 6.0.0 on write APPROTECT.DISABLE at each start. Source: device-os
    v6.2.0 platform/MCU/nRF52840/src/hw_config.c."""


class Park(StrEnum):
    """How a board is left. ``OFF`` is the bench's work, not that of a probe."""

    HALTED = "halted"
    DFU = "dfu"
    OFF = "off"

    @property
    def proves(self) -> str:
        """What it means for billing."""
        return {
            Park.HALTED: "no firmware runs until a power cycle, pin reset or other debugger",
            Park.DFU: "no application runs until the next reset or power cycle",
            Park.OFF: "no power: no firmware runs until power returns",
        }[self]


class ChipLink(Protocol):
    """A chip's memory: SwdLink, or the same in a child process."""

    chip: Chip
    where: str

    def read(self, address: int, size_bytes: int) -> bytes: ...  # noqa: D102
    def write(self, address: int, data: bytes) -> None: ...  # noqa: D102
    def read_word(self, address: int) -> int: ...  # noqa: D102
    def write_word(self, address: int, value: int) -> None: ...  # noqa: D102
    def page_crcs(self, addresses: Sequence[int]) -> tuple[int, ...]: ...  # noqa: D102
    def erase_sectors(self, addresses: Sequence[int]) -> None: ...  # noqa: D102
    def erase_everything(self) -> None: ...  # noqa: D102
    def erase_user_information(self) -> None: ...  # noqa: D102
    def write_user_information(self, words: Mapping[int, int]) -> None: ...  # noqa: D102
    def write_pages(  # noqa: D102
        self, pages: Sequence[tuple[int, bytes]], *, progress: Callable[[float], None] | None = None
    ) -> None: ...
    def halt(self) -> None: ...  # noqa: D102
    def reset_and_halt(self) -> None: ...  # noqa: D102
    def reset_and_run(self) -> None: ...  # noqa: D102
    def request_reset(self) -> None: ...  # noqa: D102
    def port_is_locked(self) -> bool: ...  # noqa: D102
    def close(self) -> None: ...  # noqa: D102
    @property
    def halted(self) -> bool: ...  # noqa: D102


@dataclass(frozen=True, slots=True)
class SwdIdentity:
    """What a probe sees of a board. ``variant`` is the silicon's code (``AAF0``), empty where the chip has none;
    ``uicr`` the 1024 bytes from 0x10001000, empty on STM32F2; ``prefixes`` name modules by slot, unproven;
    ``softdevice`` is the FWID in Nordic's information structure; ``serial_number`` that on the label, where the chip
    itself holds it: in OTP of STM32F2, while nRF52840 boards keep it in serial flash that a probe does not see."""

    device_id: str
    chip: Chip
    platform: Platform | None
    variant: str
    uicr: bytes
    prefixes: tuple[tuple[ModuleSlot, ModulePrefix], ...]
    softdevice: int | None
    serial_number: str | None = None

    @property
    def hardened(self) -> bool:
        """Silicon that is closed unless told otherwise."""
        return self.chip == NRF52840 and is_hardened(self.variant)

    @property
    def protection(self) -> Protection:
        """What becomes of the debug port, which is open now."""
        if not self.uicr:
            return Protection.OPEN
        low = self.uicr_word(UICR_APPROTECT) & 0xFF
        if self.hardened:
            return Protection.BY_FIRMWARE if low == APPROTECT_OPEN else Protection.CLOSES
        return Protection.OPEN if low == 0xFF else Protection.CLOSES

    def uicr_word(self, address: int) -> int:
        """A word of UICR."""
        return int.from_bytes(self.uicr[address - UICR_START :][:4], "little")


def open_link(
    probe_id: str, chip: Chip, *, in_process: bool = False, permissions: Permissions = NOTHING, **options: Any
) -> ChipLink:
    """A chip behind a probe, in a child process with deadlines unless ``in_process``; ``options`` are those of SwdLink.

    Raises LinkAccessError without pyOCD, PermissionMissingError for ``recover`` without ``may_erase``, PlanRefusedError
    for ``recover`` of a chip with keys in its flash, and what SwdLink raises.
    """
    require_pyocd()
    if options.get("recover"):
        if chip != NRF52840:
            reason = f"{chip.name} is never erased as a whole: its keys lie in the same flash"
            raise PlanRefusedError(reason, reasons=[reason], hint="nothing was erased; flash it instead")
        permissions.require(Effect.ERASE, "recovering a chip (flash and UICR are erased; external flash stays)")
    if in_process:
        from particle_dev.transport.swd import SwdLink  # noqa: PLC0415  pyOCD is slow to import

        return SwdLink(probe_id, chip, **options)
    from particle_dev.transport.swd_process import SwdProcess  # noqa: PLC0415

    return SwdProcess(probe_id, chip, **options)


def require_pyocd() -> None:
    """Raises LinkAccessError, which says what to install."""
    if find_spec("pyocd") is None:
        raise LinkAccessError("debug probes need pyOCD", hint="install it with: pip install 'particle-dev[swd]'")


class SwdSession:
    """One board behind one probe. Use as a context manager; closing leaves the core as it is.

    ``platform`` None: taken from the bootloader in flash. The application never runs without ``may_connect``.
    """

    def __init__(self, link: ChipLink, platform: Platform | None = None) -> None:
        self.link = link
        self.chip = link.chip
        self.missing_pages: Mapping[int, bytes] = {}
        """Pages by address that an interrupted run has erased and not written yet: read as if they were there."""
        self._expected = platform

    def __enter__(self) -> SwdSession:
        return self

    def __exit__(self, *_: object) -> None:
        self.link.close()

    def identity(self) -> SwdIdentity:
        """Who answers, in a few block reads. Raises WrongDeviceError for another chip than expected, or firmware of
        another platform; TransportError."""
        link, chip = self.link, self.chip
        variant, uicr = "", b""
        self._require_chip()
        if chip == NRF52840:
            ficr = link.read(_FICR_START, _FICR_SIZE)
            unique_id = ficr[_DEVICE_ID : _DEVICE_ID + chip.unique_id_size_bytes]
            variant = ficr[_VARIANT : _VARIANT + 4][::-1].decode("ascii", "replace")
            uicr = link.read(UICR_START, UICR_SIZE_BYTES)
        else:
            unique_id = link.read(chip.unique_id_address, chip.unique_id_size_bytes)
        platform, prefixes = self._modules()
        device_id = chip.device_id(unique_id)
        serial_number = self._serial_number()
        return SwdIdentity(device_id, chip, platform, variant, uicr, prefixes, self._softdevice(), serial_number)

    def read(self, address: int, size_bytes: int) -> bytes:
        """Flash with :attr:`missing_pages` laid over it. Raises TransportError."""
        data = bytearray(self.link.read(address, size_bytes))
        for page_address, page in self.missing_pages.items():
            first, end = max(address, page_address), min(address + size_bytes, page_address + len(page))
            if first < end:
                data[first - address : end - address] = page[first - page_address : end - page_address]
        return bytes(data)

    def _require_chip(self) -> None:
        chip = self.chip
        if self._answers_as(chip):
            return
        other = next((c.name for c in CHIPS if c != chip and self._answers_as(c)), "unknown")
        raise _wrong_chip(self.link.where, chip, other)

    def _answers_as(self, chip: Chip) -> bool:
        try:
            return self.link.read_word(chip.identity_address) & chip.identity_mask == chip.identity_value
        except TransportError as e:
            if not _is_refused_access(e):
                raise
            return False

    def _modules(self) -> tuple[Platform | None, tuple[tuple[ModuleSlot, ModulePrefix], ...]]:
        """The platform and every prefix that says it lies where it lies."""
        platform = self._expected
        if platform is None:
            platform = next((p for p in map(self._platform_at, _bootloader_slots(self.chip)) if p), None)
        if platform is None:
            return None, ()
        found = {}
        for slot in flash_slots(platform):
            prefix = self._prefix(slot)
            if prefix is None or (prefix.function, prefix.index) != (slot.function, slot.index):
                continue
            actual = platform_by_id(prefix.platform_id)
            if slot.function == ModuleFunction.BOOTLOADER and prefix.platform_id != platform.id:
                name = actual.name if actual else f"platform {prefix.platform_id}"
                raise WrongDeviceError(
                    f"{self.link.where}: expected {platform.name}, the bootloader in flash is for {name}",
                    expected=platform.name,
                    actual=name,
                    hint="nothing was written; to make another board of it, empty it first: "
                    "`particle-dev swd recover --may-erase`",
                )
            found[slot.start_address] = slot, prefix
        return platform, tuple(found.values())

    def _platform_at(self, slot: ModuleSlot) -> Platform | None:
        prefix = self._prefix(slot)
        platform = platform_by_id(prefix.platform_id) if prefix else None
        return platform if platform and chip_of(platform) == self.chip else None

    def _prefix(self, slot: ModuleSlot) -> ModulePrefix | None:
        assert slot.start_address is not None
        data = self.read(slot.start_address + slot.prefix_offset, PREFIX_SIZE_BYTES)
        return read_prefix(data, start_address=slot.start_address, max_size_bytes=slot.max_size_bytes)

    def _serial_number(self) -> str | None:
        if self.chip != STM32F205:
            return None
        text = self.link.read(_STM32F2_OTP, _SERIAL_NUMBER_SIZE).decode("ascii", "replace")
        return text if text.isascii() and text.isalnum() else None

    def _softdevice(self) -> int | None:
        if self.chip != NRF52840:
            return None
        fwid = int.from_bytes(self.link.read(SOFTDEVICE_FWID_ADDRESS & -4, 4)[:2], "little")
        return None if fwid == 0xFFFF else fwid

    # ---- how the board is left --------------------------------------------------------------------------------------

    def park(self, park: Park) -> str:
        """Leave the board so that no application runs, and return what that proves. Raises DeviceModeError for OFF, and
        when the core does not stand after it was halted; TransportError."""
        if park is Park.OFF:
            raise DeviceModeError("a probe switches no power", expected="off", hint="the bench does: use its power")
        if park is Park.DFU:
            self._reset_into_dfu()
            return park.proves
        self.link.reset_and_halt()
        if not self.link.halted:
            raise DeviceModeError("the core did not halt", expected="halted", hint="power-cycle the board")
        return park.proves

    def run(self, permissions: Permissions, *, closing: bool = False) -> None:
        """Reset and let the application run: **it may connect, which starts billing**. ``closing``: the reset closes
        the debug port. Raises PermissionMissingError without ``may_connect``, TransportError."""
        permissions.require_connect("running the firmware")
        if closing:
            self.link.request_reset()
        else:
            self.link.reset_and_run()

    def _reset_into_dfu(self) -> None:
        self.require_bootloader()
        self.link.reset_and_halt()
        self._ask_for_dfu()
        self.link.reset_and_run()

    def require_bootloader(self) -> None:
        """Raises DeviceModeError unless flash holds a bootloader that could stay in DFU mode; TransportError."""
        if not any(slot.function == ModuleFunction.BOOTLOADER for slot, _ in self._modules()[1]):
            raise DeviceModeError(
                "the board has no bootloader that could stay in DFU mode",
                expected="dfu",
                hint="flash one, or park it halted",
            )

    def _ask_for_dfu(self) -> None:
        """The bootloader takes the word away when it acts on it: this holds for one start."""
        link, register = self.link, self.chip.backup_register_address
        if self.chip == STM32F205:
            link.write_word(_STM32F2_APB1ENR, link.read_word(_STM32F2_APB1ENR) | _PWREN)
            link.write_word(_STM32F2_PWR_CR, link.read_word(_STM32F2_PWR_CR) | _DBP)
        link.write_word(register, DFU_WORD)
        if link.read_word(register) != DFU_WORD:
            raise DeviceModeError("the word for DFU mode was not stored", expected="dfu", hint="park it halted")

    # ---- closing the debug port -------------------------------------------------------------------------------------

    def lock(self, permissions: Permissions) -> None:
        """**Close the debug port** from the next reset on: nobody reads or writes flash by a probe then; opening it
        again erases everything. The value closes old and hardened silicon alike. Raises PermissionMissingError without
        ``may_lock``, PlanRefusedError on a chip without APPROTECT, TransportError."""
        permissions.require(Effect.LOCK, "writing UICR.APPROTECT", APPROTECT_CLOSES)
        self.require_nrf52840("lock")
        self.link.write_user_information({UICR_APPROTECT: APPROTECT_LOCKED_WORD})

    def require_nrf52840(self, act: str) -> None:
        """Raises PlanRefusedError on another chip, which has no CTRL-AP and no UICR: ``act`` is not for it."""
        if self.chip != NRF52840:
            reason = f"{act} is for nRF52840 boards, this one is an {self.chip.name}"
            raise PlanRefusedError(
                f"{self.link.where}: {reason}", reasons=[reason], hint="nothing was changed; it needs neither: flash it"
            )

    def prove_lock(self) -> bool:
        """Reset the board into DFU mode, and ask the one access port that answers on a locked chip whether the lock
        that UICR asks for is in force. False: not after this kind of reset; the next power-up closes the port.

        No application runs. Nothing but this can be asked of the board afterwards. Raises DeviceModeError without a
        bootloader that could stay in DFU mode, before the reset; TransportError.
        """
        self.require_bootloader()
        self._ask_for_dfu()
        self.link.request_reset()
        return self.link.port_is_locked()

    def leave_closing(self, park: Park) -> tuple[str, bool]:
        """As :meth:`park` after UICR.APPROTECT was written so that it locks: what the board's state proves, and whether
        the port is proven to be closed. ``HALTED`` resets nothing, so the port is still open then. Raises as
        :meth:`park`."""
        if park is Park.DFU:
            locked = self.prove_lock()
            return park.proves, locked
        if park is Park.HALTED and self.link.halted:
            return park.proves, False
        return self.park(park), False


def _bootloader_slots(chip: Chip) -> Iterator[ModuleSlot]:
    seen = set()
    for platform in PLATFORMS:
        for slot in flash_slots(platform) if chip_of(platform) == chip else ():
            if slot.function == ModuleFunction.BOOTLOADER and slot.start_address not in seen:
                seen.add(slot.start_address)
                yield slot


@contextmanager
def swd_session(probe_id: str, platform: Platform | None = None, **options: Any) -> Iterator[SwdSession]:
    """An open session with a board of that platform; None: with whatever chip answers. ``options`` as
    :func:`open_link`.

    Raises WrongDeviceError for another chip, and for a platform that no probe programs; what :func:`open_link` raises.
    """
    chip = chip_of(platform) if platform else None
    if platform and chip is None:
        raise WrongDeviceError(
            f"{platform.display_name} is not programmed by a debug probe here",
            expected=" or ".join(c.name for c in CHIPS),
            actual=platform.mcu,
            hint="flash it over USB: `particle-dev flash`",
        )
    with SwdSession(_open_right_chip(probe_id, chip, **options), platform) as session:
        yield session


def _open_right_chip(probe_id: str, chip: Chip | None, **options: Any) -> ChipLink:
    """Chips differ in what stands behind the debug port: one cannot be opened as another, or says who it is."""
    recover = bool(options.get("recover"))
    for candidate in [chip] if chip else [NRF52840] if recover else CHIPS:
        try:
            link = open_link(probe_id, candidate, **options)
        except TransportError as e:
            if not _is_refused_access(e):
                raise
            error = e
            continue
        if chip or SwdSession(link)._answers_as(candidate):
            return link
        link.close()
        error = TransportError("no chip that is known here answers", where=probe_id, hint="name its --platform")
    if chip is None or recover:
        raise error
    for other in CHIPS:
        if other != chip and _is_behind(probe_id, other, **options):
            raise _wrong_chip(probe_id, chip, other.name) from error
    raise error


def _is_behind(probe_id: str, chip: Chip, **options: Any) -> bool:
    try:
        with SwdSession(open_link(probe_id, chip, **options)) as session:
            return session._answers_as(chip)
    except ChipLockedError:
        return True
    except TransportError as e:
        if not _is_refused_access(e):
            raise
        return False


def _is_refused_access(error: TransportError) -> bool:
    """Whether the wire works and the chip has no such thing; the other kinds say that the wire does not."""
    return type(error) is TransportError


def _wrong_chip(where: str, expected: Chip, actual: str) -> WrongDeviceError:
    return WrongDeviceError(
        f"{where}: expected {expected.name}, the chip that answers is: {actual}",
        expected=expected.name,
        actual=actual,
        hint="nothing was written; check which board the probe is on",
    )
