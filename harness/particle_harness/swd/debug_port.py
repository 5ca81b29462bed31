"""Debug port and access ports, register by register.

Source: Arm Debug Interface Architecture Specification ADIv5.2 (IHI 0031), B2 (debug port), C2 (memory access port);
Nordic nRF52840 Product Specification v1.7, CTRL-AP.
"""

from __future__ import annotations

from array import array
from collections.abc import Callable, Sequence
from enum import IntEnum
from typing import Protocol

from particle_harness.swd.bus import BusFaultError
from particle_harness.swd.debug_unit import DebugUnit

DPIDR = 0x2BA01477
"""SW-DP of Cortex-M3 and M4 parts."""
_DRW, _BASE, _CFG, _IDR = 0x0C, 0xF8, 0xF4, 0xFC
_AUTO_INCREMENT_BYTES = 0x1000
"""Auto-increment wraps here on these parts; the architecture promises 1 KiB only."""
_CSW_DEVICE_ENABLED = 0x40
_DHCSR_ADDRESS = 0xE000EDF0


class DapFaultError(Exception):
    """The transfer was answered FAULT; STICKYERR is set until ABORT clears it."""


class Acknowledge(IntEnum):
    """What the wire answers, with CMSIS-DAP's numbers; the last two are no answers of the port."""

    OK = 1
    WAIT = 2
    FAULT = 4
    NOTHING = 7
    PARITY_ERROR = 8


class WireError(DapFaultError):
    """A transfer that failed on the wire: nothing happened behind it."""

    def __init__(self, acknowledge: Acknowledge) -> None:
        super().__init__(acknowledge.name)
        self.acknowledge = acknowledge


class ProbeGoneError(Exception):
    """Somebody pulled the probe's own cable."""


class AccessPort(Protocol):
    """Sixty-four registers behind the debug port."""

    def read(self, register: int) -> int:
        """Value of a register. Raises BusFaultError."""
        ...

    def write(self, register: int, value: int) -> None:
        """Store a register. Raises BusFaultError."""
        ...


