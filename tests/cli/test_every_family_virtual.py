"""list, id and flash on a virtual board of every kind: bootloaders from the store where it has them, else stand-ins."""

import json

import pytest
from particle_harness.boards import hardware, kinds
from particle_harness.factory import app_stand_in, known_release, system_stand_ins

from particle_dev.catalog.platforms import platform_by_name
from particle_dev.cli.main import main

pytestmark = pytest.mark.firmware


@pytest.fixture
def run(capsys, monkeypatch, release_store, tmp_path):
    """Run a command line on a bench of one board: (exit status, stdout, stderr)."""
    monkeypatch.setenv("PARTICLE_DEV_STORE", str(release_store.root))

    def call(command, platform, *arguments):
        bench = tmp_path / "bench.toml"
        bench.write_text(
            '[bench]\ndriver = "virtual"\nstate_dir = "boards"\n[bench.options]\nclock = "virtual"\n'
            f'[[slot]]\nname = "1"\nplatform = "{platform}"\n'
        )
        with pytest.raises(SystemExit) as end:
            main([command, *map(str, arguments), "--bench", str(bench)])
        out, err = capsys.readouterr()
        return end.value.code or 0, out, err

    return call


@pytest.mark.parametrize("platform", kinds())
def test_list_id_and_flash(run, platform, tmp_path):
    kind = hardware(platform)
    status, out, err = run("list", platform, "--json")
    assert (status, err) == (0, "")
    device = json.loads(out)
    assert (device["platform"]["id"], device["mode"]) == (platform_by_name(platform).id, "normal")

    status, out, _ = run("id", platform, "--json")
    identity = json.loads(out)
    assert (status, identity["device_os"]) == (0, kind.factory_device_os)
    assert identity["device_id"] == device["device_id"]

    version, bootloader_version = known_release(kind.factory_device_os)
    modules = [
        *system_stand_ins(kind, version, bootloader_version),
        app_stand_in(kind, version, version=77, linked_for=version),
    ]
    files = [tmp_path / f"{number}.bin" for number in range(len(modules))]
    for file, module in zip(files, modules, strict=True):
        file.write_bytes(module)
    status, out, err = run("flash", platform, *files)
    assert status == 0, err
    assert out.count("read back and equal") == len(files)

    status, out, err = run("id", platform, "--json")
    assert json.loads(out)["mode"] == "dfu"
    status, out, err = run("flash", platform, files[-1], "--leave", "--may-connect")
    assert status == 0, err
    status, out, _ = run("id", platform, "--json")
    titles = [module["title"] for module in json.loads(out)["modules"]]
    assert sum(title.startswith("user part") and title.endswith("v77") for title in titles) == 1
