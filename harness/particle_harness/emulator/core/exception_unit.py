"""Exception entry, return and faults of one core: the exception model joined with stack frames and fault status.

Source: Armv7-M Architecture Reference Manual, B1.5.6 to B1.5.14.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from particle_harness.emulator._native import lib
from particle_harness.emulator.core.exceptions import HARD_FAULT, NMI, SV_CALL, THREAD_PRIORITY, Exceptions
from particle_harness.emulator.core.faults import Cause, CoreFault, FaultStatus
from particle_harness.emulator.core.native_core import NativeCore
from particle_harness.swd.bus import Bus, BusFaultError

THUMB = 1 << 24
_EXCEPTION_NUMBER = 0x1FF
_PREFIX = 0xFFFFFFE1


@dataclass(frozen=True, slots=True)
class ExceptionReturn:
    """An EXC_RETURN value, taken apart."""

    value: int

    @property
    def to_thread(self) -> bool:
        """Else to another handler."""
        return bool(self.value & 8)

    @property
    def floating_point(self) -> bool:
        """Whether the frame holds floating-point registers."""
        return not self.value & 0x10

    @property
    def is_known(self) -> bool:
        """Whether the architecture defines it."""
        return self.value & _PREFIX == _PREFIX and self.value & 0xF in (1, 9, 0xD)


class ExceptionUnit:
    """``core.shared`` must be sampled whenever a method is called: after a run it is.

    ``thumb`` falls when code is to be executed that cannot be; ``locked_up`` rises when a fault has no handler that may
    run. ``on_fault`` are told of each fault and the exception that handles it, before anything changes.
    """

    def __init__(self, core: NativeCore, bus: Bus, exceptions: Exceptions, *, has_fpu: bool) -> None:
        self._core = core
        self._bus = bus
        self.exceptions = exceptions
        self.status = FaultStatus()
        self.on_fault: list[Callable[[CoreFault, int], None]] = []
        self._has_fpu = has_fpu
        self.reset()

    def reset(self) -> None:
        """As after a reset."""
        self.exceptions.reset()
        self.status.reset()
        self.vector_table = 0
        self.thread_from_any_level = False
        """CCR.NONBASETHRDENA."""
        self.thumb = True
        self.locked_up = False
        self._core.shared.align_to_8 = self._core.shared.automatic_state = True

    def priority(self, *, primask: bool = True) -> int:
        """Of what runs now. ``primask`` false: as if PRIMASK were clear, which is what wakes from WFI."""
        core = self._core.shared
        return self.exceptions.execution_priority(
            primask=primask and bool(core.primask), basepri=core.basepri, faultmask=bool(core.faultmask)
        )

    def is_held_back_by_a_mask(self) -> bool:
        """Whether something is pending that PRIMASK, BASEPRI or FAULTMASK alone keep from being taken."""
        number = self.exceptions.candidate()
        return number is not None and self.exceptions.preempts(number, self.exceptions.execution_priority())

    # ---- entry ------------------------------------------------------------------------------------------------------

    def take_pending(self) -> bool:
        """Enter the most urgent pending exception, if it may interrupt what runs."""
        number = self.exceptions.candidate()
        if number is None or not self.exceptions.preempts(number, self.priority()):
            return False
        self._enter(number, self._core.shared.pc)
        return True

    def supervisor_call(self, return_address: int) -> None:
        """SVC was executed."""
        if self.exceptions.preempts(SV_CALL, self.priority()):
            self._enter(SV_CALL, return_address)
        else:
            self.fault(CoreFault(Cause.SVC, return_address))

    def fault(self, fault: CoreFault) -> None:
        """Enter its handler, HardFault where that is disabled or not urgent enough, or lock up."""
        number, priority = self._handler_of(fault)
        if priority == THREAD_PRIORITY or self.exceptions.preempts(number, priority):
            self._enter(number, fault.return_address)
        else:
            self.locked_up = True

    def _handler_of(self, fault: CoreFault) -> tuple[int, int]:
        """Which exception handles a fault, and the priority of what runs; the fault is noted."""
        exceptions, wanted, priority = self.exceptions, fault.cause.exception, self.priority()
        regular = exceptions.is_enabled(wanted) and exceptions.preempts(wanted, priority)
        number = wanted if regular or wanted == HARD_FAULT else HARD_FAULT
        self.status.note(fault, escalated=number != wanted)
        for tell in self.on_fault:
            tell(fault, number)
        return number, priority

    def _enter(self, number: int, return_address: int) -> None:
        core = self._core.shared
        stacked = lib.core_push_frame(core, return_address, not self.exceptions.active)
        value = core.exception_return
        if not stacked:
            number = self._first_of(number, CoreFault(Cause.STKERR, return_address))
        if not self.locked_up:
            self._go_to(number, value)

    def _go_to(self, number: int, exception_return: int) -> None:
        """To a handler; what it returns to is on the stack already."""
        handler = self._vector(number)
        if handler is None:
            number = self._first_of(number, CoreFault(Cause.VECTTBL, self._core.shared.pc))
            handler = self._vector(number)
            if handler is None or self.locked_up:
                self.locked_up = True
                return
        self.exceptions.enter(number)
        lib.core_enter_handler(self._core.shared, number, exception_return, handler)
        lib.core_sample(self._core.shared)
        self.thumb = bool(handler & 1)

    def _vector(self, number: int) -> int | None:
        try:
            return self._bus.read_word(self.vector_table + 4 * number)
        except BusFaultError:
            return None

    def _first_of(self, number: int, fault: CoreFault) -> int:
        """A fault while an exception is entered: the one of both that runs first. The other is pending then."""
        taken, priority = self._handler_of(fault)
        if not self.exceptions.preempts(taken, priority):
            self.locked_up = True
            return number
        first = min(number, taken, key=lambda each: (self.exceptions.priority(each), each != taken))
        if number != taken:
            self.exceptions.pend(taken if first == number else number)
        self.exceptions.pending.discard(first)
        return first

    # ---- return -----------------------------------------------------------------------------------------------------

    def exception_return(self, value: int) -> bool:
        """An EXC_RETURN was loaded into the program counter. Whether Thread mode goes on."""
        exceptions, core, how = self.exceptions, self._core.shared, ExceptionReturn(value)
        if not exceptions.active:
            # In Thread mode the value is an address like any other, one that nothing can be fetched from.
            self.fault(CoreFault(Cause.IACCVIOL, value & ~1))
            return False
        number = exceptions.active[-1]
        valid = self._may_return(how)
        readable = valid and bool(lib.core_read_frame(core, value))
        exceptions.leave(number)
        if number != NMI:
            lib.core_set_register(core, lib.CORE_FAULTMASK, 0)
            core.faultmask = 0
        if not readable:
            self._go_to_derived(CoreFault(Cause.UNSTKERR if valid else Cause.INVPC, value))
            return False
        status = core.frame[7]
        if bool(status & _EXCEPTION_NUMBER) == how.to_thread:
            self._go_to_derived(CoreFault(Cause.INVPC, value))
            return False
        lib.core_pop_frame(core, value)
        lib.core_sample(core)
        self.thumb = bool(status & THUMB)
        return how.to_thread

    def _may_return(self, how: ExceptionReturn) -> bool:
        if not how.is_known or (how.floating_point and not self._has_fpu):
            return False
        nested = len(self.exceptions.active) > 1
        return (not nested or self.thread_from_any_level) if how.to_thread else nested

    def _go_to_derived(self, fault: CoreFault) -> None:
        """A fault of an exception return: its handler gets what the other one would have returned to."""
        number, priority = self._handler_of(fault)
        if priority < THREAD_PRIORITY and not self.exceptions.preempts(number, priority):
            self.locked_up = True
        else:
            self._go_to(number, fault.return_address)
