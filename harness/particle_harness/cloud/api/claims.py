"""Claim codes and customers."""

from __future__ import annotations

from typing import Any

from particle_harness.cloud.api.lookup import product_of
from particle_harness.cloud.errors import ApiError, bad_request, not_found
from particle_harness.cloud.population import TOKEN_LIFE_S, hash_of
from particle_harness.cloud.routes import Call, Reply, Routes
from particle_harness.cloud.shapes import (
    ClaimCodeAnswer,
    CustomerRequest,
    Shape,
)
from particle_harness.cloud.tables import (
    ClaimCode,
    Customer,
    Device,
    OAuthClient,
    Product,
    Token,
)

ROUTES = Routes()
CLAIM_CODE_CHARACTERS = 63


@ROUTES.add(
    "POST", "/v1/device_claims", "/v1/products/<product>/device_claims", scope=None, body=Shape, answer=ClaimCodeAnswer
)
def make_claim_code(call: Call) -> dict[str, Any]:
    """Make a code that claims the device which brings it along."""
    product_id = product_of(call).id if "product" in call.params else 0
    code = (call.cloud.new_id(40) + call.cloud.new_id(40))[:CLAIM_CODE_CHARACTERS]
    call.cloud.store.put(ClaimCode(code, call.who.id, product_id))
    own = [device.id for device in call.cloud.store.find(Device, owner_id=call.who.id)]
    return {"claim_code": code, "device_ids": own}


@ROUTES.add(
    "POST",
    "/v1/products/<product>/customers",
    auth=False,
    body=CustomerRequest,
    answer=dict[str, Any],
    errors=(400, 401),
)
def make_customer(call: Call) -> dict[str, Any]:
    """Make a customer, by the secret of an OAuth client of the product."""
    store, body = call.cloud.store, call.body
    name, secret = call.basic or (body.client_id, body.client_secret)
    client = store.get(OAuthClient, name)
    product = store.get(Product, client.product_id) if client else None
    if client is None or client.secret != secret or product is None:
        raise ApiError(401, "invalid_client", "Invalid client credentials")
    if call.params["product"] not in (str(product.id), product.slug):
        raise ApiError(401, "invalid_client", "The client is another product's")
    key = f"{product.id}:{body.email}"
    if store.get(Customer, key):
        raise bad_request("customer exists")
    customer = Customer(key, call.cloud.new_id(), product.id, body.email, hash_of(body.password))
    store.put(customer)
    token = call.cloud.new_id(40)
    store.put(Token(hash_of(token), client.account_id, client.id, call.cloud.now_s() + TOKEN_LIFE_S, customer.email))
    return {
        "ok": True,
        "id": customer.id,
        "username": customer.email,
        "token_type": "bearer",
        "access_token": token,
        "expires_in": int(TOKEN_LIFE_S),
        "refresh_token": call.cloud.new_id(40),
    }


@ROUTES.add("GET", "/v1/products/<product>/customers", scope="customers:list", answer=dict[str, Any])
def list_customers(call: Call) -> dict[str, Any]:
    """List customers."""
    found = call.cloud.store.find(Customer, product_id=product_of(call).id)
    return {"customers": [{"id": customer.id, "username": customer.email} for customer in found]}


@ROUTES.add("DELETE", "/v1/products/<product>/customers/<email>", scope="customers:remove", status=204, errors=(404,))
def remove_customer(call: Call) -> Reply:
    """Remove a customer."""
    customer = call.cloud.store.get(Customer, f"{product_of(call).id}:{call.params['email']}")
    if customer is None:
        raise not_found("Customer")
    call.cloud.store.delete(customer)
    return Reply(204)
