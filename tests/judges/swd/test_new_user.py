"""The README's commands for a debug probe, as a new user types them: pyOCD by hand, then ours, then USB."""

import os
import re
import shlex
import signal
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
pytestmark = [pytest.mark.firmware, pytest.mark.timeout(400)]


@pytest.fixture
def run(tmp_path, release_store):
    environment = {
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
        "XDG_CACHE_HOME": str(tmp_path / "cache"),
        "XDG_DATA_HOME": str(tmp_path / "data"),
        "PARTICLE_DEV_STORE": str(release_store.root),
    }

    def run(words):
        done = subprocess.run(words, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
        assert done.returncode == 0, (words, done.stdout, done.stderr)
        return done.stdout

    run.environment = environment
    return run


def test_a_blank_board_by_pyocd_and_by_ours(run, tmp_path):
    section = (ROOT / "README.md").read_text().split("## Through a debug probe")[1].split("\n## ")[0]
    bench = re.search(r"```toml\n(.*?)```", section, re.DOTALL)[1]
    # The board's own times would be waited for in earnest.
    (tmp_path / "blank.toml").write_text(f'{bench}[bench.options]\ndelays = "none"\n')
    serving, *commands = [
        shlex.split(line.removeprefix("$ "), comments=True)
        for block in re.findall(r"```sh\n(.*?)```", section, re.DOTALL)
        for line in block.splitlines()
    ]
    assert [words[:3] for words in (serving, commands[2])] == [
        ["particle-dev", "sim", "serve"],
        ["pyocd", "flash", "-u"],
    ]
    said, on_usb = {}, commands[-2:]
    with subprocess.Popen(
        [*serving, "--port", "0"], cwd=tmp_path, env=run.environment, stdout=subprocess.PIPE, text=True
    ) as server:
        try:
            port = next(re.search(r"remote:127\.0\.0\.1:(\d+)", line) for line in server.stdout if "remote:" in line)[1]
            for words in commands[:-2]:
                said[" ".join(words[1:4])] = run([word.replace("PORT", port) for word in words])
        finally:
            server.send_signal(signal.SIGINT)
            server.wait(30)
    hashes = [re.findall(r"SHA-256 ([0-9a-f]{64})", said[f"swd dump {name}.zip"]) for name in ("theirs", "ours")]
    assert len(hashes[0]) == 2
    assert hashes[0] == hashes[1]
    listed, identity = map(run, on_usb)
    assert re.search(r"^e00fce68\w{16} +Boron +dfu +1-1", listed, re.MULTILINE)
    assert re.search(r"system part 1 v2101 +\d+ bytes  ok", identity)
