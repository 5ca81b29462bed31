"""Opens the cloud for a program: profile, token, counts of requests, connection."""

from __future__ import annotations

import os
import random
from pathlib import Path

from particle_dev.cloud.api import CloudApi
from particle_dev.cloud.limits import SHARE, FileLimitStore, RateLimiter, default_limit_place
from particle_dev.cloud.profiles import Profile, load_profile
from particle_dev.errors import ConfigError
from particle_dev.protocol.secret import Secret
from particle_dev.transport.base import Clock
from particle_dev.transport.clock import SystemClock


def open_cloud(
    profile: Profile | None = None,
    *,
    token: Secret[str] | None = None,
    api_url: str | None = None,
    limit_place: Path | str | None = None,
    limit_share: float | None = None,
    clock: Clock | None = None,
    rng: random.Random | None = None,
) -> CloudApi:
    """The cloud of a profile (None: the one that particle-cli uses now); nothing is sent yet.

    ``token`` and ``api_url`` go before those of the profile; a profile's token is never sent to another URL than
    the profile's. ``limit_place`` is where requests are counted: a file, or the URL of a PostgreSQL database for
    several computers behind one address; default: :func:`~particle_dev.cloud.limits.default_limit_place`.
    ``limit_share`` is the part of the cloud's rate limits that programs of this machine use, for several machines
    behind one address; default: ``PARTICLE_DEV_LIMIT_SHARE``, else nine tenths. Close it by ``api.link.close()``.
    Raises ConfigError, CloudAuthError, LinkAccessError.
    """
    # httpx2 is slow to import, and a station without a cloud must not pay for it.
    from particle_dev.transport.http import HttpxLink  # noqa: PLC0415

    profile = profile or load_profile()
    clock = clock or SystemClock()
    url = api_url or profile.api_url
    if token is None and url.rstrip("/") == profile.api_url.rstrip("/"):
        token = profile.access_token
    share = _share() if limit_share is None else limit_share
    limiter = _limiter(limit_place or default_limit_place(), clock, share)
    return CloudApi(HttpxLink(url, clock=clock), limiter, token=token, clock=clock, rng=rng)


def _limiter(place: Path | str, clock: Clock, share: float) -> RateLimiter:
    if isinstance(place, Path):
        return RateLimiter(FileLimitStore(place), clock, share=share)
    # SQLAlchemy is slow to import, and only who shares counts in a database pays for it.
    from particle_dev.cloud.limit_database import DATABASE_BOOT, DatabaseLimitStore  # noqa: PLC0415

    store = DatabaseLimitStore(place, clock)
    return RateLimiter(store, store.clock(), share=share, boot=DATABASE_BOOT)


def _share() -> float:
    """What the environment says of the limits. Raises ConfigError."""
    text = os.environ.get("PARTICLE_DEV_LIMIT_SHARE")
    if not text:
        return SHARE
    try:
        share = float(text)
    except ValueError:
        share = 0.0
    if not 0 < share <= 1:
        raise ConfigError(
            f"PARTICLE_DEV_LIMIT_SHARE is {text!r}, which is no part of a limit.",
            key="PARTICLE_DEV_LIMIT_SHARE",
            hint="give a number above 0 and not above 1, such as 0.3 for three machines behind one address",
        )
    return share
