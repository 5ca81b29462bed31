"""The steps of an update of one board, as values that can be printed."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from particle_dev.catalog.modules import ModuleFlag, ModuleFunction
from particle_dev.catalog.platforms import Platform
from particle_dev.flash.board_modules import ModuleFile
from particle_dev.flash.plan import NO_BRAKE, FlashPlan
from particle_dev.permissions import Effect, Permissions
from particle_dev.protocol.module_traits import security_mode

ENTER_DFU_S, LEAVE_DFU_S, COPY_S, INSTALL_S = 3.0, 5.0, 10.0, 20.0
"""Estimates: one second until the board resets, enumeration, the start of the system; page copies of a bootloader;
a reset with copy, start and the question whether it has worked."""
CONTROL_BYTES_PER_S = 50_000
"""Estimate for control updates: a request of 1 KiB about every 20 ms."""


ENCRYPTED_BURNS = "the first encrypted firmware for the second processor"
"""Source: device-os v6.2.0 bootloader/prebootloader/src/rtl872x/mbr/bootloader_update.c bootloaderUpdateIfPending."""


def burns_fuse(file: ModuleFile) -> bool:
    """Whether installing it makes the boot record burn the fuse by which it takes only encrypted firmware from then
    on. Whether it is burned already no device tells."""
    return bool(file.module.flags & ModuleFlag.ENCRYPTED)


class PhaseKind(StrEnum):
    """What happens in a phase."""

    CONTROL_UPDATE = "control update"
    ENTER_DFU = "enter DFU mode"
    BOOTLOADER_COPIES = "copies by the bootloader"
    FLASH = "flash"
    INSTALL_BY_FLAG = "installation by Device OS at its start"
    PROVE = "prove"
    LEAVE_DFU = "leave DFU mode"


_RUNS_APPLICATION = {
    PhaseKind.CONTROL_UPDATE: "the running system resets into the application",
    PhaseKind.INSTALL_BY_FLAG: "Device OS starts and installs it, then the application runs",
    PhaseKind.LEAVE_DFU: "the application boots",
}


@dataclass(frozen=True, slots=True)
class Phase:
    """One step. ``files`` are the modules that it installs or proves; ``flash`` is the DFU part, of which copies by the
    bootloader use only the parking brake."""

    kind: PhaseKind
    files: tuple[ModuleFile, ...] = ()
    flash: FlashPlan | None = None

    @property
    def may_connect(self) -> bool:
        """Whether the application, or safe mode, may run in this phase or after it."""
        return self.kind in _RUNS_APPLICATION

    @property
    def is_unbraked(self) -> bool:
        """Whether a board that loses power in this phase may boot into safe mode, which connects."""
        return self.kind is PhaseKind.FLASH and self.flash is not None and not self.flash.harmless_if_interrupted

    @property
    def resets(self) -> int:
        """How often the board resets, at least."""
        return 0 if self.kind in (PhaseKind.FLASH, PhaseKind.PROVE) else 1

    @property
    def transport(self) -> str:
        """What it runs over."""
        by_control = self.kind in (PhaseKind.CONTROL_UPDATE, PhaseKind.ENTER_DFU)
        return "control requests" if by_control else "any" if self.kind is PhaseKind.PROVE else "DFU"

    @property
    def expected_duration_s(self) -> float | None:
        """An estimate; None where nobody knows the times of the board's flash."""
        size_bytes = sum(f.module.size_bytes for f in self.files)
        match self.kind:
            case PhaseKind.ENTER_DFU:
                return ENTER_DFU_S
            case PhaseKind.LEAVE_DFU:
                return LEAVE_DFU_S
            case PhaseKind.CONTROL_UPDATE:
                return INSTALL_S + size_bytes / CONTROL_BYTES_PER_S
            case PhaseKind.BOOTLOADER_COPIES:
                return COPY_S + size_bytes / CONTROL_BYTES_PER_S
            case PhaseKind.INSTALL_BY_FLAG:
                return INSTALL_S + size_bytes / CONTROL_BYTES_PER_S
            case PhaseKind.FLASH:
                return self.flash.expected_duration_s if self.flash else None
            case PhaseKind.PROVE:
                return 1.0

    def lines(self) -> tuple[str, ...]:
        """For people."""
        names = ", ".join(f.title for f in self.files)
        match self.kind:
            case PhaseKind.ENTER_DFU:
                return ("enter DFU mode (reset; nothing but the bootloader runs)",)
            case PhaseKind.LEAVE_DFU:
                return ("leave DFU mode (reset): the application boots and may connect",)
            case PhaseKind.CONTROL_UPDATE:
                return (f"control update (reset, the application boots and may connect): {names}",)
            case PhaseKind.BOOTLOADER_COPIES:
                address = self.flash.brake_address if self.flash else None
                brake = "" if address is None else f"erase the sector at 0x{address:08x}: no system part can start; "
                return (f"{brake}lay into the update area, read back, arm, reset: the bootloader copies {names}",)
            case PhaseKind.INSTALL_BY_FLAG:
                return (f"lay into the OTA region, leave DFU mode: Device OS installs it, then may connect: {names}",)
            case PhaseKind.PROVE:
                return (f"prove {len(self.files)} modules: read back, or reported by the device where they cannot be",)
            case PhaseKind.FLASH:
                return self.flash.work_lines() if self.flash else ()


