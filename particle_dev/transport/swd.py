"""The memory, flash and core of one chip behind a debug probe, through pyOCD. Every pyOCD error is translated.

A session never erases to get in unless it is told to, never lets the chip run when it ends, and reads no configuration
that lies about. Needs the extra ``swd``.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from enum import StrEnum
from itertools import groupby
from pathlib import Path

from pyocd.core import exceptions
from pyocd.core.session import Session
from pyocd.core.target import Target
from pyocd.flash.flash import Flash

from particle_dev.catalog.chips import NRF52840, Chip
from particle_dev.errors import ChipLockedError, FlashRangeError, LinkTimeoutError, ParticleDevError, TransportError
from particle_dev.transport.base import Clock
from particle_dev.transport.clock import SystemClock
from particle_dev.transport.swd_flash import controller_of
from particle_dev.transport.swd_probes import ProbeInfo as ProbeInfo  # noqa: PLC0414  callers look for probes here
from particle_dev.transport.swd_probes import list_probes as list_probes  # noqa: PLC0414
from particle_dev.transport.swd_probes import probe_with_id, take_probe, translated
from particle_dev.transport.swd_targets import (
    ERASE_ALL_TIMEOUT_S,
    EraseAllTimeoutError,
    LockedError,
    port_is_protected,
    target_name,
)

DEFAULT_FREQUENCY_HZ = 4_000_000
PAGE_SIZE_BYTES = 4096
_RESET = Target.ResetType.SYSTEM
"""Needs no reset line, and a reset by pin closes the debug port of newer nRF52840s."""
_CRCS_AT_ONCE = 512
"""Results lie in the flash algorithm's page buffer, a word each."""


_AIRCR, _AIRCR_SYSRESETREQ = 0xE000ED0C, 0x05FA0004
"""Source: Armv7-M Architecture Reference Manual, B3.2.6."""
_SLEPT_SHARE = 0.9
"""Of the typical time that programming takes."""
_SHORTEST_SLEEP_S = 0.002


class ConnectMode(StrEnum):
    """How a session takes the core. ``HALT``: the firmware ran until then. ``UNDER_RESET``: not one instruction of it
    runs; needs a wired reset line. ``ATTACH``: nothing is halted."""

    HALT = "halt"
    UNDER_RESET = "under-reset"
    ATTACH = "attach"


