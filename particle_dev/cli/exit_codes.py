"""What the exit status of ``particle-dev`` means."""

from __future__ import annotations

from enum import IntEnum

from particle_dev.errors import (
    BenchError,
    BillingGuardError,
    ChipLockedError,
    CloudNotFoundError,
    ConfigError,
    ConnectivityError,
    DeviceAmbiguousError,
    DeviceNotFoundError,
    FirmwareStoreError,
    FormatError,
    ImportStateError,
    JournalError,
    NoWayToModeError,
    PageError,
    ParticleDevError,
    PermissionMissingError,
    PlanRefusedError,
    ProductVersionError,
    RecordNotFoundError,
    ReleaseError,
    RunFinishedError,
    ScopeMissingError,
    WrongDeviceError,
)


class ExitCode(IntEnum):
    """Exit statuses; every command uses these and no others."""

    OK = 0
    FAILED = 1
    """A device, a transfer or a unit failed, or what is printed cannot be written."""
    USAGE = 2
    """The command line is wrong."""
    BAD_INPUT = 3
    """A file, folder, recipe, bench or store cannot be used: read, or written."""
    NO_DEVICE = 4
    """No device, several devices, or another device than the one meant; in the cloud or the records, nothing of that
    name."""
    REFUSED = 5
    """Nothing was changed: a plan or a product's version rule forbids it, or one of our permissions is missing.
    What the cloud itself forbids a token is FAILED: what was done before that answer is done."""
    INCOMPLETE = 6
    """Nothing failed, but a slot was skipped or a run was not finished."""
    INTERRUPTED = 130
    """Ctrl-C."""
    OUTPUT_CLOSED = 141
    """Whoever read the output stopped early, as ``head`` does: 128 + SIGPIPE, as other programs end then."""


_EXIT_CODES: tuple[tuple[type[ParticleDevError], ExitCode], ...] = (
    (RecordNotFoundError, ExitCode.NO_DEVICE),
    (FormatError, ExitCode.BAD_INPUT),
    (ConfigError, ExitCode.BAD_INPUT),
    (BenchError, ExitCode.BAD_INPUT),
    (JournalError, ExitCode.BAD_INPUT),
    (PageError, ExitCode.BAD_INPUT),
    (ReleaseError, ExitCode.BAD_INPUT),
    (ImportStateError, ExitCode.BAD_INPUT),
    (BillingGuardError, ExitCode.REFUSED),
    (ProductVersionError, ExitCode.REFUSED),
    (FirmwareStoreError, ExitCode.BAD_INPUT),
    (DeviceNotFoundError, ExitCode.NO_DEVICE),
    (DeviceAmbiguousError, ExitCode.NO_DEVICE),
    (WrongDeviceError, ExitCode.NO_DEVICE),
    (CloudNotFoundError, ExitCode.NO_DEVICE),
    (ChipLockedError, ExitCode.REFUSED),
    (NoWayToModeError, ExitCode.REFUSED),
    (PlanRefusedError, ExitCode.REFUSED),
    (ConnectivityError, ExitCode.REFUSED),
    (PermissionMissingError, ExitCode.REFUSED),
    (RunFinishedError, ExitCode.REFUSED),
    (ScopeMissingError, ExitCode.REFUSED),
)


def exit_code_of(error: ParticleDevError) -> ExitCode:
    """The exit status for an error: that of the first class above that it belongs to, else FAILED."""
    return next((code for kind, code in _EXIT_CODES if isinstance(error, kind)), ExitCode.FAILED)
