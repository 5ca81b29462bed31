"""``particle-dev sim record``: what firmware answers on endpoint 0, as a file that tests replay."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import click

from particle_dev.errors import BenchError
from particle_harness.bench import open_bench as open_virtual
from particle_harness.bench_toml import stand_ins
from particle_harness.boards import EXAMPLE_DEVICE_IDS, hardware
from particle_harness.emulator.bench import open_bench as open_emulated
from particle_harness.emulator.boards.images import emulated_hardware
from particle_harness.emulator.differential.sides import PATIENCE_WITH_FILES_S
from particle_harness.emulator.recordings.dfu import record
from particle_harness.emulator.recordings.form import written
from particle_harness.emulator.recordings.system import NORMAL, Running, let_listen, record_system

_WAIT_STEP_S, _WAIT_LIMIT_S = 0.05, 10.0


@click.command("record")
@click.argument("platform")
@click.argument("file", type=click.Path(dir_okay=False, path_type=Path))
@click.option(
    "--bench", "bench_name", type=click.Choice(("emulated", "virtual")), default="emulated", show_default=True,
    help="Whose board: one that runs your images, or a virtual one.",
)  # fmt: skip
@click.option(
    "--images", type=click.Path(exists=True, file_okay=False, path_type=Path), help="Folder with your firmware images."
)
@click.option(
    "--mode", type=click.Choice(("dfu", NORMAL)), default="dfu", show_default=True,
    help="The bootloader in DFU mode, or Device OS in listening mode.",
)  # fmt: skip
@click.option("--device-os", "device_os", metavar="RELEASE", help="With --mode normal: the release that the board has.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON instead of text.")
def record_command(
    platform: str, file: Path, bench_name: str, images: Path | None, mode: str, device_os: str | None, as_json: bool
) -> None:
    """Record what the firmware of a new board of kind PLATFORM answers, into a new FILE.

    Requests right and wrong: to the bootloader about descriptors, flash and configuration, to Device OS all that goes
    over endpoint 0; replies as they came. No firmware gets into the file. The form is described in docs/emulator.md.
    """
    if (mode == NORMAL) is not (device_os is not None):
        raise click.UsageError("--mode normal and --device-os RELEASE go together")
    with _new_file(file) as write:
        if not as_json:
            takes = "a minute or two" if device_os and bench_name == "emulated" else "some seconds"
            click.echo(f"recording, which takes {takes} …", err=True)
        recording = recorded(platform, bench_name, images, device_os)
        write(written(recording))
    count = len(recording["log"])
    about = {"device_os": device_os} if device_os else {"bootloader": recording["bootloader_version"]}
    if as_json:
        click.echo(json.dumps({"file": str(file), "platform": platform, **about, "transfers": count}))
    else:
        whom = f"Device OS {device_os}" if device_os else f"bootloader {recording['bootloader_version']}"
        click.echo(f"{count} transfers with {whom} of a {platform}, in {file}")


@contextmanager
def _new_file(file: Path) -> Iterator[Callable[[str], None]]:
    """Gives what writes its whole text. The file is there before the work begins, so that one that cannot be written is
    refused at once, and gone again where nothing came of that work."""

    def write(text: str) -> None:
        try:
            file.write_text(text, encoding="utf-8")
        except OSError as error:
            raise _not_written(file, error) from error

    try:
        file.open("x", encoding="utf-8").close()
    except OSError as error:
        raise _not_written(file, error) from error
    try:
        yield write
    except BaseException:
        file.unlink(missing_ok=True)
        raise


def _not_written(file: Path, error: OSError) -> BenchError:
    return BenchError(f"cannot write {file}: {os.strerror(error.errno or 0)}", hint="name a new file")


def recorded(
    platform: str, bench_name: str, images: Path | None = None, device_os: str | None = None
) -> Mapping[str, Any]:
    """A recording of a new board, in DFU mode or of that release of Device OS. Raises BenchError: no such board, no
    image, not in that mode."""
    try:
        kind = emulated_hardware(platform) if bench_name == "emulated" else hardware(platform)
    except ValueError as error:
        raise BenchError(str(error), hint="name a platform such as boron") from error
    slot = {"name": "1", "platform": platform, "device_id": EXAMPLE_DEVICE_IDS[kind.is_gen3]}
    if device_os is not None:
        slot["device_os"] = device_os
    options: dict[str, Any] = {"clock": "virtual"}
    if bench_name == "emulated":
        options |= {"images": str(images)} if images else {}
        with closing(
            open_emulated(options=options, slots=[slot], state_dir=None, factory_modules=lambda _name: ())
        ) as emulated:
            board = emulated.board("1")
            if device_os is not None:
                board.host.give_up_after(PATIENCE_WITH_FILES_S)
            return _record(board, device_os)
    arrives = {} if device_os else {"arrives_in": "dfu"}
    with closing(
        open_virtual(options=options, slots=[slot | arrives], state_dir=None, factory_modules=stand_ins)
    ) as virtual:
        return _record(virtual.board("1"), device_os)


def _record(board: Running, device_os: str | None) -> Mapping[str, Any]:
    waited_s = 0.0
    while board.on_bus() is None and waited_s < _WAIT_LIMIT_S:
        board.clock.sleep(_WAIT_STEP_S)
        waited_s += _WAIT_STEP_S
    if device_os is None:
        return record(board)
    let_listen(board)
    return record_system(board, device_os)
