"""What a board says and does while Device OS runs on it: the device side of control requests and console."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping

from particle_dev.catalog.device_os import releases_by_system_version
from particle_dev.catalog.modules import ModuleFunction
from particle_harness.application import Application
from particle_harness.asset_storage import Identity, StoredAsset
from particle_harness.boards import FIRST_WITHOUT_SETUP_DONE, Hardware, serial_number_of
from particle_harness.boot_view import (
    BootView,
    FetchedModule,
    fetch_modules,
    is_encrypted,
    required_assets,
    system_version,
)
from particle_harness.dct import Dct
from particle_harness.describe import describe
from particle_harness.extensions import asset_dependencies
from particle_harness.firmware_update import FirmwareUpdate
from particle_harness.modem import FIRMWARE_VERSION, Modem
from particle_harness.network_trouble import WEAK_SIGNAL
from particle_harness.protection import Protection
from particle_harness.radio import Radio
from particle_harness.state import BoardState
from particle_harness.wifi import Wifi

INVALID_STATE = -210
_SHA256_BEFORE_END, _SHA256_SIZE_BYTES = 34, 32
FIRST_WITH_PROTECTION = 6000
_FIRST_GEN3_WITH_NETWORK_COUNTERS = 2007
"""Source: device-os v2.0.0-rc.3 system/src/system_network_internal.cpp, v2.0.0-rc.4 system_network_diagnostics.cpp."""
# Device OS 4.0.x and 5.0.0 to 5.3.x: system/src/system_control_internal.cpp of these tags, START_LISTENING.
_SAYS_THAT_IT_LISTENS = frozenset({*range(4000, 4100), *range(5000, 5400)})
_CLAIM_CODE_OFFSET, _CLAIM_CODE_SIZE_BYTES = 1762, 63
_HAS_ONE_THREAD = "electron"
_WIFI_BESIDE_CELLULAR, _WIFI_THAT_SCANS = ("msom",), ("tracker", "trackerm")


class BoardSystem:
    """The running system on the state of a board. ``restart_later(into)`` is the board's."""

    def __init__(
        self,
        hardware: Hardware,
        state: BoardState,
        dct: Dct,
        radio: Radio,
        firmware_update: FirmwareUpdate,
        protection: Protection,
        *,
        view: Callable[[], BootView],
        now_s: Callable[[], float],
        restart_later: Callable[[str], None],
        ncp_update_s: float = 0.0,
        install_later: Callable[[float], None] = lambda _duration_s: None,
        application_features: Iterable[str] = (),
    ) -> None:
        self.hardware = hardware
        self._state = state
        self.dct = dct
        self.radio = radio
        self._view = view
        self._now_s = now_s
        self.restart = restart_later
        self.ncp_update_s = ncp_update_s
        self._install_later = install_later
        self._busy_until_s = 0.0
        self.firmware_update = firmware_update
        self.protection = protection
        self.wifi = Wifi(state, radio, now_s)
        self.modem = Modem(state, radio)
        self.application = Application(application_features, state, now_s)
        radio.on_event = lambda text: self.application.log("system", "INFO", text)
        radio.on_modem = self.application.log
        self.application.set_cloud = self.set_auto_connect
        radio.has_wrong_access_point = lambda: self.has_cellular and bool(self.modem.active_access_point)
        self._version: int | None = None

    def begin_boot(self) -> None:
        """The bootloader starts: what was held in RAM is gone."""
        self.firmware_update.cancel()
        self._busy_until_s = 0.0
        self.protection.count_reset()
        self.application.boot()
        self._version = None

    @property
    def busy_s(self) -> float:
        """How long the system thread is busy with a network processor, or waits for a modem."""
        waits_until_s = self.registers_until_s if self.radio.is_registering else None
        return max(0.0, max(self._busy_until_s, waits_until_s or 0.0) - self._now_s())

    @property
    def registers_until_s(self) -> float | None:
        """Until when the only thread of an Electron will not do anything but register; None: it is free, or there are
        more. Before it begins it still answers, but comes to nothing that it is asked to do later. As executed
        (docs/emulator.md)."""
        return self.radio.registers_until_s if self.hardware.name == _HAS_ONE_THREAD else None

    @property
    def ncp_version(self) -> int:
        """Firmware of the network processor."""
        return self._state.ncp_version

    def install_update(self) -> None:
        """Install what was taken in, and reset. Network processors take their time before that."""
        if self.firmware_update.programs_ncp:
            self._busy_until_s = self._now_s() + self.ncp_update_s
            self._install_later(self.ncp_update_s)
        else:
            # It resets, whatever comes of it.
            self.firmware_update.apply()
            self.restart("update")

    @property
    def version(self) -> int:
        """Number of the running system part."""
        if self._version is None:
            self._version = system_version(self._view())
        return self._version

    @property
    def has_cellular(self) -> bool:
        """Whether there is a modem."""
        return self.hardware.radio == "cellular"

    @property
    def has_wifi(self) -> bool:
        """Whether Wi-Fi can connect."""
        return self.hardware.radio == "wifi" or self.hardware.name in _WIFI_BESIDE_CELLULAR

    @property
    def has_wifi_scan(self) -> bool:
        """Whether Wi-Fi can at least scan. Source: device-os v2.3.1, v3.0.0 hal/src/tracker/hal_platform_config.h."""
        return self.has_wifi or (self.hardware.name in _WIFI_THAT_SCANS and self.version >= 3000)

    @property
    def asks_ncp_at_start(self) -> bool:
        """Whether it switches its network processor on at its start, to learn the MAC address, and leaves it on.

        Source: device-os hal/network/lwip/esp32/esp32ncpnetif.cpp; v2.2.0 and v2.3.1 ask for what they have kept and
        keep nothing (hal/network/ncp_client/esp32/esp32_ncp_client.cpp initReady), v3.1.0 does; v2.1.0 and v3.0.0
        switch it off again."""
        if not (self.hardware.is_gen3 and self.has_wifi):
            return False
        if self.version < 3000:
            return self.version >= 2200
        return self.version >= 3100 and not self._state.ncp_is_known

    @property
    def mac_address(self) -> bytes:
        """Of the Wi-Fi station; zeros on other boards."""
        return bytes([0x02, *bytes.fromhex(self._state.device_id[-10:])]) if self.has_wifi else bytes(6)

    @property
    def device_secret(self) -> str:
        """15 characters, as printed on the board beside the serial number."""
        return self._state.device_id[::-1].upper()[:15]

    def has_network_trouble(self, name: str) -> bool:
        """Whether something of :mod:`particle_harness.network_trouble` is wrong now."""
        return name in self._state.network_troubles

    @property
    def network_is_up(self) -> bool:
        """Whether an interface has an address."""
        return self.radio.network_is_up

    @property
    def device_id(self) -> str:
        """24 lower-case hex digits."""
        return self._state.device_id

    @property
    def serial_number(self) -> str:
        """15 characters, as printed on the board."""
        return serial_number_of(self.hardware, self._state.device_id)

    @property
    def device_os(self) -> str:
        """Release that the running system part belongs to."""
        releases = releases_by_system_version(self.version)
        # Pre-releases may share a number with their final release, which is the shortest name.
        return min((release.name for release in releases), key=len, default=f"unknown-{self.version}")

    @property
    def claimed(self) -> bool:
        """Claim flag of the configuration."""
        return self.dct.claimed

    @property
    def listening(self) -> bool:
        """Whether listening mode is on."""
        return self._state.listening

    def set_claim_code(self, code: bytes) -> None:
        """Store it for the next connection to the cloud."""
        self.dct.write(_CLAIM_CODE_OFFSET, code.ljust(_CLAIM_CODE_SIZE_BYTES, b"\0"))

    def signal(self, on: bool) -> None:
        """Let the LED run through all colours, or stop that."""
        self._state.signalling = on

    def modules(self) -> tuple[FetchedModule, ...]:
        """Modules as the system reports them."""
        return fetch_modules(self._view())

    def module_sha256(self, module: FetchedModule) -> bytes:
        """From the suffix of a module; zeros for what has none in flash; a network processor's is its version, again
        and again."""
        if module.bounds.function == ModuleFunction.RADIO_STACK:
            return bytes(_SHA256_SIZE_BYTES)
        if module.bounds.function == ModuleFunction.NCP_FIRMWARE:
            return module.prefix.version.to_bytes(2, "little") * (_SHA256_SIZE_BYTES // 2)
        view = self._view()
        if is_encrypted(view, module.bounds):
            return bytes(_SHA256_SIZE_BYTES)
        read = view.external if module.bounds.external else view.internal
        assert read is not None
        end = module.bounds.start_address + module.prefix.length
        return read(end - _SHA256_BEFORE_END, _SHA256_SIZE_BYTES)

    def assets(self) -> tuple[tuple[StoredAsset, ...], tuple[Identity, ...]]:
        """What is in asset storage, and what the application asks for."""
        view = self._view()
        return view.assets(self.version), required_assets(view, self.version)

    def assets_of(self, module: FetchedModule) -> tuple[Identity, ...]:
        """What an application asks for."""
        if module.prefix.function != ModuleFunction.USER_PART or module.bounds.external:
            return ()
        view = self._view()
        return asset_dependencies(view.internal, module.bounds.start_address, module.prefix, self.hardware.mcu)

    def properties(self) -> dict[str, str]:
        """What the console tells beside the Device ID, by the keys of the describe text."""
        gen2 = self.hardware.is_gen2
        secret = {} if gen2 else {"ms": self.device_secret}
        serial = {"sn": self.serial_number} if not gen2 or self.version >= 1500 else {}
        return secret | serial | self.public_properties()

    def public_properties(self) -> dict[str, str]:
        """What the describe text tells beside modules."""
        if not self.has_cellular:
            return {}
        ids = self.modem.cached_ids()
        return {"imei": ids.imei, "iccid": ids.iccid, "cellfw": FIRMWARE_VERSION if ids.imei else ""}

    def describe(self) -> str:
        """The describe text."""
        return describe(self.hardware.platform_id, self.public_properties(), self.modules(), self.module_sha256)

    def diagnostics(self) -> Mapping[str, int]:
        """Counters of this boot; they start at 0 with each reset."""
        state = self._state
        counters = {"sys:uptime": int(self._now_s() - state.booted_at_s)}
        if self.hardware.is_gen2 or self.version >= _FIRST_GEN3_WITH_NETWORK_COUNTERS:
            counters |= {"net:stat": state.net_status, "net:connatt": state.net_attempts, "net:dconn": 0}
        counters |= {
            "cloud:stat": state.cloud_status,
            "cloud:err": state.cloud_error,
            "cloud:connatt": state.cloud_attempts,
            "cloud:dconn": state.cloud_disconnects,
        }
        if self.version >= FIRST_WITH_PROTECTION:
            counters["sys:protected"] = int(self.protection.locked)
        return counters | self._signal()

    def _signal(self) -> dict[str, int]:
        """Nothing until an interface has an address. Percent are Q8.8, dBm and dB Q16.16.

        Source: device-os v6.2.0 system/src/system_network_diagnostics.cpp.
        """
        if not self.network_is_up:
            return {}
        point = None if self.has_cellular else self.wifi.current()
        strength_dbm, quality_db = (-92.0, -9.0) if point is None else (float(point.rssi_dbm), 40.0)
        percent, quality_percent = 55, 60
        if WEAK_SIGNAL in self._state.network_troubles:
            strength_dbm, quality_db, percent, quality_percent = -122.0, -17.0, 8, 10
        return {
            "net:sigstr": percent << 8,
            "net:sigstrv": int(strength_dbm * 65536),
            "net:sigqual": quality_percent << 8,
            "net:sigqualv": int(quality_db * 65536),
        }

    def cloud_status(self) -> int:
        """0 disconnected, 1 connecting, 2 connected."""
        return self._state.cloud_status

    def start_listening(self) -> int:
        """Request 70. Result code: these releases tell a host that it came too late."""
        was_listening = self.listening
        self.set_listening(True)
        return INVALID_STATE if was_listening and self.version in _SAYS_THAT_IT_LISTENS else 0

    def set_listening(self, on: bool) -> None:
        """Enter: all connections go down. Leave: connect again if the flag says so."""
        state = self._state
        if on:
            state.listening = True
            self.radio.stop()
        elif state.listening:
            state.listening = False
            self._connect_if_wanted()

    def set_auto_connect(self, on: bool) -> None:
        """Set or clear the flag; clearing it ends a session, and leaves the network up."""
        self._state.auto_connect = on
        if on:
            self._connect_if_wanted()
        else:
            self.radio.leave_cloud()

    def abort_connecting(self) -> None:
        """Give up the present attempt; the flag stays."""
        self.radio.abort()

    def set_listen_at_next_boot(self, on: bool) -> None:
        """Remember a start-up mode in a backup register."""
        self._state.listen_requested = on

    def _connect_if_wanted(self) -> None:
        state = self._state
        if not state.auto_connect or state.listening:
            return
        if self.network_is_up:
            self.radio.go_to_cloud(self._now_s())
            return
        if state.net_status:
            return
        if self._must_listen_instead():
            state.listening = True
            return
        self.radio.start(self._now_s())

    def _must_listen_instead(self) -> bool:
        state = self._state
        if self.hardware.radio == "wifi" and not state.wifi_credentials:
            return True
        if not self.hardware.is_gen3 or state.listen_checked:
            return False
        state.listen_checked = True
        asks_setup_done = self.version < FIRST_WITHOUT_SETUP_DONE
        return asks_setup_done and not self.dct.setup_done
