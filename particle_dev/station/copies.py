"""Bootloader and SoftDevice of a unit that the set needs newer: plan, and the step in which its own bootloader copies
them. No system part runs meanwhile, so this needs no permission; a unit that only its running system could bring up is
refused before anything is erased.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from dataclasses import replace

from particle_dev.catalog.modules import INSTALLED_BY_BOARD
from particle_dev.catalog.platforms import UsbMode
from particle_dev.device.dfu import DfuSession
from particle_dev.device.model import Device
from particle_dev.errors import PermissionMissingError
from particle_dev.flash.board_modules import Inventory, ModuleFile
from particle_dev.flash.carry_out import copies
from particle_dev.flash.phases import PhaseKind, UpdatePlan
from particle_dev.flash.plan import FlashPlan, make_plan, suffices
from particle_dev.flash.progress import BlockWritten, BrakeSet, FlashEvent, SectorErased
from particle_dev.flash.update_area import Install, prove_in_flash
from particle_dev.flash.update_plan import make_update_plan
from particle_dev.permissions import NOTHING
from particle_dev.station.events import JsonObject, StepStatus
from particle_dev.station.run import Run
from particle_dev.station.run_record import UnitRecord

COPIES = "copied_by_bootloader"
"""Key of the plan's evidence: SHA-256 of the modules."""


def plan_unit(
    inventory: Inventory, files: Sequence[ModuleFile], mode: UsbMode, copied_before: Collection[str]
) -> tuple[FlashPlan, tuple[ModuleFile, ...]]:
    """What DFU writes, and what the bootloader copies before: modules that the board lacks, or has in a version that
    does not suffice, and those that an earlier attempt of this run had it copy (``copied_before``, by SHA-256).

    Raises PlanRefusedError; PermissionMissingError, which names the module, when only the running system could install
    it: then application or safe mode would run.
    """
    by_board = [f for f in files if f.module.function in INSTALLED_BY_BOARD]
    lacking = [f for f in by_board if not suffices(inventory, f)]
    again = [f for f in by_board if f.sha256 in copied_before and f not in lacking]
    if not lacking:
        plan = make_plan(inventory, files)
    else:
        update = make_update_plan(inventory, [f for f in files if f not in by_board or f in lacking], mode=mode)
        _require_nothing(update)
        plan = next(p.flash for p in update.phases if p.kind is PhaseKind.FLASH and p.flash)
    copied = [f for f in by_board if f in lacking or f in again]
    return replace(plan, satisfied=tuple(f for f in by_board if f not in copied)), tuple(copied)


def _require_nothing(update: UpdatePlan) -> None:
    """No recipe and no flag grants more here: the old application would run, and on the loss of power or a reset in
    between connect, before anything is known of its product."""
    try:
        update.require(NOTHING)
    except PermissionMissingError as error:
        hint = (
            "no station does that. Bring the board up before the run: over a debug probe ([probe] in the recipe), or "
            "with `particle-dev flash --may-connect`, which can start billing"
        )
        raise PermissionMissingError(error.message, permission=error.permission, hint=hint) from error


def copied_before(prior: UnitRecord | None) -> Collection[str]:
    """SHA-256 of the modules that the plan of an earlier attempt of this run had the bootloader copy."""
    plans = [s for s in prior.steps if s.name == "plan" and s.status is StepStatus.PASSED] if prior else []
    return [sha256 for plan in plans for sha256 in plan.evidence.get(COPIES, ())]


def copy_modules(run: Run, plan: FlashPlan, device: Device, evidence: JsonObject) -> Device:
    """The step: lay down, arm, set the brake, let the bootloader copy, prove. Returns the unit, in DFU mode again."""
    installs = [Install(f, run.context.store.read(f.sha256)) for f in run.copies]
    host, limit_s, since = run.slot.host, run.limits.flash_s, run.now()
    arrived = device

    def events() -> Iterator[FlashEvent]:
        nonlocal arrived
        arrived = yield from copies(host, device, plan, installs)

    for event in events():
        run.log("copy", event)
        run.erased |= isinstance(event, BrakeSet | SectorErased | BlockWritten)
        if isinstance(event, BlockWritten):
            run.progress("copy", event.file_name, event.done_bytes, event.total_bytes)
        run.check_stop("copy", limit_s)
    # From the brake on it has been unable to boot anything but its bootloader.
    run.observed.in_dfu_since(since)
    run.observed.still_held(arrived)
    evidence["modules"] = [f.title for f in run.copies]
    return arrived


def prove_copies(run: Run, device: Device) -> None:
    """Read back every byte that was copied. Raises VerifyError."""
    with DfuSession(run.slot.host, device) as session:
        for file in run.copies:
            sha256 = prove_in_flash(session, Install(file, run.context.store.read(file.sha256)))
            for module in run.modules:
                if module["sha256"] == file.sha256:
                    module["read_back_sha256"] = sha256
