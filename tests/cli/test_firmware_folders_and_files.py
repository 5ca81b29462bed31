"""What commands do with files that are there, that cannot be read, that hold others, or that are for other boards."""

import errno
import json
import os
import stat
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from click.testing import CliRunner
from particle_harness.boards import hardware
from particle_harness.factory import build_module

from particle_dev.catalog.modules import ModuleFunction
from particle_dev.catalog.platforms import platform_by_name
from particle_dev.cli import inspect_files
from particle_dev.cli.exit_codes import ExitCode
from particle_dev.cli.main import main
from particle_dev.cli.root import root
from particle_dev.errors import FirmwareStoreError, PlanRefusedError
from particle_dev.flash.bundle_files import pack_zip
from particle_dev.flash.file_io import write_file
from particle_dev.flash.offers import Offer
from particle_dev.flash.store import FirmwareStore
from particle_dev.protocol.asset import Asset
from particle_dev.protocol.bundle import make_bundle
from particle_dev.protocol.compressed import compress
from particle_dev.protocol.module import Dependency
from particle_dev.protocol.module_build import ModuleParts, build, take_apart
from particle_dev.protocol.module_edit import combine

USER, SYSTEM, BOOT = ModuleFunction.USER_PART, ModuleFunction.SYSTEM_PART, ModuleFunction.BOOTLOADER
APP = build(ModuleParts(USER, 2, 6, 13, 0xB4000, bytes(2000), dependencies=(Dependency(SYSTEM, 1, 5500),)))
PHOTON_APP = build(ModuleParts(USER, 1, 6, 6, 0x080A0000, bytes(500), dependencies=(Dependency(SYSTEM, 2, 108),)))
SYSTEM_PART = build(ModuleParts(SYSTEM, 1, 6303, 13, 0x30000, b"x" * 99))
BUNDLE = make_bundle(APP, [Asset("a.txt", b"hello")], application_name="app.bin")
PACKED = compress(APP)
FULL_DEVICE = Path("/dev/full")
BORON = platform_by_name("boron")


def packed_badly():
    parts = take_apart(PACKED)
    body = bytearray(parts.body)
    body[12] ^= 0xFF
    return build(replace(parts, body=bytes(body)))


@pytest.fixture
def write(tmp_path):
    def write(name, data):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
        return path

    return write


@pytest.fixture
def mix(write):
    write("mix/sys.bin", SYSTEM_PART)
    write("mix/photon.bin", PHOTON_APP)
    write("mix/inner.zip", pack_zip(BUNDLE))
    return write("mix/APP.BIN", APP).parent


def run(capsys, *arguments):
    """Exit status, standard output and standard error."""
    with pytest.raises(SystemExit) as exit_:
        main([str(a) for a in arguments])
    out, err = capsys.readouterr()
    return exit_.value.code, out, err


def _argv(arguments):
    call = "import sys; from particle_dev.cli.main import main; main(sys.argv[1:])"
    return [sys.executable, "-c", call, *map(str, arguments)]


def test_a_result_goes_into_devices_pipes_and_links_and_replaces_files_with_force_only(write, tmp_path, capsys):
    app, out = write("app.bin", APP), write("real.bin", b"mine")
    link = tmp_path / "link.bin"
    link.symlink_to(out)
    for target in (out, link):
        status, _, err = run(capsys, "firmware", "compress", app, target)
        assert (status, "--force" in err) == (ExitCode.BAD_INPUT, True)
    assert out.read_bytes() == b"mine"
    assert run(capsys, "firmware", "compress", app, link, "--force")[0] == ExitCode.OK
    assert link.is_symlink()
    assert out.read_bytes() == PACKED
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    reader = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)
    write_file(pipe, b"through")
    assert os.read(reader, 99) == b"through"
    os.close(reader)
    assert stat.S_ISFIFO(pipe.stat().st_mode)
    with pytest.raises(FirmwareStoreError, match="No space left"):
        write_file(FULL_DEVICE, b"x")
    assert stat.S_ISCHR(FULL_DEVICE.stat().st_mode)


