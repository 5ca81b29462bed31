"""Refusals as Particle's API words them."""

from __future__ import annotations

from typing import Any


class ApiError(Exception):
    """Ends a request with a status and a JSON body. ``error_description`` is always there: particle-cli prints it."""

    def __init__(
        self, status: int, error: str, description: str = "", *, retry_after_s: int | None = None, **more: Any
    ) -> None:
        super().__init__(error)
        self.status = status
        self.body: dict[str, Any] = {"ok": False, "error": error, "error_description": description or error, **more}
        self.retry_after_s = retry_after_s


class ConnectionCutError(Exception):
    """The simulated network ends this connection without an answer."""


def no_token() -> ApiError:
    """No token came with the request."""
    return ApiError(400, "invalid_request", "The access token was not found")


def invalid_token() -> ApiError:
    """The token is not known."""
    return ApiError(401, "invalid_token", "The access token provided is invalid.")


def expired_token() -> ApiError:
    """The token was good once."""
    return ApiError(401, "invalid_token", "The access token provided has expired.")


def not_for_api_users() -> ApiError:
    """The endpoint is for people."""
    return ApiError(401, "unauthorized", "API users are not allowed to call this endpoint")


def scope_missing(scope: str) -> ApiError:
    """An API user without that scope."""
    return ApiError(403, "insufficient_scope", f"Permission denied: the scope {scope} is required")


def permission_denied() -> ApiError:
    """An unknown product, or somebody else's."""
    return ApiError(403, "Permission denied", "Permission denied")


def not_your_device() -> ApiError:
    """A device that is not claimed by this account."""
    info = "I didn't recognize that device name or ID, try opening https://api.particle.io/v1/devices?access_token=…"
    return ApiError(403, "Permission Denied", "Permission Denied", info=info)


def not_found(what: str) -> ApiError:
    """404 with ``what`` not found."""
    return ApiError(404, f"{what} not found")


def bad_request(why: str) -> ApiError:
    """400 with a reason."""
    return ApiError(400, why)
