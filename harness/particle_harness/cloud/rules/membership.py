"""Who may join a product, and what happens to one that nobody imported.

Source: particle-iot/docs src/content/getting-started/cloud/device-claiming.md; particle-iot/particle-cli
test/e2e/product.e2e.js (partial success, a member of another product is invalid).
"""

from __future__ import annotations

from enum import StrEnum

FIRST_WITHOUT_QUARANTINE = 4000
"""System version from which a device no longer tells a product id, so none can be quarantined."""


class ImportResult(StrEnum):
    """Where an id ends up in the answer to an import."""

    UPDATED = "updated"
    EXISTING = "existing"
    INVALID = "invalid"


def import_result(*, known: bool, device_platform: int, product_platform: int, member_of: int, product: int) -> str:
    """What becomes of one id."""
    if not known or device_platform != product_platform:
        return ImportResult.INVALID
    if member_of == product:
        return ImportResult.EXISTING
    return ImportResult.INVALID if member_of else ImportResult.UPDATED


class Arrival(StrEnum):
    """What a handshake makes of a device that says it belongs to a product."""

    AS_IT_IS = "as it is"
    JOINS = "joins"
    QUARANTINED = "quarantined"


def arrival(*, system_version: int, member_of: int, says_product: int, product_exists: bool, auto_approve: bool) -> str:
    """For a device that tells product ``says_product`` in its handshake."""
    tells = system_version < FIRST_WITHOUT_QUARANTINE and product_exists and says_product
    if not tells or member_of == says_product:
        return Arrival.AS_IT_IS
    return Arrival.JOINS if auto_approve else Arrival.QUARANTINED
