"""From what is on a board and what is offered to a plan of phases that installs everything, whatever its kind.

The order: what the new system part needs comes first, what an older one would not stand comes last; in between one DFU
session writes system and application. A board whose system does not run is written over DFU first. Assets come last.
The plan ends in DFU mode unless it is told to leave.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace

from particle_dev.catalog.device_os import RELEASES, version_key
from particle_dev.catalog.modules import (
    APPLICATIONS,
    INSTALLED_BY_BOARD,
    ModuleFlag,
    ModuleFunction,
    ModuleStore,
    ModuleValidity,
)
from particle_dev.catalog.platforms import UsbMode
from particle_dev.errors import PlanRefusedError
from particle_dev.flash.board_modules import NO_ASSETS_IN_DFU, Inventory, ModuleFile
from particle_dev.flash.boot_outcome import BootEnd, boot_outcome, started_by_bootloader
from particle_dev.flash.dependencies import Resolution, resolve
from particle_dev.flash.installed import asset_identity
from particle_dev.flash.phases import Phase, PhaseKind, UpdatePlan
from particle_dev.flash.plan import FlashPlan, file_problems, flash_plan, problem_hint
from particle_dev.flash.releases import release_for_layout
from particle_dev.flash.ways import InstallWay, choose_ways, is_satisfied, way_by_kind
from particle_dev.protocol.messages import AssetInfo, InstalledModule
from particle_dev.protocol.module_traits import asset_dependencies

__all__ = ["Phase", "PhaseKind", "UpdatePlan", "make_update_plan"]

FIRST_WITH_ASSETS = "5.5.0-rc.1"
"""Source: device-os v6.2.0 ``system/system-versions.md``."""
FIRST_RELEASE = RELEASES[0].name
MANUFACTURING_NOTE = (
    "a board that never ran Device OS 5.5.0 or later may hold its factory's system part, which its bootloader restores "
    "and starts when power is lost in the middle"
)
"""Source: device-os v6.2.0 bootloader/src/main.c, where FLASH_AddMfgSystemModuleSlot follows an invalid system part."""
FetchRelease = Callable[[str], Sequence[ModuleFile]]
"""Gives the modules of a Device OS release for the board's platform, none when they are not at hand."""


def make_update_plan(
    inventory: Inventory,
    files: Sequence[ModuleFile],
    *,
    mode: UsbMode,
    leave: bool = False,
    assets: AssetInfo | None = None,
    why_no_assets: str = NO_ASSETS_IN_DFU,
    fetch_release: FetchRelease = lambda _: (),
) -> UpdatePlan:
    """The plan that puts all of ``files`` onto the board of ``inventory``, which is in ``mode`` now.

    ``assets`` is what its asset storage holds, None when that cannot be asked, and ``why_no_assets`` the reason.
    ``leave`` boots the application at the end. A release that may not be skipped becomes phases of its own when
    ``fetch_release`` has it.

    Only what differs is installed. Permissions are not asked here: see :attr:`UpdatePlan.permissions_needed` and
    :meth:`UpdatePlan.require`. Raises PlanRefusedError with all reasons: wrong platform, damaged module, no slot, a
    dependency or asset that is neither offered nor there, an application that would not win its slot, a release that
    may not be skipped and is not at hand.
    """
    stop = next((s for s in _resolve(inventory, files).stops if s.over_dfu), None)
    if stop is None:
        return _direct_plan(inventory, files, mode, leave, assets, why_no_assets)
    between = fetch_release(stop.through)
    if not between:
        reason = (
            f"a board with Device OS {inventory.device_os} goes through {stop.through} on its way: {stop.reason} "
            f"({stop.source})"
        )
        hint = f"offer Device OS {stop.through} first, or put it into the firmware store"
        raise _refused(inventory, [reason], hint)
    first = _direct_plan(inventory, between, mode, True, assets, why_no_assets)
    rest = make_update_plan(
        _after(inventory, between),
        files,
        mode=UsbMode.NORMAL if first.phases else mode,
        leave=leave,
        assets=assets,
        why_no_assets=why_no_assets,
        fetch_release=fetch_release,
    )
    return replace(
        rest,
        phases=(*first.phases, *rest.phases),
        notes=(f"goes through Device OS {stop.through}", *rest.notes),
        brake_may_fail=first.brake_may_fail or rest.brake_may_fail,
    )


@dataclass(frozen=True, slots=True)
class _Sides:
    """What the board installs itself before and after the DFU session."""

    early: tuple[ModuleFile, ...]
    late: tuple[ModuleFile, ...]


