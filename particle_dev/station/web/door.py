"""The door of the page: every request passes here first, every answer last.

It refuses what is not for this station (:mod:`particle_dev.station.web.requests`), finds out who asks, takes in nothing
that changes anything without the browser's form token, and puts the headers on every answer.
"""

from __future__ import annotations

from collections.abc import Mapping
from http.cookies import CookieError, SimpleCookie

from starlette.concurrency import run_in_threadpool
from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import Request
from starlette.responses import HTMLResponse, PlainTextResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from particle_dev.station.web.access import NOBODY
from particle_dev.station.web.admission import Admission
from particle_dev.station.web.rendering import render
from particle_dev.station.web.requests import (
    METHODS,
    MOST_BODY_BYTES,
    RefusedRequestError,
    check_host,
    check_is_link,
    check_length,
    check_origin,
    fields_of,
)
from particle_dev.station.web.sessions import new_key

HEADERS: Mapping[str, str] = {
    "Content-Security-Policy": "default-src 'self'; base-uri 'none'; object-src 'none'; form-action 'self'; "
    "frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), microphone=(), geolocation=(), payment=(), usb=(), serial=()",
    "Cache-Control": "no-store",
}
"""On every answer, unless a view set its own."""
WITHOUT_TOKEN = "without the token of a form"  # noqa: S105 - words
_ONCE_MORE = '<!doctype html><html lang="en"><title>Station</title><meta http-equiv="refresh" content="0"></html>'
"""Lets a browser that followed another site's link ask by itself, with its cookie."""
FORM_TOKEN_HEADER = "x-form-token"  # noqa: S105 - a name
FORM_TOKEN_FIELD = "form_token"  # noqa: S105 - a name


class Door:
    """ASGI middleware. Sets ``visitor``, ``cookie_key``, ``form_token`` and ``fields`` in the scope."""

    def __init__(self, app: ASGIApp, admission: Admission) -> None:
        self._app = app
        self._admission = admission

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        headers = Headers(scope=scope)
        key, is_new = self._key(headers)
        scope["cookie_key"] = key
        scope["visitor"] = NOBODY
        scope["form_token"] = self._admission.sessions.form_token(key)
        scope["fields"] = {}
        # A browser keeps its cookie to itself when another site sends it here: a new one would end its login.
        is_foreign = headers.get("sec-fetch-site") in ("cross-site", "same-site")
        send = self._with_headers(send, key if is_new and not is_foreign else None, scope)
        try:
            check_host(headers, self._admission.host_names)
            if scope["method"] not in METHODS:
                raise RefusedRequestError(405, "method")
            check_length(headers)
            if is_foreign and scope["method"] != "POST":
                check_is_link(headers)
                if is_new:
                    await HTMLResponse(_ONCE_MORE)(scope, receive, send)
                    return
            # Files are read and written for it, and a lock may be waited for: streams must go on meanwhile.
            scope["visitor"] = await run_in_threadpool(self._admission.visitor, key)
            if scope["method"] == "POST":
                await self._take_in(scope, headers, receive)
        except RefusedRequestError as refusal:
            refused = (scope["visitor"], _address(scope), scope["path"], refusal.reason)
            await run_in_threadpool(self._admission.refused, *refused)
            answer = await run_in_threadpool(_refusal, scope, refusal)
            await answer(scope, receive, send)
            return
        await self._app(scope, receive, send)

    async def _take_in(self, scope: Scope, headers: Headers, receive: Receive) -> None:
        check_origin(headers, scope["scheme"])
        body = await _body(receive)
        fields = fields_of(headers, body)
        token = headers.get(FORM_TOKEN_HEADER) or fields.get(FORM_TOKEN_FIELD, "")
        if not self._admission.sessions.is_form_token(scope["cookie_key"], token):
            raise RefusedRequestError(403, WITHOUT_TOKEN)
        scope["fields"] = fields

    def _key(self, headers: Headers) -> tuple[str, bool]:
        cookies: SimpleCookie = SimpleCookie()
        try:
            cookies.load(headers.get("cookie", ""))
        except CookieError:
            return new_key(), True
        morsel = cookies.get(self._admission.cookie)
        if morsel is None or len(morsel.value) != len(new_key()):
            return new_key(), True
        return morsel.value, False

    def _with_headers(self, send: Send, key: str | None, scope: Scope) -> Send:
        async def with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in HEADERS.items():
                    headers.setdefault(name, value)
                if key is not None and "set-cookie" not in headers and not scope["path"].startswith("/static/"):
                    headers.append("Set-Cookie", self._admission.set_cookie(key))
            await send(message)

        return with_headers


def _refusal(scope: Scope, refusal: RefusedRequestError) -> Response:
    if refusal.reason == WITHOUT_TOKEN and "text/html" in Headers(scope=scope).get("accept", ""):
        # People meet this one: a form from before the station was started again.
        return render(Request(scope), "stale.html", status_code=refusal.status)
    allow = {"Allow": ", ".join(sorted(METHODS))} if refusal.status == 405 else None
    return PlainTextResponse(f"refused: {refusal.reason}\n", refusal.status, allow)


async def _body(receive: Receive) -> bytes:
    body = b""
    while True:
        message = await receive()
        if message["type"] != "http.request":
            raise RefusedRequestError(400, "cut short")
        body += bytes(message.get("body", b""))
        if len(body) > MOST_BODY_BYTES:
            raise RefusedRequestError(413, "too large")
        if not message.get("more_body"):
            return body


def _address(scope: Scope) -> str:
    return scope["client"][0] if scope.get("client") else ""
