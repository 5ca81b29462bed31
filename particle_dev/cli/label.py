"""``particle-dev label``."""

from __future__ import annotations

from pathlib import Path

import click

from particle_dev.cli.command_type import CommandT
from particle_dev.cli.exit_codes import ExitCode
from particle_dev.cli.file_types import MODULE_FILE, NAMED_FILE, force_option
from particle_dev.cli.options import json_option
from particle_dev.cli.output import print_json
from particle_dev.finite_range import FiniteRange
from particle_dev.flash.file_io import read_input, require_new_file, write_file
from particle_dev.protocol.identifiers import Identifier, IdentifierKind, Misread, identify, parse_label, visible
from particle_dev.protocol.secret import Secret
from particle_dev.station.labels import LabelContent, LabelLayout, Symbology, compare_scan, label_svg, label_zpl


@click.group()
def label() -> None:
    """Labels with a Data Matrix or QR code for devices and their boxes."""


def _content_options(command: CommandT) -> CommandT:
    for option in (
        click.option(
            "--secret-file",
            type=MODULE_FILE,
            metavar="FILE",
            help="File with what the device's own label says, serial number and mobile secret; - is standard input.",
        ),
        click.option("--serial", metavar="NUMBER", help="The serial number alone."),
        click.option("--device-id", metavar="ID", help="The Device ID alone."),
    ):
        command = option(command)
    return command


@label.command()
@_content_options
@click.option("--symbol", type=click.Choice(["datamatrix", "qr"]), default="datamatrix", show_default=True)
@click.option("--svg", type=NAMED_FILE, metavar="FILE", help="Write a drawing here.")
@click.option("--zpl", type=NAMED_FILE, metavar="FILE", help="Write what a ZPL printer takes here.")
@click.option("--line", "lines", multiple=True, metavar="TEXT", help="Text beside the code; may be repeated.")
@click.option("--module-mm", type=FiniteRange(0.1, 5), default=0.4, show_default=True, help="Size of a dark square.")
@click.option("--dpi", type=click.IntRange(100, 1200), default=203, show_default=True, help="Of the ZPL printer.")
@force_option
@json_option
def make(
    device_id: str | None,
    serial: str | None,
    secret_file: Path | None,
    symbol: str,
    svg: Path | None,
    zpl: Path | None,
    lines: tuple[str, ...],
    module_mm: float,
    dpi: int,
    force: bool,
    as_json: bool,
) -> None:
    """Write a label as SVG, ZPL or both. The mobile secret is in the code's picture only, never in text; it comes
    from a file, since command lines are seen by others."""
    if svg is None and zpl is None:
        raise click.UsageError("give --svg, --zpl or both.")
    content = _content(device_id, serial, secret_file, lines)
    layout = LabelLayout(Symbology(symbol), module_mm, dpi)
    written = []
    for path, render in ((svg, label_svg), (zpl, label_zpl)):
        if path is not None:
            require_new_file(path, replace=force)
            write_file(path, render(content, layout).encode("utf-8"), replace=force)
            written.append(str(path))
    holds = "serial number and mobile secret" if content.mobile_secret else content.identifier.kind.noun
    if as_json:
        print_json({"files": written, "identifier": content.identifier.value, "holds": holds, "symbol": symbol})
    else:
        click.echo(f"{', '.join(written)}: {symbol} of {content.identifier.value}, with {holds}")


@label.command()
@_content_options
@click.option(
    "--scan",
    "scan_file",
    type=MODULE_FILE,
    default=Path("-"),
    metavar="FILE",
    help="The scan; - (default) is standard input, where scanners type.",
)
@json_option
def check(device_id: str | None, serial: str | None, secret_file: Path | None, scan_file: Path, as_json: bool) -> None:
    """Hold what a scanner reads against what the label should say. Exit status 1 when it differs."""
    content = _content(device_id, serial, secret_file, ())
    result = compare_scan(content, read_input(scan_file).decode("utf-8", "replace"))
    if as_json:
        print_json(result)
    else:
        click.echo(result.message)
    if not result.matches:
        raise SystemExit(ExitCode.FAILED)


def _content(
    device_id: str | None, serial: str | None, secret_file: Path | None, lines: tuple[str, ...]
) -> LabelContent:
    if sum(value is not None for value in (device_id, serial, secret_file)) != 1:
        raise click.UsageError("give one of --device-id, --serial and --secret-file.")
    if secret_file is not None:
        found = parse_label(read_input(secret_file).decode("utf-8", "replace"))
        if found.mobile_secret is None:
            raise click.UsageError("--secret-file holds no mobile secret: use --serial.")
        return LabelContent(found.identifier, Secret(found.mobile_secret.reveal()), lines)
    kind = IdentifierKind.DEVICE_ID if device_id is not None else IdentifierKind.SERIAL_NUMBER
    identifier = identify(visible(device_id or serial or "").strip(), kind)
    if isinstance(identifier, Identifier):
        return LabelContent(identifier, None, lines)
    assert isinstance(identifier, Misread)
    raise click.UsageError(f"{identifier.message}; {identifier.hint}.")
