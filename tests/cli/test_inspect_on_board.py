"""``inspect --on-board``: what a board's Device OS says to a module that arrives as an update."""

import json

import pytest
from click.testing import CliRunner
from particle_harness.boards import hardware
from particle_harness.factory import build_module

from particle_dev.catalog.modules import ModuleFunction
from particle_dev.cli.exit_codes import ExitCode
from particle_dev.cli.root import root
from particle_dev.errors import FormatError

BOOT, SYSTEM = ModuleFunction.BOOTLOADER, ModuleFunction.SYSTEM_PART
RADIO = ModuleFunction.RADIO_STACK


@pytest.fixture
def board(tmp_path):
    def write(*modules, platform="boron"):
        document = {
            "device_id": "e00fce681122334455667788",
            "platform": {"name": platform},
            "modules": [
                {"function": int(f), "index": i, "version": v, "dependencies": [], "failed_checks": []}
                for f, i, v in modules
            ],
        }
        path = tmp_path / "board.json"
        path.write_text(json.dumps(document))
        return path

    return write


@pytest.fixture
def boron(board):
    return board((BOOT, 0, 1005), (RADIO, 0, 202), (SYSTEM, 1, 2101))


def system_part(tmp_path, bootloader=1005, platform="boron"):
    path = tmp_path / "system.bin"
    start = 0x30000 if platform == "boron" else 0x08020000
    options = {"start_address": start, "size_bytes": 0x1000, "need1": (BOOT, 0, bootloader)}
    path.write_bytes(build_module(hardware(platform), SYSTEM, 1, 2101, **options))
    return path


def inspect(*arguments):
    return CliRunner().invoke(root, ["inspect", *map(str, arguments)])


def test_a_module_that_it_takes(tmp_path, boron):
    path = system_part(tmp_path)
    result = inspect(path, "--on-board", boron, "--json")
    assert result.exit_code == ExitCode.OK
    on_board = json.loads(result.stdout)["on_board"]
    assert on_board["passed"] == [
        "INTEGRITY", "DEPENDENCIES", "RANGE", "PLATFORM", "DEPENDENCIES_FULL", "SIZE", "FORMAT", "ADDRESS",
    ]  # fmt: skip
    assert (on_board["failed"], on_board["code"], on_board["device_error"]) == ([], None, None)
    assert "on the board  taken as an update" in inspect(path, "--on-board", boron).stdout


def test_a_bootloader_that_is_too_old_is_named_with_its_offset(tmp_path, boron):
    path = system_part(tmp_path, bootloader=2000)
    result = inspect(path, "--on-board", boron, "--json")
    assert result.exit_code == ExitCode.REFUSED
    description = json.loads(result.stdout)
    assert description["problems"] == []
    on_board = description["on_board"]
    assert (on_board["failed"], on_board["code"]) == (["DEPENDENCIES"], "dependency")
    # The first dependency stands 16 bytes into the prefix.
    assert on_board["offset"] == description["prefix_offset"] + 16
    assert on_board["device_error"] == "OTA_DEPENDENCY_CHECK_FAILED"
    text = " ".join(inspect(path, "--on-board", boron).stdout.split())
    assert f"on the board refused, OTA_DEPENDENCY_CHECK_FAILED: dependency at offset 0x{on_board['offset']:X}:" in text


def test_offsets_in_a_file_of_several_are_those_of_the_file(tmp_path, boron):
    path = system_part(tmp_path, bootloader=2000)
    first = path.read_bytes()
    path.write_bytes(first + first)
    one, two = map(json.loads, inspect(path, "--on-board", boron, "--json").stdout.splitlines())
    assert two["on_board"]["offset"] - one["on_board"]["offset"] == len(first)


def test_a_board_with_modules_that_nobody_knows(tmp_path, board):
    strange = board((BOOT, 0, 1005), (RADIO, 0, 202), (SYSTEM, 1, 2101), (99, 0, 1))
    assert inspect(system_part(tmp_path), "--on-board", strange).exit_code == ExitCode.OK


def test_another_platform(tmp_path, boron):
    result = inspect(system_part(tmp_path, platform="photon"), "--on-board", boron, "--verify-only")
    assert (result.exit_code, result.stdout) == (ExitCode.REFUSED, "")
    assert "on the board refused, OTA_" in result.stderr


def test_damage_counts_first(tmp_path, boron):
    path = system_part(tmp_path)
    path.write_bytes(path.read_bytes()[:-1] + b"!")
    result = inspect(path, "--on-board", boron, "--json")
    assert result.exit_code == ExitCode.BAD_INPUT
    assert json.loads(result.stdout)["on_board"]["device_error"] == "OTA_INTEGRITY_CHECK_FAILED"


def test_no_module_has_no_answer(tmp_path, boron):
    path = tmp_path / "notes.bin"
    path.write_bytes(b"notes")
    result = inspect(path, "--on-board", boron, "--json")
    assert result.exit_code == ExitCode.BAD_INPUT
    assert json.loads(result.stdout)["on_board"] is None


def test_without_device_os_nobody_answers(tmp_path, board):
    result = inspect(system_part(tmp_path), "--on-board", board((BOOT, 0, 1005)))
    assert isinstance(result.exception, FormatError)
    assert result.exception.code == "no_device_os"
