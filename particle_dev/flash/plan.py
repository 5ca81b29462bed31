"""From platform, inventory and modules to a plan, without a device.

The order makes an interruption harmless. The *parking brake* is the first sector of the system part that the
bootloader jumps to: it is erased before anything else and its first block is written last. In between every boot
ends in DFU mode, so a unit that loses power half-way cannot come up in safe mode, go online and start billing.
Source: device-os v2.1.0 bootloader/src/main.c, nRF52840/dfu_usb.c and stm32f2xx/dfu_usb.c is_application_valid.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

from particle_dev.catalog.device_os import releases_by_system_version
from particle_dev.catalog.flash_timing import FLASH_TIMING, USB_BYTES_PER_S
from particle_dev.catalog.modules import ModuleFunction
from particle_dev.catalog.platforms import ModuleSlot, Platform, platform_by_id
from particle_dev.errors import PlanRefusedError
from particle_dev.flash.inventory import Inventory
from particle_dev.flash.permissions import NOTHING, Permissions
from particle_dev.protocol.dfuse import parse_memory_layout
from particle_dev.protocol.module import Module

BLOCK_SIZE_BYTES = 4096
_DFU_FUNCTIONS = (ModuleFunction.SYSTEM_PART, ModuleFunction.USER_PART)
_OTHER_WAYS = (ModuleFunction.BOOTLOADER, ModuleFunction.RADIO_STACK, ModuleFunction.NCP_FIRMWARE)


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


@dataclass(frozen=True, slots=True)
class WriteModule:
    """Make internal flash from ``address`` on equal to the file, then prove it by reading back.

    ``commit_last``: the first block is written last, as the parking brake.
    """

    file: ModuleFile
    address: int
    size_bytes: int
    commit_last: bool


@dataclass(frozen=True, slots=True)
class InvalidateSlot:
    """Erase the first sector at ``address``, where an old application would win over the new one."""

    address: int
    reason: str


@dataclass(frozen=True, slots=True)
class FlashPlan:
    """What will happen to one board, in order: ``brake_address`` is made invalid, ``invalidate`` erased, ``writes``
    written and proven. ``leave`` resets into the application at the end; otherwise the board stays in DFU mode.

    ``satisfied`` names modules that were offered and are on the board already in a version that suffices.
    """

    device_id: str
    platform: Platform
    brake_address: int | None
    invalidate: tuple[InvalidateSlot, ...]
    writes: tuple[WriteModule, ...]
    satisfied: tuple[ModuleFile, ...]
    leave: bool
    expected_duration_s: float

    @property
    def size_bytes(self) -> int:
        """Bytes that are written and read back."""
        return sum(w.size_bytes for w in self.writes)

    def lines(self) -> tuple[str, ...]:
        """The plan for people, one step a line."""
        steps = ["enter DFU mode"]
        if self.brake_address is not None:
            steps.append(f"erase the sector at 0x{self.brake_address:08x}: from here on every boot ends in DFU mode")
        steps += [f"erase the sector at 0x{s.address:08x}: {s.reason}" for s in self.invalidate]
        for w in self.writes:
            last = ", first block last" if w.commit_last else ""
            steps.append(f"erase and write 0x{w.address:08x} {w.size_bytes} bytes: {w.file.title}{last}")
        steps.append(f"read back {self.size_bytes} bytes and compare")
        steps.append("leave DFU mode: the application boots and may connect" if self.leave else "stay in DFU mode")
        return tuple(steps)


def module_title(function: int, index: int, version: int | None = None) -> str:
    """``system part 1 v2101``; the number alone for a function without a name."""
    known = function in ModuleFunction._value2member_map_
    label = ModuleFunction(function).label if known else f"function {function}"
    return f"{label} {index}" + ("" if version is None else f" v{version}")


def make_plan(
    inventory: Inventory,
    files: Sequence[ModuleFile],
    *,
    leave: bool = False,
    permissions: Permissions = NOTHING,
) -> FlashPlan:
    """The plan that puts ``files`` onto the board of ``inventory``.

    Bootloader and radio stack are never written over DFU: they are checked, and must be on the board in the version
    that the set needs. Raises PlanRefusedError with all reasons, before anything is touched: wrong platform, damaged
    module, no slot, a dependency that is neither in the set nor on the board, an application that would not win its
    slot. Raises PermissionMissingError when ``leave`` is asked without ``may_connect``.
    """
    if leave:
        permissions.require_connect("leaving DFU mode")
    platform = inventory.platform
    reasons: list[str] = []
    for file in files:
        reasons += _file_problems(file, platform)
    if not files:
        reasons.append("no module was given")
    _refuse(inventory, reasons)

    by_dfu = [f for f in files if f.module.function in _DFU_FUNCTIONS]
    others = [f for f in files if f.module.function in _OTHER_WAYS]
    reasons += [f"{f.title} cannot be written over DFU" for f in files if f not in by_dfu and f not in others]
    for file in others:
        reasons += _not_satisfied(file, inventory)
    reasons += _duplicates(by_dfu)
    reasons += _unmet_dependencies(by_dfu, inventory)
    reasons += _overlaps(by_dfu)
    _refuse(inventory, reasons)

    device_os = _device_os_after(by_dfu, inventory)
    slots = {f.sha256: _slot(platform, f.module, device_os) for f in by_dfu}
    for file in by_dfu:
        reasons += _slot_problems(file, slots[file.sha256], device_os)
    _refuse(inventory, reasons)

    brake = _brake(by_dfu)
    ordered = sorted(
        by_dfu,
        key=lambda f: (f is brake, f.module.function != ModuleFunction.USER_PART, -f.module.start_address),
    )
    writes = tuple(WriteModule(f, f.module.start_address, f.module.size_bytes, commit_last=f is brake) for f in ordered)
    invalidate = _former_user_parts(platform, by_dfu)
    return FlashPlan(
        inventory.device_id,
        platform,
        brake.module.start_address if brake else None,
        invalidate,
        writes,
        tuple(others),
        leave,
        _expected_duration_s(platform, writes),
    )


def _refuse(inventory: Inventory, reasons: Sequence[str]) -> None:
    if reasons:
        raise PlanRefusedError(
            f"{inventory.platform.display_name} {inventory.device_id}: refused before anything was erased: "
            + "; ".join(reasons),
            reasons=reasons,
            hint="offer the missing modules too, or choose another set",
        )


def _file_problems(file: ModuleFile, platform: Platform) -> list[str]:
    problems = [f"{file.file_name} at offset {p.offset}: {p.message}" for p in file.module.problems]
    if file.module.platform_id != platform.id:
        other = platform_by_id(file.module.platform_id)
        name = other.display_name if other else f"platform {file.module.platform_id}"
        problems.append(f"{file.file_name} is for {name}, not for {platform.display_name}")
    return problems


def _duplicates(files: Sequence[ModuleFile]) -> list[str]:
    seen: dict[tuple[int, int], ModuleFile] = {}
    problems = []
    for file in files:
        key = (file.module.function, file.module.index)
        if key in seen:
            problems.append(f"{file.file_name} and {seen[key].file_name} are both {module_title(*key)}")
        seen[key] = file
    return problems


def _not_satisfied(file: ModuleFile, inventory: Inventory) -> list[str]:
    module = file.module
    installed = inventory.find(module.function, module.index)
    if installed is not None and installed.valid and installed.version >= module.version:
        return []
    has = f"v{installed.version}" if installed and installed.valid else "no valid one"
    return [
        f"the board has {has} of {module_title(module.function, module.index)}, the set brings v{module.version}, and "
        "it is not written over DFU: update it through Device OS first (particle update)"
    ]


def _unmet_dependencies(files: Sequence[ModuleFile], inventory: Inventory) -> list[str]:
    """Dependencies of the set after flashing that neither the set nor the board meets: the board would answer them
    with safe mode, which connects."""
    versions = {(m.function, m.index): m.version for m in inventory.modules if m.valid}
    versions |= {(f.module.function, f.module.index): f.module.version for f in files}
    needs: list[tuple[str, tuple[int, int, int]]] = [
        (f.title, (d.function, d.index, d.version)) for f in files for d in f.module.dependencies
    ]
    written = {(f.module.function, f.module.index) for f in files}
    replaced_user_part = any(f.module.function == ModuleFunction.USER_PART for f in files)
    for m in inventory.modules:
        stays = m.valid and (m.function, m.index) not in written
        if m.function == ModuleFunction.USER_PART and replaced_user_part:
            stays = False
        if stays and m.function in _DFU_FUNCTIONS:
            needs += [(f"{module_title(m.function, m.index, m.version)} on the board", d) for d in m.dependencies]
    problems = []
    for title, (function, index, version) in needs:
        present = versions.get((function, index))
        if present is None:
            problems.append(
                f"{title} needs {module_title(function, index, version)}, which is neither in the set nor on the board"
            )
        elif present < version:
            problems.append(f"{title} needs {module_title(function, index, version)}, the board would have v{present}")
    if not any(function == ModuleFunction.USER_PART for function, _ in versions):
        problems.append("no application is in the set or on the board: it would boot into safe mode and connect")
    if not any(function == ModuleFunction.SYSTEM_PART for function, _ in versions):
        problems.append("no system part is in the set or on the board")
    return problems


def _overlaps(files: Sequence[ModuleFile]) -> list[str]:
    ordered = sorted(files, key=lambda f: f.module.start_address)
    return [
        f"{a.file_name} (up to 0x{a.module.end_address + 4:08x}) overlaps {b.file_name} "
        f"(from 0x{b.module.start_address:08x})"
        for a, b in pairwise(ordered)
        if a.module.start_address + a.module.size_bytes > b.module.start_address
    ]


def _device_os_after(files: Sequence[ModuleFile], inventory: Inventory) -> str | None:
    """The release that the board runs afterwards, which decides about slots; None when the table lacks it."""
    for file in files:
        if file.module.function == ModuleFunction.SYSTEM_PART:
            releases = releases_by_system_version(file.module.version)
            return releases[-1].name if releases else None
    return inventory.device_os


def _slot(platform: Platform, module: Module, device_os: str | None) -> ModuleSlot | None:
    return platform.slot_for(module.function, module.index, device_os)


def _slot_problems(file: ModuleFile, slot: ModuleSlot | None, device_os: str | None) -> list[str]:
    module = file.module
    release = f"Device OS {device_os}" if device_os else "this Device OS"
    if slot is None:
        return [f"{file.title}: {release} has no slot for it"]
    if slot.start_address is not None and module.start_address != slot.start_address:
        return [
            f"{file.title} is linked for 0x{module.start_address:08x}, its slot under {release} starts at "
            f"0x{slot.start_address:08x}"
        ]
    if module.size_bytes > slot.max_size_bytes:
        return [f"{file.title} has {module.size_bytes} bytes, its slot holds {slot.max_size_bytes}"]
    return []


def _brake(files: Sequence[ModuleFile]) -> ModuleFile | None:
    """The system part at the lowest address, which is the one that the bootloader validates and jumps to."""
    parts = [f for f in files if f.module.function == ModuleFunction.SYSTEM_PART]
    return min(parts, key=lambda f: f.module.start_address, default=None)


def _former_user_parts(platform: Platform, files: Sequence[ModuleFile]) -> tuple[InvalidateSlot, ...]:
    """The old 128 KiB application slot, when an application is written below it that does not cover it."""
    former = platform.layout.former_user_part if platform.layout else None
    if former is None:
        return ()
    return tuple(
        InvalidateSlot(former.address, "an application left here would win over the new one")
        for f in files
        if f.module.function == ModuleFunction.USER_PART
        and f.module.start_address < former.address
        and f.module.start_address + f.module.size_bytes <= former.address
    )


def _expected_duration_s(platform: Platform, writes: Sequence[WriteModule]) -> float:
    """Erase, program, and three passes over USB (compare, write, read back)."""
    timing = FLASH_TIMING.get(platform.family)
    internal = next((a for a in platform.dfu_alts if a.alt == 0), None)
    if timing is None or internal is None:
        return 0.0
    layout = parse_memory_layout(internal.descriptor)
    total_s = 0.0
    for write in writes:
        for sector in layout.sectors_in(write.address, write.size_bytes):
            total_s += timing.erase_s[sector.size_bytes]
        total_s += write.size_bytes * (timing.program_s_per_byte + 3 / USB_BYTES_PER_S)
    return total_s
