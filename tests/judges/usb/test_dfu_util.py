"""dfu-util 0.11, unmodified, on every kind of board in DFU mode: what it reads and writes is what lies in flash."""

import random
import re

import pytest
from particle_harness.boards import hardware, kinds

KINDS = kinds()
ONE_OF_EACH_GENERATION = ("tracker", "photon", "p2")
EIGHT = ("boron", "bsom", "tracker", "argon", "electron", "photon", "p2", "msom")
ROUNDS = 50


@pytest.fixture
def bench(foreign_bench):
    """One board of that platform, or all of them, in DFU mode."""
    return lambda *platforms: foreign_bench(*platforms, arrives_in="dfu")


def write_at(platform):
    """Where a system part begins."""
    kind = hardware(platform)
    return 0x30000 if kind.is_gen3 else 0x08060000 if kind.is_rtl872x else 0x08020000


def offset_of(platform):
    return write_at(platform) - hardware(platform).internal_chip.base_address


def select(bench, platform):
    usb = hardware(platform).platform.usb_dfu
    return f"dfu-util -d {usb.vid:04x}:{usb.pid:04x} -S {bench.device_id(platform)} -a 0"


def image(size_bytes, seed):
    # A zero in front: dfu-util takes files that begin like the prefix of another maker's chips apart.
    return b"\0" + random.Random(seed).randbytes(size_bytes - 1)


def test_list_shows_every_alternate_setting(bench):
    boards = bench(*KINDS)
    found = re.findall(
        r'Found DFU: \[2b04:(\w+)].* alt=(\d), name="(.*?)", serial="(\w+)"', boards.run("dfu-util", "-l")
    )
    listed = {(serial, int(alt)): (pid, name.split("/")[0].strip()) for pid, alt, name, serial in found}
    expected = {}
    for platform in KINDS:
        kind = hardware(platform)
        names = ["@Internal Flash", "@DCD Flash" if kind.is_gen3 else "@DCT Flash"]
        if kind.external_chip:
            names.append("@External Flash" if kind.is_gen3 else "@Serial Flash")
        pid = f"{kind.platform.usb_dfu.pid:04x}"
        expected.update({(boards.device_id(platform), alt): (pid, name) for alt, name in enumerate(names)})
    assert listed == expected
    assert len(found) == len(listed)


@pytest.mark.parametrize("platform", KINDS)
def test_download_and_upload_are_byte_identical(bench, platform, tmp_path):
    board, sent = bench(platform), image(70_000, platform)
    (tmp_path / "sent.bin").write_bytes(sent)
    command = f"{select(board, platform)} -s 0x{write_at(platform):x}"
    board.shell(f"{command} -D $1/sent.bin; {command}:{len(sent)} -U $1/read.bin", tmp_path)
    assert (tmp_path / "read.bin").read_bytes() == sent
    offset = offset_of(platform)
    assert board.flash(platform)[offset : offset + len(sent)] == sent


@pytest.mark.parametrize("platform", ONE_OF_EACH_GENERATION)
def test_fifty_rounds(bench, tmp_path, platform):
    """Each round writes other bytes and reads them back."""
    board = bench(platform)
    for number in range(ROUNDS):
        (tmp_path / f"sent{number}.bin").write_bytes(image(16_384, number))
    command = f"{select(board, platform)} -s 0x{write_at(platform):x}"
    script = (
        f"for n in $(seq 0 {ROUNDS - 1}); do {command} -D $1/sent$n.bin; {command}:16384 -U $1/read$n.bin; "
        "cmp $1/sent$n.bin $1/read$n.bin; rm $1/read$n.bin; done"
    )
    board.shell(script, tmp_path, timeout_s=110)
    offset = offset_of(platform)
    assert board.flash(platform)[offset : offset + 16_384] == image(16_384, ROUNDS - 1)
    sectors = 1 if hardware(platform).is_gen2 else 4
    assert board.truth(platform).erases == ROUNDS * sectors


@pytest.mark.parametrize("platform", KINDS)
def test_leave_boots_the_board(bench, platform, tmp_path):
    kind, board = hardware(platform), bench(platform)
    # The stand-in of the factory is written once more, so that there is something sound to boot.
    board.run("true")
    offset = offset_of(platform)
    (tmp_path / "system.bin").write_bytes(board.flash(platform)[offset : offset + 0x20000])
    usb = kind.platform.usb_normal
    script = (
        f"{select(board, platform)} -s 0x{write_at(platform):x}:leave -D $1/system.bin; "
        f"for n in $(seq 100); do lsusb -d {usb.vid:04x}:{usb.pid:04x} && exit; sleep 0.05; done; exit 1"
    )
    board.shell(script, tmp_path)
    assert board.state(platform).runs in ("app", "listening")
    assert board.truth(platform).dfu_entries == 1


def test_eight_boards_at_once_by_serial_number(bench, tmp_path):
    boards = bench(*EIGHT)
    for platform in EIGHT:
        (tmp_path / f"{platform}.bin").write_bytes(image(40_000, platform))
    boards.at_once([f"{select(boards, p)} -s 0x{write_at(p):x} -D $1/{p}.bin" for p in EIGHT], tmp_path)
    for platform in EIGHT:
        offset = offset_of(platform)
        assert boards.flash(platform)[offset : offset + 40_000] == image(40_000, platform)


def test_external_flash_and_configuration(bench, tmp_path):
    bench = bench("tracker")
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
