"""A core that runs a routine out of an image by itself, and tells what it has loaded and stored."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import unicorn
from unicorn import arm_const as arm

from particle_harness.emulator.chip import ChecksumUnits
from particle_harness.swd.bus import PAGE_SIZE_BYTES, Peripheral

DATA = 0x20000000
"""Where the bytes lie that a routine is given."""
_RAM_SIZE_BYTES, _FRAME_BYTES = 0x8000, 0x100
_STACK, _BACK = DATA + 0x4000, 0x10000000
_STEPS_PER_BYTE, _STEPS = 32, 400
_SAVED = tuple(arm.UC_ARM_REG_R4 + n for n in range(8))


@dataclass(slots=True)
class Call:
    """``loads``: address of the instruction, and address and size in bytes of what it loaded, in this order.
    ``is_clean``: it came back with saved registers as they were, and stored only in its frame and the units."""

    result: int = 0
    steps: int = 0
    loads: list[tuple[int, int, int]] = field(default_factory=list)
    is_clean: bool = True


class RoutineBench:
    """The image ``data`` from ``base_address`` on, some RAM and new ``units``."""

    def __init__(self, data: bytes, base_address: int, units: ChecksumUnits) -> None:
        self.code = range(base_address, base_address + len(data))
        self._units = [range(address, address + PAGE_SIZE_BYTES) for address in units]
        self._uc: Any = unicorn.Uc(unicorn.UC_ARCH_ARM, unicorn.UC_MODE_THUMB | unicorn.UC_MODE_MCLASS)
        self._uc.ctl_set_cpu_model(arm.UC_CPU_ARM_CORTEX_M4)
        size_bytes = -(-len(data) // PAGE_SIZE_BYTES) * PAGE_SIZE_BYTES
        self._uc.mem_map(base_address, size_bytes, unicorn.UC_PROT_READ | unicorn.UC_PROT_EXEC)
        self._uc.mem_write(base_address, data)
        self._uc.mem_map(DATA, _RAM_SIZE_BYTES)
        self._uc.mem_map(_BACK, PAGE_SIZE_BYTES)
        for address, unit in units.items():
            self._map(address, unit())
        self._uc.hook_add(unicorn.UC_HOOK_CODE, self._on_step)
        self._uc.hook_add(unicorn.UC_HOOK_MEM_READ, self._on_load)
        self._uc.hook_add(unicorn.UC_HOOK_MEM_WRITE, self._on_store)
        self._new = self._uc.context_save()
        self._at = 0
        self._call = Call()

    def call(self, entry: int, data: bytes) -> Call:
        """What the code at ``entry`` does with address and size of ``data`` and 0 as its arguments."""
        self._call = Call()
        write, read = self._uc.reg_write, self._uc.reg_read
        # What an entry that was none has left, such as a block of conditional instructions.
        self._uc.context_restore(self._new)
        self._uc.mem_write(DATA, data)
        for number, register in enumerate(_SAVED):
            write(register, number)
        write(arm.UC_ARM_REG_SP, _STACK)
        write(arm.UC_ARM_REG_LR, _BACK | 1)
        for register, value in ((arm.UC_ARM_REG_R0, DATA), (arm.UC_ARM_REG_R1, len(data)), (arm.UC_ARM_REG_R2, 0)):
            write(register, value)
        try:
            self._uc.emu_start(entry | 1, _BACK, count=_STEPS + _STEPS_PER_BYTE * len(data))
            back = read(arm.UC_ARM_REG_PC) & ~1 == _BACK and read(arm.UC_ARM_REG_SP) == _STACK
            self._call.is_clean &= back and all(read(register) == number for number, register in enumerate(_SAVED))
        except unicorn.UcError:
            self._call.is_clean = False
        self._call.result = read(arm.UC_ARM_REG_R0) & 0xFFFFFFFF
        return self._call

    def _map(self, address: int, unit: Peripheral) -> None:
        def reads(_uc: Any, offset: int, size_bytes: int, _user: object) -> int:
            return unit.read(offset, size_bytes)

        def writes(_uc: Any, offset: int, size_bytes: int, value: int, _user: object) -> None:
            unit.write(offset, size_bytes, value)

        self._uc.mmio_map(address, PAGE_SIZE_BYTES, reads, None, writes, None)

    def _on_step(self, _uc: Any, address: int, _size_bytes: int, _user: object) -> None:
        self._at = address
        self._call.steps += 1

    def _on_load(self, _uc: Any, _kind: int, address: int, size_bytes: int, _value: int, _user: object) -> None:
        self._call.loads.append((self._at, address, size_bytes))

    def _on_store(self, _uc: Any, _kind: int, address: int, size_bytes: int, _value: int, _user: object) -> None:
        framed = address >= _STACK - _FRAME_BYTES and address + size_bytes <= _STACK
        self._call.is_clean &= framed or any(address in page for page in self._units)
