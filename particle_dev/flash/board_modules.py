"""Modules as values: those of a file to be flashed, and those on a board. Nothing is read here."""

from __future__ import annotations

from dataclasses import dataclass

from particle_dev.catalog.device_os import releases_by_system_version
from particle_dev.catalog.modules import ModuleFunction, ModuleStore, ModuleValidity
from particle_dev.catalog.platforms import Platform
from particle_dev.flash.releases import release_for_layout
from particle_dev.protocol.messages import InstalledModule
from particle_dev.protocol.module import Module

NO_ASSETS_IN_DFU = "a board in DFU mode cannot be asked for it"
"""Why the asset storage of a board is not known."""
_NEEDS_FAILED = ModuleValidity.DEPENDENCIES | ModuleValidity.DEPENDENCIES_FULL


def module_title(function: int, index: int, version: int | None = None) -> str:
    """``system part 1 v2101``; the number alone for a function without a name."""
    known = function in ModuleFunction._value2member_map_
    label = ModuleFunction(function).label if known else f"function {function}"
    return f"{label} {index}" + ("" if version is None else f" v{version}")


@dataclass(frozen=True, slots=True)
class Need:
    """Another module that must be there with at least ``version``: one of a module's two dependencies."""

    function: int
    index: int
    version: int

    @property
    def title(self) -> str:
        """``bootloader 0 v1005``."""
        return module_title(self.function, self.index, self.version)


@dataclass(frozen=True, slots=True)
class Part:
    """A module as far as it matters to other modules and to a boot.

    ``name`` says where it is from (``app.bin``, ``on the board``). ``start_address`` is None where nobody knows it.
    ``intact``: prefix, range, platform and CRC are right; whether its needs are met is no part of that.
    """

    name: str
    platform_id: int
    function: int
    index: int
    version: int
    needs: tuple[Need, ...] = ()
    start_address: int | None = None
    size_bytes: int = 0
    intact: bool = True

    @property
    def key(self) -> tuple[int, int]:
        """Function and index: a board has one module of each."""
        return self.function, self.index

    @property
    def title(self) -> str:
        """``system part 1 v2101 (boron-system-part1@2.1.0.bin)``."""
        return f"{module_title(*self.key, self.version)} ({self.name})"

    @property
    def end_address(self) -> int | None:
        """Address behind its last byte, None when the start is not known."""
        return None if self.start_address is None else self.start_address + self.size_bytes


@dataclass(frozen=True, slots=True)
class ModuleFile:
    """A parsed module with where it came from; ``sha256`` is of the file."""

    module: Module
    sha256: str
    file_name: str

    @property
    def title(self) -> str:
        """``system part 1 v2101 (boron-system-part1@2.1.0.bin)``."""
        return f"{module_title(self.module.function, self.module.index, self.module.version)} ({self.file_name})"

    @property
    def part(self) -> Part:
        """The module without its bytes."""
        m = self.module
        return Part(
            self.file_name,
            m.platform_id,
            m.function,
            m.index,
            m.version,
            tuple(Need(*d) for d in m.dependencies),
            m.start_address,
            m.size_bytes,
        )


@dataclass(frozen=True, slots=True)
class Inventory:
    """Modules on one board. ``read_over`` says by which link they were read."""

    device_id: str
    platform: Platform
    read_over: str
    modules: tuple[InstalledModule, ...]

    def find(self, function: int, index: int) -> InstalledModule | None:
        """The module in the main store with that function and index."""
        return next(
            (m for m in self.modules if (m.function, m.index, m.store) == (function, index, ModuleStore.MAIN)),
            None,
        )

    @property
    def device_os(self) -> str | None:
        """The Device OS release of the system part, None when there is no valid one or its version is unknown."""
        part = next((m for m in self.modules if m.function == ModuleFunction.SYSTEM_PART and m.valid), None)
        releases = releases_by_system_version(part.version) if part else ()
        return releases[-1].name if releases else None

    @property
    def parts(self) -> tuple[Part, ...]:
        """The modules in the main store; each at the start of the slot that it has in the Device OS of the board."""
        main = [m for m in self.modules if m.store == ModuleStore.MAIN]
        system = next((m for m in main if m.function == ModuleFunction.SYSTEM_PART), None)
        device_os = release_for_layout(system.version) if system else None
        parts = []
        for m in main:
            slot = self.platform.slot_for(m.function, m.index, device_os)
            parts.append(
                Part(
                    "on the board",
                    self.platform.id,
                    m.function,
                    m.index,
                    m.version,
                    tuple(Need(*d) for d in m.dependencies),
                    slot.start_address if slot else None,
                    m.size_bytes,
                    intact=not m.failed & ~_NEEDS_FAILED,
                )
            )
        return tuple(parts)
