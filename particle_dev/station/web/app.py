"""The page as an ASGI application."""

from __future__ import annotations

import inspect
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Mount, Route
from starlette.staticfiles import StaticFiles

from particle_dev.station.web import pages, stream
from particle_dev.station.web.access import LOCAL, role_for
from particle_dev.station.web.context import PageContext, visitor_of
from particle_dev.station.web.rendering import render

VIEWS = (pages, stream)
"""Modules with ``routes: list[Route]``; each route needs its entry in :data:`particle_dev.station.web.access.ROLES`."""
STATIC = Path(__file__).parent / "static"


def make_app(context: PageContext) -> Starlette:
    """The page of a run. KeyError: a route has no entry in the table of roles, which is a defect."""
    routes: list[BaseRoute] = [_guarded(route) for view in VIEWS for route in view.routes]
    role_for("GET", "/static")
    routes.append(Mount("/static", StaticFiles(directory=STATIC), name="static"))
    app = Starlette(routes=routes)
    app.state.context = context
    return app


def _guarded(route: Route) -> Route:
    """The same route for those whose role allows it. An endpoint that is no coroutine runs in a thread: what waits for
    a database must not hold up the stream of events."""
    roles = {method: role_for(method, route.path) for method in route.methods or ()}
    endpoint: Callable[[Request], Any] = route.endpoint

    async def answer(request: Request) -> Response:
        request.scope.setdefault("visitor", LOCAL)
        if visitor_of(request).role < roles[request.method]:
            return render(request, "error.html", status_code=403, title="forbidden", detail="")
        if inspect.iscoroutinefunction(endpoint):
            response = await endpoint(request)
        else:
            response = await run_in_threadpool(endpoint, request)
        assert isinstance(response, Response)
        return response

    guarded: Callable[[Request], Awaitable[Response]] = answer
    return Route(route.path, guarded, methods=list(route.methods or ()), name=route.name)
