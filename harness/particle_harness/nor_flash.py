"""NOR flash: programming clears bits, erasing sets a whole sector to 0xFF, both take time."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from mmap import mmap

from particle_harness.clock import Clock

ERASED = 0xFF


@dataclass(frozen=True, slots=True)
class SectorRun:
    """``count`` sectors of ``size_bytes`` each, that take ``erase_s`` seconds to erase."""

    count: int
    size_bytes: int
    erase_s: float


@dataclass(frozen=True, slots=True)
class FlashChip:
    """Geometry and typical times of a chip; ``program_s`` per ``program_unit_bytes``."""

    name: str
    base_address: int
    runs: tuple[SectorRun, ...]
    program_unit_bytes: int
    program_s: float
    source: str
    mass_erase_s: float = 0.0

    @property
    def size_bytes(self) -> int:
        """Bytes of the whole chip."""
        return sum(run.count * run.size_bytes for run in self.runs)


KIB = 1024
NRF52840 = FlashChip(
    "nRF52840",
    0,
    (SectorRun(256, 4 * KIB, 0.085),),
    4,
    41e-6,
    "Nordic nRF52840 Product Specification v1.7, NVMC electrical specification: tERASEPAGE 85 ms, tWRITE 41 us, "
    "tERASEALL 169 ms",
    0.169,
)
STM32F205 = FlashChip(
    "STM32F205",
    0x08000000,
    (SectorRun(4, 16 * KIB, 0.25), SectorRun(1, 64 * KIB, 0.55), SectorRun(7, 128 * KIB, 1.0)),
    4,
    16e-6,
    "STM32F205xx datasheet DS6329, flash memory programming, x32 parallelism, typical values",
    8.0,
)


_MACRONIX = "Macronix MX25L3233F / MX25R6435F datasheets: sector erase tSE 40 ms, page program tPP 0.4 ms typical"


def qspi_flash(size_bytes: int) -> FlashChip:
    """The serial NOR chip beside an nRF52840 or in a P1."""
    return FlashChip("QSPI NOR", 0, (SectorRun(size_bytes // (4 * KIB), 4 * KIB, 0.040),), 256, 0.4e-3, _MACRONIX)


RTL872X = FlashChip(
    "RTL872x NOR",
    0x08000000,
    (SectorRun(2048, 4 * KIB, 0.040),),
    256,
    0.4e-3,
    f"device-os v6.2.0 hal/src/tron/hal_platform_config.h HAL_PLATFORM_FLASH_MX25R6435FZNIL0; {_MACRONIX}",
)


class NorFlash:
    """One chip's contents with the rules of NOR flash.

    :meth:`program` can only clear bits and :meth:`erase_sector` sets a sector to 0xFF; both take the chip's time
    on ``clock`` unless ``delays`` is false. ``operations`` counts them. ``on_program`` sees each byte range before
    it is burned and may change it: that is how a defect is put in.
    Addresses outside the chip raise IndexError.
    """

    def __init__(
        self, chip: FlashChip, clock: Clock, *, backing: bytearray | mmap | None = None, delays: bool = True
    ) -> None:
        self.chip = chip
        self.base_address = chip.base_address
        self.end_address = chip.base_address + chip.size_bytes
        self.erases = 0
        self.programs = 0
        self.on_program: Callable[[int, bytes], bytes] | None = None
        self._clock = clock
        self._delays = delays
        self._cells = bytearray([ERASED]) * chip.size_bytes if backing is None else backing
        if len(self._cells) != chip.size_bytes:
            raise ValueError(f"{chip.name} holds {chip.size_bytes} bytes, its backing store {len(self._cells)}")

    def read(self, address: int, size_bytes: int) -> bytes:
        """Bytes at ``address``."""
        offset = self._offset(address, size_bytes)
        return bytes(self._cells[offset : offset + size_bytes])

    def program(self, address: int, data: bytes) -> None:
        """Clear the bits that are 0 in ``data``; bits already 0 stay 0."""
        offset = self._offset(address, len(data))
        burned = self.on_program(address, data) if self.on_program else data
        old = int.from_bytes(self._cells[offset : offset + len(data)], "little")
        new = old & int.from_bytes(burned, "little")
        self._cells[offset : offset + len(data)] = new.to_bytes(len(data), "little")
        self.programs += 1
        units = -(-len(data) // self.chip.program_unit_bytes)
        self._busy(units * self.chip.program_s)

    def erase_sector(self, address: int, *, timed: bool = True) -> None:
        """Set the sector that holds ``address`` to 0xFF. Not ``timed``: the caller has let the time pass."""
        start, size_bytes, erase_s = self.sector(address)
        offset = start - self.base_address
        self._cells[offset : offset + size_bytes] = bytes([ERASED]) * size_bytes
        self.erases += 1
        self._busy(erase_s if timed else 0.0)

    def erase_chip(self) -> None:
        """Set every cell to 0xFF in one go."""
        self._cells[:] = bytes([ERASED]) * len(self._cells)
        self.erases += 1
        self._busy(self.chip.mass_erase_s)

    @property
    def cells(self) -> bytearray | mmap:
        """The memory itself, for a CPU that executes from it. Whoever writes here bypasses the rules above."""
        return self._cells

    def sector(self, address: int) -> tuple[int, int, float]:
        """Start address, size in bytes and erase time of the sector that holds ``address``."""
        self._offset(address, 1)
        start = self.base_address
        for run in self.chip.runs:
            run_end = start + run.count * run.size_bytes
            if address < run_end:
                index = (address - start) // run.size_bytes
                return start + index * run.size_bytes, run.size_bytes, run.erase_s
            start = run_end
        raise IndexError(address)

    def load(self, address: int, data: bytes) -> None:
        """Put ``data`` there without rules, time or count: what a factory's gang programmer did."""
        offset = self._offset(address, len(data))
        self._cells[offset : offset + len(data)] = data

    def _offset(self, address: int, size_bytes: int) -> int:
        if not self.base_address <= address or address + size_bytes > self.end_address:
            raise IndexError(f"{self.chip.name}: 0x{address:08X}+{size_bytes} is outside the chip")
        return address - self.base_address

    def _busy(self, duration_s: float) -> None:
        if self._delays:
            self._clock.sleep(duration_s)


Reader = Callable[[int, int], bytes]
"""Read ``size_bytes`` at an address; IndexError outside the chip."""
