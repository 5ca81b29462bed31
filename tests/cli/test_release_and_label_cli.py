"""``particle-dev release`` and ``label`` as people use them; codes are judged in tests/station/test_labels.py."""

import json

import pytest
from click.testing import CliRunner

from particle_dev.catalog.modules import ModuleFunction
from particle_dev.cli.exit_codes import ExitCode, exit_code_of
from particle_dev.cli.root import root
from particle_dev.errors import ParticleDevError
from particle_dev.flash.store import FirmwareStore
from particle_dev.protocol.module_build import ModuleParts, build

RECIPE = '[recipe]\nname="ship"\nfinish="dfu"\n[firmware.boron]\ndevice_os="2.1.0"\napp="app.bin"\n'
LABEL = "P046ABCDEF12345 aB3defghijklmno"


def run(*arguments, status=ExitCode.OK, text=None):
    result = CliRunner().invoke(root, list(map(str, arguments)), input=text)
    code = exit_code_of(result.exception) if isinstance(result.exception, ParticleDevError) else result.exit_code
    assert code == status, (arguments, result.output, result.exception)
    return result


@pytest.fixture
def desk(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PARTICLE_DEV_SITE", str(tmp_path / "site"))
    monkeypatch.setenv("PARTICLE_DEV_STORE", str(tmp_path / "store"))
    (tmp_path / "made").mkdir()
    for name, part in {
        "bootloader.bin": ModuleParts(ModuleFunction.BOOTLOADER, 0, 1005, 13, 0xF4000, bytes(400)),
        "radio.bin": ModuleParts(ModuleFunction.RADIO_STACK, 0, 202, 13, 0x1000, bytes(400)),
        "system.bin": ModuleParts(ModuleFunction.SYSTEM_PART, 1, 2101, 13, 0x30000, bytes(99), head=bytes(0x200)),
        "app.bin": ModuleParts(ModuleFunction.USER_PART, 1, 6, 13, 0xD4000, bytes(400)),
    }.items():
        (tmp_path / "made" / name).write_bytes(build(part))
    FirmwareStore(tmp_path / "store").add_path(tmp_path / "made")
    (tmp_path / "recipe.toml").write_text(RECIPE)
    return tmp_path


def test_a_release_from_the_key_to_the_station(desk, monkeypatch):
    run("release", "key", "release.key")
    run("release", "key", "release.key", status=ExitCode.BAD_INPUT)
    made = ("release", "make", "--recipe", "recipe.toml", "--key", "release.key", "--name", "sensor", "--version", "7")
    assert "sensor 7, 5 files" in run(*made, "--out", "sensor.zip").stdout
    run(*made, "--out", "sensor.zip", status=ExitCode.BAD_INPUT)
    assert run("release", "verify", "sensor.zip", status=ExitCode.BAD_INPUT).exception.code == "untrusted"
    answer = json.loads(run("release", "verify", "sensor.zip", "--trust", "release.key.pem", "--json").stdout)
    assert (answer["name"], len(answer["files"])) == ("sensor", 5)
    trusted = desk / "site" / "trusted-releases"
    trusted.mkdir(parents=True)
    (trusted / "vendor.pem").write_bytes((desk / "release.key.pem").read_bytes())
    monkeypatch.setenv("PARTICLE_DEV_STORE", str(desk / "other-store"))
    assert "station/recipe/recipe.toml" in run("release", "install", "sensor.zip", "--into", "station").stdout
    assert len(FirmwareStore(desk / "other-store").modules()) == 4


def test_labels(desk):
    (desk / "label.txt").write_text(LABEL + "\n")
    made = ("label", "make", "--secret-file", "label.txt", "--svg", "a.svg", "--zpl", "a.zpl", "--line", "Sensor 7")
    told = run(*made)
    assert "aB3def" not in told.stdout + (desk / "a.svg").read_text() + (desk / "a.zpl").read_text()
    run(*made, status=ExitCode.BAD_INPUT)
    run(*made, "--force", "--symbol", "qr", "--json")
    check = ("label", "check", "--secret-file", "label.txt")
    assert "says P046ABCDEF12345" in run(*check, text=LABEL + "\r\n").stdout
    assert "secret differs" in run(*check, text=LABEL[:-1] + "x", status=ExitCode.FAILED).stdout
    assert json.loads(run(*check, "--json", text="", status=ExitCode.FAILED).stdout)["matches"] is False
    device = ("label", "make", "--device-id", "E00FCE68D3A1B2C4F5061728", "--svg", "b.svg")
    assert "e00fce68d3a1b2c4f5061728" in run(*device).stdout
    run("label", "make", "--device-id", "e00fce68", "--svg", "c.svg", status=ExitCode.USAGE)
    run("label", "make", "--serial", "P046ABCDEF12345", status=ExitCode.USAGE)
    run("label", "make", "--svg", "c.svg", status=ExitCode.USAGE)