class MemoryAccessPort:
    """AHB-AP of a Cortex-M. ``locked`` tells whether the chip refuses memory accesses."""

    IDR = 0x24770011

    def __init__(self, core: DebugUnit, locked: Callable[[], bool]) -> None:
        self._core = core
        self._bus = core.bus
        self._locked = locked
        self._csw = 0x23000002
        self._tar = 0

    @property
    def _size_bytes(self) -> int:
        return 1 << min(self._csw & 7, 2)

    def read(self, register: int) -> int:
        """CSW, TAR, DRW, BD0 to BD3, CFG, BASE, IDR."""
        if register == 0x00:
            return self._csw | (0 if self._locked() else _CSW_DEVICE_ENABLED)
        if register == 0x04:
            return self._tar
        if register == _DRW:
            value = self._read_bus(self._tar, self._size_bytes)
            shift = 8 * (self._tar & 3)
            self._advance()
            return value << shift & 0xFFFFFFFF
        if 0x10 <= register < 0x20:
            return self._read_bus(self._tar & ~0xF | register & 0xC, 4)
        return {_BASE: 0xE00FF003, _IDR: self.IDR, _CFG: 0}.get(register, 0)

    def write(self, register: int, value: int) -> None:
        """CSW, TAR, DRW, BD0 to BD3; the others are read-only."""
        if register == 0x00:
            self._csw = value & 0x7F000030 | min(value & 7, 2)
        elif register == 0x04:
            self._tar = value
        elif register == _DRW:
            size_bytes = self._size_bytes
            part = value >> 8 * (self._tar & 3) & ((1 << 8 * size_bytes) - 1)
            self._write_bus(self._tar, part.to_bytes(size_bytes, "little"))
            self._advance()
        elif 0x10 <= register < 0x20:
            self._write_bus(self._tar & ~0xF | register & 0xC, value.to_bytes(4, "little"))

    def read_block(self, count: int) -> list[int]:
        """``count`` reads of DRW, whole runs of memory in one go."""
        values: list[int] = []
        while len(values) < count:
            run = self._run_words(count - len(values))
            if run:
                self._core.catch_up(polled=False)
                values += memoryview(self._bus.read(self._tar, 4 * run)).cast("I").tolist()
                self._advance(run)
            else:
                values.append(self.read(_DRW))
        return values

    def write_block(self, values: Sequence[int]) -> None:
        """Writes of DRW one after another, whole runs of memory in one go."""
        done = 0
        while done < len(values):
            run = self._run_words(len(values) - done)
            if run:
                self._core.catch_up(polled=False)
                self._bus.write(self._tar, array("I", values[done : done + run]).tobytes())
                self._advance(run)
                done += run
            else:
                self.write(_DRW, values[done])
                done += 1

    def _run_words(self, wanted: int) -> int:
        """Words up to the auto-increment border that lie in one memory; 0 where each access counts."""
        if self._csw & 0x37 != 0x12 or self._tar & 3 or self._locked() or self._bus.memory_at(self._tar) is None:
            return 0
        return min(wanted, (_AUTO_INCREMENT_BYTES - self._tar % _AUTO_INCREMENT_BYTES) // 4)

    def _advance(self, accesses: int = 1) -> None:
        if self._csw & 0x30:
            low = (self._tar + accesses * self._size_bytes) % _AUTO_INCREMENT_BYTES
            self._tar = self._tar & ~(_AUTO_INCREMENT_BYTES - 1) | low

    def _read_bus(self, address: int, size_bytes: int) -> int:
        if self._locked():
            raise BusFaultError(address)
        if address != _DHCSR_ADDRESS:
            self._core.catch_up(polled=False)
        return int.from_bytes(self._bus.read(address, size_bytes), "little")

    def _write_bus(self, address: int, data: bytes) -> None:
        if self._locked():
            raise BusFaultError(address)
        self._core.catch_up(polled=False)
        self._bus.write(address, data)


class ProtectedChip(Protocol):
    """What the control access port acts on."""

    @property
    def locked(self) -> bool:
        """Whether access port protection is in force."""
        ...

    @property
    def erasing(self) -> bool:
        """Whether a mass erase still takes time."""
        ...

    def erase_all(self) -> None:
        """Erase flash, UICR and RAM, and lift the protection until the next power-on or pin reset."""
        ...

    def control_reset(self) -> None:
        """Soft reset through the control access port."""
        ...


class ControlAccessPort:
    """Nordic CTRL-AP: answers on a locked chip, too. ERASEALL is done at once; ERASEALLSTATUS is busy as long as the
    chip says, and for a few reads where no time is modelled."""

    IDR = 0x02880000
    _BUSY_READS = 3

    def __init__(self, chip: ProtectedChip) -> None:
        self.misreads: Callable[[], bool] | None = None
        """Whether this reading of APPROTECTSTATUS says "protected" falsely: a fault put in."""
        self._chip = chip
        self._reset = 0
        self._busy_reads = 0

    def read(self, register: int) -> int:
        """RESET, ERASEALLSTATUS (1: busy), APPROTECTSTATUS (0: protected), IDR."""
        if register == 0x08:
            self._busy_reads = max(0, self._busy_reads - 1)
            return 1 if self._busy_reads or self._chip.erasing else 0
        if register == 0x0C:
            return 0 if self._chip.locked or (self.misreads is not None and self.misreads()) else 1
        return {0x00: self._reset, _IDR: self.IDR}.get(register, 0)

    def write(self, register: int, value: int) -> None:
        """RESET (acts when it goes back to 0), ERASEALL."""
        if register == 0x00:
            if self._reset and not value & 1:
                self._chip.control_reset()
            self._reset = value & 1
        elif register == 0x04 and value & 1:
            self._chip.erase_all()
            self._busy_reads = self._BUSY_READS


class DebugPort:
    """The debug port with its access ports. ``transfers`` counts; ``on_transfer`` sees each before it is done, and may
    raise: that is how faults of the wire are put in. Transfers that a probe carries out in one go are seen, and fail,
    together. ``probe_gone``: no probe is there, until somebody sets it to false.

    Every method raises WireError, FAULT being one of its answers, and ProbeGoneError.
    """

    def __init__(self, access_ports: dict[int, AccessPort], idr: int = DPIDR) -> None:
        self.access_ports = access_ports
        self.transfers = 0
        self.on_transfer: Callable[[int], None] | None = None
        self.probe_gone = False
        self._idr = idr
        self.line_reset()

    def line_reset(self) -> None:
        """Fifty clocks with the data line high: SELECT and the sticky error are gone, power requests stay."""
        self._select = 0
        self.sticky_error = False
        self._control = getattr(self, "_control", 0)

    def power_on(self) -> None:
        """The chip had no power."""
        self._control = 0
        self.line_reset()

    @property
    def overrun_detection(self) -> bool:
        """CTRL/STAT.ORUNDETECT."""
        return bool(self._control & 1)

    def read_dp(self, register: int) -> int:
        """DPIDR, CTRL/STAT, RDBUFF."""
        self._count(1)
        if register == 0x0:
            return self._idr
        if register == 0x4:
            return self._status() if not self._select & 0xF else int(self._select & 0xF == 1)
        return 0

    def _status(self) -> int:
        requested = self._control & 0x50000F01
        return requested | (requested & 0x50000000) << 1 | self.sticky_error << 5 | 0x40

    def write_dp(self, register: int, value: int) -> None:
        """ABORT, CTRL/STAT, SELECT."""
        self._count(1)
        if register == 0x0:
            if value & 0x1E:
                self.sticky_error = False
        elif register == 0x4:
            if not self._select & 0xF:
                self._control = value
            if value & 0x20:
                # JTAG-DP clears it here.
                self.sticky_error = False
        elif register == 0x8:
            self._select = value

    def read_ap(self, register: int) -> int:
        """A register of the selected access port and bank. Raises DapFaultError."""
        return self.read_ap_repeatedly(register, 1)[0]

    def write_ap(self, register: int, value: int) -> None:
        """Likewise."""
        self.write_ap_repeatedly(register, [value])

    def read_ap_repeatedly(self, register: int, count: int) -> list[int]:
        """The same register ``count`` times. Raises DapFaultError."""
        port, full = self._target(register, count)
        try:
            if full == _DRW and isinstance(port, MemoryAccessPort):
                return port.read_block(count)
            return [port.read(full) & 0xFFFFFFFF if port else 0 for _ in range(count)]
        except BusFaultError as fault:
            self.sticky_error = True
            raise DapFaultError from fault

    def write_ap_repeatedly(self, register: int, values: Sequence[int]) -> None:
        """The same register with one value after another. Raises DapFaultError."""
        port, full = self._target(register, len(values))
        # pyOCD has been seen to send more than 32 bits.
        words = [value & 0xFFFFFFFF for value in values]
        try:
            if full == _DRW and isinstance(port, MemoryAccessPort):
                port.write_block(words)
            elif port is not None:
                for word in words:
                    port.write(full, word)
        except BusFaultError as fault:
            self.sticky_error = True
            raise DapFaultError from fault

    def _target(self, register: int, count: int) -> tuple[AccessPort | None, int]:
        self._count(count)
        if self.sticky_error:
            raise DapFaultError
        return self.access_ports.get(self._select >> 24), self._select & 0xF0 | register & 0xC

    def fault(self) -> DapFaultError:
        """The answer FAULT, for whoever puts one in: STICKYERR is set."""
        self.sticky_error = True
        return DapFaultError()

    def _count(self, count: int) -> None:
        if self.probe_gone:
            raise ProbeGoneError
        self.transfers += count
        if self.on_transfer is not None:
            self.on_transfer(count)
