"""``particle-dev firmware check``: would this application run, and if not, what to do."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner
from particle_harness.boards import hardware
from particle_harness.factory import build_module

from particle_dev.catalog.modules import ModuleFunction
from particle_dev.cli.exit_codes import ExitCode
from particle_dev.cli.main import main
from particle_dev.cli.root import root
from particle_dev.errors import FormatError, PlanRefusedError
from particle_dev.protocol.asset import Asset, make_asset_module
from particle_dev.protocol.compressed import compress

USER, SYSTEM, BOOT = ModuleFunction.USER_PART, ModuleFunction.SYSTEM_PART, ModuleFunction.BOOTLOADER


@pytest.fixture
def app(tmp_path):
    """Write an application; returns its path."""

    def write(needs=2101, index=1, size=0x1000, platform="boron", name="blink.bin"):
        start = {"photon": 0x080A0000}.get(platform, 0xD4000 if index == 1 else 0xB4000)
        need = (SYSTEM, 2 if platform == "photon" else 1, needs)
        kind = hardware(platform)
        path = tmp_path / name
        path.write_bytes(build_module(kind, USER, index, 6, start_address=start, size_bytes=size, need1=need))
        return str(path)

    return write


@pytest.fixture
def board(tmp_path):
    """Write what `id --json` prints for a Boron; returns its path."""

    def write(system=2101, bootloader=1005, app_index=1, app_needs=2101, failed=()):
        def module(function, index, version, needs=(), failed=()):
            return {
                "function": int(function),
                "index": index,
                "version": version,
                "store": 0,
                "dependencies": [list(map(int, n)) for n in needs],
                "size_bytes": 4096,
                "valid": not failed,
                "failed_checks": list(failed),
                "title": "",
            }

        path = tmp_path / "board.json"
        document = {
            "device_id": "e00fce681122334455667788",
            "platform": {"id": 13, "name": "boron"},
            "modules": [
                module(BOOT, 0, bootloader, failed=failed),
                module(ModuleFunction.RADIO_STACK, 0, 202),
                module(SYSTEM, 1, system, [(BOOT, 0, bootloader), (8, 0, 202)]),
                module(USER, app_index, 5, [(SYSTEM, 1, app_needs)]),
            ],
        }
        path.write_text(json.dumps(document))
        return str(path)

    return write


def run(*arguments, exit_code=ExitCode.OK):
    result = CliRunner().invoke(root, ["firmware", "check", *arguments])
    assert result.exit_code == exit_code, result.output
    return result.output


def answers(*arguments, exit_code=ExitCode.OK):
    return json.loads(run("--json", *arguments, exit_code=exit_code))


def codes(document):
    return [[finding["code"] for finding in answer["findings"]] for answer in document["applications"]]


def test_an_application_that_runs(app):
    text = run("--platform", "boron", "--device-os", "2.1.0", app(326))
    assert text.splitlines()[0] == "blink.bin for Boron on Device OS 2.1.0: runs"
    assert "0x000d4000, 4096 of 131072 bytes" in text
    assert "system part 1 v326 (Device OS 0.8.0-rc.27)" in text
    assert "bootloader 0 v1005, radio stack 0 v202, system part 1 v2101" in text


def test_compressed_application_is_judged_by_what_it_becomes(tmp_path):
    packed = tmp_path / "packed.bin"
    plain = build_module(
        hardware("boron"),
        USER,
        1,
        6,
        start_address=0xD4000,
        size_bytes=0x30000,
        need1=(SYSTEM, 1, 326),
        body=bytes(0x2FF00),
    )
    packed.write_bytes(compress(plain))
    assert packed.stat().st_size < 0x20000
    text = run("--platform", "boron", "--device-os", "2.1.0", str(packed), exit_code=ExitCode.REFUSED)
    assert "packed.bin, expanded" in text


def test_too_new_says_which_release_it_needs(app):
    text = run("--platform", "boron", "--device-os", "2.1.0", app(2202), exit_code=ExitCode.REFUSED)
    assert "does not run, the board ends in safe mode" in text
    assert "user part 1 v6 (blink.bin) needs system part 1 v2202, the board would have v2101" in text
    assert "flash Device OS 2.2.0 or later" in text


def test_json_has_the_facts(app):
    document = answers("--platform", "boron", "--device-os", "2.1.0", app(2202), exit_code=ExitCode.REFUSED)
    assert [m["title"] for m in document["release_modules"]] == [
        "bootloader 0 v1005",
        "radio stack 0 v202",
        "system part 1 v2101",
    ]
    (answer,) = document["applications"]
    assert (answer["runs"], answer["boots_into"], answer["device_os"]) == (False, "safe mode", "2.1.0")
    (finding,) = answer["findings"]
    assert (finding["code"], finding["needed"]) == ("too_old", "system part 1 v2202")
    assert answer["needs"] == [{"module": "system part 1 v2202", "device_os": "2.2.0"}]


@pytest.mark.parametrize(
    ("release", "options", "expected", "hint"),
    [
        ("2.1.0", {"index": 2}, {"no_slot", "no_application"}, "with Device OS 3.1.0-rc.1 or later"),
        ("2.1.0", {"size": 0x20001}, {"too_large"}, "build it for Device OS 3.1.0-rc.1 or later (262144 bytes)"),
        ("3.1.0", {"index": 2, "size": 0x40000, "needs": 3103}, set(), ""),
        ("6.2.0", {"index": 1}, set(), ""),
        ("2.1.0", {"platform": "photon"}, {"wrong_platform"}, "build it for Boron"),
    ],
)
def test_where_and_how_large(app, release, options, expected, hint):
    path = app(**options)
    exit_code = ExitCode.REFUSED if expected else ExitCode.OK
    document = answers("--platform", "boron", "--device-os", release, path, exit_code=exit_code)
    assert set(codes(document)[0]) == expected
    assert hint in "".join(f["hint"] for f in document["applications"][0]["findings"])


def test_each_file_has_its_own_answer(app):
    good, bad = app(326, name="good.bin"), app(9999, name="bad.bin")
    document = answers("--platform", "boron", "--device-os", "2.1.0", good, bad, exit_code=ExitCode.REFUSED)
    assert [(a["file"], a["runs"]) for a in document["applications"]] == [("good.bin", True), ("bad.bin", False)]


def test_device_os_itself_is_no_application(tmp_path):
    path = tmp_path / "system.bin"
    path.write_bytes(build_module(hardware("boron"), SYSTEM, 1, 2101, start_address=0x30000, size_bytes=0x1000))
    text = run("--platform", "boron", "--device-os", "2.1.0", str(path), exit_code=ExitCode.REFUSED)
    assert "not_an_application" in text


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--platform", "boron"], "--device-os"),
        (["--platform", "borun", "--device-os", "2.1.0"], "no platform 'borun' is known; did you mean 'boron'?"),
        (["--platform", "zzz", "--device-os", "2.1.0"], "known are argon, "),
        (
            ["--platform", "boron", "--device-os", "2.1.7"],
            "no Device OS release '2.1.7' is known; the nearest of Boron:",
        ),
        (["--device-os", "2.1.7"], "2.1.0 and 2.2.0"),
        (["--device-os", "latest"], "write it as 2.1.0"),
        (["--device-os", "6.2"], "6.2.0 and 6.2.1"),
    ],
)
def test_usage(app, arguments, words):
    assert words in " ".join(run(*arguments, app(), exit_code=ExitCode.USAGE).split())


def test_a_release_that_was_not_made_for_the_platform(app):
    result = CliRunner().invoke(
        root, ["firmware", "check", "--platform", "photon", "--device-os", "6.2.0", app(platform="photon")]
    )
    assert isinstance(result.exception, PlanRefusedError)
    assert "0.4.0 to 3.3.1" in result.exception.hint


def test_a_release_in_a_gap_of_the_platform(app):
    result = CliRunner().invoke(
        root, ["firmware", "check", "--platform", "p2", "--device-os", "4.0.0", app(platform="boron")]
    )
    assert isinstance(result.exception, PlanRefusedError)
    assert result.exception.hint.endswith("the nearest: 3.2.1-p2.4 and 5.0.0")


def test_the_file_names_the_platform(app):
    assert answers("--device-os", "2.1.0", app())["platform"] == "boron"
    assert answers("--device-os", "2.1.0", app(platform="photon", needs=326))["platform"] == "photon"


def test_files_for_several_platforms_need_one_that_is_meant(app):
    files = app(name="a.bin"), app(platform="photon", name="b.bin")
    text = run("--device-os", "2.1.0", *files, exit_code=ExitCode.USAGE)
    assert "a.bin for boron, b.bin for photon" in " ".join(text.split())
    document = answers("--platform", "boron", "--device-os", "2.1.0", *files, exit_code=ExitCode.REFUSED)
    assert codes(document) == [[], ["wrong_platform"]]


def test_an_asset_names_no_platform(tmp_path):
    path = tmp_path / "asset.bin"
    path.write_bytes(make_asset_module(Asset("logo.png", b"pixels"), compressed=False))
    text = run("--device-os", "6.2.0", str(path), exit_code=ExitCode.USAGE)
    assert "asset.bin for no known one" in " ".join(text.split())


def test_a_damaged_file_does_not_stop_the_others(app, tmp_path):
    good, bad, none = app(name="good.bin"), app(name="bad.bin"), str(tmp_path / "none.bin")
    Path(bad).write_bytes(Path(bad).read_bytes()[:-5])
    too_new = app(9999, name="new.bin")
    document = answers("--device-os", "2.1.0", bad, good, none, too_new, exit_code=ExitCode.BAD_INPUT)
    assert [(a["file"], a["runs"]) for a in document["applications"]] == [("good.bin", True), ("new.bin", False)]
    assert [(e["file"], e["code"]) for e in document["unusable"]] == [(bad, "truncated"), (none, "unreadable")]
    text = run("--device-os", "2.1.0", bad, good, exit_code=ExitCode.BAD_INPUT)
    assert "good.bin for Boron on Device OS 2.1.0: runs" in text
    assert f"error: {bad}: " in text
    assert answers("--device-os", "2.1.0", bad, exit_code=ExitCode.BAD_INPUT)["platform"] is None


def test_a_damaged_file_is_bad_input(app, capsys):
    path = app()
    data = bytearray(Path(path).read_bytes())
    data[0x800] ^= 1
    Path(path).write_bytes(data)
    with pytest.raises(SystemExit) as exit_:
        main(["firmware", "check", "--platform", "boron", "--device-os", "2.1.0", path])
    assert exit_.value.code == ExitCode.BAD_INPUT
    assert "blink.bin" in capsys.readouterr().err


# --- a real board


def test_on_a_board_as_it_is(app, board):
    document = answers("--on-board", board(), app())
    assert (document["platform"], document["device_id"]) == ("boron", "e00fce681122334455667788")
    assert document["applications"][0]["device_os"] == "2.1.0"
    assert document["applications"][0]["steps"] == ["user part 1 v6 (blink.bin)"]


def test_board_after_an_update_lists_the_steps(app, board):
    text = run("--on-board", board(), "--device-os", "6.2.0", app(3103, index=2))
    steps = [line.split(maxsplit=2)[2].strip() for line in text.splitlines() if line.startswith("  step")]
    assert steps == [
        "flash bootloader 0 v3100 (Device OS 6.2.0)",
        "flash system part 1 v6200 (Device OS 6.2.0)",
        "flash user part 2 v6 (blink.bin)",
    ]
    assert "the former application at 0x000d4000 must be erased" in text


def test_board_back_to_an_older_release_starts_with_the_application(app, board):
    path = board(system=6200, bootloader=3100, app_index=2, app_needs=3103)
    document = answers("--on-board", path, "--device-os", "2.1.0", app())
    # The newer bootloader may stay.
    assert document["applications"][0]["steps"] == [
        "user part 1 v6 (blink.bin)",
        "system part 1 v2101 (Device OS 2.1.0)",
    ]


def test_board_with_something_wrong(app, board):
    document = answers("--on-board", board(failed=["INTEGRITY"]), app(), exit_code=ExitCode.REFUSED)
    assert codes(document) == [["damaged"]]


def test_stops_are_told(app, board):
    text = run("--on-board", board(system=403, bootloader=300), "--device-os", "2.0.0", app(326))
    assert "go through Device OS 1.1.0 first" in text


def test_board_and_platform_must_agree(app, board):
    assert "is a Boron" in run("--on-board", board(), "--platform", "argon", app(), exit_code=ExitCode.USAGE)


MODULE = '{"function": 4, "index": 1, "version": 2101, "failed_checks": []}'


def board_text(modules, platform="boron"):
    return f'{{"platform": {{"name": "{platform}"}}, "device_id": "", "modules": {modules}}}'


@pytest.mark.parametrize(
    ("content", "code", "message"),
    [
        ("", "no_board", "is not JSON"),
        (b"\x90\xff", "no_board", "is not JSON"),
        ("[]", "no_board", "is no object"),
        ("{}", "no_board", "platform is missing"),
        ('{"platform": "boron"}', "no_board", "platform has another type"),
        ('{"platform": {"name": "boron"}}', "no_board", "modules is missing"),
        (board_text("[]", "borun"), "unknown_platform", "no platform 'borun'"),
        (board_text("[1]"), "no_board", "modules[0] is no object"),
        (board_text("[{}]"), "no_board", "modules[0].function is missing"),
        (board_text("[" + MODULE.replace("[]", '["NO"]') + "]"), "no_board", "failed_checks names 'NO'"),
        (board_text("[" + MODULE[:-1] + ', "dependencies": [[4, 1]]}]'), "no_board", "modules[0].dependencies"),
        (board_text("[" + MODULE[:-1] + ', "sha256": "abc"}]'), "no_board", "modules[0].sha256"),
        ('{"error": {"message": "3 devices match"}, "exit_code": 4}', "failed_command", "failed: 3 devices match"),
    ],
)
def test_a_file_that_is_no_board(app, tmp_path, content, code, message):
    path = tmp_path / "board.json"
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    result = CliRunner().invoke(root, ["firmware", "check", "--on-board", str(path), app()])
    assert isinstance(result.exception, FormatError)
    assert result.exception.code == code
    assert str(path) in result.exception.message
    assert message in result.exception.message
    assert "Error" not in result.exception.message
    if code != "unknown_platform":
        assert f"particle-dev id --device ID --json > {path}" in result.exception.hint


def test_the_hint_does_not_overwrite_an_application(app, tmp_path):
    path = app()
    result = CliRunner().invoke(root, ["firmware", "check", "--on-board", path, path])
    assert isinstance(result.exception, FormatError)
    assert path not in result.exception.hint


@pytest.mark.firmware
def test_id_of_a_virtual_board_is_understood(particle_cli_firmware, release_store, tmp_path):
    command = [sys.executable, "-c", "from particle_dev.cli.main import main; main()"]
    store = ["--store", str(release_store.root)]
    done = subprocess.run(
        [*command, "id", "--bench", "virtual", "--device", "boron", "--json", *store], capture_output=True, check=True
    )
    path = tmp_path / "board.json"
    path.write_bytes(done.stdout)
    tinker = particle_cli_firmware / "particle-cli-2.12.0/package/assets/binaries/tinker-0.8.0-rc.27-boron.bin"
    document = answers("--on-board", str(path), "--device-os", "2.1.0", str(tinker))
    assert document["applications"][0]["runs"]
    assert document["applications"][0]["steps"][0] == "system part 1 v2101 (Device OS 2.1.0)"


@pytest.mark.firmware
@pytest.mark.parametrize(
    ("platform", "release", "file"),
    [
        ("photon", "2.1.0", "tinker-0.4.5-photon.bin"),
        ("electron", "2.1.0", "electron_tinker.bin"),
        ("tracker", "1.5.4-rc.1", "tracker-tinker@1.5.4-rc.1.bin"),
        ("core", "1.4.4", "core_tinker.bin"),
    ],
)
def test_real_applications_run(particle_cli_firmware, platform, release, file):
    path = particle_cli_firmware / "particle-cli-2.12.0/package/assets/binaries" / file
    assert answers("--platform", platform, "--device-os", release, str(path))["applications"][0]["runs"]
