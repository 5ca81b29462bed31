"""What a board says and does while Device OS runs on it: the device side of control requests."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from particle_dev.catalog.device_os import releases_by_system_version
from particle_harness.boards import FIRST_WITHOUT_SETUP_DONE, Hardware
from particle_harness.boot import BootView, FetchedModule, fetch_modules, system_version
from particle_harness.dct import Dct
from particle_harness.firmware_update import FirmwareUpdate
from particle_harness.radio import Radio
from particle_harness.state import BoardState


class BoardSystem:
    """Implements ``RunningSystem`` on the state of a board. ``restart_later(into)`` is the board's."""

    def __init__(
        self,
        hardware: Hardware,
        state: BoardState,
        dct: Dct,
        radio: Radio,
        firmware_update: FirmwareUpdate,
        *,
        view: Callable[[], BootView],
        now_s: Callable[[], float],
        restart_later: Callable[[str], None],
    ) -> None:
        self._hardware = hardware
        self._state = state
        self._dct = dct
        self._radio = radio
        self._view = view
        self._now_s = now_s
        self.restart = restart_later
        self.firmware_update = firmware_update

    @property
    def device_id(self) -> str:
        """24 lower-case hex digits."""
        return self._state.device_id

    @property
    def serial_number(self) -> str:
        """15 characters, as printed on the board."""
        prefixes = self._hardware.platform.serial_prefixes
        digits = str(int(self._state.device_id[-12:], 16)).rjust(15, "0")
        return ((prefixes[0] if prefixes else "") + digits[::-1])[:15]

    @property
    def device_os(self) -> str:
        """Release that the running system part belongs to."""
        version = system_version(self._view())
        releases = releases_by_system_version(version)
        # Pre-releases may share a number with their final release, which is the shortest name.
        return min((release.name for release in releases), key=len, default=f"unknown-{version}")

    @property
    def claimed(self) -> bool:
        """Claim flag of the configuration."""
        return self._dct.claimed

    @property
    def listening(self) -> bool:
        """Whether listening mode is on."""
        return self._state.listening

    def modules(self) -> tuple[FetchedModule, ...]:
        """Modules as the system reports them."""
        return fetch_modules(self._view())

    def diagnostics(self) -> Mapping[str, int]:
        """Counters of this boot; they start at 0 with each reset."""
        state = self._state
        return {
            "sys:uptime": int(self._now_s() - state.booted_at_s),
            "sys:reset": state.reset_reason,
            "net:stat": state.net_status,
            "net:connatt": state.net_attempts,
            "net:dconn": 0,
            "cloud:stat": state.cloud_status,
            "cloud:err": 0,
            "cloud:connatt": state.cloud_attempts,
            "cloud:dconn": state.cloud_disconnects,
        }

    def cloud_status(self) -> int:
        """0 disconnected, 1 connecting, 2 connected."""
        return self._state.cloud_status

    def set_listening(self, on: bool) -> None:
        """Enter: all connections go down. Leave: connect again if the flag says so."""
        state = self._state
        if on:
            state.listening = True
            self._radio.stop()
        elif state.listening:
            state.listening = False
            self._connect_if_wanted()

    def set_auto_connect(self, on: bool) -> None:
        """Set or clear the flag; clearing it ends a session."""
        self._state.auto_connect = on
        if on:
            self._connect_if_wanted()
        else:
            self._radio.stop()

    def abort_connecting(self) -> None:
        """Give up the present attempt; the flag stays."""
        self._radio.abort()

    def set_listen_at_next_boot(self, on: bool) -> None:
        """Remember a start-up mode in a backup register."""
        self._state.listen_requested = on

    def _connect_if_wanted(self) -> None:
        state = self._state
        if not state.auto_connect or state.listening or state.net_status:
            return
        if self._must_listen_instead():
            state.listening = True
            return
        self._radio.start(self._now_s())

    def _must_listen_instead(self) -> bool:
        state = self._state
        if self._hardware.radio == "wifi" and not state.wifi_credentials:
            return True
        if not self._hardware.is_gen3 or state.listen_checked:
            return False
        state.listen_checked = True
        asks_setup_done = system_version(self._view()) < FIRST_WITHOUT_SETUP_DONE
        return asks_setup_done and not self._dct.setup_done