@dataclass(frozen=True, slots=True)
class UpdatePlan:
    """Everything that will happen to one board, in order. ``satisfied`` is on the board already; ``notes`` are worth
    knowing and hinder nothing. Without phases there is nothing to do. ``brake_may_fail``: the parking brake does not
    hold on every board of that kind, and this one cannot be told from them.
    """

    device_id: str
    platform: Platform
    phases: tuple[Phase, ...]
    satisfied: tuple[ModuleFile, ...]
    notes: tuple[str, ...] = ()
    brake_may_fail: bool = False

    @property
    def permissions_needed(self) -> tuple[Effect, ...]:
        """What carrying it out needs."""
        locks = any(
            f.module.function == ModuleFunction.BOOTLOADER and security_mode(f.module) == "protected"
            for phase in self.phases
            for f in phase.files
        )
        burns = any(burns_fuse(f) for phase in self.phases for f in phase.files)
        connects = any(phase.may_connect or phase.is_unbraked for phase in self.phases)
        effects = {Effect.CONNECT: connects, Effect.LOCK: locks, Effect.BURN: burns}
        return tuple(effect for effect, wanted in effects.items() if wanted)

    @property
    def expected_duration_s(self) -> float | None:
        """An estimate of the whole; None when one phase has none."""
        durations = [phase.expected_duration_s for phase in self.phases]
        known = [duration_s for duration_s in durations if duration_s is not None]
        return sum(known) if len(known) == len(durations) else None

    @property
    def harmless_if_interrupted(self) -> bool:
        """Whether a board that loses power in between ends in DFU mode, or as it was."""
        flashes = [phase.flash for phase in self.phases if phase.flash]
        braked = all(f.harmless_if_interrupted for f in flashes) and not self.brake_may_fail
        return braked and Effect.CONNECT not in self.permissions_needed

    @property
    def installs(self) -> tuple[ModuleFile, ...]:
        """Every module that has a phase, once."""
        kinds = (PhaseKind.PROVE,)
        return tuple(dict.fromkeys(f for phase in self.phases if phase.kind not in kinds for f in phase.files))

    def require(self, permissions: Permissions) -> None:
        """Raise PermissionMissingError, which names the first phase that needs what the caller does not hold."""
        for effect in self.permissions_needed:
            permissions.require(effect, self._why(effect))

    def _why(self, effect: Effect) -> str:
        if effect is Effect.LOCK:
            return "a bootloader that protects the device"
        if effect is Effect.BURN:
            return ENCRYPTED_BURNS
        phase = next(phase for phase in self.phases if phase.may_connect or phase.is_unbraked)
        if not phase.files:
            return phase.kind.value
        names = ", ".join(f.title for f in phase.files)
        if phase.is_unbraked:
            return f"{phase.kind.value} of {names} without its system part ({NO_BRAKE})"
        return (
            f"{phase.kind.value} of {names} ({_RUNS_APPLICATION[phase.kind]}; without that: install it over a debug "
            "probe, take a board that has it already, or leave it out)"
        )

    def lines(self) -> tuple[str, ...]:
        """What will be done, for people, one step a line."""
        return tuple(line for phase in self.phases for line in phase.lines())
