"""Every typed request against virtual boards of each generation and era.

This proves one half: that host and virtual board agree, two programs made from the same sources. The other half is
tests/judges/test_device_os_protobuf.py (Particle's own encoder) and the recordings in tests/golden.
"""

import pytest
from particle_harness.usb.control_requests import answer

from particle_dev.catalog.modules import ModuleFunction, ModuleStore
from particle_dev.catalog.request_support import why_unsupported
from particle_dev.catalog.requests import ControlRequest
from particle_dev.device.control import ControlSession
from particle_dev.device.discovery import wait_for_device
from particle_dev.errors import PermissionMissingError, RequestRefusedError, RequestUnsupportedError
from particle_dev.permissions import Permissions
from particle_dev.protocol.messages import Capability, CloudStatus, DeviceMode
from particle_dev.protocol.messages_config import Feature, SecurityKey, ServerAddress, ServerProtocol
from particle_dev.protocol.messages_logging import LogFormat, LogHandler, LogStream
from particle_dev.protocol.messages_network import InterfaceType
from particle_dev.protocol.messages_radio import AccessPoint, Sim, WifiCredentials, WifiSecurity
from particle_dev.protocol.secret import Secret
from particle_dev.station.bench import open_bench

ALL = Permissions(may_connect=True, may_erase=True, may_lock=True)
BENCH_NETWORK = WifiCredentials("Bench", WifiSecurity.WPA2, Secret("bench-password"))
CODE = Secret("c" * 63)


class Rig:
    """A board on a bench of its own with a session open on it."""

    def __init__(self, platform, device_os, permissions=ALL, **slot):
        self.bench = open_bench(
            "virtual",
            options={"clock": "virtual"},
            slots=[{"name": "1", "platform": platform, "device_os": device_os, **slot}],
            factory_modules=lambda _: [],
        )
        self.host = self.bench.slots[0].host
        self.device = wait_for_device(self.host, "1-1", 10)
        self.session = ControlSession(self.host, self.device, permissions)

    @property
    def board(self):
        """Truth and state of the virtual board, which no product code can see."""
        return self.bench.driver.board("1")

    def close(self):
        self.session.close()
        self.bench.close()


@pytest.fixture
def rig():
    opened = []

    def make(*args, **kwargs):
        opened.append(Rig(*args, **kwargs))
        return opened[-1]

    yield make
    for one in opened:
        one.close()


ERAS = [
    ("xenon", "1.5.2"),
    ("boron", "1.5.2"),
    ("boron", "2.1.0"),
    ("bsom", "4.0.0"),
    ("b5som", "5.5.0"),
    ("boron", "5.9.0"),
    ("tracker", "6.2.0"),
    ("argon", "2.1.0"),
    ("argon", "5.9.0"),
    ("argon", "6.1.0"),
    ("argon", "6.2.0"),
    ("photon", "1.0.1"),
    ("photon", "3.3.1"),
    ("p1", "2.1.0"),
    ("electron", "3.3.1"),
    ("p2", "5.9.0"),
    ("msom", "6.2.0"),
]
DEPENDS_ON_THE_APPLICATION = {ControlRequest.APP_CUSTOM, ControlRequest.LOG_CONFIG}
STUB_WITHOUT_PAYLOAD = {ControlRequest.SET_FEATURE, ControlRequest.GET_FEATURE, ControlRequest.SET_DEVICE_SETUP_DONE}
"""Known, but NOT_SUPPORTED is the right answer to an empty payload."""
NEEDS_A_KIND = {
    ControlRequest.SET_SECURITY_KEY,
    ControlRequest.GET_SECURITY_KEY,
    ControlRequest.SET_SERVER_ADDRESS,
    ControlRequest.GET_SERVER_ADDRESS,
    ControlRequest.SET_SERVER_PROTOCOL,
}


@pytest.mark.parametrize(("platform", "device_os"), ERAS)
def test_board_and_catalogue_agree_on_which_requests_there_are(rig, platform, device_os):
    """Two tables, written apart: the host's by release, the board's by system version."""
    r = rig(platform, device_os)
    system = r.board._system
    for request in sorted(set(ControlRequest) - DEPENDS_ON_THE_APPLICATION - STUB_WITHOUT_PAYLOAD - NEEDS_A_KIND):
        result = answer(system, request, b"").result
        if (request, device_os) == (ControlRequest.MODULE_INFO, "1.0.1"):
            assert answer(system, request, b"").data.startswith(b'{"p":6')  # text, which the host does not ask for
            continue
        known = why_unsupported(request, r.device.platform, device_os) is None
        assert (result != -120) == known, request.name


