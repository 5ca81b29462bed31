"""The dialogue of listening mode, key by key, as each generation has it, and what a serial port says otherwise."""

import json

import pytest
from particle_harness.usb.transfer import GoneError, Setup

from particle_dev.device.console import ConsoleSession, open_serial_port, touch_into_listening
from particle_dev.device.control import ControlSession
from particle_dev.device.discovery import wait_for_device
from particle_dev.errors import DeviceModeError, LinkTimeoutError
from particle_dev.permissions import Permissions
from particle_dev.protocol.messages import DeviceMode
from particle_dev.protocol.messages_radio import WifiCredentials, WifiSecurity
from particle_dev.protocol.secret import Secret
from particle_dev.station.bench import open_bench

OPEN_PORT = Setup(0x21, 0x22, 1, 0, 0)


class Terminal:
    """Somebody with a terminal program."""

    def __init__(self, board, *, listening=True):
        self.board = board
        self.address = board.on_bus()[0]
        board.control(self.address, OPEN_PORT)
        if listening:
            board._system.set_listening(True)

    def read(self):
        self.board.clock.sleep(0.1)
        return self.board.serial_read(self.address, 100_000).decode()

    def type(self, text):
        self.board.serial_write(self.address, text.encode())
        return self.read()


@pytest.fixture
def terminal(make_board):
    def make(platform="boron", device_os="6.2.0", *, listening=True, **slot):
        return Terminal(make_board(platform, device_os=device_os, **slot), listening=listening)

    return make


def test_identity_of_gen3_holds_secret_and_serial_number(terminal):
    t = terminal("xenon", "1.5.2")
    board = t.board
    assert t.type("i") == (
        f"Device ID: {board.state.device_id}\r\n"
        f"Device Secret: {board._system.device_secret}\r\nSerial Number: {board._system.serial_number}\r\n"
    )


def test_identity_of_a_cellular_board_is_empty_until_the_modem_has_run(terminal):
    t = terminal("boron")
    assert "IMEI: \r\nICCID: \r\nCell Radio Version: \r\n" in t.type("i")
    ids = t.board._system.modem.power_on_and_identify()
    assert f"IMEI: {ids.imei}\r\nICCID: {ids.iccid}\r\n" in t.type("i")


@pytest.mark.parametrize(
    ("device_os", "text"),
    [("1.0.1", "Your device id is {id}\r\n"), ("3.3.1", "Device ID: {id}\r\nSerial Number: {sn}\r\n")],
)
def test_identity_of_a_photon(terminal, device_os, text):
    t = terminal("photon", device_os)
    assert t.type("i") == text.format(id=t.board.state.device_id, sn=t.board._system.serial_number)


def test_plain_keys(terminal):
    t = terminal("boron", "5.9.0")
    assert t.type("v") == "system firmware version: 5.9.0\n\r\n"
    assert t.type("c") == "Device claimed: no\r\n"
    assert t.type("m") == "Your device MAC address is\r\n00:00:00:00:00:00\r\n"
    assert t.type("q7?w") == ""  # no such keys; Wi-Fi set-up only where Wi-Fi connects
    assert json.loads(t.type("d"))["cloud:stat"] == 0


def test_mac_address_of_a_wifi_board(terminal):
    t = terminal("argon")
    mac = ":".join(f"{b:02x}" for b in t.board._system.mac_address)
    assert t.type("m") == f"Your device MAC address is\r\n{mac}\r\n"


@pytest.mark.parametrize(("platform", "device_os"), [("boron", "2.1.0"), ("tracker", "6.2.0"), ("photon", "3.3.1")])
def test_describe(terminal, platform, device_os):
    t = terminal(platform, device_os, factory_image=True)
    found = json.loads(t.type("s"))
    assert found["p"] == t.board.hardware.platform_id
    assert {("b", "m"), ("s", "m"), ("u", "m"), ("u", "f")} <= {(m["f"], m["l"]) for m in found["m"]}
    assert all(isinstance(m["n"], str) for m in found["m"])
    user = next(m for m in found["m"] if (m["f"], m["l"]) == ("u", "m"))
    assert len(user["u"]) == 64 and user["vc"] == user["vv"] == 30
    assert user["d"][0]["f"] == "s"
    assert all("u" not in m for m in found["m"] if m["f"] != "u")


