"""Unmodified pyOCD on boards of `sim serve --emulated --probe`, and what `particle-dev list` then finds of them."""

from __future__ import annotations

import json
import random
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

pytestmark = [pytest.mark.images, pytest.mark.timeout(300)]
BIN = Path(sys.executable).parent
ADDRESS = 0x40000
OPTIONS = ("-t", "nrf52840", "-O", "auto_unlock=false", "-O", "resume_on_disconnect=false")


def run(*command: object) -> str:
    done = subprocess.run([str(word) for word in command], capture_output=True, text=True, check=False, timeout=120)
    assert done.returncode == 0, f"{done.stdout}\n{done.stderr}"
    return done.stdout


@pytest.fixture
def bench_file(images, images_of, tmp_path) -> Path:
    """One Boron that outlives a program."""
    images_of("boron")
    file = tmp_path / "bench.toml"
    slot = '[[slot]]\nname = "1"\nplatform = "boron"\nprobe = true\n'
    options = f'[bench.options]\nimages = "{images}"\n'
    file.write_text(f'[bench]\ndriver = "emulated"\nstate_dir = "boards"\n{options}{slot}', encoding="utf-8")
    return file


@contextmanager
def served(bench_file: Path) -> Iterator[tuple[str, str]]:
    """pyOCD's name of the probe, and the server's address."""
    command = [BIN / "particle-dev", "sim", "serve", bench_file, "--port", "0", "--json"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as server:
        assert server.stdout is not None
        board, address = (json.loads(server.stdout.readline()) for _ in range(2))
        yield board["pyocd_probe"], f"{address['host']}:{address['port']}"
        server.terminate()
        assert server.wait(timeout=60) == 130


def listed(bench_file: Path) -> list[tuple[str, str]]:
    devices = map(json.loads, run(BIN / "particle-dev", "list", "--bench", bench_file, "--json").splitlines())
    return [(device["platform"]["name"], device["mode"]) for device in devices]


def test_what_pyocd_writes_is_there_and_the_board_goes_on(bench_file, tmp_path):
    data, written, read = random.Random(1).randbytes(40_000), tmp_path / "written.bin", tmp_path / "read.bin"
    written.write_bytes(data)
    with served(bench_file) as (probe, address):
        run(BIN / "pyocd", "load", "-u", probe, *OPTIONS, "--base-address", hex(ADDRESS), "-e", "sector", written)
        run(BIN / "pyocd", "cmd", "-u", probe, *OPTIONS, "-c", f"savemem {ADDRESS} {len(data)} {read}")
        assert read.read_bytes() == data
        run(BIN / "pyocd", "reset", "-u", probe, *OPTIONS)
        run(BIN / "particle-dev", "sim", "reset", "1", "--server", address)
    assert listed(bench_file) == [("boron", "dfu")]
    assert (tmp_path / "boards" / "1" / "internal.bin").read_bytes()[ADDRESS:].startswith(data)


def test_a_board_that_pyocd_left_halted_boots_in_the_next_program(bench_file):
    with served(bench_file) as (probe, _):
        assert "Halted" in run(BIN / "pyocd", "cmd", "-u", probe, *OPTIONS, "-c", "halt", "-c", "status")
    assert listed(bench_file) == [("boron", "dfu")]
