"""From platform, inventory and modules to a plan, without a device.

The order makes an interruption harmless. The *parking brake* is the sector without which the bootloader finds no
system part to start: it is erased before anything else and its first block is written last. In between every boot
ends in DFU mode, so a unit that loses power half-way cannot come up in safe mode, go online and start billing.
Source: device-os v2.1.0 bootloader/src/main.c, nRF52840/dfu_usb.c and stm32f2xx/dfu_usb.c is_application_valid; v6.2.0
nRF52840/dfu_usb.c (a part at 0x28000 is tried first, then one at 0x30000).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from particle_dev.catalog.flash_chips import FLASH_BY_FAMILY
from particle_dev.catalog.gen3_nrf52840 import BRAKE_ADDRESS
from particle_dev.catalog.modules import INSTALLED_BY_BOARD, WRITTEN_OVER_DFU, ModuleFlag, ModuleFunction
from particle_dev.catalog.platforms import Platform
from particle_dev.errors import PlanRefusedError
from particle_dev.flash.board_modules import Inventory, ModuleFile, module_title
from particle_dev.flash.boot_outcome import Finding
from particle_dev.flash.dependencies import resolve, wrong_platform

__all__ = ["BLOCK_SIZE_BYTES", "FlashPlan", "InvalidateSlot", "ModuleFile", "WriteModule", "make_plan", "module_title"]

BLOCK_SIZE_BYTES = 4096
_USB_BYTES_PER_S = 1_000_000
"""Throughput of control data at full speed: about sixteen 64-byte packets in a 1 ms frame (USB 2.0, table 5-3)."""
NO_BRAKE = (
    "a board that loses power meanwhile boots into safe mode, which connects; offer its Device OS as well "
    "(--device-os RELEASE): what is there already is only compared, and one sector of it serves as the brake"
)
_STARTED = ((ModuleFunction.SYSTEM_PART, 1), (ModuleFunction.MONO_FIRMWARE, 0), (ModuleFunction.MONO_FIRMWARE, 1))
"""What a bootloader validates and jumps to, by function and index."""


@dataclass(frozen=True, slots=True)
class WriteModule:
    """Make internal flash from ``address`` on equal to the file, then prove it by reading back.

    ``commit_offset``: the block there is written last, as the parking brake; None for a module without one.
    """

    file: ModuleFile
    address: int
    size_bytes: int
    commit_offset: int | None = None


@dataclass(frozen=True, slots=True)
class InvalidateSlot:
    """Erase the first sector at ``address``, where an old application would win over the new one."""

    address: int
    reason: str


@dataclass(frozen=True, slots=True)
class FlashPlan:
    """What will happen to one board, in order: ``brake_address`` is made invalid, ``invalidate`` erased, ``writes``
    written and proven. The board stays in DFU mode.

    ``satisfied`` names modules that were offered and are on the board already in a version that suffices;
    ``expected_duration_s`` is None where nobody knows the times of its flash.
    """

    device_id: str
    platform: Platform
    brake_address: int | None
    invalidate: tuple[InvalidateSlot, ...]
    writes: tuple[WriteModule, ...]
    satisfied: tuple[ModuleFile, ...]
    expected_duration_s: float | None

    @property
    def harmless_if_interrupted(self) -> bool:
        """Whether every boot of a half-written board ends in DFU mode."""
        return self.brake_address is not None or not self.writes

    @property
    def size_bytes(self) -> int:
        """Bytes that are written and read back."""
        return sum(w.size_bytes for w in self.writes)

    def lines(self) -> tuple[str, ...]:
        """The plan for people, one step a line."""
        steps = [f"already there, not written: {f.title}" for f in self.satisfied]
        if not self.writes:
            return tuple(steps)
        note = () if self.brake_address is not None else (f"note: {NO_BRAKE}",)
        return (*steps, "enter DFU mode", *self.work_lines(), *note)

    def work_lines(self) -> tuple[str, ...]:
        """The steps in DFU mode."""
        steps = []
        if self.brake_address is not None:
            steps.append(f"erase the sector at 0x{self.brake_address:08x}: from here on every boot ends in DFU mode")
        steps += [f"erase the sector at 0x{s.address:08x}: {s.reason}" for s in self.invalidate]
        for w in self.writes:
            last = "" if w.commit_offset is None else f", block at 0x{w.address + w.commit_offset:08x} last"
            steps.append(f"erase and write 0x{w.address:08x} {w.size_bytes} bytes: {w.file.title}{last}")
        steps.append(f"read back {self.size_bytes} bytes and compare")
        return tuple(steps)


def make_plan(inventory: Inventory, files: Sequence[ModuleFile]) -> FlashPlan:
    """The plan that puts ``files`` onto the board of ``inventory``.

    Bootloader and radio stack are never written over DFU: they are checked, and must be on the board in the version
    that the set needs. Raises PlanRefusedError with all reasons, before anything is touched: wrong platform, damaged
    module, no slot, a dependency that is neither in the set nor on the board, an application that would not win its
    slot.
    """
    platform = inventory.platform
    reasons = [problem for file in files for problem in file_problems(file, platform)]
    if not files:
        reasons.append("no module was given")
    _refuse(inventory, reasons, hint=problem_hint(files, platform))

    by_dfu = [f for f in files if f.module.function in WRITTEN_OVER_DFU]
    others = [f for f in files if f.module.function in INSTALLED_BY_BOARD]
    reasons += [f"{f.title} cannot be written over DFU" for f in files if f not in by_dfu and f not in others]
    for file in others:
        reasons += _not_satisfied(file, inventory)
    resolution = resolve(platform, [f.part for f in by_dfu], inventory.parts)
    reasons += [finding.message for finding in resolution.findings]
    _refuse(inventory, reasons, resolution.findings)

    return flash_plan(inventory, by_dfu, resolution.invalidate, satisfied=others)


def flash_plan(
    inventory: Inventory,
    files: Sequence[ModuleFile],
    invalidate: Sequence[int],
    *,
    satisfied: Sequence[ModuleFile] = (),
) -> FlashPlan:
    """The DFU part of a plan whose modules were checked by :func:`~particle_dev.flash.dependencies.resolve`, which also
    gives ``invalidate``. Checks nothing itself."""
    platform = inventory.platform
    brake = braked_part(files)
    ordered = sorted(
        files,
        key=lambda f: (f is brake, f.module.function != ModuleFunction.USER_PART, -f.module.start_address),
    )
    brake_address = _brake_address(platform, brake) if brake else None
    writes = tuple(
        WriteModule(
            f,
            f.module.start_address,
            f.module.size_bytes,
            commit_offset=brake_address - f.module.start_address if f is brake and brake_address is not None else None,
        )
        for f in ordered
    )
    reason = "an application left here would win over the new one"
    return FlashPlan(
        inventory.device_id,
        platform,
        brake_address,
        tuple(InvalidateSlot(address, reason) for address in invalidate),
        writes,
        tuple(satisfied),
        _expected_duration_s(platform, writes),
    )


def _refuse(inventory: Inventory, reasons: Sequence[str], findings: Sequence[Finding] = (), hint: str = "") -> None:
    if reasons:
        hints = dict.fromkeys(finding.hint for finding in findings)
        raise PlanRefusedError(
            f"{inventory.platform.display_name} {inventory.device_id}: refused before anything was erased: "
            + "; ".join(reasons),
            reasons=reasons,
            hint=hint or "; ".join(hints) or "offer the missing modules too, or choose another set",
        )


def problem_hint(files: Sequence[ModuleFile], platform: Platform) -> str:
    """What to do about :func:`file_problems`."""
    hints = []
    for file in files:
        if file.module.problems:
            hints.append(f"give intact modules for {platform.display_name}: see particle-dev inspect")
        if file.module.function not in WRITTEN_OVER_DFU:
            continue
        if file.module.flags & ModuleFlag.COMPRESSED:
            hints.append(f"expand it first: particle-dev firmware expand {file.file_name} OUT")
        finding = wrong_platform(platform, file.part)
        hints += [finding.hint] if finding else []
    return "; ".join(dict.fromkeys(hints)) or f"give modules for {platform.display_name}"


def file_problems(file: ModuleFile, platform: Platform) -> list[str]:
    """Why a file cannot be written over DFU to that platform, one sentence each."""
    problems = [f"{file.file_name} at offset {p.offset}: {p.message}" for p in file.module.problems]
    if file.module.flags & ModuleFlag.COMPRESSED:
        problems.append(f"{file.file_name} is compressed, DFU needs the plain module (particle-dev firmware expand)")
    finding = wrong_platform(platform, file.part)
    return problems + ([finding.message] if finding else [])


def braked_part(files: Sequence[ModuleFile]) -> ModuleFile | None:
    """The part that the bootloader validates and jumps to. None when it is not among ``files``: part 1 of an STM32F2
    board jumps into a part 2 that is being written unseen, which ends nowhere."""
    return next((f for f in files if (f.module.function, f.module.index) in _STARTED), None)


def _brake_address(platform: Platform, part: ModuleFile) -> int:
    return BRAKE_ADDRESS if platform.family == "nrf52840" else part.module.start_address


def suffices(inventory: Inventory, file: ModuleFile) -> bool:
    """Whether the board has that module in the same version or a later one."""
    installed = inventory.find(file.module.function, file.module.index)
    return installed is not None and installed.valid and installed.version >= file.module.version


def _not_satisfied(file: ModuleFile, inventory: Inventory) -> list[str]:
    module = file.module
    if suffices(inventory, file):
        return []
    installed = inventory.find(module.function, module.index)
    has = f"v{installed.version}" if installed and installed.valid else "no valid one"
    return [
        f"the board has {has} of {module_title(module.function, module.index)}, the set brings v{module.version}, and "
        "it is not written over DFU: install it first (`particle-dev flash`)"
    ]


def _expected_duration_s(platform: Platform, writes: Sequence[WriteModule]) -> float | None:
    """Erase, program, and three passes over USB (compare, write, read back)."""
    chip = FLASH_BY_FAMILY.get(platform.family)
    if chip is None:
        return None
    total_s = 0.0
    for write in writes:
        address, end_address = write.address, write.address + write.size_bytes
        while address < end_address:
            start, size_bytes, erase_s = chip.sector(address)
            total_s += erase_s
            address = start + size_bytes
        units = -(-write.size_bytes // chip.program_unit_bytes)
        total_s += units * chip.program_s + 3 * write.size_bytes / _USB_BYTES_PER_S
    return total_s
