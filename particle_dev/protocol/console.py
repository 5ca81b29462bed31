"""Dialogues with the console that a device in listening mode has on its serial port, without I/O.

One key is one command, without a new line and without echo; lines that the console asks for are echoed. Answers have no
terminator: where their end cannot be recognised, a pause of :data:`SILENCE_S` ends them.

A dialogue is a generator that yields :class:`Send` and :class:`Receive` and gets bytes back, in pieces of any size.
Source: device-os v0.4.0 to v6.2.0 system/src/system_setup.cpp, wiring/src/spark_wiring_stream.cpp serialReadLine.
"""

from __future__ import annotations

import re
from collections.abc import Generator
from dataclasses import dataclass
from typing import TypeVar

from particle_dev.catalog.console import ConsoleKey
from particle_dev.errors import ConsoleProtocolError, LinkTimeoutError
from particle_dev.protocol.console_replies import ConsoleIdentity, Describe, parse_describe, parse_identity
from particle_dev.protocol.messages import decode_diagnostics
from particle_dev.protocol.messages_config import CLAIM_CODE_LENGTH
from particle_dev.protocol.messages_radio import WifiCredentials, WifiSecurity
from particle_dev.protocol.secret import Secret, redact

SILENCE_S = 0.25
ANSWER_TIMEOUT_S = 5.0
WIFI_TIMEOUT_S = 60.0
"""For the scan after the SSID and for saving."""
MAX_PASSWORD_BYTES = 64


@dataclass(frozen=True, slots=True)
class Send:
    """Write ``data``; answered by ``b""``. Its text form hides it: it may be a password."""

    data: bytes

    def __repr__(self) -> str:
        return f"Send({len(self.data)} bytes)"


@dataclass(frozen=True, slots=True)
class Receive:
    """Read; answered by what has arrived, ``b""`` when nothing came for ``timeout_s``."""

    timeout_s: float


ResultT = TypeVar("ResultT")
Dialogue = Generator[Send | Receive, bytes, ResultT]

_VERSION = re.compile(rb"system firmware version: (.*?)\n\r\n")
_MAC = re.compile(rb"Your device MAC address is\r\n((?:[0-9a-fA-F]{2}:){5}[0-9a-fA-F]{2})\r\n")
_CLAIMED = re.compile(rb"Device claimed: (yes|no)\r\n")
_JSON = re.compile(rb"(\{.*\})\r\n\Z", re.DOTALL)
_CLAIM_PROMPT = re.compile(rb"Enter 63-digit claim code: \Z")
_CLAIM_RESULT = re.compile(rb"(Claim code set to: .*|Sorry, claim code .*)\r\n")
_WIFI_STEP = re.compile(
    rb"(?:(?P<ssid>SSID: )|(?P<security>Security 0=[^:]*: )|(?P<cipher>Security Cipher [^:]*: )"
    rb"|(?P<password>Password: )|(?P<enterprise>EAP Type [^:]*: )|(?P<saved>Particle <3 you!\r\n\r\n)"
    rb"|(?P<failed>couldn't save the credentials\.\r\n\r\n))\Z"
)
_SECURITY_DIGITS = {
    WifiSecurity.NONE: "0",
    WifiSecurity.WEP: "1",
    WifiSecurity.WPA: "2",
    WifiSecurity.WPA2: "3",
    WifiSecurity.WPA_WPA2: "3",
    WifiSecurity.WPA3: "6",
    WifiSecurity.WPA2_WPA3: "3",
}
_AES = "1"


def identify() -> Dialogue[ConsoleIdentity]:
    """Device ID and, on newer firmware, **device secret**, serial number, IMEI and ICCID."""
    text = yield from _press(ConsoleKey.IDENTIFY, None)
    return parse_identity(text.decode("utf-8", "replace"))


def version() -> Dialogue[str]:
    """Device OS version; builds without wireless libraries add ``minimal``."""
    return (yield from _answer(ConsoleKey.VERSION, _VERSION)).strip()


def mac_address() -> Dialogue[str]:
    """MAC address as six pairs of lower-case hex digits; zeros on boards without one."""
    return (yield from _answer(ConsoleKey.MAC_ADDRESS, _MAC)).lower()


def is_claimed() -> Dialogue[bool]:
    """Whether the device believes to have an owner."""
    return (yield from _answer(ConsoleKey.CLAIMED, _CLAIMED)) == "yes"


def describe() -> Dialogue[Describe]:
    """Platform and modules."""
    return parse_describe((yield from _answer(ConsoleKey.DESCRIBE, _JSON)))


def diagnostics() -> Dialogue[dict[str, int]]:
    """Numeric diagnostics, the same as control request 100 gives."""
    return decode_diagnostics((yield from _answer(ConsoleKey.DIAGNOSTICS, _JSON)).encode())


def leave_listening() -> Dialogue[None]:
    """Leave listening mode. **The device connects if it wanted to before.** There is no answer."""
    yield Send(ConsoleKey.EXIT.encode())


