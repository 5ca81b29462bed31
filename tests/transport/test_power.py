"""Power switches. The programs are scripts of ours that print what uhubctl's and ykushcmd's sources print; relays are a
scripted serial line and a local HTTP server. That a real hub or relay switches is not proven here. The judge is uhubctl
itself, as Debian has it, for the options that it is given.
"""

import contextlib
import shutil
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest
from particle_harness.clock import VirtualClock

from particle_dev.errors import ConfigError, LinkUnreachableError, PowerSwitchError
from particle_dev.station.bench_power import slot_power
from particle_dev.station.usb_bench import open_bench
from particle_dev.transport.power import OperatorPower, ProvenPower
from particle_dev.transport.power_programs import UhubctlPower, YkushPower
from particle_dev.transport.power_relays import HttpRelayPower, SerialRelayPower

HUB = "[0424:2514, USB 2.00, 4 ports]"
BOARD = "[2b04:c00d Particle Boron e00fce68, power on]"


@pytest.fixture
def program(tmp_path):
    """Makes an executable that prints ``text`` and notes its arguments in ``calls``."""
    calls = tmp_path / "calls"

    def make(text, status=0):
        path = tmp_path / "program"
        path.write_text(f"#!/bin/sh\necho \"$@\" >> {calls}\ncat <<'END'\n{text}\nEND\nexit {status}\n")
        path.chmod(0o755)
        return str(path)

    make.calls = lambda: calls.read_text().splitlines()
    return make


def uhubctl_says(before, sent, after):
    return (
        f"Current status for hub 1-1.4 {HUB}\n  Port 2: {before}\nSent power {sent} request\n"
        f"New status for hub 1-1.4 {HUB}\n  Port 2: {after}"
    )


def test_uhubctl_switches(program):
    off = UhubctlPower(
        "1-1.4", 2, program=program(uhubctl_says(f"0103 power enable connect {BOARD}", "off", "0000 off"))
    )
    off.off()
    on = UhubctlPower("1-1.4", 2, program=program(uhubctl_says("0000 off", "on", "0100 power")))
    on.on()
    assert program.calls() == ["-l 1-1.4 -p 2 -a off", "-l 1-1.4 -p 2 -a on"]


@pytest.mark.parametrize(
    "said",
    [
        pytest.param(uhubctl_says("0103 power", "off", f"0103 power enable connect {BOARD}"), id="still on"),
        pytest.param(f"Current status for hub 1-1.4 {HUB}\n  Port 2: 0000 off", id="nothing was sent"),
        pytest.param(f"New status for hub 1-1.4 {HUB}\n  Port 3: 0000 off", id="another port"),
        pytest.param(
            uhubctl_says("0103 power", "off", "0000 off")
            + f"\nNew status for hub 2-1.4 {HUB}\n  Port 2: 0203 power U0",
            id="the USB 3 half is still on",
        ),
    ],
)
def test_what_uhubctl_does_not_confirm_is_an_error(program, said):
    with pytest.raises(PowerSwitchError, match="not off after uhubctl"):
        UhubctlPower("1-1.4", 2, program=program(said)).off()


def test_a_name_of_a_device_is_no_power(program):
    """The description of what is connected stands in the same line."""
    said = uhubctl_says("0103 power", "off", f"0001 connect {BOARD}")
    UhubctlPower("1-1.4", 2, program=program(said)).off()


def test_uhubctl_without_a_hub_says_why(program):
    with pytest.raises(PowerSwitchError, match="ended with 1: No compatible smart hubs detected") as caught:
        UhubctlPower("1-1", 2, program=program("No compatible smart hubs detected at location 1-1!", 1)).off()
    assert caught.value.fields() == {"where": "hub 1-1 port 2"}


@pytest.mark.parametrize(
    ("said", "reason", "hint"),
    [
        (
            "No compatible devices detected at location 1-1!\nRun with -h to get usage info.",
            "location 1-1!",
            "location",
        ),
        (
            "No compatible devices detected at location 1-1!\nRun with -h to get usage info.\n"
            "There were permission problems while accessing USB.\nFollow the README",
            "no rights on USB hubs",
            "udev rules",
        ),
    ],
)
def test_the_reason_of_uhubctl_is_not_its_last_line(program, said, reason, hint):
    with pytest.raises(PowerSwitchError) as caught:
        UhubctlPower("1-1", 2, program=program(said, 1)).off()
    assert reason in caught.value.message
    assert "usage info" not in caught.value.message
    assert hint in caught.value.hint


def test_a_program_that_is_missing_or_no_program(tmp_path):
    with pytest.raises(PowerSwitchError, match="there is no program") as caught:
        UhubctlPower("1-1", 2, program=str(tmp_path / "none")).off()
    assert caught.value.hint == "apt install uhubctl"
    (tmp_path / "plain").write_text("")
    with pytest.raises(PowerSwitchError, match="does not start: Permission denied"):
        UhubctlPower("1-1", 2, program=str(tmp_path / "plain")).off()


