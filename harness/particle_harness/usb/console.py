"""The dialogue on the serial port while a board listens: one key, one command; lines that it asks for are echoed.

Source: device-os v0.6.0 to v6.2.0 system/src/system_setup.cpp SystemSetupConsole and WiFiSetupConsole,
wiring/src/spark_wiring_stream.cpp serialReadLine; hal/network/ncp/wifi/wlan_hal.cpp (ciphers of a scan). Left out: what
WPA Enterprise asks for, and YModem (key ``f`` before 6.0.0 waits for a file that nobody takes).
"""

from __future__ import annotations

import json
from collections.abc import Callable, Generator

from particle_harness.running import BoardSystem

Dialogue = Generator[int, str, None]
"""Yields the length of the longest line it wants, and gets that line."""

_CLAIM_CODE_LENGTH, _MAX_SSID, _MAX_PASSWORD = 63, 32, 64
_NONE, _WPA = 0, (2, 3, 6)
_WITHOUT_YMODEM, _FIRST_WITH_WPA3 = 6000, 5500
_BACKSPACE, _DELETE = 8, 127
_SAVED = (
    "Awesome. Now we'll connect!\r\n\r\n"
    "If you see a pulsing cyan light, your device \r\n"
    "has connected to the Cloud and is ready to go!\r\n\r\n"
    "If your LED flashes red or you encounter any other problems,\r\n"
    "visit https://www.particle.io/support to debug.\r\n\r\n"
    "    Particle <3 you!\r\n\r\n"
)


class ListeningConsole:
    """``write`` puts text into the serial port; ``reset_now(into)`` resets without any delay."""

    def __init__(self, system: BoardSystem, write: Callable[[str], None], reset_now: Callable[[str], None]) -> None:
        self._system = system
        self._write = write
        self._reset_now = reset_now
        self._dialogue: Dialogue | None = None
        self._line = bytearray()
        self._max_line = 0
        self._keys: dict[str, Callable[[], None]] = {
            "i": self._identify,
            "m": self._mac_address,
            "v": lambda: write(f"system firmware version: {system.device_os}\n\r\n"),
            "s": lambda: write(f"{system.describe()}\r\n"),
            "c": lambda: write(f"Device claimed: {'yes' if system.claimed else 'no'}\r\n"),
            "C": lambda: self._begin(self._ask_claim_code()),
            "d": self._diagnostics,
            "f": self._ymodem,
            "x": lambda: system.set_listening(False),
            "L": self._safe_mode,
        }
        if system.has_wifi:
            self._keys["w"] = lambda: self._begin(self._ask_wifi())

    def type(self, data: bytes) -> None:
        """Bytes that arrive together. What follows the end of a line among them is thrown away, as by the device."""
        for byte in data:
            if self._dialogue is None:
                key = self._keys.get(chr(byte))
                if key and self._system.listening:
                    key()
            elif self._take(byte):
                return

    def _take(self, byte: int) -> bool:
        """One byte of a line; whether it ended the line. A byte too many ends it and is lost."""
        if byte in b"\r\n" or len(self._line) == self._max_line:
            line, self._line = self._line.decode("utf-8", "replace"), bytearray()
            self._write("\r\n")
            self._resume(line)
            return True
        if byte not in (_BACKSPACE, _DELETE):
            self._line.append(byte)
        elif self._line:
            self._line.pop()
        else:
            return False
        self._write(chr(byte))
        return False

    def _begin(self, dialogue: Dialogue) -> None:
        self._dialogue = dialogue
        self._max_line = next(dialogue)

    def _resume(self, line: str) -> None:
        assert self._dialogue is not None
        try:
            self._max_line = self._dialogue.send(line)
        except StopIteration:
            self._dialogue = None

    def _identify(self) -> None:
        system = self._system
        lines = system.properties()
        if not lines:
            self._write(f"Your device id is {system.device_id}\r\n")
            return
        named = {"ms": "Device Secret", "sn": "Serial Number", "imei": "IMEI", "iccid": "ICCID"}
        named["cellfw"] = "Cell Radio Version"
        text = "".join(f"{named[key]}: {value}\r\n" for key, value in lines.items())
        self._write(f"Device ID: {system.device_id}\r\n{text}")

    def _mac_address(self) -> None:
        address = ":".join(f"{byte:02x}" for byte in self._system.mac_address)
        self._write(f"Your device MAC address is\r\n{address}\r\n")

    def _diagnostics(self) -> None:
        self._write(json.dumps(dict(self._system.diagnostics()), separators=(",", ":")) + "\r\n")

    def _ymodem(self) -> None:
        self._write("Waiting for the binary file to be sent ... (press 'a' to abort)\r\n")
        if self._system.version >= _WITHOUT_YMODEM:
            self._write("\x18\x18\x18\x18Serial/YModem flashing is no longer supported\r\n")

    def _safe_mode(self) -> None:
        self._system.set_listen_at_next_boot(True)
        self._reset_now("safe_mode")

    def _ask_claim_code(self) -> Dialogue:
        self._write("Enter 63-digit claim code: ")
        code = yield _CLAIM_CODE_LENGTH
        if len(code) == _CLAIM_CODE_LENGTH:
            self._system.set_claim_code(code.encode())
            self._write(f"Claim code set to: {code}\r\n")
        else:
            self._write("Sorry, claim code is not 63 characters long. Claim code unchanged.\r\n")

    def _ask_wifi(self) -> Dialogue:
        ssid = ""
        while not ssid:
            self._write("SSID: ")
            ssid = yield _MAX_SSID
        found = next((point for point in self._system.wifi.scan() if point.ssid == ssid), None)
        security = found.security if found else (yield from self._ask_digit(*self._security_prompt()))
        # A scan tells the cipher of WPA networks only.
        if not (found and security in _WPA):
            yield from self._ask_digit("Security Cipher 1=AES, 2=TKIP, 3=AES+TKIP: ", "123")
        password = ""
        if security != _NONE:
            self._write("Password: ")
            password = yield _MAX_PASSWORD
        self._write("Thanks! Wait while I save those credentials...\r\n\r\n")
        network = {"ssid": ssid, "security": security, "password": password, "hidden": False}
        if self._system.wifi.store(network) == 0:
            self._write(_SAVED)
            self._system.set_listening(False)
        else:
            self._write("Derp. Sorry, we couldn't save the credentials.\r\n\r\n")

    def _security_prompt(self) -> tuple[str, str]:
        prompt = "Security 0=unsecured, 1=WEP, 2=WPA, 3=WPA2"
        if self._system.hardware.is_gen2:
            # Digits of WPA Enterprise are taken, too, by a device; the questions that follow are left out here.
            return f"{prompt}, 4=WPA Enterprise, 5=WPA2 Enterprise: ", "0123"
        return f"{prompt}: ", "01236" if self._system.version >= _FIRST_WITH_WPA3 else "0123"

    def _ask_digit(self, prompt: str, allowed: str) -> Generator[int, str, int]:
        while True:
            self._write(prompt)
            answer = yield 1
            if answer and answer in allowed:
                return int(answer)
