"""What every request must be before a view sees it: for this station, of a known kind, small, meant by its sender."""

from __future__ import annotations

import ipaddress
import json
from collections.abc import Mapping
from urllib.parse import parse_qsl, urlsplit

from starlette.datastructures import Headers

MOST_BODY_BYTES = 64 * 1024
METHODS = frozenset({"GET", "HEAD", "POST"})
FORM = "application/x-www-form-urlencoded"
JSON = "application/json"
_MOST_FIELDS = 100


class RefusedRequestError(Exception):
    """Why a request is not looked at: an HTTP status, and words for the log."""

    def __init__(self, status: int, reason: str) -> None:
        super().__init__(reason)
        self.status = status
        self.reason = reason


def check_host(headers: Headers, names: frozenset[str]) -> None:
    """Refuses names that are not the station's: a foreign site can let its own name lead here, and would then be taken
    for this one. Addresses cannot be turned that way."""
    host = (urlsplit(f"//{headers.get('host', '')}").hostname or "") if _is_plain(headers.get("host", "")) else ""
    if host in names:
        return
    try:
        ipaddress.ip_address(host)
    except ValueError:
        raise RefusedRequestError(421, "another host") from None


def _is_plain(host: str) -> bool:
    """Whether it is host and port alone; a bracket that does not close makes urlsplit raise."""
    if set(host) & set("/\\@?# ") or host.count("[") != host.count("]"):
        return False
    try:
        urlsplit(f"//{host}").port  # noqa: B018 - it raises
    except ValueError:
        return False
    return True


def check_origin(headers: Headers, scheme: str) -> None:
    """Refuses what another site's page made a browser send."""
    site = headers.get("sec-fetch-site")
    if site is not None and site not in ("same-origin", "none"):
        raise RefusedRequestError(403, "sent by another site")
    origin = headers.get("origin")
    if origin is not None and origin != f"{scheme}://{headers.get('host', '')}":
        raise RefusedRequestError(403, "sent by another site")


def check_is_link(headers: Headers) -> None:
    """Refuses what another site's page loads from here: pictures, frames, scripts. A link that somebody follows is
    none of these."""
    is_page = headers.get("sec-fetch-dest", "document") == "document"
    if headers.get("sec-fetch-mode") != "navigate" or not is_page:
        raise RefusedRequestError(403, "loaded by another site")


def check_length(headers: Headers) -> None:
    """Refuses bodies that say that they are too large."""
    said = headers.get("content-length")
    if said is None:
        return
    if not (said.isascii() and said.isdecimal()):
        raise RefusedRequestError(400, "no length")
    if len(said) > 18 or int(said) > MOST_BODY_BYTES:
        raise RefusedRequestError(413, "too large")


def fields_of(headers: Headers, body: bytes) -> Mapping[str, str]:
    """The fields of a form or of a JSON object of strings; the first of a name counts."""
    kind = headers.get("content-type", "").split(";")[0].strip().lower()
    try:
        if kind == FORM:
            pairs = parse_qsl(
                body.decode("utf-8"),
                keep_blank_values=True,
                strict_parsing=bool(body),
                errors="strict",
                max_num_fields=_MOST_FIELDS,
            )
            return dict(reversed(pairs))
        if kind == JSON:
            content = json.loads(body)
            if isinstance(content, dict) and all(isinstance(value, str) for value in content.values()):
                return content
    except (ValueError, RecursionError):
        raise RefusedRequestError(400, "no form and no JSON") from None
    if kind == JSON:
        raise RefusedRequestError(400, "no object of strings")
    raise RefusedRequestError(415, "neither a form nor JSON")
