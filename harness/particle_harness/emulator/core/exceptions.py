"""The nested vectored interrupt controller as a model of priorities: what is pending, active, enabled, and what comes
next. It knows no registers and no code.

Source: Armv7-M Architecture Reference Manual, B1.5 (exception model), B3.4 (NVIC).
"""

from __future__ import annotations

from typing import Any

from particle_harness.emulator.core.interrupt_line import InterruptLine

NMI, HARD_FAULT, MEM_MANAGE, BUS_FAULT, USAGE_FAULT, SV_CALL, DEBUG_MONITOR, PEND_SV, SYS_TICK = (
    2, 3, 4, 5, 6, 11, 12, 14, 15,
)  # fmt: skip
FIRST_EXTERNAL = 16
NAMES = {
    0: "Thread", 1: "Reset", NMI: "NMI", HARD_FAULT: "HardFault", MEM_MANAGE: "MemManage", BUS_FAULT: "BusFault",
    USAGE_FAULT: "UsageFault", SV_CALL: "SVCall", DEBUG_MONITOR: "DebugMonitor", PEND_SV: "PendSV", SYS_TICK: "SysTick",
}  # fmt: skip
_FIXED_PRIORITIES = {1: -3, NMI: -2, HARD_FAULT: -1}
THREAD_PRIORITY = 256
"""Of code that no exception and no mask protects."""


def name_of(number: int) -> str:
    """What the architecture calls an exception number; external interrupts by their own number."""
    return f"IRQ {number - FIRST_EXTERNAL}" if number >= FIRST_EXTERNAL else NAMES.get(number, f"exception {number}")


class Exceptions:
    """State of the exception model. ``priority_bits``: how many the chip implements, from the top of a byte;
    ``external``: how many interrupts it has.

    ``event`` is the event register of WFE. ``faults_enabled`` holds those of MemManage, BusFault and UsageFault that
    SHCSR enables; the others are always enabled.
    """

    def __init__(self, priority_bits: int, external: int) -> None:
        self.priority_mask = 0xFF << 8 - priority_bits & 0xFF
        self.external = external
        self.interrupts_masked = False
        """A debugger keeps PendSV, SysTick and external interrupts away (C_MASKINTS)."""
        self.lines = [InterruptLine(number, self._on_rise) for number in range(external)]
        self.reset()

    def reset(self) -> None:
        """As after a reset. Lines stay as peripherals pull them."""
        self.pending: set[int] = {FIRST_EXTERNAL + line.number for line in self.lines if line.level}
        self.active: list[int] = []
        """In the order in which they were entered; the last one runs."""
        self.enabled: set[int] = set()
        """External ones, by exception number."""
        self.faults_enabled: set[int] = set()
        self.priorities: dict[int, int] = {}
        self.priority_grouping = 0
        self.event = False
        self.send_event_on_pend = False

    def saved_state(self) -> dict[str, object]:
        """For a snapshot."""
        state = {name: value for name, value in vars(self).items() if name != "lines"}
        return state | {"levels": [line.level for line in self.lines]}

    def load_state(self, state: dict[str, Any]) -> None:
        """From a snapshot."""
        for line, level in zip(self.lines, state["levels"], strict=True):
            line.level = level
        vars(self).update({name: value for name, value in state.items() if name != "levels"})

    # ---- pending ----------------------------------------------------------------------------------------------------

    def _on_rise(self, number: int) -> None:
        self.pend(FIRST_EXTERNAL + number)

    def pend(self, number: int) -> None:
        """The exception wants to be taken."""
        if number not in self.pending:
            self.pending.add(number)
            self.event = self.event or self.send_event_on_pend

    def unpend(self, number: int) -> None:
        """It does no longer, unless its line is still high."""
        if not self._line_is_high(number):
            self.pending.discard(number)

    def exists(self, number: int) -> bool:
        """Whether the chip has an exception of this number."""
        return number < FIRST_EXTERNAL + self.external

    def _line_is_high(self, number: int) -> bool:
        external = number - FIRST_EXTERNAL
        return 0 <= external < self.external and self.lines[external].level

    # ---- priorities -------------------------------------------------------------------------------------------------

    def priority(self, number: int) -> int:
        """Smaller is more urgent."""
        return _FIXED_PRIORITIES.get(number) or self.priorities.get(number, 0)

    def set_priority(self, number: int, value: int) -> None:
        """By an exception number; bits that the chip lacks read as 0."""
        self.priorities[number] = value & self.priority_mask

    def group_priority(self, priority: int) -> int:
        """The part of a priority that decides about preemption."""
        return priority if priority < 0 else priority & ~((2 << self.priority_grouping) - 1)

    def execution_priority(self, *, primask: bool = False, basepri: int = 0, faultmask: bool = False) -> int:
        """Of what runs now, raised by the masks."""
        now = min((self.group_priority(self.priority(number)) for number in self.active), default=THREAD_PRIORITY)
        if base := basepri & self.priority_mask:
            now = min(now, self.group_priority(base))
        if primask:
            now = min(now, 0)
        if faultmask:
            now = min(now, -1)
        return now

    def is_enabled(self, number: int) -> bool:
        """Whether it would be taken if its priority allowed."""
        if number >= FIRST_EXTERNAL:
            return number in self.enabled
        return number not in (MEM_MANAGE, BUS_FAULT, USAGE_FAULT) or number in self.faults_enabled

    def candidate(self) -> int | None:
        """The pending and enabled exception that comes first: by priority, then by number."""
        best, best_key = None, (THREAD_PRIORITY, 0)
        for number in self.pending:
            if self.interrupts_masked and number >= PEND_SV:
                continue
            if self.is_enabled(number) and (key := (self.priority(number), number)) < best_key:
                best, best_key = number, key
        return best

    def preempts(self, number: int, execution_priority: int) -> bool:
        """Whether an exception interrupts what runs at that priority."""
        return self.group_priority(self.priority(number)) < execution_priority

    # ---- entry and return -------------------------------------------------------------------------------------------

    def enter(self, number: int) -> None:
        """It is taken."""
        self.pending.discard(number)
        self.active.append(number)
        self.event = True

    def leave(self, number: int) -> None:
        """Its handler returned; with its line still high it is pending again."""
        self.active.remove(number)
        self.event = True
        if self._line_is_high(number):
            self.pend(number)
