"""Logging in and out."""

from __future__ import annotations

from typing import Any

from particle_harness.cloud.clock import iso
from particle_harness.cloud.errors import ApiError, bad_request, invalid_token
from particle_harness.cloud.population import TOKEN_LIFE_S, hash_of
from particle_harness.cloud.routes import Call, Routes
from particle_harness.cloud.shapes import CurrentToken, Ok, TokenAnswer, TokenRequest
from particle_harness.cloud.tables import Account, Customer, OAuthClient, Org, Token

ROUTES = Routes()
_MFA_GRANT = "urn:custom:mfa-otp"


@ROUTES.add("POST", "/oauth/token", auth=False, body=TokenRequest, answer=TokenAnswer, errors=(400, 403), limit="oauth")
def make_token(call: Call) -> dict[str, Any]:
    """Exchange a password, a one-time password or a client's secret for a token."""
    call.cloud.limits.check_login(call.ip)
    body: TokenRequest = call.body
    if body.grant_type == "client_credentials":
        return _of_client(call, body)
    account = _by_one_time_password(call, body) if body.grant_type == _MFA_GRANT else _by_password(call, body)
    call.cloud.limits.login_succeeded(call.ip)
    return _granted(call, account, _life_s(body))


def _by_password(call: Call, body: TokenRequest) -> Account:
    if body.grant_type != "password":
        raise ApiError(400, "unsupported_grant_type", f"no grant type {body.grant_type}")
    account = _account_named(call, body.username)
    if account is None or account.password_hash != hash_of(body.password):
        call.cloud.limits.login_failed(call.ip)
        raise ApiError(400, "invalid_grant", "User credentials are invalid")
    if account.mfa_secret:
        text = "Multi-factor authentication required"
        raise ApiError(403, "mfa_required", text, mfa_token=_mfa_token(account))
    return account


def _by_one_time_password(call: Call, body: TokenRequest) -> Account:
    for account in call.cloud.store.select(Account, "mfa_secret != ''"):
        if body.mfa_token == _mfa_token(account) and body.otp == account.mfa_secret:
            return account
    call.cloud.limits.login_failed(call.ip)
    raise ApiError(403, "invalid_grant", "The one-time password is invalid")


def _of_client(call: Call, body: TokenRequest) -> dict[str, Any]:
    name, secret = call.basic or (body.client_id, body.client_secret)
    client = call.cloud.store.get(OAuthClient, name)
    owner = call.cloud.store.get(Account, client.account_id) if client else None
    if client is None or owner is None or client.secret != secret:
        raise ApiError(400, "invalid_client", "Invalid client credentials")
    if body.scope.startswith("customer="):
        email = body.scope.removeprefix("customer=")
        customer = call.cloud.store.get(Customer, f"{client.product_id}:{email}")
        if customer is None:
            raise bad_request(f"no customer {email}")
    return _granted(call, owner, _life_s(body))


def _granted(call: Call, account: Account, life_s: float | None) -> dict[str, Any]:
    return {
        "token_type": "bearer",
        "access_token": call.cloud.population.make_token(account, life_s=life_s),
        "expires_in": int(life_s or 0),
        "refresh_token": call.cloud.new_id(40),
    }


def _life_s(body: TokenRequest) -> float | None:
    if body.expires_in is None:
        return TOKEN_LIFE_S
    return float(body.expires_in) if body.expires_in > 0 else None


def _mfa_token(account: Account) -> str:
    return hash_of(f"mfa {account.id}")[:32]


def _account_named(call: Call, username: str) -> Account | None:
    return next(call.cloud.store.find(Account, username=username), None)


@ROUTES.add("GET", "/v1/access_tokens/current", scope=None, answer=CurrentToken)
def current_token(call: Call) -> dict[str, Any]:
    """Tell about the token that asks."""
    assert call.token is not None
    orgs = [org for org in call.cloud.store.find(Org) if call.who.id in org.members or org.id == call.who.org_id]
    return {
        "expires_at": iso(call.token.expires_at),
        "client": call.token.client_id,
        "client_id": call.token.client_id,
        "scopes": call.who.scopes,
        "orgs": [{"id": org.id, "slug": org.slug} for org in orgs],
    }


@ROUTES.add("DELETE", "/v1/access_tokens/current", scope=None, answer=Ok, limit="tokens")
def delete_current_token(call: Call) -> dict[str, Any]:
    """Log out."""
    assert call.token is not None
    call.cloud.store.delete(call.token)
    return {"ok": True}


@ROUTES.add("DELETE", "/v1/access_tokens/<token>", auth=False, answer=Ok, errors=(401,), limit="tokens")
def delete_token(call: Call) -> dict[str, Any]:
    """Revoke a token, which is its own authorization."""
    token = call.cloud.store.get(Token, hash_of(call.params["token"]))
    if token is None:
        raise invalid_token()
    call.cloud.store.delete(token)
    return {"ok": True}


@ROUTES.add("DELETE", "/v1/access_tokens", answer=Ok, limit="tokens")
def delete_all_tokens(call: Call) -> dict[str, Any]:
    """Revoke all tokens of the account."""
    for token in call.cloud.store.find(Token, account_id=call.who.id):
        call.cloud.store.delete(token)
    return {"ok": True}


@ROUTES.add("GET", "/v1/access_tokens", auth=False, answer=list[dict[str, Any]], errors=(400, 401), limit="tokens")
def list_tokens(call: Call) -> list[dict[str, Any]]:
    """List tokens of the user that HTTP Basic names; what they are is a secret here."""
    name, password = call.basic or ("", "")
    account = _account_named(call, name)
    if account is None or account.password_hash != hash_of(password):
        call.cloud.limits.login_failed(call.ip)
        raise ApiError(401, "unauthorized", "User credentials are invalid")
    tokens = call.cloud.store.find(Token, account_id=account.id)
    return [
        {"token": token.hash[:40], "expires_at": iso(token.expires_at), "client": token.client_id} for token in tokens
    ]
