"""The way online: network attempt, cloud attempt, connection, and what stops them.

Source for the order and the flags: device-os v2.1.0 system/src/system_network_manager_api.cpp (network_connect,
testAndClearListeningModeFlag, manage_network_connection), system/src/control/cloud.cpp; for what is logged and which
errors are kept: v6.2.0 system/src/system_task.cpp, hal/network/ncp_client/sara/sara_ncp_client.cpp.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import astuple
from typing import Protocol

from particle_harness.network_trouble import (
    DENIED,
    DNS_BLOCKED,
    MODEM_DEAD,
    NO_ADDRESS,
    NO_CARRIER,
    NO_COVERAGE,
    NOT_SEARCHING,
    REFUSED,
    REGISTRATION_OF,
    REGISTRATION_TIMEOUT_S,
    ROAMING,
    SIM_DEAD,
    UDP_BLOCKED,
)
from particle_harness.state import BoardState
from particle_harness.timing import NETWORK_TIMING, NetworkTiming
from particle_harness.truth import Truth

NETWORK_ATTEMPT, CLOUD_ATTEMPT, CLOUD_CONNECTED = "network_attempt", "cloud_attempt", "cloud_connected"
CLOUD_WORK = "cloud_work"
EVENTS = (NETWORK_ATTEMPT, CLOUD_ATTEMPT, CLOUD_CONNECTED, CLOUD_WORK)
_FIRST_RETRY_S, _LONGEST_RETRY_S = 30.0, 3600.0
"""Assumed, not measured."""
_WORK_AFTER_S = 1.0
_NET_OFF, _NET_CONNECTING, _NET_CONNECTED = 0, 3, 4
_CLOUD_DISCONNECTED, _CLOUD_CONNECTING, _CLOUD_CONNECTED = 0, 1, 2
_AUTHENTICATION_ERROR, _GENERIC_ESTABLISH = 8, 17
"""Source: device-os v6.2.0 communication/inc/protocol_defs.h ProtocolError."""


class CloudAccess(Protocol):
    """The way to a cloud. ``attach`` and ``connect`` give why they do not succeed; empty: they do."""

    def attach(self) -> str:
        """A network takes the board in."""
        ...

    def connect(self) -> str:
        """The handshake is done: the board is online."""
        ...

    def goodbye(self) -> None:
        """The board ends its session."""
        ...

    def drop(self) -> None:
        """The board is gone without a word, if it had a session."""
        ...

    def work(self) -> None:
        """What waits in the cloud for the board is carried out."""
        ...


class Radio:
    """Acts on the board's state. ``schedule(at_s, name)`` and ``cancel(names)`` belong to the board's agenda."""

    def __init__(
        self,
        kind: str,
        state: BoardState,
        truth: Truth,
        schedule: Callable[[float, str], None],
        cancel: Callable[[tuple[str, ...]], None],
        *,
        scale: float = 1.0,
    ) -> None:
        timing = NETWORK_TIMING.get(kind)
        self._timing = timing and NetworkTiming(*(scale * s for s in astuple(timing)))
        self._scale = scale
        self._is_cellular = kind == "cellular"
        self._state = state
        self._truth = truth
        self._schedule = schedule
        self._cancel = cancel
        self.on_event: Callable[[str], None] = lambda _text: None
        """Told what a system would log."""
        self.on_modem: Callable[[str, str, str], None] = lambda _category, _level, _text: None
        """Told what a modem's driver would log: category, level, text."""
        self.has_wrong_access_point: Callable[[], bool] = lambda: False
        """Whether the access point that is stored is not the SIM's."""
        self.cloud: CloudAccess | None = None
        """None: every attempt succeeds, and nobody hears of it."""

    def start(self, at_s: float) -> None:
        """Begin to connect, counted from ``at_s``; nothing happens when it is about to."""
        if self._timing and not self._state.attempt_is_due:
            self._state.attempt_is_due = True
            self._schedule(at_s + self._timing.network_attempt_s, NETWORK_ATTEMPT)

    def power_on(self) -> None:
        """Power modem or Wi-Fi radio, if it is off. No data session follows from that."""
        if not self._state.radio_on:
            self._state.radio_on = self._state.radio_has_run = True
            self._truth.radio_power_ons += 1

    @property
    def is_on(self) -> bool:
        """Whether modem or Wi-Fi radio has power and answers."""
        return self._state.radio_on

    @property
    def is_registering(self) -> bool:
        """Whether an attempt at the network is under way."""
        return self._state.net_status == _NET_CONNECTING

    @property
    def registers_until_s(self) -> float | None:
        """When an attempt that is due, or under way, has come to a network or not; None without one."""
        times_s = {name: at_s for at_s, name, _ in self._state.events}
        if self.is_registering:
            return times_s.get(CLOUD_ATTEMPT)
        if self._timing is None or NETWORK_ATTEMPT not in times_s:
            return None
        return times_s[NETWORK_ATTEMPT] + self._timing.cloud_attempt_s - self._timing.network_attempt_s

    @property
    def network_is_up(self) -> bool:
        """Whether an interface has an address."""
        return self._state.net_status == _NET_CONNECTED

    def network_comes_up(self, at_s: float) -> None:
        """The board has joined a network by itself; the cloud follows if the flag says so."""
        self._state.net_status = _NET_CONNECTED
        self._state.net_attempts += 1
        self._truth.network_attempts += 1
        if self._state.auto_connect and not self._state.listening:
            self.go_to_cloud(at_s)

    def go_to_cloud(self, at_s: float) -> None:
        """Begin to connect to the cloud over the network that is up, unless there is a session."""
        if self._timing and self._state.cloud_status == _CLOUD_DISCONNECTED:
            self._cancel(EVENTS)
            self._state.attempt_is_due = False
            self._schedule(at_s + self._timing.cloud_attempt_s - self._timing.network_attempt_s, CLOUD_ATTEMPT)

    def stop(self) -> None:
        """Abort attempts, end a session, bring the interfaces down. The radio keeps its power, as executed
        (docs/emulator.md)."""
        self.leave_cloud()
        self._state.net_status = _NET_OFF

    def leave_cloud(self) -> None:
        """Abort attempts and end a session; a network that is up stays up."""
        self.abort()
        if self._state.cloud_status == _CLOUD_CONNECTED:
            self._state.cloud_disconnects += 1
            self._state.cloud_status = _CLOUD_DISCONNECTED
            self.on_event("Cloud: disconnected")
            if self.cloud:
                self.cloud.goodbye()

    def drop(self) -> None:
        """Power goes, or the core resets: a session ends without a word."""
        if self.cloud:
            self.cloud.drop()

    def abort(self) -> None:
        """Give up attempts that have not succeeded yet."""
        self._cancel(EVENTS)
        self._state.attempt_is_due = False
        if self._state.net_status == _NET_CONNECTING:
            self._state.net_status = _NET_OFF
        if self._state.cloud_status == _CLOUD_CONNECTING:
            self._state.cloud_status = _CLOUD_DISCONNECTED

    def handle(self, at_s: float, event: str) -> None:
        """One step of the way."""
        if event == NETWORK_ATTEMPT:
            self._attempt_network(at_s)
        elif event == CLOUD_WORK:
            if self.cloud:
                self.cloud.work()
        elif event == CLOUD_ATTEMPT:
            self._attempt_cloud(at_s)
        else:
            self._shake_hands(at_s)

    def _has(self, trouble: str) -> bool:
        return trouble in self._state.network_troubles

    def _attempt_network(self, at_s: float) -> None:
        assert self._timing is not None
        state, timing = self._state, self._timing
        self.power_on()
        state.attempt_is_due = False
        state.net_status = _NET_CONNECTING
        state.net_attempts += 1
        state.connecting_since_s = at_s
        self._truth.network_attempts += 1
        self.on_event("State changed: IFACE_DOWN -> IFACE_UP")
        self._schedule(at_s + timing.cloud_attempt_s - timing.network_attempt_s, CLOUD_ATTEMPT)

    def _attempt_cloud(self, at_s: float) -> None:
        assert self._timing is not None
        state, timing = self._state, self._timing
        if state.net_status != _NET_CONNECTED and not self._attach(at_s):
            self._retry(at_s, CLOUD_ATTEMPT)
            return
        state.net_status = _NET_CONNECTED
        state.cloud_attempts += 1
        self._truth.cloud_attempts += 1
        self.on_event("Cloud: connecting")
        if self._has(DNS_BLOCKED):
            self.on_event("Cloud socket connection failed: -230")
            self.on_event("Internet test failed: DNS")
            self._retry(at_s, CLOUD_ATTEMPT)
            return
        state.cloud_status = _CLOUD_CONNECTING
        self.on_event("Cloud socket connected")
        self._schedule(at_s + timing.connected_s - timing.cloud_attempt_s, CLOUD_CONNECTED)

    def _attach(self, at_s: float) -> bool:
        """Whether a network takes the board in, and gives it an address."""
        state = self._state
        if self._has(MODEM_DEAD):
            self.on_modem("ncp.client", "ERROR", "No response from NCP")
            return False
        reason = self.cloud.attach() if self.cloud else ""
        trouble = next((name for name in (SIM_DEAD, NO_COVERAGE, NO_CARRIER, DENIED) if self._has(name)), "")
        if reason or trouble:
            state.registration = REGISTRATION_OF.get(trouble, NOT_SEARCHING if "coverage" in reason else REFUSED)
            self._tell_registration()
            if at_s - state.connecting_since_s >= REGISTRATION_TIMEOUT_S * self._scale:
                text = "Resetting the modem due to the network registration timeout"
                self.on_modem("ncp.client", "WARN", text)
                state.connecting_since_s = at_s
            return False
        state.registration = ROAMING
        self._tell_registration()
        self.on_event("State changed: IFACE_UP -> IFACE_LINK_UP")
        if self._has(NO_ADDRESS) or self.has_wrong_access_point():
            return False
        self.on_event("State changed: IFACE_LINK_UP -> IP_CONFIGURED")
        return True

    def _tell_registration(self) -> None:
        if self._is_cellular:
            self.on_modem("ncp.at", "TRACE", "> AT+CEREG?")
            self.on_modem("ncp.at", "TRACE", f"< +CEREG: 2,{self._state.registration}")

    def _shake_hands(self, at_s: float) -> None:
        state, truth = self._state, self._truth
        self.on_event("Starting handshake: presence_announce=0")
        reason = "nothing comes back" if self._has(UDP_BLOCKED) else self.cloud.connect() if self.cloud else ""
        if reason:
            state.cloud_attempts += 1
            truth.cloud_attempts += 1
            state.cloud_error = _AUTHENTICATION_ERROR if "key" in reason else _GENERIC_ESTABLISH
            self.on_event("Internet available, cloud not reachable")
            self.on_event(f"Cloud handshake failed, code={state.cloud_error}")
            self._retry(at_s, CLOUD_CONNECTED)
            return
        state.cloud_status = _CLOUD_CONNECTED
        state.connect_failures = 0
        self.on_event("Cloud connected")
        self.on_event("Cloud: connected")
        if truth.first_connected_at_s is None:
            truth.first_connected_at_s = at_s
        if self.cloud:
            self._schedule(at_s + _WORK_AFTER_S * self._scale, CLOUD_WORK)

    def _retry(self, at_s: float, event: str) -> None:
        """Later and later."""
        wait_s = min(_FIRST_RETRY_S * 2**self._state.connect_failures, _LONGEST_RETRY_S)
        self._state.connect_failures = min(self._state.connect_failures + 1, 10)
        self._schedule(at_s + wait_s * self._scale, event)
