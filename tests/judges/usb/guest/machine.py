"""A Debian kernel in QEMU that sees this machine's files read-only; virtual boards are on its USB by vhci_hcd.

`machine.py FOLDER PARTICLE_CLI [PORT]` starts one for people, with a shell at this terminal, on whose USB are the
boards of `particle-dev sim serve` at PORT of this machine. `make guest` knows the folders.
"""

import contextlib
import json
import os
import shutil
import socket
import subprocess
import sys
from pathlib import Path
from urllib.parse import quote

import platformdirs

BOOT_S = 60
COMMAND_LINE = (
    "console=ttyS0 quiet panic=-1 reboot=t mitigations=off nokaslr tsc=reliable no_timer_check "
    "random.trust_cpu=on rcupdate.rcu_expedited=1 audit=0"
)


HERE = Path(__file__).parent


def command(folder: Path, agent: list, serial: str):
    """The command line of QEMU. ``agent`` is the guest's first process, a command without blanks and commas; ``serial``
    is where its console goes."""
    arguments = f"{COMMAND_LINE} agent={','.join(map(str, agent))}"
    return [
        *("qemu-system-x86_64", "-machine", "q35,vmport=off,hpet=off", "-cpu", "max", "-smp", "2", "-m", "1024"),
        *("-accel", "tcg,thread=multi,tb-size=512", "-nodefaults", "-no-user-config", "-no-reboot"),
        *("-display", "none", "-serial", serial),
        *("-kernel", folder / "vmlinux", "-initrd", folder / "initrd", "-append", arguments),
        *("-fsdev", "local,id=host,path=/,security_model=none,readonly=on,multidevs=remap"),
        *("-device", "virtio-9p-pci,fsdev=host,mount_tag=host"),
        *("-netdev", "user,id=net", "-device", "virtio-net-pci,netdev=net"),
    ]


class Guest:
    """Boots at once; a context manager that switches it off. ``log`` is the file for its console."""

    def __init__(self, folder: Path, log: Path):
        with socket.create_server(("127.0.0.1", 0)) as listener:
            self._log = log
            with log.open("wb") as console:
                agent = [sys.executable, HERE / "agent.py", listener.getsockname()[1]]
                self._qemu = subprocess.Popen(
                    command(folder, agent, "stdio"),
                    stdin=subprocess.DEVNULL,
                    stdout=console,
                    stderr=console,
                )
            listener.settimeout(BOOT_S)
            try:
                self._connection, _ = listener.accept()
            except TimeoutError:
                self._qemu.kill()
                self._qemu.wait()
                raise RuntimeError(f"the guest did not start:\n{log.read_text(errors='replace')}") from None
        self._agent = self._connection.makefile("rw")

    def __enter__(self):
        return self

    def __exit__(self, *exception):
        with contextlib.suppress(OSError):
            self._agent.close()
        self._connection.close()
        try:
            self._qemu.wait(timeout=10)
        except subprocess.TimeoutExpired:
            self._qemu.kill()
            self._qemu.wait()

    def run(self, script, timeout_s=200):
        """Run a shell script that ends at the first error and must succeed; its output."""
        self._connection.settimeout(timeout_s)
        print(json.dumps(script), file=self._agent, flush=True)
        status, output, errors = json.loads(self._agent.readline())
        assert status == 0, f"{script} ended with {status}\n{output}\n{errors}"
        return output


def firmware_store():
    """Where firmware is for whoever starts the guest: its own user is root, whose store is another one."""
    return Path(
        os.environ.get("PARTICLE_DEV_STORE") or platformdirs.user_data_path("particle-dev") / "firmware"
    ).resolve()


def main(folder, particle_cli, port="3240"):
    """A guest for people."""
    size = shutil.get_terminal_size()
    python = Path(sys.executable)
    names = [particle_cli, python.parent, firmware_store(), Path.cwd()]
    # A command without blanks and commas is what the kernel hands on.
    quoted = [quote(str(name)) for name in names]
    agent = [python, HERE / "desk.py", f"10.0.2.2:{port}", size.lines, size.columns, *quoted]
    # Ctrl-C and everything else goes into the guest; Ctrl-A X ends it by force.
    return subprocess.run(command(Path(folder), agent, "mon:stdio"), check=False).returncode


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
