"""Real firmware as the application of a virtual board: a program of this machine answers its custom requests."""

from __future__ import annotations

import shlex
import subprocess
import weakref

_INTERNAL = -250
_END_TIMEOUT_S = 5.0


class ApplicationProgram:
    """``command`` is started with the first request after a boot of the board: a line to its standard input for each
    request, a line with the result and the reply from its standard output, as firmware/port/host does with
    ``--requests``. It ends with the next boot, or when its standard input does."""

    def __init__(self, command: str) -> None:
        self._command = shlex.split(command)
        self._process: subprocess.Popen[str] | None = None
        self._booted_at_s = 0.0

    def answer(self, payload: bytes, booted_at_s: float) -> tuple[int, bytes]:
        """Result and reply; INTERNAL when the program does not answer."""
        try:
            process = self._running(booted_at_s)
            if process.stdin is None or process.stdout is None:
                return _INTERNAL, b""
            process.stdin.write(payload.decode("utf-8", "replace").replace("\n", " ") + "\n")
            process.stdin.flush()
            result, _, reply = process.stdout.readline().rstrip("\n").partition(" ")
            return int(result), reply.encode()
        except (OSError, ValueError):
            return _INTERNAL, b""

    def _running(self, booted_at_s: float) -> subprocess.Popen[str]:
        if self._process and self._booted_at_s != booted_at_s:
            _end(self._process)
            self._process = None
        if self._process is None:
            self._process = subprocess.Popen(self._command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
            self._booted_at_s = booted_at_s
            weakref.finalize(self, _end, self._process)
        return self._process


def _end(process: subprocess.Popen[str]) -> None:
    for stream in (process.stdin, process.stdout):
        if stream:
            stream.close()
    try:
        process.wait(_END_TIMEOUT_S)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
