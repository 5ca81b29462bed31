"""A board's side of the cloud: what it tells in a handshake, and what it does with what comes down.

The link to a cloud is the bench's (option ``cloud``). Without one every attempt to connect succeeds, and nothing comes.
"""

from __future__ import annotations

import base64
import hashlib
import json
import threading
from collections.abc import Callable, Mapping
from typing import Any, Protocol

from particle_dev.catalog.modules import ModuleFunction, ModuleStore
from particle_harness import air
from particle_harness.boards import Hardware
from particle_harness.boot_view import BootView, user_module
from particle_harness.clock import Clock
from particle_harness.cloud.firmware_file import product_at
from particle_harness.cloud.network import CELLULAR, WIFI, Command, Hello, NoAnswerError, SilentDeviceError
from particle_harness.network_trouble import UPDATES_STALL
from particle_harness.resets import (
    RESET_DFU,
    RESET_FACTORY,
    RESET_PIN,
    RESET_POWER_DOWN,
    RESET_SAFE_MODE,
    RESET_UPDATE,
    RESET_USER,
)
from particle_harness.running import BoardSystem
from particle_harness.state import BoardState

_CONNECTED = 2
_CLAIM_CODE_PLACE = (1762, 63)
_TCP_KEY_PLACE, _UDP_KEY_PLACE = (34, 1216), (3106, 192)
_NO_KEY = "none"
_CHUNK_BYTES = 512
_TINKER = ("analogread", "analogwrite", "digitalread", "digitalwrite")
_RESETS = {
    RESET_POWER_DOWN: "power_down",
    RESET_PIN: "pin_reset",
    RESET_UPDATE: "update",
    RESET_FACTORY: "factory_reset",
    RESET_SAFE_MODE: "safe_mode",
    RESET_DFU: "dfu_mode",
    RESET_USER: "user",
}


class CloudLink(Protocol):
    """The way from boards to one cloud. ``attach`` and ``connect`` give why not; empty: done."""

    def join(self, peer: CloudSide, identity: Mapping[str, Any]) -> None:
        """Put a board into the network."""
        ...

    def attach(self, hello: Hello) -> str:
        """Get data service."""
        ...

    def connect(self, hello: Hello) -> str:
        """Shake hands."""
        ...

    def goodbye(self, device_id: str) -> None:
        """End the session."""
        ...

    def lost(self, device_id: str) -> None:
        """The board is gone without a word."""
        ...

    def publish(self, device_id: str, name: str, data: str | None) -> bool:
        """Publish an event."""
        ...

    def subscribe(self, device_id: str, prefix: str) -> None:
        """Get events of these names, as long as the session lasts."""
        ...

    def work(self, device_id: str) -> None:
        """Serve commands that wait for this board."""
        ...

    def close(self) -> None:
        """Boards have left; nothing is served any more."""
        ...


