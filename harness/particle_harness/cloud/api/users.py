"""Users, organizations, teams with their API users, OAuth clients."""

from __future__ import annotations

from typing import Any

from particle_harness.cloud.api.lookup import org_of, product_of
from particle_harness.cloud.errors import ApiError, bad_request, not_found
from particle_harness.cloud.population import hash_of
from particle_harness.cloud.routes import Call, Reply, Routes
from particle_harness.cloud.shapes import (
    ClientAnswer,
    ClientChange,
    ClientRequest,
    Identity,
    Ok,
    OrgList,
    Team,
    TeamCreated,
    TeamRequest,
    UserAnswer,
)
from particle_harness.cloud.tables import Account, Device, OAuthClient, Org, Product, Token

ROUTES = Routes()


@ROUTES.add("GET", "/v1/user", scope=None, answer=UserAnswer)
def user(call: Call) -> dict[str, Any]:
    """Tell who the token belongs to."""
    own = list(call.cloud.store.find(Device, owner_id=call.who.id))
    return {
        "username": call.who.username,
        "subscription_ids": [],
        "tos": 1,
        "memberships": [],
        "account_info": {"first_name": "", "last_name": "", "business_account": False},
        "mfa": {"enabled": bool(call.who.mfa_secret)},
        "wifi_device_count": sum(not device.iccid for device in own),
        "cellular_device_count": sum(bool(device.iccid) for device in own),
        "scim_provisioned": False,
        "no_password": not call.who.password_hash,
    }


@ROUTES.add("GET", "/v1/user/identify", scope=None, answer=Identity)
def identify(call: Call) -> dict[str, Any]:
    """Tell id and mail address."""
    return {"id": call.who.id, "email": call.who.username}


@ROUTES.add("GET", "/v1/orgs", scope="organization:get", answer=OrgList)
def list_orgs(call: Call) -> dict[str, Any]:
    """List organizations."""
    orgs = [org for org in call.cloud.store.find(Org) if call.who.id in org.members or org.id == call.who.org_id]
    return {"organizations": [{"id": org.id, "name": org.name, "slug": org.slug} for org in orgs]}


# -- teams ---------------------------------------------------------------------------------------------------------

_TEAMS = ("/v1/products/<product>/team", "/v1/orgs/<org>/team")


def _members(call: Call) -> tuple[Product | Org, list[str]]:
    if "product" in call.params:
        product = product_of(call)
        return product, [product.owner_id, *product.team]
    org = org_of(call)
    return org, org.members


@ROUTES.add("GET", *_TEAMS, scope="teams.users:list", answer=Team)
def list_team(call: Call) -> dict[str, Any]:
    """List members and API users."""
    _, ids = _members(call)
    accounts = [account for account in (call.cloud.store.get(Account, i) for i in ids) if account]
    if "org" in call.params:
        accounts += call.cloud.store.select(Account, "org_id = ?", (org_of(call).id,))
    return {"team": [_member(account) for account in accounts]}


def _member(account: Account) -> dict[str, Any]:
    return {
        "_id": account.id,
        "username": account.username,
        "is_programmatic": account.is_programmatic,
        "role": {"id": "", "name": "API User" if account.is_programmatic else "Administrator"},
        "scopes": account.scopes,
    }


@ROUTES.add("POST", *_TEAMS, body=TeamRequest, answer=TeamCreated, errors=(400,), limit="users")
def add_to_team(call: Call) -> dict[str, Any]:
    """Make an API user, or take a person in."""
    whole, _ = _members(call)
    body: TeamRequest = call.body
    if body.username:
        account = next(call.cloud.store.find(Account, username=body.username), None)
        if account is None:
            raise bad_request(f"no user {body.username}")
        _take_in(call, whole, account)
        return {"ok": True, "created": _member(account)}
    if not body.scopes or not body.friendly_name:
        raise bad_request("an API user needs friendly_name and scopes")
    name = "".join(c if c.isalnum() else "-" for c in body.friendly_name.lower())
    account = Account(
        call.cloud.new_id(),
        f"{name}+{call.cloud.new_id(10)}@api.particle.io",
        is_programmatic=True,
        scopes=body.scopes,
        product_id=whole.id if isinstance(whole, Product) else 0,
        org_id=whole.id if isinstance(whole, Org) else "",
    )
    call.cloud.store.put(account)
    if isinstance(whole, Product):
        _take_in(call, whole, account)
    token = call.cloud.population.make_token(account, life_s=None)
    return {"ok": True, "created": _member(account) | {"tokens": [{"token": token}]}}


def _take_in(call: Call, whole: Product | Org, account: Account) -> None:
    ids = whole.team if isinstance(whole, Product) else whole.members
    if account.id not in ids:
        ids.append(account.id)
    call.cloud.store.put(whole)


