"""One emulated board, three tools that know nothing of each other: ours, dfu-util and particle-cli, unmodified, over a
mocked USB bus. Its real bootloader takes what each sends, and a plug is pulled in the middle."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from particle_harness.bench import default_device_id
from particle_harness.boards import hardware
from particle_harness.state import SlotStore
from particle_harness.umockdev import run_foreign

from tests.emulated.work import OLD

pytestmark = pytest.mark.images
SYSTEM_AT, FREE_AT = 0x30000, 0xB4000

# The libusb that particle-dev brings has no udev and so cannot follow a mode change on a mocked bus; the system's can.
OURS = """
import libusb_package, usb.backend.libusb1
libusb_package.get_libusb1_backend = usb.backend.libusb1.get_backend
from particle_dev.cli.main import main
main()
"""


@pytest.fixture(scope="module", autouse=True)
def programs():
    missing = [name for name in ("umockdev-wrapper", "dfu-util", "node") if shutil.which(name) is None]
    if missing:
        pytest.fail(f"missing: {', '.join(missing)}; `make judges-setup` brings them")


@pytest.fixture(scope="module")
def particle_cli() -> Path:
    script = Path(os.environ.get("PARTICLE_DEV_JUDGES", ""), "node", "node_modules", "particle-cli", "src", "index.js")
    return script if script.is_file() else pytest.skip("no particle-cli: PARTICLE_DEV_JUDGES names no such folder")


@pytest.fixture
def desk_file(images, images_of, tmp_path):
    """A bench file with a Boron whose flash outlives a program."""
    images_of("boron", OLD)

    def make(**keys: str) -> Path:
        file = tmp_path / "bench.toml"
        lines = ['[bench]\ndriver = "emulated"\nstate_dir = "boards"', f'[bench.options]\nimages = "{images}"']
        lines += ['[[slot]]\nname = "boron"\nplatform = "boron"', *(f"{key} = {value}" for key, value in keys.items())]
        file.write_text("\n".join(lines) + "\n", encoding="utf-8")
        return file

    return make


@pytest.fixture
def system(images_of) -> Path:
    """The system part of the older release, as a file."""
    (image,) = images_of("boron", OLD).system
    assert image.file is not None
    return image.file


def run(file: Path, script: str, *arguments: object, check: bool = True) -> subprocess.CompletedProcess[str]:
    """A shell script with the board on its bus. ``ours`` and ``$DFU`` are there."""
    functions = f'ours() {{ {sys.executable} -c "$OURS" "$@"; }}\nset -euo pipefail\n'
    usb = hardware("boron").platform.usb_dfu
    assert usb is not None
    environment = {
        "OURS": OURS,
        "DFU": f"dfu-util -d {usb.vid:04x}:{usb.pid:04x} -S {default_device_id(hardware('boron'), 'boron')} -a 0",
        "HOME": str(file.parent),
        "XDG_DATA_HOME": str(file.parent / "data"),
    }
    argv = ["bash", "-c", functions + script, "script", *map(str, arguments)]
    done = run_foreign(file, argv, timeout_s=300, env=environment)
    assert done.returncode == 0 or not check, f"{done.returncode}\n{done.stdout}\n{done.stderr}"
    return done


def flash_of(file: Path) -> bytes:
    """What lies in its internal flash."""
    return bytes(SlotStore(file.parent / "boards" / "boron").image("internal", 1 << 20))


@pytest.mark.timeout(400)
def test_each_of_three_tools_writes_and_the_others_see_it(desk_file, system, particle_cli, application):
    file, data = desk_file(), system.read_bytes()
    script = """
    ours list; ours flash "$1" "$2"
    $DFU -s 0xB4000 -D "$2"; $DFU -s 0x30000:$(stat -Lc %s "$1") -U "$HOME/read.bin"; cmp "$HOME/read.bin" "$1"
    node "$3" flash --usb "$1"
    ours id
    """
    tinker = application("boron")
    done = run(file, script, system, tinker, particle_cli)
    assert "Flash success!" in done.stdout
    assert "Device OS      2.1.0" in done.stdout
    flash = flash_of(file)
    assert flash[SYSTEM_AT : SYSTEM_AT + len(data)] == data
    assert flash[FREE_AT:].startswith(tinker.read_bytes())


@pytest.mark.timeout(400)
def test_a_plug_pulled_under_dfu_util_is_made_good_by_ours(desk_file, system, application):
    pulled = desk_file(faults='[{do = "unplug", at = "flash_write", n = 30000}]')
    failed = run(pulled, '$DFU -s 0x30000 -D "$1"', system, check=False)
    assert failed.returncode != 0
    data = system.read_bytes()
    assert flash_of(pulled)[SYSTEM_AT : SYSTEM_AT + len(data)] != data
    done = run(desk_file(), 'ours flash "$1" "$2"', system, application("boron"))
    assert "read back and equal" in done.stdout
    assert flash_of(pulled)[SYSTEM_AT : SYSTEM_AT + len(data)] == data


@pytest.mark.timeout(400)
def test_a_photon_that_a_cut_of_dfu_util_lets_hang_is_saved_by_its_button(images, images_of, application, tmp_path):
    release = images_of("photon", OLD)
    part_1 = next(image.file for image in release.system if image.prefix.index == 1)
    file = tmp_path / "bench.toml"
    head = f'[bench]\ndriver = "emulated"\nstate_dir = "boards"\n[bench.options]\nimages = "{images}"\n'
    slot = '[[slot]]\nname = "1"\nplatform = "photon"\n'
    pulled = 'faults = [{do = "unplug", at = "flash_write", n = 20000, replug_after_s = 1.0}]\n'
    file.write_text(head + slot + pulled, encoding="utf-8")
    dfu_util = ["dfu-util", "-d", "2b04:d006", "-a", "0", "-s", "0x8020000", "-D", str(part_1)]
    assert run_foreign(file, dfu_util, timeout_s=300).returncode != 0

    def ours(*words: object, status: int = 0) -> str:
        command = [str(word) for word in (Path(sys.executable).parent / "particle-dev", *words, "--bench", file)]
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=200)
        assert done.returncode == status, f"{done.stdout}\n{done.stderr}"
        return done.stdout + done.stderr

    assert "has power and is not on the bus: its firmware runs" in ours("list")
    file.write_text(head + slot + "mode_button = true\n", encoding="utf-8")
    # Its bootloader tells no uptime, so that nothing proves the cut.
    ours("power", "cycle", "1", "--may-connect", status=6)
    assert "dfu" in ours("list")
    ours("flash", *(image.file for image in release.system), application("photon"))
    assert f"Device OS      {OLD}" in ours("id")