def test_a_drawing_keeps_the_same_rule(write, capsys):
    app, out = write("app.bin", APP), write("map.svg", b"mine")
    assert run(capsys, "inspect", app, "--svg", out)[0] == ExitCode.BAD_INPUT
    assert run(capsys, "inspect", app, "--svg", out, "--force")[0] == ExitCode.OK
    assert out.read_bytes().startswith(b"<svg")


def test_a_release_with_a_bootloader_that_nobody_knows_is_no_yes_and_no_no(write, capsys):
    app = write("app.bin", APP)
    status, out, _ = run(capsys, "firmware", "check", app, "--device-os", "6.3.4")
    assert status == ExitCode.INCOMPLETE
    assert "cannot tell" in out
    assert "bootloader 0 of Device OS 6.3.4 is not known" in out
    board = {
        "device_id": "e00fce681122334455667788",
        "platform": {"id": 13, "name": "boron"},
        "modules": [
            {"function": f, "index": i, "version": v, "failed_checks": [], "store": 0, "dependencies": []}
            for f, i, v in ((BOOT, 0, 3101), (ModuleFunction.RADIO_STACK, 0, 202), (SYSTEM, 1, 6200))
        ],
    }
    on_board = write("board.json", json.dumps(board).encode())
    arguments = ("firmware", "check", app, "--on-board", on_board, "--device-os", "6.3.4", "--json")
    status, out, _ = run(capsys, *arguments)
    (answer,) = json.loads(out)["applications"]
    assert (status, answer["runs"], answer["steps"], answer["unknown"]) == (6, None, None, ["bootloader 0"])
    board["modules"][2]["version"] = 6305
    on_board.write_text(json.dumps(board))
    assert json.loads(run(capsys, *arguments)[1])["applications"][0]["runs"] is True
    newer = replace(take_apart(APP), dependencies=(Dependency(SYSTEM, 1, 6305),))
    status, out, _ = run(capsys, "firmware", "check", write("new.bin", build(newer)), "--device-os", "6.2.0")
    assert status == ExitCode.REFUSED
    assert "flash Device OS 6.3.4" not in out
    assert "put system part 1 v6305 or later" in out


def test_a_release_of_an_unknown_bootloader_needs_one_that_its_system_part_takes(write, tmp_path):
    kind, store = hardware("boron"), FirmwareStore(tmp_path / "store")
    stack = build_module(kind, ModuleFunction.RADIO_STACK, 0, 202, start_address=0x1000, size_bytes=0x400)
    old, new = (build_module(kind, BOOT, 0, v, start_address=0xF4000, size_bytes=0x400) for v in (3101, 3200))
    part = build_module(
        kind, SYSTEM, 1, 6305, start_address=0x28000, size_bytes=0x1000, need1=(BOOT, 0, 3200), need2=(8, 0, 202)
    )
    for name, data in (("stack.bin", stack), ("old.bin", old), ("part.bin", part)):
        assert store.add_path(write(name, data)).ok
    with pytest.raises(FirmwareStoreError, match="bootloader 0 v3200 or later missing"):
        store.device_os_set("boron", "6.3.4")
    store.add_path(write("new.bin", new))
    assert [m.version for m in store.device_os_set("boron", "6.3.4").bootloaders] == [3200]


def test_what_a_folder_has_for_other_boards_is_told(mix, capsys):
    offer = Offer()
    offer.add_paths([mix], BORON)
    assert [f.file_name for f in offer.files] == ["APP.BIN", "sys.bin"]
    assert offer.skipped == [
        f"{mix / 'photon.bin'} is for Photon, not for Boron",
        f"{mix / 'inner.zip'} is an archive in {mix}",
    ]
    _, out, _ = run(capsys, "inspect", mix)
    assert f"photon: {mix / 'photon.bin'}" in out
    assert f"not looked into: {mix / 'inner.zip'}" in out
    last = json.loads(run(capsys, "inspect", mix, "--json")[1].splitlines()[-1])
    assert last["platforms"]["photon"] == [str(mix / "photon.bin")]
    assert last["not_looked_into"] == [str(mix / "inner.zip")]


