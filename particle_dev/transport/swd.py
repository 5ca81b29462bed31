"""Debug probes through pyOCD: which are there, and the memory of one chip. Every pyOCD error is translated here.

A session never erases to get in, never lets the chip run when it ends, and reads no configuration that lies about.
Needs the extra ``swd``.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any

from pyocd.core import exceptions
from pyocd.core.memory_map import FlashRegion, MemoryMap, RamRegion
from pyocd.core.session import Session
from pyocd.core.target import Target
from pyocd.coresight.coresight_target import CoreSightTarget
from pyocd.flash.loader import FlashLoader
from pyocd.probe.aggregator import DebugProbeAggregator
from pyocd.target import TARGET
from pyocd.target.builtin import target_nRF52840_xxAA as pyocd_nrf52840
from pyocd.target.builtin.target_STM32F412xx import FLASH_ALGO as STM32F4_FLASH_ALGO

from particle_dev.catalog.chips import STM32F205, Chip
from particle_dev.errors import (
    ChipLockedError,
    FlashRangeError,
    LinkAccessError,
    LinkDisconnectedError,
    LinkTimeoutError,
    TransportError,
)

DEFAULT_FREQUENCY_HZ = 4_000_000
PAGE_SIZE_BYTES = 4096
_CRCS_AT_ONCE = 512
"""Results lie in the flash algorithm's page buffer, a word each."""
_APPROTECT_READINGS = 3
"""A glitch of the line reads as "protected"; a lock is believed when every reading says so.
Source: github.com/pyocd/pyOCD issue 1766."""
_CTRL_AP, _CTRL_AP_APPROTECTSTATUS = 1, 0x0C


class ConnectMode(StrEnum):
    """How a session takes the core. ``HALT``: the firmware ran until then. ``UNDER_RESET``: not one instruction of it
    runs; needs a wired reset line. ``ATTACH``: nothing is halted."""

    HALT = "halt"
    UNDER_RESET = "under-reset"
    ATTACH = "attach"


@dataclass(frozen=True, slots=True)
class ProbeInfo:
    """A debug probe. ``unique_id`` is its whole serial number, as pyOCD spells it."""

    unique_id: str
    vendor: str
    product: str


class _Nrf52840(pyocd_nrf52840.NRF52840):  # type: ignore[misc]
    """pyOCD's nRF52840 without the two things it does on its own when it connects: erasing a locked chip, and writing
    UICR to keep a newer one open."""

    def check_flash_security(self) -> None:
        port = self.dp.aps[_CTRL_AP]
        if all(port.read_reg(_CTRL_AP_APPROTECTSTATUS) == 0 for _ in range(_APPROTECT_READINGS)):
            raise _LockedError

    def persist_unlock(self) -> None:
        return


class _LockedError(Exception):
    """Carries the finding out of pyOCD's start-up sequence."""


class _Stm32f205(CoreSightTarget):  # type: ignore[misc]
    """STM32F205, which pyOCD lacks: its flash registers are those of STM32F4, whose algorithm runs on it."""

    VENDOR = "STMicroelectronics"

    def __init__(self, session: Session) -> None:
        regions, address = [], STM32F205.flash_start_address
        for run in STM32F205.sectors:
            size_bytes = run.count * run.size_bytes
            regions.append(
                FlashRegion(
                    start=address,
                    length=size_bytes,
                    sector_size=run.size_bytes,
                    page_size=0x1000,
                    is_boot_memory=address == STM32F205.flash_start_address,
                    algo=STM32F4_FLASH_ALGO,
                )
            )
            address += size_bytes
        regions.append(RamRegion(start=STM32F205.ram_start_address, length=STM32F205.ram_size_bytes))
        super().__init__(session, MemoryMap(*regions))


_TARGETS = {"nrf52840": _Nrf52840, "stm32f205": _Stm32f205}
_PREFIX = "particle_"
TARGET.update({_PREFIX + name: target for name, target in _TARGETS.items()})


