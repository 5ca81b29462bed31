"""Entry point: errors become messages and exit codes here and nowhere else."""

from __future__ import annotations

import sys

from particle_dev.cli.exit_codes import ExitCode
from particle_dev.errors import (
    BenchError,
    ConfigError,
    DeviceAmbiguousError,
    DeviceNotFoundError,
    FirmwareStoreError,
    FormatError,
    JournalError,
    ParticleDevError,
    PermissionMissingError,
    PlanRefusedError,
    RunFinishedError,
    WrongDeviceError,
)

_EXIT_CODES: tuple[tuple[type[ParticleDevError], ExitCode], ...] = (
    (FormatError, ExitCode.BAD_INPUT),
    (ConfigError, ExitCode.BAD_INPUT),
    (BenchError, ExitCode.BAD_INPUT),
    (JournalError, ExitCode.BAD_INPUT),
    (FirmwareStoreError, ExitCode.BAD_INPUT),
    (DeviceNotFoundError, ExitCode.NO_DEVICE),
    (DeviceAmbiguousError, ExitCode.NO_DEVICE),
    (WrongDeviceError, ExitCode.NO_DEVICE),
    (PlanRefusedError, ExitCode.REFUSED),
    (PermissionMissingError, ExitCode.REFUSED),
    (RunFinishedError, ExitCode.REFUSED),
)


def exit_code_of(error: ParticleDevError) -> ExitCode:
    """The exit status for an error: that of its most general class that has one, else FAILED."""
    return next((code for kind, code in _EXIT_CODES if isinstance(error, kind)), ExitCode.FAILED)


def error_object(error: ParticleDevError) -> dict[str, object]:
    """An error for ``--json``."""
    return {
        "error": {
            "type": type(error).__name__,
            "message": error.message,
            "hint": error.hint,
            **error.fields(),
        },
        "exit_code": int(exit_code_of(error)),
    }


def main(argv: list[str] | None = None) -> None:
    """Run the command line and exit."""
    arguments = sys.argv[1:] if argv is None else argv
    if arguments and arguments[0] == "inspect":
        # Without click, which costs more than the inspection.
        from particle_dev.cli.inspect_files import plain_call  # noqa: PLC0415

        exit_code = plain_call(arguments[1:])
        if exit_code is not None:
            sys.exit(exit_code)
    if not arguments or "--help" in arguments or "-h" in arguments:
        # Only help pages are worth the import time; commands defined after this render through it.
        from rich_click.patch import patch  # noqa: PLC0415

        patch()
    import json  # noqa: PLC0415

    import click  # noqa: PLC0415

    from particle_dev.cli.root import root  # noqa: PLC0415

    try:
        sys.exit(root.main(args=arguments, prog_name="particle-dev", standalone_mode=False))
    except click.ClickException as error:
        error.show()
        sys.exit(error.exit_code)
    except click.Abort:
        print("interrupted", file=sys.stderr)
        sys.exit(ExitCode.INTERRUPTED)
    except ParticleDevError as error:
        if "--json" in arguments:
            print(json.dumps(error_object(error), default=str))
        else:
            print(f"error: {error.message}", file=sys.stderr)
            if error.hint:
                print(f"  what to do: {error.hint}", file=sys.stderr)
        sys.exit(exit_code_of(error))
