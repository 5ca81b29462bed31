"""Firmware of a product: versions, what each device runs, and releases that the cloud flashes over the air.

The cloud flashes by equality of versions, so a release also goes down; Device OS it never lowers. A version can be
released only after a member has run it and connected.

Source: particle-api-js 12.0.3 src/Particle.ts; cspell2k5/ParticleIoSDK CloudResource.swift; cloud API reference,
"Product firmware".
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from particle_dev.cloud.api import CloudApi
from particle_dev.cloud.groups import groups as get_groups
from particle_dev.cloud.product_devices import ProductDevices
from particle_dev.cloud.product_firmware import check_first_release, check_product_version, is_wildcard
from particle_dev.cloud.records import DeviceRecord
from particle_dev.cloud.replies import JsonObject, objects
from particle_dev.errors import (
    CloudAuthError,
    CloudDeniedError,
    CloudError,
    CloudNotFoundError,
    CloudRefusedError,
    CloudReplyError,
    ProductVersionError,
)
from particle_dev.permissions import NOTHING, Effect, Permissions
from particle_dev.protocol.module import parse, verify
from particle_dev.protocol.module_values import Module
from particle_dev.transport.base import HttpFile

TRANSFER_TIMEOUT_S = 120.0
_SHOWN = 5
"""Versions named in an error, the highest first."""


@dataclass(frozen=True, slots=True)
class ProductFirmware:
    """One version of a product's firmware. ``device_count`` is how many members run it, None where not told.

    ``groups`` are those that it is released to, ``product_default`` says that it is for all others.
    """

    version: int
    title: str
    description: str
    size_bytes: int | None
    product_default: bool
    groups: tuple[str, ...]
    device_count: int | None
    uploaded_on: datetime | None

    @classmethod
    def from_json(cls, data: JsonObject) -> ProductFirmware:
        """A version of the list or by itself. Raises CloudReplyError."""
        return cls(
            version=data.integer("version"),
            title=data.optional_text("title") or "",
            description=data.optional_text("description") or "",
            size_bytes=data.optional_integer("size"),
            product_default=data.flag("product_default", "current"),
            groups=data.texts("groups"),
            device_count=data.optional_integer("device_count"),
            uploaded_on=data.time("uploaded_on", "uploaded_at"),
        )


@dataclass(frozen=True, slots=True)
class ReleaseImpact:
    """What the cloud expects of a release: ``affected`` devices would be flashed; None where it told no such number.

    ``numbers`` are all numbers of its answer by their path.
    """

    affected: int | None
    numbers: tuple[tuple[str, int], ...]


class ProductFirmwares:
    """Firmware of the product ``product_ref`` (number or slug)."""

    def __init__(self, api: CloudApi, product_ref: str | int) -> None:
        self._api = api
        self._product_ref = product_ref
        self._path = ("v1", "products", product_ref, "firmware")

    def list(self) -> list[ProductFirmware]:
        """All versions, the highest first. Scope ``firmware:list``."""
        answer = self._api.call("GET", self._path)
        found = [ProductFirmware.from_json(f) for f in objects(answer, self._api.shown("GET", self._path))]
        return sorted(found, key=lambda f: -f.version)

    def get(self, version: int) -> ProductFirmware:
        """One version. Scope ``firmware:get``. Raises CloudNotFoundError."""
        return ProductFirmware.from_json(self._api.get_object((*self._path, version)))

    def require(self, version: int, *, groups: Sequence[str] = ()) -> None:
        """Check that the product has this version, and these groups. Scopes ``firmware:list``, ``groups:list``.

        Raises CloudNotFoundError, before something is asked for that would reach nobody.
        """
        versions = [f.version for f in self.list()]
        if version not in versions:
            known = f"; it has {', '.join(map(str, versions[:_SHOWN]))}" if versions else ""
            raise CloudNotFoundError(
                f"Product {self._product_ref} has no firmware version {version}{known}.",
                hint=f"choose one of `particle-dev cloud firmware list --product {self._product_ref}`, or upload it",
            )
        there = {g.name for g in get_groups(self._api, self._product_ref)} if groups else set()
        missing = [name for name in groups if name not in there]
        if missing:
            raise CloudNotFoundError(
                f"Product {self._product_ref} has no group {', '.join(missing)}.",
                hint=f"choose one of `particle-dev cloud groups list --product {self._product_ref}`, or create it",
            )

    def binary(self, version: int) -> bytes:
        """The file of a version. Scope ``firmware.binary:get``. Raises CloudNotFoundError."""
        data = self._api.call("GET", (*self._path, version, "binary"), raw=True, timeout_s=TRANSFER_TIMEOUT_S)
        assert isinstance(data, bytes)
        return data

    def upload(self, binary: bytes, title: str, description: str = "", *, product_id: int) -> ProductFirmware:
        """Add firmware under the version that it states; nothing is released by that. Scope ``firmware:create``.

        ``product_id`` is the product's number, which the firmware must state too, unless it names no product of its own
        (as for Device OS 4 and newer). The same file under its own version
        again gives what is there. Raises ModuleFormatError for a damaged file, ProductVersionError when the version
        is taken or not higher than all others.
        """
        module = parse(binary)
        verify(module)
        stated = module.product.id if module.product else None
        if module.product is not None and stated != product_id and not is_wildcard(stated, module.platform_id):
            raise ProductVersionError(
                f"The firmware is for product {module.product.id}, not for {product_id}.",
                version=module.product.version,
                hint="build it for this product, or use: particle-dev firmware set-product PRODUCT_ID VERSION IN OUT",
            )
        there = self.list()
        version = module.product.version if module.product else None
        known = [(f.version, self._digest(f.version) if f.version == version else None) for f in there]
        check_product_version(module, known)
        assert version is not None
        same = next((f for f in there if f.version == version), None)
        if same is not None:
            return same
        answer = self._api.object_of(
            "POST",
            self._path,
            form={"version": str(version), "title": title, "description": description},
            files=(HttpFile("file", "firmware.bin", binary),),
            repeatable=False,
            timeout_s=TRANSFER_TIMEOUT_S,
        )
        return ProductFirmware.from_json(answer)

    def edit(self, version: int, *, title: str, description: str) -> ProductFirmware:
        """Change title and description. Scope ``firmware:update``."""
        body = {"title": title, "description": description}
        return ProductFirmware.from_json(self._api.object_of("PUT", (*self._path, version), json=body, repeatable=True))

    def remove(self, version: int) -> None:
        """Remove a version that was never released. Scope ``firmware:remove``. Raises CloudRefusedError."""
        self._api.call("DELETE", (*self._path, version))

    def impact(self, version: int, *, groups: Sequence[str] = (), product_default: bool = False) -> ReleaseImpact:
        """What a release would do, without doing it. Scope ``groups.impact:get``."""
        answer = self._api.get_object(
            (*self._path[:-1], "impact"),
            query={
                "action": "edit_groups_for_firmware",
                "groups": ",".join(groups) or None,
                "firmware_version": version,
                "product_default": product_default,
            },
        )
        numbers = tuple(_numbers(answer.data, ""))
        affected = next((n for path, n in numbers if path.rpartition(".")[2] in _AFFECTED), None)
        return ReleaseImpact(affected, numbers)

    def release(
        self,
        version: int,
        permissions: Permissions = NOTHING,
        *,
        groups: Sequence[str] = (),
        product_default: bool = False,
        flash_now: bool = False,
    ) -> None:
        """Let the cloud flash this version to members of ``groups``, or as default to all others.

        Needs ``may_update_devices``; scope ``firmware:release``. Devices get it at their next connection, with
        ``flash_now`` those that are online at once. Locked devices and those marked for development are left alone.
        Raises ProductVersionError when the cloud refuses it and no member runs it; CloudRefusedError for other reasons.
        """
        if not groups and not product_default:
            raise ValueError("a release is for groups or for the whole product")
        whom = f"groups {', '.join(groups)}" if groups else "the whole product"
        permissions.require(Effect.UPDATE, f"releasing version {version} to {whom}")
        body = {
            "version": version,
            "product_default": product_default,
            "groups": list(groups),
            "intelligent": flash_now,
        }
        try:
            self._api.call("PUT", (*self._path, "release"), json=body, repeatable=True)
        except (CloudAuthError, CloudDeniedError, CloudNotFoundError):
            raise
        except CloudRefusedError as error:
            # Not asked before: a version that ran once, and that nobody runs now, the cloud may take.
            members = ProductDevices(self._api, self._product_ref).list(sort="deviceId", descending=False)
            try:
                check_first_release(version, ((d.id, _version_of_product(d)) for d in members))
            except ProductVersionError as reason:
                raise reason from error
            except CloudError:
                raise error from None  # Without the members the refusal is all there is to tell.
            error.hint = (
                f"let a device of the product that runs version {version} connect once more after the upload, then "
                "release it"
            )
            raise

    def _digest(self, version: int) -> str | None:
        """The SHA-256 in the suffix of a version that is there; None when its file cannot be had or read."""
        try:
            module: Module = parse(self.binary(version))
        except (CloudNotFoundError, CloudReplyError):
            return None
        return module.sha256.stored.hex() if module.sha256 else None


def _version_of_product(device: DeviceRecord) -> int | None:
    """The version that a member last reported; None when it is of firmware that names another product."""
    named = device.firmware_product_id
    is_ours = named == device.product_id or is_wildcard(named, device.platform_id)
    return device.firmware_version if is_ours else None


_AFFECTED = ("affected_devices", "affected", "device_count", "devices", "total")


def _numbers(data: object, path: str) -> list[tuple[str, int]]:
    """Whole numbers of an answer whose shape is not documented."""
    if isinstance(data, int) and not isinstance(data, bool):
        return [(path, data)]
    if isinstance(data, dict):
        return [item for key, value in data.items() for item in _numbers(value, f"{path}.{key}" if path else key)]
    if isinstance(data, list):
        return [item for n, value in enumerate(data) for item in _numbers(value, f"{path}[{n}]")]
    return []
