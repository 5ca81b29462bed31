"""The C self-test service as boards on pseudo-terminals: built for this machine, or on Cortex-M emulated by QEMU.

Needs a checkout (``firmware/``), a compiler and, for the emulated ones, ``qemu-system-arm``.
"""

from __future__ import annotations

import re
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from enum import IntFlag
from pathlib import Path

MACHINES = {"cortex-m3": "netduino2", "cortex-m4": "netduinoplus2"}
"""QEMU's machines: STM32F205, the Photon's family, and STM32F405."""
FAULTS_ADDRESS = 0x2001FC00
"""Of the word that firmware/port/cortex_m/emulated.c reads at its start."""
_PACKAGES = "gcc libc6-dev gcc-arm-none-eabi libnewlib-arm-none-eabi qemu-system-arm"
_END_TIMEOUT_S = 10


class Defect(IntFlag):
    """What is wrong with a board: firmware/port/simulated/simulated_board.h."""

    RAM_STUCK = 0x01
    RAM_COUPLED = 0x02
    GPIO_OPEN = 0x04
    GPIO_SHORT = 0x08
    ADC_HIGH = 0x10
    I2C_MISSING = 0x20
    I2C_STUCK = 0x40
    FLASH_STUCK = 0x80
    RADIO_DEAD = 0x100
    SILENT = 0x200
    GARBAGE = 0x400
    RESETS = 0x800
    NO_IO = 0x1000


NO_DEFECT = Defect(0)


def build_ports(firmware: Path, out: Path) -> Path:
    """Build firmware/'s ports into a folder below ``out``, and return it: selftest_host, cortex-m3.elf, cortex-m4.elf.
    Installs compilers and QEMU when it runs as root and they are missing. RuntimeError with make's output when that
    fails."""
    _make(firmware, "packages", "ports", f"BUILD={out}", f"PACKAGES={_PACKAGES}")
    return out / "ports"


def build_host_port(firmware: Path, out: Path) -> Path:
    """Build selftest_host alone, which needs gcc and nothing else, and return it. RuntimeError with make's output when
    that fails."""
    program = out / "ports" / "selftest_host"
    _make(firmware, str(program), f"BUILD={out}")
    return program


def _make(firmware: Path, *arguments: str) -> None:
    command = ["make", "-C", str(firmware), "CCS=gcc", *arguments]
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False)
    if done.returncode:
        raise RuntimeError(done.stdout)


@contextmanager
def host_board(ports: Path, defects: Defect = NO_DEFECT, arguments: Sequence[str] = ()) -> Iterator[str]:
    """The pseudo-terminal of a board that is a process of this machine. RuntimeError when it ends with an error, as it
    does when a sanitizer finds something."""
    process = subprocess.Popen(
        [str(ports / "selftest_host"), "--faults", str(int(defects)), *arguments],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    if process.stdin is None or process.stdout is None:
        raise RuntimeError("no pipes")
    try:
        yield process.stdout.readline().strip()
    finally:
        process.stdin.close()
        status = process.wait(_END_TIMEOUT_S)
        process.stdout.close()
    if status:
        raise RuntimeError(f"selftest_host ended with {status}")


@contextmanager
def emulated_board(
    ports: Path, cpu: str, defects: Defect = NO_DEFECT, modules: Sequence[tuple[Path, int]] = ()
) -> Iterator[str]:
    """The pseudo-terminal of an emulated board's UART. ``cpu`` is a key of MACHINES; ``modules`` are files and the
    addresses in flash where they lie. RuntimeError with QEMU's words when it does not start."""
    command = ["qemu-system-arm", "-machine", MACHINES[cpu], "-display", "none", "-monitor", "none"]
    command += ["-serial", "pty", "-kernel", str(ports / f"{cpu}.elf")]
    command += ["-device", f"loader,addr={FAULTS_ADDRESS},data={int(defects)},data-len=4"]
    for file, address in modules:
        command += ["-device", f"loader,file={file},addr={address},force-raw=on"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    if process.stdout is None:
        raise RuntimeError("no pipe")
    try:
        line = process.stdout.readline()
        terminal = re.search(r"redirected to (\S+)", line)
        if terminal is None:
            raise RuntimeError(f"QEMU: {line}")
        yield terminal[1]
    finally:
        process.terminate()
        process.wait(_END_TIMEOUT_S)
        process.stdout.close()
