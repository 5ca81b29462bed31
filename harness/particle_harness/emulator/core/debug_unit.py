"""A debugger's hold on a core that runs firmware: halt, step, breakpoints, vector catch on :class:`Processor`."""

from __future__ import annotations

from particle_harness.emulator.core.faults import CoreFault
from particle_harness.emulator.core.processor import Processor
from particle_harness.swd.debug_unit import C_DEBUGEN, C_MASKINTS, DFSR_BKPT, DFSR_HALTED, DFSR_VCATCH, DebugUnit

_POLLED_CYCLES = 100_000
_ACCESS_CYCLES = 4_000
"""How long a core runs while a debugger looks at it."""
_VECTOR_CATCH = 0x7F0
"""DEMCR: VC_MMERR to VC_HARDERR."""


class ProcessorDebug(DebugUnit):
    """Debug registers of ``processor``, whose bus must not be mapped yet. A core that nobody else runs goes on for a
    moment at each access of the debugger, as long as :attr:`runs_with_debugger` is set."""

    def __init__(self, processor: Processor) -> None:
        super().__init__(processor.bus, processor.cortex, processor)
        self._processor = processor
        self.runs_with_debugger = True
        processor.control_space.debug = self
        processor.on_breakpoint = self._on_breakpoint
        processor.unit.on_fault.append(self._on_fault)
        processor.on_reset = self._on_reset

    @property
    def is_locked_up(self) -> bool:
        """S_LOCKUP."""
        return self._processor.locked_up

    @property
    def is_sleeping(self) -> bool:
        """S_SLEEP."""
        return self._processor.sleeping

    def power_on(self) -> None:
        """Power was off: debug registers are lost, and nobody holds the core."""
        self._lose_debug_registers()
        self._was_reset = True
        self._let_go()

    def reset(self) -> None:
        """As AIRCR.SYSRESETREQ does."""
        self._processor.request_reset()

    def catch_up(self, *, polled: bool) -> None:
        """Let the core run, and time pass, as long as an access takes."""
        processor = self._processor
        if self.runs_with_debugger and not processor.running:
            processor.run(processor.timeline.cycles + (_POLLED_CYCLES if polled else _ACCESS_CYCLES))

    def step(self) -> None:
        """One instruction, then halt."""
        self._processor.exceptions.interrupts_masked = bool(self.dhcsr & C_MASKINTS)
        self._let_go()
        self._processor.step()
        self._halt(DFSR_HALTED)

    def set_breakpoints(self, addresses: set[int]) -> None:
        """Halt before the instructions at these addresses."""
        self._processor.native.set_breakpoints(addresses)

    def _halt(self, reason: int) -> None:
        self.halted = self._processor.halted = True
        self._processor.wake()
        self._processor.unit.locked_up = False
        self._processor.attend()
        self._dfsr |= reason

    def _resume(self) -> None:
        self._processor.exceptions.interrupts_masked = bool(self.dhcsr & C_MASKINTS)
        self._let_go()

    def _let_go(self) -> None:
        self.halted = self._processor.halted = False
        self._processor.pass_breakpoint()

    def _on_breakpoint(self) -> bool:
        if not self.dhcsr & C_DEBUGEN:
            return False
        self._halt(DFSR_BKPT)
        return True

    def _on_fault(self, _fault: CoreFault, _number: int) -> None:
        if self.dhcsr & C_DEBUGEN and self._demcr & _VECTOR_CATCH:
            self._halt(DFSR_VCATCH)

    def _on_reset(self) -> None:
        self._was_reset = True
        self._let_go()
        if self._catches_reset:
            self._halt(DFSR_VCATCH)