def list_probes() -> tuple[ProbeInfo, ...]:
    """Probes that are plugged in. Opens none of them for a chip."""
    with _translated("the list of probes"):
        probes = DebugProbeAggregator.get_all_connected_probes()
    return tuple(ProbeInfo(p.unique_id, p.vendor_name or "", p.product_name or "") for p in probes)


def _probe_with_id(unique_id: str) -> Any:
    """pyOCD compares a part of the id; this one compares all of it."""
    with _translated(unique_id):
        probes = DebugProbeAggregator.get_all_connected_probes(unique_id=unique_id)
    matches = [p for p in probes if p.unique_id == unique_id or unique_id.endswith(f":{p.unique_id}")]
    if len(matches) != 1:
        known = ", ".join(p.unique_id for p in list_probes_quietly()) or "none"
        raise LinkDisconnectedError(
            f"{len(matches)} debug probes have the id '{unique_id}'",
            where=unique_id,
            hint=f"give the whole id of one; plugged in: {known}",
        )
    return matches[0]


def list_probes_quietly() -> Sequence[ProbeInfo]:
    """As :func:`list_probes`, and none where that fails: for messages."""
    try:
        return list_probes()
    except TransportError:
        return ()


def _no_progress(_done: float) -> None:
    """pyOCD prints a bar of its own when nobody listens."""


@contextlib.contextmanager
def _translated(where: str) -> Iterator[None]:
    try:
        yield
    except exceptions.ProbeDisconnected as e:
        raise LinkDisconnectedError(
            f"the debug probe left: {e}", where=where, hint="plug it in again, then run again"
        ) from e
    except (exceptions.TransferTimeoutError, exceptions.TimeoutError) as e:
        raise LinkTimeoutError(
            f"no answer in time: {e}", where=where, hint="lower the clock, check the wires and the board's power"
        ) from e
    except exceptions.TransferFaultError as e:
        raise TransportError(f"the chip refused an access: {e}", where=where, hint="is it the chip you expect?") from e
    except exceptions.TransferError as e:
        raise TransportError(
            f"the wire failed: {e}", where=where, hint="lower the clock, check the wires and the board's power"
        ) from e
    except exceptions.ProbeError as e:
        raise LinkAccessError(
            f"the debug probe cannot be used: {e}", where=where, hint="another program may have it open"
        ) from e
    except exceptions.Error as e:
        raise TransportError(f"{type(e).__name__}: {e}", where=where) from e


