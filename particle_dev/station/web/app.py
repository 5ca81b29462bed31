"""The page as an ASGI application."""

from __future__ import annotations

import inspect
import logging
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any
from urllib.parse import quote

from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import PlainTextResponse, RedirectResponse, Response
from starlette.routing import BaseRoute, Mount, Route
from starlette.staticfiles import StaticFiles

from particle_dev.errors import ParticleDevError, RecordNotFoundError
from particle_dev.station.web import actions, downloads, login, operator_page, statistics, stream, units
from particle_dev.station.web.access import Role, role_for
from particle_dev.station.web.context import PageContext, address_of, context_of, visitor_of
from particle_dev.station.web.door import HEADERS, Door
from particle_dev.station.web.rendering import render

VIEWS = (operator_page, stream, actions, login, units, downloads, statistics)
"""Modules with ``routes: list[Route]``; each route needs its entry in :data:`particle_dev.station.web.access.ROLES`."""
_log = logging.getLogger(__name__)
STATIC = Path(__file__).parent / "static"


def make_app(context: PageContext) -> Starlette:
    """The page of a run. KeyError: a route has no entry in the table of roles, which is a defect."""
    routes: list[BaseRoute] = [_guarded(route) for view in VIEWS for route in view.routes]
    role_for("GET", "/static")
    routes.append(Mount("/static", _Static(directory=STATIC), name="static"))
    app = Starlette(
        routes=routes,
        middleware=[Middleware(Door, admission=context.admission)],
        exception_handlers={HTTPException: _http_error, ParticleDevError: _station_error, Exception: _defect},
    )
    app.state.context = context
    # A slash too many is an address that there is not, as any other.
    app.router.redirect_slashes = False
    return app


class _Static(StaticFiles):
    """Files that come with the page; browsers ask whether they have changed."""

    def file_response(self, *args: Any, **kwargs: Any) -> Response:
        response = super().file_response(*args, **kwargs)
        response.headers["Cache-Control"] = "no-cache"
        return response


def _guarded(route: Route) -> Route:
    """The same route for those whose role allows it. An endpoint that is no coroutine runs in a thread: what waits for
    a database must not hold up the stream of events."""
    roles = {method: role_for(method, route.path) for method in route.methods or ()}
    endpoint: Callable[[Request], Any] = route.endpoint

    async def answer(request: Request) -> Response:
        # It may write into the audit log, which another may hold.
        refusal = await run_in_threadpool(_refusal, request, roles[request.method])
        if refusal is not None:
            return refusal
        if inspect.iscoroutinefunction(endpoint):
            response = await endpoint(request)
        else:
            response = await run_in_threadpool(endpoint, request)
        assert isinstance(response, Response)
        return response

    guarded: Callable[[Request], Awaitable[Response]] = answer
    return Route(route.path, guarded, methods=list(route.methods or ()), name=route.name)


def _refusal(request: Request, least: Role) -> Response | None:
    visitor = visitor_of(request)
    if visitor.role >= least:
        return None
    if visitor.role is Role.NOBODY:
        if request.method == "POST" or request.url.path == "/events":
            return Response("log in first\n", 401, media_type="text/plain")
        return RedirectResponse(f"/login?next={quote(request.url.path)}", 303)
    admission = context_of(request).admission
    admission.refused(visitor, address_of(request), request.url.path, f"takes the role {least.word}")
    return render(request, "error.html", status_code=403, problem="role", detail=least.word)


def _http_error(request: Request, error: Exception) -> Response:
    """No such page, or not by this method."""
    assert isinstance(error, HTTPException)
    response = render(request, "error.html", status_code=error.status_code, problem="nothing", detail="")
    response.headers.update(error.headers or {})
    return response


def _defect(request: Request, error: Exception) -> Response:
    """A view failed, and not by one of our errors. Whoever runs the station is told where; the browser is not."""
    _log.error("the page failed at %s %s", request.method, request.url.path, exc_info=error)
    return PlainTextResponse("the page failed: the station's terminal says where\n", 500, dict(HEADERS))


def _station_error(request: Request, error: Exception) -> Response:
    """What a view could not do, with what to do about it: the database is away, a file is damaged."""
    assert isinstance(error, ParticleDevError)
    status_code = 404 if isinstance(error, RecordNotFoundError) else 503
    return render(request, "error.html", status_code=status_code, problem=error.message, detail=error.hint)
