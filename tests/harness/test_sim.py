"""Bench files for other programs, and the server that offers their boards."""

import re
import subprocess
import sys

import pytest
from particle_harness.bench_toml import modules_in, open_bench_file
from particle_harness.boards import hardware
from particle_harness.factory import bootloader_stand_in, softdevice_stand_in
from particle_harness.vhci import attach_all, devices

from particle_dev.errors import BenchError

BENCH = '[bench]\ndriver = "virtual"\n[bench.options]\ndelays = "none"\n[[slot]]\nname = "A"\nplatform = "boron"\n'


@pytest.fixture
def bench_file(tmp_path):
    file = tmp_path / "bench.toml"
    file.write_text(BENCH, encoding="utf-8")
    return file


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("nonsense", "no bench file"),
        ("[slot]\n", "no bench file"),
        ('[bench]\ndriver = "usb"\n', "only virtual boards"),
        ('[bench]\ndriver = "virtual"\noptions = {clock = "virtual"}\n', "real time"),
    ],
)
def test_bench_file_that_cannot_be_served(bench_file, text, message):
    bench_file.write_text(text, encoding="utf-8")
    with pytest.raises(BenchError, match=message):
        open_bench_file(bench_file)


def test_state_is_kept_beside_the_file(bench_file):
    bench_file.write_text(BENCH.replace("[bench.options]", 'state_dir = "boards"\n[bench.options]'), encoding="utf-8")
    open_bench_file(bench_file).close()
    assert (bench_file.parent / "boards" / "A" / "internal.bin").stat().st_size == 1 << 20


def test_new_boards_get_the_newest_modules_of_their_platform(bench_file, tmp_path):
    boron, folder = hardware("boron"), tmp_path / "firmware"
    folder.mkdir()
    newest = bootloader_stand_in(boron, 1200)
    modules = [bootloader_stand_in(boron, 900), newest, bootloader_stand_in(hardware("argon"), 1300)]
    for number, module in enumerate([*modules, softdevice_stand_in(boron)]):
        (folder / f"{number}.bin").write_bytes(module)
    assert modules_in(folder)("boron") == [newest, softdevice_stand_in(boron)]
    bench = open_bench_file(bench_file, firmware=folder)
    assert bench.board("A").internal.read(0xF4000, len(newest)) == newest
    bench.close()


def test_serve(bench_file):
    command = [sys.executable, "-m", "particle_harness.sim", "serve", str(bench_file), "--port", "0"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            port = int(re.fullmatch(r"1 board\(s\) on 127.0.0.1:(\d+)\n", process.stdout.readline())[1])
            assert devices(("127.0.0.1", port)) == ["1-1"]
        finally:
            process.terminate()


def test_attach_needs_the_kernel_module(monkeypatch, tmp_path):
    monkeypatch.setattr("particle_harness.vhci._CONTROLLER", tmp_path / "missing")
    with pytest.raises(BenchError, match="modprobe"):
        attach_all(("127.0.0.1", 1), None)
