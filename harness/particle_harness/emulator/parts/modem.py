"""A stand-in for the radio beside the controller: a cellular modem, or the network processor of a Wi-Fi board.

It takes AT commands, multiplexed (3GPP TS 27.010) once it is asked to, says yes to all and finds no network. What the
firmware asks of it is kept: that is how one sees whether firmware wants to go on the air.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from typing import ClassVar, Protocol

from particle_harness.emulator.core.timeline import Timeline
from particle_harness.emulator.parts.multiplexer import Multiplexer

ANSWERS = {
    "AT+CGMM": "SARA-R410M-02B",
    "AT+CGSN": "355000000000001",
    "AT+CIMI": "310150000000001",
    "AT+CCID": "+CCID: 89340765000000000018",
    "AT+QCCID": "+QCCID: 89340765000000000018",
    "AT+CPIN?": "+CPIN: READY",
    "AT+CFUN?": "+CFUN: 0,0",
    "AT+UGPIOC?": "+UGPIOC:\r\n23,0",
    "AT+UGPIOR=23": "+UGPIOR: 23,1",
    "AT+COPS?": "+COPS: 0",
    'AT+QCFG="nwscanmode"': '+QCFG: "nwscanmode",3',
    'AT+QCFG="iotopmode"': '+QCFG: "iotopmode",0',
    "AT+CREG?": "+CREG: 2,0",
    "AT+CGREG?": "+CGREG: 2,0",
    "AT+CEREG?": "+CEREG: 2,0",
    "AT+CGMR": "L0.0.00.00.05.08",
}
"""Lines before OK, by command. Numbers are invented: the ICCID is nobody's."""
_NCP_VERSION, _NCP_MODULE_VERSION = "0.0.8", 7
"""What a virtual board's says."""
RADIO_REQUESTS = ("AT+CFUN=1,", "AT+COPS=0", "AT+COPS=1", "AT+CGACT=1", "ATD*99", "AT+CWJAP=")
"""Beginnings of commands that put the radio on the air or join a network; CFUN=16 only restarts the modem."""
_BEGINS = "AT"
"""What comes before it in a line is not heard: Device OS tries frames first. Source: ITU-T V.250, 5.2.1."""
_STARTS_MULTIPLEXER = "AT+CMUX="
_SWITCHES_OFF = ("AT+CPWROFF", "AT+QPOWD")
_THINKS_S = 0.005


def network_processor_answers(mac: bytes) -> Mapping[str, str]:
    """Of an ESP32 with that MAC address. Source: device-os v2.1.0
    hal/network/ncp_client/esp32/esp32_ncp_client.cpp."""
    return {
        "AT+CGMR": _NCP_VERSION,
        "AT+MVER": str(_NCP_MODULE_VERSION),
        "AT+GETMAC=0": f'+GETMAC: "{mac.hex(":")}"',
    }


class Line(Protocol):
    """The controller's end of a serial line."""

    def feed(self, data: bytes) -> None:
        """Bytes for the controller."""
        ...


class Pins(Protocol):
    """The controller's pins."""

    def drive(self, pin: int, level: bool | None) -> None:
        """Put a level on a pin."""
        ...


@dataclass(frozen=True, slots=True)
class ModemPins:
    """``power``: a pulse switches the modem on; ``enable``: it is on while that is high; ``sense``: shows that it is.
    With neither of the first two it is always on."""

    power: int | None = None
    power_pulse: bool = False
    """Level of the pulse."""
    sense: int | None = None
    sense_on: bool = True
    enable: int | None = None


@dataclass(frozen=True, slots=True)
class Asked:
    """One thing that firmware did to the modem, at a time since the chip was made."""

    at_s: float
    what: str