@pytest.mark.parametrize(("platform", "device_os"), ERAS)
def test_identity_state_and_modules(rig, platform, device_os):
    r = rig(platform, device_os)
    session = r.session
    assert session.device_os == device_os
    if (platform, device_os) == ("photon", "1.0.1"):
        for call in (session.device_id, session.system_version, session.device_mode, session.cloud_status):
            with pytest.raises(RequestUnsupportedError):
                call()
        return
    assert session.device_id() == r.device.device_id
    assert session.system_version() == device_os
    assert len(session.serial_number()) == 15
    assert session.cloud_status() is CloudStatus.DISCONNECTED
    assert session.uptime_s() >= 0
    assert session.config.is_claimed() is False
    session.config.set_claim_code(CODE)
    assert r.board.dct.read(1762, 63) == b"c" * 63
    session.signal(True)
    assert r.board.state.signalling
    session.signal(False)
    assert not r.board.state.signalling
    modules = session.module_info()
    assert all(module.valid for module in modules)
    assert {ModuleFunction.BOOTLOADER, ModuleFunction.SYSTEM_PART, ModuleFunction.USER_PART} <= {
        module.function for module in modules
    }
    newer = device_os in ("5.9.0", "6.1.0", "6.2.0")
    assert all((module.sha256 is not None) == newer for module in modules)
    if newer:
        assert session.asset_info().missing == ()
    compressed = device_os == "1.5.2"
    assert session.capabilities() == (Capability.COMPRESSED_OTA if compressed else Capability(0))


def test_new_module_info_lists_the_factory_application_too(rig):
    found = rig("boron", "6.2.0", factory_image=True).session.module_info()
    assert [m.store for m in found if m.function == ModuleFunction.USER_PART] == [ModuleStore.MAIN, ModuleStore.FACTORY]
    old = rig("boron", "5.5.0", factory_image=True).session.module_info()
    assert [m.store for m in old if m.function == ModuleFunction.USER_PART] == [ModuleStore.MAIN]


@pytest.mark.parametrize(
    ("platform", "device_os", "refusal"), [("boron", "3.3.1", None), ("boron", "4.0.0", "NOT_SUPPORTED")]
)
def test_setup_done_flag(rig, platform, device_os, refusal):
    config = rig(platform, device_os).session.config
    config.set_setup_done(True)
    assert config.is_setup_done() is True
    if refusal:
        with pytest.raises(RequestRefusedError, match=refusal):
            config.set_setup_done(False)
    else:
        config.set_setup_done(False)
        assert config.is_setup_done() is False


@pytest.mark.parametrize("device_os", ["2.1.0", "6.2.0"])
def test_features_survive_a_reset(rig, device_os):
    r = rig("boron", device_os, factory="online")
    assert r.session.config.feature(Feature.ETHERNET_DETECTION) is False
    r.session.config.set_feature(Feature.ETHERNET_DETECTION, True)
    r.board.reset_pin()
    r.board.clock.sleep(2)
    with ControlSession(r.host, wait_for_device(r.host, "1-1", 10)) as session:
        assert session.config.feature(Feature.ETHERNET_DETECTION) is True


@pytest.mark.parametrize(
    ("device_os", "result"), [("3.3.1", None), ("4.0.0", "INVALID_STATE"), ("5.0.0", "INVALID_STATE"), ("5.9.0", None)]
)
def test_listening_twice(rig, device_os, result):
    session = rig("boron", device_os, factory="online").session
    session.start_listening()
    if result:
        with pytest.raises(RequestRefusedError, match=result):
            session.start_listening()
    else:
        session.start_listening()
    assert session.device_mode() is DeviceMode.LISTENING