def test_a_folder_whose_application_or_system_part_is_for_another_board_is_refused(mix):
    (mix / "APP.BIN").unlink()
    with pytest.raises(PlanRefusedError, match=r"photon\.bin is for Photon"):
        Offer().add_paths([mix], BORON)
    (mix / "APP.BIN").write_bytes(APP)
    (mix / "sys.bin").write_bytes(build(ModuleParts(SYSTEM, 1, 207, 6, 0x08020000, bytes(99))))
    with pytest.raises(PlanRefusedError, match=r"sys\.bin is for Photon"):
        Offer().add_paths([mix], BORON)


def test_damage_inside_is_damage_everywhere(write, tmp_path, capsys):
    bad = write("bad.bin", packed_badly())
    store = tmp_path / "store"
    for arguments in (
        ("inspect", bad),
        ("firmware", "add", "--store", store, bad),
        ("firmware", "check", bad, "--device-os", "6.2.0"),
        ("firmware", "split", bad, "--out", tmp_path / "parts"),
    ):
        status, out, err = run(capsys, *arguments)
        assert (status, "What it expands to is no module" in " ".join((out + err).split())) == (
            ExitCode.BAD_INPUT,
            True,
        )
    assert FirmwareStore(store).modules() == ()


def test_the_store_takes_no_bundle_apart(write, tmp_path, capsys):
    status, _, err = run(capsys, "firmware", "add", "--store", tmp_path / "s", write("b.zip", pack_zip(BUNDLE)))
    assert (status, "would lose its assets" in err) == (ExitCode.BAD_INPUT, True)


def test_check_takes_bundles_with_their_assets_and_archives(write, mix, capsys):
    bundle = write("b.zip", pack_zip(BUNDLE))
    status, out, _ = run(capsys, "firmware", "check", bundle, "--device-os", "6.2.0")
    assert status == ExitCode.OK
    assert "it needs 1 assets" not in out
    altered = write("bad.zip", pack_zip(BUNDLE | {"assets/a.txt": b"other"}))
    document = json.loads(run(capsys, "firmware", "check", altered, "--device-os", "6.2.0", "--json")[1])
    assert document["unusable"][0]["code"] == "asset_hash_mismatch"
    status, out, _ = run(capsys, "firmware", "check", mix, "--platform", "boron", "--device-os", "6.2.0")
    assert (status, f"{mix / 'APP.BIN'} for Boron on Device OS 6.2.0: runs" in out) == (ExitCode.REFUSED, True)


def test_archives_in_place_of_modules_are_called_what_they_are_and_their_members_can_be_named(write, tmp_path, capsys):
    bundle, app = write("b.zip", pack_zip(BUNDLE)), write("app.bin", APP)
    status, _, err = run(capsys, "firmware", "diff", bundle, app)
    assert (status, f"such as {bundle}:app.bin" in err) == (ExitCode.BAD_INPUT, True)
    both = write("both.bin", combine([SYSTEM_PART, APP]))
    assert run(capsys, "firmware", "diff", f"{both}#2", app)[1] == "The files are equal.\n"
    plain = write("plain.zip", pack_zip({"x/app.bin": APP}))
    assert run(capsys, "firmware", "diff", f"{plain}:x/app.bin", app)[1] == "The files are equal.\n"
    for name in (f"{both}#2", f"{bundle}:app.bin"):
        status, out, _ = run(capsys, "inspect", name, "--json")
        assert (status, [json.loads(line)["file"] for line in out.splitlines()]) == (ExitCode.OK, [name])
    assert run(capsys, "inspect", f"{both}#3")[0] == ExitCode.BAD_INPUT
    literal = write("both.bin#2", PHOTON_APP)
    assert json.loads(run(capsys, "inspect", literal, "--json")[1])["platform"]["name"] == "photon"