@pytest.mark.parametrize(
    ("device_os", "rest"), [("5.9.0", ""), ("6.0.0", "\x18" * 4 + "Serial/YModem flashing is no longer supported\r\n")]
)
def test_ymodem(terminal, device_os, rest):
    assert terminal("boron", device_os).type("f") == (
        "Waiting for the binary file to be sent ... (press 'a' to abort)\r\n" + rest
    )


def test_claim_code_is_echoed_and_stored(terminal):
    t = terminal()
    assert t.type("C") == "Enter 63-digit claim code: "
    code = "".join(chr(ord("a") + n % 26) for n in range(63))
    assert t.type(code) == code
    assert t.type("\r") == f"\r\nClaim code set to: {code}\r\n"
    assert t.board.dct.read(1762, 63) == code.encode()


def test_short_claim_code_changes_nothing(terminal):
    t = terminal()
    t.type("C")
    assert t.type("abc\x7fd\x08\x08\x08\x08x\n").startswith("abc\x7fd\x08\x08\x08x\r\nSorry, claim code is not 63")
    assert t.board.dct.read(1762, 3) == b"\xff" * 3
    assert t.type("c") == "Device claimed: no\r\n"  # the console is back


def test_line_ends_at_the_first_character_too_many_and_the_rest_is_lost(terminal):
    t = terminal()
    t.type("C")
    assert t.type("z" * 63 + "Xcv") == "z" * 63 + f"\r\nClaim code set to: {'z' * 63}\r\n"
    assert t.type("v").startswith("system firmware version")


def answer_all(t, answers):
    prompts = [t.type("w")]
    for answer in answers:
        t.type(answer)
        prompts.append(t.type("\r").removeprefix("\r\n"))
    return prompts


def test_wifi_network_that_the_scan_finds(terminal):
    t = terminal("argon", "2.1.0")
    first, second, last = answer_all(t, ["Bench", "bench-password"])
    assert (first, second) == ("SSID: ", "Password: ")
    assert last.startswith("Thanks! Wait while I save those credentials...\r\n\r\nAwesome. Now we'll connect!")
    assert last.endswith("    Particle <3 you!\r\n\r\n")
    assert t.board.state.wifi_networks[0]["ssid"] == "Bench"
    assert not t.board.state.listening


@pytest.mark.parametrize(
    ("platform", "device_os", "security"),
    [
        ("argon", "2.1.0", "Security 0=unsecured, 1=WEP, 2=WPA, 3=WPA2: "),
        ("photon", "3.3.1", "Security 0=unsecured, 1=WEP, 2=WPA, 3=WPA2, 4=WPA Enterprise, 5=WPA2 Enterprise: "),
    ],
)
def test_wifi_network_that_no_scan_finds(terminal, platform, device_os, security):
    t = terminal(platform, device_os)
    cipher = "Security Cipher 1=AES, 2=TKIP, 3=AES+TKIP: "
    prompts = answer_all(t, ["", "Far away", "9", "3", "0", "1", "secret"])
    assert prompts[:-1] == ["SSID: ", "SSID: ", security, security, cipher, cipher, "Password: "]
    assert t.board.state.wifi_networks == [{"ssid": "Far away", "security": 3, "password": "secret", "hidden": False}]


@pytest.mark.parametrize(("device_os", "takes_wpa3"), [("4.0.0", False), ("5.9.0", True)])
def test_wpa3_came_later(terminal, device_os, takes_wpa3):
    t = terminal("argon", device_os)
    prompt = answer_all(t, ["Far away", "6"])[-1]
    assert prompt.startswith("Security Cipher" if takes_wpa3 else "Security 0=")


def test_open_network_needs_no_password(terminal):
    t = terminal("argon")
    assert answer_all(t, ["Visitors", "1"])[1].startswith("Security Cipher")
    assert t.board.state.wifi_networks[0]["password"] == ""


def test_leaving_and_safe_mode(terminal):
    t = terminal("boron", factory="online")
    t.type("x")
    assert not t.board.state.listening
    t.board._system.set_listening(True)
    with pytest.raises(GoneError):
        t.type("L")
    t.board.clock.sleep(2)
    t.board.advance()
    # On Gen 3 that safe mode forgets to listen, and connects.
    assert (t.board.state.listening, t.board.state.safe_mode) == (False, True)


