"""Fill a cloud: accounts, products, and the devices that Particle's factory has made."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from functools import cache
from typing import TYPE_CHECKING, Any

from particle_dev.catalog.platforms import platform_by_id, platform_by_name
from particle_harness.boards import hardware, kinds
from particle_harness.cloud.rules.metering import Plan
from particle_harness.cloud.tables import Account, Device, Org, Product, Sim, Token

if TYPE_CHECKING:
    from particle_harness.cloud.sim_cloud import SimCloud

TOKEN_LIFE_S = 90 * 24 * 3600.0
_ID_PREFIX = "e00fce68"
_FIRST_PRODUCT_ID = 10_001


class Population:
    """Methods return rows; what they change is written at once."""

    def __init__(self, cloud: SimCloud) -> None:
        self._cloud = cloud

    def add_account(
        self, username: str, password: str = "password", *, plan: str = "free", mfa_secret: str = ""
    ) -> Account:
        """A user with a sandbox of that plan. ``mfa_secret``: the one-time password that login asks for."""
        cloud = self._cloud
        with cloud.session():
            account = Account(cloud.new_id(), username, hash_of(password), mfa_secret, str(Plan(plan)))
            cloud.store.put(account)
            return account

    def add_org(self, slug: str, *members: Account, plan: str = "basic") -> Org:
        """An organization with its members."""
        cloud = self._cloud
        with cloud.session():
            org = Org(cloud.new_id(), slug, slug.title(), str(Plan(plan)), [member.id for member in members])
            cloud.store.put(org)
            return org

    def add_product(self, name: str, platform: str | int, owner: Account, *, org: Org | None = None) -> Product:
        """A product for one platform (name or id). ``org`` owns and pays for it instead of ``owner``'s sandbox."""
        cloud = self._cloud
        with cloud.session():
            product_id = max(_FIRST_PRODUCT_ID, cloud.store.next_number(Product))
            slug = "-".join([*name.lower().split(), f"v{product_id}"])
            product = Product(product_id, slug, name, platform_id_of(platform), owner.id, org.id if org else "")
            cloud.store.put(product)
            return product

    def add_api_user(self, product: Product, *scopes: str, name: str = "station") -> tuple[Account, str]:
        """An API user of a product, and its token."""
        cloud = self._cloud
        with cloud.session():
            username = f"{name}+{cloud.new_id(10)}@api.particle.io"
            account = Account(cloud.new_id(), username, is_programmatic=True, scopes=list(scopes))
            account.product_id = product.id
            cloud.store.put(account)
            product = cloud.store.get(Product, product.id) or product
            product.team = [*product.team, account.id]
            cloud.store.put(product)
            return account, self.make_token(account, life_s=None)

    def make_token(self, account: Account, *, life_s: float | None = TOKEN_LIFE_S, client_id: str = "particle") -> str:
        """A new access token; ``life_s`` None: it never expires."""
        cloud = self._cloud
        with cloud.session():
            text = cloud.new_id(40)
            expires_at = None if life_s is None else cloud.now_s() + life_s
            cloud.store.put(Token(hash_of(text), account.id, client_id, expires_at))
            return text

    def make_device(self, platform: str | int, device_id: str = "", **properties: Any) -> Device:
        """A device from the factory, with its SIM where it has a modem. ``properties``: columns of ``Device``, and
        ``sim_class`` (1) and ``plastic_sim`` (false)."""
        return self.make_devices(platform, [device_id or self._next_device_id()], **properties)[0]

    def make_devices(self, platform: str | int, device_ids: Sequence[str], **properties: Any) -> list[Device]:
        """Many of one platform."""
        cloud = self._cloud
        platform_id = platform_id_of(platform)
        sim_class, plastic = properties.pop("sim_class", 1), properties.pop("plastic_sim", False)
        known = platform_by_id(platform_id)
        has_modem = properties.pop("has_modem", platform_id in platforms_with_modem())
        with cloud.session():
            devices, sims = [], []
            for device_id in device_ids:
                device = Device(device_id.lower(), platform_id, **(_identity(device_id, known, has_modem) | properties))
                devices.append(device)
                if has_modem and device.iccid:
                    sims.append(Sim(device.iccid, sim_class, plastic, device_id=device.id))
            cloud.store.put_many(Device, devices)
            cloud.store.put_many(Sim, sims)
            return devices

    def _next_device_id(self) -> str:
        with self._cloud.session():
            return (_ID_PREFIX + self._cloud.new_id())[:24]


def make_record(cloud: SimCloud, identity: Mapping[str, Any]) -> None:
    """The record that a board's factory made, unless there is one."""
    with cloud.session():
        if cloud.store.get(Device, identity["device_id"]) is None:
            rest = {name: value for name, value in identity.items() if name not in ("device_id", "platform_id")}
            cloud.population.make_device(identity["platform_id"], identity["device_id"], **rest)


def hash_of(secret: str) -> str:
    """How secrets are kept."""
    return hashlib.sha256(secret.encode()).hexdigest()


def platform_id_of(platform: str | int) -> int:
    """Number of a platform. ValueError for an unknown name."""
    if isinstance(platform, int):
        return platform
    found = platform_by_name(platform)
    if found is None:
        raise ValueError(f"no platform {platform!r}")
    return int(found.id)


def luhn_digit(digits: str) -> str:
    """Check digit of ICCIDs and IMEIs."""
    doubled = (int(d) * (2 - i % 2) for i, d in enumerate(reversed(digits)))
    return str(-sum(d // 10 + d % 10 for d in doubled) % 10)


def _identity(device_id: str, platform: Any, has_modem: bool) -> dict[str, str]:
    number = str(int(device_id[-12:], 16)).rjust(15, "0")
    prefixes = platform.serial_prefixes if platform else ()
    identity = {
        "serial_number": ((prefixes[0] if prefixes else "") + number[::-1])[:15],
        "mobile_secret": device_id[::-1].upper()[:15],
    }
    if has_modem:
        iccid, imei = "89014103" + number[-11:], ("3527530" + number[-11:])[:14]
        identity |= {"iccid": iccid + luhn_digit(iccid), "imei": imei + luhn_digit(imei)}
    return identity


@cache
def platforms_with_modem() -> frozenset[int]:
    """Platforms whose boards have a modem."""
    boards = (hardware(name) for name in kinds())
    return frozenset(board.platform_id for board in boards if board.radio == "cellular")
