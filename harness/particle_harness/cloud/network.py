"""The simulated network between boards and cloud: coverage, SIMs, keys, sessions, and what goes down to devices.

Stands for radio, CoAP and DTLS together. A board's side of it is a :class:`Peer` in this process, or a
:class:`RemotePeer` that another process asks for.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

CELLULAR, WIFI = "cellular", "wifi"
KEEP_ALIVE_S = {CELLULAR: 23 * 60.0, WIFI: 25.0}
"""Source: device-os v6.2.0 communication/src/protocol_defs.h; cellular networks of Particle's SIMs."""


@dataclass(frozen=True, slots=True)
class Hello:
    """What a device brings along to a handshake, with what the network knows of it."""

    device_id: str
    platform_id: int
    radio: str = CELLULAR
    iccid: str = ""
    firmware_product_id: int = 0
    firmware_version: int = 0
    system_version: int = 0
    system_release: str = ""
    app_hash: str = ""
    key_fingerprint: str = ""
    functions: tuple[str, ...] = ()
    variables: Mapping[str, str] = field(default_factory=dict)
    """Name to type: ``int32``, ``double``, ``string``, ``bool``."""
    last_reset: str = "power_down"
    safe_mode: str = ""
    """The describe text of a device in safe mode; empty: its application runs."""
    claim_code: str = ""


def hello_from(table: Mapping[str, Any]) -> Hello:
    """From JSON."""
    return Hello(**{**table, "functions": tuple(table.get("functions", ()))})


@dataclass(frozen=True, slots=True)
class Command:
    """Something for a device. ``do``: function, variable, signal, ping, update, diagnostics, event."""

    id: str
    do: str
    arguments: Mapping[str, Any] = field(default_factory=dict)


class NoServiceError(Exception):
    """The network does not carry this device; the reason is for tests, a device only sees that nothing works."""


class NoAnswerError(Exception):
    """The device does not answer."""


class SilentDeviceError(Exception):
    """The device has taken a command, and no answer will ever come; nobody is told so."""


class Peer(Protocol):
    """A device's end of its session."""

    def serve(self, command: Command) -> Any:
        """Carry out a command and give its result. Raises NoAnswerError."""
        ...

    def advance(self) -> None:
        """Catch up with the device's clock."""
        ...


class RemotePeer:
    """A device in another process: commands wait until it asks for them."""

    def serve(self, command: Command) -> Any:
        """Never: it is asked for elsewhere."""
        raise NotImplementedError

    def advance(self) -> None:
        """Its process does that."""


@dataclass(slots=True)
class _Pending:
    command: Command
    is_answered: bool = False
    result: Any = None
    failure: str = ""


