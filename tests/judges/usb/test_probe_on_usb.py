"""The debug probe of a virtual board as a USB device: found and used by pyOCD and OpenOCD through libusb."""

import os
import sys
import sysconfig
from pathlib import Path

import pytest
from particle_harness.umockdev import run_foreign

DEVICE_ID = "e00fce680123456789abcdef"
BENCH = f"""
[bench]
driver = "virtual"
state_dir = "boards"
[bench.options]
delays = "none"
[[slot]]
name = "1"
platform = "boron"
device_id = "{DEVICE_ID}"
probe = true
"""
OPENOCD = Path(sysconfig.get_path("purelib")) / "openocd_esp32"


@pytest.fixture
def run(tmp_path):
    file = tmp_path / "bench.toml"
    file.write_text(BENCH)

    def run_on_bench(*argv):
        done = run_foreign(file, [str(a) for a in argv], timeout_s=100)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout + done.stderr

    return run_on_bench


def pyocd(command, *arguments):
    return [sys.executable, "-m", "pyocd", command, "--no-config", *arguments]


def on_probe(command, *arguments):
    return pyocd(command, "-u", f"V{DEVICE_ID}", "-t", "nrf52840", *arguments)


def test_pyocd_lists_it(run):
    assert f"V{DEVICE_ID}" in run(*pyocd("list", "--probes"))


def test_pyocd_flashes_through_it(run, tmp_path):
    image = os.urandom(3 * 4096)
    file = tmp_path / "image.bin"
    file.write_bytes(image)
    run(*on_probe("load", "--no-reset", "--base-address", "0x40000", "--format", "bin", file))
    assert (tmp_path / "boards" / "1" / "internal.bin").read_bytes()[0x40000 : 0x40000 + len(image)] == image


def test_openocd_finds_the_chip_through_it(run):
    commands = (
        "adapter driver cmsis-dap",
        "adapter usb vid_pid 0x1209 0x0001",
        "cmsis-dap backend usb_bulk",
        "transport select swd",
        "source [find target/nordic/nrf52.cfg]",
        *(f"{name} port disabled" for name in ("gdb", "tcl", "telnet")),
        "init",
        "halt",
        "echo [mdw 0x10000060 2]",
        "shutdown",
    )
    words = [word for command in commands for word in ("-c", command)]
    assert "67452301 efcdab89" in run(OPENOCD / "bin/openocd", "-s", OPENOCD / "share/openocd/scripts", *words)
