"""Real Device OS 2.1.0 (on a Xenon 1.5.2, its last) on virtual boards: the boot rules accept what real boards run."""

import pytest
from particle_harness.bench import open_bench
from particle_harness.boards import hardware
from particle_harness.boot import fetch_modules
from particle_harness.factory import install

from particle_dev.catalog.modules import ModuleFunction

APPLICATIONS = {
    "argon": "tinker-0.8.0-rc.27-argon.bin",
    "boron": "tinker-0.8.0-rc.27-boron.bin",
    "bsom": "tinker-1.1.0-rc.1-bsom.bin",
    "b5som": "tinker-1.5.0-b5som.bin",
    "tracker": "tracker-tinker@1.5.4-rc.1.bin",
    "photon": "tinker-0.4.5-photon.bin",
    "p1": "tinker-0.4.5-p1.bin",
    "electron": "tinker-usb-debugging-0.6.0-electron.bin",
    "xenon": "tinker-0.8.0-rc.27-xenon.bin",
}
SYSTEM_VERSIONS = {"xenon": 1512}


@pytest.fixture
def assets(particle_cli_firmware):
    return particle_cli_firmware / "particle-cli-2.12.0" / "package" / "assets"


def release(assets, platform, *kinds):
    return [f.read_bytes() for kind in kinds for f in sorted((assets / "updates").glob(f"{platform}-{kind}*"))]


@pytest.mark.firmware
@pytest.mark.parametrize("platform", APPLICATIONS)
def test_release_boots(assets, platform):
    bench = open_bench(
        options={"clock": "virtual"},
        slots=[{"name": "1", "platform": platform, "factory": "online"}],
        state_dir=None,
        factory_modules=lambda name: release(assets, name, "bootloader@", "softdevice@"),
    )
    board = bench.board("1")
    modules = release(assets, platform, "system-part")
    for module in [*modules, (assets / "binaries" / APPLICATIONS[platform]).read_bytes()]:
        install(board.internal, hardware(platform), module)
    board.reset_pin()
    assert board.state.runs == "app"
    reported = fetch_modules(board.boot_view())
    assert all(module.ok for module in reported)
    system = [m.prefix for m in reported if m.prefix.function == ModuleFunction.SYSTEM_PART]
    assert [prefix.version for prefix in system] == [SYSTEM_VERSIONS.get(platform, 2101)] * len(modules)
    bench.close()