class AtModem:
    """Radio on ``line``; ``answers`` are its own, beside :data:`ANSWERS`. ``asked``: commands in order, and ``power
    on``."""

    unsaved: ClassVar[frozenset[str]] = frozenset({"own_answers"})

    def __init__(
        self, timeline: Timeline, line: Line, gpio: Pins, pins: ModemPins, answers: Mapping[str, str] | None = None
    ) -> None:
        self.timeline = timeline
        self.line = line
        self.gpio = gpio
        self.pins = pins
        self.own_answers = dict(answers or {})
        self.asked: list[Asked] = []
        self.on = pins.power is None
        self.buffers: dict[int, bytearray] = {}
        self.multiplexer = Multiplexer()
        self.multiplexed = False
        self.echoes = True
        self._show()

    @property
    def radio_requests(self) -> list[Asked]:
        """Those commands that put the radio on the air."""
        return [asked for asked in self.asked if asked.what.startswith(RADIO_REQUESTS)]

    def lose_power(self) -> None:
        """The board's supply went, or firmware has switched it off."""
        self.on = self.pins.power is None
        self.echoes = True
        self._forget()
        self._show()

    def _forget(self) -> None:
        self.buffers.clear()
        self.multiplexer = Multiplexer()
        self.multiplexed = False

    def _show(self) -> None:
        if self.pins.sense is not None:
            self.gpio.drive(self.pins.sense, self.on == self.pins.sense_on)

    def power_pin(self, level: bool) -> None:
        """The power pin has changed; the end of a pulse counts."""
        if level != self.pins.power_pulse and not self.on:
            self.on = True
            self._note("power on")
            self._show()

    def enable_pin(self, level: bool) -> None:
        """The enable pin has changed: what it was before it went off is forgotten."""
        if not level:
            self.lose_power()
        self.on = level

    def _note(self, what: str) -> None:
        self.asked.append(Asked(self.timeline.now_s, what))

    # ---- serial line ------------------------------------------------------------------------------------------------

    def receive(self, data: bytes) -> None:
        """The controller has sent this."""
        if not self.on:
            return
        if not self.multiplexed:
            self._take(0, data)
            return
        for channel, piece in self.multiplexer.take(data):
            self._take(channel, piece)
        if answer := self.multiplexer.answers():
            self._say(answer)
        if self.multiplexer.closed:
            self._forget()

    def _take(self, channel: int, data: bytes) -> None:
        buffer = self.buffers.setdefault(channel, bytearray())
        buffer += data
        while (end := min((at for mark in b"\r\n" if (at := buffer.find(mark)) >= 0), default=-1)) >= 0:
            line = bytes(buffer[:end]).decode("ascii", "replace")
            del buffer[: end + 1]
            start = line.find(_BEGINS)
            if start >= 0:
                self._obey(channel, line[start:].strip())

    def _obey(self, channel: int, command: str) -> None:
        self._note(command)
        answer = self.own_answers.get(command, ANSWERS.get(command))
        text = "\r\nOK\r\n" if answer is None else f"\r\n{answer}\r\n\r\nOK\r\n"
        if command.startswith("ATD"):
            text = "\r\nNO CARRIER\r\n"
        if self.echoes:
            text = f"{command}\r{text}"
        if command in ("ATE0", "ATE1"):
            self.echoes = command == "ATE1"
        self._answer(channel, text.encode())
        if command.startswith(_STARTS_MULTIPLEXER):
            self.timeline.after(self.timeline.cycles_of(_THINKS_S), self._start_multiplexer)
        elif command.startswith(_SWITCHES_OFF) and self.pins.power is not None:
            self.timeline.after(self.timeline.cycles_of(_THINKS_S), self.lose_power)

    def _start_multiplexer(self) -> None:
        self._forget()
        self.multiplexed = True

    def _answer(self, channel: int, data: bytes) -> None:
        self._say(self.multiplexer.frame(channel, data) if self.multiplexed else data)

    def _say(self, data: bytes) -> None:
        self.timeline.after(self.timeline.cycles_of(_THINKS_S), partial(self.line.feed, data))
