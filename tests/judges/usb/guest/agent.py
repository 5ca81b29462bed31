"""Runs in the guest: takes shell scripts from the host one by one and tells how they ended."""

import json
import os
import socket
import subprocess
import sys

os.environ.update(PATH="/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", HOME="/root", LC_ALL="C.UTF-8")
with socket.create_connection(("10.0.2.2", int(sys.argv[1]))) as connection, connection.makefile("rw") as host:
    for line in host:
        script = ["bash", "-euo", "pipefail", "-c", json.loads(line)]
        done = subprocess.run(
            script, stdin=subprocess.DEVNULL, capture_output=True, text=True, errors="replace", check=False
        )
        print(json.dumps([done.returncode, done.stdout, done.stderr]), file=host, flush=True)
subprocess.run(["/bin/busybox", "poweroff", "-f"], check=True)
