"""``particle-dev sim``: virtual boards for other programs and machines.

Found by the entry point group ``particle_dev.commands``.
"""

from __future__ import annotations

import json
import os
import signal
import threading
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any, TypeVar

import click
import platformdirs
from click.core import ParameterSource

from particle_dev.errors import BenchError, DeviceNotFoundError
from particle_harness.bench import DEFAULT_SLOTS, open_bench
from particle_harness.bench_toml import driver_of, modules_in, open_bench_file, stand_ins
from particle_harness.boards import hardware
from particle_harness.cloud.command import COMMANDS as CLOUD_COMMANDS
from particle_harness.emulator.bench import open_bench as open_emulated
from particle_harness.emulator.nrf52840.boot_record import boot_record
from particle_harness.esp32.command import esp32
from particle_harness.served import ServedBench, answer, boards_of
from particle_harness.sim_record import record_command
from particle_harness.sim_trace import trace_command
from particle_harness.usbip import PORT, Server, ask
from particle_harness.user_information import factory_uicr, intel_hex, mbr_stand_in
from particle_harness.vhci import attach_all

CommandT = TypeVar("CommandT", bound=Callable[..., Any])


_RUNS = {"listening": "listening", "safe_mode": "safe mode", "hung": "hangs", "reset_loop": "resets over and over"}
"""What a board runs where its mode on the bus does not tell."""
_DEFAULT_SERVER = f"127.0.0.1:{PORT}"


def server_address(text: str) -> tuple[str, int]:
    """``HOST:PORT`` as sockets take it. ValueError when it is none."""
    host, _, port = text.rpartition(":")
    if not host or not port.isdecimal() or not 0 < int(port) < 1 << 16:
        raise ValueError
    return host, int(port)


def _server_option(command: CommandT) -> CommandT:
    return click.option(
        "--server", type=server_address, default=_DEFAULT_SERVER, metavar="HOST:PORT", show_default=True, help="Which."
    )(command)


def _json_option(command: CommandT) -> CommandT:
    return click.option("--json", "as_json", is_flag=True, help="Print JSON instead of text.")(command)


@click.group()
def sim() -> None:
    """Virtual boards for other programs, and a simulated cloud.

    In one terminal `particle-dev sim serve`; in another `sudo particle-dev sim attach`, or on any Linux machine
    `usbip attach -r HOST -b 1-1`. Then they lie on the desk: for particle-dev, dfu-util, particle, a terminal program.
    `sim unplug` and `sim plug` pull and return their cables, also at the bench of a station whose option `hands` is a
    port. `sim cloud` runs a cloud for boards and programs.
    """


@sim.command()
@click.argument("bench_file", required=False, type=click.Path(dir_okay=False, path_type=Path))
@click.option("--platform", "platforms", multiple=True, metavar="NAME", help="A board of that kind; may be repeated.")
@click.option("--blank", is_flag=True, help="Nothing was ever programmed into the boards of --platform.")
@click.option("--probe", is_flag=True, help="A debug probe is on each board of --platform, for pyOCD and OpenOCD.")
@click.option("--state", "state_dir", type=click.Path(file_okay=False, path_type=Path), help="Keep the boards there.")
@click.option(
    "--store",
    "store_dir",
    envvar="PARTICLE_DEV_STORE",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    help="Firmware store, or a folder of modules: new boards get the newest bootloader and SoftDevice of it "
    "[env: PARTICLE_DEV_STORE].",
)
@click.option("--emulated", is_flag=True, help="Emulated boards: they run firmware images of yours.")
@click.option(
    "--images",
    envvar="PARTICLE_DEV_FIRMWARE_DIR",
    type=click.Path(file_okay=False, path_type=Path),
    help="Folder of those images, with --emulated or a bench file of such boards "
    "[env: PARTICLE_DEV_FIRMWARE_DIR; default: the firmware store].",
)
@click.option("--host", default="127.0.0.1", show_default=True, help="Address to listen on. There is no password.")
@click.option("--port", type=click.IntRange(0, 65535), default=PORT, show_default=True, help="0 takes a free one.")
@_json_option
def serve(
    bench_file: Path | None,
    platforms: Sequence[str],
    blank: bool,
    probe: bool,
    state_dir: Path | None,
    store_dir: Path | None,
    emulated: bool,
    images: Path | None,
    host: str,
    port: int,
    as_json: bool,
) -> None:
    """Offer virtual boards over USB/IP until interrupted.

    Those of BENCH_FILE, one of each --platform, or else a Boron, a B-SoM, a Tracker and a Photon; with --emulated those
    that there are images for. New boards at each start, unless --state or the bench file's state_dir keeps them.
    """
    # Before anybody hears of the address: whoever does may end the server at once.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    if (blank or probe) and not platforms:
        raise click.UsageError("--blank and --probe are about the boards of --platform")
    source = click.get_current_context().get_parameter_source
    if source("images") is ParameterSource.COMMANDLINE or emulated:
        _require_emulated("--emulated" if emulated else "--images", bench_file, emulated=emulated)
    if source("store_dir") is ParameterSource.COMMANDLINE and source("images") is not ParameterSource.COMMANDLINE:
        images = None
    images = images or store_dir
    if emulated and bench_file is None:
        bench = _emulated_bench(platforms, state_dir, images, blank=blank, probe=probe)
    else:
        bench = _bench(bench_file, platforms, state_dir, store_dir, images, blank=blank, probe=probe)
    with closing(bench):
        _serve(bench, host, port, as_json=as_json)


