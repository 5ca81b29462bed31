"""Groups of a product's devices. Source: cspell2k5/ParticleIoSDK CloudResource.swift; cloud API reference, "Groups"."""

from __future__ import annotations

import re
from dataclasses import dataclass

from particle_dev.cloud.api import CloudApi
from particle_dev.cloud.replies import JsonObject
from particle_dev.errors import CloudRefusedError
from particle_dev.permissions import NOTHING, Effect, Permissions

_NAME = re.compile(r"[a-z0-9_-]+")


@dataclass(frozen=True, slots=True)
class Group:
    """A group; ``device_count`` None where not told, ``firmware_version`` what is released to it."""

    name: str
    description: str
    device_count: int | None
    firmware_version: int | None


def groups(api: CloudApi, product_ref: str | int) -> list[Group]:
    """All groups of a product. Scope ``groups:list``."""
    return [_group(g) for g in api.get_object(("v1", "products", product_ref, "groups")).objects("groups")]


def create_group(api: CloudApi, product_ref: str | int, name: str, description: str = "") -> None:
    """A new group. Scope ``groups:create``. Raises CloudRefusedError for a name that the cloud does not take."""
    check_group_name(name)
    body = {"name": name, "description": description}
    api.call("POST", ("v1", "products", product_ref, "groups"), json=body, repeatable=False)


def remove_group(api: CloudApi, product_ref: str | int, name: str, permissions: Permissions = NOTHING) -> None:
    """Remove a group; its devices stay members of the product. Scope ``groups:remove``.

    Needs ``may_update_devices``: they get the product's default release at their next connection.
    """
    permissions.require(Effect.UPDATE, f"removing group {name}")
    api.call("DELETE", ("v1", "products", product_ref, "groups", name))


def check_group_name(name: str) -> None:
    """Raise CloudRefusedError unless the cloud takes ``name``: lower-case letters, digits, dash, underscore."""
    if not _NAME.fullmatch(name):
        raise CloudRefusedError(
            f"{name!r} is no name of a group.", hint="use lower-case letters, digits, dash and underscore"
        )


def _group(data: JsonObject) -> Group:
    firmware = data.data.get("fw_version")
    return Group(
        name=data.text("name"),
        description=data.optional_text("description") or "",
        device_count=data.optional_integer("device_count"),
        # Seen as a number and as a text.
        firmware_version=int(str(firmware)) if str(firmware).isdecimal() else None,
    )
