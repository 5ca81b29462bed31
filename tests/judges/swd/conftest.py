"""Virtual chips served to tools that none of us wrote."""

import subprocess
import sys
import sysconfig
from pathlib import Path

import pytest
from particle_harness.clock import VirtualClock
from particle_harness.nor_flash import NorFlash
from particle_harness.swd.cmsis_dap import CmsisDap, CmsisDapServer
from particle_harness.swd.core import Idle
from particle_harness.swd.nrf52840 import Nrf52840, Silicon
from particle_harness.swd.probe_server import ProbeServer
from particle_harness.swd.stm32f205 import Stm32f205

from particle_dev.catalog.flash_chips import NRF52840_FLASH, STM32F205_FLASH
from particle_dev.protocol.module import parse

DEVICE_ID = bytes.fromhex("0123456789abcdef")
UNIQUE_ID = bytes.fromhex("3a0037000b47343138333038")
IMAGES = {
    "boron": (
        "updates/boron-bootloader@2.1.0.bin",
        "updates/boron-softdevice@2.1.0.bin",
        "updates/boron-system-part1@2.1.0.bin",
        "binaries/tinker-0.8.0-rc.27-boron.bin",
    ),
    "photon": (
        "updates/photon-bootloader@2.1.0+lto.bin",
        "updates/photon-system-part1@2.1.0.bin",
        "updates/photon-system-part2@2.1.0.bin",
        "binaries/tinker-0.4.5-photon.bin",
    ),
}


@pytest.fixture
def nrf52840():
    def make(variant="AAD0", uicr=None):
        chip = Nrf52840(Silicon(DEVICE_ID, variant), NorFlash(NRF52840_FLASH, VirtualClock(), delays=False), uicr)
        chip.core.firmware = Idle()
        return chip

    return make


@pytest.fixture
def stm32f205_maker():
    def make():
        chip = Stm32f205(UNIQUE_ID, NorFlash(STM32F205_FLASH, VirtualClock(), delays=False))
        chip.core.firmware = Idle()
        return chip

    return make


@pytest.fixture
def stm32f205(stm32f205_maker):
    return stm32f205_maker()


@pytest.fixture
def real_image(particle_cli_firmware, tmp_path):
    """Files of a real board's modules with the address of each: Device OS 2.1.0 and Tinker."""

    def files(platform):
        placed = []
        for number, name in enumerate(IMAGES[platform]):
            data = (particle_cli_firmware / "particle-cli-2.12.0" / "package" / "assets" / name).read_bytes()
            module = parse(data)
            # pyOCD's commands take "@" for an expression.
            file = tmp_path / f"{platform}-{number}.bin"
            file.write_bytes(data[module.payload_offset : module.size_bytes])
            placed.append((file, module.start_address))
        return placed

    return files


class Pyocd:
    """The command ``pyocd`` on one chip."""

    def __init__(self, chip, target):
        self.chip = chip
        self._server = ProbeServer(chip)
        self.probe_id = f"remote:127.0.0.1:{self._server.port}"
        self._connection = ["-u", self.probe_id, "-t", target, "--no-config"]

    def __enter__(self):
        self._server.__enter__()
        return self

    def __exit__(self, *_):
        self._server.__exit__()

    def __call__(self, command, *arguments, check=True):
        done = subprocess.run(
            [sys.executable, "-m", "pyocd", command, *self._connection, *arguments],
            capture_output=True,
            text=True,
            timeout=100,
            check=False,
        )
        assert not check or done.returncode == 0, done.stderr
        return done.stdout + done.stderr


@pytest.fixture
def pyocd():
    return Pyocd


OPENOCD = Path(sysconfig.get_path("purelib")) / "openocd_esp32"


@pytest.fixture
def openocd_words():
    """How a current OpenOCD is started."""
    return [str(OPENOCD / "bin/openocd"), "-s", str(OPENOCD / "share/openocd/scripts")]


@pytest.fixture
def openocd(openocd_words):
    """Run OpenOCD with a CMSIS-DAP probe on a chip; gives its output."""

    def run(chip, target, *commands, check=True):
        with CmsisDapServer(CmsisDap(chip)) as server:
            set_up = [
                "adapter driver cmsis-dap",
                "cmsis-dap backend tcp",
                "cmsis-dap tcp host 127.0.0.1",
                f"cmsis-dap tcp port {server.port}",
                "transport select swd",
                "adapter speed 4000",
                f"source [find target/{target}.cfg]",
                "gdb port disabled",
                "tcl port disabled",
                "telnet port disabled",
                "init",
                *commands,
                "shutdown",
            ]
            done = subprocess.run(
                [*openocd_words, *[word for command in set_up for word in ("-c", command)]],
                capture_output=True,
                text=True,
                timeout=100,
                check=False,
            )
        assert not check or done.returncode == 0, done.stderr
        return done.stderr + done.stdout

    return run
