"""``particle-dev flash`` with whole releases: from the store, a folder, an archive, a bundle."""

import json
import zipfile

import pytest
from particle_harness.boards import hardware
from particle_harness.factory import app_stand_in, bootloader_stand_in

from particle_dev.cli.exit_codes import ExitCode
from particle_dev.cli.main import main
from particle_dev.protocol.asset import Asset
from particle_dev.protocol.bundle import make_bundle
from particle_dev.protocol.module_edit import protect_bootloader

pytestmark = pytest.mark.firmware


@pytest.fixture
def run(capsys, monkeypatch, release_store):
    monkeypatch.setenv("PARTICLE_DEV_STORE", str(release_store.root))

    def call(*arguments):
        with pytest.raises(SystemExit) as end:
            main([str(a) for a in arguments])
        out, err = capsys.readouterr()
        return end.value.code or 0, out, err

    return call


@pytest.fixture
def bench(tmp_path):
    """A bench file with one board that keeps its flash."""

    def write(platform, **slot):
        path = tmp_path / "bench.toml"
        keys = "".join(f"{key} = {json.dumps(value)}\n" for key, value in {"platform": platform, **slot}.items())
        path.write_text(
            '[bench]\ndriver = "virtual"\nstate_dir = "boards"\n[bench.options]\nclock = "virtual"\n'
            f'[[slot]]\nname = "1"\n{keys}'
        )
        return path

    return write


def truth(bench):
    return json.loads((bench.parent / "boards" / "1" / "board.json").read_text())["truth"]


def updates(particle_cli_firmware):
    return particle_cli_firmware / "particle-cli-2.12.0" / "package" / "assets" / "updates"


TINKER = "tinker-0.8.0-rc.27-boron.bin"


def test_release_and_application_from_the_store(run, bench):
    path = bench("boron")
    status, out, err = run("flash", "--device-os", "2.1.0", "--app", TINKER, "--bench", path)
    assert status == 0, err
    assert "bootloader 0 v1005" in out
    assert out.count("read back and equal") == 2
    _, out, _ = run("id", "--bench", path, "--json")
    assert json.loads(out)["device_os"] == "2.1.0"
    assert truth(path)["first_connected_at_s"] is None
    status, out, _ = run("flash", "--device-os", "2.1.0", "--app", TINKER, "--bench", path)
    assert status == 0
    assert "nothing to write" in out


def test_plan_with_a_permission_is_printed_and_not_carried_out(run, bench):
    path = bench("boron", bootloader="old")
    arguments = ("flash", "--device-os", "2.1.0", "--app", TINKER, "--bench", path)
    status, out, _ = run(*arguments, "--dry-run", "--json")
    plan = json.loads(out)
    assert status == 0
    assert [p["kind"] for p in plan["phases"]] == ["control update", "enter DFU mode", "flash", "prove"]
    assert plan["permissions_needed"] == ["may_connect"]
    assert plan["phases"][0]["transport"] == "control requests"
    assert plan["phases"][0]["resets"] == 1
    assert plan["expected_duration_s"] > 20
    status, out, _ = run(*arguments, "--dry-run")
    assert "needs --may-connect" in out
    status, _, err = run(*arguments)
    assert status == ExitCode.REFUSED
    assert "control update of bootloader 0 v1005" in err
    assert truth(path)["erases"] == 0
    status, out, err = run(*arguments, "--may-connect")
    assert status == 0, err
    assert "control request 90" in out or "read back" in out


def test_bootloader_that_protects_needs_its_own_flag(run, bench, tmp_path):
    bootloader = tmp_path / "protected-bootloader.bin"
    bootloader.write_bytes(protect_bootloader(bootloader_stand_in(hardware("boron"), 3100)))
    arguments = ("flash", bootloader, "--may-connect", "--bench", bench("boron", device_os="6.2.0"))
    assert json.loads(run(*arguments, "--dry-run", "--json")[1])["permissions_needed"] == ["may_connect", "may_lock"]
    status, _, err = run(*arguments)
    assert status == ExitCode.REFUSED
    assert "allow it with --may-lock" in err
    # Once it is locked it answers nothing that would prove the module: that is no success.
    status, _, err = run(*arguments, "--may-lock")
    assert status == ExitCode.FAILED
    assert "refused MODULE_INFO: PROTECTED" in err


def test_release_that_the_store_has_not(run, bench):
    status, _, err = run("flash", "--device-os", "4.2.0", "--bench", bench("boron"))
    assert status == ExitCode.BAD_INPUT
    assert "firmware add" in err
    assert "stored for Boron: 2.1.0" in err
    status, _, err = run("flash", "--device-os", "9.9.9", "--bench", bench("boron"))
    assert status == ExitCode.BAD_INPUT
    assert "what to do: the firmware store has 2.1.0 for Boron" in err


def test_folder_and_archive_of_a_release(run, bench, particle_cli_firmware, tmp_path):
    """Of modules for many platforms, those of the board count."""
    path = bench("photon")
    app = particle_cli_firmware / "particle-cli-2.12.0/package/assets/binaries/tinker-0.4.5-photon.bin"
    folder = updates(particle_cli_firmware)
    status, out, err = run("flash", folder, app, "--bench", path, "--dry-run", "--json")
    assert status == 0, err
    files = json.loads(out)["phases"][1]["files"]
    assert set(files) == {"photon-system-part1@2.1.0.bin", "photon-system-part2@2.1.0.bin", app.name}
    archive = tmp_path / "release.zip"
    with zipfile.ZipFile(archive, "w") as stream:
        for file in folder.glob("p*.bin"):
            stream.write(file, f"release/{file.name}")
    status, again, err = run("flash", archive, app, "--bench", path, "--dry-run", "--json")
    assert status == 0, err
    assert json.loads(again)["phases"] == json.loads(out)["phases"]


def test_folder_without_a_module_for_the_board(run, bench, tmp_path):
    (tmp_path / "empty").mkdir()
    status, _, err = run("flash", tmp_path / "empty", "--bench", bench("photon"))
    assert status == ExitCode.BAD_INPUT
    assert "no module for Photon" in err


def test_bundle_brings_its_assets(run, bench, tmp_path):
    """A board whose Device OS keeps no assets is told so, by name."""
    kind = hardware("boron")
    members = make_bundle(app_stand_in(kind, 5501), [Asset("logo.png", b"x" * 999)], application_name="app.bin")
    path = tmp_path / "app.zip"
    with zipfile.ZipFile(path, "w") as stream:
        for name, data in members.items():
            stream.writestr(name, data)
    status, _, err = run("flash", path, "--bench", bench("boron"))
    assert status == ExitCode.REFUSED
    assert "keeps no assets" in err


def test_nothing_named(run):
    status, _, err = run("flash", "--dry-run")
    assert status == ExitCode.USAGE
    assert "--device-os" in err