def _direct_plan(
    inventory: Inventory,
    files: Sequence[ModuleFile],
    mode: UsbMode,
    leave: bool,
    assets: AssetInfo | None,
    why_no_assets: str,
) -> UpdatePlan:
    in_dfu = mode is UsbMode.DFU
    platform = inventory.platform
    reasons = [reason for file in files for reason in _file_reasons(inventory, file)]
    if not files:
        reasons.append("no module was given")
    if reasons:
        raise _refused(inventory, reasons, problem_hint(files, platform))
    resolution = _resolve(inventory, files)
    satisfied = [f for f in files if is_satisfied(f, inventory, assets)]
    missing = [f for f in files if f not in satisfied]
    runs = boot_outcome(platform, inventory.parts).end in (BootEnd.APPLICATION, BootEnd.SAFE_MODE)
    ways = choose_ways(inventory, files, missing, in_dfu=in_dfu, runs=runs)
    reasons += [finding.message for finding in resolution.findings]
    reasons += _asset_reasons(files, resolution, assets, why_no_assets)
    if reasons:
        hints = dict.fromkeys(finding.hint for finding in resolution.findings)
        raise _refused(inventory, reasons, "; ".join(hints) or "offer the missing modules too, or choose another set")

    flashed: list[ModuleFile] = []
    if any(way in (InstallWay.DFU, InstallWay.SLOT) for way in ways.values()):
        # All that were offered: the parking brake needs the system part, and comparing costs little.
        flashed = [f for f in files if way_by_kind(f) is InstallWay.DFU]
    sides = _sides(resolution, ways, flashed, starts_with_dfu=in_dfu and not runs)
    phases = _phases(inventory, resolution, ways, flashed, sides, in_dfu=in_dfu, leave=leave)
    brake_may_fail = any(p.flash for p in phases) and _may_hold_factory_system(inventory, mode)
    notes = [MANUFACTURING_NOTE] if brake_may_fail else []
    notes += [f"over the air the way leads through Device OS {s.through}: {s.reason}" for s in resolution.stops]
    there = tuple(f for f in satisfied if f not in flashed)
    return UpdatePlan(inventory.device_id, platform, phases, there, tuple(notes), brake_may_fail)


def _may_hold_factory_system(inventory: Inventory, mode: UsbMode) -> bool:
    """Whether an RTL872x board may hold the image of its factory, which lies where Device OS 5.5.0 and later keep
    assets: what runs is known to have overwritten it."""
    system = started_by_bootloader(inventory.parts)
    release = release_for_layout(system.version) if system and mode is UsbMode.NORMAL else FIRST_RELEASE
    return inventory.platform.family == "rtl872x" and version_key(release) < version_key(FIRST_WITH_ASSETS)


def _resolve(inventory: Inventory, files: Sequence[ModuleFile]) -> Resolution:
    parts = [f.part for f in files if f.module.function != ModuleFunction.ASSET]
    return resolve(inventory.platform, parts, inventory.parts)


def _sides(
    resolution: Resolution, ways: dict[ModuleFile, InstallWay], flashed: Sequence[ModuleFile], *, starts_with_dfu: bool
) -> _Sides:
    order = {part: n for n, part in enumerate(resolution.order)}
    first = min((order[f.part] for f in flashed), default=len(order))
    by_board = sorted(
        (f for f, way in ways.items() if way in (InstallWay.CONTROL, InstallWay.FLAG)),
        key=lambda f: order.get(f.part, len(order)),
    )
    if starts_with_dfu:
        return _Sides((), tuple(by_board))
    # Of two that need each other's new version, the one that DFU writes goes first: DFU checks nothing.
    early = tuple(f for f in by_board if order.get(f.part, first) < first and f.part not in resolution.cycle)
    return _Sides(early, tuple(f for f in by_board if f not in early))


@dataclass(slots=True)
class _PhaseSequence:
    """Phases in their order; ``in_dfu`` says in which mode the last one leaves the board."""

    ways: dict[ModuleFile, InstallWay]
    in_dfu: bool
    phases: list[Phase] = field(default_factory=list)

    def go(self, *, to_dfu: bool) -> None:
        """Change the mode, unless the board is in it."""
        if to_dfu is not self.in_dfu:
            self.phases.append(Phase(PhaseKind.ENTER_DFU if to_dfu else PhaseKind.LEAVE_DFU))
            self.in_dfu = to_dfu

    def install(self, files: Sequence[ModuleFile]) -> None:
        """Have the board install them one by one."""
        for file in files:
            if self.in_dfu and self.ways[file] is InstallWay.FLAG:
                self.phases.append(Phase(PhaseKind.INSTALL_BY_FLAG, (file,)))
                self.in_dfu = False
            else:
                self.go(to_dfu=False)
                self.phases.append(Phase(PhaseKind.CONTROL_UPDATE, (file,)))

    def write(self, flash: FlashPlan) -> None:
        """Write over DFU; what the bootloader copies is written first."""
        self.go(to_dfu=True)
        copies = tuple(f for f, way in self.ways.items() if way is InstallWay.SLOT)
        if copies:
            self.phases.append(Phase(PhaseKind.BOOTLOADER_COPIES, copies, flash))
        self.phases.append(Phase(PhaseKind.FLASH, tuple(w.file for w in flash.writes), flash))

    def end(self, *, leave: bool) -> None:
        """Prove all of it, before the board leaves DFU mode if it is to."""
        files = dict.fromkeys(f for p in self.phases for f in p.files)
        if not leave:
            self.go(to_dfu=True)
        self.phases.append(Phase(PhaseKind.PROVE, tuple(files)))
        if leave:
            self.go(to_dfu=False)


