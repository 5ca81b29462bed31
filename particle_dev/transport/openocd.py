"""Memory and cores of a chip that pyOCD does not know, through OpenOCD, a program that is spoken to over its Tcl port.

OpenOCD is under the GPL and runs as a process, found in the Python package ``openocd-esp32`` (extra ``rtl872x``) or on
the path. Source: OpenOCD User's Guide, chapters Tcl Scripting API and Target Configuration.
"""

from __future__ import annotations

import contextlib
import re
import shutil
import socket
import subprocess
import tempfile
import threading
import time
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path

from particle_dev.errors import (
    DeviceNotFoundError,
    LinkAccessError,
    LinkDisconnectedError,
    LinkTimeoutError,
    TransportError,
)
from particle_dev.transport.ends_with_parent import ending_with_us

OPEN_TIMEOUT_S = 15.0
CALL_TIMEOUT_S = 20.0
_END = b"\x1a"
"""Ends a command and its answer."""
_WORDS_AT_ONCE = 2048
_SLOWEST_BYTES_PER_S = 8_000
_LISTENING = re.compile(r"Listening on port (\d+) for tcl connections")
_TCP_PROBE = re.compile(r"cmsis-dap-tcp:(?P<host>[\w.-]+):(?P<port>\d+)")
_KEPT_LINES = 40
_NO_PROBE = "unable to find a matching CMSIS-DAP device"
"""Source: openocd master src/jtag/drivers/cmsis_dap.c."""


def find_openocd() -> Path:
    """The program. Raises LinkAccessError, which says what to install."""
    package = find_spec("openocd_esp32")
    if package is not None and package.submodule_search_locations:
        program = Path(package.submodule_search_locations[0]) / "bin" / "openocd"
        if program.exists():
            return program
    found = shutil.which("openocd")
    if found is None:
        raise LinkAccessError(
            "RTL872x boards are reached through OpenOCD, which is not installed",
            hint="install it with: pip install 'particle-dev[rtl872x]', or your system's package openocd",
        )
    return Path(found)


def adapter_commands(probe_id: str) -> list[str]:
    """How OpenOCD finds the probe: a CMSIS-DAP probe by its serial number, or ``cmsis-dap-tcp:HOST:PORT``."""
    tcp = _TCP_PROBE.fullmatch(probe_id)
    if tcp is None:
        if not re.fullmatch(r"[\w.:+-]+", probe_id):
            raise LinkAccessError(f"{probe_id!r} is no serial number of a probe", where=probe_id, hint="see: swd list")
        return ["adapter driver cmsis-dap", f"adapter serial {probe_id}"]
    host, port = tcp["host"], tcp["port"]
    return [
        "adapter driver cmsis-dap",
        "cmsis-dap backend tcp",
        f"cmsis-dap tcp host {host}",
        f"cmsis-dap tcp port {port}",
    ]


