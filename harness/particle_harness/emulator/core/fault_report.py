"""A fault of the firmware in words: what happened, where, and what led there."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from particle_harness.emulator.core.code_map import CodeMap
from particle_harness.emulator.core.exceptions import name_of
from particle_harness.emulator.core.faults import CoreFault
from particle_harness.emulator.core.native_core import BusAccess
from particle_harness.emulator.peripherals.register_names import register_name
from particle_harness.swd.bus import BusFaultError

if TYPE_CHECKING:
    from particle_harness.emulator.core.processor import Processor

_KEPT = 8
_STACK_WORDS = 32
_SHOWN_BRANCHES, _SHOWN_ACCESSES = 12, 12
_NAMES = ("r0", "r1", "r2", "r3", "r4", "r5", "r6", "r7", "r8", "r9", "r10", "r11", "r12", "sp", "lr", "pc")


@dataclass(frozen=True, slots=True)
class FaultReport:
    """``handler``: the exception that handles it; ``active``: what ran, innermost last; ``registers``: r0 to pc, xPSR
    as the fault found them; ``stack``: words from the stack pointer up, as far as there is memory; addresses of
    ``code`` that look like return addresses stand there, too. ``times``: how often it has happened with the same
    registers; all else is of the first time."""

    fault: CoreFault
    handler: int
    active: tuple[int, ...]
    cycle: int
    registers: tuple[int, ...]
    status_words: tuple[str, ...]
    stack: tuple[int, ...]
    branches: tuple[str, ...]
    accesses: tuple[str, ...]
    place: str
    callers: tuple[str, ...]
    locked_up: bool = False
    times: int = 1

    def __str__(self) -> str:
        lines = [f"{name_of(self.handler)}: {self.fault.cause.meaning}"]
        if self.fault.address is not None:
            lines[0] += f", 0x{self.fault.address:08X}"
        ran = " in ".join(name_of(number) for number in reversed(self.active)) or "Thread mode"
        again = f", and {self.times - 1} times since" if self.times > 1 else ""
        lines.append(f"  at {self.place}, in {ran}, cycle {self.cycle}{again}")
        lines.append(f"  {', '.join(self.status_words)}" + ("; the core has locked up" if self.locked_up else ""))
        for first in range(0, len(_NAMES), 4):
            row = zip(_NAMES[first : first + 4], self.registers[first : first + 4], strict=True)
            lines.append("  " + "  ".join(f"{name:>3} 0x{value:08X}" for name, value in row))
        lines.append(f"  xPSR 0x{self.registers[16]:08X}")
        lines += _section(
            "stack", [" ".join(f"{word:08X}" for word in self.stack[n : n + 8]) for n in _rows(self.stack)]
        )
        lines += _section("return addresses on the stack", list(self.callers))
        lines += _section("last jumps, the newest last", list(self.branches))
        lines += _section("last register accesses, the newest last", list(self.accesses))
        return "\n".join(lines)


def _rows(words: tuple[int, ...]) -> range:
    return range(0, len(words), 8)


def _section(title: str, lines: list[str]) -> list[str]:
    return [f"  {title}:", *(f"    {line}" for line in lines)] if lines else []


class FaultRecorder:
    """Keeps the last reports of a core."""

    def __init__(self, processor: Processor) -> None:
        self.reports: deque[FaultReport] = deque(maxlen=_KEPT)
        self._processor = processor
        processor.unit.on_fault.append(self._record)

    def _record(self, fault: CoreFault, handler: int) -> None:
        processor = self._processor
        native, unit = processor.native, processor.unit
        active = tuple(processor.exceptions.active)
        registers = tuple(processor.register(number) for number in range(17))
        for n, report in enumerate(self.reports):
            # A chip that starts again and again, with the same end, would spend its time with reports.
            if (report.fault, report.handler, report.active, report.registers) == (fault, handler, active, registers):
                self.reports[n] = replace(report, times=report.times + 1)
                return
        code = CodeMap(processor.bus)
        stack = self._stack(registers[13])
        self.reports.append(
            FaultReport(
                fault,
                handler,
                active,
                processor.timeline.cycles,
                registers,
                tuple(unit.status.words()),
                stack,
                tuple(code.describe(address) for address in native.last_branches()[-_SHOWN_BRANCHES:]),
                tuple(self._access(access, code) for access in native.last_accesses()[-_SHOWN_ACCESSES:]),
                code.describe(fault.return_address),
                tuple(code.describe(word - 1) for word in stack if word & 1 and code.is_code(word)),
                not unit.exceptions.preempts(handler, unit.priority()),
            )
        )

    def _stack(self, stack_pointer: int) -> tuple[int, ...]:
        words: list[int] = []
        for address in range(stack_pointer & ~3, (stack_pointer & ~3) + 4 * _STACK_WORDS, 4):
            try:
                words.append(int.from_bytes(self._processor.bus.look(address, 4), "little"))
            except BusFaultError:
                break
        return tuple(words)

    def _access(self, access: BusAccess, code: CodeMap) -> str:
        name = register_name(self._processor.bus, access.address)
        direction = "W" if access.is_write else "R"
        return f"{direction} {name} 0x{access.value:08X} at {code.describe(access.by)}"
