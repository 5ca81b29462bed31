"""``particle-dev inspect`` on folders, archives, bundles, combined and compressed modules; maps; --verify-only."""

import io
import json
import random
import subprocess
import sys
import tarfile
import xml.etree.ElementTree as ET
import zipfile
from dataclasses import replace

import pytest
from click.testing import CliRunner

from particle_dev.catalog.modules import ModuleFlag, ModuleFunction
from particle_dev.cli.exit_codes import ExitCode
from particle_dev.cli.inspect import inspect
from particle_dev.flash.bundle_files import pack_zip
from particle_dev.protocol.asset import Asset, make_asset_module
from particle_dev.protocol.bundle import make_bundle
from particle_dev.protocol.compressed import compress
from particle_dev.protocol.module import Dependency
from particle_dev.protocol.module_build import ModuleParts, build, take_apart
from particle_dev.protocol.module_edit import combine

SYSTEM_5500 = (Dependency(ModuleFunction.SYSTEM_PART, 1, 5500),)
APP = build(ModuleParts(ModuleFunction.USER_PART, 2, 6, 13, 0xB4000, bytes(200), dependencies=SYSTEM_5500))
SYSTEM_PART = build(
    ModuleParts(ModuleFunction.SYSTEM_PART, 1, 2101, 13, 0x30000, b"x" * 99, head=bytes.fromhex("00f00320").ljust(512))
)
DAMAGED = APP[:100] + b"?" + APP[101:]
MEMBERS = make_bundle(APP, [Asset("logo.png", b"pixels"), Asset("blob.bin", b"raw")], application_name="app.bin")


def run(*arguments, exit_code=ExitCode.OK):
    result = CliRunner().invoke(inspect, [*map(str, arguments)])
    assert result.exit_code == exit_code, result.output
    return result


def run_json(*arguments, exit_code=ExitCode.OK):
    """The modules; the last line on a folder or archive as a whole is left to tests of its own."""
    return [line for line in run_json_lines(*arguments, exit_code=exit_code) if "files" not in line]


def run_json_lines(*arguments, exit_code=ExitCode.OK):
    return [json.loads(line) for line in run(*arguments, "--json", exit_code=exit_code).stdout.splitlines()]


def problems(*arguments):
    return [[p["code"] for p in d["problems"]] for d in run_json(*arguments, exit_code=ExitCode.BAD_INPUT)]


@pytest.fixture
def write(tmp_path):
    def write(name, data):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
        return path

    return write


def test_a_folder_is_read_recursively_in_order(write, tmp_path):
    second, first = write("fw/b.bin", APP), write("fw/a/deep.bin", SYSTEM_PART)
    write("fw/readme.txt", b"text")
    descriptions = run_json(tmp_path / "fw")
    assert [d["file"] for d in descriptions] == [str(first), str(second)]
    assert [d["kind"] for d in descriptions] == ["system part", "user part"]
    text = run(tmp_path / "fw").output
    assert f"{tmp_path / 'fw'}: 2 files, 0 with problems" in text
    assert "Device OS 2.1.0 for boron: without bootloader 0, radio stack 0" in text


def test_every_module_in_an_archive_has_its_line(write):
    path = write(
        "release.zip", pack_zip({"b/boron-system-part1@2.1.0.bin": SYSTEM_PART, "a.bin": APP, "notes.txt": b""})
    )
    assert [d["file"] for d in run_json(path)] == [f"{path}:a.bin", f"{path}:b/boron-system-part1@2.1.0.bin"]
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as archive:
        info = tarfile.TarInfo("package/app.bin")
        info.size = len(APP)
        archive.addfile(info, io.BytesIO(APP))
    path = write("firmware.tgz", buffer.getvalue())
    assert [d["file"] for d in run_json(path)] == [f"{path}:app.bin"]


def test_one_bad_member_is_enough(write):
    path = write("release.zip", pack_zip({"a.bin": APP, "b.bin": DAMAGED, "c.bin": b"text"}))
    assert problems(path) == [[], ["crc_mismatch", "sha256_mismatch"], ["no_prefix"]]
    assert "3 files, 2 with problems" in run(path, exit_code=ExitCode.BAD_INPUT).output


