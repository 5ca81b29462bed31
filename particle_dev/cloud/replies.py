"""What the cloud's answers say: one normaliser for its shapes of errors, and typed reading of JSON.

Source: particle-iot/particle-cli src/lib/api-client.js ``normalizedApiError``; answers recorded from the cloud in
monkbroc/particlerb spec/cassettes; particle-iot/docs src/content/reference/cloud-apis/api.md, "Errors".
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any

from particle_dev.errors import (
    CloudAuthError,
    CloudDeniedError,
    CloudDeviceTimeoutError,
    CloudError,
    CloudLimitError,
    CloudNotFoundError,
    CloudRefusedError,
    CloudReplyError,
    CloudServerError,
    MfaRequiredError,
)
from particle_dev.protocol.secret import Secret
from particle_dev.transport.base import HttpReply

MAX_TEXT = 300
"""Characters of the cloud's words that an error quotes."""
_CODE = re.compile("[a-z]+(_[a-z]+)*")
LOG_IN_COMMAND = "particle-dev cloud login --username MAIL --save"
_LOG_IN = f"log in again with `{LOG_IN_COMMAND}`, or give another token"
_TRY_OPENING = re.compile(r"[,.:;]? *(?:please )?try opening https?://\S+", re.IGNORECASE)
"""What the cloud says of devices that it does not show. A token in an address is no advice."""
_ONE_DEVICE = re.compile(r"[A-Z]+ /v1/devices/[^/]+")
_ADD_PRODUCT = (
    "check the id; a device that is not claimed to this account is reached through its product only: "
    "add --product ID (an API user needs the scope for it too)"
)
_DEVICE_TIMEOUT_TEXTS = ("timed out", "isn't online", "didn't hear back", "device is not connected", "not online")
_AUTH_CODES = frozenset({"invalid_token", "invalid_grant", "invalid_client"})


def json_of(reply: HttpReply, where: str) -> Any:
    """The JSON of an answer; None for a 204 and an empty body. Raises CloudReplyError: an HTML page, text cut off."""
    if reply.status == 204 or not reply.body.strip():
        return None
    try:
        return json.loads(reply.body)
    except (ValueError, RecursionError) as e:
        content_type = reply.headers.get("content-type", "none")
        what = "is cut off or damaged" if "json" in content_type else f"is no JSON ({content_type})"
        raise CloudReplyError(
            f"The answer to {where} {what}.",
            where=where,
            status=reply.status,
            content_type=content_type,
            hint="check the URL of the cloud and any proxy in between, then run it again",
        ) from e


def error_of(reply: HttpReply, where: str, *, now: datetime | None = None) -> CloudError:
    """The error that an answer stands for: of 400 or more, a redirect, or one that says that it is not ok.

    ``now`` is what a Retry-After date is compared with.
    """
    status = reply.status
    if 300 <= status < 400:
        return CloudReplyError(
            f"The answer to {where} leads to another place.",
            where=where,
            status=status,
            hint="check the URL of the cloud; a network that wants a login does this too",
        )
    try:
        body = json_of(reply, where)
    except CloudReplyError as e:
        # A busy cloud or a proxy in front of it has no JSON for some statuses.
        if status < 500 and status != 429:
            return e
        body = None
    code, text = error_texts(body)
    text = _TRY_OPENING.sub("", text)
    said = f"{where}: {_shortened(text) or f'HTTP status {status}'}"
    if status in (429, 529):
        return CloudLimitError(
            f"The cloud's rate limit is met: {said}",
            limit="event streams opened" if status == 529 else "requests",
            wait_s=retry_after_s(reply, now),
            status=status,
            hint="wait; other programs behind this address count too",
        )
    if code == "mfa_required":
        token = Secret(str(body.get("mfa_token", ""))) if isinstance(body, Mapping) else Secret("")
        return MfaRequiredError(
            "The account has multi-factor authentication.",
            mfa_token=token,
            where=where,
            hint="log in on a terminal, which asks for the code, or with --otp-file",
        )
    if any(words in text.lower() for words in _DEVICE_TIMEOUT_TEXTS) or status == 408:
        return CloudDeviceTimeoutError(
            f"The device did not answer: {said}",
            where=where,
            status=status,
            hint="check that it is online, then run it again",
        )
    if (status == 401 and code == "unauthorized") or status == 403:
        return CloudDeniedError(
            f"The cloud does not allow it: {said}",
            where=where,
            status=status,
            code=code or None,
            hint=_ADD_PRODUCT
            if _ONE_DEVICE.match(where)
            else "check id and product, and that this account may do it; an API user needs the scope for it",
        )
    if status == 401 or code in _AUTH_CODES or "access token" in text.lower():
        hint = "check user name and password" if code == "invalid_grant" else _LOG_IN
        return CloudAuthError(
            f"The cloud does not know who asks: {said}", where=where, status=status, code=code or None, hint=hint
        )
    if status == 404:
        return CloudNotFoundError(
            f"The cloud has no such thing: {said}",
            where=where,
            status=status,
            code=code or None,
            hint=_ADD_PRODUCT
            if _ONE_DEVICE.match(where)
            else "check the id, and that it belongs to this product or account",
        )
    if status >= 500:
        return CloudServerError(
            f"The cloud failed: {said}", where=where, status=status, hint="run it again later; look whether it was done"
        )
    return CloudRefusedError(
        f"The cloud refused it: {said}", where=where, status=status, code=code or None, hint="change what was asked"
    )


