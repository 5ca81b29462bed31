from __future__ import annotations

import json
import struct
import zlib
from pathlib import Path

import pytest
from click.testing import CliRunner

from particle_dev.cli.exit_codes import ExitCode
from particle_dev.cli.firmware import firmware
from particle_dev.cli.main import main
from particle_dev.cli.root import root
from particle_dev.errors import FirmwareStoreError
from particle_dev.flash.store import FirmwareStore


def app(version: int = 6) -> bytes:
    """A boron user part without suffix, which is all that a module needs."""
    prefix = struct.pack("<IIBBHHBBBBHBBH", 0xD4000, 0xD4000 + 28, 0, 0, version, 13, 5, 1, 4, 1, 100, 0, 0, 0)
    data = prefix + bytes(4)
    return data + zlib.crc32(data).to_bytes(4, "big")


@pytest.fixture
def runner(tmp_path: Path) -> CliRunner:
    return CliRunner(env={"PARTICLE_DEV_STORE": str(tmp_path / "store")})


@pytest.fixture
def app_file(tmp_path: Path) -> Path:
    path = tmp_path / "app[1].bin"
    path.write_bytes(app())
    return path


def test_add_then_list_shows_the_module(runner: CliRunner, app_file: Path) -> None:
    added = runner.invoke(firmware, ["add", str(app_file)])
    assert added.exit_code == ExitCode.OK
    assert added.output == f"{app_file}: 1 added, 0 already there, 0 refused\n"
    listed = runner.invoke(root, ["firmware", "list"])
    assert listed.exit_code == ExitCode.OK
    heading, row = listed.output.splitlines()
    assert heading.split() == ["platform", "kind", "index", "version", "Device", "OS", "file", "SHA-256"]
    assert row.split()[:6] == ["boron", "user", "part", "1", "6", "app[1].bin"]


def test_json_of_add_and_list_agree(runner: CliRunner, app_file: Path, tmp_path: Path) -> None:
    first, again = (json.loads(runner.invoke(firmware, ["add", "--json", str(app_file)]).output) for _ in range(2))
    assert [len(first[0][key]) for key in ("added", "present", "refused", "not_modules")] == [1, 0, 0, 0]
    assert [len(again[0][key]) for key in ("added", "present", "refused", "not_modules")] == [0, 1, 0, 0]
    listed = json.loads(runner.invoke(firmware, ["list", "--json"]).output)
    assert listed == {
        "store": str(tmp_path / "store"),
        "exists": True,
        "modules": first[0]["added"],
        "problems": [],
    }
    (module,) = listed["modules"]
    assert (module["platform"], module["kind"], module["version"]) == ("boron", "user part", 6)
    assert module["dependencies"] == [{"function": 4, "index": 1, "version": 100}]


def test_a_damaged_file_is_named_with_offset_and_the_good_one_still_added(
    runner: CliRunner, app_file: Path, tmp_path: Path
) -> None:
    bad = tmp_path / "bad.bin"
    bad.write_bytes(app(7)[:-4] + bytes(4))
    result = runner.invoke(firmware, ["add", str(bad), str(app_file)])
    assert result.exit_code == ExitCode.BAD_INPUT
    assert f"{bad}: 0 added, 0 already there, 1 refused" in result.output
    assert f"refused {bad}: crc_mismatch at offset 0x1C: " in result.output
    assert f"{app_file}: 1 added" in result.output
    as_json = json.loads(runner.invoke(firmware, ["add", "--json", str(bad)]).output)
    assert (as_json[0]["refused"][0]["code"], as_json[0]["refused"][0]["offset"]) == ("crc_mismatch", 28)


def test_a_folder_without_modules_is_bad_input(runner: CliRunner, tmp_path: Path) -> None:
    (tmp_path / "none").mkdir()
    (tmp_path / "none" / "patch.bin").write_bytes(b"not a module" * 9)
    result = runner.invoke(firmware, ["add", str(tmp_path / "none")])
    assert result.exit_code == ExitCode.BAD_INPUT
    assert "1 no firmware modules" in result.output
    assert f"no firmware module: {tmp_path / 'none' / 'patch.bin'}" in result.output


def test_errors_reach_the_caller_who_maps_them(runner: CliRunner, tmp_path: Path) -> None:
    result = runner.invoke(firmware, ["add", str(tmp_path / "nosuch.bin")])
    assert isinstance(result.exception, FirmwareStoreError)
    assert result.exception.path == str(tmp_path / "nosuch.bin")


