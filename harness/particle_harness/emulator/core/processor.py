"""A Cortex-M core that runs firmware: Unicorn executes, the exception model decides what, virtual time says when.

Each instruction takes one cycle unless somebody says otherwise, and each access to a register of a peripheral
:data:`ACCESS_CYCLES` more. Exact timing is not the aim; that the same firmware and the same inputs give the same cycles
is.

What is not modelled: regions of the MPU, the local exclusive monitor at exception entry (STREX after an interrupt
succeeds if the word is unchanged), UNALIGN_TRP and DIV_0_TRP, LDM and LDRD at unaligned addresses (they succeed).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import ClassVar

import unicorn

from particle_harness.emulator.core.cycle_counter import CYCLE_COUNT, DATA_WATCHPOINT_AND_TRACE, CycleCounter
from particle_harness.emulator.core.exception_unit import THUMB, ExceptionUnit
from particle_harness.emulator.core.exceptions import FIRST_EXTERNAL, SYS_TICK, Exceptions
from particle_harness.emulator.core.fault_report import FaultRecorder
from particle_harness.emulator.core.faults import Cause, CoreFault, fault_of_access
from particle_harness.emulator.core.interrupt_line import InterruptLine
from particle_harness.emulator.core.native_core import (
    ASKED,
    BREAKPOINT,
    FLOATING_POINT,
    WATCH_BREAKPOINTS,
    WATCH_FLOATING_POINT,
    WATCH_UNMASK,
    NativeCore,
)
from particle_harness.emulator.core.peripheral_door import PeripheralDoor, Trace
from particle_harness.emulator.core.system_control import SYSTEM_CONTROL_SPACE, SystemControlSpace
from particle_harness.emulator.core.systick import SysTick
from particle_harness.emulator.core.timeline import Timeline
from particle_harness.emulator.core.waits import SEV, Sleep, code_at, wait_instruction
from particle_harness.swd.bus import Bus, Peripheral
from particle_harness.swd.engine import Engine

ACCESS_CYCLES = 8
MOST_INTERRUPTS = 240
_SLICE_CYCLES = 200_000
"""Longest run without a look at Python's signals."""
_SVC, _PREFETCH_ABORT, _DATA_ABORT, _BKPT, _EXCEPTION_EXIT, _NOCP, _INVSTATE = 2, 3, 4, 7, 8, 17, 18
"""Numbers of Unicorn's interrupt hook. Source: unicorn 2.1 qemu/target/arm/cpu.h."""
_NONE = -1


