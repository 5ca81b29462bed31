"""The cloud's rule for firmware of a product: versions only go up, and a version is one file for ever.

Source: particle-iot/docs, Cloud API reference, ``POST /v1/products/:productIdOrSlug/firmware`` (versions 1 to 65535).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from particle_dev.errors import ProductVersionError
from particle_dev.protocol.module import Module

MAX_PRODUCT_VERSION = 0xFFFF


def is_wildcard(product_id: int | None, platform_id: int | None) -> bool:
    """Whether a product id that firmware states names no product of its own: the cloud goes by membership then.

    Source: particle-iot/docs src/content/getting-started/cloud/device-claiming.md, Wildcard product firmware.
    """
    return product_id in (None, 0, 0xFFFF, platform_id)


def check_product_version(module: Module, existing: Sequence[tuple[int, str | None]]) -> None:
    """Check that a product can take this firmware beside what it has: (version, SHA-256 as hex, None if not known).

    The SHA-256 is the one in a module's suffix, by which devices and cloud identify firmware. The same firmware under
    its own version again is fine. Raises ProductVersionError when the module belongs to no product, another file has
    its version, or its version is 0 or not higher than all others.
    """
    if module.product is None or module.product.version == 0:
        raise ProductVersionError(
            "The module states no product version of 1 or more.",
            hint="set one with: particle-dev firmware set-product PRODUCT_ID PRODUCT_VERSION IN OUT",
        )
    version = module.product.version
    digest = module.sha256.stored.hex() if module.sha256 else None
    taken = [known for other, known in existing if other == version]
    if taken and all(known is not None and known.lower() == digest for known in taken):
        return
    newest = max((other for other, _ in existing), default=0)
    if taken:
        other = all(known is not None for known in taken)
        what = "another file under version {} already" if other else "maybe another file under version {} already"
        hint = _raise_above(newest) if other else f"{_raise_above(newest)}, or tell its SHA-256 if it is this file"
        raise ProductVersionError(f"The product has {what.format(version)}.", version=version, hint=hint)
    if existing and version < newest:
        raise ProductVersionError(
            f"Product version {version} is not higher than {newest}, which the product has.",
            version=version,
            hint=_raise_above(newest),
        )


def check_first_release(version: int, running: Iterable[tuple[str, int | None]]) -> None:
    """Check that a version can be released for the first time: a device of the product must have connected with it.

    ``running`` has the members by Device ID with the version of this product that each last reported. Raises
    ProductVersionError: none runs it. Such a golden device is metered for good, so keep one for all releases.
    """
    if all(reported != version for _, reported in running):
        raise ProductVersionError(
            f"No device of the product has connected with version {version}.",
            version=version,
            hint="flash it onto the product's golden device, let that one connect (it is billed), and release then",
        )


def _raise_above(newest: int) -> str:
    if newest >= MAX_PRODUCT_VERSION:
        return f"{MAX_PRODUCT_VERSION} is the highest version there is: this product can take no more firmware"
    return f"raise PRODUCT_VERSION to {newest + 1} or more"
