"""``python -m particle_harness.umockdev [OPTIONS] BENCH.toml -- COMMAND…``, itself under umockdev-wrapper."""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
from pathlib import Path

from particle_dev.errors import BenchError, ParticleDevError
from particle_harness.bench_toml import open_bench_file
from particle_harness.umockdev.testbed import UmockdevBus
from particle_harness.usb.trace import trace_to


def main() -> int:
    """Run the command; its exit status, 3 when bench or umockdev are not usable, or 130 after Ctrl-C."""
    parser = argparse.ArgumentParser(prog="umockdev-wrapper python -m particle_harness.umockdev", description=__doc__)
    parser.add_argument("bench", type=Path, help="bench file of virtual or emulated boards")
    parser.add_argument("--firmware", type=Path, help="folder with firmware for new boards")
    parser.add_argument("--trace", type=Path, help="write the control transfers of all boards there, as JSON lines")
    parser.add_argument("command", nargs="+")
    arguments = parser.parse_args()
    try:
        if "libumockdev-preload" not in os.environ.get("LD_PRELOAD", ""):
            raise BenchError("this is not under umockdev-wrapper", hint="umockdev-wrapper python -m …")
        bench = open_bench_file(arguments.bench, firmware=arguments.firmware, images=arguments.firmware)
        try:
            if arguments.trace:
                lines = arguments.trace.open("w", encoding="utf-8")
                for board in bench.boards:
                    trace_to(board, lines)
            with UmockdevBus(bench.bus_devices) as bus:
                return subprocess.run(arguments.command, env={**os.environ, **bus.environment}, check=False).returncode
        finally:
            # What comes next finds the boards where they are now.
            bench.close()
    except ParticleDevError as error:
        print(f"error: {error}", file=sys.stderr)  # noqa: T201
        return 3
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)  # noqa: T201
        return 130


if __name__ == "__main__":
    sys.exit(main())
