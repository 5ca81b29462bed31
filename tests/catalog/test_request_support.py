import pytest

from particle_dev.catalog.console import DFU_SPEED, LISTENING_SPEED
from particle_dev.catalog.device_os import version_key
from particle_dev.catalog.platforms import platform_by_name
from particle_dev.catalog.request_support import ROWS, depends_on_version, support_row, why_unsupported
from particle_dev.catalog.requests import ControlRequest as R

BORON, ARGON, PHOTON, ELECTRON, TRACKER, P2, TACHYON = map(
    platform_by_name, ("boron", "argon", "photon", "electron", "tracker", "p2", "tachyon")
)


def test_one_row_for_each_request():
    assert [row.request for row in ROWS] == list(R)
    for row in ROWS:
        for since, until in (*row.gen2, *row.later):
            assert until is None or version_key(since) <= version_key(until)


@pytest.mark.parametrize(
    ("request_type", "platform", "device_os", "known"),
    [
        (R.ECHO, BORON, "1.4.4", False),
        (R.ECHO, BORON, "1.5.0", True),
        (R.DEVICE_ID, PHOTON, "1.0.1", False),
        (R.DEVICE_ID, PHOTON, "1.1.0", True),
        (R.DEVICE_ID, BORON, "0.9.0", True),
        (R.DFU_MODE, PHOTON, "0.8.0-rc.2", True),
        (R.DFU_MODE, PHOTON, "0.7.0", False),
        (R.GET_PROTECTED_STATE, BORON, "5.9.0", False),
        (R.GET_PROTECTED_STATE, BORON, "6.0.0", True),
        (R.SET_PROTECTED_STATE, BORON, "6.1.0", False),
        (R.SET_PROTECTED_STATE, BORON, "6.1.1", True),
        (R.GET_PROTECTED_STATE, PHOTON, "3.3.1", False),
        (R.ASSET_INFO, P2, "5.5.0", False),
        (R.ASSET_INFO, P2, "5.6.0", True),
        (R.WIFI_SET_NETWORK_CREDENTIALS, ARGON, "5.8.0", False),
        (R.WIFI_SET_NETWORK_CREDENTIALS, ARGON, "5.8.2", True),
        (R.WIFI_SET_NETWORK_CREDENTIALS, ARGON, "5.9.0", True),
        (R.WIFI_SET_NETWORK_CREDENTIALS, ARGON, "6.0.0", False),
        (R.WIFI_SET_NETWORK_CREDENTIALS, ARGON, "6.1.1", False),
        (R.WIFI_SET_NETWORK_CREDENTIALS, ARGON, "6.2.0", True),
        (R.GET_SECURITY_KEY, PHOTON, "3.3.1", True),
        (R.GET_SECURITY_KEY, BORON, "2.1.0", False),
        (R.WIFI_SCAN_NETWORKS, TRACKER, "4.0.0", True),
        (R.WIFI_SCAN_NETWORKS, TRACKER, "2.3.1", False),
        (R.NCP_FIRMWARE_VERSION, TRACKER, "3.0.0", True),
        (R.NCP_FIRMWARE_VERSION, TRACKER, "2.1.0", False),
        (R.NCP_FIRMWARE_VERSION, ARGON, "2.1.0", True),
        (R.WIFI_JOIN_NEW_NETWORK, TRACKER, "4.0.0", False),
        (R.WIFI_SCAN_NETWORKS, BORON, "4.0.0", False),
        (R.WIFI_SCAN_NETWORKS, PHOTON, "2.0.0", False),
        (R.CELLULAR_GET_ICCID, BORON, "2.0.0", True),
        (R.CELLULAR_GET_ICCID, ELECTRON, "3.3.1", False),
        (R.CELLULAR_GET_ICCID, ARGON, "3.3.1", False),
        (R.DEVICE_ID, TACHYON, None, False),
        (R.DEVICE_ID, BORON, None, True),
        (R.WIFI_SET_NETWORK_CREDENTIALS, ARGON, None, True),
        (R.WIFI_SET_NETWORK_CREDENTIALS, BORON, None, False),
        (R.ECHO, BORON, "built at home", True),
        (9999, BORON, "1.0.0", True),
    ],
)
def test_who_knows_what(request_type, platform, device_os, known):
    reason = why_unsupported(request_type, platform, device_os)
    assert (reason is None) == known, reason


def test_reason_names_the_releases_that_know():
    reason = why_unsupported(R.WIFI_SET_NETWORK_CREDENTIALS, ARGON, "6.1.0")
    assert reason == "Device OS 6.1.0 does not know it; 5.8.2 to 5.9.x, 6.1.2 and later do"


def test_only_requests_that_came_later_need_the_version():
    assert not depends_on_version(R.DFU_MODE, BORON)
    assert not depends_on_version(R.DFU_MODE, PHOTON)
    assert not depends_on_version(R.CELLULAR_GET_ICCID, ARGON)
    assert depends_on_version(R.ECHO, BORON)
    assert depends_on_version(R.DEVICE_ID, PHOTON)
    assert not depends_on_version(9999, BORON)
    assert support_row(9999) is None


def test_speeds_that_are_commands():
    assert DFU_SPEED.known_to("0.4.0")
    assert DFU_SPEED.known_to("6.2.0")
    assert LISTENING_SPEED.known_to("5.9.0")
    assert not LISTENING_SPEED.known_to("6.0.0")
    assert LISTENING_SPEED.known_to(None)