def is_refusal(body: object) -> bool:
    """True for an answer of 200 that says in its body that nothing was done: ``{"ok": false, …}``."""
    return isinstance(body, Mapping) and body.get("ok") is False


def error_texts(body: object) -> tuple[str, str]:
    """The code and the words of an error, from any of the shapes that the cloud uses; empty where there are none."""
    if not isinstance(body, Mapping):
        return "", ""
    error = body.get("error")
    code = error if isinstance(error, str) and _CODE.fullmatch(error) else ""
    texts = [_text(body.get(key)) for key in ("error_description", "info", "errors", "message")]
    texts.append(_text(error))
    # The code stands for itself only where nothing explains it.
    words = list(dict.fromkeys(t for t in texts if t and (t != code or not any(texts[:-1]))))
    return code, ", ".join(words)


def whole_text(text: str) -> str:
    """``text`` with U+FFFD for halves of characters: a name that was cut off in the middle of an emoji has one, and no
    terminal, file or database takes it."""
    if text.isascii():
        return text
    return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")


def _text(value: object) -> str:
    if isinstance(value, str):
        return whole_text(value)
    if isinstance(value, Mapping):
        return next((t for key in ("error", "status", "message") if (t := _text(value.get(key)))), "")
    if isinstance(value, Sequence):
        return ", ".join(t for v in value if (t := _text(v)))
    return ""


def retry_after_s(reply: HttpReply, now: datetime | None = None) -> float | None:
    """Seconds of a Retry-After header, of either form; None when there is none or it makes no sense. A date is compared
    with that of the answer, if it tells one: this machine's clock may be wrong. Else with ``now``."""
    value = reply.headers.get("retry-after", "").strip()
    if value.isascii() and value.isdigit():
        return float(value)
    at, sent_at = _date(value), _date(reply.headers.get("date", "")) or now
    return max(0.0, (at - sent_at).total_seconds()) if at and sent_at else None


def _date(value: str) -> datetime | None:
    try:
        at = parsedate_to_datetime(value)
    except (TypeError, ValueError):
        return None
    return at if at.tzinfo else at.replace(tzinfo=UTC)


def _shortened(text: str) -> str:
    return text if len(text) <= MAX_TEXT else text[: MAX_TEXT - 1] + "…"


