"""``particle-dev inspect``: what firmware module files say about themselves, and whether they are intact."""

from __future__ import annotations

import click

from particle_dev.cli.exit_codes import ExitCode
from particle_dev.cli.inspect_files import inspect_files


@click.command()
@click.argument("files", metavar="FILE...", nargs=-1, required=True, type=click.Path())
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object a line and module.")
@click.option("--verify-only", is_flag=True, help="Print nothing but the problems, to standard error.")
@click.option("--map", "show_map", is_flag=True, help="Draw which bytes of a module are what.")
@click.option("--svg", "svg_path", type=click.Path(dir_okay=False), help="Write that drawing of one module as SVG.")
@click.pass_context
def inspect(
    ctx: click.Context, files: tuple[str, ...], as_json: bool, verify_only: bool, show_map: bool, svg_path: str | None
) -> None:
    """Show what firmware modules (.bin) are for, and check their length, CRC-32 and SHA-256.

    FILE is a module, a folder, an archive (each .bin file in it), an application bundle, whose assets are checked too,
    or - for standard input. The modules of a combined file are FILE#1 and FILE#2. The exit code is 3 when one is
    damaged or no firmware module.
    """
    if as_json and (verify_only or show_map):
        raise click.UsageError("--json goes without --verify-only and --map.")
    good, modules = inspect_files(files, as_json=as_json, verify_only=verify_only, show_map=show_map)
    if svg_path and len(modules) > 1:
        raise click.UsageError("--svg draws one module.")
    if svg_path and modules:
        from particle_dev.cli.inspect_map import write_svg  # noqa: PLC0415  slow to import

        write_svg(modules[0], svg_path)
    if not good:
        ctx.exit(ExitCode.BAD_INPUT)