def _serve(bench: ServedBench, host: str, port: int, *, as_json: bool) -> None:
    try:
        server = Server(bench.bus_devices, (host, port), lambda request: answer(bench, request))
    except OSError as error:
        # asyncio and socketserver add the address to strerror, which is named already.
        reason = os.strerror(error.errno) if error.errno and error.errno > 0 else error.strerror
        raise BenchError(f"cannot listen on {host}:{port}: {reason}", hint="--port 0 takes a free one") from error
    with server:
        _print_boards(boards_of(bench), as_json)
        if not as_json:
            click.echo(f"served on {host}:{server.port}; Ctrl-C ends")
        else:
            click.echo(json.dumps({"host": host, "port": server.port}))
        threading.Event().wait()


@sim.command()
@click.argument("server", type=server_address, default=_DEFAULT_SERVER)
@_json_option
def attach(server: tuple[str, int], as_json: bool) -> None:
    """Plug all boards of SERVER (HOST:PORT) into this Linux kernel, until interrupted.

    Again, too, whenever one comes back after a mode change. Needs root and the kernel module vhci_hcd.
    """

    def tell(bus_id: str, event: str) -> None:
        click.echo(json.dumps({"event": event, "bus_id": bus_id}) if as_json else f"{bus_id} {event}")

    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        attach_all(server, threading.Event(), tell)
    except OSError as error:
        raise _nobody_answers(server, error) from error


@sim.command("list")
@_server_option
@_json_option
def list_boards(server: tuple[str, int], as_json: bool) -> None:
    """Boards of a running server, plugged in or not."""
    _print_boards(_reply(server, {})["boards"], as_json)


@sim.command("restore-file")
@click.argument("platform")
@click.argument("file", type=click.Path(dir_okay=False, path_type=Path), metavar="HEX")
@click.option("--emulated", is_flag=True, help="For emulated boards: the boot record is one that runs.")
@_json_option
def restore_file(platform: str, file: Path, emulated: bool, as_json: bool) -> None:
    """Write a restore file for blank virtual nRF52840 boards: a stand-in for the boot record, and UICR.

    Real boards need Particle's own, which holds Nordic's boot record.
    """
    try:
        kind = hardware(platform)
    except ValueError as error:
        raise BenchError(str(error), hint="name a platform such as boron") from error
    if not kind.is_gen3:
        raise BenchError(f"{kind.name} has no boot record", hint="only nRF52840 boards need a restore file")
    try:
        with file.open("x", encoding="ascii") as stream:
            record = boot_record() if emulated else mbr_stand_in()
            stream.write(intel_hex([(0, record), (0x10001000, factory_uicr(0, was_protected=False)[:0x400])]))
    except OSError as error:
        raise BenchError(f"cannot write {file}: {error.strerror}", hint="give the name of a new file") from error
    kind_of = "emulated" if emulated else "virtual"
    click.echo(json.dumps({"file": str(file)}) if as_json else f"written to {file}, for {kind_of} boards alone")


def _cable_command(name: str, text: str) -> None:
    @sim.command(name, help=text)
    @click.argument("slot")
    @_server_option
    @_json_option
    def command(slot: str, server: tuple[str, int], as_json: bool) -> None:
        reply = _reply(server, {"do": name, "slot": slot})
        _print_boards(reply["boards"], as_json)
        if "note" in reply:
            click.echo(reply["note"], err=True)


