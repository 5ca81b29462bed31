"""`particle-dev swd flash` of a whole release onto emulated chips, cut and run again: then their own firmware boots."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.emulated.work import OLD

pytestmark = [pytest.mark.images, pytest.mark.timeout(300)]
PARTICLE_DEV = Path(sys.executable).parent / "particle-dev"
BOARDS = {"photon": 60_000, "boron": 100_000}
"""And a flash operation in the middle of the work."""


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
        done = subprocess.run(
            [str(w) for w in (PARTICLE_DEV, *words, "--bench", self.file, "--json")],
            capture_output=True,
            text=True,
            check=False,
            timeout=200,
            env=os.environ | {"XDG_DATA_HOME": str(self.folder / "data")},
        )
        assert done.returncode == status, f"{done.returncode}\n{done.stdout}\n{done.stderr}"
        lines = done.stdout.splitlines()
        found: dict[str, Any] = json.loads(lines[-1]) if lines else {}
        return found


@pytest.mark.parametrize("platform", BOARDS)
def test_a_release_over_swd_is_cut_completed_and_boots(images, images_of, application, tmp_path, platform):
    release = images_of(platform, OLD)
    files = [image.file for image in release.all] + [application(platform)]
    bench = Bench(tmp_path, images, platform)
    assert bench.run("list")["mode"] == "dfu"

    bench.plan(f'[{{do = "unplug", at = "flash_write", n = {BOARDS[platform]}}}]')
    refused = bench.run("swd", "flash", *files, status=1)["error"]
    assert f"run the same command again, with --platform {platform}" in refused["hint"]
    # Half a bootloader shows nothing at all.
    assert bench.run("list").get("mode", "dfu") == "dfu", "half a system is not started"

    rest = bench.run("swd", "flash", *files, "--platform", platform)
    assert 0 < rest["size_bytes"] < sum(file.stat().st_size for file in files)
    assert bench.run("list")["mode"] == "normal"
    told = bench.run("id")
    assert (told["device_os"], told["device_mode"], told["boot_findings"]) == (OLD, "listening", [])

    again = bench.run("swd", "flash", *files, "--read-back")
    assert (again["method"], again["size_bytes"]) == ("nothing", 0), "running has changed nothing of it"
    assert {piece["evidence"] for piece in again["proven"]} == {"read back"}
