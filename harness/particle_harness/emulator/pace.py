"""Virtual time of a core while it executes, and the reasons for which it stops between two instructions.

Unicorn 2.1 offers no way to end a run from inside a register access: ``emu_stop`` there repeats the store, a time-out
or another thread leaves a stale program counter, and ``count=`` cannot be changed while it runs. A code hook may stop
it exactly, so a few lines of C are the hook: they count down, and look whether somebody wants attention.
"""

from __future__ import annotations

import ctypes
from typing import Any

import unicorn
from unicorn.unicorn_py3.unicorn import uclib

from particle_harness.emulator._native import ffi, lib
from particle_harness.swd.bus import PAGE_SIZE_BYTES, Memory

ASKED: int = lib.PACE_ASKED
FLOATING_POINT: int = lib.PACE_FLOATING_POINT
BREAKPOINT: int = lib.PACE_BREAKPOINT
WATCH_UNMASK: int = lib.PACE_WATCH_UNMASK
WATCH_FLOATING_POINT: int = lib.PACE_WATCH_FLOATING_POINT
WATCH_BREAKPOINTS: int = lib.PACE_WATCH_BREAKPOINTS
_PAGE_SHIFT = PAGE_SIZE_BYTES.bit_length() - 1


class Pace:
    """Counter and stop of one engine. ``shared`` is the C structure of ``_native/pace.h``, whose fields the owner may
    read and write whenever the engine stands or is in a callback."""

    def __init__(self, engine: Any) -> None:
        self.shared = ffi.new("struct pace *")
        self.shared.stop = ffi.cast("int (*)(void *)", _address_of(uclib.uc_emu_stop))
        self._hook = ctypes.c_size_t()
        hook = ffi.cast("uintptr_t", ffi.addressof(lib, "pace_before_instruction"))
        first, last = ctypes.c_uint64(1), ctypes.c_uint64(0)  # an empty range is every address
        status = uclib.uc_hook_add(
            engine._uch,  # the package's own hook_add takes Python functions alone
            ctypes.byref(self._hook), unicorn.UC_HOOK_CODE, ctypes.c_void_p(int(hook)),
            ctypes.c_void_p(int(ffi.cast("uintptr_t", self.shared))), first, last,
        )  # fmt: skip
        if status != unicorn.UC_ERR_OK:
            raise unicorn.UcError(status)

    def add_memory(self, memory: Memory) -> None:
        """Let the hook read instructions there."""
        for start in (memory.start_address, *memory.aliases):
            place = self.shared.memories[self.shared.memory_count]
            place.start, place.size_bytes = start, memory.size_bytes
            place.cells = ffi.cast("const uint8_t *", ctypes.addressof(memory.buffer))
            self.shared.memory_count += 1

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

    def last_branches(self) -> list[int]:
        """Targets of the last jumps, the newest last."""
        count = self.shared.branch_count
        return [self.shared.branches[n % lib.PACE_BRANCHES] for n in range(max(0, count - lib.PACE_BRANCHES), count)]


def _address_of(function: Any) -> int:
    return ctypes.cast(function, ctypes.c_void_p).value or 0
