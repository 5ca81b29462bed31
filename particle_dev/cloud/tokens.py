"""Access tokens, and API users: accounts for programs, whose token may do no more than its scopes say.

Source: particle-api-js 12.0.3 src/Particle.ts; cspell2k5/ParticleIoSDK UserPermissions.swift; cloud API reference,
"Authentication", "API users".
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime, timedelta

from particle_dev.cloud.api import CloudApi
from particle_dev.cloud.limits import FAILED_LOGINS, LOGINS, TOKENS
from particle_dev.cloud.replies import LOG_IN_COMMAND, JsonObject
from particle_dev.errors import CloudAuthError, CloudLimitError, MfaRequiredError, ScopeMissingError
from particle_dev.protocol.secret import Secret

CLIENT_ID = "particle"
CLIENT_SECRET = "particle"  # noqa: S105  the same for everybody, documented
"""OAuth client of programs that log users in."""
LIFETIME_S = 90 * 24 * 3600
"""Life of a new token when nothing else is asked for."""

JOB_SCOPES: Mapping[str, frozenset[str]] = {
    "check": frozenset(
        {
            "devices:list",
            "devices:get",
            "sims:list",
            "sims:get",
            "sims.status:get",
            "events:get",
            "devices.diagnostics:get",
            "firmware:list",
            "products:get",
        }
    ),
    "provision": frozenset({"devices:import", "devices:update", "sims:import", "groups:list", "groups:create"}),
    "connect test": frozenset(
        {
            "devices.function:call",
            "devices.variable:get",
            "devices:ping",
            "devices.diagnostics:update",
            "events:send",
        }
    ),
    "undo": frozenset({"devices:remove", "devices:release", "sims:update", "sims:remove"}),
    "release firmware": frozenset(
        {"firmware:create", "firmware:release", "firmware.binary:get", "groups.impact:get", "groups:list"}
    ),
    "billing evidence": frozenset(
        {
            "service_agreements:list",
            "service_agreements.usage_reports:create",
            "service_agreements.usage_reports:get",
        }
    ),
}
"""What an API user of a station needs, by job: the least. All jobs but the first need those of "check" too."""


@dataclass(frozen=True, slots=True)
class Login:
    """A new token. ``expires_at`` None: never."""

    access_token: Secret[str]
    expires_at: datetime | None


@dataclass(frozen=True, slots=True)
class TokenInfo:
    """What the cloud says of the token in use. ``scopes`` is empty for a user, who may do everything of his."""

    expires_at: datetime | None
    client: str | None
    scopes: frozenset[str]
    organizations: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class ApiUser:
    """A member of a product's or organization's team; ``is_programmatic`` ones are API users.

    ``token`` is there right after creation or a change of scopes only; the cloud tells it once.
    """

    username: str
    is_programmatic: bool
    friendly_name: str | None
    scopes: tuple[str, ...]
    token: Secret[str] | None


def scopes_for(jobs: Iterable[str]) -> frozenset[str]:
    """The least scopes of an API user for these jobs of :data:`JOB_SCOPES`."""
    return frozenset.union(JOB_SCOPES["check"], *(JOB_SCOPES[job] for job in jobs))


def log_in(
    api: CloudApi,
    username: str,
    password: Secret[str],
    *,
    otp: Callable[[], Secret[str]] | None = None,
    lifetime_s: int = LIFETIME_S,
) -> Login:
    """A token for a user; ``lifetime_s`` 0 makes one that never expires. ``otp()`` gives the one-time password of MFA
    and is called only when the cloud wants one.

    Raises MfaRequiredError without ``otp`` when the account has MFA; CloudAuthError for a wrong password;
    CloudLimitError when so many failed before that the cloud would block this address.
    """
    form: dict[str, str | Secret[str]] = {"grant_type": "password", "username": username, "password": password}
    form["expires_in"] = str(lifetime_s)
    try:
        return _grant(api, form)
    except MfaRequiredError as error:
        if otp is None or not isinstance(error.mfa_token, Secret):
            raise
        return _grant(api, {"grant_type": "urn:custom:mfa-otp", "mfa_token": error.mfa_token, "otp": otp()})


def _grant(api: CloudApi, form: Mapping[str, str | Secret[str]]) -> Login:
    api.limiter.check(FAILED_LOGINS)
    asked_at = api.clock.utc_now()
    try:
        answer = api.object_of(
            "POST",
            ("oauth", "token"),
            form={**form, "client_id": CLIENT_ID, "client_secret": Secret(CLIENT_SECRET)},
            limits=(LOGINS,),
            authorized=False,
        )
    except MfaRequiredError:
        api.limiter.forget(FAILED_LOGINS)
        raise
    except CloudAuthError:
        # The cloud counts ten in a row and then blocks the address for everybody behind it.
        with suppress(CloudLimitError):
            api.limiter.acquire((FAILED_LOGINS,), max_wait_s=0)
        raise
    api.limiter.forget(FAILED_LOGINS)
    expires_in_s = answer.optional_integer("expires_in") or 0
    expires_at = asked_at + timedelta(seconds=expires_in_s) if expires_in_s else None
    return Login(Secret(answer.text("access_token")), expires_at)


def token_info(api: CloudApi) -> TokenInfo:
    """What the cloud says of the token in use. Raises CloudAuthError: wrong or expired."""
    answer = api.get_object(("v1", "access_tokens", "current"))
    organizations = tuple(o.optional_text("slug", "id") or "" for o in answer.optional_objects("orgs"))
    return TokenInfo(
        expires_at=answer.time("expires_at"),
        client=answer.optional_text("client_id", "client"),
        scopes=frozenset(answer.texts("scopes")),
        organizations=organizations,
    )


def require_scopes(api: CloudApi, scopes: Iterable[str], job: str, *, duration_s: float = 0) -> TokenInfo:
    """Check before ``job`` begins that the token may do it and lives for ``duration_s`` seconds more.

    Raises ScopeMissingError naming the missing scopes; CloudAuthError when the token is wrong, has expired or will.
    """
    info = token_info(api)
    left_s = (info.expires_at - api.clock.utc_now()).total_seconds() if info.expires_at else None
    if left_s is not None and left_s <= duration_s:
        raise CloudAuthError(
            f"The access token expires at {info.expires_at:%Y-%m-%d %H:%M} UTC, before {job} is done.",
            hint=f"log in again with `{LOG_IN_COMMAND}`, or give a token that lives longer",
        )
    missing = sorted(s for s in set(scopes) if not _covered(s, info.scopes)) if info.scopes else []
    if missing:
        raise ScopeMissingError(
            f"{job} needs scopes that this API user lacks: {', '.join(missing)}.",
            missing_scopes=missing,
            hint="add them with: particle-dev cloud api-user, or use a token that has them; nothing was done",
        )
    return info


def user_name(api: CloudApi) -> str:
    """The user that the token belongs to. Raises CloudAuthError; CloudDeniedError for API users, who are nobody."""
    return api.get_object(("v1", "user")).text("username")


def revoke_current(api: CloudApi) -> None:
    """Make the token in use worthless. Counts against the limit of access tokens."""
    api.call("DELETE", ("v1", "access_tokens", "current"), limits=(TOKENS,))


def team(api: CloudApi, *, product: str | int | None = None, organization: str | None = None) -> list[ApiUser]:
    """Members of the team of a product or an organization, API users among them. For administrators."""
    answer = api.get_object(_team_path(product, organization))
    return [_member(m) for m in answer.objects("team")]


def create_api_user(
    api: CloudApi,
    friendly_name: str,
    scopes: Iterable[str],
    *,
    product: str | int | None = None,
    organization: str | None = None,
) -> ApiUser:
    """A new API user with its token. For administrators. Not repeated: a second try would make a second user."""
    body = {"friendly_name": friendly_name, "scopes": sorted(scopes)}
    answer = api.object_of("POST", _team_path(product, organization), json=body, repeatable=False)
    return _member(answer.object("created"))


def change_scopes(
    api: CloudApi,
    username: str,
    scopes: Iterable[str],
    *,
    product: str | int | None = None,
    organization: str | None = None,
) -> ApiUser:
    """Give an API user other scopes. **Its old token dies**, the new one is in the result. For administrators."""
    path = (*_team_path(product, organization), username)
    answer = api.object_of("PUT", path, json={"scopes": sorted(scopes)}, repeatable=False)
    # The key of this answer is not documented; that of a creation is "created".
    return _member(answer.optional_object("updated") or answer.optional_object("created") or answer)


def remove_api_user(
    api: CloudApi, username: str, *, product: str | int | None = None, organization: str | None = None
) -> None:
    """Remove a member of the team; an API user's token dies with it. For administrators."""
    api.call("DELETE", (*_team_path(product, organization), username))


def _team_path(product: str | int | None, organization: str | None) -> tuple[str | int, ...]:
    if (product is None) == (organization is None):
        raise ValueError("a team belongs to a product or to an organization")
    return ("v1", "products", product, "team") if product is not None else ("v1", "orgs", organization or "", "team")


def _member(data: JsonObject) -> ApiUser:
    tokens = data.optional_objects("tokens")
    return ApiUser(
        username=data.text("username"),
        is_programmatic=data.flag("is_programmatic"),
        friendly_name=data.optional_text("friendly_name"),
        scopes=data.texts("scopes"),
        token=tokens[0].optional_secret("token") if tokens else None,
    )


def _covered(scope: str, held: frozenset[str]) -> bool:
    return bool({scope, f"{scope.partition(':')[0]}:*", "*:*", "*"} & held)