class JsonObject:
    """A JSON object of an answer, read by key. Unknown keys do no harm; a wrong type raises CloudReplyError.

    A field that is absent reads as one that is null. Nothing is guessed from a value of the wrong type: a
    ``last_handshake_at`` that is no time must not look like a device that was never online.
    """

    def __init__(self, data: object, where: str, path: str = "") -> None:
        if not isinstance(data, Mapping):
            raise _wrong(where, path, "an object", data)
        self.data: Mapping[str, Any] = data
        self.where = where
        self.path = path

    def text(self, *keys: str) -> str:
        """The first of ``keys`` that is there; it must be."""
        value = self.optional_text(*keys)
        if value is None:
            raise _wrong(self.where, self._at(keys[0]), "a text", None)
        return value

    def optional_text(self, *keys: str) -> str | None:
        """A text, or None."""
        value: str | None = self._first(keys, str, "a text")
        return None if value is None else whole_text(value)

    def optional_secret(self, *keys: str) -> Secret[str] | None:
        """A text that is not shown, or None."""
        value = self.optional_text(*keys)
        return Secret(value) if value else None

    def integer(self, *keys: str) -> int:
        """A whole number that must be there."""
        value = self.optional_integer(*keys)
        if value is None:
            raise _wrong(self.where, self._at(keys[0]), "a number", None)
        return value

    def optional_integer(self, *keys: str) -> int | None:
        """A whole number, or None."""
        value: int | None = self._first(keys, int, "a whole number")
        return value

    def optional_number(self, *keys: str) -> float | None:
        """A number, or None."""
        value: float | None = self._first(keys, (int, float), "a number")
        return value

    def flag(self, *keys: str) -> bool:
        """A boolean; False when it is not there."""
        return bool(self.optional_flag(*keys))

    def optional_flag(self, *keys: str) -> bool | None:
        """A boolean, or None."""
        value: bool | None = self._first(keys, bool, "true or false")
        return value

    def time(self, *keys: str) -> datetime | None:
        """An ISO-8601 time with its zone (UTC where none is told), or None."""
        value = self.optional_text(*keys)
        if value is None:
            return None
        try:
            at = datetime.fromisoformat(value)
        except ValueError as e:
            raise _wrong(self.where, self._at(keys[0]), "a time", value) from e
        return at if at.tzinfo else at.replace(tzinfo=UTC)

    def texts(self, *keys: str) -> tuple[str, ...]:
        """A list of texts; empty when it is not there."""
        values = self._first(keys, list, "a list") or []
        if not all(isinstance(v, str) for v in values):
            raise _wrong(self.where, self._at(keys[0]), "a list of texts", values)
        return tuple(map(whole_text, values))

    def object(self, key: str) -> JsonObject:
        """An object that must be there."""
        return JsonObject(self.data.get(key), self.where, self._at(key))

    def optional_object(self, key: str) -> JsonObject | None:
        """An object, or None."""
        return self.object(key) if self.data.get(key) is not None else None

    def objects(self, key: str) -> list[JsonObject]:
        """A list of objects that must be there."""
        return objects(self.data.get(key), self.where, self._at(key))

    def optional_objects(self, key: str) -> list[JsonObject]:
        """A list of objects; empty when it is not there."""
        return self.objects(key) if self.data.get(key) is not None else []

    def _first(self, keys: tuple[str, ...], kind: type | tuple[type, ...], name: str) -> Any:
        key = next((k for k in keys if self.data.get(k) is not None), None)
        if key is None:
            return None
        value = self.data[key]
        if not isinstance(value, kind) or (isinstance(value, bool) and kind is not bool):
            raise _wrong(self.where, self._at(key), name, value)
        return value

    def _at(self, key: str) -> str:
        return f"{self.path}.{key}" if self.path else key


def objects(data: object, where: str, path: str = "") -> list[JsonObject]:
    """A list of JSON objects. Raises CloudReplyError."""
    if not isinstance(data, list):
        raise _wrong(where, path, "a list", data)
    return [JsonObject(item, where, f"{path}[{n}]") for n, item in enumerate(data)]


def _wrong(where: str, path: str, expected: str, value: object) -> CloudReplyError:
    """What is wrong by type only: a value can be a secret."""
    got = "nothing" if value is None else f"a {type(value).__name__}"
    return CloudReplyError(
        f"The answer to {where} has {got} where {expected} belongs: {path or 'the whole answer'}.",
        where=where,
        key=path or None,
        hint="check the URL of the cloud; if it is right, its API has changed",
    )
