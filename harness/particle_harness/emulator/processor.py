"""A Cortex-M core that runs firmware: Unicorn executes, the exception model decides what, virtual time says when.

Each instruction takes one cycle and each access to a register of a peripheral :data:`ACCESS_CYCLES` more. Exact timing
is not the aim; that the same firmware and the same inputs give the same cycles is.

What is not modelled: regions of the MPU, the local exclusive monitor at exception entry (STREX after an interrupt
succeeds if the word is unchanged), UNALIGN_TRP and DIV_0_TRP, LDM and LDRD at unaligned addresses (they succeed).
"""

from __future__ import annotations

from collections.abc import Callable
from enum import Enum, auto
from typing import Any

import unicorn
from unicorn import arm_const as arm

from particle_harness.emulator.cycle_counter import DATA_WATCHPOINT_AND_TRACE, CycleCounter
from particle_harness.emulator.exceptions import (
    HARD_FAULT,
    NMI,
    SV_CALL,
    SYS_TICK,
    THREAD_PRIORITY,
    Exceptions,
)
from particle_harness.emulator.faults import Cause, Fault, FaultStatus
from particle_harness.emulator.frames import THUMB, ExceptionReturn, Frames
from particle_harness.emulator.interrupt_line import InterruptLine
from particle_harness.emulator.pace import FLOATING_POINT, WATCH_FLOATING_POINT, WATCH_UNMASK, Pace
from particle_harness.emulator.system_control import SYSTEM_CONTROL_SPACE, SystemControlSpace
from particle_harness.emulator.systick import SysTick
from particle_harness.emulator.timeline import Timeline
from particle_harness.swd.bus import Bus, BusFaultError, Peripheral
from particle_harness.swd.engine import Engine

ACCESS_CYCLES = 8
_SLICE_CYCLES = 200_000
"""Longest run without a look at Python's signals."""
_NOWHERE = 0xFFFFFFFE
_NEVER_EXECUTED = (range(0x40000000, 0x60000000), range(0xA0000000, 1 << 32))
"""Source: Armv7-M Architecture Reference Manual, B3.1, table B3-1 (XN)."""
_SEV = b"\x40\xbf"
_WAITS = {b"\x20\xbf": "WFE", b"\x30\xbf": "WFI"}
_WIDE_WAITS = {b"\xaf\xf3\x02\x80": "WFE", b"\xaf\xf3\x03\x80": "WFI"}
_MASKS = {1: 0xFF, 2: 0xFFFF, 4: 0xFFFFFFFF}
Trace = Callable[[str, int, int, int, int, int], None]
"""Told of each access to a register: "R" or "W", address, size in bytes, value, program counter, cycle."""


class UnicornNumber:
    """Exception numbers of Unicorn's interrupt hook. Source: unicorn 2.1 qemu/target/arm/cpu.h."""

    UNDEFINED, SVC, PREFETCH_ABORT, DATA_ABORT, BKPT, EXCEPTION_EXIT, NOCP, INVSTATE = 1, 2, 3, 4, 7, 8, 17, 18


class Sleep(Enum):
    """What a core waits for."""

    WFI = auto()
    WFE = auto()


