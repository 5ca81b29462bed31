"""Unicorn on a chip's bus: core registers, memories, stores that flash takes in its own way.

What runs on it, and when it stops, is up to the classes that extend it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import unicorn
from unicorn import arm_const as arm

from particle_harness.swd.bus import PAGE_SIZE_BYTES, Bus, Memory, Peripheral

_MODELS = {
    3: arm.UC_CPU_ARM_CORTEX_M3,
    4: arm.UC_CPU_ARM_CORTEX_M4,
    # Unicorn has no M23; what is executed of it here is a loop.
    23: arm.UC_CPU_ARM_CORTEX_M33,
    33: arm.UC_CPU_ARM_CORTEX_M33,
}
_REGISTERS = {
    **{n: arm.UC_ARM_REG_R0 + n for n in range(13)},
    **{13: arm.UC_ARM_REG_SP, 14: arm.UC_ARM_REG_LR, 15: arm.UC_ARM_REG_PC, 16: arm.UC_ARM_REG_XPSR},
    **{17: arm.UC_ARM_REG_MSP, 18: arm.UC_ARM_REG_PSP, 33: arm.UC_ARM_REG_FPSCR},
    **{64 + n: arm.UC_ARM_REG_S0 + n for n in range(32)},
}
"""Register numbers of DCRSR. Source: Armv7-M Architecture Reference Manual, C1.6.3."""
_SPECIAL = 20
_THUMB = 0x01000000
_HARD_FAULT = 3


class Engine:
    """Cortex-M registers and instructions on ``bus``. ``cortex`` is 3, 4, 23 or 33."""

    def __init__(self, bus: Bus, cortex: int) -> None:
        self._bus = bus
        self._uc: Any = unicorn.Uc(unicorn.UC_ARCH_ARM, unicorn.UC_MODE_THUMB | unicorn.UC_MODE_MCLASS)
        self._uc.ctl_set_cpu_model(_MODELS[cortex])
        self.raw_stores: list[tuple[Memory, int, bytes]] = []
        """Stores that Unicorn does, or has done, past the rules of a memory: what must be there in the end."""
        self._hook_guarded_stores()

    def _hook_guarded_stores(self) -> None:
        self._uc.hook_add(unicorn.UC_HOOK_MEM_WRITE_PROT, self._on_guarded_store)

    def map_bus(self) -> None:
        """Make everything on the bus visible to the code. Once, when the bus is complete."""
        for memory in self._bus.memories:
            writable = unicorn.UC_PROT_WRITE if memory.store is None else 0
            for start in (memory.start_address, *memory.aliases):
                self._uc.mem_map_ptr(
                    start, memory.size_bytes, unicorn.UC_PROT_READ | unicorn.UC_PROT_EXEC | writable, memory.buffer
                )
        for first, pages, start, peripheral in self._runs_of_pages():
            address = first * PAGE_SIZE_BYTES
            self._map_peripheral(address, pages * PAGE_SIZE_BYTES, peripheral, address - start)

    def _map_peripheral(self, address: int, size_bytes: int, peripheral: Peripheral, shift: int) -> None:
        reader, writer = self._reader(peripheral, shift), self._writer(peripheral, shift)
        self._uc.mmio_map(address, size_bytes, reader, None, writer, None)

    def _runs_of_pages(self) -> list[tuple[int, int, int, Peripheral]]:
        """(first page, pages, start address, peripheral) of pages in a row that belong together."""
        runs: list[tuple[int, int, int, Peripheral]] = []
        for page, (start, peripheral) in sorted(self._bus.peripherals.items(), key=lambda item: item[0]):
            if runs:
                first, pages, last_start, last = runs[-1]
                if first + pages == page and last_start == start and last is peripheral:
                    runs[-1] = (first, pages + 1, start, peripheral)
                    continue
            runs.append((page, 1, start, peripheral))
        return runs

    # ---- registers --------------------------------------------------------------------------------------------------

    def reset_registers(self, stack_pointer: int, program_counter: int) -> None:
        """Registers as after a reset with that vector table."""
        # Only privileged code may write the rest, and a handler is that.
        self._uc.reg_write(arm.UC_ARM_REG_XPSR, _THUMB | _HARD_FAULT)
        for number in range(13):
            self.set_register(number, 0)
        for register in (arm.UC_ARM_REG_PRIMASK, arm.UC_ARM_REG_BASEPRI, arm.UC_ARM_REG_FAULTMASK):
            self._uc.reg_write(register, 0)
        self._uc.reg_write(arm.UC_ARM_REG_CONTROL, 0)
        self.set_register(16, _THUMB)
        # SPSEL can only be written in Thread mode.
        self._uc.reg_write(arm.UC_ARM_REG_CONTROL, 0)
        self.set_register(14, 0xFFFFFFFF)
        self.set_register(17, stack_pointer & ~3)
        self.set_register(13, stack_pointer & ~3)
        self.set_register(15, program_counter & ~1)

    @property
    def program_counter(self) -> int:
        """Address of the next instruction."""
        return self.register(15)

    def register(self, number: int) -> int:
        """A register by its number in DCRSR; 0 for one that this core lacks."""
        read = self._uc.reg_read
        if number == _SPECIAL:
            return int(
                read(arm.UC_ARM_REG_CONTROL) << 24
                | read(arm.UC_ARM_REG_FAULTMASK) << 16
                | read(arm.UC_ARM_REG_BASEPRI) << 8
                | read(arm.UC_ARM_REG_PRIMASK)
            )
        value = int(read(_REGISTERS[number])) if number in _REGISTERS else 0
        return value & ~1 if number == 15 else value & 0xFFFFFFFF

    def set_register(self, number: int, value: int) -> None:
        """Set a register by its number in DCRSR."""
        write = self._uc.reg_write
        if number == _SPECIAL:
            write(arm.UC_ARM_REG_CONTROL, value >> 24)
            write(arm.UC_ARM_REG_FAULTMASK, value >> 16 & 1)
            write(arm.UC_ARM_REG_BASEPRI, value >> 8 & 0xFF)
            write(arm.UC_ARM_REG_PRIMASK, value & 1)
        elif number in _REGISTERS:
            # Bit 0 of the program counter selects Thumb.
            write(_REGISTERS[number], value | 1 if number == 15 else value)

    # ---- stores and registers of peripherals ------------------------------------------------------------------------

    def _on_guarded_store(self, _uc: Any, _access: int, address: int, size: int, value: int, _user: Any) -> bool:
        return self._store_by_rules(address, (value & ((1 << 8 * size) - 1)).to_bytes(size, "little")) is not None

    def _store_by_rules(self, address: int, data: bytes) -> bytes | None:
        """What is there then; None where no memory is. Unicorn goes on to store the raw value, so what the memory made
        of it is put back afterwards."""
        found = self._bus.memory_at(address)
        if found is None:
            return None
        self._settle_stores()
        memory, offset = found
        memory.write(offset, data)
        stored = bytes(memory.view[offset : offset + len(data)])
        self.raw_stores.append((memory, offset, stored))
        return stored

    def _settle_stores(self) -> None:
        while self.raw_stores:
            memory, offset, data = self.raw_stores.pop()
            memory.view[offset : offset + len(data)] = data

    def _reader(self, peripheral: Peripheral, shift: int) -> Callable[[Any, int, int, Any], int]:
        def read(_uc: Any, offset: int, size: int, _user: Any) -> int:
            self._settle_stores()
            return int(peripheral.read(offset + shift, size)) & ((1 << 8 * size) - 1)

        return read

    def _writer(self, peripheral: Peripheral, shift: int) -> Callable[[Any, int, int, int, Any], None]:
        def write(_uc: Any, offset: int, size: int, value: int, _user: Any) -> None:
            self._settle_stores()
            peripheral.write(offset + shift, size, value & ((1 << 8 * size) - 1))

        return write
