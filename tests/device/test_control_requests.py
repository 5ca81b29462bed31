"""Every typed request on a scripted link: what is sent, what becomes of the answer, and what is refused before it is
sent. Byte strings are those of Particle's own encoder."""

import struct

import pytest

from particle_dev.catalog.platforms import UsbMode, platform_by_name
from particle_dev.catalog.requests import ControlRequest
from particle_dev.device.control import ControlSession
from particle_dev.device.model import Device
from particle_dev.errors import (
    LinkAccessError,
    LinkDisconnectedError,
    LinkStallError,
    LinkTimeoutError,
    PermissionMissingError,
    RequestRefusedError,
    RequestUnsupportedError,
)
from particle_dev.permissions import NOTHING, Permissions
from particle_dev.protocol import messages_pb2 as pb
from particle_dev.protocol.messages_config import (
    Environment,
    EnvironmentVariable,
    Feature,
    SecurityKey,
    ServerAddress,
    ServerProtocol,
    StartupMode,
)
from particle_dev.protocol.messages_logging import LogHandler, LogLevel
from particle_dev.protocol.messages_radio import AccessPoint, Sim, WifiCredentials, WifiSecurity
from particle_dev.protocol.secret import Secret
from particle_dev.transport.base import Host, UsbDeviceInfo

ALL = Permissions(may_connect=True, may_erase=True, may_lock=True, may_burn_efuses=True)
NET = WifiCredentials("net", WifiSecurity.WPA2, Secret("pw"))
NET_HEX = "0a036e657418032206080112027077"
CODE = Secret("c" * 63)
IDLE = struct.pack("<IH", 1, 0)


class Clock:
    def __init__(self):
        self.now_s = 0.0

    def monotonic_s(self):
        return self.now_s

    def sleep(self, duration_s):
        self.now_s += duration_s


class Link:
    """Answers each request type with (result, data); keeps what was sent."""

    def __init__(self, device_os, answers):
        self.device_os, self.answers = device_os, answers
        self.sent, self.raw, self.resets, self.raw_error = [], [], [], None
        self.closed = False

    def control_in(self, bm_request_type, b_request, w_value, w_index, w_length, timeout_s):
        if b_request == 0x50:
            if w_index != 30 or self.device_os is None:
                raise LinkStallError("stall")
            return self.device_os.encode()
        if b_request == 1:
            self.type, self.size, self.payload = w_index, w_value, b""
            if not self.size:
                self.sent.append((self.type, ""))
            return struct.pack("<IHH", 3, 0, 1)
        if b_request == 2:
            if len(self.payload) < self.size:
                return IDLE
            result, self.data = self.answers.get(self.type, (0, b""))
            if isinstance(result, BaseException):
                raise result
            if not self.data:
                return struct.pack("<IHi", 9, 0, result)
            return struct.pack("<IHIi", 13, 0, len(self.data), result)
        if b_request == 4:
            return self.data
        self.resets.append(w_index)
        return IDLE

    def control_out(self, bm_request_type, b_request, w_value, w_index, data, timeout_s):
        if b_request == 0x50:
            self.raw.append((w_index, data))
            if self.raw_error:
                raise self.raw_error
            return
        self.payload += data
        self.sent.append((self.type, self.payload.hex()))

    def close(self):
        self.closed = True


def open_session(platform="boron", device_os="6.2.0", permissions=NOTHING, answers=None, link=None):
    link = link or Link(device_os, answers or {})
    info = UsbDeviceInfo(0x2B04, 0xC00D, 1, 2, "1-1", "e00fce680123456789abcdef", "")
    device = Device(info.serial_number, platform_by_name(platform), UsbMode.NORMAL, info)

    class Usb:
        def open(self, wanted):
            assert wanted == info
            return link

    return ControlSession(Host(Usb(), None, Clock()), device, permissions), link