@pytest.mark.parametrize("arguments", [["inspect", "-"], ["inspect", "-", "--map"], ["firmware", "diff", "-", "{app}"]])
def test_a_closed_standard_input_is_one_line_and_no_traceback(write, arguments):
    app = write("app.bin", APP)
    shell = ["sh", "-c", 'exec "$@" <&-', "sh", *_argv([a.format(app=app) for a in arguments])]
    result = subprocess.run(shell, check=False, capture_output=True, text=True, timeout=60)
    assert result.returncode == ExitCode.BAD_INPUT
    assert "Traceback" not in result.stderr


@pytest.mark.parametrize("redirection", [">&-", ">/dev/full"])
def test_output_that_is_lost_is_no_success(write, redirection):
    shell = ["sh", "-c", f'exec "$@" {redirection}', "sh", *_argv(["inspect", write("app.bin", APP)])]
    result = subprocess.run(shell, check=False, stderr=subprocess.PIPE, text=True, timeout=60)
    assert result.returncode == ExitCode.FAILED
    assert "the output cannot be written" in result.stderr


@pytest.mark.parametrize("options", [["--json"], []])
def test_a_closed_pipe_is_its_own_status(write, tmp_path, options):
    store = FirmwareStore(tmp_path / "store")
    store.add_path(write("app.bin", APP))
    reader, writer = os.pipe()
    os.close(reader)
    arguments = _argv(["firmware", "list", "--store", store.root, *options])
    result = subprocess.run(arguments, check=False, stdout=writer, stderr=subprocess.PIPE, timeout=60)
    os.close(writer)
    assert result.returncode == ExitCode.OUTPUT_CLOSED


def test_what_a_folder_has_that_cannot_be_read_is_named_and_the_rest_is_handled(write, tmp_path, capsys):
    write("fw/app.bin", APP)
    dangling = tmp_path / "fw" / "gone.bin"
    dangling.symlink_to("nowhere")
    os.mkfifo(tmp_path / "fw" / "pipe.bin")
    status, out, _ = run(capsys, "inspect", tmp_path / "fw", "--json")
    assert status == ExitCode.BAD_INPUT
    told = {d["file"]: [p["code"] for p in d["problems"]] for d in map(json.loads, out.splitlines())}
    assert told[str(tmp_path / "fw" / "app.bin")] == []
    assert told[str(dangling)] == told[str(tmp_path / "fw" / "pipe.bin")] == ["unreadable"]
    status, out, _ = run(capsys, "firmware", "add", "--store", tmp_path / "s", tmp_path / "fw")
    assert (status, "1 added, 0 already there, 2 refused" in out) == (ExitCode.BAD_INPUT, True)


def test_an_unreadable_folder_in_a_folder_is_named(write, tmp_path, capsys, monkeypatch):
    write("fw/app.bin", APP)
    locked = write("fw/locked/b.bin", APP).parent
    scandir = os.scandir

    def denied(path):
        if str(path) == str(locked):
            raise PermissionError(errno.EACCES, "Permission denied", str(path))
        return scandir(path)

    monkeypatch.setattr(os, "scandir", denied)
    status, _, err = run(capsys, "inspect", tmp_path / "fw", "--verify-only")
    assert status == ExitCode.BAD_INPUT
    assert err == f"{locked}: unreadable: {locked} cannot be read: Permission denied.\n"


def test_a_store_that_is_a_file_is_bad_input(write, capsys):
    status, _, err = run(capsys, "firmware", "list", "--store", write("file", b""))
    assert (status, "is no folder" in err) == (ExitCode.BAD_INPUT, True)


