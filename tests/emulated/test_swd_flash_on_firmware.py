"""`particle-dev swd flash` of a whole release onto emulated chips, cut and run again: then their own firmware boots."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from particle_harness.boards import hardware
from particle_harness.emulator.boards.images import Image
from particle_harness.module_reader import read_prefix, reader_of

from tests.emulated.work import OLD

pytestmark = [pytest.mark.images, pytest.mark.timeout(300)]
PARTICLE_DEV = Path(sys.executable).parent / "particle-dev"
BOARDS = {"photon": 60_000, "boron": 100_000}
"""And a flash operation in the middle of the work."""
_LOOKS = 10


class Bench:
    """One board with a probe, and commands on it, each a program of its own."""

    def __init__(self, folder: Path, images: Path, platform: str) -> None:
        self.folder, self.images, self.platform = folder, images, platform
        self.file = folder / "bench.toml"
        self.plan()

    def plan(self, faults: str = "[]") -> None:
        """What is to happen to the board from the next command on."""
        self.file.write_text(
            f'[bench]\ndriver = "emulated"\nstate_dir = "boards"\n[bench.options]\nimages = "{self.images}"\n'
            f'[[slot]]\nname = "1"\nplatform = "{self.platform}"\nprobe = true\nfaults = {faults}\n',
            encoding="utf-8",
        )

    def run(self, *words: object, status: int = 0) -> dict[str, Any]:
        """What a command prints as JSON, of the last line."""
        lines = self.ended(*words, "--json", status=status).stdout.splitlines()
        found: dict[str, Any] = json.loads(lines[-1]) if lines else {}
        return found

    def has_header_of(self, image: Image) -> bool:
        """Whether a bootloader finds that module where it starts, from what is kept of the board's flash."""
        prefix, kind = image.prefix, hardware(self.platform)
        read = reader_of((self.folder / "boards" / "1" / "internal.bin").read_bytes())
        found = read_prefix(read, prefix.start_address - kind.internal_chip.base_address, kind.mcu)
        return found is not None and (found.start_address, found.function) == (prefix.start_address, prefix.function)

    def mode(self) -> str:
        """What it is in once it is on the bus: a look is short on a busy machine, and the next one goes on."""
        return next((mode for _ in range(_LOOKS) if (mode := self.run("list").get("mode"))), "not on the bus")

    def ended(self, *words: object, status: int = 0) -> subprocess.CompletedProcess[str]:
        """A command that has ended with that status."""
        done = subprocess.run(
            [str(w) for w in (PARTICLE_DEV, *words, "--bench", self.file)],
            capture_output=True,
            text=True,
            check=False,
            timeout=200,
            env=os.environ | {"XDG_DATA_HOME": str(self.folder / "data")},
        )
        assert done.returncode == status, f"{done.returncode}\n{done.stdout}\n{done.stderr}"
        return done


@pytest.mark.parametrize("platform", BOARDS)
def test_a_release_over_swd_is_cut_completed_and_boots(images, images_of, application, tmp_path, platform):
    release = images_of(platform, OLD)
    files = [image.file for image in release.all] + [application(platform)]
    bench = Bench(tmp_path, images, platform)
    assert bench.mode() == "dfu"

    bench.plan(f'[{{do = "unplug", at = "flash_write", n = {BOARDS[platform]}}}]')
    refused = bench.run("swd", "flash", *files, status=1)["error"]
    assert f"run the same command again, with --platform {platform}" in refused["hint"]
    first = next(image for image in release.system if image.prefix.index == 1)
    assert not bench.has_header_of(first), "half a system is not started"
    if platform == "photon":
        assert bench.mode() == "dfu"
    else:
        # Its bootloader is erased.
        listed = bench.ended("list")
        assert (listed.stdout, "power and is not on the bus" in listed.stderr) == ("", True), listed.stderr

    rest = bench.run("swd", "flash", *files, "--platform", platform)
    assert 0 < rest["size_bytes"] < sum(file.stat().st_size for file in files)
    assert bench.has_header_of(first)
    assert bench.mode() == "normal"
    told = bench.run("id")
    assert (told["device_os"], told["device_mode"], told["boot_findings"]) == (OLD, "listening", [])

    again = bench.run("swd", "flash", *files, "--read-back")
    assert (again["method"], again["size_bytes"]) == ("nothing", 0), "running has changed nothing of it"
    assert {piece["evidence"] for piece in again["proven"]} == {"read back"}
