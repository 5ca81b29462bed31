"""Payloads of the larger subjects. Byte strings are those of Particle's own encoder."""

import ipaddress

import pytest

from particle_dev.errors import ControlProtocolError
from particle_dev.protocol import messages, messages_config, messages_logging, messages_network, messages_radio
from particle_dev.protocol import messages_pb2 as pb
from particle_dev.protocol.messages_config import ProtectedState, ServerAddress, ServerProtocol, StartupMode
from particle_dev.protocol.messages_logging import LogFormat, LogHandler, LogLevel, LogStream
from particle_dev.protocol.messages_network import InterfaceType
from particle_dev.protocol.messages_radio import AccessPoint, CellularIds, Sim, WifiCredentials, WifiSecurity
from particle_dev.protocol.secret import Secret

CODE = Secret("x" * 63)


def test_claim_code():
    assert messages_config.encode_claim_code(CODE).hex() == "0a3f" + "78" * 63
    assert messages_config.decode_is_claimed(b"\x08\x01") is True
    assert messages_config.decode_is_claimed(b"") is False


@pytest.mark.parametrize("code", ["y" * 62, "y" * 64, "", "é" * 63])
def test_refused_claim_code_is_not_in_the_error(code):
    with pytest.raises(ValueError, match="63") as error:
        messages_config.encode_claim_code(Secret(code))
    assert not code or code not in str(error.value)


def test_wifi_credentials():
    network = WifiCredentials("net", WifiSecurity.WPA2, Secret("pw"))
    assert messages_radio.encode_wifi_credentials(network).hex() == "0a036e6574180322060801" + "12027077"
    hidden = WifiCredentials("net", WifiSecurity.WPA2, Secret("pw"), hidden=True)
    assert messages_radio.encode_wifi_credentials(hidden).hex().endswith("3001")
    open_network = pb.NetworkCredentialsRequest.FromString(messages_radio.encode_wifi_credentials(WifiCredentials("n")))
    assert (open_network.credentials.type, open_network.credentials.password) == (0, "")
    assert "pw" not in repr(network)


@pytest.mark.parametrize(
    "arguments", [{"ssid": ""}, {"ssid": "n" * 33}, {"ssid": "é" * 17}, {"ssid": "n", "bssid": b"1"}]
)
def test_impossible_networks(arguments):
    with pytest.raises(ValueError, match="bytes"):
        WifiCredentials(**arguments)


def test_networks_in_the_air():
    reply = pb.ScanNetworksReply(networks=[{"ssid": "a", "bssid": b"123456", "security": 3, "channel": 6, "rssi": -50}])
    (network,) = messages_radio.decode_scan(reply.SerializeToString())
    assert (network.ssid, network.security, network.rssi_dbm) == ("a", WifiSecurity.WPA2, -50)
    unknown = pb.ScanNetworksReply(networks=[{"security": 99}])
    assert messages_radio.decode_scan(unknown.SerializeToString())[0].security == 99
    known = pb.KnownNetworksReply(networks=[{"ssid": "a", "security": 5, "credentials_type": 1}])
    (stored,) = messages_radio.decode_known_networks(known.SerializeToString())
    assert (stored.ssid, stored.security, stored.has_password) == ("a", WifiSecurity.WPA3, True)
    current = messages_radio.decode_current_network(pb.CurrentNetworkReply(ssid="a", rssi=-1).SerializeToString())
    assert (current.ssid, current.rssi_dbm) == ("a", -1)


def test_cellular():
    assert messages_radio.encode_sim(Sim.EXTERNAL).hex() == "0802"
    assert messages_radio.decode_active_sim(b"\x08\x01") is Sim.INTERNAL
    assert messages_radio.decode_active_sim(b"\x08\x07") == 7
    assert messages_radio.decode_iccid(pb.IccidReply(iccid="89").SerializeToString()) == CellularIds("89", None)
    point = AccessPoint("apn", "user", Secret("pw"))
    sent = pb.SetAccessPointRequest.FromString(messages_radio.encode_access_point(Sim.EXTERNAL, point))
    assert (sent.sim_type, sent.access_point.password) == (2, "pw")
    reply = pb.GetAccessPointReply(access_point=sent.access_point).SerializeToString()
    assert messages_radio.decode_access_point(reply) == point


def test_interfaces():
    listed = pb.InterfaceListReply(interfaces=[{"index": 4, "name": "pp3", "type": 16}, {"type": 3}])
    cellular, odd = messages_network.decode_interface_list(listed.SerializeToString())
    assert (cellular.index, cellular.name, cellular.type) == (4, "pp3", InterfaceType.PPP)
    assert odd.type == 3
    assert messages_network.encode_interface_request(4).hex() == "0804"


def interface(**changes):
    address = {"address": {"v4": {"address": 0xC0A80005}}, "prefix_length": 24}
    ipv6 = {"address": {"v6": {"address": ipaddress.ip_address("fe80::1").packed}}, "prefix_length": 64}
    fields = {
        "index": 5,
        "type": 8,
        "flags": 0x41,
        "ipv4_config": {
            "addresses": [address],
            "gateway": {"address": 0xC0A80001},
            "dns": [{"address": 0x08080808}],
            "source": 1,
        },
        "ipv6_config": {"addresses": [ipv6], "gateway": {}},
        "hw_address": b"\1\2\3\4\5\6",
        "mtu": 1500,
    }
    return pb.InterfaceReply(interface=fields | changes).SerializeToString()


