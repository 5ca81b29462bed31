"""`particle-dev sim trace`: registers by name, faults in words, a clear sentence without images."""

import json
import struct
import zlib

import pytest
from click.testing import CliRunner
from particle_harness.boards import hardware
from particle_harness.emulator.boards.images import of_modules
from particle_harness.emulator.boards.new_board import NewBoard, make_board
from particle_harness.factory import bootloader_stand_in
from particle_harness.sim_trace import trace_command

from particle_dev.errors import BenchError

BORON = hardware("boron")


@pytest.fixture
def images(tmp_path):
    (tmp_path / "bootloader.bin").write_bytes(bootloader_stand_in(BORON, 1005))
    return str(tmp_path)


def run(*arguments):
    result = CliRunner().invoke(trace_command, arguments, catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return result.stdout.splitlines()


def test_it_begins_with_the_boot_record_and_tells_what_went_wrong(images):
    # The stand-in is no program.
    lines = run("boron", "--images", images)
    assert lines[0].endswith(" R MBR.START 0x000F4000")
    assert any(line.startswith("HardFault: ") for line in lines)


def test_in_the_end_it_says_where_the_core_stands_and_in_which_module(tmp_path):
    image = bytearray(bootloader_stand_in(BORON, 1005))
    image[0:8] = struct.pack("<II", 0x20010000, 0xF5001)
    image[0x1000:0x1002] = bytes.fromhex("fee7")  # b .
    image[-4:] = zlib.crc32(image[:-4]).to_bytes(4, "big")
    (tmp_path / "bootloader.bin").write_bytes(image)
    result = CliRunner().invoke(trace_command, ["boron", "--images", str(tmp_path)], catch_exceptions=False)
    end = "the core executes at 0x000F5000 (bootloader, version 1005 + 0x1000)"
    assert result.stderr == f"1 access shown; no fault; after 0.1 s of its time {end}\n"


def test_a_chip_that_has_switched_itself_off_has_not_locked_up(tmp_path):
    image = bytearray(bootloader_stand_in(BORON, 1005))
    image[0:8] = struct.pack("<II", 0x20010000, 0xF5001)
    # ldr r0, =POWER.SYSTEMOFF; movs r1, #1; str r1, [r0]; b .
    image[0x1000:0x100C] = bytes.fromhex("0148 0121 0160 fee7") + struct.pack("<I", 0x40000500)
    image[-4:] = zlib.crc32(image[:-4]).to_bytes(4, "big")
    (tmp_path / "bootloader.bin").write_bytes(image)
    result = CliRunner().invoke(trace_command, ["boron", "--images", str(tmp_path)], catch_exceptions=False)
    assert "the core is switched off at 0x000F5006 (bootloader" in result.stderr


def test_it_goes_on_where_a_board_stood_and_leaves_that_as_it_is(tmp_path):
    image = bytearray(bootloader_stand_in(BORON, 1005))
    image[0:8] = struct.pack("<II", 0x20010000, 0xF5001)
    # ldr r1, =POWER.RESETREAS; again: ldr r0, [r1]; b again
    image[0x1000:0x100C] = bytes.fromhex("01490868fde700bf") + struct.pack("<I", 0x40000400)
    image[-4:] = zlib.crc32(image[:-4]).to_bytes(4, "big")
    slot = tmp_path / "boards" / "1"
    new = NewBoard(BORON, "e00fce680123456789abcdef", images=lambda: of_modules([bytes(image)]))
    board = make_board(new, port_path="1-1", next_address=lambda: 1, folder=slot)
    board.run(0.01)
    board.keep()
    stood_at = board.chip.timeline.cycles
    first = run("boron", "--from", str(slot), "--seconds", "0.0001", "--json")
    access = json.loads(first[0])
    assert (access["register"], access["program_counter"]) == ("CLOCK/POWER.RESETREAS", 0xF5002)
    assert stood_at <= access["cycle"] < stood_at + 100
    assert run("boron", "--from", str(slot), "--seconds", "0.0001", "--json") == first
    assert run("--from", str(slot), "--seconds", "0.0001", "--json") == first, "its folder knows what it is"
    with pytest.raises(BenchError, match="holds an emulated boron"):
        run("xenon", "--from", str(slot))
    (slot / "emulated.snapshot").unlink()
    with pytest.raises(BenchError, match="does not go on from where it stood"):
        run("boron", "--from", str(slot))


def test_a_new_board_needs_a_platform(images):
    result = CliRunner().invoke(trace_command, ["--images", images])
    assert (result.exit_code, "name a PLATFORM" in result.stderr) == (2, True)


def test_as_json(images):
    first, *rest = [json.loads(line) for line in run("boron", "--images", images, "--only", "MBR.*", "--json")]
    assert (first["register"], first["value"], first["is_write"]) == ("MBR.START", 0xF4000, False)
    assert all("fault" in line or line.get("register", "MBR.").startswith("MBR.") for line in rest)
    assert run("boron", "--images", images, "--only", "NVMC.*", "--seconds", "0") == []


def test_without_images_and_for_an_unknown_board_it_says_so(tmp_path, images):
    with pytest.raises(BenchError, match="image"):
        CliRunner().invoke(trace_command, ["photon", "--images", images], catch_exceptions=False)
    with pytest.raises(BenchError, match="bore"):
        CliRunner().invoke(trace_command, ["bore", "--images", images], catch_exceptions=False)
