"""``particle-dev sim esp32``: a virtual ESP32 for ``particle-dev esp`` and esptool."""

from __future__ import annotations

import json
import signal
import threading

import click

from particle_harness.esp32.chip import VirtualEsp32
from particle_harness.esp32.loader import RomLoader
from particle_harness.esp32.rfc2217 import Rfc2217Port
from particle_harness.esp32.serve import PtyPort, SocketPort

_KINDS = {"socket": SocketPort, "rfc2217": Rfc2217Port, "pty": PtyPort}


@click.command()
@click.option("--blank", is_flag=True, help="Nothing was ever programmed into it.")
@click.option(
    "--link",
    type=click.Choice(list(_KINDS)),
    default="socket",
    show_default=True,
    help="What it hangs on; rfc2217 carries the lines that reset it, and is slow.",
)
@click.option("--json", "as_json", is_flag=True, help="Print JSON instead of text.")
def esp32(blank: bool, link: str, as_json: bool) -> None:
    """Offer a virtual ESP32, as that of an Argon, in its ROM loader until interrupted."""
    # Before anybody hears of the port: whoever does may end the server at once.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    chip = VirtualEsp32(blank=blank)
    chip.reset(into_loader=True)
    with _KINDS[link](RomLoader(chip)) as port:
        click.echo(json.dumps({"port": port.url}) if as_json else f"served on {port.url}; Ctrl-C ends")
        threading.Event().wait()