@pytest.mark.parametrize(("platform", "device_os"), [("photon", "3.3.1"), ("electron", "3.3.1")])
def test_keys_and_server_of_gen2(rig, platform, device_os):
    config = rig(platform, device_os).session.config
    has_udp = platform == "electron"
    config.set_security_key(SecurityKey.TCP_SERVER_PUBLIC_KEY, Secret(b"key"))
    assert config.security_key(SecurityKey.TCP_SERVER_PUBLIC_KEY).reveal() == b"key".ljust(768, b"\xff")
    with pytest.raises(RequestRefusedError, match="TOO_LARGE"):
        config.set_security_key(SecurityKey.TCP_DEVICE_PUBLIC_KEY, Secret(bytes(385)))
    with pytest.raises(RequestRefusedError, match="NOT_FOUND"):
        config.server_address(ServerProtocol.TCP)
    for server in (ServerAddress("device.example.com", 5683), ServerAddress("10.0.0.7", 80)):
        config.set_server_address(ServerProtocol.TCP, server)
        assert config.server_address(ServerProtocol.TCP) == server
    assert config.server_protocol() == (ServerProtocol.UDP if has_udp else ServerProtocol.TCP)
    if has_udp:
        config.set_server_protocol(ServerProtocol.TCP)
        assert config.server_protocol() == ServerProtocol.TCP
    else:
        for call in (
            lambda: config.security_key(SecurityKey.UDP_DEVICE_PUBLIC_KEY),
            lambda: config.set_server_protocol(ServerProtocol.UDP),
        ):
            with pytest.raises(RequestRefusedError):
                call()
    config.set_softap_ssid("Bench", "A1")


@pytest.mark.parametrize(
    ("platform", "device_os", "expected"),
    [
        ("boron", "1.5.2", {("lo0", 1), ("th1", 2), ("pp3", 16)}),
        ("boron", "6.2.0", {("lo0", 1), ("pp3", 16)}),
        ("argon", "2.1.0", {("lo0", 1), ("wl3", 8)}),
        ("p2", "5.9.0", {("lo0", 1), ("wl3", 8)}),
        ("msom", "6.2.0", {("lo0", 1), ("pp3", 16), ("wl4", 8)}),
        ("tracker", "2.2.0", {("lo0", 1), ("pp3", 16)}),
        ("tracker", "6.2.0", {("lo0", 1), ("pp3", 16), ("wl4", 8)}),
    ],
)
def test_interfaces(rig, platform, device_os, expected):
    network = rig(platform, device_os).session.network
    entries = network.interfaces()
    assert {(entry.name, entry.type) for entry in entries} == expected
    for entry in entries:
        found = network.interface(entry.index)
        assert (found.index, found.name, found.type) == (entry.index, entry.name, entry.type)
        assert found.link_up == (entry.type == InterfaceType.LOOPBACK)
    with pytest.raises(RequestRefusedError):
        network.interface(9)


READY = bytes.fromhex("28808040")
"""Field 5, extended flags: the radio is on."""


def interface(session):
    return session.request(ControlRequest.NETWORK_INTERFACE, b"\x08\x04")


@pytest.mark.parametrize(
    ("platform", "ask"),
    [
        ("boron", ControlSession.module_info),
        ("tracker", ControlSession.module_info),
        ("argon", ControlSession.ncp_version),
    ],
)
def test_an_interface_says_whether_its_radio_is_on(rig, platform, ask):
    session = rig(platform, "2.1.0").session
    assert READY not in interface(session)
    ask(session)
    assert READY in interface(session)
    session.start_listening()
    assert READY in interface(session), "nothing switches it off"


def test_releases_before_2_1_say_nothing_of_a_radio(rig):
    session = rig("argon", "2.0.1").session
    session.ncp_version()
    assert READY not in interface(session)


@pytest.mark.parametrize(
    ("device_os", "first", "second"),
    [("2.1.0", False, False), ("2.2.0", True, True), ("3.0.0", False, False), ("3.1.0", True, False)],
)
def test_some_releases_ask_an_argons_network_processor_at_their_start_and_leave_it_on(rig, device_os, first, second):
    r = rig("argon", device_os)
    assert (READY in interface(r.session)) is first
    r.board.power_off()
    r.board.power_on()
    r.host.clock.sleep(5)
    assert (READY in interface(ControlSession(r.host, wait_for_device(r.host, "1-1", 5)))) is second


def test_a_tracker_knows_its_network_processor_since_device_os_3(rig):
    with pytest.raises(RequestUnsupportedError, match=r"NCP_FIRMWARE_VERSION was not sent.*3\.0\.0"):
        rig("tracker", "2.2.0").session.ncp_version()
    assert rig("tracker", "6.2.0").session.ncp_version().module_version


def test_interface_of_a_board_that_is_online_has_an_address(rig):
    r = rig("boron", "6.2.0", factory="online")
    r.host.clock.sleep(30)
    found = next(i for i in r.session.network.interfaces() if i.type == InterfaceType.PPP)
    assert r.session.network.interface(found.index).link_up


