"""Whole-process time of ``particle-dev inspect FILE`` against ``pmod FILE`` of npm's binary-version-reader.

Usage: bench_inspect.py FOLDER, with the folder that ``make firmware-for-tests`` fills, by the Python of an
environment with particle-dev. Prints one line; exits with 1 when ours is slower.
"""

import os
import statistics
import subprocess
import sys
import time
from pathlib import Path

ROUNDS = 21
FILE = "particle-cli-2.12.0/package/assets/updates/boron-system-part1@2.1.0.bin"
# An installed package has byte code; the warm-up run makes it for an editable one.
ENVIRONMENT = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}


def run_ms(command: list[str]) -> float:
    """Wall-clock milliseconds of one run that must succeed."""
    start_s = time.perf_counter()
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL, env=ENVIRONMENT)
    return (time.perf_counter() - start_s) * 1000


def main() -> int:
    """Alternate both programs, so that a busy machine slows both."""
    folder = Path(sys.argv[1])
    file = str(folder / FILE)
    ours = [str(Path(sys.executable).with_name("particle-dev")), "inspect", file]
    theirs = ["node", str(folder / "node/node_modules/.bin/pmod"), file]
    for command in (ours, theirs):  # warm-up
        run_ms(command)
    samples = [(run_ms(ours), run_ms(theirs)) for _ in range(ROUNDS)]
    ours_ms, theirs_ms = (statistics.median(column) for column in zip(*samples, strict=True))
    ratio = ours_ms / theirs_ms
    times = f"particle-dev {ours_ms:.1f} ms, pmod {theirs_ms:.1f} ms, ratio {ratio:.2f}"
    print(f"inspect, 500 kB system part: {times}")  # noqa: T201
    return 0 if ratio <= 1 else 1


if __name__ == "__main__":
    sys.exit(main())
