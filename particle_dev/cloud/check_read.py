"""Reads from the cloud what the checks of a product look at. What the token may not see is unread, not empty."""

from __future__ import annotations

from collections.abc import Callable, Collection
from typing import TypeVar

from particle_dev.cloud.api import CloudApi
from particle_dev.cloud.check_facts import LineFirmware, Members, ProductFacts, Unread, UploadedFirmware
from particle_dev.cloud.firmware import ProductFirmware, ProductFirmwares
from particle_dev.cloud.integrations import Integration, Integrations
from particle_dev.cloud.order_file import Order
from particle_dev.cloud.product_devices import ProductDevices
from particle_dev.cloud.products import product as get_product
from particle_dev.cloud.replies import LOG_IN_COMMAND
from particle_dev.cloud.tokens import TokenInfo, token_info, user_name
from particle_dev.errors import CloudRefusedError, FormatError
from particle_dev.protocol.module import parse

PartT = TypeVar("PartT")


def read_facts(
    api: CloudApi,
    product_ref: str,
    firmware: LineFirmware | Unread,
    *,
    order: Order | None = None,
    bench_devices: Collection[str] = (),
) -> ProductFacts:
    """All that the checks need of a product, in one pass over its devices. Changes nothing.

    The file of a firmware version is loaded only for the version that the line flashes. Raises CloudError for what
    is not a matter of permission; CloudNotFoundError and CloudDeniedError for the product itself.
    """
    product = get_product(api, product_ref)
    info = token_info(api)

    def read_members() -> Members:
        members = Members(product.platform_id, bench_devices, order.entries if order else ())
        for record in ProductDevices(api, product.id).list(sort="deviceId"):
            members.take(record)
        return members

    def read_firmware() -> tuple[UploadedFirmware, ...]:
        wanted = None if isinstance(firmware, Unread) else firmware.version
        firmwares = ProductFirmwares(api, product.id)
        return tuple(_uploaded(firmwares, f, wanted) for f in firmwares.list())

    organization = product.organization
    return ProductFacts(
        product,
        owner=_owner(api, info),
        members=_part(read_members, "devices:list"),
        firmware=_part(read_firmware, "firmware:list"),
        product_integrations=_part(lambda: _enabled(Integrations(api, product_ref=product.id)), "integrations:list"),
        organization_integrations=(
            _part(lambda: _enabled(Integrations(api, organization=organization)), "integrations:list")
            if organization
            else ()
        ),
        owner_integrations=_API_USER
        if info.scopes
        else _part(lambda: _enabled(Integrations(api)), "integrations:list"),
    )


_API_USER = Unread(
    "an API user does not see the integrations of the account that claims devices",
    f"run this once with the token of a user: `{LOG_IN_COMMAND}`",
)


def _owner(api: CloudApi, info: TokenInfo) -> str:
    return "the owner's account" if info.scopes else user_name(api)


def _part(read: Callable[[], PartT], scope: str) -> PartT | Unread:
    try:
        return read()
    except CloudRefusedError as error:
        return Unread(error.message, f"use a token that may: scope {scope}")


def _uploaded(firmwares: ProductFirmwares, firmware: ProductFirmware, wanted: int | None) -> UploadedFirmware:
    digest = None
    if firmware.version == wanted:
        try:
            module = parse(firmwares.binary(firmware.version))
            digest = module.sha256.stored.hex() if module.sha256 else None
        except (CloudRefusedError, FormatError):
            # Which file it is stays unknown, and the check says so.
            digest = None
    return UploadedFirmware(firmware.version, firmware.product_default, firmware.groups, digest)


def _enabled(integrations: Integrations) -> tuple[Integration, ...]:
    return tuple(i for i in integrations.list() if not i.disabled)
