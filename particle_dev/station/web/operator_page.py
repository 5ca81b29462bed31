"""The operators' page."""

from __future__ import annotations

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from particle_dev.station.operator_texts import texts_for
from particle_dev.station.web.context import context_of
from particle_dev.station.web.language import language_of
from particle_dev.station.web.rendering import render


async def operator(request: Request) -> Response:
    """All slots on one screen."""
    return render(request, "operator.html")


def own_picture(request: Request) -> Response:
    """A picture that the run's release has for an instruction. Of any name that it does not list there is none."""
    own = texts_for(context_of(request).texts, language_of(request))
    path = own.pictures.get(str(request.path_params["instruction"]))
    try:
        content = path.read_bytes() if path else None
    except OSError:
        content = None
    if path is None or content is None:
        raise HTTPException(404)
    kind = "image/png" if path.suffix.lower() == ".png" else "image/jpeg"
    return Response(content, media_type=kind, headers={"Cache-Control": "no-cache"})


routes = [Route("/pictures/{instruction}", own_picture, methods=["GET"]), Route("/", operator, methods=["GET"])]