def test_interface():
    found = messages_network.decode_interface(interface())
    assert found.link_up
    assert str(found.ipv4.addresses[0].address) == "192.168.0.5"
    assert str(found.ipv4.gateway) == "192.168.0.1"
    assert [str(a) for a in found.ipv4.dns] == ["8.8.8.8"]
    assert (str(found.ipv6.addresses[0].address), found.ipv6.gateway) == ("fe80::1", None)
    assert found.hw_address == b"\1\2\3\4\5\6"


@pytest.mark.parametrize("changes", [{"flags": 1}, {"flags": 0x40}, {"ipv4_config": {}}])
def test_no_link(changes):
    assert not messages_network.decode_interface(interface(**changes)).link_up


def test_bad_ipv6_address():
    bad = {"addresses": [{"address": {"v6": {"address": b"short"}}}]}
    with pytest.raises(ControlProtocolError):
        messages_network.decode_interface(interface(ipv6_config=bad))


def test_protection():
    assert messages_config.decode_protected_state(bytes.fromhex("08011000")) == ProtectedState(True, False)
    assert messages_config.decode_protected_state(bytes.fromhex("0801")).locked
    assert not messages_config.decode_protected_state(bytes.fromhex("08011001")).locked
    assert messages_config.encode_protection_reset() == b""
    assert messages_config.encode_protection_prepare(bytes(32)).hex() == "0801" + "1222" + "0a20" + "00" * 32
    confirm = messages_config.encode_protection_confirm(b"s", b"f" * 32)
    assert confirm.hex() == "0802" + "1a25" + "0a0173" + "1220" + "66" * 32
    assert messages_config.decode_protection_challenge(b"") is None
    answer = {"device_nonce": b"n" * 32, "device_signature": b"s", "device_public_key_fingerprint": b"f" * 32}
    challenge = messages_config.decode_protection_challenge(
        pb.SetProtectedStateReply(prepare=answer).SerializeToString()
    )
    assert (challenge.device_nonce, challenge.device_signature) == (b"n" * 32, b"s")


@pytest.mark.parametrize(
    "encode",
    [
        lambda: messages_config.encode_protection_prepare(b"short"),
        lambda: messages_config.encode_protection_confirm(b"", bytes(32)),
        lambda: messages_config.encode_protection_confirm(b"s", b"short"),
    ],
)
def test_impossible_protection(encode):
    with pytest.raises(ValueError, match=r"bytes|empty"):
        encode()


def test_server_of_old_devices():
    assert messages_config.decode_server_address(
        pb.GetServerAddressReply(address="h", port=5683).SerializeToString()
    ) == (ServerAddress("h", 5683))
    assert messages_config.decode_server_protocol(b"\x08\x02") is ServerProtocol.UDP
    assert messages_config.decode_server_protocol(b"\x08\x09") == 9
    assert (
        messages_config.decode_security_key(pb.GetSecurityKeyReply(data=b"der").SerializeToString()).reveal() == b"der"
    )


def test_startup_mode():
    assert messages_config.encode_startup_mode(StartupMode.LISTENING).hex() == "0801"
    assert messages_config.encode_startup_mode(StartupMode.NORMAL) == b""


def test_versions_and_assets():
    version = messages.decode_ncp_version(pb.NcpVersionReply(version="0.0.5", module_version=5).SerializeToString())
    assert (version.version, version.module_version) == ("0.0.5", 5)
    assert messages.decode_capabilities(bytes.fromhex("0d01000000")) == messages.Capability.COMPRESSED_OTA
    here, wanted = {"name": "a", "hash": b"1"}, {"name": "a", "hash": b"2"}
    info = messages.decode_asset_info(pb.AssetInfoReply(available=[here], required=[here, wanted]).SerializeToString())
    assert [(a.name, a.sha256) for a in info.missing] == [("a", b"2")]


def test_module_info_with_assets_and_protection():
    module = {"type": 2, "security": {"mode": 1}, "asset_dependencies": [{"name": "a", "size": 3}]}
    (found,) = messages.decode_module_info(pb.ModuleInfoReply(modules=[module]).SerializeToString())
    assert found.protected
    assert found.asset_dependencies[0].size_bytes == 3


def test_log_handlers():
    handler = LogHandler("h", LogFormat.JSON, LogStream.UART, LogLevel.WARN, {"app": LogLevel.ALL}, baud=115200)
    assert messages_logging.encode_add_log_handler(handler) == (
        b'{"cmd":"addHandler","id":"h","hnd":{"type":"JSONStreamLogHandler"},'
        b'"strm":{"type":"Serial1","param":{"baud":115200}},"filt":[{"app":"all"}],"lvl":"warn"}'
    )
    assert messages_logging.encode_remove_log_handler("h") == b'{"cmd":"removeHandler","id":"h"}'
    assert messages_logging.decode_log_handlers(b'["a","b"]') == ("a", "b")


@pytest.mark.parametrize("data", [b"", b"{}", b"[1]", b"[" * 100_000])
def test_log_handlers_that_are_none(data):
    with pytest.raises(ControlProtocolError):
        messages_logging.decode_log_handlers(data)
