"""Logging in and out, and the choice of a language."""

from __future__ import annotations

import logging

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route

from particle_dev.errors import JournalError
from particle_dev.station.web.access import Role
from particle_dev.station.web.context import address_of, context_of, fields_of, visitor_of
from particle_dev.station.web.language import COOKIE, LANGUAGES
from particle_dev.station.web.rendering import render

_log = logging.getLogger(__name__)
_YEAR_S = 365 * 24 * 3600


def form(request: Request) -> Response:
    """The form that asks for a token."""
    if not context_of(request).admission.asks_for_login:
        return RedirectResponse("/", 303)
    return _form(request, request.query_params.get("next", "/"))


def log_in(request: Request) -> Response:
    """Look at a token."""
    admission, address = context_of(request).admission, address_of(request)
    after = _own_path(fields_of(request).get("next", "/"))
    if not admission.asks_for_login:
        return RedirectResponse("/", 303)
    if admission.must_wait(address):
        return _form(request, after, status=429, problem="wait")
    try:
        with admission.audit.act(visitor_of(request), address, "login") as act:
            key = admission.log_in(fields_of(request).get("token", ""), address, request.scope["cookie_key"])
            if key is not None:
                act.visitor, act.result = admission.visitor(key), "welcome"
    except JournalError as error:
        return render(request, "error.html", status_code=503, problem=error.message, detail=error.hint)
    if key is None:
        return _form(request, after, status=401, problem="wrong")
    response = RedirectResponse(after, 303)
    response.headers.append("Set-Cookie", admission.set_cookie(key))
    return response


def log_out(request: Request) -> Response:
    """End the login of this browser, written down or not: who leaves must not leave it to the next."""
    admission, visitor = context_of(request).admission, visitor_of(request)
    admission.sessions.end(request.scope["cookie_key"])
    if admission.asks_for_login and visitor.role is not Role.NOBODY:
        try:
            admission.audit.note(visitor, address_of(request), "logout", result="ended")
        except JournalError as error:
            _log.error("the logout of %s is not in the audit log: %s", visitor.name, error)
    return RedirectResponse("/login", 303)


def language(request: Request) -> Response:
    """Remember a language in the browser."""
    response = RedirectResponse(_own_path(fields_of(request).get("next", "/")), 303)
    chosen = fields_of(request).get("language", "")
    if chosen in LANGUAGES:
        response.set_cookie(COOKIE, chosen, max_age=_YEAR_S, samesite="strict", httponly=True)
    return response


def _form(request: Request, after: str, *, status: int = 200, problem: str = "") -> Response:
    return render(request, "login.html", status_code=status, after=_own_path(after), problem=problem)


def _own_path(path: str) -> str:
    """A path of this page, and nothing that a browser takes for another site's address."""
    is_own = path.startswith("/") and not path.startswith("//") and path.isprintable() and "\\" not in path
    return path if is_own and path.isascii() else "/"


routes = [
    Route("/login", form, methods=["GET"]),
    Route("/login", log_in, methods=["POST"]),
    Route("/logout", log_out, methods=["POST"]),
    Route("/language", language, methods=["POST"]),
]
