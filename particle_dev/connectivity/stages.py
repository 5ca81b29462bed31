"""The stages of a connectivity test as data: what proves each, how long it may take, and who has it.

Source: device-os v6.2.0 hal/network/ncp_client/{sara,quectel} REGISTRATION_TIMEOUT (10 min), system/src/system_task.cpp
(back-off and network reset of the cloud connection), user/tests/integration/slo/connect_time (what is usual);
particle-iot/docs scaling/manufacturing/manufacturing-cellular.md (up to 20 min for the first registration). Times that
have no source there are proposals, and marked so.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

from particle_dev.cloud.gate import Radio
from particle_dev.cloud.strategies import Strategy


class Stage(StrEnum):
    """What is tested, in the order in which a device gets online."""

    PRECONDITIONS = "preconditions"
    BOOT = "boot"
    RADIO = "radio"
    SIM = "sim"
    NETWORK = "network"
    IP = "ip"
    CLOUD_SOCKET = "cloud_socket"
    HANDSHAKE = "handshake"
    IDENTITY = "identity"
    PUBLISH = "publish"
    SUBSCRIBE = "subscribe"
    FUNCTION = "function"
    VARIABLE = "variable"
    VITALS = "vitals"
    PING = "ping"
    OTA = "ota"
    GOODBYE = "goodbye"
    RESTORE = "restore"


_ALL_RADIOS = frozenset({Radio.CELLULAR, Radio.WIFI})
_CELLULAR = frozenset({Radio.CELLULAR})
_ONLINE = frozenset({Strategy.A, Strategy.B})
_EVERY = frozenset(Strategy)


@dataclass(frozen=True, slots=True)
class StageSpec:
    """One row. ``number`` is its place in the order, as reports print it; ``typical`` and ``give_up_s`` seconds.

    ``give_up_source`` empty: a proposal. ``device_proof`` is seen over USB, ``cloud_proof`` in the cloud; empty: none.
    """

    number: int
    stage: Stage
    title: str
    device_proof: str
    cloud_proof: str
    typical_s: tuple[float, float]
    give_up_s: float
    give_up_source: str = ""
    radios: frozenset[Radio] = _ALL_RADIOS
    strategies: frozenset[Strategy] = _ONLINE


_S = Stage
STAGES: tuple[StageSpec, ...] = (
    StageSpec(
        0, _S.PRECONDITIONS, "preconditions",
        "runs, its modules are valid and complete, the application is the expected one",
        "member, not quarantined, of this platform, SIM active, what the cloud would flash is known, stream alive",
        (0, 10), 60, strategies=_EVERY,
    ),
    StageSpec(
        1, _S.BOOT, "power and boot", "control request 20 answers with the expected Device ID after a reset", "",
        (1, 5), 30, strategies=_EVERY,
    ),
    StageSpec(
        2, _S.RADIO, "modem or Wi-Fi radio",
        "control request 554 powers the modem and tells ICCID and IMEI; 506 finds access points", "",
        (5, 20), 60, strategies=_EVERY,
    ),
    StageSpec(
        3, _S.SIM, "SIM", "an ICCID of 19 to 21 digits that begins with 89", "the SIM is active, and the device's",
        (0, 5), 10, radios=_CELLULAR, strategies=_EVERY,
    ),
    StageSpec(
        4, _S.NETWORK, "network registration or association",
        "net:stat, the interface, or the log: IFACE_LINK_UP, +CEREG: 2,1 or 2,5", "",
        (10, 60), 600, "Device OS resets the modem after 10 min",
    ),
    StageSpec(
        5, _S.IP, "IP address", "control requests 400 and 401: an interface with an IPv4 address", "", (1, 5), 60
    ),
    StageSpec(
        6, _S.CLOUD_SOCKET, "cloud socket", "cloud:connatt is 1 or more and the cloud is being connected to", "",
        (1, 3), 60,
    ),
    StageSpec(
        7, _S.HANDSHAKE, "handshake", "control request 300: connected", "spark/status online, or the device's record",
        (2, 10), 300, "Device OS resets the network after 5 min of failures",
    ),
    StageSpec(
        8, _S.IDENTITY, "identity in the cloud", "",
        "online, a handshake of this test, product, platform, Device OS and firmware as expected", (0, 5), 30,
    ),
    StageSpec(
        9, _S.PUBLISH, "publish", "the application's publish is acknowledged", "the same nonce on the event stream",
        (0.3, 2), 30, "device-os-test-runner",
    ),
    StageSpec(
        10, _S.SUBSCRIBE, "event to the device", "the application got the event", "its echo on the event stream",
        (1, 3), 30, "device-os-test-runner",
    ),
    StageSpec(
        11, _S.FUNCTION, "function call", "the application was called with the argument", "the return value",
        (1, 2), 30, "device-os-test-runner",
    ),
    StageSpec(12, _S.VARIABLE, "variable", "", "the value", (1, 2), 30, "device-os-test-runner"),
    StageSpec(
        13, _S.VITALS, "vitals", "control request 100: signal, disconnects, rate limit within limits",
        "vitals newer than the test", (2, 5), 30,
    ),
    StageSpec(14, _S.PING, "ping", "", "the device answers the cloud", (0, 1), 20),
    StageSpec(
        15, _S.OTA, "update over the air", "module info shows the new application after a reset",
        "started, success, online with the new version, no safe mode", (10, 200), 600, "particle-cli, test runner",
    ),
    StageSpec(
        16, _S.GOODBYE, "clean goodbye", "control request 302, then 300: disconnected", "spark/status offline",
        (1, 3), 20,
    ),
    StageSpec(
        17, _S.RESTORE, "restore", "credentials and log handlers of the test are gone",
        "marks and locks of the test are gone", (0, 5), 60, strategies=_EVERY,
    ),
)  # fmt: skip
SPECS: Mapping[Stage, StageSpec] = {spec.stage: spec for spec in STAGES}
FIRST_REGISTRATION_S = 1200.0
"""A SIM that was never in a network gets two cycles of registration."""
