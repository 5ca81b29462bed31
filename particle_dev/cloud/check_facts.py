"""What the checks of a product look at, each part read or not."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass, field

from particle_dev.cloud.integrations import Integration
from particle_dev.cloud.order_file import OrderEntry
from particle_dev.cloud.product_firmware import is_wildcard
from particle_dev.cloud.records import DeviceRecord, Product
from particle_dev.protocol.identifiers import IdentifierKind
from particle_dev.protocol.module import Module

FIRST_WITHOUT_PRODUCT_ID = 4
"""Device OS from which on firmware names no product: the cloud goes by membership alone.
Source: particle-iot/docs src/content/getting-started/cloud/device-claiming.md, Wildcard product firmware."""


@dataclass(frozen=True, slots=True)
class Unread:
    """A part that could not be read, why, and what to do about it."""

    reason: str
    fix: str


@dataclass(frozen=True, slots=True)
class UploadedFirmware:
    """A version of the product's firmware. ``sha256`` is that in the suffix of its module, as hex; None: not read."""

    version: int
    is_default: bool
    groups: tuple[str, ...] = ()
    sha256: str | None = None


@dataclass(frozen=True, slots=True)
class LineFirmware:
    """The application that a line flashes. ``version`` and ``product_id`` None: it states none.

    ``is_wildcard``: it names no product of its own, so that only members belong to one.
    """

    name: str
    product_id: int | None
    version: int | None
    sha256: str | None
    is_wildcard: bool

    @classmethod
    def of(cls, name: str, module: Module, device_os: str) -> LineFirmware:
        """From the application's module and the Device OS release that goes with it."""
        product = module.product
        product_id = product.id if product else None
        wild = is_wildcard(product_id, module.platform_id)
        new = int(device_os.split(".", maxsplit=1)[0]) >= FIRST_WITHOUT_PRODUCT_ID
        version = product.version if product and product.version not in (0, 0xFFFF) else None
        digest = module.sha256.stored.hex() if module.sha256 else None
        return cls(name, None if wild else product_id, version, digest, wild or new)


@dataclass(slots=True)
class Members:
    """What matters of a product's devices, taken while they are read one by one. ``bench_devices`` may be marked."""

    platform_id: int
    bench_devices: Collection[str] = ()
    wanted: Iterable[OrderEntry] = ()
    count: int = 0
    unclaimed: int = 0
    development_list: list[str] = field(default_factory=list)
    wrong_platform_list: list[str] = field(default_factory=list)
    quarantined_list: list[str] = field(default_factory=list)
    running: dict[int, int] = field(default_factory=dict)
    """How many members that have connected run each version of the product's firmware."""
    running_wildcard: dict[int, int] = field(default_factory=dict)
    """Likewise, of firmware that names no product: whose version it is, its number does not tell."""
    _names: set[str] = field(default_factory=set)
    _wanted: set[str] = field(default_factory=set)

    def __post_init__(self) -> None:
        for entry in self.wanted:
            self._wanted.update(_names_of(entry))

    def take(self, record: DeviceRecord) -> None:
        """Read one member."""
        if record.quarantined or record.denied:
            self.quarantined_list.append(record.id)
            return
        self.count += 1
        self.unclaimed += record.owner is None
        if record.development and record.id not in self.bench_devices:
            self.development_list.append(record.id)
        if record.platform_id is not None and record.platform_id != self.platform_id:
            self.wrong_platform_list.append(record.id)
        if record.firmware_version and record.last_handshake_at is not None:
            self._count_firmware(record, record.firmware_version)
        names = (record.id, record.serial_number, record.imei, record.iccid, record.last_iccid)
        self._names.update(name.upper() for name in names if name and name.upper() in self._wanted)

    def _count_firmware(self, record: DeviceRecord, version: int) -> None:
        named = record.firmware_product_id
        if named in (None, record.product_id):
            self.running[version] = self.running.get(version, 0) + 1
        elif is_wildcard(named, record.platform_id):
            self.running_wildcard[version] = self.running_wildcard.get(version, 0) + 1

    def has(self, entry: OrderEntry) -> bool:
        """Whether a device of the order was among those read."""
        return any(name in self._names for name in _names_of(entry))

    @property
    def development(self) -> tuple[str, ...]:
        """Devices with a development mark that are not of the bench."""
        return tuple(self.development_list)

    @property
    def wrong_platform(self) -> tuple[str, ...]:
        """Devices that the product's firmware is not for."""
        return tuple(self.wrong_platform_list)

    @property
    def quarantined(self) -> tuple[str, ...]:
        """Devices that wait for approval."""
        return tuple(self.quarantined_list)


def _names_of(entry: OrderEntry) -> list[str]:
    return [value.upper() for kind in IdentifierKind if (value := getattr(entry, kind)) is not None]


@dataclass(frozen=True, slots=True)
class ProductFacts:
    """All that is known of a product. ``owner`` names the user's account, for messages."""

    product: Product
    owner: str
    members: Members | Unread
    firmware: tuple[UploadedFirmware, ...] | Unread
    product_integrations: tuple[Integration, ...] | Unread
    organization_integrations: tuple[Integration, ...] | Unread
    """Empty for a product that belongs to no organization."""
    owner_integrations: tuple[Integration, ...] | Unread
    """Those of the user's own account; they hear devices that the user has claimed."""