_cable_command("unplug", "Pull the cable of the board in SLOT: it loses power.")
_cable_command("plug", "Plug the board in SLOT in again.")
_cable_command("reset", "Press the reset button of the board in SLOT.")
_cable_command("next", "Put a new board in SLOT in place of the one that is there. At a station's bench alone.")


sim.add_command(esp32)
sim.add_command(record_command)
sim.add_command(trace_command)
for _command in CLOUD_COMMANDS:
    sim.add_command(_command)


def _bench(
    file: Path | None,
    platforms: Sequence[str],
    state_dir: Path | None,
    store_dir: Path | None,
    images: Path | None,
    *,
    blank: bool,
    probe: bool,
) -> ServedBench:
    if file and (platforms or state_dir):
        raise click.UsageError("a bench file says itself what boards there are and where they are kept")
    users_own = platformdirs.user_data_path("particle-dev") / "firmware"
    folder = store_dir or (users_own if users_own.is_dir() else None)
    if file:
        return open_bench_file(file, firmware=folder, images=images)
    slots = [
        {"name": str(number), "platform": platform, "blank": blank, "probe": probe}
        for number, platform in enumerate(platforms, start=1)
    ]
    return open_bench(
        options={"clock": "real"},
        slots=slots or DEFAULT_SLOTS,
        state_dir=state_dir,
        factory_modules=modules_in(folder) if folder else stand_ins,
    )


def _require_emulated(option: str, file: Path | None, *, emulated: bool) -> None:
    """Virtual boards run no images, and a bench file's own driver is the one that counts."""
    if file is not None and (driver := driver_of(file)) != "emulated":
        raise click.UsageError(
            f'{option} is about emulated boards, and {file} has driver = "{driver}": leave the option out, or set '
            f'driver = "emulated"'
        )
    if file is None and not emulated:
        raise click.UsageError(f"{option} is about emulated boards: add --emulated, or leave the option out")


def _emulated_bench(
    platforms: Sequence[str],
    state_dir: Path | None,
    images: Path | None,
    *,
    blank: bool,
    probe: bool,
) -> ServedBench:
    slots = [
        {"name": str(number), "platform": platform, "blank": blank, "probe": probe}
        for number, platform in enumerate(platforms, start=1)
    ]
    return open_emulated(
        options={"images": str(images)} if images else {},
        slots=slots,
        state_dir=state_dir,
        factory_modules=lambda _platform: (),
    )


def _reply(server: tuple[str, int], request: Mapping[str, Any]) -> Mapping[str, Any]:
    try:
        reply: Mapping[str, Any] = ask(server, request)
    except OSError as error:
        raise _nobody_answers(server, error) from error
    if "hint" in reply:
        raise BenchError(str(reply["error"]), slot=str(request["slot"]), hint=str(reply["hint"]))
    if "error" in reply:
        there = [f"{board['slot']} ({board['platform']}, port {board['bus_id']})" for board in reply["boards"]]
        raise DeviceNotFoundError(
            str(reply["error"]),
            selector=str(request["slot"]),
            devices=there,
            hint=f"take one of these: {'; '.join(there)}",
        )
    return reply


def _nobody_answers(server: tuple[str, int], error: OSError) -> BenchError:
    return BenchError(f"no boards are served on {server[0]}:{server[1]}: {error}", hint="particle-dev sim serve")


def _print_boards(boards: Sequence[Mapping[str, Any]], as_json: bool) -> None:
    for board in boards:
        if as_json:
            click.echo(json.dumps(board))
        else:
            mode = board["mode"] or "unplugged"
            runs = f" ({_RUNS[board['runs']]})" if board["runs"] in _RUNS else ""
            if board["mode"] and board.get("blank"):
                mode, runs = "blank: nothing to boot", ""
            line = f"{board['slot']:<10}{board['platform']:<10}{board['device_id']:<26}{board['bus_id']:<6}"
            click.echo(f"{line}{mode}{runs}")
            if "pyocd_probe" in board:
                click.echo(f"{'':<10}debug probe: pyocd -u {board['pyocd_probe']}")
                click.echo(f"{'':<10}             OpenOCD cmsis-dap tcp port {board['openocd_port']}")
