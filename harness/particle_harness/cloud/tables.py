"""What the simulated cloud remembers: one dataclass a table, its first field the key. Times are POSIX seconds, UTC."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, ClassVar


@dataclass(slots=True)
class Row:
    """Base of all tables."""

    TABLE: ClassVar[str] = ""
    INDEXED: ClassVar[tuple[str, ...]] = ()


@dataclass(slots=True)
class Account(Row):
    """A person, or an API user, who is its scopes."""

    TABLE: ClassVar[str] = "account"
    INDEXED: ClassVar[tuple[str, ...]] = ("username",)
    id: str
    username: str
    password_hash: str = ""
    mfa_secret: str = ""
    """One-time password this account asks for at login; empty: none."""
    plan: str = "free"
    is_programmatic: bool = False
    scopes: list[str] = field(default_factory=list)
    product_id: int = 0
    """An API user's product; 0: all of its organization or of its maker."""
    org_id: str = ""


@dataclass(slots=True)
class Token(Row):
    """Kept as a hash, as passwords are."""

    TABLE: ClassVar[str] = "token"
    INDEXED: ClassVar[tuple[str, ...]] = ("account_id",)
    hash: str
    account_id: str
    client_id: str
    expires_at: float | None = None
    customer: str = ""


@dataclass(slots=True)
class Org(Row):
    """Owner of products that pays."""

    TABLE: ClassVar[str] = "org"
    id: str
    slug: str
    name: str
    plan: str = "basic"
    members: list[str] = field(default_factory=list)
    """Account ids."""


@dataclass(slots=True)
class Product(Row):
    """Owned by an account or by an organization."""

    TABLE: ClassVar[str] = "product"
    INDEXED: ClassVar[tuple[str, ...]] = ("slug",)
    id: int
    slug: str
    name: str
    platform_id: int
    owner_id: str
    org_id: str = ""
    description: str = ""
    auto_approve: bool = False
    device_protection: str = ""
    team: list[str] = field(default_factory=list)
    """Account ids of members beside the owner."""
    groups: dict[str, Any] = field(default_factory=dict)
    config: dict[str, Any] = field(default_factory=dict)
    device_configs: dict[str, Any] = field(default_factory=dict)
    """Of devices that have one of their own, by id."""


@dataclass(slots=True)
class Device(Row):
    """One that Particle's factory made: identity, membership, claim, and what the last session told."""

    TABLE: ClassVar[str] = "device"
    INDEXED: ClassVar[tuple[str, ...]] = ("product_id", "quarantined_in", "owner_id", "serial_number", "iccid", "imei")
    id: str
    platform_id: int
    serial_number: str = ""
    iccid: str = ""
    imei: str = ""
    mac_wifi: str = ""
    mobile_secret: str = ""
    key_fingerprint: str = ""
    product_id: int = 0
    """Member of; 0: of no user product."""
    quarantined_in: int = 0
    denied_in: int = 0
    development: bool = False
    desired_firmware_version: int | None = None
    name: str = ""
    notes: str = ""
    groups: list[str] = field(default_factory=list)
    owner_id: str = ""
    """Account, or customer, that claimed it."""
    updates_enabled: bool = True
    updates_forced: bool = False
    online: bool = False
    session: str = ""
    offline_at: float | None = None
    """When the cloud notices that the device is gone."""
    keep_alive_s: float = 0.0
    last_heard: float | None = None
    last_handshake_at: float | None = None
    last_ip_address: str = ""
    functions: list[str] | None = None
    variables: dict[str, str] | None = None
    firmware_version: int = 0
    firmware_product_id: int = 0
    system_firmware_version: str = ""
    app_hash: str = ""
    is_virtual: bool = False
    documents: dict[str, Any] = field(default_factory=dict)


@dataclass(slots=True)
class Sim(Row):
    """``sim_class`` 1 activates fast always, 2 mostly, 3 is slow after a deactivation."""

    TABLE: ClassVar[str] = "sim"
    INDEXED: ClassVar[tuple[str, ...]] = ("owner_product", "owner_account")
    iccid: str
    sim_class: int = 1
    plastic: bool = False
    status: str = "inactive"
    pending_status: str = ""
    pending_until: float = 0.0
    owner_account: str = ""
    owner_product: int = 0
    activations: int = 0
    deactivations: int = 0
    first_activated_on: float | None = None
    last_activated_on: float | None = None
    last_action: str = ""
    updated_at: float = 0.0
    country: str = "US"
    mb_limit: int = 0
    device_id: str = ""
    usage_by_day: dict[str, float] = field(default_factory=dict)
    """Megabytes."""


