"""Entry point: errors become messages and exit codes here and nowhere else."""

from __future__ import annotations

import io
import os
import sys
from typing import TYPE_CHECKING

from particle_dev.cli.error_text import error_text
from particle_dev.cli.exit_codes import ExitCode, exit_code_of
from particle_dev.cli.json_objects import error_object
from particle_dev.cli.lost_interrupts import lost_interrupts_come_again
from particle_dev.cli.wrap import wrapped
from particle_dev.errors import ParticleDevError

if TYPE_CHECKING:
    import click
    from _typeshed import ReadableBuffer


def _usage_object(error: click.ClickException) -> dict[str, object]:
    context = getattr(error, "ctx", None)
    page = context.command_path if context else "particle-dev"
    return {
        "error": {
            "type": "UsageError",
            "message": error.format_message(),
            "hint": f"see: {page} --help",
        },
        "exit_code": error.exit_code,
    }


def main(argv: list[str] | None = None) -> None:
    """Run the command line and exit."""
    _make_output_safe()
    arguments = sys.argv[1:] if argv is None else argv
    try:
        try:
            with lost_interrupts_come_again():
                status = _run(arguments)
        except KeyboardInterrupt as error:
            status = _interrupted(error, as_json="--json" in arguments)
        sys.stdout.flush()
    except BrokenPipeError:
        # Whoever reads has seen enough.
        status = ExitCode.OUTPUT_CLOSED
        _drop_output()
    except OSError as error:
        # What commands do with files, devices and folders has errors of its own; what is left is the output.
        print(f"error: the output cannot be written: {error.strerror or error}", file=sys.stderr)
        status = ExitCode.FAILED
        _drop_output()
    sys.exit(status)


def _interrupted(error: BaseException | None, *, as_json: bool) -> ExitCode:
    """Say that it was Ctrl-C, and what the command said of the state in which that left things and of what to do."""
    state, hint = error.args if isinstance(error, KeyboardInterrupt) and len(error.args) == 2 else ("", "")
    message = f"interrupted; {state}" if state else "interrupted"
    if as_json:
        import json  # noqa: PLC0415  start-up time counts here

        answer = {"type": "KeyboardInterrupt", "message": message, "hint": hint or "run it again"}
        print(json.dumps({"error": answer, "exit_code": int(ExitCode.INTERRUPTED)}))
    else:
        lines = [message, *([f"  what to do: {hint}"] if hint else [])]
        print("\n".join(wrapped(line, sys.stderr, 4) for line in lines), file=sys.stderr)
    return ExitCode.INTERRUPTED


def _make_output_safe() -> None:
    """A name that the terminal's encoding lacks or a stderr that is full is no reason to stop; what is printed to a
    closed stdout is lost, and must be an error like that of a full one."""
    if sys.stdout is None:
        read_only = os.open(os.devnull, os.O_RDONLY)
        sys.stdout = io.TextIOWrapper(io.BufferedWriter(io.FileIO(read_only, "wb")), encoding="utf-8")
    stderr = sys.__stderr__
    if stderr is None:
        sys.stderr = open(os.devnull, "w", encoding="utf-8")  # noqa: PTH123, SIM115  likewise
    elif sys.stderr is stderr:
        raw = _Stderr(stderr.fileno(), "wb", closefd=False)
        sys.stderr = io.TextIOWrapper(io.BufferedWriter(raw), stderr.encoding, line_buffering=True)
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


class _Stderr(io.FileIO):
    """The exit status must not change because nobody can be told why."""

    def write(self, data: ReadableBuffer) -> int:
        try:
            return super().write(data)
        except OSError:
            return memoryview(data).nbytes


def _drop_output() -> None:
    """Point stdout elsewhere, or Python complains once more when it closes it."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, sys.stdout.fileno())
    os.close(nowhere)


def _run(arguments: list[str]) -> int:
    """Exit status of a command line."""
    if arguments and arguments[0] == "inspect":
        # Without click, which costs more than the inspection.
        from particle_dev.cli.inspect_files import plain_call  # noqa: PLC0415

        exit_code = plain_call(arguments[1:])
        if exit_code is not None:
            return exit_code
    if not arguments or "--help" in arguments or "-h" in arguments:
        # Only help pages are worth the import time; commands defined after this render through it.
        from rich_click.patch import patch  # noqa: PLC0415

        patch()
    import json  # noqa: PLC0415

    import click  # noqa: PLC0415

    from particle_dev.cli.root import root  # noqa: PLC0415

    stdout = sys.stdout
    try:
        return root.main(args=arguments, prog_name="particle-dev", standalone_mode=False) or ExitCode.OK
    except click.ClickException as error:
        if "--json" in arguments:
            print(json.dumps(_usage_object(error)))
        else:
            error.show()
        return error.exit_code
    except click.Abort as error:
        # click makes one of Ctrl-C.
        return _interrupted(error.__cause__, as_json="--json" in arguments)
    except SystemExit as error:
        # So rich and click answer to a pipe that nobody reads any more; click also puts another stdout in place.
        if isinstance(error.__context__, BrokenPipeError) or sys.stdout is not stdout:
            return ExitCode.OUTPUT_CLOSED
        raise
    except ParticleDevError as error:
        from particle_dev.cli.typeable import typeable  # noqa: PLC0415  likewise

        error.hint = typeable(error.hint, arguments)
        if "--json" in arguments:
            print(json.dumps(error_object(error), default=str))
        else:
            print(error_text(error), file=sys.stderr)
        return exit_code_of(error)
