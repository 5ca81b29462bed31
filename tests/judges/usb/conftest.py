"""Boards on a mocked USB bus, and the programs that judge them. `make judges` brings these programs; a missing one is
an error."""

import os
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

import pytest
from particle_harness.bench import default_device_id
from particle_harness.boards import hardware
from particle_harness.state import SlotStore, read_truth
from particle_harness.umockdev import run_foreign

LOWEST_OF_ITS_OWN = 12
PROGRAMS = ("umockdev-wrapper", "dfu-util", "lsusb", "udevadm", "node")


@pytest.fixture(scope="session", autouse=True)
def programs():
    missing = [name for name in PROGRAMS if shutil.which(name) is None]
    if missing:
        pytest.fail(f"judges are missing: {', '.join(missing)}; run `make judges`")


@pytest.fixture(scope="session")
def judges():
    """The folder that `make judges-setup` fills."""
    folder = os.environ.get("PARTICLE_DEV_JUDGES")
    if not folder or not Path(folder, ".ready").exists():
        pytest.fail("run these tests by `make judges`, or set PARTICLE_DEV_JUDGES to what `make judges-setup` made")
    return Path(folder)


@pytest.fixture(scope="session")
def assets(particle_cli_firmware):
    """Device OS 2.1.0 and Tinker."""
    return particle_cli_firmware / "particle-cli-2.12.0" / "package" / "assets"


@dataclass(frozen=True)
class ForeignBench:
    """A bench file and what its boards hold between runs."""

    file: Path
    firmware: Path

    def run(self, *argv, timeout_s=60, trace=None, **env):
        """Run a program that must succeed."""
        argv = [str(a) for a in argv]
        done = run_foreign(self.file, argv, firmware=self.firmware, trace=trace, timeout_s=timeout_s, env=env)
        assert done.returncode == 0, f"{argv} ended with {done.returncode}\n{done.stdout}\n{done.stderr}"
        return done.stdout

    def shell(self, script, *arguments, timeout_s=60, **env):
        """Run a shell script that ends at the first error."""
        return self.run("bash", "-euo", "pipefail", "-c", script, "script", *arguments, timeout_s=timeout_s, **env)

    def at_once(self, commands, *arguments, timeout_s=60):
        """Run shell commands at the same time; all must succeed. ``$1``… are the arguments."""
        # umockdev names the socket behind a netlink socket by its descriptor, for all processes of a testbed alike,
        # removes one of that name and binds its own: of two that start at the same moment one fails. So each gets
        # another number: all below are taken, also those that the shell left open, and by a plain file, since opening
        # one in /dev opens a socket too.
        script = ["pids=()"]
        for number, command in enumerate(commands):
            taken = "".join(f" {descriptor}<$0" for descriptor in range(3, LOWEST_OF_ITS_OWN + number))
            script.append(f"{{ {command}; }}{taken} & pids+=($!)")
        script.append('status=0; for p in "${pids[@]}"; do wait $p || status=$?; done; exit $status')
        return self.run("bash", "-euo", "pipefail", "-c", "\n".join(script), __file__, *arguments, timeout_s=timeout_s)

    def device_id(self, slot):
        """Device ID of the board in a slot that is named after its platform, or `platform-anything`."""
        return default_device_id(hardware(slot.partition("-")[0]), slot)

    def flash(self, slot, memory="internal"):
        """What the board's flash holds."""
        return (self.file.parent / "boards" / slot / f"{memory}.bin").read_bytes()

    def state(self, slot):
        """The board as it was kept."""
        return SlotStore(self.file.parent / "boards" / slot).load()[0]

    def truth(self, slot):
        """What really happened to the board."""
        return read_truth(self.file.parent / "boards" / slot)


@pytest.fixture
def foreign_bench(tmp_path, assets):
    """Make a bench: slots are called by their platform, `arrives_in` and other keys are the same for all."""

    def make(*slots, delays="none", name="bench", **keys):
        folder = tmp_path / name
        folder.mkdir()
        lines = ['[bench]\ndriver = "virtual"\nstate_dir = "boards"\n', f'[bench.options]\ndelays = "{delays}"\n']
        for slot in slots:
            table = {"name": slot, "platform": slot.partition("-")[0], **keys}
            lines.append("[[slot]]\n" + "".join(f'{key} = "{value}"\n' for key, value in table.items()))
        file = folder / "bench.toml"
        file.write_text("\n".join(lines), encoding="utf-8")
        return ForeignBench(file, assets / "updates")

    return make


@pytest.fixture
def particle(judges, tmp_path):
    """Command line of particle-cli with an empty home folder."""
    package = judges / "node" / "node_modules" / "particle-cli"
    home = tmp_path / "home"
    home.mkdir()
    version = subprocess.run(
        ["node", package / "src" / "index.js", "--version"],
        capture_output=True,
        text=True,
        check=True,
        env={**os.environ, "HOME": str(home)},
    ).stdout
    assert version.strip() == "3.43.1"
    return ["env", f"HOME={home}", "node", str(package / "src" / "index.js")]