def test_a_source_that_cannot_be_read_does_not_stop_the_others(
    runner: CliRunner, app_file: Path, tmp_path: Path
) -> None:
    missing = str(tmp_path / "nosuch.bin")
    result = runner.invoke(firmware, ["add", missing, str(app_file), str(app_file)])
    assert result.exit_code == ExitCode.BAD_INPUT
    assert result.stdout.splitlines() == [
        f"{app_file}: 1 added, 0 already there, 0 refused",
        f"{app_file}: 0 added, 1 already there, 0 refused",
    ]
    assert result.stderr.startswith(f"error: {missing} cannot be read")
    document = json.loads(runner.invoke(firmware, ["add", "--json", missing, str(app_file)]).stdout)
    assert [entry["source"] for entry in document] == [missing, str(app_file)]
    assert document[0]["error"]["path"] == missing


def test_an_address_is_no_source(runner: CliRunner) -> None:
    result = runner.invoke(firmware, ["add", "https://example.com/app.bin"])
    assert isinstance(result.exception, FirmwareStoreError)
    assert "download it first" in result.exception.hint


def test_virtual_boards_say_how_to_fill_the_store_that_was_named(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as exit_:
        main(["id", "--bench", "virtual", "--device", "boron", "--store", str(tmp_path / "none")])
    assert exit_.value.code == ExitCode.BAD_INPUT
    assert f"particle-dev firmware add --store {tmp_path / 'none'} npm:" in capsys.readouterr().err


def test_an_empty_store_says_what_to_do(runner: CliRunner, tmp_path: Path) -> None:
    result = runner.invoke(firmware, ["list"])
    assert result.exit_code == ExitCode.OK
    assert f"There is no {tmp_path / 'store'}." in result.output
    assert f"particle-dev firmware add --store {tmp_path / 'store'} npm:" in result.output
    (tmp_path / "store").mkdir()
    assert f"{tmp_path / 'store'} is empty" in runner.invoke(firmware, ["list"]).output


def test_hints_name_the_store_unless_it_is_the_users_own(tmp_path: Path) -> None:
    own = FirmwareStore(tmp_path, is_default=True)
    other = FirmwareStore(tmp_path / "my store")
    with pytest.raises(FirmwareStoreError) as caught:
        own.app("boron", "tinker.bin")
    assert "particle-dev firmware add FILE" in caught.value.hint
    for look in (lambda: other.app("boron", "tinker.bin"), lambda: other.device_os_set("boron", "2.1.0")):
        with pytest.raises(FirmwareStoreError) as caught:
            look()
        assert f"particle-dev firmware add --store '{tmp_path}/my store' " in caught.value.hint


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["firmware", "ad"], "No such command 'ad'. Did you mean 'add'?"),
        (["inspct"], "No such command 'inspct'. Did you mean 'inspect'?"),
        (["zzz"], "No such command 'zzz'."),
    ],
)
def test_a_command_that_is_spelled_wrong(arguments: list[str], message: str) -> None:
    result = CliRunner().invoke(root, arguments)
    assert result.exit_code == ExitCode.USAGE
    assert message in " ".join(result.output.split())


@pytest.mark.parametrize("arguments", [["firmware", "check"], ["firmware", "nosuch"], ["--nosuch"]])
def test_usage_errors_respect_json(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as exit_:
        main([*arguments, "--json"])
    assert exit_.value.code == ExitCode.USAGE
    output = capsys.readouterr()
    document = json.loads(output.out)
    assert (document["error"]["type"], document["exit_code"]) == ("UsageError", 2)
    assert document["error"]["hint"].startswith("see: particle-dev")
    assert output.err == ""


def test_store_option_wins_over_the_environment(runner: CliRunner, app_file: Path, tmp_path: Path) -> None:
    runner.invoke(firmware, ["add", "--store", str(tmp_path / "other"), str(app_file)])
    assert (tmp_path / "other" / "index.json").exists()
    assert not (tmp_path / "store").exists()


def test_add_without_source_is_a_usage_error(runner: CliRunner) -> None:
    assert runner.invoke(firmware, ["add"]).exit_code == ExitCode.USAGE


@pytest.mark.firmware
def test_npm_source_comes_from_the_cache(runner: CliRunner, particle_cli_firmware: Path) -> None:
    cache = str(particle_cli_firmware / "tarballs")
    result = runner.invoke(firmware, ["add", "--cache", cache, "npm:particle-cli@2.12.0"])
    assert result.exit_code == ExitCode.OK
    assert "npm:particle-cli@2.12.0: 50 added, 0 already there, 0 refused, 4 no firmware modules" in result.output
