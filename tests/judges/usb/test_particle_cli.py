"""particle-cli 3.43.1, unmodified and offline, works with virtual boards as with real ones."""

import json
import re
import subprocess
import sys

import pytest
from particle_harness.boards import hardware

SYSTEM = {
    "boron": ("boron-bootloader@2.1.0.bin", "boron-system-part1@2.1.0.bin"),
    "tracker": ("tracker-bootloader@2.1.0.bin", "tracker-system-part1@2.1.0.bin"),
    "photon": ("photon-bootloader@2.1.0+lto.bin", "photon-system-part1@2.1.0.bin", "photon-system-part2@2.1.0.bin"),
}
TINKER = {
    "boron": "tinker-0.8.0-rc.27-boron.bin",
    "tracker": "tracker-tinker@1.5.4-rc.1.bin",
    "photon": "tinker-0.4.5-photon.bin",
}
PLATFORMS = tuple(SYSTEM)


# The libusb that particle-dev brings has no udev and so cannot follow a mode change on a mocked bus; the system's can.
PARTICLE_DEV = """
import libusb_package, usb.backend.libusb1
libusb_package.get_libusb1_backend = usb.backend.libusb1.get_backend
from particle_dev.cli.main import main
main()
"""


@pytest.fixture
def commands(particle):
    """A shell function `particle`."""
    return f'particle() {{ {" ".join(particle)} "$@"; }}; '


def test_list(foreign_bench, particle):
    bench = foreign_bench("boron", "photon", "tracker")
    listed = bench.run(*particle, "usb", "list", "--ids-only").split()
    assert sorted(listed) == sorted(bench.device_id(p) for p in ("boron", "photon", "tracker"))


@pytest.mark.parametrize("platform", PLATFORMS)
def test_modes(foreign_bench, commands, platform):
    bench = foreign_bench(platform, delays="realistic", factory="online")
    script = """
    usb=$2
    address() { lsusb -d $usb | grep -o 'Device [0-9]*' || true; }
    until_back() {
      for n in $(seq 100); do case "$(address)" in ''|"$before") sleep 0.1;; *) return;; esac; done; false
    }
    particle usb stop-listening $1
    particle usb cloud-status $1
    particle usb listen $1
    particle usb stop-listening $1
    before=$(address); particle usb safe-mode $1; until_back
    before=$(address); particle usb reset $1; until_back
    particle usb dfu $1
    lsusb
    """
    usb = f"2b04:{hardware(platform).platform.usb_normal.pid:04x}"
    text = bench.shell(commands + script, bench.device_id(platform), usb, timeout_s=100)
    assert text.count("Done.") == 6
    assert re.search(r"(dis)?connect(ed|ing)\n", text)
    assert usb.replace(":c", ":d") in text
    truth = bench.truth(platform)
    assert (truth.safe_mode_boots, truth.dfu_entries) == (1, 1)
    assert truth.app_boots == 2
    assert bench.state(platform).runs == "dfu"


def test_serial(foreign_bench, commands):
    bench = foreign_bench("boron", "photon")
    script = "particle serial list; for p in /dev/ttyACM*; do particle serial identify --port $p; done"
    text = bench.shell(commands + script)
    assert f"/dev/ttyACM0 - Boron - {bench.device_id('boron')}" in text
    assert f"/dev/ttyACM1 - Photon - {bench.device_id('photon')}" in text
    assert re.findall("Your device id is (.*)", text) == [bench.device_id("boron"), bench.device_id("photon")]
    assert re.findall("firmware version is (.*)", text) == ["2.0.1", "2.0.1"]


@pytest.mark.parametrize("platform", PLATFORMS)
def test_flash_of_device_os_and_tinker_leaves_the_same_bytes_as_ours(foreign_bench, particle, assets, platform):
    files = [assets / "updates" / name for name in SYSTEM[platform]] + [assets / "binaries" / TINKER[platform]]
    theirs, ours = foreign_bench(platform, name="theirs"), foreign_bench(platform, name="ours")
    text = theirs.run(*particle, "flash", "--local", theirs.device_id(platform), *files, timeout_s=110)
    assert "Flash success!" in text
    assert all(f"Flashing {file.name}" in text for file in files)
    # The bootloader arrives by control requests and is in place after a reset; a Gen 2 one cannot be written by DFU.
    by_dfu = [file for file in files if "bootloader" not in file.name or platform != "photon"]
    ours.run(sys.executable, "-c", PARTICLE_DEV, "flash", *by_dfu, timeout_s=110)
    after_theirs, after_ours = theirs.flash(platform), ours.flash(platform)
    if platform == "photon":
        # particle-cli sent the bootloader by control requests; it still lies in the OTA region.
        after_theirs, after_ours = after_theirs[:0xC0000], after_ours[:0xC0000]
    assert after_theirs == after_ours
    for file in files:
        assert file.read_bytes() in after_theirs
    assert theirs.truth(platform).dfu_entries >= 1


@pytest.mark.parametrize("platform", PLATFORMS)
def test_identify_says_what_ours_says(foreign_bench, commands, platform):
    bench = foreign_bench(platform)
    script = 'particle identify --port /dev/ttyACM0; exec $1 -c "$2" id --json'
    *lines, ours = bench.shell(commands + script, sys.executable, PARTICLE_DEV).splitlines()
    found = json.loads(ours)
    assert f"Your device id is {found['device_id']}" in lines
    assert f"Your system firmware version is {found['device_os']}" in lines


def sentences(module):
    """What `particle binary inspect` writes about a module, from our own JSON."""
    kinds = {"bootloader": "a bootloader", "system part": "a system", "user part": "an application"}
    names = {2: "a bootloader number", 4: "a system module number", 8: "a radio stack module number"}
    what = kinds[module["kind"]]
    number = f"{what} number {module['index']}" if what == "a bootloader" else f"{what} module number {module['index']}"
    yield f"CRC is ok ({module['crc32']['stored']:08x})"
    yield f"Compiled for {module['platform']['name']}"
    yield f"This is {number} at version {module['version']}"
    yield f"It has a UUID of {module['suffix_sha256']['stored']}"
    if module["product"]:
        yield f"It is firmware for product id {module['product']['id']} at version {module['product']['version']}"
    for number, needed in enumerate(module["dependencies"]):
        name = f"{names[needed['function']]} {needed['index']}"
        yield f"It {'also ' if number else ''}depends on {name} at version {needed['version']}"


@pytest.mark.parametrize("platform", PLATFORMS)
def test_binary_inspect_says_what_ours_says(particle, assets, platform):
    files = [assets / "updates" / name for name in SYSTEM[platform]] + [assets / "binaries" / TINKER[platform]]
    command = [sys.executable, "-c", "from particle_dev.cli.main import main; main()", "inspect", "--json", *files]
    ours = subprocess.run(command, capture_output=True, text=True, check=True).stdout.splitlines()
    for file, line in zip(files, ours, strict=True):
        said = subprocess.run([*particle, "binary", "inspect", file], capture_output=True, text=True, check=True).stdout
        name, *lines = [text.strip() for text in said.splitlines()]
        assert name == file.name
        assert lines == list(sentences(json.loads(line)))


def test_flash_of_the_known_application(foreign_bench, particle, assets):
    bench = foreign_bench("boron")
    assert "Flash success!" in bench.run(*particle, "flash", "--local", bench.device_id("boron"), "tinker")
    tinker = (assets / "binaries" / TINKER["boron"]).read_bytes()
    assert bench.flash("boron")[0xD4000 : 0xD4000 + len(tinker)] == tinker
