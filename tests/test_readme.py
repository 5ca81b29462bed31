"""The commands of the README do what it says."""

import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from particle_dev.cli.exit_codes import ExitCode

ROOT = Path(__file__).parents[1]
pytestmark = pytest.mark.firmware


def test_commands_at_the_bench(test_firmware, tmp_path):
    """The npm package comes from the cache that the README's commands would fill."""
    (tmp_path / "recipes").symlink_to(ROOT / "recipes")
    cache = tmp_path / "cache" / "particle-dev" / "npm"
    cache.mkdir(parents=True)
    tarball = "particle-cli-2.12.0.tgz"
    (cache / tarball).symlink_to(test_firmware / "tarballs" / tarball)
    environment = {
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
        "XDG_CACHE_HOME": str(tmp_path / "cache"),
        "XDG_DATA_HOME": str(tmp_path / "data"),
    }
    (block,) = re.findall(r"```console\n(.*?)```", (ROOT / "README.md").read_text(), re.DOTALL)
    commands = [shlex.split(line.removeprefix("$ ")) for line in block.splitlines()]
    assert len(commands) >= 6
    outputs = {}
    for command in commands:
        done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
        assert done.returncode == 0, (command, done.stdout, done.stderr)
        outputs[" ".join(command[1:3])] = done.stdout
    assert "50 added" in outputs["firmware add"]
    assert re.search(r"^1\. .*^about \d+ s, \d+ resets?; ", outputs["flash --bench"], re.DOTALL | re.MULTILINE)
    assert "PASS: 4 of 4 units passed" in outputs["station run"]
    assert (tmp_path / "run" / "report.html").exists()


def test_exit_statuses_are_those_of_the_program():

    rows = re.findall(r"^\| (\d+) \| ", (ROOT / "README.md").read_text(), re.MULTILINE)
    assert [int(n) for n in rows] == [int(c) for c in ExitCode]
