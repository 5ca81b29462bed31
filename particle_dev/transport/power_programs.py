"""Power switched by programs of others: uhubctl for hubs that switch power per port, ykushcmd for Yepkit's hubs.

Both are run, not linked: uhubctl is GPL-2.0. Neither tells by its exit status whether it switched anything, so what
they print about the port afterwards is read.
"""

from __future__ import annotations

import re
import shlex
import subprocess
from collections.abc import Callable

from particle_dev.errors import PowerSwitchError

_TIMEOUT_S = 20.0
YKUSH_MODELS = ("ykush", "ykush2", "ykush3", "ykushxs")


class UhubctlPower:
    """One port of a hub, by uhubctl. ``hub`` is its location, as ``uhubctl`` prints it, e.g. ``1-1.4``; a USB 3 hub's
    other half is switched with it.

    Source: mvp/uhubctl uhubctl.c main (options l, p, a; exit status 0 also when the request failed) and
    print_port_status (``Port N: hhhh power …`` with power, ``off`` without).
    """

    def __init__(self, hub: str, port: int, *, program: str = "uhubctl") -> None:
        self.where = f"hub {hub} port {port}"
        self._command = [program, "-l", hub, "-p", str(port)]
        self._port = port

    def on(self) -> None:
        """Raises PowerSwitchError."""
        self._switch("on")

    def off(self) -> None:
        """Raises PowerSwitchError."""
        self._switch("off")

    def _switch(self, action: str) -> None:
        said = run_program([*self._command, "-a", action], self.where, "apt install uhubctl", _uhubctl_failure)
        _, found, after = said.partition("New status for hub")
        states = re.findall(rf"^ +Port {self._port}: [0-9a-f]{{4}}(.*)$", after, re.MULTILINE)
        powered = [" power" in f" {state.partition('[')[0]}" for state in states]
        if not found or not states or any(p is not (action == "on") for p in powered):
            raise PowerSwitchError(
                f"{self.where}: not {action} after uhubctl: {last_line(said)}",
                where=self.where,
                hint="`uhubctl` lists hubs that can switch, with location and ports; correct power in the bench file",
            )


class YkushPower:
    """One port of a YKUSH hub, by Yepkit's ykushcmd. ``serial`` is the hub's; ``model`` one of YKUSH_MODELS.

    Source: Yepkit/ykush src/ykush/ykush.cpp, src/ykush3/ykush3.cpp: ``-s SERIAL -u|-d|-g PORT``; ``-g`` prints
    "Downstream port N is ON" or OFF, and port 0 when it reached no hub.
    """

    def __init__(self, serial: str, port: int, *, model: str = "ykush", program: str = "ykushcmd") -> None:
        self.where = f"{model} {serial} port {port}"
        chosen = [] if model == "ykush" else [model]
        self._command = [program, *chosen, "-s", serial]
        self._port = port
        self._program = program

    def on(self) -> None:
        """Raises PowerSwitchError."""
        self._switch("-u", "ON")

    def off(self) -> None:
        """Raises PowerSwitchError."""
        self._switch("-d", "OFF")

    def _switch(self, option: str, wanted: str) -> None:
        hint = "Yepkit's ykushcmd must be installed: its GitHub repository Yepkit/ykush has it"
        sent = run_program([*self._command, option, str(self._port)], self.where, hint)
        said = run_program([*self._command, "-g", str(self._port)], self.where, hint)
        answer = re.search(r"Downstream port (\d+) is (ON|OFF)", said)
        if answer is None or answer.groups() != (str(self._port), wanted):
            raise PowerSwitchError(
                f"{self.where}: not {wanted.lower()} after {self._program}: {last_line(said) or last_line(sent)}",
                where=self.where,
                hint=f"`{self._program} -l` lists hubs and serial numbers; correct power in the bench file",
            )


def _uhubctl_failure(said: str) -> tuple[str, str]:
    """Its reason, and what to do.

    Source: mvp/uhubctl uhubctl.c main: the reason comes before the line that names -h, what rights it lacks after it.
    """
    reason = last_line(said.partition("Run with -h")[0])
    if re.search(r"permission problems|No permission", said):
        return f"{reason} It has no rights on USB hubs.", "run as root, or add the udev rules that `uhubctl` prints"
    return reason, "check the hub's location with `uhubctl`, and correct power in the bench file"


def run_program(
    command: list[str],
    where: str,
    install_hint: str,
    failure: Callable[[str], tuple[str, str]] | None = None,
) -> str:
    """What it prints. ``failure`` reads reason and hint from what a program said that failed; without it they are its
    last line and its command. Raises PowerSwitchError: not there, failed, too slow."""
    try:
        done = subprocess.run(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            timeout=_TIMEOUT_S,
            check=False,
        )
    except FileNotFoundError as error:
        raise PowerSwitchError(f"{where}: there is no program {command[0]}", where=where, hint=install_hint) from error
    except subprocess.TimeoutExpired as error:
        raise PowerSwitchError(
            f"{where}: {command[0]} has not ended after {_TIMEOUT_S:g} s", where=where, hint="unplug the hub, try again"
        ) from error
    except OSError as error:
        raise PowerSwitchError(
            f"{where}: {command[0]} does not start: {error.strerror}", where=where, hint="check the program's rights"
        ) from error
    said = done.stdout.decode("utf-8", "replace")
    if done.returncode:
        reason, hint = failure(said) if failure else (last_line(said), f"run it by hand: `{shlex.join(command)}`")
        raise PowerSwitchError(f"{where}: {command[0]} ended with {done.returncode}: {reason}", where=where, hint=hint)
    return said


def last_line(text: str) -> str:
    """The last thing a program said."""
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return lines[-1] if lines else "nothing printed"