def test_leaving_the_cloud_keeps_the_network_and_the_cloud_can_be_had_again(rig):
    r = rig("boron", "6.2.0", factory="online")
    r.host.clock.sleep(30)
    assert r.session.cloud_status() is CloudStatus.CONNECTED
    r.session.disconnect_from_cloud()
    r.host.clock.sleep(60)
    assert r.session.cloud_status() is CloudStatus.DISCONNECTED
    assert r.session.diagnostics()["net:stat"] == 4
    r.session.connect_to_cloud()
    r.session.connect_to_cloud()
    r.host.clock.sleep(30)
    assert r.session.cloud_status() is CloudStatus.CONNECTED
    assert r.board.truth.cloud_attempts == 2


@pytest.mark.parametrize(("platform", "device_os"), [("argon", "2.1.0"), ("argon", "6.2.0"), ("p2", "5.9.0")])
def test_wifi(rig, platform, device_os):
    r = rig(platform, device_os)
    wifi = r.session.wifi
    assert wifi.known_networks() == ()
    with pytest.raises(RequestRefusedError, match="INVALID_STATE"):
        wifi.current_network()
    # An Argon of that release has had its network processor on since its first start.
    is_on = (platform, device_os) == ("argon", "6.2.0")
    assert r.board.truth.radio_power_ons == is_on
    seen = {network.ssid: network for network in wifi.scan()}
    assert set(seen) == {"Bench", "Visitors"}
    assert (seen["Bench"].security, seen["Bench"].rssi_dbm) == (WifiSecurity.WPA2, -48)
    assert r.board.truth.radio_power_ons == 1
    with pytest.raises(RequestRefusedError):
        wifi.join(WifiCredentials("Bench", WifiSecurity.WPA2, Secret("wrong")))
    assert wifi.known_networks() == ()
    with pytest.raises(RequestRefusedError, match="NOT_FOUND"):
        wifi.join_known("Bench")
    wifi.join(BENCH_NETWORK)
    assert wifi.current_network().ssid == "Bench"
    wifi.join(WifiCredentials("Visitors"))
    wifi.join_known("Bench")
    assert [(n.ssid, n.has_password) for n in wifi.known_networks()] == [("Bench", True), ("Visitors", False)]
    assert r.board.truth.network_attempts == 3
    wifi.forget("Visitors")
    wifi.clear()
    assert wifi.known_networks() == ()


def test_storing_a_network_powers_no_radio(rig):
    r = rig("argon", "6.2.0")
    power_ons = r.board.truth.radio_power_ons
    r.session.wifi.store(BENCH_NETWORK)
    assert [n.ssid for n in r.session.wifi.known_networks()] == ["Bench"]
    r.host.clock.sleep(60)
    r.board.advance()
    assert (r.board.truth.radio_power_ons, r.board.truth.network_attempts) == (power_ons, 0)


def test_eleventh_network_takes_the_place_of_the_tenth(rig):
    wifi = rig("argon", "6.2.0").session.wifi
    for number in range(11):
        wifi.store(WifiCredentials(f"net{number}"))
    assert [n.ssid for n in wifi.known_networks()] == [f"net{n}" for n in (*range(9), 10)]


@pytest.mark.parametrize(
    ("device_os", "has_imei"), [("2.1.0", False), ("5.7.0", False), ("5.8.0", True), ("6.2.0", True)]
)
def test_modem_identity_is_radio_activity_but_no_connection(rig, device_os, has_imei):
    r = rig("boron", device_os, permissions=Permissions())
    r.session.start_listening()
    assert r.board.truth.radio_power_ons == 0
    ids = r.session.cellular.ids()
    assert (len(ids.iccid), ids.imei is not None) == (20, has_imei)
    r.host.clock.sleep(60)
    r.board.advance()
    truth = r.board.truth
    assert (truth.radio_power_ons, truth.network_attempts, truth.cloud_attempts) == (1, 0, 0)


@pytest.mark.parametrize(
    ("platform", "device_os", "power_ons"),
    [("boron", "2.1.0", 1), ("tracker", "6.2.0", 1), ("argon", "2.1.0", 0), ("electron", "2.1.0", 0)],
)
def test_a_list_of_modules_is_radio_activity_on_a_board_with_a_modem(rig, platform, device_os, power_ons):
    r = rig(platform, device_os, permissions=Permissions())
    r.session.start_listening()
    assert r.board.truth.radio_power_ons == 0
    assert r.session.module_info()
    assert r.session.module_info()
    r.host.clock.sleep(60)
    r.board.advance()
    truth = r.board.truth
    assert (truth.radio_power_ons, truth.network_attempts, truth.cloud_attempts) == (power_ons, 0, 0)