class OpenOcd:
    """An OpenOCD process with one chip, which ends with this one. Use as a context manager; closing leaves the cores as
    they are.

    ``set_up`` creates DAP and targets. Raises DeviceNotFoundError (no such probe), LinkAccessError (no program, or what
    else it ends with), LinkTimeoutError, LinkDisconnectedError, TransportError with OpenOCD's own words.
    """

    def __init__(self, probe_id: str, set_up: Sequence[str], *, frequency_hz: int) -> None:
        self.where = probe_id
        self._said: list[str] = []
        self._tcl_port: int | None = None
        self._heard = threading.Condition()
        commands = [
            *adapter_commands(probe_id),
            "transport select swd",
            f"adapter speed {max(1, frequency_hz // 1000)}",
            "gdb_port disabled",
            "telnet_port disabled",
            "tcl_port 0",
            *set_up,
            "init",
        ]
        words = [word for command in commands for word in ("-c", command)]
        # A session of its own: Ctrl-C goes to this process, which ends it by close().
        self._process = subprocess.Popen(
            ending_with_us([str(find_openocd()), *words]),
            stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE,
            text=True, errors="replace", start_new_session=True,
        )  # fmt: skip
        self._listener = threading.Thread(target=self._listen, name=f"OpenOCD {probe_id}", daemon=True)
        self._socket: socket.socket | None = None
        try:
            self._listener.start()
            self._socket = self._connect()
            # Answers once the chip was examined.
            self.call("targets", timeout_s=OPEN_TIMEOUT_S)
        except BaseException:
            # Ctrl-C too: it would keep the probe.
            self.close()
            raise

    def __enter__(self) -> OpenOcd:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """End the process; the cores stay as they are. Never raises."""
        if self._socket is not None:
            self._socket.close()
        assert self._process.stdin is not None and self._process.stderr is not None
        # Ends OpenOCD, by force if it must.
        self._process.stdin.close()
        self._process.wait()
        if self._listener.ident is not None:
            self._listener.join(5)
        self._process.stderr.close()

    def call(self, command: str, *, timeout_s: float = CALL_TIMEOUT_S) -> str:
        """What a Tcl command returns. Raises TransportError when OpenOCD says it failed, LinkTimeoutError,
        LinkDisconnectedError; the session is over after the last two."""
        assert self._socket is not None
        wrapped = f'set e [catch {{{command}}} r]; return "$e $r"'
        end_s = time.monotonic() + timeout_s
        try:
            self._socket.settimeout(timeout_s)
            self._socket.sendall(wrapped.encode() + _END)
            answer = b""
            while not answer.endswith(_END):
                self._socket.settimeout(max(0.001, end_s - time.monotonic()))
                piece = self._socket.recv(1 << 16)
                if not piece:
                    raise self._gone(command)
                answer += piece
        except TimeoutError as e:
            raise LinkTimeoutError(
                f"OpenOCD took longer than {timeout_s:g} s for: {command}",
                where=self.where,
                hint="check probe and wires",
            ) from e
        except OSError as e:
            raise self._gone(command) from e
        status, _, result = answer[:-1].decode("utf-8", "replace").partition(" ")
        if status != "0":
            raise TransportError(
                f"OpenOCD: {result.strip() or self.last_words}", where=self.where, hint="is it the chip you expect?"
            )
        return result

    def read(self, target: str, address: int, size_bytes: int) -> bytes:
        """Bytes of a target's memory, read in words. Raises as :meth:`call`."""
        start = address & -4
        end = address + size_bytes + 3 & -4
        data = bytearray()
        for at in range(start, end, 4 * _WORDS_AT_ONCE):
            count = min(_WORDS_AT_ONCE, (end - at) // 4)
            words = self.call(f"{target} read_memory {at:#x} 32 {count}").split()
            if len(words) != count:
                raise TransportError(
                    f"OpenOCD read {len(words)} words instead of {count}",
                    where=self.where,
                    hint="check probe and wires, or lower the frequency",
                )
            data += b"".join(int(word, 0).to_bytes(4, "little") for word in words)
        return bytes(data[address - start : address - start + size_bytes])

    def read_block(self, target: str, address: int, size_bytes: int) -> bytes:
        """As :meth:`read`, for what is too long to be printed and parsed word by word."""
        timeout_s = CALL_TIMEOUT_S + size_bytes / _SLOWEST_BYTES_PER_S
        with tempfile.TemporaryDirectory(prefix="particle-dev-") as folder:
            file = Path(folder) / "memory"
            self.call(f"targets {target}")
            self.call(f"dump_image {{{file}}} {address:#x} {size_bytes:#x}", timeout_s=timeout_s)
            data = file.read_bytes()
        if len(data) != size_bytes:
            raise TransportError(
                f"OpenOCD read {len(data)} bytes instead of {size_bytes}",
                where=self.where,
                hint="check probe and wires, or lower the frequency",
            )
        return data

    @property
    def last_words(self) -> str:
        """What it wrote last to its log, errors first."""
        with self._heard:
            errors = [line.split(":", 1)[-1].strip() for line in self._said if line.startswith("Error")]
            return "; ".join(errors[-3:] or self._said[-1:]) or "it said nothing"

    def _connect(self) -> socket.socket:
        end_s = time.monotonic() + OPEN_TIMEOUT_S
        with self._heard:
            while self._tcl_port is None:
                if self._process.poll() is not None:
                    break
                if not self._heard.wait(0.1) and time.monotonic() > end_s:
                    raise LinkTimeoutError(
                        f"OpenOCD did not come up: {self.last_words}", where=self.where, hint="check probe and wires"
                    )
            port = self._tcl_port
        if port is None:
            self._listener.join(1)
            if _NO_PROBE in self.last_words:
                raise DeviceNotFoundError(
                    f"no debug probe answers as '{self.where}': {self.last_words}",
                    selector=self.where,
                    hint="give the whole serial number of a CMSIS-DAP probe, or cmsis-dap-tcp:HOST:PORT",
                )
            raise LinkAccessError(
                f"OpenOCD ended: {self.last_words}", where=self.where, hint="check the probe's id, wires and power"
            )
        try:
            return socket.create_connection(("127.0.0.1", port), OPEN_TIMEOUT_S)
        except OSError as e:
            raise self._gone("the first connection") from e

    def _listen(self) -> None:
        assert self._process.stderr is not None
        # A closed pipe ends the listener with the process.
        with contextlib.suppress(ValueError):
            for line in self._process.stderr:
                with self._heard:
                    self._said = [*self._said[-_KEPT_LINES:], line.strip()]
                    found = _LISTENING.search(line)
                    if found:
                        self._tcl_port = int(found[1])
                    self._heard.notify_all()
        with self._heard:
            self._heard.notify_all()

    def _gone(self, command: str) -> LinkDisconnectedError:
        return LinkDisconnectedError(
            f"OpenOCD ended during: {command}; {self.last_words}", where=self.where, hint="check probe, wires and power"
        )