class Processor(Engine):
    """One core on ``bus``, which must be complete when :meth:`map_bus` is called. ``cortex`` is 3 or 4,
    ``priority_bits`` how many bits of priority the chip has.

    ``halted``: a debugger holds it; time goes on. ``locked_up``: a fault inside a fault handler. ``stop_requested``
    ends :meth:`run` at the next chance and stays set until somebody clears it. Hooks: ``on_reset_request`` (AIRCR;
    without one the core alone is reset), ``on_lockup``, ``on_fault``, ``on_breakpoint`` (whether a debugger takes the
    BKPT), ``trace``.
    """

    def __init__(self, bus: Bus, cortex: int, timeline: Timeline, priority_bits: int) -> None:
        super().__init__(bus, cortex)
        self.bus = bus
        self.cortex = cortex
        self.timeline = timeline
        self.exceptions = Exceptions(priority_bits)
        self.fault_status = FaultStatus()
        self.frames = Frames(self._uc, bus)
        self.systick = SysTick(timeline, self._on_systick)
        self.vector_table = 0
        self.sleep_on_exit = self.thread_from_any_level = self.floating_point_on = False
        self.halted = self.locked_up = self.stop_requested = False
        self.on_reset_request: Callable[[], None] | None = None
        self.on_lockup: Callable[[], None] | None = None
        self.on_fault: Callable[[Fault, int], None] | None = None
        self.on_breakpoint: Callable[[], bool] | None = None
        self.trace: Trace | None = None
        self._pace = Pace(self._uc)
        self._shared = self._pace.shared
        self._end = 0
        self._running = False
        self._sleep: Sleep | None = None
        self._thumb = True
        self._reset_wanted = False
        self._interrupt: int | None = None
        self._unmapped: tuple[int, int] | None = None
        self._bus_fault: tuple[int, int] | None = None
        self.control_space = SystemControlSpace(self)
        self.cycle_counter = CycleCounter(timeline)
        bus.add_peripheral(SYSTEM_CONTROL_SPACE, self.control_space)
        bus.add_peripheral(DATA_WATCHPOINT_AND_TRACE, self.cycle_counter)
        bus.code_ran_in = self._pace.code_ran_in
        timeline.on_nearer = self._on_nearer
        for line in self.exceptions.lines:
            line.on_rise = self._on_rise
        self._uc.hook_add(unicorn.UC_HOOK_INTR, self._on_interrupt)
        self._uc.hook_add(unicorn.UC_HOOK_MEM_UNMAPPED, self._on_unmapped)

    def map_bus(self) -> None:
        """Make everything on the bus visible to the code. Once, when the bus is complete."""
        super().map_bus()
        for memory in self.bus.memories:
            self._pace.add_memory(memory)

    def interrupt_line(self, number: int) -> InterruptLine:
        """Line of an external interrupt, counted from 0."""
        return self.exceptions.lines[number]

    # ---- resets -----------------------------------------------------------------------------------------------------

    def reset(self) -> None:
        """The core starts anew, with the vector table at address 0; peripherals and time are not touched."""
        self.exceptions.reset()
        self.fault_status.reset()
        self.systick.reset()
        self.control_space.reset()
        self.vector_table = 0
        self.sleep_on_exit = self.thread_from_any_level = self.floating_point_on = False
        self.frames.align_to_8 = self.frames.automatic_state = True
        self.locked_up = False
        self._sleep = None
        self._reset_wanted = False
        self._interrupt = self._unmapped = self._bus_fault = None
        stack_pointer, entry = self.bus.read_word(0), self.bus.read_word(4)
        self.reset_registers(stack_pointer, entry)
        self._thumb = bool(entry & 1)

    def request_reset(self) -> None:
        """Firmware asked for a reset; it comes before the next instruction, or at once while nothing runs."""
        self._reset_wanted = True
        self.attend()
        if not self._running:
            self._do_reset()

    def _do_reset(self) -> None:
        self._reset_wanted = False
        if self.on_reset_request is not None:
            self.on_reset_request()
        else:
            self.reset()

    # ---- attention --------------------------------------------------------------------------------------------------

    def attend(self) -> None:
        """Look at exceptions, resets and ``stop_requested`` before the next instruction."""
        self._shared.attention = 1

    def reconsider(self) -> None:
        """Registers that decide about exceptions have changed."""
        if self.exceptions.pending:
            self._shared.attention = 1

    def pend(self, number: int) -> None:
        """An exception wants to be taken, by its exception number."""
        self.exceptions.pend(number)
        self._shared.attention = 1

    def _on_rise(self, number: int) -> None:
        self.pend(16 + number)

    def _on_systick(self) -> None:
        self.pend(SYS_TICK)

    def _on_nearer(self, cycle: int) -> None:
        if self._running and cycle < self._end:
            self._shared.cycles_left -= self._end - cycle
            self._end = cycle

    # ---- running ----------------------------------------------------------------------------------------------------

    @property
    def sleeping(self) -> bool:
        """Whether it waits for an interrupt or event."""
        return self._sleep is not None

    def run(self, until_cycle: int) -> None:
        """Let virtual time pass: execute, sleep, have alarms called. Returns when the cycle is reached (by the
        length of an instruction later, at times), when the core has locked up, or with ``stop_requested``."""
        timeline = self.timeline
        while timeline.cycles < until_cycle and not self.stop_requested:
            timeline.run_due()
            if self._is_over():
                return
            if self.halted or not self._wakes():
                self._pass_time(until_cycle)
                continue
            if self.exceptions.pending:
                self._take_pending()
            next_due = timeline.next_due
            end = min(until_cycle, timeline.cycles + _SLICE_CYCLES)
            self._slice(end if next_due is None else min(end, next_due))
        timeline.run_due()

    def _is_over(self) -> bool:
        return self.locked_up or self.stop_requested

    def step(self) -> None:
        """Execute one instruction, or enter one exception."""
        self.timeline.run_due()
        if self.locked_up:
            return
        self._sleep = None
        self._slice(self.timeline.cycles + 1)

    def _pass_time(self, until_cycle: int) -> None:
        next_due = self.timeline.next_due
        target = until_cycle if next_due is None else min(until_cycle, next_due)
        self.timeline.cycles = max(self.timeline.cycles, target)

    def _wakes(self) -> bool:
        if self._sleep is None:
            return True
        exceptions = self.exceptions
        number = exceptions.candidate() if exceptions.pending else None
        if self._sleep is Sleep.WFE:
            awake = exceptions.event or (number is not None and exceptions.preempts(number, self._priority()))
            if awake:
                exceptions.event = False
        else:
            awake = number is not None and exceptions.preempts(number, self._priority(primask=False))
        if awake:
            self._sleep = None
        return awake

    def _slice(self, end: int) -> None:
        """Execute until ``end``, or until something has to be decided."""
        shared, timeline = self._shared, self.timeline
        if not self._thumb:
            self._thumb = True
            self._raise_fault(Fault(Cause.INVSTATE, self.program_counter))
            return
        if self.bus.code_changed:
            self._uc.ctl_flush_tb()
            self.bus.code_changed = False
        self._end = end
        shared.cycles_left = end - timeline.cycles
        shared.attention = 0
        shared.watch = self._watched()
        error: unicorn.UcError | None = None
        self._running = True
        try:
            self._uc.emu_start(self._uc.reg_read(arm.UC_ARM_REG_PC) | 1, _NOWHERE)
        except unicorn.UcError as failed:
            error = failed
        finally:
            self._running = False
            self._settle_stores()
        address = self._uc.reg_read(arm.UC_ARM_REG_PC) & ~1
        stopped = shared.attention != 0 or shared.cycles_left < 0
        if stopped and address == shared.address:
            shared.cycles_left += 1  # the hook stopped the core before this instruction
        timeline.cycles = self._end - shared.cycles_left
        self._handle(address, error, stopped)

    def _watched(self) -> int:
        watch = 0 if self.floating_point_on or self.cortex != 4 else WATCH_FLOATING_POINT
        return watch | WATCH_UNMASK if self.exceptions.pending else watch

    def _handle(self, address: int, error: unicorn.UcError | None, stopped: bool) -> None:
        """Whatever ended the slice."""
        if self._interrupt is not None:
            number, self._interrupt = self._interrupt, None
            self._on_exception(number, address)
        elif self._unmapped is not None:
            (accessed, kind), self._unmapped = self._unmapped, None
            self._raise_fault(_fault_of_access(accessed, kind, address))
        elif self._bus_fault is not None:
            (accessed, by), self._bus_fault = self._bus_fault, None
            self._uc.reg_write(arm.UC_ARM_REG_PC, by | 1)
            self._raise_fault(Fault(Cause.PRECISERR, by, accessed))
        elif error is not None:
            self._on_invalid_instruction(address, error)
        elif self._shared.attention == FLOATING_POINT:
            self._raise_fault(Fault(Cause.NOCP, address))
        elif not stopped:
            self._on_wait(address)
        if self._reset_wanted:
            self._do_reset()

    def _on_exception(self, number: int, address: int) -> None:
        if number == UnicornNumber.SVC:
            self._supervisor_call(address)
        elif number == UnicornNumber.EXCEPTION_EXIT:
            self._return(ExceptionReturn(address | 1))
        elif number == UnicornNumber.BKPT:
            if self.on_breakpoint is None or not self.on_breakpoint():
                self._raise_fault(Fault(Cause.DEBUGEVT, address))
        elif number == UnicornNumber.PREFETCH_ABORT:
            self._raise_fault(_fault_of_access(address, unicorn.UC_MEM_FETCH_UNMAPPED, address))
        elif number == UnicornNumber.DATA_ABORT:
            self._raise_fault(Fault(Cause.UNALIGNED, address))
        elif number == UnicornNumber.NOCP:
            self._raise_fault(Fault(Cause.NOCP, address))
        elif number == UnicornNumber.INVSTATE:
            self._raise_fault(Fault(Cause.INVSTATE, address))
        else:
            self._raise_fault(Fault(Cause.UNDEFINSTR, address))

    def _on_invalid_instruction(self, address: int, error: unicorn.UcError) -> None:
        if error.errno != unicorn.UC_ERR_INSN_INVALID:
            raise error
        if not self._uc.reg_read(arm.UC_ARM_REG_XPSR) & THUMB:
            self._raise_fault(Fault(Cause.INVSTATE, address))
        elif address != self._shared.address and self._wait_behind(address) == "WFE":
            self._on_wait(address)
        else:
            self._raise_fault(Fault(Cause.UNDEFINSTR, address))

    # ---- sleep ------------------------------------------------------------------------------------------------------

    def _code(self, address: int, size_bytes: int) -> bytes:
        try:
            return self.bus.read(address & 0xFFFFFFFF, size_bytes)
        except BusFaultError:
            return b""

    def _wait_behind(self, address: int) -> str | None:
        by = self._shared.address
        return (_WAITS if address - by == 2 else _WIDE_WAITS).get(self._code(by, address - by))

    def _on_wait(self, address: int) -> None:
        kind = self._wait_behind(address)
        if kind is None:
            raise RuntimeError(f"Unicorn stopped at 0x{address:08X} for no reason that is known here")
        if kind == "WFI":
            self._sleep = Sleep.WFI
        elif self.exceptions.event or self._code(self._shared.address - 2, 2) == _SEV:
            # Unicorn takes SEV for a NOP; where it stands before the WFE, as is the custom, it is seen here.
            self.exceptions.event = False
        else:
            self._sleep = Sleep.WFE

    # ---- exceptions -------------------------------------------------------------------------------------------------

    def _priority(self, *, primask: bool = True) -> int:
        read = self._uc.reg_read
        return self.exceptions.execution_priority(
            primask and bool(read(arm.UC_ARM_REG_PRIMASK) & 1),
            read(arm.UC_ARM_REG_BASEPRI),
            bool(read(arm.UC_ARM_REG_FAULTMASK) & 1),
        )

    def _take_pending(self) -> None:
        number = self.exceptions.candidate()
        if number is not None and self.exceptions.preempts(number, self._priority()):
            self._enter(number, self.program_counter)

    def _supervisor_call(self, address: int) -> None:
        if self.exceptions.preempts(SV_CALL, self._priority()):
            self._enter(SV_CALL, address)
        else:
            self._raise_fault(Fault(Cause.SVC, address))

    def _raise_fault(self, fault: Fault) -> None:
        """Enter its handler, HardFault where that is disabled or not urgent enough, or lock up."""
        exceptions, number, priority = self.exceptions, fault.cause.exception, self._priority()
        escalated = number != HARD_FAULT and not (
            exceptions.is_enabled(number) and exceptions.preempts(number, priority)
        )
        self.fault_status.note(fault, escalated=escalated)
        number = HARD_FAULT if escalated else number
        if self.on_fault is not None:
            self.on_fault(fault, number)
        if self.halted:
            return
        if priority < THREAD_PRIORITY and not exceptions.preempts(number, priority):
            self._lock_up()
        else:
            self._enter(number, fault.return_address)

    def _lock_up(self) -> None:
        self.locked_up = True
        if self.on_lockup is not None:
            self.on_lockup()

    def _enter(self, number: int, return_address: int) -> None:
        value, stacked = self.frames.push(return_address, thread=not self.exceptions.active)
        self._take(number if stacked else self._derived(number, Fault(Cause.STKERR, return_address)), value)

    def _take(self, number: int, exception_return: int) -> None:
        """Go to a handler; what it returns to is on the stack already."""
        try:
            handler = self.bus.read_word(self.vector_table + 4 * number)
        except BusFaultError:
            number = self._derived(number, Fault(Cause.VECTTBL, self.program_counter))
            try:
                handler = self.bus.read_word(self.vector_table + 4 * number)
            except BusFaultError:
                self._lock_up()
                return
        if self.locked_up:
            return
        self.exceptions.enter(number)
        self.frames.enter_handler(number, exception_return, handler)
        self._thumb = bool(handler & 1)

    def _derived(self, number: int, fault: Fault) -> int:
        """A fault while an exception is entered or left: the one of both that runs first. The other is pending."""
        exceptions, priority = self.exceptions, self._priority()
        wanted = fault.cause.exception
        regular = exceptions.is_enabled(wanted) and exceptions.preempts(wanted, priority)
        self.fault_status.note(fault, escalated=wanted != HARD_FAULT and not regular)
        taken = wanted if regular else HARD_FAULT
        if self.on_fault is not None:
            self.on_fault(fault, taken)
        if not exceptions.preempts(taken, priority):
            self._lock_up()
            return number
        first = min(number, taken, key=lambda each: (exceptions.priority(each), each != taken))
        exceptions.pend(taken if first == number else number)
        exceptions.pending.discard(first)
        return first

    def _return(self, how: ExceptionReturn) -> None:
        exceptions = self.exceptions
        if not exceptions.active:
            # In Thread mode the value is an address like any other, one that nothing can be fetched from.
            self._raise_fault(Fault(Cause.IACCVIOL, how.value & ~1))
            return
        number, nested = exceptions.active[-1], len(exceptions.active) > 1
        valid = how.is_valid and (self.cortex == 4 or not how.floating_point)
        valid = valid and (not nested or self.thread_from_any_level if how.to_thread else nested)
        try:
            frame = self.frames.read(how) if valid else ()
        except BusFaultError:
            exceptions.leave(number)
            self._take(self._derived_alone(Fault(Cause.UNSTKERR, how.value)), how.value)
            return
        exceptions.leave(number)
        if number != NMI:
            self._uc.reg_write(arm.UC_ARM_REG_FAULTMASK, 0)
        if not frame or bool(frame[7] & 0x1FF) == how.to_thread:
            self._take(self._derived_alone(Fault(Cause.INVPC, how.value)), how.value)
            return
        self.frames.pop(how, frame)
        self._thumb = bool(frame[7] & THUMB)
        if how.to_thread and self.sleep_on_exit:
            self._sleep = Sleep.WFI

    def _derived_alone(self, fault: Fault) -> int:
        exceptions, priority = self.exceptions, self._priority()
        wanted = fault.cause.exception
        regular = exceptions.is_enabled(wanted) and exceptions.preempts(wanted, priority)
        self.fault_status.note(fault, escalated=not regular)
        taken = wanted if regular else HARD_FAULT
        if self.on_fault is not None:
            self.on_fault(fault, taken)
        if not exceptions.preempts(taken, priority):
            self._lock_up()
        return taken

    # ---- hooks of the engine ----------------------------------------------------------------------------------------

    def _on_interrupt(self, engine: Any, number: int, _user: Any) -> None:
        self._interrupt = number
        engine.emu_stop()

    def _on_unmapped(self, _engine: Any, access: int, address: int, _size: int, _value: int, _user: Any) -> bool:
        self._unmapped = (address, access)
        return False

    def _on_guarded_store(self, engine: Any, access: int, address: int, size: int, value: int, user: Any) -> bool:
        self.timeline.cycles = self._end - self._shared.cycles_left
        taken = super()._on_guarded_store(engine, access, address, size, value, user)
        if taken and int.from_bytes(self._raw_stores[-1][2], "little") != value & ((1 << 8 * size) - 1):
            # What the engine stores is not what the memory made of it: put right before the next instruction.
            self._shared.attention = 1
        return taken

    def _reader(self, peripheral: Peripheral, shift: int, mapped_at: int) -> Callable[[Any, int, int, Any], int]:
        shared, timeline, read_register = self._shared, self.timeline, peripheral.read

        def read(_engine: Any, offset: int, size: int, _user: Any) -> int:
            left = shared.cycles_left - ACCESS_CYCLES
            shared.cycles_left = left
            timeline.cycles = self._end - left
            if self._raw_stores:
                self._settle_stores()
            try:
                value = read_register(offset + shift, size) & _MASKS[size]
            except BusFaultError as refused:
                self._refuse(refused)
                return 0
            if self.trace is not None:
                self.trace("R", mapped_at + offset, size, value, shared.address, timeline.cycles)
            return value

        return read

    def _writer(self, peripheral: Peripheral, shift: int, mapped_at: int) -> Callable[[Any, int, int, int, Any], None]:
        shared, timeline, write_register = self._shared, self.timeline, peripheral.write

        def write(_engine: Any, offset: int, size: int, value: int, _user: Any) -> None:
            left = shared.cycles_left - ACCESS_CYCLES
            shared.cycles_left = left
            timeline.cycles = self._end - left
            if self._raw_stores:
                self._settle_stores()
            value &= _MASKS[size]
            if self.trace is not None:
                self.trace("W", mapped_at + offset, size, value, shared.address, timeline.cycles)
            try:
                write_register(offset + shift, size, value)
            except BusFaultError as refused:
                self._refuse(refused)

        return write

    def _refuse(self, refused: BusFaultError) -> None:
        self._bus_fault = (refused.address, self._shared.address)
        self._shared.attention = 1


def _fault_of_access(accessed: int, kind: int, address: int) -> Fault:
    if kind != unicorn.UC_MEM_FETCH_UNMAPPED:
        return Fault(Cause.PRECISERR, address, accessed)
    never = any(accessed in region for region in _NEVER_EXECUTED)
    return Fault(Cause.IACCVIOL if never else Cause.IBUSERR, accessed)
