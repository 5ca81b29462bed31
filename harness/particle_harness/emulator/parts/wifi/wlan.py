"""What the firmware of a Wi-Fi chip says to its host: every request is taken, and no network is there.

A frame has a header with its length, sequence number, channel and credits (SDPCM). On channel 0 follows a control
request (CDC) with its number and data, on channel 1 come events, on channel 2 goes data, which is lost here.

Source: Linux drivers/net/wireless/broadcom/brcm80211/brcmfmac (sdio.c: headers; bcdc.c: requests; fweh.h, fweh.c:
events; fwil.h: numbers; fwil_types.h: structures).
"""

from __future__ import annotations

import struct
from functools import partial

from particle_harness.emulator.core.timeline import Timeline
from particle_harness.emulator.parts.modem import Asked
from particle_harness.emulator.parts.wifi.bcm43362 import Bcm43362

_CONTROL, _EVENT, _DATA = 0, 1, 2
_FRAME, _REQUEST = struct.Struct("<HHBBBBBBxx"), struct.Struct("<IIIi")
_FAILED = 1 << 0
_GET_VARIABLE, _SET_VARIABLE = 262, 263
NAMES = {
    2: "up", 3: "down", 20: "infrastructure", 22: "authentication", 23: "get BSSID", 26: "SSID", 30: "channel",
    50: "scan", 52: "disassociate", 118: "access point", 127: "get RSSI", 136: "get BSS", 268: "key",
}  # fmt: skip
"""Requests by number. Others are noted by it."""
_SSID = 26
_OF_AN_ASSOCIATION = (23, 127, 136)
"""Requests that fail without one."""
RADIO_REQUESTS = ("SSID ", "set join ")
"""Beginnings of what joins a network."""
_NOT_ASSOCIATED = -17
_ACCESS_POINT = 1
"""Number of that interface."""
_EVENT_SET_SSID, _EVENT_LINK, _EVENT_ESCAN_RESULT = 0, 16, 69
_STATUS_SUCCESS, _STATUS_NO_NETWORKS = 0, 3
_LINK_IS_UP = 1
_BROADCOM_ETHERTYPE = 0x886C
_EVENT_ETHERNET = struct.Struct(">6s6sH HHB3sH HHIIIII6s16sBB")
_BROADCOM = b"\x00\x10\x18"
_CREDITS = 4
"""Frames that the host may send beyond the last one that came."""
_THINKS_S, _SCAN_S, _SEARCH_S = 0.0002, 0.3, 1.0
VERSION = "wl0: no firmware: a stand-in that finds no network"