def test_release_files_must_be_what_their_names_say(write):
    path = write("release.zip", pack_zip({"photon-system-part1@2.1.0.bin": SYSTEM_PART}))
    assert problems(path) == [["name_platform"]]


def test_containers_without_modules_or_that_cannot_be_read(write, tmp_path):
    (tmp_path / "empty").mkdir()
    no_modules = write("other.zip", pack_zip({"readme.txt": b""}))
    damaged = bytearray(pack_zip({"a.bin": APP}))
    damaged[40] ^= 0xFF
    broken = write("broken.zip", bytes(damaged))
    cut = write("cut.zip", bytes(damaged)[:100])
    assert problems(tmp_path / "empty", no_modules, broken, cut) == [
        ["no_modules"],
        ["no_modules"],
        ["unreadable"],
        ["damaged_archive"],
    ]


def test_a_bundle_is_checked_as_a_whole(write):
    path = write("bundle.zip", pack_zip(MEMBERS))
    (description,) = run_json(path)
    assert description["file"] == f"{path}:app.bin"
    text = run(path).output
    assert "application bundle with 2 assets" in text
    assert "logo.png: 6 bytes" in text
    assert "wants asset 'blob.bin'" in text
    path = write("bad.zip", pack_zip(MEMBERS | {"assets/logo.png": b"other"}))
    assert problems(path) == [["asset_hash_mismatch"]]
    path = write("worse.zip", pack_zip(MEMBERS | {"app.bin": DAMAGED}))
    assert problems(path) == [["crc_mismatch", "sha256_mismatch"]]
    path = write("env.zip", pack_zip(MEMBERS | {"env.json": b"{"}))
    assert problems(path) == [["bad_environment"]]


def test_combined_modules_have_a_line_each(write):
    path = write("combined.bin", combine([SYSTEM_PART, compress(APP)]))
    descriptions = run_json(path)
    assert [d["file"] for d in descriptions] == [f"{path}#1", f"{path}#2"]
    assert [d["flags"] for d in descriptions] == [["COMBINED"], ["COMPRESSED"]]
    cut = write("cut.bin", combine([SYSTEM_PART, APP])[:-50])
    assert problems(cut) == [[], ["truncated"]]
    alone = write("alone.bin", combine([SYSTEM_PART, APP])[: len(SYSTEM_PART)])
    assert problems(alone) == [["combined_incomplete"]]


def test_modules_one_behind_the_other_need_no_flag(write):
    path = write("both.bin", SYSTEM_PART + APP)
    descriptions = run_json(path)
    assert [(d["file"], d["module_offset"], d["problems"]) for d in descriptions] == [
        (f"{path}#1", 0, []),
        (f"{path}#2", len(SYSTEM_PART), []),
    ]
    assert descriptions[1]["prefix_offset"] == len(SYSTEM_PART)
    text = run(path).output
    assert text.count("no COMBINED flag announces the next module") == 1
    assert f"begins        at offset 0x{len(SYSTEM_PART):X}; offsets are those of the file" in text
    assert "no COMBINED" not in run(write("combined.bin", combine([SYSTEM_PART, APP]))).output


def test_offsets_of_the_second_module_are_those_of_the_file(write):
    data = SYSTEM_PART + DAMAGED
    path = write("both.bin", data)
    second = run_json(path, exit_code=ExitCode.BAD_INPUT)[1]
    assert [p["offset"] for p in second["problems"]] == [len(data) - 4, len(data) - 38]
    assert f"0x{len(data) - 4:06X}  0x000B4" in run("--map", path, exit_code=ExitCode.BAD_INPUT).output


def test_junk_is_not_called_a_module(write):
    for data in (combine([SYSTEM_PART, APP]) + b"junk", SYSTEM_PART + APP + b"junk"):
        path = write("junk.bin", data)
        first, second = run_json(path, exit_code=ExitCode.BAD_INPUT)
        assert first["problems"] == []
        (problem,) = second["problems"]
        assert problem == {
            "code": "trailing_data",
            "offset": len(data) - 4,
            "message": "4 bytes that are no module follow.",
        }


