"""A real PostgreSQL server of this test run: Debian's, on a socket in a folder of its own, never as root."""

import os
import pwd
import re
import shutil
import signal
import subprocess
import tempfile
from pathlib import Path

import pytest


class Server:
    """PostgreSQL that can be stopped, killed and started. ``url`` reaches its database."""

    def __init__(self, binaries, folder):
        self.binaries, self.folder, self.process = binaries, folder, None
        self.user = {"user": "postgres", "group": "postgres", "extra_groups": []} if os.geteuid() == 0 else {}
        self.url = f"postgresql://station@/records?host={folder}"
        if self.user:
            owner = pwd.getpwnam("postgres")
            os.chown(folder, owner.pw_uid, owner.pw_gid)
        command = [binaries / "initdb", "-D", folder / "data", "-U", "station", "-A", "trust", "-E", "UTF8"]
        subprocess.run([*command, "--locale=C.UTF-8"], check=True, stdout=subprocess.DEVNULL, cwd=folder, **self.user)

    def start(self):
        """Return when it takes connections."""
        options = ("listen_addresses=", f"unix_socket_directories={self.folder}", "fsync=off", "max_connections=40")
        command = [self.binaries / "postgres", "-D", self.folder / "data"]
        command += [part for option in options for part in ("-c", option)]
        self.process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True, cwd=self.folder, **self.user)
        for line in self.process.stderr:
            if "ready to accept connections" in line:
                return
        raise AssertionError("the server did not start")

    def stop(self, number=signal.SIGINT):
        """SIGINT: ends transactions that are open; SIGQUIT: as if the power had gone."""
        self.process.send_signal(number)
        self.process.communicate(timeout=60)

    def execute(self, statement, database="records"):
        """What psql prints."""
        command = [self.binaries / "psql", "-h", self.folder, "-U", "station", "-d", database, "-At", "-c", statement]
        return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()


@pytest.fixture(scope="session")
def server():
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"), key=lambda p: int(re.findall(r"\d+", str(p))[0]))
    if not found:
        pytest.fail("install Debian's package postgresql, as `make judge-packages` does")
    folder = Path(tempfile.mkdtemp(prefix="pd-pg-"))
    server = Server(found[-1].parent, folder)
    server.start()
    yield server
    if server.process.poll() is None:
        server.stop()
    shutil.rmtree(folder)


@pytest.fixture
def database_url(server):
    """An empty database."""
    if server.process.poll() is not None:
        server.start()
    server.execute("drop database if exists records", "postgres")
    server.execute("create database records", "postgres")
    return server.url