class Network:
    """Who can be reached where. Coverage is open unless a test closes it."""

    def __init__(self, new_id: Callable[[], str]) -> None:
        self._new_id = new_id
        self._peers: dict[str, Peer] = {}
        self._queues: dict[str, deque[_Pending]] = {}
        self._handed_out: dict[str, _Pending] = {}
        self._subscriptions: dict[str, set[str]] = {}
        self._changed = threading.Condition()
        self._may_wait = True
        self.coverage = {CELLULAR: True, WIFI: True}
        """By radio."""
        self.no_coverage: set[str] = set()
        """Device ids that stand where nothing reaches them."""
        self.on_answer: Callable[[str, Command, Any, str], None] = lambda _device, _command, _result, _failure: None
        """Told of what came back, without the cloud's lock."""

    # -- peers -----------------------------------------------------------------------------------------------------

    def join(self, device_id: str, peer: Peer) -> None:
        """Put a device into the network; that alone connects nothing."""
        self._peers[device_id] = peer

    def join_remotely(self, device_ids: Iterable[str]) -> None:
        """Devices of another process, which may have joined before this server started."""
        for device_id in device_ids:
            self._peers.setdefault(device_id, RemotePeer())

    def leave(self, device_id: str) -> None:
        """Take a device out."""
        self._peers.pop(device_id, None)

    def advance(self) -> None:
        """Let all devices of this process catch up with their clocks. Never under the cloud's lock."""
        for peer in tuple(self._peers.values()):
            peer.advance()

    def carries(self, hello: Hello) -> None:
        """Raises NoServiceError where there is no coverage."""
        if hello.device_id in self.no_coverage:
            raise NoServiceError("no coverage where the device is")
        if not self.coverage.get(hello.radio, True):
            raise NoServiceError(f"no {hello.radio} coverage")

    def subscribe(self, device_id: str, prefix: str) -> None:
        """Bring events of these names down to the device, as long as its session lasts."""
        with self._changed:
            self._subscriptions.setdefault(device_id, set()).add(prefix)

    def publish(self, device_ids: Iterable[str], name: str, data: str) -> None:
        """Queue an event for those of these devices that have subscribed to it."""
        with self._changed:
            subscriptions = {i: tuple(self._subscriptions.get(i, ())) for i in device_ids}
        for device_id, prefixes in subscriptions.items():
            if name.startswith(prefixes):
                self.send(device_id, "event", name=name, data=data)

    # -- commands --------------------------------------------------------------------------------------------------

    def send(self, device_id: str, do: str, **arguments: Any) -> Command:
        """Queue a command; :meth:`deliver` brings it down."""
        pending = _Pending(Command(self._new_id(), do, arguments))
        with self._changed:
            self._queues.setdefault(device_id, deque()).append(pending)
            self._changed.notify_all()
        return pending.command

    def ask(self, device_id: str, do: str, timeout_s: float, **arguments: Any) -> Any:
        """Send a command and wait for its result; never under the cloud's lock. Raises NoAnswerError."""
        pending = _Pending(Command(self._new_id(), do, arguments))
        with self._changed:
            self._queues.setdefault(device_id, deque()).append(pending)
            self._changed.notify_all()
        self.deliver()
        with self._changed:
            if isinstance(self._peers.get(device_id), RemotePeer):
                self._changed.wait_for(lambda: pending.is_answered, timeout_s)
            queue = self._queues.get(device_id)
            if queue and pending in queue:
                queue.remove(pending)
        if not pending.is_answered or pending.failure:
            raise NoAnswerError(pending.failure or "no answer")
        return pending.result

    def deliver(self) -> None:
        """Bring queued commands to devices of this process; never under the cloud's lock."""
        while found := self._next_for_local_peer():
            device_id, peer, pending = found
            try:
                self._answered(device_id, pending, peer.serve(pending.command), "")
            except NoAnswerError as error:
                self._answered(device_id, pending, None, str(error) or "no answer")
            except SilentDeviceError:
                continue

    def drop_commands(self, device_id: str) -> None:
        """Forget what waits for a device whose session has ended."""
        with self._changed:
            self._subscriptions.pop(device_id, None)
            for pending in self._queues.pop(device_id, ()):
                pending.is_answered, pending.failure = True, "the session has ended"
            self._changed.notify_all()

    def take(self, device_id: str) -> tuple[Command, ...]:
        """Commands for a device of another process, which answers with :meth:`answer`."""
        with self._changed:
            queue = self._queues.get(device_id, deque())
            taken = tuple(queue)
            queue.clear()
            self._handed_out.update({pending.command.id: pending for pending in taken})
            return tuple(pending.command for pending in taken)

    def answer(self, device_id: str, command_id: str, result: Any, failure: str = "") -> None:
        """What a device of another process did with a command."""
        pending = self._handed_out.pop(command_id, None)
        if pending is not None:
            self._answered(device_id, pending, result, failure)

    def wait_for_commands(self, device_ids: tuple[str, ...], timeout_s: float) -> None:
        """Until there is a command for one of these devices."""
        with self._changed:
            self._changed.wait_for(
                lambda: not self._may_wait or any(self._queues.get(device_id) for device_id in device_ids), timeout_s
            )

    def let_wait(self, may_wait: bool) -> None:
        """Whether anybody may wait for commands: not while a server stops."""
        with self._changed:
            self._may_wait = may_wait
            self._changed.notify_all()

    def _next_for_local_peer(self) -> tuple[str, Peer, _Pending] | None:
        with self._changed:
            for device_id, queue in self._queues.items():
                peer = self._peers.get(device_id)
                if queue and peer is not None and not isinstance(peer, RemotePeer):
                    return device_id, peer, queue.popleft()
        return None

    def _answered(self, device_id: str, pending: _Pending, result: Any, failure: str) -> None:
        with self._changed:
            pending.is_answered, pending.result, pending.failure = True, result, failure
            self._changed.notify_all()
        self.on_answer(device_id, pending.command, result, failure)
