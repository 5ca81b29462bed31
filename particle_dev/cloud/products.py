"""Organizations and products of an account. Source: cloud API reference, "Products", "Organizations"."""

from __future__ import annotations

from particle_dev.cloud.api import CloudApi
from particle_dev.cloud.records import Product
from particle_dev.cloud.replies import JsonObject, objects
from particle_dev.errors import CloudReplyError


def organizations(api: CloudApi) -> list[tuple[str, str, str]]:
    """(id, slug, name) of each organization that this user belongs to. Scope ``organization:get``."""
    found = api.get_object(("v1", "orgs")).objects("organizations")
    return [(o.text("id"), o.optional_text("slug") or "", o.optional_text("name") or "") for o in found]


def products(api: CloudApi, organization: str | None = None) -> list[Product]:
    """Products of an organization (id or slug), or those of the user's sandbox. Scope ``products:list``."""
    path = ("v1", "orgs", organization, "products") if organization else ("v1", "user", "products")
    return [Product.from_json(p) for p in api.get_object(path).objects("products")]


def product(api: CloudApi, product_ref: str | int) -> Product:
    """A product by number or slug. Scope ``products:get``. Raises CloudNotFoundError, CloudDeniedError."""
    path = ("v1", "products", product_ref)
    answer = api.get_object(path)
    found = answer.data.get("product")
    # Older answers have a list of one.
    if isinstance(found, list):
        of_list = objects(found, answer.where, "product")
        if len(of_list) != 1:
            raise CloudReplyError(
                f"The answer to {answer.where} has {len(of_list)} products where one belongs.",
                where=answer.where,
                key="product",
                hint="check the URL of the cloud; if it is right, its API has changed",
            )
        return Product.from_json(of_list[0])
    return Product.from_json(JsonObject(found, answer.where, "product"))