def test_a_board_that_cannot_be_opened_is_given_back():
    class Deaf(Link):
        def control_in(self, *_):
            raise LinkTimeoutError("it hangs")

    link = Deaf("6.2.0", {})
    with pytest.raises(LinkTimeoutError):
        open_session(link=link)
    assert link.closed


def test_opening_cancels_what_a_dead_host_left():
    session, link = open_session()
    assert link.resets == [0]
    with session:
        pass
    assert link.closed


def message(kind, **fields):
    return getattr(pb, kind)(**fields).SerializeToString()


REQUESTS = [
    # platform, call, request type, payload, answer, result
    ("boron", lambda s: s.device_id(), 20, "",
     bytes.fromhex("0a18") + b"E00FCE680123456789ABCDEF", "e00fce680123456789abcdef"),
    ("boron", lambda s: s.serial_number(), 21, "", message("SerialNumberReply", serial="B40"), "B40"),
    ("boron", lambda s: s.system_version(), 30, "", message("SystemVersionReply", version="6.2.0"), "6.2.0"),
    ("argon", lambda s: s.ncp_version().version, 31, "", message("NcpVersionReply", version="0.0.5"), "0.0.5"),
    ("boron", lambda s: int(s.capabilities()), 32, "", b"", 0),
    ("boron", lambda s: s.config.set_feature(Feature.ETHERNET_DETECTION, True), 33, "08011001", b"", None),
    ("boron", lambda s: s.config.feature(Feature.ETHERNET_DETECTION), 34, "0801", b"\x08\x01", True),
    ("boron", lambda s: s.reset(), 40, "", b"", None),
    ("boron", lambda s: s.factory_reset(), 41, "", b"", None),
    ("boron", lambda s: s.enter_dfu_mode(), 50, "", b"", None),
    ("boron", lambda s: s.enter_safe_mode(), 60, "", b"", None),
    ("boron", lambda s: s.start_listening(), 70, "", b"", None),
    ("boron", lambda s: s.stop_listening(), 71, "", b"", None),
    ("boron", lambda s: s.device_mode(), 72, "", b"\x08\x01", "listening"),
    ("boron", lambda s: s.config.set_setup_done(True), 73, "0801", b"", None),
    ("boron", lambda s: s.config.is_setup_done(), 74, "", b"\x08\x01", True),
    ("boron", lambda s: s.config.set_startup_mode(StartupMode.LISTENING), 75, "0801", b"", None),
    ("boron", lambda s: s.config.protected_state().locked, 76, "", bytes.fromhex("0801"), True),
    ("boron", lambda s: s.config.end_service_mode(), 77, "", b"", None),
    ("boron", lambda s: s.config.prepare_unlock(bytes(32)), 77, "080112220a20" + "00" * 32, b"", None),
    ("boron", lambda s: s.config.confirm_unlock(b"s", b"f" * 32), 77, "08021a250a01731220" + "66" * 32, b"", None),
    ("boron", lambda s: s.log_handlers(), 80, b'{"cmd":"enumHandlers"}'.hex(), b'["h"]', ("h",)),
    ("boron", lambda s: s.remove_log_handler("h"), 80, b'{"cmd":"removeHandler","id":"h"}'.hex(), b"", None),
    ("boron", lambda s: len(s.module_info()), 90, "", message("ModuleInfoReply", modules=[{"type": 4}]), 1),
    ("boron", lambda s: s.asset_info().missing, 91, "", b"", ()),
    ("boron", lambda s: s.diagnostics(), 100, "", b'{"cloud:stat":0}', {"cloud:stat": 0}),
    ("boron", lambda s: s.uptime_s(), 100, "", b'{"sys:uptime":7}', 7),
    ("boron", lambda s: s.uptime_s(), 100, "", b"{}", None),
    ("boron", lambda s: s.echo(b"ping"), 1, b"ping".hex(), b"ping", b"ping"),
    ("boron", lambda s: s.app_request(b"x"), 10, "78", b"y", b"y"),
    ("boron", lambda s: s.app_request(b'{"BURN_DATA":{}}'), 10, b'{"BURN_DATA":{}}'.hex(), b"y", b"y"),
    ("boron", lambda s: s.config.set_claim_code(CODE), 200, "0a3f" + "63" * 63, b"", None),
    ("boron", lambda s: s.config.is_claimed(), 201, "", b"\x08\x01", True),
    ("photon", lambda s: s.config.set_security_key(SecurityKey.TCP_SERVER_PUBLIC_KEY, Secret(b"d")), 210, "0803120164",
     b"", None),
    ("photon", lambda s: s.config.security_key(SecurityKey.UDP_SERVER_PUBLIC_KEY), 211, "0806",
     bytes.fromhex("0a0164"), Secret(b"d")),
    ("photon", lambda s: s.config.set_server_address(ServerProtocol.TCP, ServerAddress("h", 80)), 220, "08011201681850",
     b"", None),
    ("photon", lambda s: s.config.server_address(ServerProtocol.UDP), 221, "0802",
     bytes.fromhex("0a01681050"), ServerAddress("h", 80)),
    ("photon", lambda s: s.config.set_server_protocol(ServerProtocol.UDP), 222, "0802", b"", None),
    ("photon", lambda s: s.config.server_protocol(), 223, "", b"\x08\x01", ServerProtocol.TCP),
    ("boron", lambda s: s.signal(True), 230, "", b"", None),
    ("boron", lambda s: s.signal(False), 231, "", b"", None),
    ("photon", lambda s: s.config.set_softap_ssid("Bench", "A1"), 240, "0a0542656e636812024131", b"", None),
    ("boron", lambda s: s.cloud_status().name, 300, "", b"\x08\x02", "CONNECTED"),
    ("boron", lambda s: s.connect_to_cloud(), 301, "", b"", None),
    ("boron", lambda s: s.disconnect_from_cloud(), 302, "", b"", None),
    ("boron", lambda s: len(s.network.interfaces()), 400, "",
     message("InterfaceListReply", interfaces=[{"index": 4}]), 1),
    ("boron", lambda s: s.network.interface(4).index, 401, "0804",
     message("InterfaceReply", interface={"index": 4}), 4),
    ("argon", lambda s: s.wifi.join(NET), 500, NET_HEX, b"", None),
    ("argon", lambda s: s.wifi.join_known("net"), 501, "0a036e6574", b"", None),
    ("argon", lambda s: s.wifi.known_networks(), 502, "", b"", ()),
    ("argon", lambda s: s.wifi.forget("net"), 503, "0a036e6574", b"", None),
    ("argon", lambda s: s.wifi.clear(), 504, "", b"", None),
    ("argon", lambda s: s.wifi.current_network().ssid, 505, "", bytes.fromhex("0a036e6574"), "net"),
    ("tracker", lambda s: s.wifi.scan(), 506, "", b"", ()),
    ("argon", lambda s: s.wifi.store(NET), 507, NET_HEX, b"", None),
    ("boron", lambda s: s.cellular.set_access_point(Sim.EXTERNAL, AccessPoint("a")), 550, "080212030a0161", b"", None),
    ("boron", lambda s: s.cellular.access_point(Sim.INTERNAL), 551, "0801",
     bytes.fromhex("0a022001"), AccessPoint(use_defaults=True)),
    ("boron", lambda s: s.cellular.set_active_sim(Sim.EXTERNAL), 552, "0802", b"", None),
    ("boron", lambda s: s.cellular.active_sim(), 553, "", b"\x08\x02", Sim.EXTERNAL),
    ("boron", lambda s: s.cellular.ids().imei, 554, "", message("IccidReply", iccid="89", imei="35"), "35"),
    ("boron", lambda s: s.config.environment(), 600, "",
     message("EnvironmentReply", vars=[{"name": "A", "value": "1", "is_app": True}], snapshot_hash=b"h"),
     Environment({"A": EnvironmentVariable("1", True)}, b"h")),
    ("boron", lambda s: s.config.clear_environment(), 601, "", b"\x08\x01", True),
    ("boron", lambda s: s.logs.add(LogHandler("h", filters={"app": LogLevel.TRACE})), 1100,
     "0a01681001181e22070a03617070100128013200", b"", None),
    ("boron", lambda s: s.logs.remove("h"), 1101, "0a0168", b"", None),
    ("boron", lambda s: s.logs.handlers(), 1102, "", bytes.fromhex("0a030a0168"), ("h",)),
]  # fmt: skip


