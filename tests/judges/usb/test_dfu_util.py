"""dfu-util 0.11, unmodified, on every kind of board in DFU mode: what it reads and writes is what lies in flash."""

import random
import re

import pytest
from particle_harness.boards import hardware

GEN3 = ("boron", "bsom", "tracker", "argon", "xenon", "b5som")
GEN2 = ("photon", "p1")
WRITE_AT = {**dict.fromkeys(GEN3, 0x30000), **dict.fromkeys(GEN2, 0x08020000)}


@pytest.fixture
def bench(foreign_bench):
    return foreign_bench(*GEN3, *GEN2, arrives_in="dfu")


def select(bench, platform):
    usb = hardware(platform).platform.usb_dfu
    return f"dfu-util -d {usb.vid:04x}:{usb.pid:04x} -S {bench.device_id(platform)} -a 0"


def image(size_bytes, seed):
    # A zero in front: dfu-util takes files that begin like the prefix of another maker's chips apart.
    return b"\0" + random.Random(seed).randbytes(size_bytes - 1)


def test_list_shows_every_alternate_setting(bench):
    found = re.findall(
        r'Found DFU: \[2b04:(\w+)].* alt=(\d), name="(.*?)", serial="(\w+)"', bench.run("dfu-util", "-l")
    )
    listed = {(serial, int(alt)): name.split("/")[0].strip() for _, alt, name, serial in found}
    for platform in GEN3 + GEN2:
        names = [listed[bench.device_id(platform), 0], listed[bench.device_id(platform), 1]]
        assert names == ["@Internal Flash", "@DCD Flash" if platform in GEN3 else "@DCT Flash"]
    with_third = {serial for serial, alt in listed if alt == 2}
    assert with_third == {bench.device_id(p) for p in (*GEN3, "p1")}
    assert len(found) == 6 * 3 + 2 + 3


@pytest.mark.parametrize("platform", GEN3 + GEN2)
def test_download_and_upload_are_byte_identical(bench, platform, tmp_path):
    sent, address = image(70_000, platform), WRITE_AT[platform]
    (tmp_path / "sent.bin").write_bytes(sent)
    command = f"{select(bench, platform)} -s 0x{address:x}"
    bench.shell(f"{command} -D $1/sent.bin; {command}:{len(sent)} -U $1/read.bin", tmp_path)
    assert (tmp_path / "read.bin").read_bytes() == sent
    offset = address - hardware(platform).internal_chip.base_address
    assert bench.flash(platform)[offset : offset + len(sent)] == sent


def test_fifty_rounds(bench, tmp_path):
    """Each round writes other bytes and reads them back."""
    rounds = 50
    for number in range(rounds):
        (tmp_path / f"sent{number}.bin").write_bytes(image(16_384, number))
    command = f"{select(bench, 'tracker')} -s 0x30000"
    script = (
        f"for n in $(seq 0 {rounds - 1}); do {command} -D $1/sent$n.bin; {command}:16384 -U $1/read$n.bin; "
        "cmp $1/sent$n.bin $1/read$n.bin; rm $1/read$n.bin; done"
    )
    bench.shell(script, tmp_path, timeout_s=110)
    assert bench.flash("tracker")[0x30000:0x34000] == image(16_384, rounds - 1)
    assert bench.truth("tracker").erases == rounds * 4


@pytest.mark.parametrize("platform", GEN3 + GEN2)
def test_leave_boots_the_board(bench, platform, tmp_path, assets):
    kind = hardware(platform)
    # The stand-in of the factory is written once more, so that there is something sound to boot.
    bench.run("true")
    offset = WRITE_AT[platform] - kind.internal_chip.base_address
    (tmp_path / "system.bin").write_bytes(bench.flash(platform)[offset : offset + 0x40000])
    usb = kind.platform.usb_normal
    script = (
        f"{select(bench, platform)} -s 0x{WRITE_AT[platform]:x}:leave -D $1/system.bin; "
        f"for n in $(seq 100); do lsusb -d {usb.vid:04x}:{usb.pid:04x} && exit; sleep 0.05; done; exit 1"
    )
    bench.shell(script, tmp_path)
    assert bench.state(platform).runs in ("app", "listening")
    assert bench.truth(platform).dfu_entries == 1


def test_eight_boards_at_once_by_serial_number(bench, tmp_path):
    for platform in GEN3 + GEN2:
        (tmp_path / f"{platform}.bin").write_bytes(image(40_000, platform))
    commands = [f"{select(bench, p)} -s 0x{WRITE_AT[p]:x} -D $1/{p}.bin & pids+=($!)" for p in GEN3 + GEN2]
    bench.shell("pids=(); " + "; ".join(commands) + '; for p in "${pids[@]}"; do wait $p; done', tmp_path)
    for platform in GEN3 + GEN2:
        offset = WRITE_AT[platform] - hardware(platform).internal_chip.base_address
        assert bench.flash(platform)[offset : offset + 40_000] == image(40_000, platform)


def test_external_flash_and_configuration(bench, tmp_path):
    (tmp_path / "sent.bin").write_bytes(image(8192, "external"))
    (tmp_path / "flag.bin").write_bytes(b"\x01")
    tracker = select(bench, "tracker").removesuffix("-a 0")
    bench.shell(
        f"{tracker} -a 2 -s 0x80100000 -D $1/sent.bin; {tracker} -a 1 -s 8134 -D $1/flag.bin; "
        f"{tracker} -a 1 -s 8134:1 -U $1/read.bin",
        tmp_path,
    )
    assert bench.flash("tracker", "external")[0x100000:0x102000] == image(8192, "external")
    assert (tmp_path / "read.bin").read_bytes() == b"\x01"


def test_unplugged_in_the_middle(foreign_bench, tmp_path):
    """dfu-util reports a lost device and ends; it does not hang."""
    bench = foreign_bench("boron", arrives_in="dfu")
    bench.file.write_text(
        bench.file.read_text() + 'faults = [{do = "unplug", at = "dfu_transfer", n = 100}]\n', encoding="utf-8"
    )
    (tmp_path / "sent.bin").write_bytes(image(200_000, 1))
    with pytest.raises(AssertionError, match=r"ended with 74(?s:.*)Error during special command"):
        bench.shell(f"{select(bench, 'boron')} -s 0x30000 -D $1/sent.bin", tmp_path, timeout_s=20)
