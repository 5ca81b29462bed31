"""The operators' page."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from particle_dev.station.web.rendering import render


async def operator(request: Request) -> Response:
    """All slots on one screen."""
    return render(request, "operator.html")


routes = [Route("/", operator, methods=["GET"])]