class CloudSide:
    """On the state of a board; ``lock`` and ``advance`` are the board's."""

    def __init__(
        self,
        hardware: Hardware,
        state: BoardState,
        system: BoardSystem,
        view: Callable[[], BootView],
        clock: Clock,
        lock: threading.RLock,
        advance: Callable[[], None],
        link: CloudLink | None,
    ) -> None:
        self._hardware = hardware
        self._state = state
        self._system = system
        self._view = view
        self.clock = clock
        self._lock = lock
        self._advance = advance
        self._link = link
        self._levels: dict[str, int] = {}

    # -- what the radio asks ---------------------------------------------------------------------------------------

    def join(self) -> None:
        """Put the board into its cloud's network, as its factory did."""
        if self._link is not None:
            self._link.join(self, self._identity())

    def attach(self) -> str:
        """Why no network takes the board in; empty: one does."""
        if self._link is None:
            return ""
        hello = self.hello()
        if hello.radio == WIFI and self._access_point() is None:
            return "no access point takes it"
        return self._link.attach(hello)

    def connect(self) -> str:
        """Why the handshake fails; empty: the board is online, and metered."""
        if self._link is None:
            return ""
        hello = self.hello()
        if reason := self._link.connect(hello):
            return reason
        if hello.claim_code:
            self._system.dct.write(_CLAIM_CODE_PLACE[0], b"\0" * _CLAIM_CODE_PLACE[1])
        return ""

    def goodbye(self) -> None:
        """A session that the board ends itself."""
        if self._link is not None:
            self._link.goodbye(self._state.device_id)

    def drop(self) -> None:
        """Power or reset: a session ends without a word."""
        if self._link is not None and self._state.cloud_status == _CONNECTED:
            self._link.lost(self._state.device_id)

    def work(self) -> None:
        """Look what the cloud has for the board."""
        if self._link is not None and self._state.cloud_status == _CONNECTED:
            self._link.work(self._state.device_id)

    # -- what the cloud asks ---------------------------------------------------------------------------------------

    @property
    def device_id(self) -> str:
        """24 lower-case hex digits."""
        return self._state.device_id

    def advance(self) -> None:
        """Catch up with the board's clock."""
        self._advance()

    def resume(self) -> None:
        """The cloud has been away and is back: a session goes on, which to the cloud is a handshake."""
        with self._lock:
            self._advance()
            if self._link is not None and self._state.cloud_status == _CONNECTED:
                self._link.connect(self.hello())

    def serve(self, command: Command) -> Any:
        """Carry out a command. Raises NoAnswerError when the board is not online or refuses."""
        with self._lock:
            self._advance()
            if self._state.cloud_status != _CONNECTED or self._state.halted_at_s is not None:
                raise NoAnswerError("the board is not online")
            given = command.arguments
            match command.do:
                case "signal":
                    self._system.signal(bool(given["on"]))
                case "function":
                    return self._call(str(given["name"]), str(given["argument"]))
                case "diagnostics":
                    self._publish_vitals()
                case "event":
                    return int(self._system.application.receive(str(given["name"]), str(given["data"])))
                case "update":
                    if UPDATES_STALL in self._state.network_troubles:
                        raise SilentDeviceError("it takes the update, and says no more")
                    return self._update(base64.b64decode(given["file"]))
                case "variable":
                    raise NoAnswerError("the application has no variables")
            return 0

    def hello(self) -> Hello:
        """What the board tells about itself in a handshake, with the SIM or access point that carries it."""
        state, system = self._state, self._system
        product_id, version, app_hash = self._application()
        code = system.dct.read(*_CLAIM_CODE_PLACE).rstrip(b"\0\xff").decode("ascii", "replace")
        return Hello(
            state.device_id,
            self._hardware.platform_id,
            CELLULAR if system.has_cellular else WIFI,
            system.modem.sim_iccid if system.has_cellular else "",
            product_id,
            version,
            system.version,
            system.device_os,
            app_hash,
            self._key_fingerprint(),
            () if state.safe_mode else (*_TINKER, *system.application.functions),
            {},
            _RESETS.get(state.reset_reason, "unknown"),
            system.describe() if state.safe_mode else "",
            code,
        )

    # -- inside ----------------------------------------------------------------------------------------------------

    def _identity(self) -> dict[str, Any]:
        system = self._system
        identity: dict[str, Any] = {
            "device_id": self._state.device_id,
            "platform_id": self._hardware.platform_id,
            "serial_number": system.serial_number,
            "mobile_secret": system.device_secret,
            "key_fingerprint": self._key_fingerprint(),
            "has_modem": system.has_cellular,
        }
        if system.has_cellular:
            identity |= {"iccid": system.modem.internal_iccid, "imei": system.modem.imei}
        if system.has_wifi:
            identity["mac_wifi"] = ":".join(f"{byte:02x}" for byte in system.mac_address)
        return identity

    def _access_point(self) -> air.AccessPoint | None:
        for network in self._system.wifi.known:
            point = air.find(network["ssid"])
            if point is not None and point.password == network["password"]:
                return point
        return None

    def _application(self) -> tuple[int, int, str]:
        """Product id, version and SHA-256 of the application that runs; zeros in safe mode."""
        view = self._view()
        prefix, _ = user_module(view, self._system.version)
        if prefix is None or self._state.safe_mode:
            return self._hardware.platform_id, 0, ""
        product = product_at(view.internal, prefix.start_address, self._hardware)
        digest = next(
            (
                self._system.module_sha256(module).hex()
                for module in self._system.modules()
                if module.prefix.function == ModuleFunction.USER_PART and module.bounds.store == ModuleStore.MAIN
            ),
            "",
        )
        if product is None or not product.version:
            return self._hardware.platform_id, 0, digest
        return product.id, product.version, digest

    def _key_fingerprint(self) -> str:
        is_tcp = self._hardware.is_gen2 and not self._system.has_cellular
        key = self._system.dct.read(*(_TCP_KEY_PLACE if is_tcp else _UDP_KEY_PLACE))
        return _NO_KEY if not key.strip(b"\xff") else hashlib.sha256(key).hexdigest()

    def publish(self, name: str, data: str) -> bool:
        """An event of the application; whether the cloud has acknowledged it."""
        if self._state.cloud_status != _CONNECTED:
            return False
        return self._link is None or self._link.publish(self._state.device_id, name, data)

    def subscribe(self, prefix: str) -> None:
        """Let events of these names come down."""
        if self._link is not None:
            self._link.subscribe(self._state.device_id, prefix)

    def _call(self, name: str, argument: str) -> int:
        """A function of the application. Tinker's pins keep what was written to them."""
        if name in self._system.application.functions:
            return self._system.application.call(argument)
        pin, _, level = argument.partition(" ")
        if name not in _TINKER:
            raise NoAnswerError(f"no function {name}")
        if name.endswith("read"):
            return self._levels.get(pin, 0)
        self._levels[pin] = {"HIGH": 1, "LOW": 0}.get(level.upper(), int(level) if level.isdecimal() else -1)
        return 1

    def _publish_vitals(self) -> None:
        if self._link is not None:
            counters = dict(self._system.diagnostics())
            vitals = {"device": {"system": {"uptime": counters["sys:uptime"]}, "cloud": {"connection": counters}}}
            self._link.publish(self._state.device_id, "spark/device/diagnostics/update", json.dumps(vitals))

    def _update(self, file: bytes) -> int:
        """Take a module file in over the air; the board resets to install it. Result code of the system."""
        update = self._system.firmware_update
        result = update.start(len(file), 0)
        for start in range(0, len(file), _CHUNK_BYTES):
            result = result or update.data(file[start : start + _CHUNK_BYTES])
        answers_first = update.answers_first
        result = result or update.finish(validate_only=False)
        if result:
            raise NoAnswerError(f"the update failed with {result}")
        if answers_first:
            self._system.install_update()
        else:
            self._system.restart("update")
        return 0