@dataclass(slots=True)
class Firmware(Row):
    """One version of a product's firmware; key ``product:version``."""

    TABLE: ClassVar[str] = "firmware"
    INDEXED: ClassVar[tuple[str, ...]] = ("product_id",)
    key: str
    product_id: int
    version: int
    title: str
    description: str
    name: str
    data: bytes
    sha256: str
    uploaded_on: float
    uploaded_by: str
    product_default: bool = False
    groups: list[str] = field(default_factory=list)
    ran_on: list[str] = field(default_factory=list)
    """Members that have come online with it."""
    was_released: bool = False


@dataclass(slots=True)
class ClaimCode(Row):
    """Claims the device that brings it along to the account that asked for it."""

    TABLE: ClassVar[str] = "claim_code"
    code: str
    account_id: str
    product_id: int = 0


@dataclass(slots=True)
class Integration(Row):
    """A webhook."""

    TABLE: ClassVar[str] = "integration"
    INDEXED: ClassVar[tuple[str, ...]] = ("product_id", "account_id")
    id: str
    account_id: str
    product_id: int
    org_id: str
    created_at: float
    settings: dict[str, Any] = field(default_factory=dict)


@dataclass(slots=True)
class OAuthClient(Row):
    """An OAuth client."""

    TABLE: ClassVar[str] = "client"
    id: str
    secret: str
    name: str
    type: str
    account_id: str
    product_id: int = 0
    redirect_uri: str = ""
    scope: str = ""


@dataclass(slots=True)
class Customer(Row):
    """A user of a product's own app; key ``product:email``."""

    TABLE: ClassVar[str] = "customer"
    INDEXED: ClassVar[tuple[str, ...]] = ("product_id",)
    key: str
    id: str
    product_id: int
    email: str
    password_hash: str = ""


@dataclass(slots=True)
class Metering(Row):
    """Where a device stands with billing. Kept for ever, so that a unit that was once online is never new again."""

    TABLE: ClassVar[str] = "metering"
    INDEXED: ClassVar[tuple[str, ...]] = ("payer",)
    device_id: str
    payer: str = ""
    """``account:ID`` or ``org:ID``; empty: nobody pays."""
    plan: str = ""
    added_at: float | None = None
    first_connected_at: float | None = None
    started_at: float | None = None
    """When it first began to count for anyone."""
    ended_at: float | None = None
    sim_held: bool = False
    """Removed, but its SIM is still owned: goes on counting."""
    months_connected: list[str] = field(default_factory=list)


@dataclass(slots=True)
class LedgerEntry(Row):
    """One line of the metering ledger; never changed."""

    TABLE: ClassVar[str] = "ledger"
    INDEXED: ClassVar[tuple[str, ...]] = ("device_id",)
    number: int
    at: float
    device_id: str
    payer: str
    plan: str
    event: str
    cause: str


@dataclass(slots=True)
class Usage(Row):
    """Data operations and bytes of a payer's month; key ``payer:YYYY-MM``."""

    TABLE: ClassVar[str] = "usage"
    key: str
    payer: str
    month: str
    data_operations: int = 0
    cellular_bytes: int = 0


@dataclass(slots=True)
class Diagnostics(Row):
    """Vitals that a device sent."""

    TABLE: ClassVar[str] = "diagnostics"
    INDEXED: ClassVar[tuple[str, ...]] = ("device_id",)
    number: int
    device_id: str
    at: float
    payload: dict[str, Any] = field(default_factory=dict)


@dataclass(slots=True)
class UsageReport(Row):
    """A report that was asked for; available some time later."""

    TABLE: ClassVar[str] = "usage_report"
    id: str
    payer: str
    created_at: float
    request: dict[str, Any] = field(default_factory=dict)


@dataclass(slots=True)
class Setting(Row):
    """Something about the cloud itself."""

    TABLE: ClassVar[str] = "setting"
    name: str
    value: str


ALL: tuple[type[Row], ...] = (
    Setting,
    Account,
    Token,
    Org,
    Product,
    Device,
    Sim,
    Firmware,
    ClaimCode,
    Integration,
    OAuthClient,
    Customer,
    Metering,
    LedgerEntry,
    Usage,
    Diagnostics,
    UsageReport,
)
