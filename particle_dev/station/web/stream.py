"""Changes of the run as server-sent events: the whole state first, then what changed, ten times a second at most."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from functools import partial
from gettext import NullTranslations

from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from starlette.routing import Route

from particle_dev.station.events import JsonObject
from particle_dev.station.web.context import context_of
from particle_dev.station.web.language import language_of, translations
from particle_dev.station.web.live import LiveRun
from particle_dev.station.web.slot_view import run_view, slot_view

TICK_S = 0.1
KEEP_ALIVE_S = 5.0


async def events(request: Request) -> Response:
    """The stream of one browser. It gets the whole state whenever it connects, so it has to remember nothing."""
    live = context_of(request).live
    stream = _frames(live, translations(language_of(request)))
    return StreamingResponse(stream, media_type="text/event-stream", headers={"X-Accel-Buffering": "no"})


async def _frames(live: LiveRun, texts: NullTranslations) -> AsyncIterator[str]:
    seen, silent_s = 0, 0.0
    run: JsonObject = {}
    # How soon a browser asks again when the station is gone, in milliseconds.
    yield "retry: 1000\n\n"
    while not live.closed:
        view = partial(slot_view, texts=texts, start_by=live.look(lambda states: states.start_by))
        version, slots = live.changed(seen, view)
        if version != seen or not run:
            new_run = live.look(lambda states: run_view(states, texts))
            frame: JsonObject = {"slots": slots} | ({"run": new_run} if new_run != run else {})
            run, seen, silent_s = new_run, version, 0.0
            yield f"data: {json.dumps(frame, ensure_ascii=False)}\n\n"
        elif silent_s >= KEEP_ALIVE_S:
            silent_s = 0.0
            yield ": still there\n\n"
        await asyncio.sleep(TICK_S)
        silent_s += TICK_S


routes = [Route("/events", events, methods=["GET"])]
