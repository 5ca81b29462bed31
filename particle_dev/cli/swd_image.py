"""``particle-dev swd image``."""

from __future__ import annotations

import hashlib
import json
import shlex
import sys
from pathlib import Path

import click

from particle_dev.catalog.chips import NRF52840, chip_of
from particle_dev.catalog.uicr import FACTORY_WORDS, UICR_START
from particle_dev.cli.options import json_option, open_store, store_option
from particle_dev.cli.swd_flash import offer_options, wanted_segments
from particle_dev.cli.swd_options import platform_named
from particle_dev.cli.swd_view import end_unless_whole
from particle_dev.cli.wrap import wrapped
from particle_dev.errors import PlanRefusedError
from particle_dev.flash.hex_file import write_hex
from particle_dev.flash.swd_image import Segment, problems_of


@click.command("image")
@click.argument("image", type=click.Path(path_type=Path, dir_okay=False), metavar="HEX")
@click.option("--platform", "platform_name", required=True, metavar="NAME", help="Which board.")
@offer_options
@store_option
@json_option
def image(
    image: Path,
    platform_name: str,
    files: tuple[Path, ...],
    release: str | None,
    app: str | None,
    restore_file: Path | None,
    store_dir: Path | None,
    as_json: bool,
) -> None:
    """Write what `swd flash` would put onto a blank board into an Intel-HEX file, for other programs and probes.

    No board is needed. The file must not be there yet.
    """
    platform = platform_named(platform_name)
    assert platform is not None
    chip = chip_of(platform)
    if chip is None:
        raise click.UsageError(f"{platform.display_name} is not programmed by a debug probe.")
    segments, left_out = wanted_segments(platform, files, release, app, restore_file, open_store(store_dir))
    reasons = problems_of(chip, segments)
    if reasons:
        raise PlanRefusedError("; ".join(reasons), reasons=reasons, hint="nothing was written")
    if platform.family == "nrf52840" and not any(s.address >= UICR_START for s in segments):
        words = tuple(Segment("UICR", address, word.to_bytes(4, "little")) for address, word in FACTORY_WORDS.items())
        segments = (*segments, *words)
    write_hex(image, [(s.address, s.data) for s in segments])
    if as_json:
        pieces = [
            {"name": s.title, "address": s.address, "size_bytes": len(s.data), "sha256": _sha256(s)} for s in segments
        ]
        answer = {"file": str(image), "platform": platform.name, "pieces": pieces, "left_out": left_out}
        click.echo(json.dumps(answer))
    else:
        for segment in segments:
            click.echo(f"0x{segment.address:08x}  {segment.title}, {len(segment.data)} bytes")
        click.echo(f"written to {image}")
        # pyOCD lets the core go on when it ends, which locks up and resets the chip, and that boots.
        how = f"pyocd flash -t nrf52840 --no-reset -O resume_on_disconnect=false {shlex.quote(str(image))}"
        by = f", as `{how}` does" if chip == NRF52840 else ""
        step = f"now program it by a tool that does not let the board run{by}; then `particle-dev swd park dfu`"
        click.echo(wrapped(step, sys.stdout))
    end_unless_whole(left_out)


def _sha256(segment: Segment) -> str:
    return hashlib.sha256(segment.data).hexdigest()
