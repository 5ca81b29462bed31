"""``particle-dev swd list``, ``id``, ``park``, ``recover``, ``lock``."""

from __future__ import annotations

import json
import sys
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import click

from particle_dev.catalog.uicr import UICR_NAMES
from particle_dev.cli.exit_codes import ExitCode
from particle_dev.cli.options import json_option
from particle_dev.cli.swd_options import (
    act_journal,
    journal_option,
    may_erase_option,
    may_lock_option,
    opened_board,
    probe_options,
    read_out_folder,
    settled,
)
from particle_dev.cli.swd_rtl872x import park_halted, rtl872x_platform, show_identity
from particle_dev.cli.typeable import typeable
from particle_dev.cli.wrap import wrapped
from particle_dev.device.rtl872x_swd import refuse_to_write
from particle_dev.device.swd import Park, SwdIdentity, SwdSession, require_pyocd
from particle_dev.errors import WrongDeviceError
from particle_dev.flash.board_modules import module_title
from particle_dev.permissions import Permissions
from particle_dev.protocol.identifiers import parse_label
from particle_dev.station import swd_acts

_ERASED_WORD = 0xFFFFFFFF
_REMOTE = "one that a program serves is not listed: --probe remote:HOST:PORT"


@click.command("list")
@json_option
def list_command(as_json: bool) -> None:
    """List debug probes that are plugged in. None of them is opened for a board."""
    require_pyocd()
    from particle_dev.transport.swd_probes import list_probes  # noqa: PLC0415  pyOCD is slow to import

    probes = list_probes()
    if as_json:
        names = ("unique_id", "vendor", "product", "usb_path")
        click.echo(json.dumps({"probes": [{name: getattr(p, name) for name in names} for p in probes]}))
        return
    for probe in probes:
        click.echo(f"{probe.unique_id:<34}{probe.usb_path or '-':<12}{probe.vendor} {probe.product}")
    if not probes:
        click.echo(f"no debug probe is plugged in\n  {_REMOTE}")


@click.command("id")
@probe_options
@click.option("--label", metavar="TEXT", help="What the code on the board's label says: is it this board?")
@json_option
def identify(label: str | None, as_json: bool, **board: Any) -> None:
    """Show who is behind the probe: Device ID, chip, protection, and what the modules in flash call themselves.

    Halts the core and leaves it halted. Writes nothing.
    """
    expected = parse_label(label).identifier.value if label else None
    rtl872x = rtl872x_platform(board)
    if rtl872x is not None:
        show_identity(rtl872x, board, as_json=as_json)
        return
    with opened_board(**board) as session:
        identity = session.identity()
    unproven = _is_unproven(identity, expected)
    cut_short_at = act_journal(None).cut_short_at(identity.device_id)
    if as_json:
        matches = None if unproven else bool(expected) or None
        click.echo(
            json.dumps({**identity_object(identity), "label_matches": matches, "flash_cut_short_at": cut_short_at})
        )
        if unproven:
            raise SystemExit(ExitCode.INCOMPLETE)
        return
    platform = identity.platform.display_name if identity.platform else "unknown board"
    click.echo(f"{identity.device_id}  {platform}, {identity.chip.name} {identity.variant}".rstrip())
    click.echo(f"debug port: {identity.protection}")
    if identity.serial_number is not None:
        click.echo(f"serial number: {identity.serial_number}" + (", as on the label" if expected else ""))
    for slot, prefix in identity.prefixes:
        title = module_title(prefix.function, prefix.index, prefix.version)
        click.echo(f"0x{slot.start_address:08x}  {title}, {prefix.size_bytes} bytes (by its prefix; not checked)")
    if identity.softdevice is not None:
        click.echo(f"0x00001000  radio stack 0 v{identity.softdevice} (not checked)")
    for address, name in UICR_NAMES.items() if identity.uicr else ():
        if identity.uicr_word(address) != _ERASED_WORD:
            click.echo(f"UICR {name} = 0x{identity.uicr_word(address):08x}")
    if cut_short_at is not None:
        click.echo(f"the last flash by this computer, begun {cut_short_at}, was cut short:")
        named = "" if identity.platform else ", with --platform NAME"
        click.echo(f"  unless it was finished elsewhere, run the same swd flash again{named}")
    if unproven:
        click.echo("the label is not compared: the serial number lies where a probe does not see it", err=True)
        raise SystemExit(ExitCode.INCOMPLETE)


def _is_unproven(identity: SwdIdentity, expected: str | None) -> bool:
    """Whether a label was given that cannot be compared. Raises WrongDeviceError when it is of another board."""
    if expected is None or identity.serial_number is None:
        return expected is not None
    if identity.serial_number != expected:
        raise WrongDeviceError(
            f"the label is of {expected}, the board behind the probe of {identity.serial_number}",
            expected=expected,
            actual=identity.serial_number,
            hint="check which board the probe is on",
        )
    return False