def test_uhubctl_itself_takes_these_options():
    assert shutil.which("uhubctl"), "make judge-packages installs it"
    with pytest.raises(PowerSwitchError) as caught:
        UhubctlPower("99-9", 2).off()
    assert "Invalid command line" not in str(caught.value)
    assert "detected at location 99-9" in str(caught.value)


@pytest.mark.parametrize(("model", "first"), [("ykush", "-s YK1"), ("ykush3", "ykush3 -s YK1")])
def test_ykush_switches(program, model, first):
    YkushPower("YK1", 3, model=model, program=program("\n\nDownstream port 3 is OFF\n")).off()
    assert program.calls() == [f"{first} -d 3", f"{first} -g 3"]


@pytest.mark.parametrize("said", ["Downstream port 3 is ON", "Downstream port 0 is OFF", "Unable to open device", ""])
def test_what_ykushcmd_does_not_confirm_is_an_error(program, said):
    """It ends with 0 and says that port 0 is off when it reaches no hub."""
    with pytest.raises(PowerSwitchError, match="not off"):
        YkushPower("YK1", 3, program=program(said)).off()


# ---- relays ---------------------------------------------------------------------------------------------------------


class ScriptedSerial:
    """A serial host with one line, which answers each command as told."""

    def __init__(self, answers):
        self.answers, self.sent, self.where, self.opened = dict(answers), [], "/dev/ttyX", 0
        self.waiting = b""

    def open(self, url, baud):
        assert (url, baud) == (self.where, 9600)
        self.opened += 1
        return self

    def write(self, data):
        self.sent.append(data)
        self.waiting = self.answers.get(data, b"")

    def read(self, timeout_s):
        first, self.waiting = self.waiting[:1], self.waiting[1:]
        return first

    def close(self):
        self.opened -= 1


def test_serial_relay():
    line = ScriptedSerial({b"on": b"\0noise ON\r\n"})
    relay = SerialRelayPower(line, "/dev/ttyX", 9600, on=b"on", off=b"off", answer_on=b"ON")
    relay.on()
    relay.off()
    assert (line.sent, line.opened) == ([b"on", b"off"], 0)


def test_a_serial_relay_that_answers_something_else():
    line = ScriptedSerial({b"on": b"OFF"})
    relay = SerialRelayPower(line, "/dev/ttyX", 9600, on=b"on", off=b"off", answer_on=b"ON\r")
    with pytest.raises(PowerSwitchError, match="answered 4f 46 46 to 6f 6e, not 4f 4e 0d"):
        relay.on()
    assert line.opened == 0


def test_a_serial_relay_that_goes_on_and_on():
    line = ScriptedSerial({})
    line.read = lambda _timeout_s: b"heartbeat"
    relay = SerialRelayPower(line, "/dev/ttyX", 9600, on=b"on", off=b"off", answer_on=b"ON\r")
    with pytest.raises(PowerSwitchError, match="answered 68 65 61 72 74") as error:
        relay.on()
    assert len(str(error.value)) < 400


@pytest.fixture
def http_relay():
    """(base URL, requests): answers as Tasmota does, /bad with 500."""
    requests = []

    class Relay(BaseHTTPRequestHandler):
        def do_GET(self):
            requests.append(self.path)
            wanted = {"/secret/On": "Basic YWRtaW46cDp3IA=="}
            if self.headers["Authorization"] != wanted.get(self.path):
                self.send_response(401)
                self.end_headers()
                return
            self.send_response(500 if "bad" in self.path else 200)
            self.end_headers()
            self.wfile.write(b'{"POWER":"%s"}' % (b"ON" if self.path.endswith("On") else b"OFF"))

        def log_message(self, *args):
            """Quiet."""

    server = HTTPServer(("127.0.0.1", 0), Relay)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}", requests
    server.shutdown()
    thread.join()
    server.server_close()


def test_http_relay(http_relay):
    base, requests = http_relay
    relay = HttpRelayPower(
        f"{base}/cm?cmnd=Power1%20On", f"{base}/cm?cmnd=Power1%20Off", answer_on='"ON"', answer_off='"OFF"'
    )
    relay.on()
    relay.off()
    assert [r.replace("+", "%20") for r in requests] == ["/cm?cmnd=Power1%20On", "/cm?cmnd=Power1%20Off"]


@pytest.mark.parametrize(("path", "answer"), [("/bad/On", ""), ("/x/On", '"OFF"')])
def test_an_http_relay_that_does_not_say_so(http_relay, path, answer):
    base, _ = http_relay
    with pytest.raises(PowerSwitchError, match=r"answered (500|200): "):
        HttpRelayPower(base + path, base, answer_on=answer).on()


def test_an_http_relay_with_a_password(http_relay):
    base, _ = http_relay
    path = "/secret/On"
    HttpRelayPower(base.replace("://", "://admin:p%3Aw%20@") + path, base).on()
    with pytest.raises(PowerSwitchError, match="answered 401") as error:
        HttpRelayPower(base.replace("://", "://admin:wrong@") + path, base).on()
    assert "wrong" not in str(error.value)


def test_an_http_relay_that_is_not_there():
    with pytest.raises(LinkUnreachableError):
        HttpRelayPower("http://127.0.0.1:9/on", "http://127.0.0.1:9/off").off()


