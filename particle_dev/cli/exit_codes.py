"""What the exit status of ``particle-dev`` means."""

from __future__ import annotations

from enum import IntEnum


class ExitCode(IntEnum):
    """Exit statuses; every command uses these and no others."""

    OK = 0
    FAILED = 1
    """A device, a transfer or a unit failed."""
    USAGE = 2
    """The command line is wrong."""
    BAD_INPUT = 3
    """A file, recipe, bench or store cannot be used."""
    NO_DEVICE = 4
    """No device, several devices, or another device than the one meant."""
    REFUSED = 5
    """Nothing was changed: a plan or a product's version rule forbids it, or a permission is missing."""
    INCOMPLETE = 6
    """Nothing failed, but a slot was skipped or a run was not finished."""
    INTERRUPTED = 130
    """Ctrl-C."""
    OUTPUT_CLOSED = 141
    """Whoever read the output stopped early, as ``head`` does: 128 + SIGPIPE, as other programs end then."""
