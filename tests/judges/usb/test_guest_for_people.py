"""`make guest`: `sim serve` in one terminal, a shell in QEMU in another, cables pulled from a third."""

import contextlib
import json
import os
import pty
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest

# An emulated CPU on a busy machine.
pytestmark = pytest.mark.timeout(300)
MACHINE = Path(__file__).parent / "guest" / "machine.py"
PARTICLE_DEV = Path(sys.executable).with_name("particle-dev")
ESCAPES = re.compile(r"\x1b\[[?0-9;]*[A-Za-z]")


class Terminal:
    """What a person types and reads."""

    def __init__(self, argv):
        self._master, slave = pty.openpty()
        self.process = subprocess.Popen(argv, stdin=slave, stdout=slave, stderr=slave, start_new_session=True)
        os.close(slave)
        self.text = ""

    def wait_for(self, text):
        """Read up to and with ``text``; what came before."""
        while text not in self.text:
            try:
                self.text += os.read(self._master, 4096).decode(errors="replace").replace("\r", "")
            except OSError:
                pytest.fail(f"ended before {text!r}:\n{self.text}")
            self.text = ESCAPES.sub("", self.text)
        before, _, self.text = self.text.partition(text)
        return before

    def type(self, line):
        """A line and the return key."""
        os.write(self._master, f"{line}\n".encode())

    def start(self, command):
        """Type a command; :meth:`result` has what it printed since, and its exit status."""
        # The echo of the line does not hold the mark.
        self.type(f"{command}; echo EN''D $?")

    def result(self):
        output = self.wait_for("\nEND ")
        return output, int(self.wait_for("\n"))

    def run(self, command):
        """Both."""
        self.start(command)
        return self.result()

    def end(self):
        """Read until the program ends; its exit status."""
        with contextlib.suppress(OSError):  # The terminal is closed.
            while os.read(self._master, 4096):
                pass
        return self.process.wait(timeout=60)

    def close(self):
        # With what it has started: a QEMU without its terminal would go on.
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()
        os.close(self._master)


@pytest.fixture
def served(assets):
    argv = [PARTICLE_DEV, "sim", "serve", "--port", "0", "--json", "--store", assets / "updates"]
    with subprocess.Popen(argv, stdout=subprocess.PIPE, text=True) as process:
        boards = [json.loads(process.stdout.readline()) for _ in range(4)]
        yield json.loads(process.stdout.readline())["port"], {board["slot"]: board["device_id"] for board in boards}
        process.kill()


def sim(port, *arguments):
    argv = [PARTICLE_DEV, "sim", *arguments, "--server", f"127.0.0.1:{port}", "--json"]
    lines = subprocess.run(argv, check=True, capture_output=True, text=True).stdout.splitlines()
    return {board["slot"]: board["mode"] for board in map(json.loads, lines)}


def test_four_boards_lie_on_the_desk_and_one_is_pulled_in_the_middle_of_a_flash(
    judges, served, assets, tmp_path, monkeypatch
):
    port, ids = served
    monkeypatch.setenv("PARTICLE_DEV_STORE", str(tmp_path / "a store"))
    subprocess.run([PARTICLE_DEV, "firmware", "add", assets / "updates" / "boron-bootloader@2.1.0.bin"], check=True)
    particle_cli = judges / "node" / "node_modules" / "particle-cli" / "src" / "index.js"
    guest = Terminal([sys.executable, MACHINE, judges / "guest", particle_cli, str(port)])
    try:
        guest.wait_for("guest# ")
        attached, _ = guest.run("until [ $(lsusb -d 2b04: | wc -l) = 4 ]; do sleep 0.2; done; cat /run/attach.log")
        assert [line.split()[0] for line in attached.splitlines() if "attached" in line] == ["1-1", "1-2", "1-3", "1-4"]
        system = assets / "updates" / "tracker-system-part1@2.1.0.bin"
        flash = f"particle-dev flash --device {ids['3']} {system}"
        listed, _ = guest.run("particle-dev firmware list")
        assert "boron-bootloader@2.1.0.bin" in listed, "it uses the store of whoever started it"
        guest.start(flash)
        guest.wait_for("write")
        assert sim(port, "unplug", "3")["3"] is None
        output, status = guest.result()
        joined = " ".join(output.split())
        assert (status, "each boot of it ends in DFU mode" in joined) == (1, True)
        assert f"\nAsset Tracker / Monitor One {ids['3']}: not finished" in output, (
            "a line of its own, after the progress"
        )
        assert f"error: Asset Tracker / Monitor One {ids['3']} at port" in joined
        assert "left the bus" in joined
        assert "type the same command again" in joined
        sim(port, "plug", "3")
        assert guest.run("until lsusb -d 2b04:d01a; do sleep 0.2; done")[1] == 0
        listed, _ = guest.run("dfu-util -l")
        assert listed.count(f'serial="{ids["3"]}"') == 3
        output, status = guest.run(flash)
        assert (status, "read back and equal" in output) == (0, True)
        output, status = guest.run(f"particle usb dfu {ids['1']}")
        assert status == 0, output
        assert sim(port, "list")["1"] == "dfu"
        guest.type("exit")
        assert guest.end() == 0
    finally:
        guest.close()
