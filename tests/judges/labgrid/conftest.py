"""A farm on loopback: labgrid's own coordinator and two of its exporters, unmodified, with virtual boards behind them.

labgrid is in an environment of its own (`make judge-labgrid`), since it brings its own pyserial along; this package is
used there from this checkout.
"""

import contextlib
import json
import os
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
from particle_harness.selftest_boards import build_ports, host_board

ROOT = Path(__file__).parents[3]
END_TIMEOUT_S = 30


def labgrid_environment():
    folder = os.environ.get("PARTICLE_DEV_JUDGES")
    programs = Path(folder or "", "labgrid", "bin")
    if not folder or not (programs / "labgrid-coordinator").exists():
        pytest.fail("run by `make judges`, or set PARTICLE_DEV_JUDGES to where `make judge-labgrid` put labgrid")
    return programs


def until(condition, what, timeout_s=30.0):
    deadline_s = time.monotonic() + timeout_s
    while not (found := condition()):
        assert time.monotonic() < deadline_s, what
        time.sleep(0.05)
    return found


def end(process):
    process.terminate()
    try:
        process.wait(END_TIMEOUT_S)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


class TerminalServer:
    """A pseudo-terminal as a TCP port, which is what ser2net makes of an exporter's serial port."""

    def __init__(self, terminal):
        self._terminal = terminal
        self._server = socket.create_server(("127.0.0.1", 0))
        self.port = self._server.getsockname()[1]
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

    def close(self):
        with contextlib.suppress(OSError):
            self._server.shutdown(socket.SHUT_RDWR)
        self._server.close()
        self._thread.join(END_TIMEOUT_S)

    def _serve(self):
        with contextlib.suppress(OSError):
            while True:
                connection, _ = self._server.accept()
                with connection:
                    self._carry(connection)

    def _carry(self, connection):
        far = os.open(self._terminal, os.O_RDWR | os.O_NOCTTY)

        def up():
            with contextlib.suppress(OSError):
                while data := os.read(far, 4096):
                    connection.sendall(data)

        upwards = threading.Thread(target=up, daemon=True)
        upwards.start()
        with contextlib.suppress(OSError):
            while data := connection.recv(4096):
                os.write(far, data)
        os.close(far)


class Farm:
    """Coordinator, exporters, and what people type."""

    def __init__(self, folder, offers):
        self.programs = labgrid_environment()
        self.folder = folder
        self._offers = offers
        self._processes = {}
        with socket.create_server(("127.0.0.1", 0)) as free:
            self.address = f"127.0.0.1:{free.getsockname()[1]}"
        try:
            self.start()
        except BaseException:
            self.stop()
            raise
        for place, exporter in offers:
            self.client("-p", place, "create")
            self.client("-p", place, "add-match", f"{exporter}/{place}/*")

    def environment(self, user="alice"):
        return {
            **os.environ,
            "PYTHONPATH": f"{ROOT}{os.pathsep}{ROOT / 'harness'}",
            "LG_COORDINATOR": self.address,
            "LG_USERNAME": user,
            "LG_HOSTNAME": "desk",
            "XDG_CACHE_HOME": str(self.folder / "cache"),
        }

    def _start(self, name, program, *words):
        log = (self.folder / f"{name}.log").open("a")
        self._processes[name] = subprocess.Popen(
            [self.programs / program, *map(str, words)], cwd=self.folder, stdout=log, stderr=log
        )
        log.close()

    def start(self):
        self._start("coordinator", "labgrid-coordinator", "-l", self.address)
        host, port = self.address.split(":")

        def answers():
            with contextlib.suppress(OSError), socket.create_connection((host, int(port)), 1):
                return True

        until(answers, "the coordinator does not come up")
        for (place, exporter), resources in self._offers.items():
            file = self.folder / f"{exporter}.yaml"
            file.write_text(json.dumps({place: resources}))
            self._start(
                exporter, "labgrid-exporter", "-c", self.address, "-n", exporter, "--hostname", "127.0.0.1", file
            )
        until(lambda: len(self.client("resources").splitlines()) >= len(self._offers), "the exporters do not come up")

    def stop(self):
        """Of a coordinator that goes away the exporters end by themselves; something starts them again."""
        for name in reversed(self._processes):
            end(self._processes[name])
        self._processes.clear()

    def client(self, *words, user="alice", check=True):
        done = subprocess.run(
            [self.programs / "labgrid-client", *words],
            env=self.environment(user),
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        assert not check or done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    def holder(self, place):
        line = next((ln for ln in self.client("-p", place, "show").splitlines() if "acquired:" in ln), "")
        return line.partition(":")[2].strip()

    def popen(self, *words, user="alice"):
        return subprocess.Popen(
            [self.programs / "python", *map(str, words)],
            env=self.environment(user),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            cwd=self.folder,
        )

    def run(self, *words, user="alice"):
        """particle-dev in labgrid's environment: status, output, error output."""
        with self.popen("-m", "particle_dev", *words, user=user) as process:
            out, err = process.communicate(timeout=100)
        return process.returncode, out, err


@pytest.fixture(scope="session")
def boards(tmp_path_factory):
    """A serial line with a self-test, and a probe on a Boron: their TCP ports."""
    ports = build_ports(ROOT / "firmware", ROOT / "firmware" / "build")
    words = [sys.executable, "-m", "particle_dev", "sim", "serve", "--platform", "boron", "--probe", "--port", "0"]
    server = subprocess.Popen(
        [*words, "--state", str(tmp_path_factory.mktemp("boards")), "--json"], stdout=subprocess.PIPE, text=True
    )
    with host_board(ports) as terminal:
        line = TerminalServer(terminal)
        try:
            probe = json.loads(server.stdout.readline())["pyocd_probe"]
            yield line.port, int(probe.rpartition(":")[2])
        finally:
            line.close()
            end(server)
            server.stdout.close()


@pytest.fixture(scope="session")
def farm(boards, tmp_path_factory):
    serial_port, probe_port = boards
    offers = {
        ("line-1", "north"): {"NetworkSerialPort": {"host": "127.0.0.1", "port": serial_port, "protocol": "raw"}},
        ("boron-1", "south"): {"ParticleProbe": {"host": "127.0.0.1", "port": probe_port}},
    }
    made = Farm(tmp_path_factory.mktemp("farm"), offers)
    try:
        yield made
    finally:
        made.stop()
