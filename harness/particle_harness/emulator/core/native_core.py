"""The boundary to ``_native/core.c``: virtual time of a core while it executes, the reasons for which it stops between
two instructions, and its exception frames.

Unicorn 2.1 offers no way to end a run from inside a register access: ``emu_stop`` there repeats the store, a time-out
or another thread leaves a stale program counter, and ``count=`` cannot be changed while it runs. A code hook may stop
it exactly, so a few lines of C are the hook: they count down, and look whether somebody wants attention.
"""

from __future__ import annotations

import ctypes
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Protocol

import unicorn
from unicorn import arm_const as arm
from unicorn.unicorn_py3.unicorn import uclib

from particle_harness.emulator._native import ffi, lib
from particle_harness.swd.bus import PAGE_SIZE_BYTES, Memory

READ: int = lib.CORE_READ
SUMMED: int = lib.CORE_SUMMED
MOST_SUMS: int = lib.CORE_SUMS
"""So many are kept."""
ASKED: int = lib.CORE_ASKED
FLOATING_POINT: int = lib.CORE_FLOATING_POINT
BREAKPOINT: int = lib.CORE_BREAKPOINT
WATCH_UNMASK: int = lib.CORE_WATCH_UNMASK
WATCH_FLOATING_POINT: int = lib.CORE_WATCH_FLOATING_POINT
WATCH_BREAKPOINTS: int = lib.CORE_WATCH_BREAKPOINTS
_SAVED = (
    "instruction_cycles", "align_to_8", "automatic_state", "cycles_left", "address", "next_address", "passing", "crc",
)  # fmt: skip
_WORD = 0xFFFFFFFF
_PAGE_SHIFT = PAGE_SIZE_BYTES.bit_length() - 1
_REGISTER_IDS = (
    *(arm.UC_ARM_REG_R0 + n for n in range(13)), arm.UC_ARM_REG_SP, arm.UC_ARM_REG_LR, arm.UC_ARM_REG_PC,
    arm.UC_ARM_REG_XPSR, arm.UC_ARM_REG_MSP, arm.UC_ARM_REG_PSP, arm.UC_ARM_REG_CONTROL, arm.UC_ARM_REG_PRIMASK,
    arm.UC_ARM_REG_BASEPRI, arm.UC_ARM_REG_FAULTMASK, arm.UC_ARM_REG_FPSCR,
    *(arm.UC_ARM_REG_S0 + n for n in range(32)),
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class BusAccess:
    """An access to a register: by the instruction at ``by``, and what was read or written."""

    is_write: bool
    address: int
    value: int
    by: int


@dataclass(frozen=True, slots=True)
class Sum:
    """What one call of a routine that computes a checksum has taken in: addresses of first byte and end, and those of
    the last words that were loaded before the call. ``is_whole``: it was one range, from its start to its end."""

    start: int
    end: int
    loaded_before: frozenset[int]
    is_whole: bool


class Door(Protocol):
    """Registers of a peripheral, as the core reaches them. ``cycles_left``: of the core's run, after the access."""

    def raised(self, error: BaseException) -> None:
        """Keep what the other methods raised until the run has ended."""
        ...

    def read(self, cycles_left: int, offset: int, size_bytes: int) -> int:
        """Value there."""
        ...

    def write(self, cycles_left: int, offset: int, size_bytes: int, value: int) -> None:
        """Store there."""
        ...


class Owner(Protocol):
    """Whose core it is."""

    def raised(self, error: BaseException) -> None:
        """Keep what a callback raised until the run has ended."""
        ...

    def store_guarded(self, address: int, data: bytes) -> bool:
        """A store into a memory with rules of its own; whether there is one."""
        ...


class NativeCore:
    """``shared`` is the structure ``core`` of ``_native/core.h``, whose fields the owner may read and write whenever
    the engine stands or is in a callback."""

    def __init__(self, engine: Any, owner: Owner, access_cycles: int, clock_address: int) -> None:
        self._engine = engine
        self._kept: list[Any] = []
        self.shared = core = ffi.new("struct core *")
        core.engine = ffi.cast("void *", ctypes.cast(engine._uch, ctypes.c_void_p).value)  # its own handle
        core.emu_start = ffi.cast("int (*)(void *, uint64_t, uint64_t, uint64_t, size_t)", _address(uclib.uc_emu_start))
        core.emu_stop = ffi.cast("int (*)(void *)", _address(uclib.uc_emu_stop))
        core.reg_read = ffi.cast("int (*)(void *, int, void *)", _address(uclib.uc_reg_read))
        core.reg_write = ffi.cast("int (*)(void *, int, const void *)", _address(uclib.uc_reg_write))
        core.register_ids = _REGISTER_IDS
        core.epsr_id = arm.UC_ARM_REG_EPSR
        core.access_cycles = access_cycles
        core.instruction_cycles = 1
        core.clock_address = clock_address
        core.align_to_8 = core.automatic_state = core.skips_loops = True
        core.loop.anchor = core.crc_address = 1
        self._hook(unicorn.UC_HOOK_CODE, "core_before_instruction", core)
        self._hook(unicorn.UC_HOOK_INTR, "core_on_interrupt", core)
        self._hook(unicorn.UC_HOOK_MEM_UNMAPPED, "core_on_unmapped", core)
        core.owner = self._handle(owner)
        self._hook(unicorn.UC_HOOK_MEM_WRITE_PROT, "core_on_guarded_store", core)

    def _handle(self, thing: object) -> Any:
        handle = ffi.new_handle(thing)
        self._kept.append(handle)
        return handle

    def _hook(self, kind: int, function: str, user: Any, first: int = 1, last: int = 0) -> ctypes.c_size_t:
        """For addresses from ``first`` to ``last``, by default for all. Gives its number."""
        number = ctypes.c_size_t()
        _check(
            uclib.uc_hook_add(
                self._engine._uch,  # the package's own hook_add takes Python functions alone
                ctypes.byref(number), kind, _pointer(ffi.addressof(lib, function)), _pointer(user),
                ctypes.c_uint64(first), ctypes.c_uint64(last),
            )
        )  # fmt: skip
        return number

    def be_crc_unit(self, address: int) -> None:
        """Of an STM32F2, with registers from there on: :attr:`crc` is its state, and nobody is told of whole words that
        code reads and writes there."""
        self.shared.crc_address = address

    @property
    def crc(self) -> int:
        """Of the words so far."""
        return int(self.shared.crc)

    @crc.setter
    def crc(self, value: int) -> None:
        self.shared.crc = value

    def add_memory(self, memory: Memory) -> None:
        """Let code, stacks and frames be there."""
        for start in (memory.start_address, *memory.aliases):
            place = self.shared.memories[self.shared.memory_count]
            place.start, place.size_bytes, place.writable = start, memory.size_bytes, memory.store is None
            place.cells = ffi.cast("uint8_t *", ctypes.addressof(memory.buffer))
            self.shared.memory_count += 1
            if memory.store is None and start == memory.start_address:
                self._kept.append(ffi.new("uint8_t[]", memory.size_bytes))
                place.copy = self._kept[-1]

    def add_door(self, address: int, size_bytes: int, door: Door) -> None:
        """Map registers."""
        handles = {"read": self._handle(door.read), "write": self._handle(door.write)}
        place = ffi.new("struct core_door *", {"core": self.shared, "address": address, **handles})
        self._kept.append(place)
        read, write = ffi.addressof(lib, "core_read"), ffi.addressof(lib, "core_write")
        _check(
            uclib.uc_mmio_map(
                self._engine._uch,  # as above
                address, size_bytes, _pointer(read), _pointer(place), _pointer(write), _pointer(place),
            )
        )  # fmt: skip

    @contextmanager
    def noting_reads(
        self, used: Sequence[tuple[Memory, bytearray]], summers: Sequence[tuple[int, int]] = ()
    ) -> Iterator[None]:
        """Within, a byte array has :data:`READ` where it had 0 or :data:`SUMMED` for each byte of its memory that code
        loads or is fetched from; SUMMED where it had 0 and instructions of ``summers`` load: by the addresses of one
        that begins a sum and of one that takes bytes into it."""
        core = self.shared
        core.sum_count = core.load_count = 0
        core.loads = [0] * lib.CORE_LOADS
        core.summer_count = min(len(summers), lib.CORE_SUMMERS)
        for place, (begins, takes) in zip(core.summers, summers, strict=False):
            place.begins, place.takes = begins, takes
        hooks, pointers = [], []
        for memory, marks in used:
            pointers.append(ffi.from_buffer("uint8_t[]", marks, require_writable=True))
            cells = ffi.cast("uint8_t *", ctypes.addressof(memory.buffer))
            for place in (core.memories[n] for n in range(core.memory_count)):
                if place.cells == cells:
                    place.used = pointers[-1]
                    last = place.start + place.size_bytes - 1
                    hooks.append(self._hook(unicorn.UC_HOOK_MEM_READ, "core_on_load", core, place.start, last))
        core.notes_reads = True
        # What is translated already tells nobody of its loads; what is translated within costs time for ever.
        self._engine.ctl_flush_tb()
        try:
            yield
        finally:
            core.notes_reads = False
            core.summer_count = 0
            for n in range(core.memory_count):
                core.memories[n].used = ffi.NULL
            for number in hooks:
                _check(uclib.uc_hook_del(self._engine._uch, number))  # as above
            self._engine.ctl_flush_tb()

    @property
    def summed(self) -> tuple[int, int]:
        """Calls of such routines since the noting began, and the end of what the last one has taken in so far."""
        count = int(self.shared.sum_count)
        return count, int(self.shared.sums[count - 1].end) if 0 < count <= MOST_SUMS else 0

    def sums(self) -> list[Sum]:
        """What they have taken in, as far as it is kept."""
        kept = (self.shared.sums[n] for n in range(min(self.shared.sum_count, MOST_SUMS)))
        return [Sum(s.start, s.end, frozenset(s.before), not s.broken) for s in kept if s.end]

    def take_no_sums(self) -> None:
        """From here on their loads are reads like any other."""
        self.shared.summer_count = 0

    def run(self) -> None:
        """Execute from the program counter until something stops it; ``shared`` says what."""
        lib.core_run(self.shared)

    def saved_state(self) -> dict[str, Any]:
        """For a snapshot: registers, whatever the core's mode."""
        values = ffi.new("uint32_t[]", lib.CORE_REGISTERS)
        lib.core_save_registers(self.shared, values)
        return {"registers": list(values)} | {name: getattr(self.shared, name) for name in _SAVED}

    def load_state(self, state: dict[str, Any]) -> None:
        """From a snapshot."""
        for name in _SAVED:
            setattr(self.shared, name, state[name])
        # What was seen of loops belongs to another past.
        self.shared.loop.anchor = 1
        self.shared.loop.misses = self.shared.loop.pause = self.shared.loop.reads_clock = 0
        lib.core_load_registers(self.shared, ffi.new("uint32_t[]", state["registers"]))

    def sample(self) -> None:
        """Read into ``shared`` the registers that a run leaves there."""
        lib.core_sample(self.shared)

    def set_breakpoints(self, addresses: set[int]) -> None:
        """Stop before these instructions, while somebody watches for breakpoints."""
        self.shared.breakpoint_count = len(addresses)
        for n, address in enumerate(sorted(addresses)):
            self.shared.breakpoints[n] = address

    def code_ran_in(self, address: int, size_bytes: int) -> bool:
        """Whether instructions from those bytes, or from the page before them, have been executed."""
        pages = self.shared.code_pages
        first, last = (address >> _PAGE_SHIFT) - 1, address + size_bytes - 1 >> _PAGE_SHIFT
        return any(pages[page] for page in range(max(first, 0), last + 1))

    @property
    def counts(self) -> tuple[int, int]:
        """Accesses to registers and jumps so far, in 32 bits each."""
        core, loop = self.shared, self.shared.loop
        accesses, jumps = core.access_count + loop.skipped_accesses, core.branch_count + loop.skipped_branches
        return accesses & _WORD, jumps & _WORD

    def last_accesses(self) -> list[BusAccess]:
        """The last accesses to registers of peripherals, the newest last."""
        count, kept = self.shared.access_count, lib.CORE_ACCESSES
        places = (self.shared.accesses[n % kept] for n in range(max(0, count - kept), count))
        return [BusAccess(bool(place.is_write), place.address, place.value, place.by) for place in places]

    def last_branches(self) -> list[int]:
        """Targets of the last jumps, the newest last."""
        count, kept = self.shared.branch_count, lib.CORE_BRANCHES
        return [self.shared.branches[n % kept] for n in range(max(0, count - kept), count)]


def crc_with(crc: int, word: int) -> int:
    """CRC-32 with one word more, most significant bit first."""
    return int(lib.core_crc(crc, word))


def _address(function: Any) -> int:
    return ctypes.cast(function, ctypes.c_void_p).value or 0


def _pointer(place: Any) -> ctypes.c_void_p:
    return ctypes.c_void_p(int(ffi.cast("uintptr_t", place)))


def _check(status: int) -> None:
    if status != unicorn.UC_ERR_OK:
        raise unicorn.UcError(status)


def _keep(_kind: type[BaseException], error: BaseException, traceback: TracebackType) -> None:
    """No exception can pass through C: whoever runs the core raises it afterwards."""
    thing = ffi.from_handle(traceback.tb_frame.f_locals["handle"])
    getattr(thing, "__self__", thing).raised(error)


@ffi.def_extern(onerror=_keep)  # type: ignore[untyped-decorator]
def core_read_peripheral(cycles_left: int, offset: int, size_bytes: int, handle: Any) -> int:
    """Python's part of a read."""
    return ffi.from_handle(handle)(cycles_left, offset, size_bytes)  # type: ignore[no-any-return]


@ffi.def_extern(onerror=_keep)  # type: ignore[untyped-decorator]
def core_write_peripheral(cycles_left: int, offset: int, size_bytes: int, value: int, handle: Any) -> None:
    """Python's part of a write."""
    ffi.from_handle(handle)(cycles_left, offset, size_bytes, value)


@ffi.def_extern(onerror=_keep)  # type: ignore[untyped-decorator]
def core_store_guarded(address: int, size_bytes: int, value: int, handle: Any) -> bool:
    """Store into a memory that takes stores in its own way."""
    data = (value & ((1 << 8 * size_bytes) - 1)).to_bytes(size_bytes, "little")
    return bool(ffi.from_handle(handle).store_guarded(address, data))
