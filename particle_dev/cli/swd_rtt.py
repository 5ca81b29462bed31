"""``particle-dev swd rtt``."""

from __future__ import annotations

import json
import sys
from typing import Any

import click

from particle_dev.cli.exit_codes import ExitCode
from particle_dev.cli.options import json_option
from particle_dev.cli.swd_options import opened_board, probe_options
from particle_dev.device.rtt import POLL_INTERVAL_S, Rtt, start_rtt
from particle_dev.device.swd import Park
from particle_dev.finite_range import FiniteRange
from particle_dev.permissions import Permissions
from particle_dev.transport.clock import SystemClock


def _address(_context: click.Context, _parameter: click.Parameter, text: str | None) -> int | None:
    try:
        return None if text is None else int(text, 0)
    except ValueError as error:
        raise click.BadParameter(f"{text!r} is no address such as 0x20001000") from error


@click.command("rtt")
@probe_options
@click.option("--address", callback=_address, metavar="0x…", help="Where the control block lies [all RAM is searched].")
@click.option("--channel", type=click.IntRange(0, 63), default=0, help="Number of the channel, both ways [0].")
@click.option("--send", metavar="TEXT", help="Write this to the firmware; \\n is a line end.")
@click.option("--until", metavar="TEXT", help="End when the firmware has written this; exit status 6 when it does not.")
@click.option("--for", "for_s", type=FiniteRange(min=0), metavar="S", help="End after S seconds [never].")
@click.option("--attach", is_flag=True, help="Do not reset: the firmware runs already.")
@click.option("--may-connect", is_flag=True, help="Let the firmware run, which may start billing.")
@json_option
def rtt(
    address: int | None,
    channel: int,
    send: str | None,
    until: str | None,
    for_s: float | None,
    attach: bool,
    may_connect: bool,
    as_json: bool,
    **board: Any,
) -> None:
    """Let a test firmware run and show what it writes to its RTT buffers, until --until, --for or Ctrl-C.

    Device OS has no RTT buffers. The board is left halted. Needs --may-connect: the firmware runs meanwhile.
    """
    permissions = Permissions(may_connect=may_connect)
    permissions.require_connect("running the firmware")
    with opened_board(**board, attach=attach) as session:
        device_id = session.identity().device_id
        try:
            channels = start_rtt(session, permissions, address=address, reset=not attach)
            heard, seen = _talk(channels, channel, _text(send), _text(until), for_s, quiet=as_json)
        finally:
            proves = session.park(Park.HALTED)
    if as_json:
        answer = {"device_id": device_id, "address": channels.address, "heard": heard.decode("utf-8", "replace")}
        click.echo(json.dumps({**answer, "until_seen": seen, "left": "halted", "left_proves": proves}))
    if seen is False:
        raise SystemExit(ExitCode.INCOMPLETE)


def _text(words: str | None) -> bytes | None:
    return None if words is None else words.replace("\\n", "\n").encode()


def _talk(
    channels: Rtt, channel: int, send: bytes | None, until: bytes | None, for_s: float | None, *, quiet: bool
) -> tuple[bytes, bool | None]:
    """What the firmware wrote, and whether ``until`` was in it."""
    clock, heard, left = SystemClock(), b"", send or b""
    end_s = None if for_s is None else clock.monotonic_s() + for_s
    while end_s is None or clock.monotonic_s() < end_s:
        if left:
            left = left[channels.write(left, channel) :]
        data = channels.read(channel)
        heard += data
        if data and not quiet:
            sys.stdout.buffer.write(data)
            sys.stdout.buffer.flush()
        if until is not None and until in heard:
            return heard, True
        if not data:
            clock.sleep(POLL_INTERVAL_S)
    return heard, None if until is None else False