def test_port_is_silent_outside_of_listening_mode_and_when_nobody_has_it_open(terminal, make_board):
    t = terminal("boron", "6.2.0", listening=False, factory="online")
    assert t.type("ivsd") == ""
    board = make_board("boron", application=["log"], factory="online")
    board.clock.sleep(40)
    board.advance()
    board.control(board.on_bus()[0], OPEN_PORT)
    assert board.serial_read(board.on_bus()[0], 1000) == b""


def test_application_with_a_log_handler_prints_lines_but_not_while_it_listens(terminal):
    t = terminal("boron", "6.2.0", listening=False, factory="online", application=["log"])
    t.board.clock.sleep(40)
    t.board.advance()
    lines = t.read().splitlines()
    assert lines[-1].endswith("[system] INFO: Cloud: connected")
    assert all(line[:10].isdigit() for line in lines)
    t.board._system.set_listening(True)
    t.board._system.application.log("app", "ERROR", "unheard")
    assert t.read() == ""


def test_log_handler_of_request_80_writes_json(terminal):
    t = terminal("boron", "6.2.0", listening=False, factory="online", application=["configurable_logging"])
    application = t.board._system.application
    command = {"cmd": "addHandler", "id": "j", "hnd": {"type": "JSONStreamLogHandler"}, "strm": {"type": "Serial"}}
    assert application.log_config(json.dumps({**command, "lvl": "warn"}).encode()) == (0, b"")
    application.log("app", "INFO", "too quiet")
    application.log("app", "ERROR", "heard")
    assert json.loads(t.read())["m"] == "heard"
    t.board.reset_pin()
    assert t.board.state.log_handlers == {}


# ---- the product's console on these boards --------------------------------------------------------------------------


@pytest.fixture
def product():
    opened = []

    def make(platform, device_os, **slot):
        bench = open_bench(
            "virtual",
            options={"clock": "virtual"},
            slots=[{"name": "1", "platform": platform, "device_os": device_os, **slot}],
            factory_modules=lambda _: [],
        )
        opened.append(bench)
        host = bench.slots[0].host
        return host, wait_for_device(host, "1-1", 10), bench.driver.board("1")

    yield make
    for bench in opened:
        bench.close()


@pytest.mark.parametrize(
    ("platform", "device_os"),
    [("boron", "2.1.0"), ("argon", "5.9.0"), ("photon", "1.0.1"), ("electron", "3.3.1"), ("p2", "5.9.0")],
)
def test_every_question_of_the_product_gets_its_answer(product, platform, device_os):
    host, device, board = product(platform, device_os)
    board._system.set_listening(True)
    with ConsoleSession(open_serial_port(host, device), Permissions(may_connect=True)) as console:
        assert console.identify().device_id == device.device_id
        assert console.version() == device_os
        assert console.mac_address().count(":") == 5
        assert console.describe().platform_id == board.hardware.platform_id
        assert console.diagnostics()["cloud:connatt"] == 0
        assert console.is_claimed() is False
        console.set_claim_code(Secret("c" * 63))
        assert board.dct.read(1762, 63) == b"c" * 63
        if board._system.has_wifi:
            assert console.join_wifi(WifiCredentials("Bench", WifiSecurity.WPA2, Secret("bench-password")))
        else:
            console.leave_listening()
    assert not board.state.listening


@pytest.mark.parametrize("device_os", ["2.1.0", "5.9.0", "6.0.0"])
def test_touch_into_listening_mode(product, device_os):
    host, device, board = product("boron", device_os, factory="online")
    if device_os == "6.0.0":
        with pytest.raises(DeviceModeError, match="ignores 28800 baud"):
            touch_into_listening(host, device, device_os)
        board.control(board.on_bus()[0], Setup(0x21, 0x20, 0, 0, 7), (28800).to_bytes(4, "little") + bytes([0, 0, 8]))
        assert not board.state.listening  # the board says so, too
        return
    touch_into_listening(host, device, device_os)
    with ControlSession(host, device) as session:
        assert session.device_mode() is DeviceMode.LISTENING


def test_protected_board_has_no_console(product):
    host, device, board = product("boron", "6.2.0", protected=True)
    board.state.listening = True
    with ConsoleSession(open_serial_port(host, device)) as console, pytest.raises(LinkTimeoutError):
        console.version()
