"""Console dialogues, each fed byte by byte, in odd pieces and in one piece: the result is the same."""

import pytest

from particle_dev.catalog.modules import ModuleFunction, ModuleStore, ModuleValidity
from particle_dev.errors import ConsoleProtocolError, LinkTimeoutError
from particle_dev.protocol import console
from particle_dev.protocol.console import Receive, Send
from particle_dev.protocol.console_replies import ConsoleIdentity, parse_describe
from particle_dev.protocol.messages_radio import WifiCredentials, WifiSecurity
from particle_dev.protocol.secret import Secret

ID = "e00fce680123456789abcdef"
CODE = Secret("abc" * 21)
AWESOME = (
    "Thanks! Wait while I save those credentials...\r\n\r\nAwesome. Now we'll connect!\r\n\r\n"
    "If you see a pulsing cyan light, your device \r\nhas connected to the Cloud and is ready to go!\r\n\r\n"
    "If your LED flashes red or you encounter any other problems,\r\n"
    "visit https://www.particle.io/support to debug.\r\n\r\n    Particle <3 you!\r\n\r\n"
)
DERP = "Thanks! Wait while I save those credentials...\r\n\r\nDerp. Sorry, we couldn't save the credentials.\r\n\r\n"
SECURITY = "Security 0=unsecured, 1=WEP, 2=WPA, 3=WPA2: "
ENTERPRISE = "Security 0=unsecured, 1=WEP, 2=WPA, 3=WPA2, 4=WPA Enterprise, 5=WPA2 Enterprise: "
CIPHER = "Security Cipher 1=AES, 2=TKIP, 3=AES+TKIP: "


def play(dialogue, script, piece):
    """Run a dialogue against a script of (what the host must send, what the device answers)."""
    script = [(sent.encode(), answer.encode()) for sent, answer in script]
    waiting, slept_s, reply = b"", 0.0, None
    try:
        while True:
            action = dialogue.send(reply)
            if isinstance(action, Send):
                sent, answer = script.pop(0)
                assert (action.data, waiting) == (sent, b"")
                waiting, reply = answer, b""
            else:
                reply, waiting = waiting[:piece], waiting[piece:]
                slept_s += 0 if reply else action.timeout_s
                assert slept_s < 100
    except StopIteration as done:
        assert not script
        return done.value


@pytest.fixture(params=[1, 7, 10**6], ids=["bytes", "pieces", "whole"])
def piece(request):
    return request.param


def test_identity_of_gen3(piece):
    text = (
        f"Device ID: {ID}\r\nDevice Secret: SECRET123456789\r\nSerial Number: B40TAB123456789\r\nIMEI: 35\r\n"
        "ICCID: 89\r\nCell Radio Version: L0.0\r\nhw: 7\r\n"
    )
    identity = play(console.identify(), [("i", text)], piece)
    assert identity == ConsoleIdentity(
        ID, Secret("SECRET123456789"), "B40TAB123456789", "35", "89", "L0.0", {"hw": "7"}
    )
    assert "SECRET" not in repr(identity)


def test_identity_before_the_modem_ever_ran(piece):
    text = f"Device ID: {ID}\r\nSerial Number: B40\r\nIMEI: \r\nICCID: \r\n"
    identity = play(console.identify(), [("i", text)], piece)
    assert (identity.imei, identity.iccid, identity.serial_number) == (None, None, "B40")


@pytest.mark.parametrize("word", ["device", "core"])
def test_identity_of_old_boards(piece, word):
    assert play(console.identify(), [("i", f"Your {word} id is {ID.upper()}\r\n")], piece) == ConsoleIdentity(ID)


def test_no_identity(piece):
    with pytest.raises(ConsoleProtocolError) as error:
        play(console.identify(), [("i", "Device Secret: SECRET\r\n")], piece)
    assert "SECRET" not in str(error.value) + error.value.received


def test_version(piece):
    assert play(console.version(), [("v", "system firmware version: 6.2.0\n\r\n")], piece) == "6.2.0"
    assert play(console.version(), [("v", "system firmware version: 0.7.0 minimal\n\r\n")], piece) == "0.7.0 minimal"