# ---- proof ----------------------------------------------------------------------------------------------------------


class Switch:
    def __init__(self):
        self.calls = []

    def on(self):
        self.calls.append("on")

    def off(self):
        self.calls.append("off")


def test_off_is_believed_when_the_board_has_left():
    clock, seen = VirtualClock(), iter([True, True, False])
    switch = Switch()
    ProvenPower(switch, lambda: next(seen), clock, where="slot A").off()
    assert switch.calls == ["off"]
    assert clock.monotonic_s() == pytest.approx(0.2)


def test_a_hub_that_does_not_switch_is_found_out():
    with pytest.raises(PowerSwitchError, match="slot A: power is off, says the switch, and the board is still on USB"):
        ProvenPower(Switch(), lambda: True, VirtualClock(), where="slot A").off()


def test_the_operator_is_asked_once_and_the_bus_tells_when_it_was_done():
    clock, said = VirtualClock(), []
    there = lambda: clock.monotonic_s() < 7  # noqa: E731
    OperatorPower("A", there, clock, say=said.append).off()
    assert said == ["slot A: unplug the board, and its battery now"]
    assert 7 <= clock.monotonic_s() < 7.2
    OperatorPower("A", there, clock, say=said.append).off()
    assert len(said) == 1


def test_an_operator_who_is_not_there():
    said = []
    with pytest.raises(PowerSwitchError, match="nobody followed 'plug in the board' within 120 s"):
        OperatorPower("A", lambda: False, VirtualClock(), say=said.append).on()


# ---- bench file -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("table", "problem", "hint"),
    [
        ("uhubctl", "by 'nothing'", "one of operator, uhubctl"),
        ({"by": "uhubcl"}, "by 'uhubcl'", "without the key nothing is switched"),
        ({"by": "uhubctl", "hub": "1-1"}, "lacks 'port'", "a whole number from 1"),
        ({"by": "uhubctl", "hub": "1-1", "port": True}, "port = True", "a whole number from 1"),
        ({"by": "uhubctl", "hub": "1-1", "port": 10}, "takes no port 10", "1 to 9"),
        ({"by": "uhubctl", "hub": "1-1", "prot": 1}, "no key 'prot'", "did you mean 'port'"),
        ({"by": "ykush", "serial": "YK1", "port": 1, "model": "x"}, "model 'x'", "ykush3"),
        ({"by": "serial_relay", "port": "/dev/x", "baud": 9600, "on": "zz", "off": "00"}, "on = 'zz'", "hex"),
        ({"by": "http_relay", "on": "http://[x", "off": "http://x"}, r"on = 'http://\[x'", "begins with http"),
        ({"by": "http_relay", "on": "http://x", "off": "http://"}, "off = 'http://'", "begins with http"),
        ({"by": "http_relay", "on": "ftp://x", "off": "http://x"}, "on = 'ftp://x'", "begins with http"),
    ],
)
def test_bad_power_tables(table, problem, hint):
    with pytest.raises(ConfigError, match=problem) as caught:
        slot_power(table, "A", lambda: False, VirtualClock(), ScriptedSerial({}))
    assert hint in caught.value.hint
    assert caught.value.key == "power"


@pytest.mark.parametrize(
    "table",
    [
        {"by": "operator"},
        {"by": "uhubctl", "hub": "1-1.4", "port": 2},
        {"by": "ykush", "serial": "YK1", "port": 1, "model": "ykush3"},
        {"by": "serial_relay", "port": "/dev/ttyX", "baud": 9600, "on": "a0 01 01 a2", "off": "a0 01 00 a1"},
        {"by": "http_relay", "on": "http://relay/on", "off": "http://relay/off", "answer_on": "ON"},
    ],
    ids=lambda table: table["by"],
)
def test_slots_of_the_usb_bench_take_them(table):
    slot = {"name": "A", "port": "1-1.4.2", "battery": False, "power": table}
    bench = open_bench(options={}, slots=[slot, {"name": "B", "port": "1-2"}], state_dir=None, factory_modules=list)
    assert bench.slots[0].power is not None
    assert bench.slots[1].power is None


@pytest.mark.parametrize("battery", [None, True])
def test_what_a_battery_keeps_on_is_not_switched_by_usb(battery):
    slot = {"name": "A", "port": "1-2", "power": {"by": "operator"}, "battery": battery}
    slots = [{k: v for k, v in slot.items() if v is not None}]
    with pytest.raises(ConfigError, match="power without battery = false"):
        open_bench(options={}, slots=slots, state_dir=None, factory_modules=list)


def test_serial_relay_from_a_bench_file():
    line = ScriptedSerial({})
    keys = {"port": "/dev/ttyX", "baud": 9600, "on": "a0 01 01 a2", "off": "a0 01 00 a1"}
    slot_power({"by": "serial_relay", **keys}, "A", lambda: False, VirtualClock(), line).off()
    assert line.sent == [bytes.fromhex("a00100a1")]
    with contextlib.suppress(PowerSwitchError):
        slot_power({"by": "serial_relay", **keys}, "A", lambda: True, VirtualClock(), line).off()
    assert len(line.sent) == 2
