"""Files that are written whole or not at all: under kill -9, on a full disk, by two writers; and one way to do it."""

import ast
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

import particle_dev
from particle_dev.whole_file import write_whole

KILLS = 20
WRITER = """
import sys
from pathlib import Path
from particle_dev.whole_file import write_whole
print("ready", flush=True)
while True:
    for letter in (b"a", b"b"):
        write_whole(Path(sys.argv[1]), letter * 300_000)
"""
FULL = """
import resource, signal, sys
from pathlib import Path
from particle_dev.whole_file import write_whole
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))
try:
    write_whole(Path(sys.argv[1]), b"x" * 5000)
except OSError as error:
    print(type(error).__name__)
"""


def test_it_replaces_and_leaves_nothing_beside(tmp_path):
    path = tmp_path / "file"
    write_whole(path, b"one")
    write_whole(path, b"two")
    assert path.read_bytes() == b"two"
    assert [p.name for p in tmp_path.iterdir()] == ["file"]


def test_the_first_writer_wins_where_nothing_is_to_be_replaced(tmp_path):
    path = tmp_path / "file"
    write_whole(path, b"one", replace=False)
    with pytest.raises(FileExistsError):
        write_whole(path, b"two", replace=False)
    assert path.read_bytes() == b"one"
    assert [p.name for p in tmp_path.iterdir()] == ["file"]


@pytest.mark.skipif(os.name != "posix", reason="permission bits are those of POSIX")
def test_permission_bits_are_as_asked_or_as_they_were(tmp_path):
    path = tmp_path / "file"
    before = os.umask(0o027)
    try:
        write_whole(path, b"new")
        assert path.stat().st_mode & 0o777 == 0o640
        write_whole(path, b"secret", mode=0o600)
        assert path.stat().st_mode & 0o777 == 0o600
        write_whole(path, b"secret again")
        assert path.stat().st_mode & 0o777 == 0o600
    finally:
        os.umask(before)


def test_a_secret_is_its_owners_alone_from_the_first_byte_on(tmp_path, monkeypatch):
    seen = []
    real = os.fsync
    monkeypatch.setattr(os, "fsync", lambda fd: (seen.append(os.fstat(fd).st_mode & 0o777), real(fd))[1])
    write_whole(tmp_path / "file", b"secret", mode=0o600)
    assert seen.pop(0) == 0o600
    seen.clear()
    write_whole(tmp_path / "file", b"secret again")
    assert seen[0] == 0o600


def test_a_full_disk_changes_nothing(tmp_path):
    path = tmp_path / "file"
    path.write_bytes(b"before")
    done = subprocess.run([sys.executable, "-c", FULL, str(path)], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "OSError"
    assert path.read_bytes() == b"before"
    assert [p.name for p in tmp_path.iterdir()] == ["file"]


def test_killed_at_random_moments_the_file_is_whole(tmp_path):
    path = tmp_path / "file"
    write_whole(path, b"a" * 300_000)
    chance, cut = random.Random(8), 0
    for _ in range(KILLS):
        with subprocess.Popen([sys.executable, "-c", WRITER, str(path)], stdout=subprocess.PIPE) as writer:
            assert writer.stdout.readline() == b"ready\n"
            time.sleep(chance.uniform(0, 0.01))
            writer.send_signal(signal.SIGKILL)
        content = path.read_bytes()
        assert content in (b"a" * 300_000, b"b" * 300_000)
        leftover = [p for p in tmp_path.iterdir() if p != path]
        cut += bool(leftover)
        for p in leftover:
            p.unlink()
    print(f"\n{KILLS} kills, {cut} of them in the middle of a write")
    assert cut >= 1


def test_nobody_else_renames_what_it_has_written():
    """Path.replace takes one word, str.replace two and dataclasses' only named ones."""
    found = []
    root = Path(particle_dev.__file__).parent
    for path in root.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if (
                isinstance(node, ast.Call)
                and isinstance(node.func, ast.Attribute)
                and node.func.attr in ("replace", "rename")
                and (len(node.args), len(node.keywords)) == (1, 0)
            ):
                found.append(path.relative_to(root).as_posix())
    # What npm has fetched is moved as it is.
    assert sorted(found) == ["flash/firmware_sources.py", "whole_file.py"]
