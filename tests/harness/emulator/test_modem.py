"""The radio's stand-in: AT commands, multiplexed when asked, and a list of what was asked."""

import pytest
from particle_harness.emulator.core.timeline import Timeline
from particle_harness.emulator.parts.modem import AtModem, ModemPins
from particle_harness.emulator.parts.multiplexer import Multiplexer

POWER, SENSE = 16, 2


class Wire:
    """The controller's end of the line and its pins."""

    def __init__(self):
        self.heard = bytearray()
        self.levels = {}

    def feed(self, data):
        self.heard += data

    def drive(self, pin, level):
        self.levels[pin] = level

    def take(self):
        heard = bytes(self.heard)
        self.heard.clear()
        return heard


@pytest.fixture
def timeline():
    return Timeline(1000)


@pytest.fixture
def wire():
    return Wire()


@pytest.fixture
def modem(timeline, wire):
    return AtModem(timeline, wire, wire, ModemPins(POWER, False, SENSE, True))


@pytest.fixture
def on(modem):
    modem.power_pin(False)
    modem.power_pin(True)
    return modem


def say(modem, timeline, wire, data):
    modem.receive(data)
    timeline.cycles += 10
    timeline.run_due()
    return wire.take()


def test_with_an_enable_pin_it_is_on_while_that_is_high_and_forgets_what_was_before(wire, timeline):
    radio = AtModem(timeline, wire, wire, ModemPins(enable=24))
    assert say(radio, timeline, wire, b"AT\r\n").endswith(b"OK\r\n")
    say(radio, timeline, wire, b"AT+CMUX=0\r\n")
    timeline.cycles += 10
    timeline.run_due()
    assert radio.multiplexed
    radio.enable_pin(False)
    assert say(radio, timeline, wire, b"AT\r\n") == b""
    radio.enable_pin(True)
    assert say(radio, timeline, wire, b"AT\r\n").endswith(b"OK\r\n")
    assert not radio.multiplexed


def test_it_is_switched_on_by_a_pulse_and_shows_it(modem, wire, timeline):
    assert wire.levels == {SENSE: False}
    assert say(modem, timeline, wire, b"AT\r\n") == b""
    modem.power_pin(False)
    assert not modem.on
    modem.power_pin(True)
    assert wire.levels == {SENSE: True}
    assert [asked.what for asked in modem.asked] == ["power on"]
    modem.lose_power()
    assert wire.levels == {SENSE: False}


def test_it_echoes_until_told_not_to_and_says_yes(on, wire, timeline):
    assert say(on, timeline, wire, b"AT\r\n") == b"AT\r\r\nOK\r\n"
    assert say(on, timeline, wire, b"ATE0\r") == b"ATE0\r\r\nOK\r\n"
    assert say(on, timeline, wire, b"AT+C") == b""
    assert say(on, timeline, wire, b"EREG?\r\n") == b"\r\n+CEREG: 2,0\r\n\r\nOK\r\n"
    assert say(on, timeline, wire, b"ATD*99***1#\r") == b"\r\nNO CARRIER\r\n"


def test_it_remembers_what_puts_the_radio_on_the_air(on, wire, timeline):
    for command in (b"AT+CFUN=16,0\r", b"AT+COPS=3,2\r", b"AT+CFUN=1,0\r", b"AT+COPS=0,2\r"):
        say(on, timeline, wire, command)
    assert [asked.what for asked in on.radio_requests] == ["AT+CFUN=1,0", "AT+COPS=0,2"]
    assert on.asked[-1].at_s == pytest.approx(0.03)


def test_commands_come_and_go_in_frames_once_it_multiplexes(on, wire, timeline):
    say(on, timeline, wire, b"ATE0\r")
    assert say(on, timeline, wire, b"AT+CMUX=0,0,,1509\r") == b"\r\nOK\r\n"
    # 3GPP TS 27.010: SABM with poll on channel 1, check byte included, is answered by UA.
    assert say(on, timeline, wire, bytes.fromhex("f9073f01def9")) == bytes.fromhex("f907730115f9")
    host = Multiplexer()
    answer = say(on, timeline, wire, host.frame(1, b"AT+CIMI\r"))
    assert host.take(answer) == [(1, b"\r\n310150000000001\r\n\r\nOK\r\n")]
    assert on.asked[-1].what == "AT+CIMI"


def test_a_multiplexer_takes_frames_in_pieces_and_skips_what_is_damaged():
    mux, other = Multiplexer(), Multiplexer()
    frames = other.frame(2, bytes(range(200)))
    damaged = bytearray(other.frame(1, b"lost"))
    damaged[4 + 4] ^= 1
    arrived = [piece for at in range(0, len(frames), 7) for piece in mux.take(frames[at : at + 7])]
    assert b"".join(data for channel, data in arrived if channel == 2) == bytes(range(200))
    assert mux.take(bytes(damaged)) == []
    assert mux.take(other.frame(1, b"kept")) == [(1, b"kept")]


def test_closing_the_control_channel_ends_it():
    mux = Multiplexer()
    mux.take(bytes.fromhex("f9033f011cf9"))
    assert mux.channels == {0}
    assert not mux.closed
    mux.take(bytes.fromhex("f9035301fdf9"))
    assert mux.closed


@pytest.mark.parametrize("command", [b"AT+CPWROFF\r\n", b"AT+QPOWD=1\r\n"])
def test_a_command_switches_it_off(on, wire, timeline, command):
    assert say(on, timeline, wire, command).endswith(b"\r\nOK\r\n")
    assert wire.levels == {SENSE: False}
    assert say(on, timeline, wire, b"AT\r\n") == b""
    on.power_pin(False)
    on.power_pin(True)
    assert say(on, timeline, wire, b"AT\r\n") == b"AT\r\r\nOK\r\n"


def test_one_that_is_always_on_stays_on(wire, timeline):
    modem = AtModem(timeline, wire, wire, ModemPins())
    say(modem, timeline, wire, b"AT+CPWROFF\r\n")
    assert say(modem, timeline, wire, b"AT\r\n") == b"AT\r\r\nOK\r\n"


def test_what_comes_before_a_command_in_its_line_is_not_heard(on, wire, timeline):
    assert say(on, timeline, wire, b"\xf9\xf9\x03\x3f\x01\x1c\xf9AT\r\n") == b"AT\r\r\nOK\r\n"
    assert say(on, timeline, wire, b"\xf9\xf9\r\n") == b""
    assert on.asked[-1].what == "AT"


def test_a_quectel_is_set_to_the_networks_that_firmware_wants(on, wire, timeline):
    answer = say(on, timeline, wire, b'AT+QCFG="nwscanmode"\r\n')
    assert answer.endswith(b'\r\n+QCFG: "nwscanmode",3\r\n\r\nOK\r\n')