@pytest.mark.parametrize(("platform", "call", "request_type", "payload", "answer", "result"), REQUESTS)
def test_requests(platform, call, request_type, payload, answer, result):
    device_os = "3.3.1" if platform == "photon" else "6.4.0"
    session, link = open_session(platform, device_os, ALL, {request_type: (0, answer)})
    assert call(session) == result
    assert link.sent == [(request_type, payload)]


def test_every_request_has_a_typed_call():
    updates = {250, 251, 252, 253}
    assert {r[2] for r in REQUESTS} | updates == {int(r) for r in ControlRequest}


PERMITTED = {40, 60, 71, 301, 500, 501, 503, 504, 210, 601}


@pytest.mark.parametrize(("platform", "call", "request_type", "payload", "answer", "result"), REQUESTS)
def test_without_permission_nothing_is_sent(platform, call, request_type, payload, answer, result):
    device_os = "3.3.1" if platform == "photon" else "6.4.0"
    session, link = open_session(platform, device_os, NOTHING, {request_type: (0, answer)})
    if request_type in (*PERMITTED, 41) or (request_type, payload) in ((77, ""), (10, b'{"BURN_DATA":{}}'.hex())):
        with pytest.raises(PermissionMissingError):
            call(session)
        assert link.sent == []
    else:
        assert call(session) == result