class SwdLink:
    """The memory and core of one chip behind one probe. Use as a context manager.

    Opening halts the core unless ``connect`` is ATTACH; closing leaves it as it is, halted or running. With ``recover``
    opening **erases the whole flash, UICR and RAM** of an nRF52840 first, whether it is locked or not; external flash,
    with keys and settings, stays. Raises ChipLockedError when the chip is locked, and leaves it so; DeviceNotFoundError
    without such a probe, LinkAccessError (also while another session uses the probe), LinkDisconnectedError,
    LinkTimeoutError. ``clock``: time in which the
    chip works; the system's unless the chip is a model.
    """

    def __init__(
        self,
        probe_id: str,
        chip: Chip,
        *,
        frequency_hz: int = DEFAULT_FREQUENCY_HZ,
        connect: ConnectMode = ConnectMode.HALT,
        recover: bool = False,
        clock: Clock | None = None,
    ) -> None:
        self.chip = chip
        self.where = probe_id
        self._clock = clock or SystemClock()
        options = {
            "target_override": target_name(chip.name, recover=recover),
            "frequency": frequency_hz,
            "connect_mode": connect.value,
            "auto_unlock": False,
            "resume_on_disconnect": False,
            "no_config": True,
            # no_config does not stop pyOCD from running a pyocd_user.py of the project folder; this one has none.
            "project_dir": str(Path(__file__).parent),
            "hide_programming_progress": True,
        }
        self._lock = take_probe(probe_id)
        try:
            # pyOCD makes the project folder the working directory of the whole process.
            with contextlib.chdir("."):
                self._session = Session(probe_with_id(probe_id), auto_open=False, options=options)
        except ParticleDevError:
            self._lock.release()
            raise
        try:
            with translated(probe_id):
                self._session.open()
        except LockedError as e:
            self._give_up()
            raise ChipLockedError(
                f"the {chip.name} behind {probe_id} is locked: its flash can neither be read nor written",
                where=probe_id,
                hint="erasing everything opens it: `particle-dev swd recover --may-erase`",
            ) from e
        except EraseAllTimeoutError as e:
            self._give_up()
            raise LinkTimeoutError(
                f"ERASEALL took longer than {ERASE_ALL_TIMEOUT_S:g} s", where=probe_id, hint="power-cycle the board"
            ) from e
        except ParticleDevError:
            self._give_up()
            raise
        except (KeyError, AttributeError, IndexError) as e:
            # pyOCD takes some failures of the wire for a chip without cores, and stumbles over that.
            self._give_up()
            raise TransportError(
                f"no core answers behind {probe_id}",
                where=probe_id,
                hint="check the wires and the board's power, and whether it is the chip you expect",
            ) from e
        self._target: Target = self._session.target
        self._controller = controller_of(chip, self, probe_id, self._clock)

    def __enter__(self) -> SwdLink:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Give the probe back; the core stays as it is."""
        # The probe may be gone already; there is nothing left to release then.
        with contextlib.suppress(ParticleDevError), translated(self.where):
            self._session.close()
        self._lock.release()

    def _give_up(self) -> None:
        """After a session that did not come up, pyOCD leaves the probe open."""
        with contextlib.suppress(ParticleDevError), translated(self.where):
            self._session.probe.close()
        self._lock.release()

    # ---- memory -----------------------------------------------------------------------------------------------------

    def read(self, address: int, size_bytes: int) -> bytes:
        """Bytes of memory or flash. Raises TransportError."""
        with translated(self.where):
            return bytes(self._target.read_memory_block8(address, size_bytes))

    def write(self, address: int, data: bytes) -> None:
        """Store into RAM or registers; flash takes only :meth:`program`. Raises TransportError."""
        with translated(self.where):
            self._target.write_memory_block8(address, data)

    def read_word(self, address: int) -> int:
        """32 bits. Raises TransportError."""
        with translated(self.where):
            return int(self._target.read32(address))

    def write_word(self, address: int, value: int) -> None:
        """32 bits of RAM or a register. Raises TransportError."""
        with translated(self.where):
            self._target.write32(address, value)

    # ---- flash ------------------------------------------------------------------------------------------------------

    def page_crcs(self, addresses: Sequence[int]) -> tuple[int, ...]:
        """CRC-32 of the 4096 bytes at each address, computed by the chip itself. Overwrites some RAM; halts the core.

        Raises TransportError.
        """
        if not addresses:
            return ()
        crcs: list[int] = []
        with translated(self.where):
            flash = self._target.memory_map.get_boot_memory().flash
            self._init(flash, flash.Operation.VERIFY)
            try:
                for start in range(0, len(addresses), _CRCS_AT_ONCE):
                    pages = [(address, PAGE_SIZE_BYTES) for address in addresses[start : start + _CRCS_AT_ONCE]]
                    crcs += flash.compute_crcs(pages)
            finally:
                flash.cleanup()
        return tuple(crcs)

    def erase_sectors(self, addresses: Sequence[int]) -> None:
        """**Erase** the sectors that begin there; those of STM32F2 with x32 parallelism. Halts the core.

        Raises FlashRangeError before anything is erased, TransportError.
        """
        starts = set(self.chip.sector_addresses)
        for address in addresses:
            if address not in starts:
                raise FlashRangeError(
                    f"no sector of {self.chip.name} begins at 0x{address:08x}",
                    address=address,
                    size_bytes=0,
                    hint="nothing was erased",
                )
        self.halt()
        for address in addresses:
            self._controller.erase_sector(address)

    def erase_everything(self) -> None:
        """**Erase the whole flash and UICR** of an nRF52840 in one act; external flash stays. Halts the core.

        Raises FlashRangeError on STM32F2, whose keys lie in this flash; TransportError.
        """
        self.halt()
        self._controller.erase_everything()

    def erase_user_information(self) -> None:
        """**Erase UICR** of an nRF52840: it does not boot until its bootloader address is written again. Raises
        FlashRangeError on other chips, TransportError."""
        self.halt()
        self._controller.erase_user_information()

    def write_user_information(self, words: Mapping[int, int]) -> None:
        """Clear bits of UICR (nRF52840): each word, by address, becomes its old value AND the new one. **APPROTECT can
        lock the chip** from the next reset on. Raises FlashRangeError, TransportError."""
        self.halt()
        self._controller.write_user_information(words)

    def write_pages(
        self, pages: Sequence[tuple[int, bytes]], *, progress: Callable[[float], None] | None = None
    ) -> None:
        """Program pages of 4096 bytes, or whole words of one, which must be erased, in that order, each while the next
        one is on the wire.

        Nothing is verified here: see :meth:`page_crcs`. ``progress`` hears 0 to 1. Raises FlashRangeError before
        anything is written, TransportError.
        """
        for address, data in pages:
            if not 0 < len(data) <= PAGE_SIZE_BYTES - address % PAGE_SIZE_BYTES or address % 4 or len(data) % 4:
                raise FlashRangeError(
                    f"0x{address:08x}+{len(data)} is no page, nor words of one",
                    address=address,
                    size_bytes=len(data),
                    hint="align it",
                )
            self._require_flash(address, len(data))
        done = 0
        with translated(self.where):
            for flash, run in groupby(pages, key=lambda page: self._flash_at(page[0])):
                for _ in self._program_run(flash, list(run)):
                    done += 1
                    if progress is not None:
                        progress(done / len(pages))

    def _init(self, flash: Flash, operation: Flash.Operation) -> None:
        """pyOCD's own, with interrupts masked until the next reset: a handler of the firmware that stood there would
        find its variables overwritten by the algorithm, and its fault would end that. So does an emulated Photon's."""
        self._target.halt()
        self._target.write_core_register("primask", 1)
        flash.init(operation)

    def _program_run(self, flash: Flash, pages: Sequence[tuple[int, bytes]]) -> Iterator[None]:
        """Pages of one region, through the algorithm's two buffers, each as far as it differs from erased flash."""
        timeout_s = self._session.options.get("flash.timeout.program")
        self._init(flash, flash.Operation.PROGRAM)
        contents = [(address, _without_erased_end(data)) for address, data in pages]
        try:
            flash.load_page_buffer(0, *contents[0])
            for n, (address, data) in enumerate(contents):
                started_s = self._clock.monotonic_s()
                # pyOCD's own call for this programs whole pages.
                flash._call_function(flash.flash_algo["pc_program_page"], address, len(data), flash.page_buffers[n % 2])
                if n + 1 < len(contents):
                    flash.load_page_buffer((n + 1) % 2, *contents[n + 1])
                self._sleep_while_programming(started_s, len(data))
                result = flash.wait_for_completion(timeout=timeout_s)
                if result != 0:
                    raise exceptions.FlashProgramFailure("its program says so", address=address, result_code=result)
                yield
        finally:
            flash.cleanup()

    def _sleep_while_programming(self, started_s: float, size_bytes: int) -> None:
        """Most of what is left of the typical time: asking without end would cost the host as much as all the rest."""
        left_s = started_s + _SLEPT_SHARE * size_bytes / 4 * self.chip.word_program_s - self._clock.monotonic_s()
        if left_s > _SHORTEST_SLEEP_S and self._target.get_state() is not Target.State.HALTED:
            self._clock.sleep(left_s)

    def _flash_at(self, address: int) -> Flash:
        return self._target.memory_map.get_region_for_address(address).flash

    def _require_flash(self, address: int, size_bytes: int) -> None:
        start = self.chip.flash_start_address
        if not start <= address <= address + size_bytes <= start + self.chip.flash_size_bytes:
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
        return self.is_halted()

    def is_halted(self) -> bool:
        """As :attr:`halted`. Raises TransportError."""
        with translated(self.where):
            return bool(self._target.get_state() is Target.State.HALTED)

    def halt(self) -> None:
        """Stop the core. Raises TransportError."""
        with translated(self.where):
            self._target.halt()

    def reset_and_halt(self) -> None:
        """Reset; the core stands at its first instruction. Raises TransportError."""
        with translated(self.where):
            self._target.reset_and_halt(_RESET)

    def reset_and_run(self) -> None:
        """Reset and let the firmware run. **It may connect, which starts billing**: callers must hold the permission
        ``may_connect`` or have seen to it that the bootloader stays in DFU mode. Raises TransportError."""
        with translated(self.where):
            self._target.reset(_RESET)

    def request_reset(self) -> None:
        """Reset by one store and let the firmware run, without asking the core anything: it may not answer any more.
        **The firmware may connect**, as for :meth:`reset_and_run`. Raises TransportError."""
        # The reset may close the port that the store goes through.
        with translated(self.where), contextlib.suppress(exceptions.TransferFaultError):
            self._target.write32(_AIRCR, _AIRCR_SYSRESETREQ)
            self._target.flush()

    def port_is_locked(self) -> bool:
        """Whether an nRF52840 refuses its memory to debuggers now, by every reading of CTRL-AP. False on chips without
        one. Raises TransportError."""
        if self.chip != NRF52840:
            return False
        with translated(self.where):
            return port_is_protected(self._target)


def _without_erased_end(data: bytes) -> bytes:
    """Whole words up to the last one that is not erased flash; at least one, so that there is something to do."""
    used_bytes = len(data.rstrip(b"\xff"))
    return data[: max(4, (used_bytes + 3) & ~3)]
