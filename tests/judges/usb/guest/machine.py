"""A Debian kernel in QEMU that sees this machine's files read-only; virtual boards are on its USB by vhci_hcd."""

import contextlib
import json
import socket
import subprocess
import sys
from pathlib import Path

BOOT_S = 60
COMMAND_LINE = (
    "console=ttyS0 quiet panic=-1 reboot=t mitigations=off nokaslr tsc=reliable no_timer_check "
    "random.trust_cpu=on rcupdate.rcu_expedited=1 audit=0"
)


class Guest:
    """Boots at once; a context manager that switches it off. ``log`` is the file for its console."""

    def __init__(self, folder: Path, log: Path):
        with socket.create_server(("127.0.0.1", 0)) as listener:
            self._log = log
            with log.open("wb") as console:
                self._qemu = subprocess.Popen(
                    self._command(folder, listener.getsockname()[1]),
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

    @staticmethod
    def _command(folder, port):
        agent = f"agent={sys.executable},{Path(__file__).with_name('agent.py')},{port}"
        return [
            *("qemu-system-x86_64", "-machine", "q35,vmport=off,hpet=off", "-cpu", "max", "-smp", "2", "-m", "1024"),
            *("-accel", "tcg,thread=multi,tb-size=512", "-nodefaults", "-no-user-config", "-no-reboot"),
            *("-display", "none", "-serial", "stdio"),
            *("-kernel", folder / "vmlinux", "-initrd", folder / "initrd", "-append", f"{COMMAND_LINE} {agent}"),
            *("-fsdev", "local,id=host,path=/,security_model=none,readonly=on,multidevs=remap"),
            *("-device", "virtio-9p-pci,fsdev=host,mount_tag=host"),
            *("-netdev", "user,id=net", "-device", "virtio-net-pci,netdev=net"),
        ]

    def run(self, script, timeout_s=200):
        """Run a shell script that ends at the first error and must succeed; its output."""
        self._connection.settimeout(timeout_s)
        print(json.dumps(script), file=self._agent, flush=True)
        status, output, errors = json.loads(self._agent.readline())
        assert status == 0, f"{script} ended with {status}\n{output}\n{errors}"
        return output
