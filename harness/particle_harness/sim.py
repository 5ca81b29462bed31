"""Virtual boards for other programs and machines.

``python -m particle_harness.sim serve BENCH.toml`` offers the boards of a bench file over USB/IP on loopback;
``sudo python -m particle_harness.sim attach`` plugs them into this Linux kernel, again after every mode change.
"""

from __future__ import annotations

import argparse
import sys
import threading
from pathlib import Path

from particle_dev.errors import ParticleDevError
from particle_harness.bench_toml import open_bench_file
from particle_harness.usbip import PORT, Server
from particle_harness.vhci import attach_all


def main() -> int:
    """Run until interrupted. Exit status 3 when bench, server or kernel are not usable."""
    parser = argparse.ArgumentParser(prog="python -m particle_harness.sim", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    serve = commands.add_parser("serve", help="offer the boards of a bench file over USB/IP")
    serve.add_argument("bench", type=Path)
    serve.add_argument("--firmware", type=Path, help="folder with bootloaders and SoftDevices for new boards")
    serve.add_argument("--port", type=int, default=PORT)
    attach = commands.add_parser("attach", help="plug everything that a server offers into this kernel")
    attach.add_argument("server", nargs="?", default=f"127.0.0.1:{PORT}", metavar="HOST:PORT")
    arguments = parser.parse_args()
    try:
        if arguments.command == "attach":
            host, _, port = arguments.server.rpartition(":")
            attach_all((host, int(port)), threading.Event())
        else:
            bench = open_bench_file(arguments.bench, firmware=arguments.firmware)
            with Server(bench.boards, ("127.0.0.1", arguments.port)) as server:
                print(f"{len(bench.boards)} board(s) on 127.0.0.1:{server.port}", flush=True)  # noqa: T201
                threading.Event().wait()
    except KeyboardInterrupt:
        return 130
    except (ParticleDevError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)  # noqa: T201
        return 3
    return 0


if __name__ == "__main__":
    sys.exit(main())