def _phases(
    inventory: Inventory,
    resolution: Resolution,
    ways: dict[ModuleFile, InstallWay],
    flashed: Sequence[ModuleFile],
    sides: _Sides,
    *,
    in_dfu: bool,
    leave: bool,
) -> tuple[Phase, ...]:
    sequence = _PhaseSequence(ways, in_dfu)
    sequence.install(sides.early)
    if flashed:
        sequence.write(flash_plan(inventory, flashed, resolution.invalidate))
    sequence.install(sides.late)
    if sequence.phases:
        sequence.end(leave=leave)
    elif leave:
        sequence.go(to_dfu=False)
    return tuple(sequence.phases)


def _file_reasons(inventory: Inventory, file: ModuleFile) -> list[str]:
    """What is wrong with a file by itself."""
    module = file.module
    if way_by_kind(file) is InstallWay.DFU:
        return file_problems(file, inventory.platform)
    reasons = [f"{file.file_name} at offset {p.offset}: {p.message}" for p in module.problems]
    if module.function not in (ModuleFunction.ASSET, *INSTALLED_BY_BOARD) and not module.flags & ModuleFlag.ENCRYPTED:
        reasons.append(f"{file.title}: no way into the board is known")
    return reasons


def _asset_reasons(
    files: Sequence[ModuleFile], resolution: Resolution, assets: AssetInfo | None, why_no_assets: str
) -> list[str]:
    """Assets that an application wants and will not find, and assets that a Device OS will not keep."""
    reasons = []
    offered = [f for f in files if f.module.function == ModuleFunction.ASSET]
    system = started_by_bootloader(resolution.after)
    release = release_for_layout(system.version) if system else None
    if offered and release and version_key(release) < version_key(FIRST_WITH_ASSETS):
        reasons.append(f"Device OS {release} keeps no assets, {FIRST_WITH_ASSETS} and later do")
    applications = [f for f in files if f.module.function in APPLICATIONS]
    asked = {(a.name, a.sha256) for f in applications for a in asset_dependencies(f.module)}
    if not applications and assets:
        asked = {(a.name, a.sha256) for a in assets.required}
    if len(offered) > 1 and (applications or assets):
        # AssetManager::storeAsset removes what the application does not ask for.
        reasons += [
            f"no application asks for {f.file_name}: the device would remove it with the next asset"
            for f in offered
            if asset_identity(f) not in asked
        ]
    there = [asset_identity(f) for f in offered] + [(a.name, a.sha256) for a in (assets.available if assets else ())]
    for file in applications:
        for wanted in asset_dependencies(file.module):
            if (wanted.name, wanted.sha256) not in there:
                reasons.append(
                    f"{file.title} wants asset {wanted.name!r}, which is not offered"
                    + (" and not on the board" if assets else f", and {why_no_assets}")
                    + ": it would boot into safe mode and connect"
                )
    return reasons


def _after(inventory: Inventory, files: Sequence[ModuleFile]) -> Inventory:
    """The board once ``files`` are installed."""
    new = tuple(
        InstalledModule(
            f.module.function,
            f.module.index,
            f.module.version,
            ModuleStore.MAIN,
            f.module.size_bytes,
            tuple((d.function, d.index, d.version) for d in f.module.dependencies),
            ModuleValidity(0),
            f.module.sha256.stored if f.module.sha256 else None,
        )
        for f in files
        if f.module.function != ModuleFunction.ASSET
    )
    keys = {(m.function, m.index) for m in new}
    kept = tuple(m for m in inventory.modules if m.store != ModuleStore.MAIN or (m.function, m.index) not in keys)
    return replace(inventory, read_over="plan", modules=(*new, *kept))


def _refused(inventory: Inventory, reasons: Sequence[str], hint: str) -> PlanRefusedError:
    return PlanRefusedError(
        f"{inventory.platform.display_name} {inventory.device_id}: refused before anything was changed: "
        + "; ".join(reasons),
        reasons=reasons,
        hint=hint,
    )
