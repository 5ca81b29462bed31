"""Foreign programs with virtual boards on their USB bus."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path


def foreign_command(
    bench_file: Path, argv: Sequence[str], *, firmware: Path | None = None, trace: Path | None = None
) -> list[str]:
    """The command line that runs ``argv`` with the boards of a bench file on its USB bus."""
    options = ["--firmware", str(firmware)] if firmware else []
    options += ["--trace", str(trace)] if trace else []
    module = "particle_harness.umockdev"
    return ["umockdev-wrapper", sys.executable, "-m", module, *options, str(bench_file), "--", *argv]


def run_foreign(
    bench_file: Path,
    argv: Sequence[str],
    *,
    firmware: Path | None = None,
    trace: Path | None = None,
    env: Mapping[str, str] | None = None,
    timeout_s: float = 60,
) -> subprocess.CompletedProcess[str]:
    """Run ``argv`` with the boards of ``bench_file`` on its USB bus and return its output and exit status.

    The boards live in a process of their own for that time and use the real clock. With a ``state_dir`` in the bench
    file they go on where they were, and their flash can be looked at afterwards (``open_bench`` on the same folder).
    ``firmware``: a folder with bootloaders and SoftDevices for new boards; without it they get stand-ins.
    ``trace``: a file for all control transfers, see ``particle_harness.usb.trace``.
    TimeoutExpired kills the program with all that it started.
    """
    process = subprocess.Popen(
        foreign_command(bench_file, argv, firmware=firmware, trace=trace),
        env={**os.environ, **(env or {})},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    try:
        output, errors = process.communicate(timeout=timeout_s)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        process.communicate()
        raise
    return subprocess.CompletedProcess(list(argv), process.returncode, output, errors)