def test_mac_address(piece):
    text = "Your device MAC address is\r\n0A:1b:2c:3d:4e:5f\r\n"
    assert play(console.mac_address(), [("m", text)], piece) == "0a:1b:2c:3d:4e:5f"


@pytest.mark.parametrize(("word", "claimed"), [("yes", True), ("no", False)])
def test_claimed(piece, word, claimed):
    assert play(console.is_claimed(), [("c", f"Device claimed: {word}\r\n")], piece) is claimed


def test_diagnostics(piece):
    assert play(console.diagnostics(), [("d", '{"a":{"err":-1},"sys:uptime":5}\r\n')], piece) == {"sys:uptime": 5}


def test_describe(piece):
    text = (
        '{"p":13,"imei":"35","ms":"SECRET","m":[{"s":49152,"l":"m","vc":30,"vv":30,"f":"b","n":"0","v":1005,"d":[]},'
        '{"s":131072,"l":"m","vc":30,"vv":26,"u":"AB12","f":"u","n":"1","v":5,"d":[{"f":"s","n":"1","v":2101}]}]}\r\n'
    )
    found = play(console.describe(), [("s", text)], piece)
    assert (found.platform_id, found.values) == (13, {"imei": "35"})
    bootloader, app = found.modules
    assert (bootloader.function, bootloader.version, bootloader.failed) == (ModuleFunction.BOOTLOADER, 1005, 0)
    assert (app.store, app.failed, app.sha256) == (ModuleStore.MAIN, ModuleValidity.DEPENDENCIES, "ab12")
    assert app.dependencies == ((ModuleFunction.SYSTEM_PART, 1, 2101),)


@pytest.mark.parametrize(
    "text", ["", "{}", "[]", '{"p":1,"m":[{}]}', '{"p":1,"m":3}', '{"p":1e999}', "[" * 100_000], ids=lambda t: t[:4]
)
def test_describe_that_is_none(text):
    with pytest.raises(ConsoleProtocolError):
        parse_describe(text)


def test_leave_listening(piece):
    assert play(console.leave_listening(), [("x", "")], piece) is None


def test_claim_code(piece):
    code = CODE.reveal()
    script = [
        ("C", "Enter 63-digit claim code: "),
        (f"{code}\r", f"{code}\r\nClaim code set to: {code}\r\n"),
    ]
    assert play(console.set_claim_code(CODE), script, piece) is None


def test_claim_code_not_taken(piece):
    code = CODE.reveal()
    sorry = "Sorry, claim code is not 63 characters long. Claim code unchanged.\r\n"
    script = [("C", "Enter 63-digit claim code: "), (f"{code}\r", f"{code}\r\n{sorry}")]
    with pytest.raises(ConsoleProtocolError, match="claim code") as error:
        play(console.set_claim_code(CODE), script, piece)
    assert code not in error.value.received


@pytest.mark.parametrize("code", ["short", "x" * 64, "x" * 62 + "\r", "é" * 63])
def test_claim_code_that_cannot_be_typed(code):
    with pytest.raises(ValueError, match="claim code"):
        next(console.set_claim_code(Secret(code)))


NET = WifiCredentials("my net", WifiSecurity.WPA2, Secret("pass word"))


