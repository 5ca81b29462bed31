"""What the cloud does when a device connects, talks and goes: the handshake with all that hangs on it."""

from __future__ import annotations

import base64
import json
from typing import TYPE_CHECKING, Any

from particle_harness.cloud.hub import Event
from particle_harness.cloud.network import KEEP_ALIVE_S, WIFI, Command, Hello, NoServiceError
from particle_harness.cloud.rules import firmware as firmware_rules
from particle_harness.cloud.rules import membership
from particle_harness.cloud.rules.firmware import Release
from particle_harness.cloud.rules.membership import Arrival
from particle_harness.cloud.rules.metering import data_operations_of
from particle_harness.cloud.tables import Account, ClaimCode, Device, Diagnostics, Firmware, Product, Sim

if TYPE_CHECKING:
    from particle_harness.cloud.sim_cloud import SimCloud

HANDSHAKE_BYTES = 6000
_SIM_OVERHEAD_BYTES = 100


class Sessions:
    """Sessions of devices with one cloud. Every method takes the cloud's lock."""

    def __init__(self, cloud: SimCloud) -> None:
        self._cloud = cloud
        cloud.network.on_answer = self._answered

    # -- called by devices -----------------------------------------------------------------------------------------

    def attach(self, hello: Hello) -> None:
        """The device's radio finds a network and gets data service. Raises NoServiceError with the reason."""
        cloud = self._cloud
        cloud.network.carries(hello)
        if hello.radio == WIFI:
            return
        with cloud.session():
            cloud.settle()
            sim = cloud.store.get(Sim, hello.iccid)
            if sim is None:
                raise NoServiceError(f"no such SIM: {hello.iccid}")
            if sim.status != "active":
                raise NoServiceError(f"SIM {hello.iccid} is {sim.status}")

    def connect(self, hello: Hello) -> None:
        """The device attaches and finishes its handshake: from here on it is online and metered.

        Raises NoServiceError when the network, the keys or a paused payer stop it.
        """
        self.attach(hello)
        cloud = self._cloud
        with cloud.session():
            device = cloud.store.get(Device, hello.device_id)
            if device is None or device.platform_id != hello.platform_id:
                raise NoServiceError(f"the cloud knows no device {hello.device_id} of platform {hello.platform_id}")
            if cloud.faults.for_device("key_mismatch", device.id) or _keys_differ(device, hello):
                cloud.emit(device, "spark/device/key/error", "handshake failed")
                raise NoServiceError(f"the key of {device.id} is not the one the cloud has")
            if cloud.ledger.is_paused(device) or cloud.faults.for_device("pause", device.id):
                raise NoServiceError("the payer's allowance is used up: paused")
            if device.online:
                # The cloud learns only now that the former session is gone.
                self._end(device)
            self._begin(device, hello)

    def publish(self, device_id: str, name: str, data: str | None = None) -> bool:
        """An event of a device. False: it is not online, paused or quarantined, so nobody hears it."""
        cloud = self._cloud
        with cloud.session():
            device = cloud.store.get(Device, device_id)
            if device is None or not device.online or device.quarantined_in or cloud.ledger.is_paused(device):
                return False
            device.last_heard = cloud.now_s()
            cloud.store.put(device)
            if name.startswith(("spark", "particle")):
                if name == "spark/device/diagnostics/update":
                    self._keep_diagnostics(device, json.loads(data or "{}"))
            else:
                size_bytes = len((data or "").encode())
                self._use(device, data_operations_of([size_bytes]), size_bytes + _SIM_OVERHEAD_BYTES)
            cloud.emit(device, name, data)
            return True

    def goodbye(self, device_id: str) -> None:
        """The device ends its session properly."""
        with self._cloud.session():
            device = self._cloud.store.get(Device, device_id)
            if device is not None and device.online:
                self._end(device)

    def lost(self, device_id: str) -> None:
        """The device has vanished without a word: the cloud notices two keep-alives later."""
        cloud = self._cloud
        with cloud.session():
            device = cloud.store.get(Device, device_id)
            if device is not None and device.online:
                device.offline_at = cloud.now_s() + 2 * device.keep_alive_s
                cloud.store.put(device)
                cloud.schedule(device.offline_at, "offline", device.id)

    # -- called by the cloud ---------------------------------------------------------------------------------------

    def notice_offline(self, device_id: str, at_s: float) -> None:
        """The moment has come at which a lost device is noticed, unless it came back."""
        device = self._cloud.store.get(Device, device_id)
        if device is not None and device.online and device.offline_at == at_s:
            self._end(device)

    def push_firmware(self, device: Device, *, cause: str = "auto-update") -> bool:
        """Send the version that the device should run, if it runs another. False: nothing to do."""
        cloud = self._cloud
        wanted = self.target_version(device)
        if wanted is None or not firmware_rules.must_update(wanted, device.firmware_version):
            return False
        firmware = cloud.store.get(Firmware, f"{device.product_id}:{wanted}")
        if firmware is None or not device.online:
            return False
        cloud.emit(device, "spark/status", cause)
        self.send_file(device, firmware.data)
        return True

    def send_file(self, device: Device, data: bytes) -> None:
        """Begin to send a module file over the air."""
        self._cloud.emit(device, "spark/flash/status", "started ")
        self._cloud.network.send(device.id, "update", file=base64.b64encode(data).decode())

    def target_version(self, device: Device) -> int | None:
        """The product firmware version that the cloud wants a device to run."""
        releases = (
            Release(f.version, f.product_default, tuple(f.groups))
            for f in self._cloud.store.find(Firmware, product_id=device.product_id)
        )
        return firmware_rules.target_version(
            releases,
            is_member=bool(device.product_id),
            development=device.development,
            desired=device.desired_firmware_version,
            groups=device.groups,
        )

    # -- inside ----------------------------------------------------------------------------------------------------

    def _begin(self, device: Device, hello: Hello) -> None:
        cloud = self._cloud
        was_app = device.app_hash
        device.online, device.offline_at = True, None
        device.session = cloud.new_id()
        device.keep_alive_s = KEEP_ALIVE_S.get(hello.radio, 25.0)
        device.last_heard = device.last_handshake_at = cloud.now_s()
        device.last_ip_address = f"10.20.{int(device.id[-4:-2], 16)}.{int(device.id[-2:], 16)}"
        device.functions, device.variables = list(hello.functions), dict(hello.variables)
        device.firmware_version = hello.firmware_version
        device.firmware_product_id = hello.firmware_product_id
        device.system_firmware_version = hello.system_release
        device.app_hash = hello.app_hash or device.app_hash
        device.key_fingerprint = device.key_fingerprint or hello.key_fingerprint
        cloud.store.put(device)
        self._meet_product(device, hello)
        self._redeem(device, hello)
        cloud.ledger.connected(device, f"handshake, Device OS {hello.system_release}")
        self._use(device, 0, HANDSHAKE_BYTES)
        self._tell(device, hello, was_app)
        self._note_firmware(device)
        if hello.safe_mode:
            cloud.emit(device, "spark/status/safe-mode", hello.safe_mode)
        elif not device.quarantined_in:
            self.push_firmware(device)

    def _tell(self, device: Device, hello: Hello, was_app: str) -> None:
        emit = self._cloud.emit
        emit(device, "spark/status", "online")
        emit(device, "spark/device/last_reset", hello.last_reset)
        emit(device, "particle/device/updates/forced", str(device.updates_forced).lower())
        if hello.app_hash and hello.app_hash != was_app:
            emit(device, "spark/device/app-hash", hello.app_hash.upper())
        if hello.claim_code:
            emit(device, "spark/device/claim/code", hello.claim_code)
        emit(device, "particle/device/updates/pending", "false")
        emit(device, "particle/device/updates/enabled", str(device.updates_enabled).lower())

    def _meet_product(self, device: Device, hello: Hello) -> None:
        cloud = self._cloud
        says = hello.firmware_product_id
        product = cloud.store.get(Product, says) if says != hello.platform_id else None
        arrival = membership.arrival(
            system_version=hello.system_version,
            member_of=device.product_id,
            says_product=says,
            product_exists=product is not None and product.platform_id == device.platform_id,
            auto_approve=product is not None and product.auto_approve,
        )
        if product is not None and arrival == Arrival.JOINS:
            cloud.take_into_product(device, product, "auto-approve")
        else:
            device.quarantined_in = says if arrival == Arrival.QUARANTINED and device.denied_in != says else 0
            cloud.store.put(device)

    def _redeem(self, device: Device, hello: Hello) -> None:
        code = self._cloud.store.get(ClaimCode, hello.claim_code) if hello.claim_code else None
        if code is not None and not device.owner_id:
            device.owner_id = code.account_id
            self._cloud.store.put(device)
            self._cloud.store.delete(code)
            if self._cloud.store.get(Account, code.account_id) and not device.product_id:
                self._cloud.ledger.added(device, "claimed by claim code")

    def _note_firmware(self, device: Device) -> None:
        firmware = self._cloud.store.get(Firmware, f"{device.product_id}:{device.firmware_version}")
        if firmware is not None and device.product_id and device.id not in firmware.ran_on:
            firmware.ran_on = [*firmware.ran_on, device.id]
            self._cloud.store.put(firmware)

    def _end(self, device: Device) -> None:
        device.online, device.offline_at, device.session = False, None, ""
        self._cloud.store.put(device)
        self._cloud.network.drop_commands(device.id)
        self._cloud.emit(device, "spark/status", "offline")

    def _use(self, device: Device, data_operations: int, size_bytes: int) -> None:
        cloud = self._cloud
        sim = cloud.store.get(Sim, device.iccid) if device.iccid else None
        cloud.ledger.use(device, data_operations=data_operations, cellular_bytes=size_bytes if sim else 0)
        if sim is not None:
            day = cloud.today()
            sim.usage_by_day[day] = round(sim.usage_by_day.get(day, 0.0) + size_bytes / 1e6, 6)
            cloud.store.put(sim)

    def _keep_diagnostics(self, device: Device, payload: dict[str, Any]) -> None:
        number = self._cloud.store.next_number(Diagnostics)
        self._cloud.store.put(Diagnostics(number, device.id, self._cloud.now_s(), payload))

    def _answered(self, device_id: str, command: Command, result: Any, failure: str) -> None:
        cloud = self._cloud
        with cloud.session():
            device = cloud.store.get(Device, device_id)
            if device is None:
                return
            if command.do == "update":
                size_bytes = len(command.arguments["file"]) * 3 // 4
                self._use(device, 0, size_bytes)
                cloud.emit(device, "spark/flash/status", "failed " if failure or result else "success ")
            elif (command.do == "event" and not failure and result) or (
                command.do in ("function", "variable") and not failure
            ):
                self._use(device, 1, _SIM_OVERHEAD_BYTES)


def _keys_differ(device: Device, hello: Hello) -> bool:
    return bool(device.key_fingerprint and hello.key_fingerprint) and device.key_fingerprint != hello.key_fingerprint


def event_of(device: Device, name: str, data: str | None, at_s: float) -> Event:
    """An event that a device, or the cloud about it, publishes."""
    return Event(
        name,
        data,
        device.id,
        at_s,
        owner_id=device.owner_id,
        product_id=device.product_id or device.quarantined_in,
        firmware_version=device.firmware_version if device.last_handshake_at is not None else None,
    )