class Wlan:
    """The firmware. ``address``: its MAC address. ``asked``: what the host wanted, in order."""

    def __init__(self, timeline: Timeline, chip: Bcm43362, address: bytes) -> None:
        self._timeline = timeline
        self._chip = chip
        self.address = address
        self.asked: list[Asked] = []
        chip.on_start = self._start
        chip.on_frame = self.take
        self.boots = 0
        self._forget()

    def _start(self) -> None:
        self.boots += 1
        self._forget()

    def _forget(self) -> None:
        self.sequence = self.credit = 0
        self.variables: dict[str, bytes] = {}
        """What was set, by name."""
        self.access_point_is_up = False

    @property
    def radio_requests(self) -> list[Asked]:
        """Those requests that join a network."""
        return [asked for asked in self.asked if asked.what.startswith(RADIO_REQUESTS)]

    def _note(self, what: str) -> None:
        self.asked.append(Asked(self._timeline.now_s, what))

    # ---- frames -----------------------------------------------------------------------------------------------------

    def take(self, data: bytes) -> None:
        """A frame of the host, padded at its end."""
        if len(data) < _FRAME.size:
            return
        length, inverse, sequence, channel, _next, header_length, _flow, _credit = _FRAME.unpack_from(data)
        if length ^ inverse != 0xFFFF or not _FRAME.size <= header_length <= length <= len(data):
            return
        self.credit = (sequence + 1 + _CREDITS) & 0xFF
        payload = data[header_length:length]
        if channel & 0xF == _CONTROL and len(payload) >= _REQUEST.size:
            self._answer(payload)
        elif channel & 0xF == _DATA:
            # A frame with nothing but a header returns the credit.
            self._say(_CONTROL, b"", _THINKS_S)

    def _say(self, channel: int, payload: bytes, after_s: float) -> None:
        self._timeline.after(self._timeline.cycles_of(after_s), partial(self._push, self.boots, channel, payload))

    def _push(self, boot: int, channel: int, payload: bytes) -> None:
        if boot != self.boots or not self._chip.running:
            return
        length = _FRAME.size + len(payload)
        header = _FRAME.pack(length, length ^ 0xFFFF, self.sequence, channel, 0, _FRAME.size, 0, self.credit)
        self.sequence = (self.sequence + 1) & 0xFF
        self._chip.push(header + payload)

    # ---- requests ---------------------------------------------------------------------------------------------------

    def _answer(self, payload: bytes) -> None:
        number, lengths, flags, _status = _REQUEST.unpack_from(payload)
        body, wanted = payload[_REQUEST.size :], lengths & 0xFFFF
        status, data = 0, b""
        if number == _GET_VARIABLE:
            data = self._get(*_named(body))
        elif number == _SET_VARIABLE:
            self._set(*_named(body))
        else:
            status = self._control(number, body)
        flags = flags | _FAILED if status else flags & ~_FAILED
        self._say(
            _CONTROL, _REQUEST.pack(number, lengths, flags, status) + data[:wanted].ljust(wanted, b"\0"), _THINKS_S
        )

    def _control(self, number: int, body: bytes) -> int:
        name = NAMES.get(number, f"request {number}")
        if number == _SSID:
            self._note(f"{name} {_ssid(body)}")
            self._event(_EVENT_SET_SSID, _STATUS_NO_NETWORKS, _SEARCH_S)
        else:
            self._note(name)
        return _NOT_ASSOCIATED if number in _OF_AN_ASSOCIATION else 0

    def _get(self, name: str, arguments: bytes) -> bytes:
        self._note(f"get {name}")
        if name == "cur_etheraddr":
            return self.address
        if name == "ver":
            return VERSION.encode() + b"\0"
        if name == "bss":
            up = self.access_point_is_up and arguments[:1] == bytes([_ACCESS_POINT])
            return struct.pack("<I", up)
        return self.variables.get(name, b"")

    def _set(self, name: str, value: bytes) -> None:
        ssid = {"join": value, "bsscfg:ssid": value[4:]}.get(name)
        self._note(f"set {name}" if ssid is None else f"set {name} {_ssid(ssid)}")
        self.variables[name] = value
        if name == "join":
            self._event(_EVENT_SET_SSID, _STATUS_NO_NETWORKS, _SEARCH_S)
        elif name == "escan":
            self._event(_EVENT_ESCAN_RESULT, _STATUS_SUCCESS, _SCAN_S)
        elif name == "bss" and len(value) >= 8:
            interface, up = struct.unpack_from("<II", value)
            if interface == _ACCESS_POINT:
                self.access_point_is_up = bool(up)
                flags = _LINK_IS_UP if up else 0
                self._event(_EVENT_LINK, _STATUS_SUCCESS, _SCAN_S, flags=flags, interface=_ACCESS_POINT)

    # ---- events -----------------------------------------------------------------------------------------------------

    def _event(self, kind: int, status: int, after_s: float, *, flags: int = 0, interface: int = 0) -> None:
        ethernet = _EVENT_ETHERNET.pack(
            self.address, self.address, _BROADCOM_ETHERTYPE, 0x8001, 0, 0, _BROADCOM, 1,
            2, flags, kind, status, 0, 0, 0, self.address, b"wl0", interface, interface,
        )  # fmt: skip
        # Before it stands a header of four bytes, for the interface and priority of data.
        self._say(_EVENT, struct.pack("<BBBB", 0x20, 0, interface, 0) + ethernet, after_s)


def _named(body: bytes) -> tuple[str, bytes]:
    name, _, value = body.partition(b"\0")
    return name.decode("ascii", "replace"), value


def _ssid(value: bytes) -> str:
    length = int.from_bytes(value[:4], "little")
    return value[4 : 4 + min(length, 32)].decode("utf-8", "replace")