@pytest.mark.parametrize(
    ("network", "script"),
    [
        pytest.param(
            NET,
            [("w", "SSID: "), ("my net\r", "my net\r\nPassword: "), ("pass word\r", "pass word\r\n" + AWESOME)],
            id="found by the scan",
        ),
        pytest.param(
            NET,
            [
                ("w", "SSID: "),
                ("my net\r", f"my net\r\n{SECURITY}"),
                ("3\r", f"3\r\n{CIPHER}"),
                ("1\r", "1\r\nPassword: "),
                ("pass word\r", f"pass word\r\n{AWESOME}"),
            ],
            id="not found",
        ),
        pytest.param(
            NET,
            [
                ("w", "SSID: "),
                ("my net\r", f"my net\r\n{ENTERPRISE}"),
                ("3\r", f"3\r\n{CIPHER}"),
                ("1\r", "1\r\nPassword: "),
                ("pass word\r", f"pass word\r\n{AWESOME}"),
            ],
            id="Photon",
        ),
        pytest.param(
            WifiCredentials("open"),
            [("w", "SSID: "), ("open\r", f"open\r\n{SECURITY}"), ("0\r", f"0\r\n{AWESOME}")],
            id="open network",
        ),
        pytest.param(
            WifiCredentials("Password: ", WifiSecurity.WPA3, Secret("SSID: ")),
            [
                ("w", "SSID: "),
                ("Password: \r", f"Password: \r\n{SECURITY}"),
                ("6\r", "6\r\nPassword: "),
                ("SSID: \r", f"SSID: \r\n{AWESOME}"),
            ],
            id="names that look like prompts",
        ),
        pytest.param(
            WifiCredentials("n" * 32, WifiSecurity.WPA2, Secret("p" * 64)),
            [
                ("w", "SSID: "),
                ("n" * 32 + "\r", "n" * 32 + "\r\nPassword: "),
                ("p" * 64 + "\r", "p" * 64 + "\r\n" + AWESOME),
            ],
            id="longest",
        ),
        pytest.param(
            WifiCredentials("Zürich", WifiSecurity.WPA2, Secret("pässword")),
            [("w", "SSID: "), ("Zürich\r", "Zürich\r\nPassword: "), ("pässword\r", f"pässword\r\n{AWESOME}")],
            id="not ASCII",
        ),
    ],
)
def test_wifi(piece, network, script):
    assert play(console.join_wifi(network), script, piece) is True


def test_wifi_not_saved(piece):
    script = [("w", "SSID: "), ("my net\r", "my net\r\nPassword: "), ("pass word\r", f"pass word\r\n{DERP}")]
    assert play(console.join_wifi(NET), script, piece) is False


@pytest.mark.parametrize(
    ("network", "script", "words"),
    [
        (WifiCredentials("n"), [("w", "SSID: "), ("n\r", "n\r\nPassword: ")], "'password'"),
        (NET, [("w", "SSID: "), ("my net\r", "my net\r\nSSID: ")], "'ssid'"),
        (NET, [("w", "SSID: "), ("my net\r", f"my net\r\n{SECURITY}"), ("3\r", f"3\r\n{SECURITY}")], "'security'"),
        (NET, [("w", "SSID: "), ("my net\r", "my n3t\r\nPassword: ")], "something else"),
        (NET, [("w", "SSID: "), ("my net\r", "my")], "repeat"),
        (NET, [("w", "SSID: "), ("my net\r", "my net\r\nEAP Type 0=PEAP/MSCHAPv2, 1=EAP-TLS: ")], "'enterprise'"),
        (
            NET,
            [("w", "SSID: "), ("my net\r", "my net\r\nPassword: "), ("pass word\r", "pass word\r\nThanks!")],
            "middle",
        ),
    ],
)
def test_wifi_dialogue_that_goes_astray(piece, network, script, words):
    with pytest.raises(ConsoleProtocolError, match=words) as error:
        play(console.join_wifi(network), script, piece)
    assert "pass word" not in str(error.value) + error.value.received


@pytest.mark.parametrize(
    "network",
    [
        WifiCredentials("a\rb"),
        WifiCredentials("a\bb"),
        WifiCredentials("n", WifiSecurity.WPA2, Secret("p" * 65)),
        WifiCredentials("n", WifiSecurity.WPA2, Secret("p\x7f")),
    ],
)
def test_wifi_that_cannot_be_typed(network):
    with pytest.raises(ValueError, match=r"SSID|password"):
        next(console.join_wifi(network))


@pytest.mark.parametrize(
    "dialogue", [console.identify, console.version, console.describe, lambda: console.join_wifi(NET)]
)
def test_silence(dialogue, piece):
    machine, waited_s, reply = dialogue(), 0.0, None
    with pytest.raises(LinkTimeoutError, match="listening mode"):
        while True:
            action = machine.send(reply)
            waited_s += action.timeout_s if isinstance(action, Receive) else 0
            reply = b""
    assert waited_s >= console.ANSWER_TIMEOUT_S


def test_half_an_answer(piece):
    with pytest.raises(ConsoleProtocolError, match="middle"):
        play(console.version(), [("v", "system firmware ver")], piece)


def test_keys_do_not_show_what_they_send():
    assert "hunter2" not in repr(Send(b"hunter2"))
