"""Ways from virtual boards to a simulated cloud: in this process, or over its link endpoint in another."""

from __future__ import annotations

import http.client
import json
import threading
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any
from urllib.parse import urlsplit

from particle_dev.errors import BenchError
from particle_harness.cloud.api_names import LINK_PATH, LINK_TOKEN_HEADER
from particle_harness.cloud.network import Command, Hello, NoAnswerError, NoServiceError, SilentDeviceError
from particle_harness.cloud.population import make_record
from particle_harness.cloud.sim_cloud import SimCloud
from particle_harness.cloud_side import CloudLink, CloudSide

_WAIT_S = 10.0
_TIMEOUT_S = 30.0
_PAUSE_AFTER_FAILURE_S = 1.0


def link_to(cloud: SimCloud | str) -> CloudLink:
    """The way to a cloud: an object of this process, or ``http://HOST:PORT/#LINK-TOKEN``. Raises BenchError."""
    if isinstance(cloud, str):
        return RemoteLink(cloud)
    if not isinstance(cloud, SimCloud):
        raise BenchError(
            f"option cloud = {cloud!r} is no cloud",
            key="bench.options.cloud",
            hint="give what `particle-dev sim cloud` prints",
        )
    return InProcessLink(cloud)


class InProcessLink:
    """Calls the cloud. Boards hold their own lock meanwhile, the cloud never holds its lock when it calls them."""

    def __init__(self, cloud: SimCloud) -> None:
        self._cloud = cloud
        self._joined: list[str] = []

    def join(self, peer: CloudSide, identity: Mapping[str, Any]) -> None:
        """Put a board into the network; a record that the cloud lacks is made."""
        make_record(self._cloud, identity)
        self._cloud.clock.follow(peer.clock)
        self._cloud.network.join(peer.device_id, peer)
        self._joined.append(peer.device_id)

    def attach(self, hello: Hello) -> str:
        """As CloudLink."""
        return _reason(self._cloud.sessions.attach, hello)

    def connect(self, hello: Hello) -> str:
        """As CloudLink."""
        return _reason(self._cloud.sessions.connect, hello)

    def goodbye(self, device_id: str) -> None:
        """As CloudLink."""
        self._cloud.sessions.goodbye(device_id)

    def lost(self, device_id: str) -> None:
        """As CloudLink."""
        self._cloud.sessions.lost(device_id)

    def publish(self, device_id: str, name: str, data: str | None) -> bool:
        """As CloudLink."""
        return self._cloud.sessions.publish(device_id, name, data)

    def subscribe(self, device_id: str, prefix: str) -> None:
        """As CloudLink."""
        self._cloud.network.subscribe(device_id, prefix)

    def work(self, device_id: str) -> None:  # noqa: ARG002  # all of them
        """As CloudLink."""
        self._cloud.network.deliver()

    def close(self) -> None:
        """As CloudLink."""
        for device_id in self._joined:
            self._cloud.network.leave(device_id)


def _reason(act: Any, hello: Hello) -> str:
    try:
        act(hello)
    except NoServiceError as error:
        return str(error)
    return ""


def _parts(url: str) -> tuple[str, int, str] | None:
    """Host, port and token of a link; None when it is none."""
    try:
        parts = urlsplit(url)
        host, port = parts.hostname, parts.port
    except ValueError:
        return None
    return (host, port, parts.fragment) if parts.scheme == "http" and host and port and parts.fragment else None


class RemoteLink:
    """Talks to the cloud of another process. Without an answer there is no network."""

    def __init__(self, url: str) -> None:
        found = _parts(url)
        if found is None:
            raise BenchError(
                f"cloud = {url!r} names no simulated cloud",
                key="bench.options.cloud",
                hint='particle-dev sim cloud prints what belongs there: "http://127.0.0.1:PORT/#TOKEN"',
            )
        self._host, self._port, self._token = found
        self._peers: dict[str, CloudSide] = {}
        self._fetcher: threading.Thread | None = None
        self._lock = threading.Lock()
        self._is_closed = threading.Event()

    def join(self, peer: CloudSide, identity: Mapping[str, Any]) -> None:
        """Put a board into the network. Raises BenchError when no cloud answers."""
        try:
            self._ask({"do": "join", "device_id": peer.device_id, "identity": dict(identity)})
        except OSError as error:
            raise BenchError(
                f"no simulated cloud answers on {self._host}:{self._port}: {error}", hint="particle-dev sim cloud"
            ) from error
        with self._lock:
            self._peers[peer.device_id] = peer
            if self._fetcher is None:
                self._fetcher = threading.Thread(target=self._fetch, name="cloud link", daemon=True)
                self._fetcher.start()

    def attach(self, hello: Hello) -> str:
        """As CloudLink."""
        return self._try({"do": "attach", "hello": asdict(hello)})

    def connect(self, hello: Hello) -> str:
        """As CloudLink."""
        return self._try({"do": "connect", "hello": asdict(hello)})

    def goodbye(self, device_id: str) -> None:
        """As CloudLink."""
        self._try({"do": "goodbye", "device_id": device_id})

    def lost(self, device_id: str) -> None:
        """As CloudLink."""
        self._try({"do": "lost", "device_id": device_id})

    def publish(self, device_id: str, name: str, data: str | None) -> bool:
        """As CloudLink."""
        return not self._try({"do": "publish", "device_id": device_id, "name": name, "data": data})

    def subscribe(self, device_id: str, prefix: str) -> None:
        """As CloudLink."""
        self._try({"do": "subscribe", "device_id": device_id, "name": prefix})

    def work(self, device_id: str) -> None:
        """Nothing: a thread fetches what comes down."""

    def close(self) -> None:
        """As CloudLink; the thread ends after what it waits for."""
        self._is_closed.set()

    def _try(self, request: Mapping[str, Any]) -> str:
        try:
            return str(self._ask(request).get("reason", ""))
        except OSError as error:
            return f"no network: {error}"

    def _ask(self, request: Mapping[str, Any]) -> dict[str, Any]:
        connection = http.client.HTTPConnection(self._host, self._port, timeout=_TIMEOUT_S)
        try:
            headers = {"Content-Type": "application/json", LINK_TOKEN_HEADER: self._token}
            connection.request("POST", LINK_PATH, json.dumps(request), headers)
            response = connection.getresponse()
            text = response.read()
            if response.status != 200:
                raise ConnectionError(f"the link answered {response.status}: is the token right?")
            answer: dict[str, Any] = json.loads(text)
            return answer
        except http.client.HTTPException as error:
            raise ConnectionError(str(error)) from error
        finally:
            connection.close()

    def _fetch(self) -> None:
        was_away = False
        while not self._is_closed.is_set():
            wait_s = 0.0 if was_away else _WAIT_S
            try:
                found = self._ask({"do": "wait", "device_ids": list(self._peers), "timeout_s": wait_s})
            except OSError:
                was_away = True
                self._is_closed.wait(_PAUSE_AFTER_FAILURE_S)
                continue
            if was_away:
                was_away = False
                for peer in tuple(self._peers.values()):
                    peer.resume()
            for table in found["commands"]:
                self._serve(table["device_id"], Command(table["id"], table["do"], table["arguments"]))

    def _serve(self, device_id: str, command: Command) -> None:
        result, failure = None, ""
        try:
            result = self._peers[device_id].serve(command)
        except NoAnswerError as error:
            failure = str(error) or "no answer"
        except SilentDeviceError:
            return
        self._try(
            {"do": "answer", "device_id": device_id, "command_id": command.id, "result": result, "failure": failure}
        )
