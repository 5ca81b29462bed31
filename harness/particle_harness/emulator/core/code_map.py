"""Which module of firmware an address belongs to, by the module headers that lie in flash."""

from __future__ import annotations

from dataclasses import dataclass

from particle_dev.catalog.modules import ModuleFunction
from particle_harness.module_reader import NRF52840_MCU, STM32F2_MCU, read_prefix
from particle_harness.swd.bus import Bus, BusFaultError, Memory

_CODE = {ModuleFunction.BOOTLOADER, ModuleFunction.MONO_FIRMWARE, ModuleFunction.SYSTEM_PART, ModuleFunction.USER_PART}
_STEP_BYTES = 0x1000
_SOFTDEVICE_INFO, _SOFTDEVICE_MAGIC = 0x3004, bytes.fromhex("dbe5b151")
"""Source: Nordic nRF5 SDK, nrf_sdm.h SD_MAGIC_NUMBER_ABSOLUTE_OFFSET_GET; its module header is dropped on the way to
flash."""


@dataclass(frozen=True, slots=True)
class CodeModule:
    """Code from ``start_address`` to before ``end_address``."""

    name: str
    start_address: int
    end_address: int


class CodeMap:
    """What lies in the flash of ``bus`` now."""

    def __init__(self, bus: Bus) -> None:
        self._bus = bus
        self.modules: list[CodeModule] = []
        for memory in bus.memories:
            if memory.store is not None and memory.size_bytes > _STEP_BYTES:
                self._scan(memory)

    def describe(self, address: int) -> str:
        """The address, and the module around it as far as one is known."""
        for module in self.modules:
            if module.start_address <= address < module.end_address:
                return f"0x{address:08X} ({module.name} + 0x{address - module.start_address:X})"
        return f"0x{address:08X}" + (" (RAM)" if 0x20000000 <= address < 0x40000000 else "")

    def is_code(self, address: int) -> bool:
        """Whether a module is there."""
        return any(module.start_address <= address < module.end_address for module in self.modules)

    def _scan(self, memory: Memory) -> None:
        if memory.start_address == 0 and self._read(_SOFTDEVICE_INFO, 4) == _SOFTDEVICE_MAGIC:
            self.modules.append(CodeModule("SoftDevice", 0x1000, self._softdevice_end()))
        for address in range(memory.start_address, memory.start_address + memory.size_bytes, _STEP_BYTES):
            for mcu in (NRF52840_MCU, STM32F2_MCU):
                prefix = read_prefix(self._read, address, mcu)
                if prefix is None or prefix.start_address != address or prefix.function not in _CODE:
                    continue
                if address < prefix.end_address <= memory.start_address + memory.size_bytes:
                    part = f" {prefix.index}" if prefix.index else ""
                    name = f"{ModuleFunction(prefix.function).label}{part}, version {prefix.version}"
                    self.modules.append(CodeModule(name, address, prefix.end_address))
                    break

    def _softdevice_end(self) -> int:
        return int.from_bytes(self._read(0x3008, 4), "little")

    def _read(self, address: int, size_bytes: int) -> bytes:
        try:
            return self._bus.look(address, size_bytes)
        except BusFaultError as error:
            raise IndexError(address) from error