def test_a_module_cut_short_is_named(write):
    path = write("cut.bin", SYSTEM_PART[:600])
    assert f"{path}: cut short, by its prefix system part 1, version 2101, boron (13)" in (
        run(path, exit_code=ExitCode.BAD_INPUT).output
    )
    assert "--map" not in run("--map", path, exit_code=ExitCode.BAD_INPUT).output
    assert problems(write("b.bin", SYSTEM_PART[:600]), path) == [["truncated"], ["truncated"]]


def test_archives_and_modules_on_standard_input():
    def names(data):
        result = CliRunner().invoke(inspect, ["-", "--json"], input=data)
        assert result.exit_code == ExitCode.OK, result.output
        return [d["file"] for d in map(json.loads, result.stdout.splitlines()) if "files" not in d]

    tar = io.BytesIO()
    with tarfile.open(fileobj=tar, mode="w:xz") as archive:
        info = tarfile.TarInfo("package/app.bin")
        info.size = len(APP)
        archive.addfile(info, io.BytesIO(APP))
    assert names(APP) == ["-"]
    assert names(combine([SYSTEM_PART, APP])) == ["-#1", "-#2"]
    assert names(pack_zip({"a.bin": APP, "b.bin": SYSTEM_PART})) == ["-:a.bin", "-:b.bin"]
    assert names(pack_zip(MEMBERS)) == ["-:app.bin"]
    assert names(tar.getvalue()) == ["-:app.bin"]
    damaged = CliRunner().invoke(inspect, ["-", "--json"], input=pack_zip(MEMBERS)[:90])
    assert damaged.exit_code == ExitCode.BAD_INPUT
    assert json.loads(damaged.stdout)["problems"][0]["code"] == "damaged_archive"


def test_an_xz_archive_damaged_in_the_middle(write):
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:xz") as archive:
        info = tarfile.TarInfo("app.bin")
        info.size = 200_000
        archive.addfile(info, io.BytesIO(random.Random(1).randbytes(200_000)))
    data = bytearray(buffer.getvalue())
    data[len(data) // 2] ^= 0xFF
    assert problems(write("release.tar.xz", bytes(data))) == [["unreadable"]]


def test_a_name_of_several_lines_stays_on_its_line(write):
    path = write("new\nline\x1b[31m.bin", DAMAGED)
    result = run("--verify-only", path, exit_code=ExitCode.BAD_INPUT)
    lines = result.stderr.splitlines()
    assert len(lines) == 2
    assert all("new\\nline\\x1b[31m.bin: " in line for line in lines)
    assert "\x1b" not in run(path, exit_code=ExitCode.BAD_INPUT).output
    assert run_json(path, exit_code=ExitCode.BAD_INPUT)[0]["file"] == str(path)


def test_what_is_packed_is_checked_too(write):
    parts = take_apart(compress(APP))
    broken = build(replace(parts, body=parts.body[:-9]))
    asset = take_apart(make_asset_module(Asset("a", b"data"), compressed=False))
    other = build(replace(asset, body=b"else"))
    paths = [write("broken.bin", broken), write("asset.bin", other), write("both.bin", combine([broken, APP]))]
    assert problems(*paths) == [["bad_compression"], ["asset_hash_mismatch"], ["bad_compression"], []]


def test_an_encrypted_module_says_so(write):
    parts = replace(
        take_apart(APP), function=ModuleFunction.BOOTLOADER, index=2, platform_id=32, flags=ModuleFlag.ENCRYPTED
    )
    assert "encrypted for the device" in run(write("part1.bin", build(parts))).output


def test_verify_only_is_silent_on_good_files_and_names_bad_ones(write):
    good, bad = write("good.bin", APP), write("bad.bin", DAMAGED)
    assert run("--verify-only", good).output == ""
    result = run("--verify-only", good, bad, exit_code=ExitCode.BAD_INPUT)
    assert result.stdout == ""
    assert [line.split(": ")[:2] for line in result.stderr.splitlines()] == [
        [str(bad), f"crc_mismatch at offset 0x{len(APP) - 4:X}"],
        [str(bad), f"sha256_mismatch at offset 0x{len(APP) - 38:X}"],
    ]


def test_a_map_shows_every_region(write):
    output = run("--map", write("app.bin", APP)).output
    assert f"  0x000000  {'P' * 24}{'0' * 40}" in output
    assert "NNNNSSSS" in output
    assert output.count("CCCC") == 1
    assert "0x0000E0  0x000B40E0         4 bytes" in output


def test_an_svg_of_one_module(write, tmp_path):
    target = tmp_path / "map.svg"
    run("--svg", target, write("app.bin", APP))
    assert ET.parse(target).getroot().tag.endswith("svg")


def test_no_svg_of_what_is_not_one_whole_module(write, tmp_path):
    target = tmp_path / "map.svg"
    for path in (write("cut.bin", APP[:60]), tmp_path / "missing.bin"):
        assert "no whole module to draw" in run("--svg", target, path, exit_code=ExitCode.BAD_INPUT).stderr
    run("--svg", target, write("both.bin", SYSTEM_PART + APP), exit_code=ExitCode.USAGE)
    assert not target.exists()


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--json", "--map", "x"], "one of --json, --verify-only and --map"),
        (["--json", "--verify-only", "x"], "one of --json"),
        (["--map", "--verify-only", "x"], "one of --json"),
        (["--svg", "map.svg", "x", "y"], "give one FILE, or use --map"),
        (["--svg", "-", "x"], "give a file"),
    ],
)
def test_options_that_exclude_each_other(options, words):
    result = CliRunner().invoke(inspect, options)
    assert result.exit_code == ExitCode.USAGE
    assert words in " ".join(result.output.split())


