"""A Cortex-M CPU that runs code: Unicorn on the chip's bus.

Only what flash algorithms and small test programs need: no interrupts, no exceptions except that one stops it. What
Particle's firmware does is modelled by the virtual board, not executed.
"""

from __future__ import annotations

from enum import Enum, auto
from typing import Any

import unicorn

from particle_harness.swd.bus import Bus
from particle_harness.swd.engine import Engine

_WAIT_INSTRUCTIONS = (b"\x20\xbf", b"\x30\xbf")
"""WFE, WFI: Unicorn stops behind them, WFE with an "invalid instruction"."""


class Stop(Enum):
    """Why a slice of execution ended."""

    SLICE_OVER = auto()
    BREAKPOINT = auto()
    """A BKPT instruction, or an address in ``breakpoints``."""
    SLEEP = auto()
    FAULT = auto()


_EXCEPTION_BKPT = 7
"""Source: unicorn 2.1 qemu/target/arm/cpu.h EXCP_BKPT."""


class Cpu(Engine):
    """Executes from ``bus``. ``cortex`` is 3, 4, 23 or 33.

    ``count=`` bounds every run: with Unicorn 2.1 it is the only bound that leaves the program counter exact.
    """

    def __init__(self, bus: Bus, cortex: int) -> None:
        super().__init__(bus, cortex)
        self._stop: Stop | None = None
        self._breakpoints: dict[int, Any] = {}
        self._passing: int | None = None
        self._uc.hook_add(unicorn.UC_HOOK_INTR, self._on_exception)
        self._uc.hook_add(unicorn.UC_HOOK_MEM_UNMAPPED, self._on_unmapped)

    def run(self, instructions: int) -> Stop:
        """Execute up to that many instructions."""
        if self._bus.code_changed:
            self._uc.ctl_flush_tb()
            self._bus.code_changed = False
        self._stop = None
        start = self.program_counter
        self._passing = start if start in self._breakpoints else None
        invalid = False
        try:
            self._uc.emu_start(start | 1, 0xFFFFFFFE, count=instructions)
        except unicorn.UcError:
            invalid = True
        self._settle_stores()
        if self._stop is None and self._behind_a_wait():
            return Stop.SLEEP
        return self._stop or (Stop.FAULT if invalid else Stop.SLICE_OVER)

    def _behind_a_wait(self) -> bool:
        before = self._bus.memory_at(self.program_counter - 2)
        return before is not None and bytes(before[0].view[before[1] : before[1] + 2]) in _WAIT_INSTRUCTIONS

    def set_breakpoints(self, addresses: set[int]) -> None:
        """Stop before the instructions at these addresses."""
        for address in self._breakpoints.keys() - addresses:
            self._uc.hook_del(self._breakpoints.pop(address))
        for address in addresses - self._breakpoints.keys():
            self._breakpoints[address] = self._uc.hook_add(
                unicorn.UC_HOOK_CODE, self._on_breakpoint, None, address, address
            )
        self._uc.ctl_flush_tb()

    def _end(self, stop: Stop) -> None:
        if self._stop is None:
            self._stop = stop
        self._uc.emu_stop()

    def _on_breakpoint(self, _uc: Any, address: int, _size: int, _user: Any) -> None:
        if self._passing == address:
            self._passing = None
        else:
            self._end(Stop.BREAKPOINT)

    def _on_exception(self, _uc: Any, number: int, _user: Any) -> None:
        self._end(Stop.BREAKPOINT if number == _EXCEPTION_BKPT else Stop.FAULT)

    def _on_unmapped(self, _uc: Any, _access: int, _address: int, _size: int, _value: int, _user: Any) -> bool:
        self._end(Stop.FAULT)
        return False
