"""``particle-dev inspect``: what firmware module files say about themselves, and whether they are intact."""

from __future__ import annotations

from pathlib import Path

import click

from particle_dev.cli.exit_codes import ExitCode
from particle_dev.cli.file_types import NAMED_FILE, force_option
from particle_dev.cli.inspect_files import inspect_files


@click.command()
@click.argument("files", metavar="FILE...", nargs=-1, required=True, type=click.Path())
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object a line and module.")
@click.option("--verify-only", is_flag=True, help="Print nothing but the problems, to standard error.")
@click.option("--map", "show_map", is_flag=True, help="Draw which bytes of a module are what.")
@click.option("--svg", "svg_path", type=NAMED_FILE, help="Write that drawing of one module as SVG.")
@click.option(
    "--on-board",
    "board_file",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Would a board take it as an update? FILE is what `particle-dev id --json` printed.",
)
@force_option
@click.pass_context
def inspect(
    ctx: click.Context,
    files: tuple[str, ...],
    as_json: bool,
    verify_only: bool,
    show_map: bool,
    svg_path: Path | None,
    board_file: Path | None,
    force: bool,
) -> None:
    """Show what firmware modules (.bin) are for, and check them.

    FILE is a module, a folder, an archive (each .bin file in it), an application bundle, whose assets are checked too,
    or - for one of these, but a folder, on standard input. Several modules in one file are FILE#1 and FILE#2; offsets
    count from the start of the file. The exit code is 3 when one is damaged or no firmware module.

    With --on-board the checks of that board's Device OS are told too: place, size, CRC-32, platform and dependencies of
    a module that arrives over the air or over USB control requests, one by one, with what is on the board now. The exit
    code is 5 when one fails. A board with device protection is stricter than told here.
    """
    if as_json + verify_only + show_map > 1:
        raise click.UsageError("Give one of --json, --verify-only and --map; --svg goes with each of them.")
    if svg_path and len(files) > 1:
        raise click.UsageError(f"--svg draws one module, not {len(files)} files: give one FILE, or use --map.")
    answers = None
    if board_file:
        from particle_dev.cli.inspect_on_board import BoardAnswers  # noqa: PLC0415  slow to import

        answers = BoardAnswers(board_file)
    good, modules = inspect_files(files, as_json=as_json, verify_only=verify_only, show_map=show_map, complete=answers)
    if svg_path and len(modules) > 1:
        raise click.UsageError("--svg draws one module, FILE has several: use --map, or first `firmware split`.")
    if svg_path and modules:
        if modules[0].is_whole:
            from particle_dev.cli.inspect_map import write_svg  # noqa: PLC0415  slow to import

            write_svg(modules[0], svg_path, replace=force)
        else:
            click.echo(f"{click.format_filename(svg_path)}: not written, there is no whole module to draw", err=True)
    if not good:
        ctx.exit(ExitCode.BAD_INPUT)
    if answers and answers.has_refused:
        ctx.exit(ExitCode.REFUSED)