def test_factory_reset_needs_both_permissions():
    for permissions in (Permissions(may_connect=True), Permissions(may_erase=True)):
        session, link = open_session(permissions=permissions)
        with pytest.raises(PermissionMissingError):
            session.factory_reset()
        assert link.sent == []


def test_burning_is_not_part_of_any_other_permission():
    session, link = open_session(permissions=Permissions(may_connect=True, may_erase=True, may_lock=True))
    with pytest.raises(PermissionMissingError, match="one-time fuses") as error:
        session.app_request(b'{"SET_PERMANENT_BURN":{}}')
    assert error.value.permission == "may_burn_efuses"
    assert link.sent == []


@pytest.mark.parametrize(
    ("platform", "device_os", "call", "words"),
    [
        (
            "boron",
            "5.9.0",
            lambda s: s.config.protected_state(),
            "Device OS 5.9.0 does not know it; 6.0.0 and later do",
        ),
        ("argon", "6.1.0", lambda s: s.wifi.store(NET), "5.8.2 to 5.9.x"),
        ("boron", "2.1.0", lambda s: s.echo(b""), None),
        ("boron", "6.2.0", lambda s: s.wifi.scan(), "no Device OS of Boron knows it"),
        ("photon", "3.3.1", lambda s: s.asset_info(), "no Device OS of Photon knows it"),
        ("photon", "1.0.0", lambda s: s.device_id(), "1.1.0"),
        ("boron", None, lambda s: s.config.protected_state(), None),
    ],
)
def test_old_devices_are_not_asked(platform, device_os, call, words):
    session, link = open_session(platform, device_os)
    if words is None:
        call(session)
        assert len(link.sent) == 1
        return
    with pytest.raises(RequestUnsupportedError, match=words) as error:
        call(session)
    assert error.value.result_code == -120
    assert error.value.hint
    assert link.sent == []