@pytest.mark.parametrize("arguments", ["--verify-only {bad}", "--verify-only {bad} {good} --svg {good}.svg", "{bad}"])
@pytest.mark.parametrize("redirection", ["2>/dev/full", "2>&-"])
def test_a_stderr_that_takes_nothing_changes_no_exit_status(write, arguments, redirection):
    good, bad = write("good.bin", APP), write("bad.bin", DAMAGED)
    expected = ExitCode.USAGE if "--svg" in arguments else ExitCode.BAD_INPUT
    command = f"{sys.executable} -m particle_dev inspect {arguments.format(good=good, bad=bad)} {redirection}"
    done = subprocess.run(["bash", "-c", command], capture_output=True, text=True, check=False)
    assert (done.returncode, "Traceback" in done.stdout) == (expected, False)


def test_a_reader_that_stops_early(write, tmp_path):
    for number in range(3000):
        write(f"fw/{number}.bin", APP)
    for options in ("", "--json"):
        command = (
            f"{sys.executable} -m particle_dev inspect {options} {tmp_path / 'fw'} | head -1; exit ${{PIPESTATUS[0]}}"
        )
        done = subprocess.run(["bash", "-c", command], capture_output=True, text=True, check=False)
        assert done.returncode == ExitCode.OUTPUT_CLOSED == 141
        assert (done.stdout.count("\n"), done.stderr) == (1, "")


def test_plain_files_load_nothing_heavy(write):
    script = (
        "import sys; from particle_dev.cli.main import main\n"
        "try: main(['inspect', '--json', sys.argv[1]])\n"
        "finally: print(sorted({'construct', 'zipfile', 'tarfile', 'rich', 'usb', 'sqlalchemy'} & set(sys.modules)))"
    )
    command = [sys.executable, "-c", script, write("app.bin", APP)]
    result = subprocess.run(command, capture_output=True, text=True, check=True)
    assert result.stdout.splitlines()[-1] == "[]"


def test_a_zip_made_elsewhere(write):
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.mkdir("folder")
        archive.writestr("folder/app.bin", APP)
    path = write("stored.zip", buffer.getvalue())
    assert [d["file"] for d in run_json(path)] == [f"{path}:folder/app.bin"]
