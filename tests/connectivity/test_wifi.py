"""The Wi-Fi network that a test names is the one it uses, and the board's own networks are as before afterwards.

Board, network and cloud are ours.
"""

import pytest
from particle_harness.air import AIR
from particle_harness.wifi import stored

from particle_dev.connectivity.failures import FailureCode
from particle_dev.connectivity.stages import Stage
from particle_dev.device.network_requests import WifiRequests
from particle_dev.errors import ConnectivityError
from particle_dev.protocol.messages_radio import WifiCredentials, WifiSecurity
from particle_dev.protocol.secret import Secret
from tests.connectivity.test_faults import BENCH_WIFI, WIFI, failure
from tests.connectivity.world import World

VISITORS = WifiCredentials("Visitors", WifiSecurity.NONE)
VISITORS_WRONG = WifiCredentials("Visitors", WifiSecurity.WPA2, Secret("wrong"))
ARCHIVE = WifiCredentials("Archive", WifiSecurity.WPA2, Secret("archive-password"), hidden=True)
BENCH_WRONG = WifiCredentials("Bench", WifiSecurity.WPA2, Secret("wrong"))


@pytest.fixture
def world():
    made = []

    def make(*args, **options):
        made.append(World(*args, **options))
        return made[-1]

    yield make
    for one in made:
        one.close()


def networks(w):
    return [dict(network) for network in w.board.state.wifi_networks]


@pytest.mark.parametrize("network", [VISITORS, ARCHIVE], ids=lambda n: n.ssid)
@pytest.mark.parametrize("device_os", ["5.8.2", "4.2.0"])
@pytest.mark.parametrize("restart", [True, False])
def test_the_network_of_the_test_is_used_although_the_board_knows_another(world, network, device_os, restart):
    w = world("argon", device_os=device_os)
    before = networks(w)
    assert [n["ssid"] for n in before] == ["Bench"]
    result = w.test(wifi=network, permissions=WIFI, restart=restart)
    assert result.failed is None, result.failed
    evidence = {r.stage: r.evidence for r in result.stages}
    assert evidence[Stage.NETWORK]["ssid"] == network.ssid
    assert networks(w) == before


@pytest.mark.parametrize("device_os", ["5.8.2", "4.2.0"])
@pytest.mark.parametrize("without", [frozenset(), frozenset({Stage.NETWORK, Stage.IP, Stage.CLOUD_SOCKET})])
def test_a_wrong_password_fails_although_the_board_knows_another_network(world, device_os, without):
    w = world("argon", device_os=device_os)
    before = networks(w)
    result = w.test(wifi=VISITORS_WRONG, permissions=WIFI, without=without)
    assert failure(result) == (Stage.HANDSHAKE if without else Stage.NETWORK, FailureCode.WIFI_AUTH)
    assert networks(w) == before


def test_a_board_that_stays_in_another_network_fails(world, monkeypatch):
    monkeypatch.setattr(WifiRequests, "join_known", lambda _self, _ssid: None)
    w = world("argon")
    before = networks(w)
    result = w.test(wifi=VISITORS, permissions=WIFI)
    assert failure(result) == (Stage.NETWORK, FailureCode.WIFI_OTHER)
    assert networks(w) == before


@pytest.mark.parametrize("network", [BENCH_WIFI, BENCH_WRONG], ids=["right", "wrong"])
@pytest.mark.parametrize("arrives_in", ["normal", "dfu"])
def test_a_network_that_is_stored_already_is_refused_and_stays(world, network, arrives_in):
    """Its password cannot be read, and so not be put back."""
    w = world("argon", **({"arrives_in": "dfu"} if arrives_in == "dfu" else {}))
    before, boots = networks(w), w.board.truth.boots
    with pytest.raises(ConnectivityError) as caught:
        w.test(wifi=network, permissions=WIFI)
    assert "Bench" in caught.value.message
    assert networks(w) == before
    if arrives_in == "normal":
        assert w.board.truth.boots == boots, "refused before anything was done"
    else:
        assert w.board.state.cloud_status == 0


def test_an_eleventh_network_is_refused(world):
    w = world("argon")
    w.board.state.wifi_networks[:] = [stored(AIR[0]) | {"ssid": f"Net {n}"} for n in range(10)]
    before = networks(w)
    with pytest.raises(ConnectivityError):
        w.test(wifi=VISITORS, permissions=WIFI)
    assert networks(w) == before
