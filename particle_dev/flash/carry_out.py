"""Carries out an update plan on a board, phase by phase, and proves the result. Every phase compares first, so the same
plan made anew after any interruption goes on where the work stopped."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator, Sequence
from dataclasses import dataclass, field

from particle_dev.catalog.modules import ModuleFlag, ModuleFunction
from particle_dev.catalog.platforms import UsbMode
from particle_dev.device.control import ControlSession
from particle_dev.device.dfu import DfuSession
from particle_dev.device.discovery import wait_for_mode, wait_until_settled
from particle_dev.device.mode_changes import ARRIVAL_TIMEOUT_S, change_mode
from particle_dev.device.model import Device
from particle_dev.device.modes import Target, Way, enter_dfu
from particle_dev.errors import UpdateNotAppliedError, WrongDeviceError
from particle_dev.flash.board_modules import ModuleFile
from particle_dev.flash.bootloader_copies import copy_by_bootloader, not_applied, stage_in_slots
from particle_dev.flash.control_update import UPDATE_TIMEOUT_S, update_over_control, wait_until_reported
from particle_dev.flash.execute import ReadFile, flash, set_brake, verify
from particle_dev.flash.install_by_flag import stage_by_flag
from particle_dev.flash.installed import is_reported, is_stored, reported, title_of
from particle_dev.flash.inventory import (
    START_ONCE,
    inventory_by_control,
    pending_updates,
    refuse_protected,
    refuse_unwritable,
)
from particle_dev.flash.phases import Phase, PhaseKind, UpdatePlan
from particle_dev.flash.plan import FlashPlan
from particle_dev.flash.progress import FlashEvent, ModuleProven, PhaseStarted, UpdateEvent
from particle_dev.flash.update_area import Install, unequal_in_flash
from particle_dev.permissions import NOTHING, Permissions
from particle_dev.protocol.messages import AssetInfo
from particle_dev.transport.base import Host

ControlProgress = Callable[[str, int, int], None]
"""Called with file name, bytes sent and bytes in all of a control update."""


def carry_out(
    host: Host,
    device: Device,
    plan: UpdatePlan,
    read_file: ReadFile,
    *,
    permissions: Permissions = NOTHING,
    dfu_way: Way | None = None,
    control_progress: ControlProgress = lambda _name, _sent, _total: None,
) -> Iterator[UpdateEvent]:
    """Install what the plan says, and prove each module by reading it back or, where that cannot be, by the device's
    own report. **Erases** what the plan replaces; phases with ``may_connect`` **boot the application**.

    ``dfu_way`` is the way into DFU mode, None for the usual ones. Raises PermissionMissingError before anything is
    touched, WrongDeviceError, PlanRefusedError (a protected board, or an update that somebody else armed),
    VerifyError, UpdateNotAppliedError, and what flash, control update and mode change raise.
    """
    plan.require(permissions)
    if device.device_id != plan.device_id:
        raise WrongDeviceError(
            f"the plan is for {plan.device_id}, not for {device}",
            expected=plan.device_id,
            actual=device.device_id,
            hint="nothing was changed; make a plan for the board that is there",
        )
    run = _Run(host, device, read_file, permissions, dfu_way, control_progress)
    for number, phase in enumerate(plan.phases, 1):
        names = ", ".join(f.file_name for f in phase.files)
        yield PhaseStarted(number, len(plan.phases), f"{phase.kind}: {names}" if names else phase.kind.value)
        yield from run.phase(phase)


def copies(
    host: Host, device: Device, plan: FlashPlan, installs: Sequence[Install]
) -> Generator[FlashEvent, None, Device]:
    """Have the bootloader of a board in DFU mode copy modules to their places, with the parking brake of ``plan`` set;
    proven by reading back. **Erases** the brake's sector. Returns the board, again in DFU mode: nothing but its
    bootloader has run. A board that has them all already is not reset. Raises as :func:`carry_out`."""
    with DfuSession(host, device) as session:
        refuse_protected(session)
        if not not_applied(session, installs):
            return device
        staging = stage_in_slots(session, installs)
        # Its checks come with its first event, which changes nothing: no brake on a board that is then refused.
        compared = next(staging, None)
        yield from set_brake(plan, session)
        if compared is not None:
            yield compared
            yield from staging
    return copy_by_bootloader(host, device, installs)


@dataclass(slots=True)
class _Run:
    """``device`` is the board in its present enumeration. By SHA-256: ``proofs`` of what cannot be proven again later,
    and what was ``read_back`` since the last reset."""

    host: Host
    device: Device
    read_file: ReadFile
    permissions: Permissions
    dfu_way: Way | None
    control_progress: ControlProgress
    proofs: dict[str, str] = field(default_factory=dict)
    read_back: set[str] = field(default_factory=set)

    def phase(self, phase: Phase) -> Iterator[UpdateEvent]:
        """Carry out one phase."""
        if phase.resets:
            self.read_back.clear()
        match phase.kind:
            case PhaseKind.ENTER_DFU:
                self.device, _ = enter_dfu(self.host, self.device, self.dfu_way)
            case PhaseKind.LEAVE_DFU:
                self.device = change_mode(self.host, self.device, Target.NORMAL, self.permissions).device
            case PhaseKind.CONTROL_UPDATE:
                self._control_update(phase.files[0])
            case PhaseKind.BOOTLOADER_COPIES:
                yield from self._copies(phase)
            case PhaseKind.FLASH:
                yield from self._flash(phase)
            case PhaseKind.INSTALL_BY_FLAG:
                yield from self._by_flag(phase.files[0])
            case PhaseKind.PROVE:
                yield from self._prove(phase)

    def _control_update(self, file: ModuleFile) -> None:
        data = self.read_file(file.sha256)
        done = update_over_control(
            self.host,
            self.device,
            file,
            data,
            permissions=self.permissions,
            progress=lambda sent, total: self.control_progress(file.file_name, sent, total),
        )
        self.device = wait_until_settled(self.host, done.device, ARRIVAL_TIMEOUT_S) if done.written else done.device
        self.proofs[file.sha256] = done.evidence

    def _copies(self, phase: Phase) -> Iterator[UpdateEvent]:
        installs = [Install(f, self.read_file(f.sha256)) for f in phase.files]
        assert phase.flash is not None
        self.device = yield from copies(self.host, self.device, phase.flash, installs)
        self.read_back |= {f.sha256 for f in phase.files}

    def _flash(self, phase: Phase) -> Iterator[UpdateEvent]:
        assert phase.flash is not None
        with DfuSession(self.host, self.device) as session:
            refuse_unwritable(session)
            yield from flash(phase.flash, session, self.read_file)
            yield from verify(phase.flash, session, self.read_file)
        self.read_back |= {f.sha256 for f in phase.files}

    def _by_flag(self, file: ModuleFile) -> Iterator[UpdateEvent]:
        with DfuSession(self.host, self.device, self.permissions) as session:
            refuse_protected(session)
            yield from stage_by_flag(session, Install(file, self.read_file(file.sha256)))
            session.leave()
        back = wait_for_mode(self.host, self.device, UsbMode.NORMAL, ARRIVAL_TIMEOUT_S)
        deadline_s = self.host.clock.monotonic_s() + UPDATE_TIMEOUT_S
        done = wait_until_reported(self.host, back, file, self.permissions, deadline_s)
        self.device = wait_until_settled(self.host, done.device, ARRIVAL_TIMEOUT_S)
        self.proofs[file.sha256] = done.evidence

    def _prove(self, phase: Phase) -> Iterator[UpdateEvent]:
        if self.device.mode is UsbMode.DFU:
            with DfuSession(self.host, self.device) as session:
                for file in phase.files:
                    yield ModuleProven(file.file_name, file.sha256, self._read_back(session, file))
                pending = pending_updates(session)
            if pending:
                # On an STM32F2 it was out of reach until the system was whole.
                raise UpdateNotAppliedError(
                    f"{self.device}: everything is written, and it would install by itself: {'; '.join(pending)}",
                    expected="no update that waits",
                    actual="; ".join(pending),
                    hint=START_ONCE,
                )
            return
        with ControlSession(self.host, self.device, self.permissions) as control:
            modules = inventory_by_control(control).modules
            has_assets = any(f.module.function == ModuleFunction.ASSET for f in phase.files)
            assets = control.asset_info() if has_assets else AssetInfo((), ())
        for file in phase.files:
            if file.module.function == ModuleFunction.ASSET:
                if not is_stored(file, assets):
                    raise _not_there(self.device, file.title, "its asset storage lacks it")
            elif not is_reported(file, modules):
                raise _not_there(self.device, file.title, title_of(reported(file, modules)))
            evidence = self.proofs.get(file.sha256, "read back, and reported by the running system")
            yield ModuleProven(file.file_name, file.sha256, evidence)

    def _read_back(self, session: DfuSession, file: ModuleFile) -> str:
        """What proves the module on a board in DFU mode."""
        if file.sha256 in self.read_back:
            return "read back"
        if _is_readable(session, file):
            address = unequal_in_flash(session, Install(file, self.read_file(file.sha256)))
            if address is not None:
                raise _not_there(self.device, file.title, f"flash differs at 0x{address:08x}")
            return "read back"
        if file.sha256 not in self.proofs:
            raise _not_there(self.device, file.title, "nothing that proves it")
        return self.proofs[file.sha256]


def _is_readable(session: DfuSession, file: ModuleFile) -> bool:
    """Whether the module lies in internal flash as its file has it."""
    module = file.module
    if module.flags & ModuleFlag.ENCRYPTED:
        return False
    places = session.device.platform.module_slots
    return any(
        slot.storage == "internal_flash" and (slot.function, slot.index) == (module.function, module.index)
        for slot in places
    )


def _not_there(device: Device, what: str, actual: str) -> UpdateNotAppliedError:
    return UpdateNotAppliedError(
        f"{device}: {what} is not there as planned: {actual}",
        expected=what,
        actual=actual,
        hint="run the same again: what is right stays",
    )
