"""npm's particle-usb does its jobs on virtual boards by the transfers that are kept in tests/golden/usb-traces."""

import json
import os
from pathlib import Path

import pytest
from particle_harness.usb.trace import describe

GOLDEN = Path(__file__).parents[2] / "golden" / "usb-traces"
TINKER = {
    "boron": ("tinker-0.8.0-rc.27-boron.bin", 0xD4000),
    "photon": ("tinker-0.4.5-photon.bin", 0x080A0000),
    "tracker": ("tracker-tinker@1.5.4-rc.1.bin", 0xD4000),
}
BOOTLOADER = {
    "boron": "boron-bootloader@2.1.0.bin",
    "photon": "photon-bootloader@2.1.0+lto.bin",
    "tracker": "tracker-bootloader@2.1.0.bin",
}
PLATFORMS = pytest.mark.parametrize("platform", list(TINKER))


@pytest.fixture
def job(foreign_bench, judges, assets, tmp_path):
    """Let particle-usb do a job on a board of its own; the transfers, and the bench afterwards."""

    def do(name, platform, *arguments, arrives_in="app"):
        bench = foreign_bench(platform, arrives_in=arrives_in)
        trace = tmp_path / "trace.jsonl"
        script = Path(__file__).with_name("particle_usb_jobs.js")
        modules = str(judges / "node" / "node_modules")
        bench.run("node", script, name, bench.device_id(platform), *arguments, trace=trace, NODE_PATH=modules)
        lines = trace.read_text(encoding="utf-8").splitlines()
        compare(f"{name}-{platform}", [line for line in lines if '"gone"' not in line])
        return bench

    return do


def compare(name, lines):
    file = GOLDEN / f"{name}.jsonl"
    if os.environ.get("PARTICLE_DEV_RECORD_TRACES"):
        file.write_text("\n".join(lines) + "\n", encoding="utf-8")
    kept = file.read_text(encoding="utf-8").splitlines()
    assert [describe(json.loads(line)) for line in lines] == [describe(json.loads(line)) for line in kept]


@PLATFORMS
def test_identify(job, platform):
    job("identify", platform)


@PLATFORMS
def test_enter_dfu(job, platform):
    assert job("enter_dfu", platform).state(platform).runs == "dfu"


@PLATFORMS
def test_flash(job, assets, platform):
    name, address = TINKER[platform]
    bench = job("flash", platform, assets / "binaries" / name, address, arrives_in="dfu")
    assert (assets / "binaries" / name).read_bytes() in bench.flash(platform)


@PLATFORMS
def test_update(job, assets, platform):
    file = assets / "updates" / BOOTLOADER[platform]
    bench = job("update", platform, file)
    assert file.read_bytes() in bench.flash(platform)
