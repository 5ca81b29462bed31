"""Whole-process time of ``particle-dev inspect FILE`` against ``pmod FILE`` of npm's binary-version-reader and against
``particle binary inspect FILE`` of npm's particle-cli.

Usage: bench_inspect.py FOLDER, with the folder that ``make bench-peers`` fills, by the Python of an environment where
particle-dev is installed as users do: an editable install pays for setuptools' finder at every start. Exits with 1
when a target is missed.
"""

import os
import statistics
import subprocess
import sys
import time
from pathlib import Path

ROUNDS = 21
FILE = "particle-cli-2.12.0/package/assets/updates/boron-system-part1@2.1.0.bin"
# An installed package has byte code.
ENVIRONMENT = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}


def run_ms(command: list[str]) -> float:
    """Wall-clock milliseconds of one run that must succeed."""
    start_s = time.perf_counter()
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL, env=ENVIRONMENT)
    return (time.perf_counter() - start_s) * 1000


def main() -> int:
    """The three take turns, so that a busy machine slows all."""
    folder = Path(sys.argv[1])
    file = str(folder / FILE)
    commands = [
        [str(Path(sys.executable).with_name("particle-dev")), "inspect", file],
        ["node", str(folder / "node/node_modules/.bin/pmod"), file],
        ["node", str(folder / "bench/node_modules/.bin/particle"), "binary", "inspect", file],
    ]
    for command in commands:  # warm-up
        run_ms(command)
    samples = [[run_ms(command) for command in commands] for _ in range(ROUNDS)]
    ours_ms, pmod_ms, cli_ms = (statistics.median(column) for column in zip(*samples, strict=True))
    good = True
    for name, theirs_ms, most in (("pmod", pmod_ms, 0.8), ("particle binary inspect", cli_ms, 1 / 12)):
        ratio = ours_ms / theirs_ms
        good &= ratio <= most
        verdict = "" if ratio <= most else "  MISSED"
        times = f"{ours_ms:.1f} ms, {name} {theirs_ms:.1f} ms, {ratio:.3f} x (target at most {most:.3f} x)"
        print(f"inspect, whole process, 500 kB system part: {times}{verdict}")
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
