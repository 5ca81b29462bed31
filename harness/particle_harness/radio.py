"""The way online: network attempt, cloud attempt, connection, and what stops them.

Source for the order and the flags: device-os v2.1.0 system/src/system_network_manager_api.cpp (network_connect,
testAndClearListeningModeFlag, manage_network_connection), system/src/control/cloud.cpp.
"""

from __future__ import annotations

from collections.abc import Callable

from particle_harness.state import BoardState
from particle_harness.timing import NETWORK_TIMING
from particle_harness.truth import Truth

NETWORK_ATTEMPT, CLOUD_ATTEMPT, CLOUD_CONNECTED = "network_attempt", "cloud_attempt", "cloud_connected"
EVENTS = (NETWORK_ATTEMPT, CLOUD_ATTEMPT, CLOUD_CONNECTED)
_NET_OFF, _NET_CONNECTING, _NET_CONNECTED = 0, 3, 4
_CLOUD_DISCONNECTED, _CLOUD_CONNECTING, _CLOUD_CONNECTED = 0, 1, 2


class Radio:
    """Acts on the board's state. ``schedule(at_s, name)`` and ``cancel(names)`` belong to the board's agenda."""

    def __init__(
        self,
        kind: str,
        state: BoardState,
        truth: Truth,
        schedule: Callable[[float, str], None],
        cancel: Callable[[tuple[str, ...]], None],
    ) -> None:
        self._timing = NETWORK_TIMING.get(kind)
        self._state = state
        self._truth = truth
        self._schedule = schedule
        self._cancel = cancel

    def start(self, at_s: float) -> None:
        """Begin to connect, counted from ``at_s``."""
        if self._timing:
            self._schedule(at_s + self._timing.network_attempt_s, NETWORK_ATTEMPT)

    def stop(self) -> None:
        """Abort attempts, end a session, bring the interfaces down."""
        self.abort()
        if self._state.cloud_status == _CLOUD_CONNECTED:
            self._state.cloud_disconnects += 1
        self._state.net_status = _NET_OFF
        self._state.cloud_status = _CLOUD_DISCONNECTED

    def abort(self) -> None:
        """Give up attempts that have not succeeded yet."""
        self._cancel(EVENTS)
        if self._state.net_status == _NET_CONNECTING:
            self._state.net_status = _NET_OFF
        if self._state.cloud_status == _CLOUD_CONNECTING:
            self._state.cloud_status = _CLOUD_DISCONNECTED

    def handle(self, at_s: float, event: str) -> None:
        """One step of the way."""
        assert self._timing is not None
        state, truth, timing = self._state, self._truth, self._timing
        if event == NETWORK_ATTEMPT:
            state.net_status = _NET_CONNECTING
            state.net_attempts += 1
            truth.network_attempts += 1
            self._schedule(at_s + timing.cloud_attempt_s - timing.network_attempt_s, CLOUD_ATTEMPT)
        elif event == CLOUD_ATTEMPT:
            state.net_status = _NET_CONNECTED
            state.cloud_status = _CLOUD_CONNECTING
            state.cloud_attempts += 1
            truth.cloud_attempts += 1
            self._schedule(at_s + timing.connected_s - timing.cloud_attempt_s, CLOUD_CONNECTED)
        else:
            state.cloud_status = _CLOUD_CONNECTED
            if truth.first_connected_at_s is None:
                truth.first_connected_at_s = at_s