class Processor(Engine):
    """One core on ``bus``, which must be complete when :meth:`map_bus` is called. ``cortex`` is 3 or 4,
    ``priority_bits`` how many bits of priority the chip has, ``interrupts`` how many external interrupts.

    ``halted``: a debugger holds it; time goes on. ``stop_requested`` ends :meth:`run` before the next instruction and
    stays set until somebody clears it. Hooks: ``on_reset_request`` (AIRCR; without one the core alone is reset),
    ``on_reset`` (after each reset of the core), ``on_lockup``, ``on_breakpoint`` (BKPT, or the address of a breakpoint;
    gives whether a debugger takes it), ``trace``; ``unit.on_fault``.
    """

    unsaved: ClassVar[frozenset[str]] = frozenset(
        {"_uc", "_shared", "trace", "_running", "_raised", "raw_stores", "faults"}
    )
    """No part of a snapshot."""

    def __init__(
        self, bus: Bus, cortex: int, timeline: Timeline, priority_bits: int, interrupts: int = MOST_INTERRUPTS
    ) -> None:
        super().__init__(bus, cortex)
        self.bus = bus
        self.cortex = cortex
        self.timeline = timeline
        self.native = NativeCore(self._uc, self, ACCESS_CYCLES, CYCLE_COUNT)
        self._shared = self.native.shared
        self.exceptions = Exceptions(priority_bits, interrupts)
        self.unit = ExceptionUnit(self.native, bus, self.exceptions, has_fpu=cortex == 4)
        self.faults = FaultRecorder(self)
        """What went wrong in the firmware."""
        self.systick = SysTick(timeline, self._on_systick)
        self.sleep_on_exit = self.floating_point_on = False
        self.halted = self.stop_requested = False
        self.on_reset_request: Callable[[], None] | None = None
        self.on_reset: Callable[[], None] | None = None
        self.on_lockup: Callable[[], None] | None = None
        self.on_breakpoint: Callable[[], bool] | None = None
        self.trace: Trace | None = None
        self.end = 0
        """Cycle at which the present slice is over."""
        self._running = False
        self._sleep: Sleep | None = None
        self._reset_wanted = False
        self._refused: tuple[int, int] | None = None
        self._raised: BaseException | None = None
        self.control_space = SystemControlSpace(self)
        self.cycle_counter = CycleCounter(timeline)
        self.cycle_counter.on_change = self._tell_clock
        bus.add_peripheral(SYSTEM_CONTROL_SPACE, self.control_space)
        bus.add_peripheral(DATA_WATCHPOINT_AND_TRACE, self.cycle_counter)
        bus.code_ran_in = self.native.code_ran_in
        timeline.on_nearer = self._on_nearer
        for line in self.exceptions.lines:
            line.on_rise = self._on_rise

    def map_bus(self) -> None:
        """Make everything on the bus visible to the code. Once, when the bus is complete."""
        super().map_bus()
        for memory in self.bus.memories:
            self.native.add_memory(memory)

    def interrupt_line(self, number: int) -> InterruptLine:
        """Line of an external interrupt, counted from 0."""
        return self.exceptions.lines[number]

    def set_register(self, number: int, value: int) -> None:
        """Set a register by its number in DCRSR."""
        super().set_register(number, value)
        self.native.sample()

    # ---- resets -----------------------------------------------------------------------------------------------------

    def reset(self) -> None:
        """The core starts anew, with the vector table at address 0; peripherals and time are not touched."""
        self.unit.reset()
        self.systick.reset()
        self.control_space.reset()
        self.sleep_on_exit = self.floating_point_on = False
        self._sleep = None
        self._reset_wanted = False
        self._refused = None
        stack_pointer, entry = self.bus.read_word(0), self.bus.read_word(4)
        self.reset_registers(stack_pointer, entry)
        self.native.sample()
        self.unit.thumb = bool(entry & 1)
        if self.on_reset is not None:
            self.on_reset()

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
        self._shared.attention = ASKED

    def reconsider(self) -> None:
        """Registers that decide about exceptions have changed."""
        if self.exceptions.pending:
            self._shared.attention = ASKED

    def pend(self, number: int) -> None:
        """An exception wants to be taken, by its exception number."""
        if number not in self.exceptions.pending:
            self.exceptions.pend(number)
            self._shared.attention = ASKED

    def _on_rise(self, number: int) -> None:
        self.pend(FIRST_EXTERNAL + number)

    def _on_systick(self) -> None:
        self.pend(SYS_TICK)

    def _on_nearer(self, cycle: int) -> None:
        if self._running and cycle < self.end:
            self._shared.cycles_left -= self.end - cycle
            self.end = cycle
            self._tell_clock()

    def _tell_clock(self) -> None:
        """The native core answers reads of the cycle counter, which waiting firmware reads without pause."""
        self._shared.clock_runs = self.cycle_counter.runs
        self._shared.clock_at_end = self.cycle_counter.at(self.end)

    def stand_still(self, cycles: int) -> None:
        """An access takes that much longer: the core waits for it, and peripherals go on."""
        if self._running:
            self._shared.cycles_left -= cycles
        self.timeline.cycles += cycles

    # ---- running ----------------------------------------------------------------------------------------------------

    @property
    def running(self) -> bool:
        """Whether it is executing: who asks is called back from there."""
        return self._running

    @property
    def instruction_cycles(self) -> int:
        """Cycles that each instruction takes. More than one makes the core slower than its peripherals: firmware that
        waits in a loop costs less of the host's time for each second of its own."""
        return int(self._shared.instruction_cycles)

    @instruction_cycles.setter
    def instruction_cycles(self, cycles: int) -> None:
        self._shared.instruction_cycles = cycles

    @property
    def sleeping(self) -> bool:
        """Whether it waits for an interrupt or event."""
        return self._sleep is not None

    def wake(self) -> None:
        """End a sleep: what follows the instruction that began it is next."""
        self._sleep = None

    @property
    def locked_up(self) -> bool:
        """Whether a fault inside a fault handler has stopped it until the next reset."""
        return self.unit.locked_up

    def run(self, until_cycle: int) -> None:
        """Let virtual time pass: execute, sleep, have alarms called. Returns when the cycle is reached (by the
        length of an instruction later, at times), when the core has locked up, or with ``stop_requested``.

        Raises whatever a peripheral raises.
        """
        timeline = self.timeline
        while timeline.cycles < until_cycle and not self.stop_requested:
            timeline.run_due()
            if self.locked_up or self._is_stopped():
                return
            if self.halted or (self._sleep is not None and not self._wakes()):
                self._pass_time(until_cycle)
                continue
            if self.exceptions.pending and self.unit.take_pending() and self._ended_by_lockup():
                return
            next_due = timeline.next_due
            end = min(until_cycle, timeline.cycles + _SLICE_CYCLES)
            self._slice(end if next_due is None else min(end, next_due))
        timeline.run_due()

    def _is_stopped(self) -> bool:
        return self.stop_requested

    def step(self) -> None:
        """Execute one instruction."""
        self.timeline.run_due()
        if self.exceptions.pending:
            self.unit.take_pending()
        if not self.locked_up:
            self._sleep = None
            self._slice(self.timeline.cycles + 1)

    def _pass_time(self, until_cycle: int) -> None:
        next_due = self.timeline.next_due
        target = until_cycle if next_due is None else min(until_cycle, next_due)
        self.timeline.cycles = max(self.timeline.cycles, target)

    def _slice(self, end: int) -> None:
        """Execute until ``end``, or until something has to be decided."""
        shared, timeline = self._shared, self.timeline
        if not self.unit.thumb:
            self.unit.thumb = True
            self._fault(Cause.INVSTATE, shared.pc)
            return
        if self.bus.code_changed or shared.code_written:
            self._uc.ctl_flush_tb()
            self.bus.code_changed = False
            shared.code_written = 0
        self.end = end
        shared.cycles_left = end - timeline.cycles
        shared.watch = self._watched()
        shared.traced = self.trace is not None
        self._tell_clock()
        self._running = True
        try:
            self.native.run()
        finally:
            self._running = False
            timeline.cycles = self.end - shared.cycles_left
            if self.raw_stores:
                self._settle_stores()
        if self._raised is not None:
            raised, self._raised = self._raised, None
            raise raised
        self._handle(shared.pc)

    def _watched(self) -> int:
        shared = self._shared
        watch = 0 if self.floating_point_on or self.cortex != 4 else WATCH_FLOATING_POINT
        if shared.breakpoint_count:
            watch |= WATCH_BREAKPOINTS
        if self.exceptions.pending and self.unit.is_held_back_by_a_mask():
            watch |= WATCH_UNMASK
        return watch

    def _handle(self, address: int) -> None:
        """Whatever ended the slice."""
        shared, unit = self._shared, self.unit
        if shared.interrupt != _NONE:
            self._on_exception(shared.interrupt, address)
        elif shared.unmapped_kind != _NONE:
            fetched = shared.unmapped_kind == unicorn.UC_MEM_FETCH_UNMAPPED
            unit.fault(fault_of_access(shared.unmapped_address, None if fetched else address))
        elif self._refused is not None:
            (accessed, by), self._refused = self._refused, None
            self.set_register(15, by)
            unit.fault(CoreFault(Cause.PRECISERR, by, accessed))
        elif shared.error != unicorn.UC_ERR_OK:
            self._on_error(address)
        elif shared.attention == FLOATING_POINT:
            self._fault(Cause.NOCP, address)
        elif shared.attention == BREAKPOINT:
            self._reach_breakpoint()
        elif not shared.stopped:
            self._on_wait(address)
        if self._reset_wanted:
            self._do_reset()
        self._ended_by_lockup()

    def _on_exception(self, number: int, address: int) -> None:
        if number == _SVC:
            self.unit.supervisor_call(address)
        elif number == _EXCEPTION_EXIT:
            if self.unit.exception_return(address | 1) and self.sleep_on_exit:
                self._sleep = Sleep.WFI
        elif number == _BKPT:
            if not self._reach_breakpoint():
                self._fault(Cause.DEBUGEVT, address)
        elif number == _PREFETCH_ABORT:
            self.unit.fault(fault_of_access(address, None))
        else:
            causes = {_DATA_ABORT: Cause.UNALIGNED, _NOCP: Cause.NOCP, _INVSTATE: Cause.INVSTATE}
            self._fault(causes.get(number, Cause.UNDEFINSTR), address)

    def _on_error(self, address: int) -> None:
        error = self._shared.error
        if error != unicorn.UC_ERR_INSN_INVALID:
            raise unicorn.UcError(error)
        if not self._shared.xpsr & THUMB:
            self._fault(Cause.INVSTATE, address)
        elif address != self._shared.address and self._wait_behind(address) is Sleep.WFE:
            self._on_wait(address)
        else:
            self._fault(Cause.UNDEFINSTR, address)

    def _fault(self, cause: Cause, address: int) -> None:
        self.unit.fault(CoreFault(cause, address))

    def pass_breakpoint(self) -> None:
        """The next run does not stop at its first instruction."""
        self._shared.passing = self._shared.pc

    def _reach_breakpoint(self) -> bool:
        self.pass_breakpoint()
        return self.on_breakpoint is not None and self.on_breakpoint()

    def _ended_by_lockup(self) -> bool:
        if self.unit.locked_up and self.on_lockup is not None:
            self.on_lockup()
        return self.unit.locked_up

    # ---- sleep ------------------------------------------------------------------------------------------------------

    def _wait_behind(self, address: int) -> Sleep | None:
        by = self._shared.address
        return wait_instruction(code_at(self.bus, by, address - by))

    def _on_wait(self, address: int) -> None:
        kind = self._wait_behind(address)
        if kind is None:
            raise RuntimeError(f"Unicorn stopped at 0x{address:08X} for no reason that is known here")
        if kind is Sleep.WFI:
            self._sleep = Sleep.WFI
        elif self.exceptions.event or code_at(self.bus, self._shared.address - 2, 2) == SEV:
            # Unicorn takes SEV for a NOP; where it stands before the WFE, as is the custom, it is seen here.
            self.exceptions.event = False
        else:
            self._sleep = Sleep.WFE

    def _wakes(self) -> bool:
        exceptions = self.exceptions
        number = exceptions.candidate() if exceptions.pending else None
        if self._sleep is Sleep.WFE:
            awake = exceptions.event or (number is not None and exceptions.preempts(number, self.unit.priority()))
            exceptions.event = exceptions.event and not awake
        else:
            awake = number is not None and exceptions.preempts(number, self.unit.priority(primask=False))
        if awake:
            self._sleep = None
        return awake

    # ---- called back ------------------------------------------------------------------------------------------------

    def raised(self, error: BaseException) -> None:
        """A callback raised: the run ends, and raises it."""
        self._raised = self._raised or error
        self.attend()

    def refuse(self, address: int) -> None:
        """A peripheral does not answer: BusFault at the instruction that is being executed."""
        self._refused = (address, self._shared.address)
        self.attend()

    def settle(self) -> None:
        """Put right what Unicorn stored past the rules of a memory."""
        self._settle_stores()

    def store_guarded(self, address: int, data: bytes) -> bool:
        """A store into a memory with rules of its own."""
        self.timeline.cycles = self.end - self._shared.cycles_left
        stored = self._store_by_rules(address, data)
        if stored is not None and stored != data:
            # What the engine stores is not what the memory made of it: put right before the next instruction.
            self.attend()
        return stored is not None

    def _hook_guarded_stores(self) -> None:
        """The native core does."""

    def _map_peripheral(self, address: int, size_bytes: int, peripheral: Peripheral, shift: int) -> None:
        self.native.add_door(address, size_bytes, PeripheralDoor(self, peripheral, address, shift))
