"""An ESP32's ROM loader through esptool, Espressif's program, over a serial port.

esptool is under the GPL and runs as a process, from the environment of this program (extra ``esp``). It is believed
only where it says that it did what was asked: its exit status alone is not enough. Its own environment variables and a
configuration file in the current folder do not count.

Source: Espressif, esptool documentation, Basic Commands, Advanced Topics; its output in version 5.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

from particle_dev.errors import (
    DeviceModeError,
    DeviceNotFoundError,
    FlashHashError,
    LinkAccessError,
    LinkDisconnectedError,
    LinkTimeoutError,
    LoaderRefusedError,
    ParticleDevError,
    TransportError,
    WrongDeviceError,
)
from particle_dev.protocol.esp_image import EspRegion
from particle_dev.transport.ends_with_parent import ending_with_us
from particle_dev.transport.serial import port_holders

CHIP = "esp32"
DEFAULT_BAUD = 115_200
"""What the ROM loader and every bridge can."""
CONNECT_TIMEOUT_S = 60.0
"""Seven attempts to connect, each with a reset, and the start of the program on a slow computer."""
_SLOWEST_ERASE_BYTES_PER_S = 20_000
_KEPT_LINES = 30
Progress = Callable[[int, int], None]
"""Called with bytes done and bytes in all."""

_IDENTITY = {
    "chip": re.compile(r"^Chip type:\s+(.+)"),
    "features": re.compile(r"^Features:\s+(.+)"),
    "crystal": re.compile(r"^Crystal frequency:\s+(\d+)\s?MHz"),
    "mac": re.compile(r"^MAC:\s+([0-9a-f:]{17})"),
    "manufacturer": re.compile(r"^Manufacturer: ([0-9a-f]{2})$"),
    "device": re.compile(r"^Device: ([0-9a-f]{4})$"),
    "size": re.compile(r"^Detected flash size: (\d+)\s?([KM])B"),
}
_FILE = re.compile(r"^Writing '.*' at (0x[0-9a-f]+)\.\.\.")
_AT = re.compile(r"^Writing at (0x[0-9a-f]+)\s")
_VERIFIED, _MATCHES = "Hash of data verified.", "Verification successful (digest matched)"
_NOT_RESET = "Chip was NOT reset"
_WITHOUT_LINES = "not possible to reset the chip"
_WRONG_CHIP = re.compile(r"This chip is (.+?), not (.+?)\.")
_BOOT_MODE = re.compile(r"Wrong boot mode detected \((0x[0-9a-f]+)\)")
_REFUSED = re.compile(r"[Ff]ailed to ([^(\n]+?)\s*\(result was ([0-9A-Fa-f]+)")
_DIFFERS = re.compile(r"MD5 of file does not match|Verification failed")
_LOST = re.compile(
    r"Serial data stream stopped|No more data to read|content transfer stopped|returned no data|disconnected|"
    r"Errno (?:5|6|32|104)\b|Broken pipe|Connection reset|Invalid head of packet|No serial data received|Write timeout"
)
_STRAPS = (
    "hold GPIO0 (on an Argon: ESPBOOT) low while the chip is reset, give power to the board, check that the bridge "
    "passes both directions on"
)


@dataclass(frozen=True, slots=True)
class EspIdentity:
    """What an ESP32 says about itself. ``mac`` is its base address, with colons; ``flash_manufacturer`` and
    ``flash_device`` are the JEDEC numbers of its flash in hexadecimal."""

    chip: str
    features: tuple[str, ...]
    crystal_mhz: int
    mac: str
    flash_manufacturer: str
    flash_device: str
    flash_size_bytes: int


def require_esptool() -> None:
    """Raise LinkAccessError, which says what to install, when esptool is not there."""
    if find_spec("esptool") is None:
        raise LinkAccessError(
            "the ESP32 is reached through esptool, which is not installed",
            hint="install it with: pip install 'particle-dev[esp]'",
        )


class Esptool:
    """The ROM loader behind one serial port: a path, or a URL of pyserial such as ``socket://HOST:PORT`` and
    ``rfc2217://HOST:PORT``.

    Each call is one run of esptool, which ends with this process, with Ctrl-C, and after ``timeout_s`` or the time that
    the call is given. ``before`` is how the chip gets into its loader: ``default-reset`` by DTR and RTS, ``no-reset``
    when somebody put it there. ``stub`` False: without the program that esptool loads into the chip's RAM.

    Every method raises LinkAccessError (not installed, port in use or forbidden), DeviceNotFoundError (no such port),
    LinkTimeoutError (nobody answers, or the time is over), LinkDisconnectedError (the line was lost midway),
    WrongDeviceError (another chip), DeviceModeError (it started its application), LoaderRefusedError,
    TransportError with esptool's own words.
    """

    def __init__(
        self,
        port: str,
        *,
        baud: int = DEFAULT_BAUD,
        before: str = "default-reset",
        stub: bool = True,
        connect_attempts: int = 7,
        timeout_s: float | None = None,
    ) -> None:
        require_esptool()
        self.where = port
        self._baud = baud
        self._timeout_s = timeout_s
        self._options = ["--chip", CHIP, "--port", port, "--baud", str(baud), "--before", before]
        self._options += ["--connect-attempts", str(connect_attempts)]
        self._options += [] if stub else ["--no-stub"]

    def identify(self) -> EspIdentity:
        """Chip, MAC address, flash. Nothing is changed; the chip stays in its loader."""
        lines = self._run(["--after", "no-reset"], ["flash-id"], CONNECT_TIMEOUT_S)
        found = {name: next(filter(None, map(form.match, lines)), None) for name, form in _IDENTITY.items()}
        if not all(found.values()):
            missing = ", ".join(name for name, match in found.items() if match is None)
            raise self._not_understood(f"does not tell {missing}", lines)
        text = {name: match[1] for name, match in found.items() if match}
        size = found["size"]
        assert size is not None
        return EspIdentity(
            chip=text["chip"],
            features=tuple(f.strip() for f in text["features"].split(",")),
            crystal_mhz=int(text["crystal"]),
            mac=text["mac"],
            flash_manufacturer=text["manufacturer"],
            flash_device=text["device"],
            flash_size_bytes=int(size[1]) << (20 if size[2] == "M" else 10),
        )

    def read(self, address: int, size_bytes: int) -> bytes:
        """Bytes of the flash, checked with the MD5 that the chip sends where it runs the stub. The chip stays in its
        loader."""
        with tempfile.TemporaryDirectory(prefix="particle-dev-") as folder:
            file = Path(folder) / "flash.bin"
            lines = self._run(
                ["--after", "no-reset"],
                ["read-flash", hex(address), hex(size_bytes), str(file)],
                self._time_for(size_bytes),
            )
            data = file.read_bytes() if file.exists() else b""
        if len(data) != size_bytes:
            raise self._not_understood(f"read {len(data)} bytes instead of {size_bytes}", lines)
        return data

    def write(self, regions: Sequence[EspRegion], *, progress: Progress | None = None) -> bool:
        """**Erase and write** regions in their order; each is proven by the MD5 that the chip computes. Returns whether
        the chip was restarted, which takes a port with DTR and RTS.

        Raises FlashHashError for a region that is not what was written, with all that the class says.
        """
        total = sum(len(r.data) for r in regions)
        done_before = {r.address: sum(len(b.data) for b in regions[:n]) for n, r in enumerate(regions)}
        current: EspRegion | None = None

        def follow(line: str) -> None:
            nonlocal current
            if found := _FILE.match(line):
                current = next((r for r in regions if r.address == int(found[1], 16)), None)
            elif progress and current and (found := _AT.match(line)):
                here = min(max(int(found[1], 16) - current.address, 0), len(current.data))
                progress(done_before[current.address] + here, total)

        with tempfile.TemporaryDirectory(prefix="particle-dev-") as folder:
            words = self._with_files("write-flash", ["--flash-size", "keep"], regions, Path(folder))
            try:
                lines = self._run(["--after", "hard-reset"], words, self._time_for(total), follow)
            except FlashHashError as error:
                if current is not None:
                    error.address, error.size_bytes = current.address, len(current.data)
                    error.message = f"{self.where}: {current.title}: {error.message}"
                raise
        if lines.count(_VERIFIED) != len(regions):
            raise self._not_understood(f"proved {lines.count(_VERIFIED)} of {len(regions)} regions", lines)
        return not any(_NOT_RESET in line or _WITHOUT_LINES in line for line in lines)

    def verify(self, regions: Sequence[EspRegion]) -> None:
        """Have the chip compute the MD5 of regions. Nothing is changed; the chip stays in its loader. Raises
        FlashHashError for the first that differs, with all that the class says."""
        for region in regions:
            with tempfile.TemporaryDirectory(prefix="particle-dev-") as folder:
                words = self._with_files("verify-flash", ["--flash-size", "keep"], [region], Path(folder))
                try:
                    lines = self._run(["--after", "no-reset"], words, self._time_for(len(region.data)))
                except FlashHashError as error:
                    error.address, error.size_bytes = region.address, len(region.data)
                    error.message = f"{self.where}: {region.title}: the chip holds something else"
                    error.hint = "give the file that was written, or write this one with `particle-dev esp flash`"
                    raise
            if not any(line.startswith(_MATCHES) for line in lines):
                raise self._not_understood(f"did not compare {region.title}", lines)

    def _with_files(self, command: str, options: list[str], regions: Sequence[EspRegion], folder: Path) -> list[str]:
        words = [command, *options]
        for number, region in enumerate(regions):
            file = folder / f"{number}.bin"
            file.write_bytes(region.data)
            words += [hex(region.address), str(file)]
        return words

    def _time_for(self, size_bytes: int) -> float:
        # Twice: what is read or written, and retries; erasing goes before.
        return CONNECT_TIMEOUT_S + 2 * size_bytes * 10 / self._baud + size_bytes / _SLOWEST_ERASE_BYTES_PER_S

    def _run(
        self, options: list[str], command: list[str], timeout_s: float, follow: Callable[[str], None] | None = None
    ) -> list[str]:
        """What esptool printed, line by line. Raises as the class says."""
        timeout_s = self._timeout_s or timeout_s
        environment = {name: value for name, value in os.environ.items() if not name.startswith("ESPTOOL_")}
        environment |= {"NO_COLOR": "1", "TERM": "dumb", "COLUMNS": "1000", "PYTHONIOENCODING": "utf-8"}
        esptool = [sys.executable, "-m", "esptool", *self._options, *options, *command]
        lines: list[str] = []
        with tempfile.TemporaryDirectory(prefix="particle-dev-") as folder:
            # A session of its own: Ctrl-C goes to this process, which ends it by closing its input.
            process = subprocess.Popen(
                ending_with_us(esptool),
                stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, cwd=folder, env=environment,
                encoding="utf-8", errors="replace", start_new_session=True,
            )  # fmt: skip
            assert process.stdin is not None and process.stdout is not None
            is_late = threading.Event()
            end = process.stdin

            def stop() -> None:
                is_late.set()
                end.close()

            alarm = threading.Timer(timeout_s, stop)
            alarm.daemon = True
            alarm.start()
            try:
                for raw in process.stdout:
                    line = raw.strip()
                    lines.append(line)
                    if follow:
                        follow(line)
                status = process.wait()
            finally:
                alarm.cancel()
                end.close()
                process.wait()
                process.stdout.close()
        if is_late.is_set():
            raise LinkTimeoutError(
                f"{self.where}: esptool took longer than {timeout_s:g} s for {command[0]}, and was ended",
                where=self.where,
                hint=f"try --no-stub, a lower --baud, or more time with --timeout; {_STRAPS}",
            )
        if status:
            raise self._translate(lines, command[0])
        return lines

    def _translate(self, lines: list[str], command: str) -> ParticleDevError:
        """The error that esptool's words mean."""
        text = "\n".join(lines)
        last = next((ln.removeprefix("ERROR: ") for ln in reversed(lines) if ln.startswith("ERROR:")), "")
        said = last.removeprefix("A fatal error occurred: ") or (lines[-1] if lines else "it said nothing")
        where = self.where
        if "Could not open" in text:
            return self._not_opened(text)
        if found := _WRONG_CHIP.search(text):
            return WrongDeviceError(
                f"{where}: the chip is an {found[1]}, not an {found[2]}",
                expected=found[2],
                actual=found[1],
                hint="check which port belongs to the board",
            )
        if found := _BOOT_MODE.search(text):
            return DeviceModeError(
                f"{where}: the chip started its application instead of its loader",
                expected="download mode",
                actual=f"boot mode {found[1]}",
                hint=_STRAPS,
            )
        if "Failed to connect" in text:
            return LinkTimeoutError(f"{where}: no ESP32 answers: {said}", where=where, hint=_STRAPS)
        if _DIFFERS.search(text):
            return FlashHashError(
                "the chip computes another MD5 than the file has",
                address=0,
                size_bytes=0,
                hint="write it again; if it stays so, that flash is worn out",
            )
        if found := _REFUSED.search(text):
            return LoaderRefusedError(
                f"{where}: the chip refused to {found[1]}: result {found[2]}",
                where=where,
                result=found[2],
                hint="reset the chip into its loader and run again; with --no-stub if it stays so",
            )
        if _LOST.search(text):
            return LinkDisconnectedError(
                f"{where}: the line to the ESP32 was lost during {command}: {said}",
                where=where,
                hint="plug it in again and run the same command: it begins anew",
            )
        return TransportError(f"{where}: esptool: {said}", where=where, hint="check the port and what it is given")

    def _not_opened(self, text: str) -> ParticleDevError:
        where = self.where
        if re.search(r"Permission denied|Errno 13", text):
            return LinkAccessError(f"{where}: access denied", where=where, hint="add your user to the group dialout")
        if re.search(r"exclusively lock|Errno (?:11|16)\b|Access is denied", text):
            holders = ", ".join(port_holders(where)) or "another program"
            return LinkAccessError(f"{where}: in use by {holders}", where=where, hint="close that program")
        return DeviceNotFoundError(f"{where} cannot be opened", selector=where, hint="check the port: is it there?")

    def _not_understood(self, what: str, lines: list[str]) -> TransportError:
        return TransportError(
            f"{self.where}: esptool {what}; its last words: {' | '.join(lines[-3:])}",
            where=self.where,
            hint="install the version that this program knows: pip install 'particle-dev[esp]'",
        )
