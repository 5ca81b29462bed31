"""First process of a guest for people: the boards of a server are plugged in, and a shell is at the console.

`desk.py SERVER ROWS COLUMNS PARTICLE_CLI BIN STORE FOLDER`: HOST:PORT of `particle-dev sim serve` as the guest reaches
it, size of the terminal, and, percent-encoded, particle-cli's index.js, the folder with particle-dev, the firmware
store and the folder to begin in.
"""

import fcntl
import os
import shlex
import struct
import subprocess
import sys
import termios
from pathlib import Path
from urllib.parse import unquote

server, rows, columns = sys.argv[1:4]
particle_cli, folder, store, here = map(unquote, sys.argv[4:])
os.environ.update(
    PATH=f"/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin:{folder}",
    HOME="/root",
    LC_ALL="C.UTF-8",
    PARTICLE_DEV_STORE=store,
    TERM=os.environ.get("TERM", "vt100"),
    PS1="guest# ",
)
# Its messages are for dmesg, not into what is being typed.
subprocess.run(["/bin/busybox", "dmesg", "-n", "1"], check=True)
# Programs that follow boards through mode changes hear of them from udevd.
subprocess.run(["/lib/systemd/systemd-udevd", "--daemon"], check=True)
# Changes to the host's files stay in the guest's RAM.
particle = Path("/usr/local/bin/particle")
particle.parent.mkdir(parents=True, exist_ok=True)
particle.write_text(f'#!/bin/sh\nexec node {shlex.quote(particle_cli)} "$@"\n', encoding="utf-8")
particle.chmod(0o755)
log = Path("/run/attach.log")
with log.open("wb") as output:
    attach = [f"{folder}/particle-dev", "sim", "attach", server]
    subprocess.Popen(attach, stdin=subprocess.DEVNULL, stdout=output, stderr=output, start_new_session=True)
print(
    f"\nThis is a Linux guest in QEMU. Boards of `particle-dev sim serve` on\n{server} are on its USB: particle-dev, "
    "dfu-util, particle, lsusb. It sees your\nfiles, and your firmware store; what it changes is gone at its end: "
    f"`exit`.\n{log} tells what comes and goes.\n",
    flush=True,
)
console = os.open("/dev/ttyS0", os.O_RDWR)
fcntl.ioctl(console, termios.TIOCSWINSZ, struct.pack("HHHH", int(rows), int(columns), 0, 0))


def own_terminal():
    """Ctrl-C reaches what runs in the shell."""
    os.setsid()
    fcntl.ioctl(console, termios.TIOCSCTTY, 0)


subprocess.run(
    ["/bin/bash", "--norc", "-i"],
    stdin=console,
    stdout=console,
    stderr=console,
    preexec_fn=own_terminal,
    cwd=here,
    check=False,
)
subprocess.run(["/bin/busybox", "poweroff", "-f"], check=True)
