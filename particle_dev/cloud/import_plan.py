"""What an order would change in a product, before anything is asked for. Pure: records in, a plan out."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from particle_dev.catalog.model import Platform
from particle_dev.catalog.platforms import platform_by_id, platform_by_name
from particle_dev.catalog.skus import has_plastic_sim, platform_name_by_serial_number, sku_by_name
from particle_dev.cloud.order_file import LineProblem, Order, OrderEntry
from particle_dev.cloud.plans import Capacity, PlanName, blocks_needed
from particle_dev.cloud.records import DeviceRecord, Product
from particle_dev.protocol.identifiers import IdentifierKind

_ID_FAMILIES = (("e00fce68", "nrf52840"), ("0a10aced2021", "rtl872x"))
"""Beginnings of Device IDs that all chips of a family have, and no other.
Source: device-os v6.2.0 hal/src/nRF52840/deviceid_hal.cpp, hal/src/rtl872x/deviceid_hal.cpp."""
PLASTIC_SIM_PLATFORM = "electron"
"""The platform of which some boards take a plastic SIM card."""


class Member(NamedTuple):
    """What an import needs to know of a device that is in the product."""

    device_id: str
    serial_number: str | None
    imei: str | None
    iccid: str | None
    platform_id: int | None
    quarantined: bool

    @classmethod
    def of(cls, record: DeviceRecord, entry: OrderEntry) -> Member:
        """The part of a record that is kept, with the entry's own texts where they are the same: an order can have
        100 000 of them."""
        return cls(
            _same(record.id, entry.device_id) or record.id,
            _same(record.serial_number, entry.serial_number),
            _same(record.imei, entry.imei),
            _same(record.iccid or record.last_iccid, entry.iccid),
            record.platform_id,
            record.quarantined or record.denied,
        )


def _same(known: str | None, told: str | None) -> str | None:
    return told if told == known else known


@dataclass(slots=True)
class Roll:
    """The members of a product that an order names, found while all are read once. Numbers count all members."""

    entries: Sequence[OrderEntry]
    found: dict[int, Member] = field(default_factory=dict)
    """By the number of the entry."""
    members: int = 0
    ever_online: int = 0
    is_complete: bool = True
    """Whether all members were read, so that the numbers hold; else only those that the order names."""
    _wanted: dict[str, int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for number, entry in enumerate(self.entries):
            for kind in IdentifierKind:
                value = getattr(entry, kind)
                if value is not None:
                    self._wanted[value] = number

    def take(self, record: DeviceRecord) -> None:
        """Read one member."""
        self.members += 1
        self.ever_online += record.ever_online
        names = (record.id, (record.serial_number or "").upper(), record.imei, record.iccid, record.last_iccid)
        number = next((self._wanted[name] for name in names if name and name in self._wanted), None)
        if number is not None:
            self.found[number] = Member.of(record, self.entries[number])


@dataclass(frozen=True, slots=True)
class Account:
    """Who owns a product and so pays for its devices, and what the plan allows.

    ``metered``: devices of the account that count now; None: not known.
    """

    owner: str
    is_organization: bool
    capacity: Capacity
    metered: int | None = None


@dataclass(frozen=True, slots=True)
class ImportPlan:
    """What an import would do. ``problems`` are lines that cannot be imported and why; ``add`` entries of devices that
    will be asked for; ``present`` those of devices that are in the product, and of SIM cards; ``sims`` the ICCIDs of
    plastic SIM cards that the product does not have."""

    product: Product
    account: Account
    add: tuple[OrderEntry, ...]
    present: tuple[OrderEntry, ...]
    present_members: tuple[Member | None, ...]
    """For each of ``present``; None for a SIM card."""
    sims: tuple[str, ...]
    problems: tuple[LineProblem, ...]
    order: Order
    ever_online: int | None
    """Members that were online once; None: they were not all read."""

    @property
    def platform(self) -> Platform | None:
        """What the product takes; None for a platform that the catalogue does not know."""
        return platform_by_id(self.product.platform_id)

    @property
    def has_sims(self) -> bool:
        """Whether devices of the product have SIMs, which an import activates."""
        return self.platform is None or self.platform.billing == "cellular"

    @property
    def changes_nothing(self) -> bool:
        """All of it is there already."""
        return not self.add and not self.sims

    @property
    def blocks(self) -> tuple[int, int] | None:
        """Blocks of the basic plan: for what counts now, and once all of this order have connected. None on other
        plans, and when the number that counts is not known."""
        counted = self.account.metered if self.account.metered is not None else self.ever_online
        if self.account.capacity.plan.name is not PlanName.BASIC or counted is None:
            return None
        return blocks_needed(counted), blocks_needed(counted + len(self.add))

    def consequences(self) -> tuple[str, ...]:
        """What the import brings that costs or cannot be called back, in sentences."""
        told = []
        if self.add and self.account.capacity.plan.name is PlanName.FREE:
            one = len(self.add) == 1
            which = "1 device counts" if one else f"{len(self.add)} devices count"
            told.append(f"{which} against the free plan at once")
        elif self.add:
            which = "the device" if len(self.add) == 1 else f"each of {len(self.add)} devices"
            told.append(f"{which} counts from its first connection on, and then every month")
        if self.add and self.has_sims:
            sims = "its SIM is" if len(self.add) == 1 else "their SIMs are"
            told.append(f"{sims} activated: from then on every boot of an application can connect")
        if self.sims:
            told.append(
                "1 SIM card is activated" if len(self.sims) == 1 else f"{len(self.sims)} SIM cards are activated"
            )
        if self.blocks and self.blocks[1] > self.blocks[0]:
            told.append(f"blocks: {self.blocks[0]} now, {self.blocks[1]} once all of them have connected")
        return tuple(told)

    def notes(self) -> tuple[str, ...]:
        """What is good to know beside that."""
        cardless = [
            entry
            for entry in (*self.add, *self.present)
            if entry.serial_number and entry.iccid is None and has_plastic_sim(entry.serial_number)
        ]
        if not cardless:
            return ()
        return (f"{len(cardless)} devices take plastic SIM cards: give the list of their ICCIDs too, or they stay off",)

    def require_room(self) -> None:
        """Raise CapacityError when the plan has no room for the devices to add."""
        if self.add:
            self.account.capacity.require_room(len(self.add))


def plan_import(product: Product, account: Account, order: Order, roll: Roll, sims: Iterable[str] = ()) -> ImportPlan:
    """The plan for an order, from the members of the product and the ICCIDs of the SIMs that it has (needed only where
    :func:`takes_plastic_sims`)."""
    platform = platform_by_id(product.platform_id)
    have = set(sims)
    add: list[OrderEntry] = []
    present: list[tuple[OrderEntry, Member | None]] = []
    cards: list[str] = []
    problems = list(order.problems)
    for number, entry in enumerate(order.entries):
        member = roll.found.get(number)
        problem = _problem(entry, member, product, platform)
        if problem is not None:
            problems.append(problem)
            continue
        is_card = takes_plastic_sims(platform) and entry.iccid is not None and not _has_embedded_sim(entry)
        if is_card and entry.iccid not in have:
            assert entry.iccid is not None
            cards.append(entry.iccid)
        if names_card_only(entry, platform):
            present.append((entry, None))
        elif member is not None:
            present.append((entry, member))
        else:
            add.append(entry)
    problems.sort(key=lambda p: (p.file, p.line))
    return ImportPlan(
        product,
        account,
        tuple(add),
        tuple(entry for entry, _ in present),
        tuple(member for _, member in present),
        tuple(cards),
        tuple(problems),
        order,
        roll.ever_online if roll.is_complete else None,
    )


def names_card_only(entry: OrderEntry, platform: Platform | None) -> bool:
    """Whether a line names a plastic SIM card and no device."""
    return takes_plastic_sims(platform) and entry.asked.kind is IdentifierKind.ICCID


def takes_plastic_sims(platform: Platform | None) -> bool:
    """Whether some boards of this platform take a SIM card that must be imported by itself."""
    return platform is not None and platform.name == PLASTIC_SIM_PLATFORM


def _has_embedded_sim(entry: OrderEntry) -> bool:
    """Whether the SIM of this device comes along with it; not known without a serial number or SKU."""
    sku = sku_by_name(entry.sku) if entry.sku else None
    if sku is not None:
        return not sku.plastic_sim
    serial_number = entry.serial_number
    known = serial_number is not None and platform_name_by_serial_number(serial_number) is not None
    return known and serial_number is not None and not has_plastic_sim(serial_number)


def _problem(
    entry: OrderEntry, member: Member | None, product: Product, platform: Platform | None
) -> LineProblem | None:
    """Why a device cannot come into this product, as far as that shows without asking for it."""
    if member is not None and member.quarantined:
        approve = f"particle-dev cloud devices approve {member.device_id} --product {product.id} --may-bill"
        hint = f"if it is yours: {approve}, which bills it"
        return LineProblem(entry.file, entry.line, "quarantined", f"{member.device_id} waits for approval", hint)
    mismatch = member and disagreement_with(member, entry, platform)
    if mismatch:
        hint = "find out which label belongs to which board: somebody will be sent the wrong one"
        return LineProblem(entry.file, entry.line, "names_of_two_devices", mismatch, hint)
    other = platform and _other_platform(entry, platform)
    if not platform or not other:
        return None
    message = f"{other}; product {product.name} takes {platform.display_name} only"
    hint = "give the list of the other order, or a product for that platform: each product has one"
    return LineProblem(entry.file, entry.line, "wrong_platform", message, hint)


def disagreement_with(member: Member, entry: OrderEntry, platform: Platform | None) -> str | None:
    """Where a line and the cloud tell different names of one device; None when they agree. Cards can be changed."""
    sims_change = takes_plastic_sims(platform)
    for kind in IdentifierKind:
        told, known = getattr(entry, kind), getattr(member, kind)
        if kind is IdentifierKind.ICCID and sims_change:
            continue
        if told and known and told.upper() != known.upper():
            return f"{kind.noun} {told} stands beside {member.device_id}, whose {kind.noun} in the cloud is {known}"
    return None


def _other_platform(entry: OrderEntry, platform: Platform) -> str | None:
    """What in this line belongs to another platform; None when nothing does."""
    if entry.serial_number:
        name = platform_name_by_serial_number(entry.serial_number)
        if name is not None and name != platform.name:
            return f"serial number {entry.serial_number} is that of a {_display(name)}"
    sku = sku_by_name(entry.sku) if entry.sku else None
    if sku is not None and sku.platform_name != platform.name:
        return f"{entry.sku} is a {_display(sku.platform_name)}"
    for beginning, family in _ID_FAMILIES:
        if entry.device_id and entry.device_id.startswith(beginning) != (platform.family == family):
            if entry.device_id.startswith(beginning):
                return f"Device ID {entry.device_id} is that of an {family} chip"
            return f"Device ID {entry.device_id} does not begin as those of {family} chips do"
    return None


def _display(platform_name: str) -> str:
    platform = platform_by_name(platform_name)
    return platform.display_name if platform else platform_name