class SwdLink:
    """The memory and core of one chip behind one probe. Use as a context manager.

    Opening halts the core unless ``connect`` is ATTACH; closing leaves it as it is, halted or running. Raises
    ChipLockedError when the chip is locked, and leaves it so; LinkAccessError, LinkDisconnectedError, LinkTimeoutError.
    """

    def __init__(
        self,
        probe_id: str,
        chip: Chip,
        *,
        frequency_hz: int = DEFAULT_FREQUENCY_HZ,
        connect: ConnectMode = ConnectMode.HALT,
    ) -> None:
        self.chip = chip
        self.where = probe_id
        options = {
            "target_override": _PREFIX + chip.name,
            "frequency": frequency_hz,
            "connect_mode": connect.value,
            "auto_unlock": False,
            "resume_on_disconnect": False,
            "no_config": True,
            # no_config does not stop pyOCD from running a pyocd_user.py of the project folder; this one has none.
            "project_dir": str(Path(__file__).parent),
            "hide_programming_progress": True,
        }
        self._session = Session(_probe_with_id(probe_id), auto_open=False, options=options)
        try:
            with _translated(probe_id):
                self._session.open()
        except _LockedError as e:
            self._close_probe()
            raise ChipLockedError(
                f"the {chip.name} behind {probe_id} is locked: its flash can neither be read nor written",
                where=probe_id,
                hint="erasing everything opens it: `particle-dev swd recover`, with its own permission",
            ) from e
        except TransportError:
            self._close_probe()
            raise
        self._target: Target = self._session.target

    def __enter__(self) -> SwdLink:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Give the probe back; the core stays as it is."""
        # The probe may be gone already; there is nothing left to release then.
        with contextlib.suppress(TransportError), _translated(self.where):
            self._session.close()

    def _close_probe(self) -> None:
        """After a session that did not come up, pyOCD leaves the probe open."""
        with contextlib.suppress(exceptions.Error):
            self._session.probe.close()

    # ---- memory -----------------------------------------------------------------------------------------------------

    def read(self, address: int, size_bytes: int) -> bytes:
        """Bytes of memory or flash. Raises TransportError."""
        with _translated(self.where):
            return bytes(self._target.read_memory_block8(address, size_bytes))

    def write(self, address: int, data: bytes) -> None:
        """Store into RAM or registers; flash takes only :meth:`program`. Raises TransportError."""
        with _translated(self.where):
            self._target.write_memory_block8(address, data)

    def read_word(self, address: int) -> int:
        """32 bits. Raises TransportError."""
        with _translated(self.where):
            return int(self._target.read32(address))

    # ---- flash ------------------------------------------------------------------------------------------------------

    def page_crcs(self, addresses: Sequence[int]) -> tuple[int, ...]:
        """CRC-32 of the 4096 bytes at each address, computed by the chip itself. Overwrites some RAM; halts the core.

        Raises TransportError.
        """
        if not addresses:
            return ()
        crcs: list[int] = []
        with _translated(self.where):
            flash = self._target.memory_map.get_boot_memory().flash
            flash.init(flash.Operation.VERIFY)
            try:
                for start in range(0, len(addresses), _CRCS_AT_ONCE):
                    pages = [(address, PAGE_SIZE_BYTES) for address in addresses[start : start + _CRCS_AT_ONCE]]
                    crcs += flash.compute_crcs(pages)
            finally:
                flash.cleanup()
        return tuple(crcs)

    def program(
        self,
        segments: Sequence[tuple[int, bytes]],
        *,
        erase_everything: bool = False,
        progress: Callable[[float], None] | None = None,
    ) -> None:
        """Write (address, bytes) pieces in one pass, erasing the sectors they lie in first; with ``erase_everything``,
        the whole flash and UICR in one go: **all else is gone**. What lies outside the chip's flash is refused before
        anything is erased. Nothing is verified here: see :meth:`page_crcs`. ``progress`` hears 0 to 1.

        Raises FlashRangeError, TransportError.
        """
        for address, data in segments:
            self._require_flash(address, len(data))
        loader = FlashLoader(
            self._session,
            progress=progress or _no_progress,
            chip_erase="chip" if erase_everything else "sector",
            smart_flash=False,
            trust_crc=False,
            keep_unwritten=False,
        )
        with _translated(self.where):
            for address, data in segments:
                loader.add_data(address, data)
            loader.commit()

    def _require_flash(self, address: int, size_bytes: int) -> None:
        region = self._target.memory_map.get_region_for_address(address)
        end = address
        while region is not None and region.is_flash and region.end + 1 < address + size_bytes:
            end = region.end + 1
            region = self._target.memory_map.get_region_for_address(end)
        if region is None or not region.is_flash:
            raise FlashRangeError(
                f"0x{address:08x}+{size_bytes} is outside the flash of {self.chip.name}",
                address=address,
                size_bytes=size_bytes,
                hint="nothing was erased; is the file for another chip?",
            )

    # ---- core -------------------------------------------------------------------------------------------------------

    @property
    def halted(self) -> bool:
        """Whether the core stands still."""
        with _translated(self.where):
            return bool(self._target.get_state() is Target.State.HALTED)

    def halt(self) -> None:
        """Stop the core. Raises TransportError."""
        with _translated(self.where):
            self._target.halt()

    def reset_and_halt(self) -> None:
        """Reset; the core stands at its first instruction. Raises TransportError."""
        with _translated(self.where):
            self._target.reset_and_halt()

    def reset_and_run(self) -> None:
        """Reset and let the firmware run. **It may connect, which starts billing**: callers must hold the permission
        ``may_connect`` or have seen to it that the bootloader stays in DFU mode. Raises TransportError."""
        with _translated(self.where):
            self._target.reset()