def set_claim_code(code: Secret[str]) -> Dialogue[None]:
    """Store a claim code. Raises ValueError unless it is 63 printable ASCII characters, ConsoleProtocolError when the
    device does not take it."""
    line = _line_bytes(code, CLAIM_CODE_LENGTH, "claim code")
    if len(line) != CLAIM_CODE_LENGTH or not line.isascii():
        raise ValueError(f"a claim code has {CLAIM_CODE_LENGTH} ASCII characters, not {len(line)}")
    yield Send(ConsoleKey.CLAIM_CODE.encode())
    yield from _until(_CLAIM_PROMPT, ANSWER_TIMEOUT_S, code)
    rest = yield from _type_line(line, code)
    result = yield from _until(_CLAIM_RESULT, ANSWER_TIMEOUT_S, code, rest)
    if result[1] != b"Claim code set to: " + line:
        raise _unexpected("the device did not take the claim code", result[0], code)


def join_wifi(network: WifiCredentials) -> Dialogue[bool]:
    """Store Wi-Fi credentials through the dialogue of key ``w``. True: saved, **and the device leaves listening mode
    and goes online**. False: it could not save them and still listens.

    Raises ValueError for what cannot be typed, ConsoleProtocolError when the device asks for something that
    ``network`` does not hold, or a second time; the console then waits in the middle of the dialogue until a reset.
    """
    secret = network.password or Secret("")
    answers = {
        "ssid": _line_bytes(Secret(network.ssid), 32, "SSID"),
        "security": _SECURITY_DIGITS[network.security].encode(),
        "cipher": _AES.encode(),
    }
    if network.password:
        answers["password"] = _line_bytes(network.password, MAX_PASSWORD_BYTES, "password")
    yield Send(ConsoleKey.WIFI.encode())
    rest = b""
    while True:
        found = yield from _until(_WIFI_STEP, WIFI_TIMEOUT_S, secret, rest)
        step = found.lastgroup or ""
        if step in ("saved", "failed"):
            return step == "saved"
        if step not in answers:
            raise _unexpected(f"the device asks for '{step}' and there is no answer left", found[0], secret)
        rest = yield from _type_line(answers.pop(step), secret)


def _answer(key: ConsoleKey, pattern: re.Pattern[bytes]) -> Dialogue[str]:
    text = yield from _press(key, pattern)
    found = pattern.search(text)
    assert found is not None
    return found[1].decode("utf-8", "replace")


def _press(key: ConsoleKey, pattern: re.Pattern[bytes] | None) -> Dialogue[bytes]:
    """What a key brings: up to a match of ``pattern``, or without one up to a silence."""
    yield Send(key.encode())
    if pattern is not None:
        found = yield from _until(pattern, ANSWER_TIMEOUT_S, None)
        return found.string
    text, waited_s = b"", 0.0
    while True:
        piece = yield Receive(SILENCE_S)
        text += piece
        waited_s += 0 if piece else SILENCE_S
        if text and not piece:
            return text
        if waited_s >= ANSWER_TIMEOUT_S:
            raise _silent()


def _until(
    pattern: re.Pattern[bytes], timeout_s: float, secret: Secret[str] | None, text: bytes = b""
) -> Dialogue[re.Match[bytes]]:
    waited_s = 0.0
    while (found := pattern.search(text)) is None:
        piece = yield Receive(SILENCE_S)
        text += piece
        waited_s += 0 if piece else SILENCE_S
        if waited_s >= timeout_s:
            if not text:
                raise _silent()
            raise _unexpected("the console stopped in the middle of an answer", text, secret)
    return found


def _type_line(line: bytes, secret: Secret[str]) -> Dialogue[bytes]:
    """Type a line and take its echo. Returns what came after it: the next prompt must not be looked for in an echo,
    since an SSID may look like one. One carriage return ends a line; a line feed after it would answer the next one."""
    yield Send(line + b"\r")
    echo, text, waited_s = line + b"\r\n", b"", 0.0
    while len(text) < len(echo):
        piece = yield Receive(SILENCE_S)
        text += piece
        waited_s += 0 if piece else SILENCE_S
        if waited_s >= ANSWER_TIMEOUT_S:
            raise _unexpected("the console did not repeat what was typed", text, secret)
    if not text.startswith(echo):
        raise _unexpected("the console repeated something else than was typed", text, secret)
    return text[len(echo) :]


def _line_bytes(value: Secret[str], limit_bytes: int, name: str) -> bytes:
    line = value.reveal().encode()
    if not 0 < len(line) <= limit_bytes:
        raise ValueError(f"{name}: {len(line)} bytes; the console takes 1 to {limit_bytes}")
    if any(byte < 0x20 or byte == 0x7F for byte in line):
        raise ValueError(f"{name}: holds control characters, which the console takes as editing keys")
    return line


def _silent() -> LinkTimeoutError:
    return LinkTimeoutError(
        "the console does not answer",
        hint="the device must be in listening mode, and a protected device keeps its console closed",
    )


def _unexpected(message: str, text: bytes, secret: Secret[str] | None) -> ConsoleProtocolError:
    received = redact(text.decode("utf-8", "replace"), (secret,) if secret else ())
    return ConsoleProtocolError(message, received=received, hint="reset the device to get a fresh console")