def test_sims_and_access_points(rig):
    r = rig("boron", "6.2.0")
    cellular = r.session.cellular
    assert cellular.active_sim() == Sim.INTERNAL
    cellular.set_active_sim(Sim.EXTERNAL)
    assert cellular.active_sim() == Sim.EXTERNAL
    assert cellular.access_point(Sim.EXTERNAL) == AccessPoint(use_defaults=True)
    point = AccessPoint("apn.example", "user", Secret("word"))
    cellular.set_access_point(Sim.EXTERNAL, point)
    assert cellular.access_point(Sim.EXTERNAL) == point
    assert cellular.access_point(Sim.INTERNAL).use_defaults
    cellular.set_access_point(Sim.EXTERNAL, AccessPoint(use_defaults=True))
    assert cellular.access_point(Sim.EXTERNAL).use_defaults


@pytest.mark.parametrize("device_os", ["2.1.0", "6.2.0"])
def test_tinker_answers_neither_its_own_requests_nor_log_configuration(rig, device_os):
    session = rig("boron", device_os).session
    for call in (lambda: session.app_request(b"x"), session.log_handlers):
        with pytest.raises(RequestRefusedError, match="NOT_SUPPORTED"):
            call()


def test_application_that_answers_and_lets_its_log_be_configured(rig):
    r = rig("boron", "6.2.0", factory="online", application=["custom_requests", "configurable_logging"])
    session = r.session
    assert session.app_request(b"ping") == b"ping"
    assert session.log_handlers() == ()
    session.add_log_handler(LogHandler("a", LogFormat.JSON))
    session.add_log_handler(LogHandler("b", stream=LogStream.UART, baud=115200))
    assert session.log_handlers() == ("a", "b")
    with pytest.raises(RequestRefusedError, match="UNKNOWN"):
        session.add_log_handler(LogHandler("b", stream=LogStream.USB_SERIAL_1))
    assert session.log_handlers() == ("a",)  # the one that should have been replaced is gone
    with pytest.raises(RequestRefusedError, match="BAD_DATA"):
        session.request(ControlRequest.LOG_CONFIG, b'{"cmd":"enumHandlers","lvl":"loud"}')
    session.remove_log_handler("a")
    assert session.log_handlers() == ()
    assert session.echo(b"no slot was lost") == b"no slot was lost"


def test_safe_mode_runs_no_application(rig):
    r = rig("boron", "6.2.0", application=["custom_requests"])
    r.session.enter_safe_mode()
    r.host.clock.sleep(4)
    with (
        ControlSession(r.host, wait_for_device(r.host, "1-1", 10)) as session,
        pytest.raises(RequestRefusedError, match="NOT_SUPPORTED"),
    ):
        session.app_request(b"ping")


@pytest.mark.parametrize("platform", ["boron", "photon"])
def test_factory_reset_restores_the_factory_application(rig, platform):
    r = rig(platform, "2.1.0", factory="online", factory_image=True)
    address = r.board.hardware.factory_address
    slot = r.board.external if platform == "boron" else r.board.internal
    wanted = slot.read(address, 256)
    place = 0xD4000 if platform == "boron" else 0x080A0000
    r.board.internal.load(place + 0x1000, bytes(64))  # the application in place is damaged where nobody looks
    r.session.factory_reset()
    r.host.clock.sleep(30)
    assert wait_for_device(r.host, "1-1", 10).device_id == r.device.device_id
    assert r.board.internal.read(place, 256) == wanted
    assert r.board.internal.read(place + 0x1000, 64) != bytes(64)
    assert not r.board.dct.factory_reset_requested


@pytest.mark.parametrize(
    "payload",
    [b"\x0a\xff", b"\x0a", b"\x0f", b"\x0a" + bytes([64]) + b"c" * 64],
    ids=["cut", "no size", "type", "long"],
)
def test_payload_that_is_no_message_is_bad_data(rig, payload):
    session = rig("boron", "6.2.0").session
    with pytest.raises(RequestRefusedError, match="BAD_DATA"):
        session.request(ControlRequest.SET_CLAIM_CODE, payload)


def test_permissions_are_asked_before_anything_is_sent(rig):
    r = rig("argon", "6.2.0", permissions=Permissions())
    session, power_ons = r.session, r.board.truth.radio_power_ons
    for call in (
        lambda: session.wifi.join(BENCH_NETWORK),
        lambda: session.wifi.join_known("Bench"),
        session.wifi.clear,
        lambda: session.wifi.forget("Bench"),
        session.factory_reset,
        session.config.end_service_mode,
        session.connect_to_cloud,
    ):
        with pytest.raises(PermissionMissingError):
            call()
    assert r.board.truth.radio_power_ons == power_ons