def test_list_tells_flags_and_files_that_were_altered(write, tmp_path, capsys):
    root_dir = tmp_path / "store"
    assert json.loads(run(capsys, "firmware", "list", "--json", "--store", root_dir)[1])["exists"] is False
    (module,) = FirmwareStore(root_dir).add_path(write("small.bin", PACKED)).added
    assert "user part, compressed" in run(capsys, "firmware", "list", "--store", root_dir)[1]
    path = root_dir / "modules" / f"{module.sha256}.bin"
    path.write_bytes(b"?" + PACKED[1:])
    assert run(capsys, "firmware", "list", "--store", root_dir)[0] == ExitCode.OK
    status, out, _ = run(capsys, "firmware", "list", "--verify", "--json", "--store", root_dir)
    document = json.loads(out)
    assert (status, document["modules"][0]["flags"]) == (ExitCode.BAD_INPUT, ["COMPRESSED"])
    assert "altered on disk" in document["problems"][0]["message"]
    path.write_bytes(b"?")
    status, _, err = run(capsys, "firmware", "list", "--store", root_dir)
    assert (status, "its size is now 1" in err) == (ExitCode.BAD_INPUT, True)


def test_a_source_without_modules_says_so_in_json_too(write, tmp_path, capsys):
    folder = write("docs/readme.txt", b"text").parent
    status, out, _ = run(capsys, "firmware", "add", "--json", "--store", tmp_path / "s", folder)
    (result,) = json.loads(out)
    assert (status, result["problem"]) == (ExitCode.BAD_INPUT, "there is no .bin file in it")
    assert "problem: there is no .bin file" in run(capsys, "firmware", "add", "--store", tmp_path / "s", folder)[1]


def test_json_of_inspect_holds_what_people_are_told(write, capsys):
    document = json.loads(run(capsys, "inspect", "--json", write("b.zip", pack_zip(BUNDLE)))[1])
    assert document["wants_assets"] == [{"name": "a.txt", "sha256": Asset("a.txt", b"hello").sha256.hex()}]
    assert document["bundle"]["assets"] == [document["wants_assets"][0] | {"size_bytes": 5}]
    assert json.loads(run(capsys, "inspect", "--json", write("c.bin", PACKED))[1])["notes"]
    damaged = write("d.bin", APP[:100] + b"?" + APP[101:])
    document = json.loads(run(capsys, "inspect", "--json", damaged)[1])
    assert document["what_to_do"] == ["take the file from a fresh download or build"]
    assert document["suffix_sha256"]["computed"] in run(capsys, "inspect", damaged)[1]


@pytest.mark.parametrize("options", [[], ["--json"]])
def test_ctrl_c_in_inspect_is_told(write, capsys, monkeypatch, options):
    def interrupt(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr(inspect_files, "describe", interrupt)
    status, out, err = run(capsys, "inspect", write("app.bin", APP), *options)
    assert status == ExitCode.INTERRUPTED
    assert json.loads(out)["exit_code"] == ExitCode.INTERRUPTED if options else err == "interrupted\n"


def test_a_board_is_read_from_standard_input(write):
    board = {"device_id": "e0", "platform": {"id": 13, "name": "boron"}, "modules": []}
    arguments = ["firmware", "check", "--on-board", "-", "--json", str(write("app.bin", APP))]
    result = CliRunner().invoke(root, arguments, input=json.dumps(board))
    assert json.loads(result.stdout)["device_id"] == "e0"
    result = CliRunner().invoke(root, ["firmware", "check", "--on-board", "-", "-"], input="")
    assert (result.exit_code, "one of the files" in result.output) == (ExitCode.USAGE, True)


def test_an_application_for_another_board(write, capsys):
    arguments = (
        "firmware",
        "check",
        write("p.bin", PHOTON_APP),
        "--platform",
        "boron",
        "--device-os",
        "2.1.0",
        "--json",
    )
    (answer,) = json.loads(run(capsys, *arguments)[1])["applications"]
    assert (answer["address"], answer["boots_into"]) == (None, None)
    assert answer["needs"] == [{"module": "system part 2 v108", "device_os": "0.6.2"}]
    assert (answer["findings"][0]["needed"], answer["findings"][0]["present"]) == ("boron", "photon")


def test_a_map_of_a_large_module_has_a_cell_for_each_region(write, capsys):
    large = write("large.bin", build(replace(take_apart(APP), body=b"x" * 60000)))
    out = run(capsys, "inspect", "--map", large)[1]
    grid = "".join(line.split()[1] for line in out.splitlines() if line.startswith("  0x"))
    assert grid.endswith("#NSC")
