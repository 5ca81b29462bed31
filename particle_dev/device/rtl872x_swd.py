"""RTL872x boards (P2, Photon 2, M-SoM, Tracker-M) behind a debug probe: looked at and held, never written.

Their flash is a serial chip that is mapped into memory while the system runs; to write it takes a program in the chip's
RAM, and the one that exists is a third party's (particle-iot/device-os scripts/rtl872x.tcl). Their Device ID lies in
fuses that are not mapped at all. So: modules by their prefixes, dumps, and both cores halted. Proven on a model of ours
with OpenOCD as it comes; not on a real board.

Source: openocd tcl/target/rtl872xd.cfg (debug port, access ports); device-os v6.2.0 build/arm/linker/rtl872x.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from particle_dev.catalog.flash_chips import RTL872X_FLASH
from particle_dev.catalog.modules import ModuleFunction
from particle_dev.catalog.platforms import ModuleSlot, Platform, platform_by_id
from particle_dev.errors import DeviceModeError, PlanRefusedError, WrongDeviceError
from particle_dev.protocol.module_prefix import PREFIX_SIZE_BYTES, ModulePrefix, read_prefix
from particle_dev.transport.openocd import OpenOcd

FAMILY = "rtl872x"
KM0, KM4 = "particle.km0", "particle.km4"
_SET_UP = (
    "swd newdap particle cpu -expected-id 0x6ba02477",
    "dap create particle.dap -chain-position particle.cpu",
    f"target create {KM0} cortex_m -endian little -dap particle.dap -ap-num 1",
    f"target create {KM4} cortex_m -endian little -dap particle.dap -ap-num 2",
)
_CPUID, _PART_SHIFT, _PART_MASK = 0xE000ED00, 4, 0xFFF
_PARTS = {KM0: 0xD20, KM4: 0xD21}
"""Cortex-M23 and M33. Source: Arm Cortex-M23 and M33 Technical Reference Manuals, CPUID."""
_HALT_TIMEOUT_MS = 2000
_PAGE_SIZE_BYTES = 4096
CANNOT_WRITE = (
    "a debug probe does not write RTL872x boards here: that takes a program in the chip's RAM, and the only one there "
    "is may not be shipped"
)
PROVES = "both cores stand: no firmware runs until a reset or power cycle"


@dataclass(frozen=True, slots=True)
class Rtl872xIdentity:
    """What a probe sees of the board. The Device ID is not among it. ``prefixes`` name modules by slot, unproven."""

    platform: Platform | None
    prefixes: tuple[tuple[ModuleSlot, ModulePrefix], ...]


class Rtl872xSession:
    """One board behind one probe. Nothing is halted before :meth:`halt`."""

    def __init__(self, openocd: OpenOcd, platform: Platform) -> None:
        self._openocd = openocd
        self._expected = platform

    def require_chip(self) -> None:
        """Raises WrongDeviceError unless the cores are those of an RTL872x; TransportError."""
        for core, part in _PARTS.items():
            found = int.from_bytes(self.read(_CPUID, 4, core=core), "little") >> _PART_SHIFT & _PART_MASK
            if found != part:
                raise WrongDeviceError(
                    f"{self._openocd.where}: core {core} is of part 0x{found:03x}, an RTL872x has 0x{part:03x}",
                    expected=FAMILY,
                    actual=f"0x{found:03x}",
                    hint="check which board the probe is on",
                )

    def read(self, address: int, size_bytes: int, *, core: str = KM4) -> bytes:
        """Memory as a core sees it. Raises TransportError."""
        return self._openocd.read(core, address, size_bytes)

    def identity(self) -> Rtl872xIdentity:
        """The modules in flash, as far as it is mapped. Raises WrongDeviceError for another chip, or for firmware of
        another platform; TransportError."""
        self.require_chip()
        found: dict[tuple[int, int], tuple[ModuleSlot, ModulePrefix]] = {}
        for slot in self._expected.module_slots:
            if slot.storage != "internal_flash" or slot.function == ModuleFunction.MONO_FIRMWARE or slot.encrypted:
                continue
            prefix = self._prefix(slot, slot.start_address) if slot.start_address is not None else self._last(slot)
            if prefix is not None and (prefix.function, prefix.index) == (slot.function, slot.index):
                found[slot.function, slot.index] = slot, prefix
        bootloader = found.get((ModuleFunction.BOOTLOADER, 0))
        platform = platform_by_id(bootloader[1].platform_id) if bootloader else None
        if platform is not None and platform.id != self._expected.id:
            where = self._openocd.where
            raise WrongDeviceError(
                f"{where}: expected {self._expected.name}, the bootloader in flash is for {platform.name}",
                expected=self._expected.name,
                actual=platform.name,
                hint="check which board the probe is on",
            )
        return Rtl872xIdentity(platform, tuple(found.values()))

    def _prefix(self, slot: ModuleSlot, start: int) -> ModulePrefix | None:
        data = self.read(start + slot.prefix_offset, PREFIX_SIZE_BYTES)
        return read_prefix(data, start_address=start, max_size_bytes=slot.max_size_bytes)

    def _last(self, slot: ModuleSlot) -> ModulePrefix | None:
        """A module that ends where its slot ends: its prefix is at the start of a page in front of that."""
        if slot.end_address is None:
            return None
        for start in range(slot.end_address - _PAGE_SIZE_BYTES, slot.end_address - slot.max_size_bytes - 1, -4096):
            prefix = self._prefix(slot, start)
            if prefix is not None and start + prefix.size_bytes == slot.end_address:
                return prefix
        return None

    def halt(self) -> str:
        """Stop both cores, and what that proves. Raises DeviceModeError when one goes on; TransportError."""
        for core in (KM4, KM0):
            self._openocd.call(f"targets {core}")
            self._openocd.call(f"halt {_HALT_TIMEOUT_MS}")
        if not self.halted:
            raise DeviceModeError("a core did not halt", expected="halted", hint="power-cycle the board")
        return PROVES

    @property
    def halted(self) -> bool:
        """Whether both cores stand."""
        # What it knows of a core is as old as its last look.
        states = [self._openocd.call(f"{core} arp_poll; {core} curstate").strip() for core in (KM0, KM4)]
        return all(state == "halted" for state in states)

    def dump(self) -> dict[int, bytes]:
        """The whole flash by its start address, as it is mapped. Raises TransportError."""
        chip = RTL872X_FLASH
        return {chip.base_address: self._openocd.read_block(KM4, chip.base_address, chip.size_bytes)}


@contextmanager
def rtl872x_session(probe_id: str, platform: Platform, *, frequency_hz: int) -> Iterator[Rtl872xSession]:
    """An open session. Raises as :class:`particle_dev.transport.openocd.OpenOcd`."""
    with OpenOcd(probe_id, _SET_UP, frequency_hz=frequency_hz) as openocd:
        yield Rtl872xSession(openocd, platform)


def refuse_to_write(platform: Platform) -> None:
    """Raises PlanRefusedError for an RTL872x board."""
    if platform.family == FAMILY:
        raise PlanRefusedError(
            f"{platform.display_name}: {CANNOT_WRITE}",
            reasons=[CANNOT_WRITE],
            hint="flash it over USB: `particle-dev flash`; a probe shows and dumps it: swd id, dump, park halted",
        )
