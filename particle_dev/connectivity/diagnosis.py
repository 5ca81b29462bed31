"""From what was observed to a failure code. Pure: no clock, no device, no cloud."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from particle_dev.catalog.modules import ModuleFunction
from particle_dev.connectivity.failures import FailureCode
from particle_dev.errors import (
    CloudDeviceTimeoutError,
    CloudError,
    CloudLimitError,
    CloudNotFoundError,
    DeviceModeError,
    DeviceNotFoundError,
    LinkDisconnectedError,
    LinkTimeoutError,
    ParticleDevError,
    ProtocolError,
    RequestRefusedError,
    TransportError,
    WrongDeviceError,
)
from particle_dev.protocol.messages import InstalledModule

_CEREG = re.compile(r"\+C(?:E|G)?REG: \d,(\d)")
_HANDSHAKE = re.compile(r"Cloud handshake failed, code=(-?\d+)")
REGISTERED = frozenset({1, 5})
_AT_NOT_OK, _TIMEOUT, _PROTECTED = -1200, -160, -1801
_AUTHENTICATION, _LOSS = 8, frozenset({1, 10, 17})
WEAK_DBM = -110.0
"""Below that, lost datagrams are put down to the signal (a proposal)."""


@dataclass(frozen=True, slots=True)
class LogMessage:
    """One line of the board's log; ``at_s`` seconds since the test began."""

    at_s: float
    category: str
    level: str
    text: str


@dataclass(slots=True)
class Observed:
    """What is known so far. ``has_log`` False: the board does not log to USB, so a missing line means nothing."""

    has_log: bool = False
    log: list[LogMessage] = field(default_factory=list)
    diagnostics: Mapping[str, int] = field(default_factory=dict)
    event_names: list[tuple[str, str]] = field(default_factory=list)
    """Name and data of the device's events in the cloud."""
    apn: str | None = None
    """An access point name that is stored and not the default."""
    ssid: str | None = None
    """The network that the board is to join."""
    scanned: tuple[str, ...] | None = None
    """SSIDs in the air; None: not scanned."""
    missing_modules: tuple[str, ...] = ()
    in_safe_mode: bool = False
    strength_dbm: float | None = None
    is_paused: bool = False
    """The account's plan is used up."""

    def logged(self, text: str) -> bool:
        """Whether the log has a line with this text."""
        return any(text in message.text for message in self.log)

    @property
    def registration(self) -> int | None:
        """The latest state that an AT command told: 0, 1, 2, 3, 5."""
        found = (m for message in reversed(self.log) if (m := _CEREG.search(message.text)))
        match = next(found, None)
        return int(match[1]) if match else None

    @property
    def handshake_error(self) -> int:
        """Error of the latest handshake that failed; 0: none."""
        found = (m for message in reversed(self.log) if (m := _HANDSHAKE.search(message.text)))
        match = next(found, None)
        return int(match[1]) if match else self.diagnostics.get("cloud:err", 0)

    def had_event(self, *names: str) -> bool:
        """Whether the device had an event of one of these names."""
        return any(name in names for name, _ in self.event_names)


SAFE_MODE_EVENTS = ("spark/status/safe-mode", "spark/device/safemode")
KEY_ERROR_EVENT = "spark/device/key/error"


def why_no_radio(result_code: int | None, observed: Observed) -> FailureCode:
    """Control request 554 failed with that result; None: it gave none."""
    if observed.logged("No response from NCP") or result_code in (None, _TIMEOUT):
        return FailureCode.MODEM_DEAD
    return FailureCode.SIM_DEAD if result_code == _AT_NOT_OK else FailureCode.MODEM_DEAD


def why_no_network(observed: Observed, *, cellular: bool) -> FailureCode:
    """Neither registered nor associated within the time."""
    if not cellular:
        if observed.scanned is not None and observed.ssid is not None and observed.ssid not in observed.scanned:
            return FailureCode.WIFI_NOAP
        return FailureCode.WIFI_AUTH
    if observed.logged("No response from NCP"):
        return FailureCode.MODEM_DEAD
    match observed.registration:
        case 0:
            return FailureCode.REG_0
        case 2:
            return FailureCode.REG_2
        case 3:
            return FailureCode.REG_3
    # Without a log, registration and what follows it look alike from outside.
    return FailureCode.IP_APN if observed.apn else FailureCode.REG_TMO


def why_no_address(observed: Observed) -> FailureCode:
    """Registered or associated, and no address."""
    return FailureCode.IP_APN if observed.apn else FailureCode.IP_DHCP


def why_no_socket(observed: Observed) -> FailureCode:
    """An address, and no way to the cloud."""
    if observed.logged("Internet available, cloud not reachable") and not observed.logged("Internet test failed"):
        return FailureCode.NET_CLOUD
    return FailureCode.NET_DNS


def hopeless_handshake(observed: Observed) -> FailureCode | None:
    """A failure that no waiting mends; None: wait on."""
    if observed.had_event(KEY_ERROR_EVENT) or observed.handshake_error == _AUTHENTICATION:
        return FailureCode.TLS_KEY
    if observed.in_safe_mode or observed.had_event(*SAFE_MODE_EVENTS):
        return FailureCode.CLD_SAFE
    return None


def why_no_handshake(observed: Observed) -> FailureCode:
    """No session within the time."""
    if code := hopeless_handshake(observed):
        return code
    if observed.is_paused:
        return FailureCode.ACC_PAUSE
    if observed.logged("Internet test failed"):
        return FailureCode.NET_DNS
    is_weak = observed.strength_dbm is not None and observed.strength_dbm < WEAK_DBM
    if is_weak and observed.handshake_error in _LOSS:
        return FailureCode.TLS_SIG
    return FailureCode.NET_CLOUD


def code_of(error: ParticleDevError) -> FailureCode:
    """The code of an error that a stage did not expect."""
    if isinstance(error, CloudLimitError):
        return FailureCode.LIM_529 if error.status == 529 or "stream" in error.limit else FailureCode.LIM_429
    for kind, code in _CODES:
        if isinstance(error, kind):
            return code
    if isinstance(error, RequestRefusedError):
        return FailureCode.BRD_PROT if error.result_code == _PROTECTED else FailureCode.BRD_MUTE
    return FailureCode.BRD_MUTE


_CODES: tuple[tuple[type[ParticleDevError], FailureCode], ...] = (
    (CloudDeviceTimeoutError, FailureCode.FN_408),
    (CloudNotFoundError, FailureCode.FN_404),
    (CloudError, FailureCode.API_FAIL),
    (WrongDeviceError, FailureCode.BRD_SWAP),
    (DeviceNotFoundError, FailureCode.BRD_GONE),
    (DeviceModeError, FailureCode.BRD_DFU),
    (LinkDisconnectedError, FailureCode.BRD_GONE),
    (LinkTimeoutError, FailureCode.BRD_MUTE),
    (ProtocolError, FailureCode.BRD_MUTE),
    (TransportError, FailureCode.API_FAIL),
)


def missing_text(names: Iterable[str]) -> str:
    """What modules lack, for people."""
    return "; ".join(names) or "its modules are not complete"


def module_title(module: InstalledModule) -> str:
    """As messages name it."""
    return f"{ModuleFunction(module.function).label} {module.index} {module.version}"


def incomplete(modules: tuple[InstalledModule, ...]) -> tuple[str, ...]:
    """Modules in their places that the device itself finds bad."""
    return tuple(
        f"{module_title(m)} fails its check of {m.failed.name or m.failed}"
        for m in modules
        if m.store == 0 and m.failed
    )