def identity_object(identity: SwdIdentity) -> dict[str, object]:
    """An identity for ``--json``."""
    platform = identity.platform
    return {
        "device_id": identity.device_id,
        "chip": identity.chip.name,
        "variant": identity.variant or None,
        "platform": {"id": platform.id, "name": platform.name} if platform else None,
        "protection": str(identity.protection),
        "prefixes": [
            {
                "function": p.function,
                "index": p.index,
                "version": p.version,
                "start_address": p.start_address,
                "size_bytes": p.size_bytes,
            }
            for _, p in identity.prefixes
        ],
        "softdevice": identity.softdevice,
        "serial_number": identity.serial_number,
        "uicr": {f"0x{a:08x}": identity.uicr_word(a) for a in UICR_NAMES} if identity.uicr else None,
    }


@click.command("park")
@click.argument("how", type=click.Choice([str(Park.HALTED), str(Park.DFU)]))
@probe_options
@json_option
def park(how: str, as_json: bool, **board: Any) -> None:
    """Reset the board so that no application runs: HALTED at its first instruction, or in DFU mode.

    DFU holds for one start: write it again before every further reset.
    """
    rtl872x = rtl872x_platform(board)
    if rtl872x is not None:
        if how != str(Park.HALTED):
            refuse_to_write(rtl872x)
        park_halted(rtl872x, board, as_json=as_json)
        return
    with opened_board(**board) as session:
        device_id = session.identity().device_id
        proves = session.park(Park(how))
    if as_json:
        click.echo(json.dumps({"device_id": device_id, "parked": how, "proves": proves}))
    else:
        click.echo(f"{device_id}: {how}")
        _tell(f"  {proves}")


@click.command("recover")
@probe_options
@may_erase_option
@journal_option
@json_option
def recover(may_erase: bool, journal_file: Path | None, as_json: bool, **board: Any) -> None:
    """Open a locked nRF52840 by erasing its flash and UICR. The application, bootloader and MBR are gone then.

    A board that can be read is read out into a file first. Keys and settings of Gen 3 boards lie in external flash and
    stay. Do not take power away before the board is flashed again: newer chips close with the next power-up. Needs
    --may-erase. Recorded in the journal.
    """
    permissions = Permissions(may_erase=may_erase)
    with settled(board) as chosen:

        def open_board(erase: bool) -> AbstractContextManager[SwdSession]:
            options: dict[str, Any] = {"recover": True, "permissions": permissions} if erase else {}
            return opened_board(**chosen, **options)

        folder = read_out_folder()
        done = swd_acts.recover(open_board, chosen["probe_id"], act_journal(journal_file), folder, permissions)
    identity, file = done.identity, str(done.read_out) if done.read_out else None
    if as_json:
        click.echo(json.dumps({"recovered": True, "read_out": file, **identity_object(identity)}))
        return
    _tell(f"read out before: {file}" if file else "it was locked: nothing could be read out before")
    _tell(f"{identity.device_id}: flash and UICR are erased; debug port: {identity.protection}")
    _tell("do not take power away before it is flashed again: newer chips close with the next power-up")
    platform = board["platform_name"] or (done.platform.name if done.platform else "NAME")
    release = "--device-os RELEASE --app NAME --restore HEX"
    command = typeable(f"`particle-dev swd flash --platform {platform} {release}`", _given(board))
    _tell(f"now flash it, with a restore file: {command}")


def _given(board: dict[str, Any]) -> list[str]:
    named = (("--probe", board["probe_id"]), ("--bench", board["bench_spec"]))
    return [word for option, value in named if value for word in (option, value)]


def _tell(text: str) -> None:
    click.echo(wrapped(text, sys.stdout))


@click.command("lock")
@probe_options
@may_lock_option
@click.option("--no-reset", is_flag=True, help="Leave the core halted: the port closes at the next reset, unproven.")
@journal_option
@json_option
def lock(may_lock: bool, no_reset: bool, journal_file: Path | None, as_json: bool, **board: Any) -> None:
    """Close the debug port of an nRF52840. Only erasing everything opens it again.

    The board is reset into DFU mode, and its control access port asked whether the lock is in force: exit status 0 says
    so, 6 that it is not proven. Needs --may-lock. Recorded in the journal.
    """
    with settled(board) as chosen:
        done = swd_acts.lock(
            lambda _erase: opened_board(**chosen),
            chosen["probe_id"],
            act_journal(journal_file),
            Permissions(may_lock=may_lock),
            prove=not no_reset,
        )
    if as_json:
        click.echo(json.dumps({"device_id": done.device_id, "port_closed": done.proven, "left": str(done.left)}))
    else:
        will = "closes at the next power-up; not proven"
        closed = "is closed, as its control access port says" if done.proven else will
        _tell(f"{done.device_id}: the debug port {closed}")
        _tell(f"left {done.left}: {done.left.proves}")
    if not done.proven:
        raise SystemExit(ExitCode.INCOMPLETE)
