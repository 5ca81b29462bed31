"""What the cloud knows of products, devices and SIMs, as values.

Times are aware. ``None`` means that the cloud told nothing: for ``last_heard`` and ``last_handshake_at`` that is a
device which was never online.

Source: particle-api-js 12.0.3 src/types (DeviceInfo, Product, SIM); cspell2k5/ParticleIoSDK CloudResource.swift;
particle-iot/particle-cli test/e2e field lists.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from particle_dev.cloud.replies import JsonObject
from particle_dev.protocol.secret import Secret


@dataclass(frozen=True, slots=True)
class DeviceRecord:
    """One device. Lists are empty, texts and numbers None where the cloud tells nothing.

    ``product_id`` equals ``platform_id`` for a device in no user product. ``firmware_product_id`` is what the running
    firmware said. ``functions`` and ``variables`` are None unless the device was asked for by itself.
    ``owner`` is a user name, None for an unclaimed device. ``mobile_secret`` hides itself.
    """

    id: str
    name: str | None = None
    platform_id: int | None = None
    product_id: int | None = None
    firmware_product_id: int | None = None
    online: bool | None = None
    last_heard: datetime | None = None
    last_handshake_at: datetime | None = None
    last_ip_address: str | None = None
    serial_number: str | None = None
    mobile_secret: Secret[str] | None = None
    imei: str | None = None
    iccid: str | None = None
    last_iccid: str | None = None
    system_firmware_version: str | None = None
    firmware_version: int | None = None
    desired_firmware_version: int | None = None
    targeted_firmware_release_version: int | None = None
    development: bool = False
    quarantined: bool = False
    denied: bool = False
    firmware_updates_enabled: bool | None = None
    firmware_updates_forced: bool | None = None
    groups: tuple[str, ...] = ()
    notes: str | None = None
    owner: str | None = None
    status: str | None = None
    functions: tuple[str, ...] | None = None
    variables: tuple[tuple[str, str], ...] | None = None
    """Names with their types, such as ``("temperature", "double")``."""

    @property
    def ever_online(self) -> bool:
        """The cloud has heard this device at least once."""
        return self.last_heard is not None or self.last_handshake_at is not None

    @classmethod
    def from_json(cls, data: JsonObject) -> DeviceRecord:
        """A record of any device endpoint. Raises CloudReplyError."""
        variables = data.optional_object("variables")
        return cls(
            id=data.text("id").lower(),
            name=data.optional_text("name"),
            platform_id=data.optional_integer("platform_id"),
            product_id=data.optional_integer("product_id"),
            firmware_product_id=data.optional_integer("firmware_product_id"),
            # Lists say "online", the record of one device says "connected"; one that is true is enough to be careful.
            online=_either(data.optional_flag("online"), data.optional_flag("connected")),
            last_heard=data.time("last_heard"),
            last_handshake_at=data.time("last_handshake_at"),
            last_ip_address=data.optional_text("last_ip_address"),
            serial_number=data.optional_text("serial_number"),
            mobile_secret=data.optional_secret("mobile_secret"),
            imei=data.optional_text("imei"),
            iccid=data.optional_text("iccid"),
            last_iccid=data.optional_text("last_iccid"),
            system_firmware_version=data.optional_text("system_firmware_version"),
            firmware_version=data.optional_integer("firmware_version"),
            desired_firmware_version=data.optional_integer("desired_firmware_version"),
            targeted_firmware_release_version=data.optional_integer("targeted_firmware_release_version"),
            development=data.flag("development"),
            quarantined=data.flag("quarantined"),
            denied=data.flag("denied"),
            firmware_updates_enabled=data.optional_flag("firmware_updates_enabled"),
            firmware_updates_forced=data.optional_flag("firmware_updates_forced"),
            groups=data.texts("groups"),
            notes=data.optional_text("notes"),
            owner=data.optional_text("owner"),
            status=data.optional_text("status"),
            functions=data.texts("functions") if data.data.get("functions") is not None else None,
            variables=tuple((k, str(v)) for k, v in variables.data.items()) if variables else None,
        )


@dataclass(frozen=True, slots=True)
class Product:
    """A product. ``organization`` is its owner's id or slug, None in a user's sandbox; ``quarantine`` the raw setting.

    ``device_count`` is None where the cloud does not count. ``device_protection`` is such as ``active``.
    """

    id: int
    name: str
    slug: str
    platform_id: int
    description: str = ""
    groups: tuple[str, ...] = ()
    organization: str | None = None
    device_count: int | None = None
    device_protection: str | None = None
    quarantine: bool | None = None
    latest_firmware_version: int | None = None

    @classmethod
    def from_json(cls, data: JsonObject) -> Product:
        """A product of a list or by itself. Raises CloudReplyError."""
        settings = data.optional_object("settings")
        return cls(
            id=data.integer("id"),
            name=data.text("name"),
            slug=data.optional_text("slug") or "",
            platform_id=data.integer("platform_id"),
            description=data.optional_text("description") or "",
            groups=data.texts("groups"),
            organization=data.optional_text("organization", "organization_id"),
            device_count=data.optional_integer("device_count"),
            device_protection=data.optional_text("device_protection"),
            quarantine=settings.optional_flag("quarantine") if settings else None,
            latest_firmware_version=data.optional_integer("latest_firmware_version"),
        )


@dataclass(frozen=True, slots=True)
class ImportResult:
    """What became of every id of an import. The status code says nothing: partial success is normal.

    Each id that was asked for is in exactly one of the tuples, as it was written in the request except for case.
    ``added``: put into the product now. ``present``: a member before. ``invalid``: unknown to the cloud, of another
    platform, or a member of another product. ``not_member``: refused as not belonging to this account.
    ``protected``: refused since device protection is on. ``unexplained``: the answer does not mention it.
    """

    asked: tuple[str, ...]
    added: tuple[str, ...]
    present: tuple[str, ...]
    invalid: tuple[str, ...]
    not_member: tuple[str, ...]
    protected: tuple[str, ...]
    unexplained: tuple[str, ...]
    unasked: tuple[str, ...] = ()
    """Device IDs that the answer adds for serial numbers, IMEIs or ICCIDs that were asked for."""

    @property
    def complete(self) -> bool:
        """Every id is in the product now."""
        return len(self.added) + len(self.present) == len(self.asked)

    @classmethod
    def from_json(cls, asked: tuple[str, ...], data: JsonObject) -> ImportResult:
        """The difference between ids asked for and an answer. Raises CloudReplyError."""
        told = {
            name: {v.lower(): v for v in data.texts(key)}
            for name, key in (
                ("invalid", "invalidDeviceIds"),
                ("not_member", "nonmemberDeviceIds"),
                ("protected", "protectedDeviceIds"),
                ("added", "updatedDeviceIds"),
                ("present", "existingDeviceIds"),
            )
        }
        sorted_ids: dict[str, list[str]] = {name: [] for name in (*told, "unexplained")}
        for identifier in asked:
            name = next((name for name, ids in told.items() if identifier.lower() in ids), "unexplained")
            sorted_ids[name].append(identifier)
        known = {identifier.lower() for identifier in asked}
        unasked = [v for name in ("added", "present") for low, v in told[name].items() if low not in known]
        return cls(asked=asked, unasked=tuple(unasked), **{name: tuple(ids) for name, ids in sorted_ids.items()})


@dataclass(frozen=True, slots=True)
class SimRecord:
    """One SIM. ``status`` is ``active``, ``inactive`` or ``deactivated``; consoles also show ``updating``.

    ``activations_count`` 0 with ``first_activated_on`` None is a SIM that was never active.
    """

    iccid: str
    status: str
    base_country_code: str | None = None
    activations_count: int | None = None
    deactivations_count: int | None = None
    first_activated_on: datetime | None = None
    last_activated_on: datetime | None = None
    last_activated_via: str | None = None
    last_status_change_action: str | None = None
    last_status_change_action_error: str | None = None
    updated_at: datetime | None = None
    carrier: str | None = None
    last_device_id: str | None = None
    last_device_name: str | None = None
    owner: str | None = None
    product_id: int | None = None

    @property
    def ever_active(self) -> bool:
        """It is active, or the cloud tells of an activation."""
        return self.status == "active" or bool(self.activations_count) or self.first_activated_on is not None

    @classmethod
    def from_json(cls, data: JsonObject) -> SimRecord:
        """A SIM of a list or by itself. Raises CloudReplyError."""
        return cls(
            iccid=data.text("_id", "iccid"),
            status=data.text("status"),
            base_country_code=data.optional_text("base_country_code"),
            activations_count=data.optional_integer("activations_count"),
            deactivations_count=data.optional_integer("deactivations_count"),
            first_activated_on=data.time("first_activated_on"),
            last_activated_on=data.time("last_activated_on"),
            last_activated_via=data.optional_text("last_activated_via"),
            last_status_change_action=data.optional_text("last_status_change_action"),
            last_status_change_action_error=data.optional_text("last_status_change_action_error"),
            updated_at=data.time("updated_at"),
            carrier=data.optional_text("carrier"),
            last_device_id=data.optional_text("last_device_id"),
            last_device_name=data.optional_text("last_device_name"),
            owner=data.optional_text("owner"),
            product_id=data.optional_integer("product_id"),
        )


@dataclass(frozen=True, slots=True)
class SimConnection:
    """A carrier's answer about a SIM. ``complete`` False: it is still being asked for; ask again at ``check_again``.

    The three states are None until it is complete. Carriers' answers are cached, so they prove little.
    """

    complete: bool
    check_again: datetime | None
    connected: bool | None
    gsm_connection: bool | None
    data_connection: bool | None


@dataclass(frozen=True, slots=True)
class SimUsage:
    """Data of a SIM in its billing period, in megabytes per day; late by an hour to days."""

    iccid: str
    days: tuple[tuple[str, float], ...]
    """Date as the cloud writes it, megabytes used on that day."""

    @property
    def total_mb(self) -> float:
        """All days together."""
        return sum(mb for _, mb in self.days)


def _either(first: bool | None, second: bool | None) -> bool | None:
    return None if first is None and second is None else bool(first or second)
