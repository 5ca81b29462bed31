"""Runs a program that ends when whoever started this does, however that ends: ``python ends_with_parent.py PROGRAM …``.

The parent holds the other end of standard input and never writes to it, so its end is seen there on every system, after
a kill too. The system's own way, PR_SET_PDEATHSIG, is for Linux alone and follows the thread that started the program,
not its process. Run by its path, so it imports nothing of this package.
"""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from collections.abc import Iterable

END_TIMEOUT_S = 2.0
"""For the program to let go of what it holds, before it is killed."""


def ending_with_us(program: Iterable[str]) -> list[str]:
    """The command that runs a program so; start it with a pipe for standard input, and close that to end it."""
    return [sys.executable, "-I", "-S", __file__, *program]


def _end_with_stdin(process: subprocess.Popen[bytes]) -> None:
    while os.read(0, 1):
        pass
    process.terminate()
    try:
        process.wait(END_TIMEOUT_S)
    except subprocess.TimeoutExpired:
        process.kill()


def main() -> int:
    """Exit status of the program."""
    process = subprocess.Popen(sys.argv[1:], stdin=subprocess.DEVNULL)
    threading.Thread(target=_end_with_stdin, args=(process,), daemon=True).start()
    return process.wait()


if __name__ == "__main__":
    sys.exit(main())
