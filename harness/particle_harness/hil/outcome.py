"""What kind of failure it was: of the bench, or of what is tested."""

from __future__ import annotations

import re
from enum import StrEnum

from particle_dev.errors import (
    BenchError,
    CloudAuthError,
    CloudLimitError,
    CloudServerError,
    ConfigError,
    DeviceAmbiguousError,
    FirmwareStoreError,
    JournalError,
    LinkAccessError,
    LinkUnreachableError,
    ParticleDevError,
    PermissionMissingError,
    PowerSwitchError,
    WrongDeviceError,
)

_OF_THE_BENCH = (
    BenchError,
    CloudAuthError,
    CloudLimitError,
    CloudServerError,
    ConfigError,
    DeviceAmbiguousError,
    FirmwareStoreError,
    JournalError,
    LinkAccessError,
    LinkUnreachableError,
    PermissionMissingError,
    PowerSwitchError,
    WrongDeviceError,
)


class FailureClass(StrEnum):
    """Who looks at it first."""

    INFRASTRUCTURE = "infrastructure"
    """The bench: no board, another board, no access, a switch, a server, a file, a permission."""
    PRODUCT = "product"
    """What is tested. A board that stalls, falls silent or leaves in the middle of a test counts as this: it may be the
    cable, but nobody knows before somebody looks."""


def failure_class(error: BaseException, when: str) -> FailureClass:
    """``when``: the phase of pytest, ``setup``, ``call`` or ``teardown``. Before a test begins and after it has ended
    nothing is tested; a board that is not found is the bench's fault only then."""
    at_the_edges = when != "call" and isinstance(error, ParticleDevError | OSError)
    if at_the_edges or isinstance(error, _OF_THE_BENCH):
        return FailureClass.INFRASTRUCTURE
    return FailureClass.PRODUCT


def error_code(error: BaseException) -> str:
    """A word for machines: the error's own ``code`` where it has one, else its class, ``VerifyError`` as
    ``verify_error``; ``assertion_error`` for what a test itself found."""
    # Of other exceptions only what their class says: an instance's code is somebody else's word.
    code = getattr(error if isinstance(error, ParticleDevError) else type(error), "code", None)
    if isinstance(code, str) and code:
        return code
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", type(error).__name__).lower()