@pytest.mark.parametrize(
    ("platform", "device_os", "request_type", "call", "words"),
    [
        ("boron", "6.2.0", 10, lambda s: s.app_request(b""), "the application must handle it"),
        ("boron", "6.2.0", 80, lambda s: s.log_handlers(), "FEATURE_CONFIGURABLE_LOGGING"),
        ("boron", None, 76, lambda s: s.config.protected_state(), "this Device OS version or application"),
    ],
)
def test_not_supported_is_explained(platform, device_os, request_type, call, words):
    session, _ = open_session(platform, device_os, answers={request_type: (-120, b"")})
    with pytest.raises(RequestRefusedError, match="NOT_SUPPORTED") as error:
        call(session)
    assert words in error.value.hint


def test_refused_log_command_brings_a_buffer_of_garbage_that_is_drained():
    session, _ = open_session(answers={80: (-100, bytes(256))})
    with pytest.raises(RequestRefusedError):
        session.add_log_handler(LogHandler("h"))


@pytest.mark.parametrize("result", [-1, -120, -170, -250])
def test_serial_number_that_was_never_written(result):
    session, _ = open_session(answers={21: (result, b"")})
    assert session.serial_number() is None


@pytest.mark.parametrize("result", [-130, -210, -1801])
def test_refusal_to_tell_the_serial_number_is_no_missing_one(result):
    session, _ = open_session(answers={21: (result, b"")})
    with pytest.raises(RequestRefusedError) as error:
        session.serial_number()
    assert error.value.result_code == result


def test_one_forbidden_request_stops_all():
    session, link = open_session()
    with pytest.raises(PermissionMissingError):
        session.request_all([(ControlRequest.DEVICE_ID, b""), (ControlRequest.SAFE_MODE, b"")])
    assert link.sent == []


def test_abort():
    session, link = open_session()
    with pytest.raises(RequestRefusedError, match="CANCELLED"):
        session.request(ControlRequest.MODULE_INFO, aborted=lambda: True)
    assert link.resets == [0, 1]


def test_an_interrupt_cancels_what_is_pending():
    session, link = open_session(answers={100: (KeyboardInterrupt(), b"")})
    with pytest.raises(KeyboardInterrupt):
        session.diagnostics()
    assert link.resets == [0, 0]


@pytest.mark.parametrize(("platform", "data"), [("boron", b""), ("p2", b"\0"), ("msom", b"\0"), ("trackerm", b"\0")])
def test_raw_requests_and_the_quirk_of_rtl872x(platform, data):
    session, link = open_session(platform, permissions=ALL)
    assert session.stop_connecting()
    assert session.reset_now()
    assert link.raw == [(302, data), (40, data)]


def test_raw_reset_is_over_before_the_transfer_is():
    session, link = open_session(permissions=ALL)
    link.raw_error = LinkDisconnectedError("gone")
    assert session.reset_now()
    link.raw_error = LinkStallError("stall")
    assert not session.reset_now()
    link.raw_error = LinkAccessError("denied")
    with pytest.raises(LinkAccessError):
        session.reset_now()


def test_raw_reset_needs_permission():
    session, link = open_session()
    with pytest.raises(PermissionMissingError):
        session.reset_now()
    assert link.raw == []


START_REPLY = (0, bytes.fromhex("088008"))


def test_firmware_update():
    session, link = open_session(permissions=ALL, answers={250: START_REPLY})
    outcome = session.update_firmware(b"m" * 1500)
    assert (outcome.size_bytes, outcome.will_reset) == (1500, True)
    assert [sent for sent, _ in link.sent] == [250, 253, 253, 251]
    assert link.sent[0][1] == "08dc0b"


def test_firmware_update_needs_permission_unless_it_only_validates():
    session, link = open_session(answers={250: START_REPLY})
    with pytest.raises(PermissionMissingError, match="firmware update"):
        session.update_firmware(b"m")
    assert link.sent == []
    assert not session.update_firmware(b"m", validate_only=True).will_reset
    assert link.sent[-1] == (251, "0801")