def _named(call: Call) -> Account:
    _, ids = _members(call)
    account = next(call.cloud.store.find(Account, username=call.params["username"]), None)
    in_org = account is not None and "org" in call.params and account.org_id == org_of(call).id
    if account is None or (account.id not in ids and not in_org):
        raise not_found("User")
    return account


@ROUTES.add("PUT", *(f"{team}/<username>" for team in _TEAMS), body=TeamRequest, answer=TeamCreated, errors=(400, 404))
def change_api_user(call: Call) -> dict[str, Any]:
    """Give an API user other scopes, and with them another token; the old one dies."""
    account = _named(call)
    if not account.is_programmatic:
        raise bad_request("only API users have scopes")
    account.scopes = call.body.scopes
    call.cloud.store.put(account)
    _drop_tokens(call, account)
    token = call.cloud.population.make_token(account, life_s=None)
    return {"ok": True, "created": _member(account) | {"tokens": [{"token": token}]}}


@ROUTES.add("DELETE", *(f"{team}/<username>" for team in _TEAMS), status=204, errors=(400, 404), limit="users")
def remove_from_team(call: Call) -> Reply:
    """Remove an API user or a person."""
    account = _named(call)
    whole, _ = _members(call)
    if isinstance(whole, Product) and whole.owner_id == account.id:
        raise bad_request("the owner stays")
    ids = whole.team if isinstance(whole, Product) else whole.members
    if account.id in ids:
        ids.remove(account.id)
        call.cloud.store.put(whole)
    if account.is_programmatic:
        _drop_tokens(call, account)
        call.cloud.store.delete(account)
    return Reply(204)


def _drop_tokens(call: Call, account: Account) -> None:
    for token in call.cloud.store.find(Token, account_id=account.id):
        call.cloud.store.delete(token)


# -- OAuth clients -------------------------------------------------------------------------------------------------

_CLIENTS = ("/v1/clients", "/v1/products/<product>/clients")


def _product_id(call: Call) -> int:
    return product_of(call).id if "product" in call.params else 0


def _client(call: Call) -> OAuthClient:
    client = call.cloud.store.get(OAuthClient, call.params["client"])
    product_id = _product_id(call)
    is_ours = client is not None and client.product_id == product_id
    if client is None or not is_ours or (not product_id and client.account_id != call.who.id):
        raise ApiError(404, "Client not found")
    return client


def _client_record(client: OAuthClient) -> dict[str, Any]:
    record = {"id": client.id, "name": client.name, "type": client.type, "scope": client.scope}
    return record | ({"redirect_uri": client.redirect_uri} if client.redirect_uri else {})


@ROUTES.add("GET", *_CLIENTS, scope="clients:list", answer=Ok)
def list_clients(call: Call) -> dict[str, Any]:
    """List OAuth clients."""
    product_id = _product_id(call)
    found = call.cloud.store.find(OAuthClient)
    ours = [c for c in found if c.product_id == product_id and (product_id or c.account_id == call.who.id)]
    return {"ok": True, "clients": [_client_record(client) for client in ours]}


@ROUTES.add("POST", *_CLIENTS, scope="clients:create", body=ClientRequest, answer=ClientAnswer, errors=(400,))
def make_client(call: Call) -> dict[str, Any]:
    """Make an OAuth client; its secret is told this once."""
    body: ClientRequest = call.body
    secret = call.cloud.new_id(40)
    client = OAuthClient(
        f"{hash_of(body.name)[:6]}-{call.cloud.new_id(6)}",
        secret,
        body.name,
        body.type,
        call.who.id,
        _product_id(call),
        body.redirect_uri,
        body.scope,
    )
    call.cloud.store.put(client)
    return {"ok": True, "client": _client_record(client) | {"secret": secret}}


@ROUTES.add(
    "PUT",
    *(f"{clients}/<client>" for clients in _CLIENTS),
    scope="clients:update",
    body=ClientChange,
    answer=ClientAnswer,
    errors=(404,),
)
def change_client(call: Call) -> dict[str, Any]:
    """Rename an OAuth client or give it another scope."""
    client = _client(call)
    client.name = call.body.name if call.body.name is not None else client.name
    client.scope = call.body.scope if call.body.scope is not None else client.scope
    call.cloud.store.put(client)
    return {"ok": True, "client": _client_record(client)}


@ROUTES.add(
    "DELETE", *(f"{clients}/<client>" for clients in _CLIENTS), scope="clients:remove", status=204, errors=(404,)
)
def remove_client(call: Call) -> Reply:
    """Remove an OAuth client."""
    call.cloud.store.delete(_client(call))
    return Reply(204)
