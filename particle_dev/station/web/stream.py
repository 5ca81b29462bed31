"""Changes of the run as server-sent events: the whole state first, then what changed, ten times a second at most."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from functools import partial

from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from starlette.routing import Route

from particle_dev.station.events import JsonObject
from particle_dev.station.operator_lines import OperatorLines
from particle_dev.station.operator_texts import texts_for
from particle_dev.station.web.context import PageContext, context_of, visitor_of
from particle_dev.station.web.language import language_of
from particle_dev.station.web.slot_view import run_view, slot_view

TICK_S = 0.1
KEEP_ALIVE_TICKS = 50
LOOK_TICKS = 20


async def events(request: Request) -> Response:
    """The stream of one browser. It gets the whole state whenever it connects, so it has to remember nothing."""
    if request.method == "HEAD":
        return Response(media_type="text/event-stream")
    context = context_of(request)
    key, visitor = request.scope["cookie_key"], visitor_of(request)

    def may_look() -> bool:
        return context.admission.visitor(key) == visitor

    stream = _stream(context, language_of(request), may_look)
    return StreamingResponse(stream, media_type="text/event-stream", headers={"X-Accel-Buffering": "no"})


class Follower:
    """What one browser does not know yet. Each frame holds the slots that changed since the one before, and the run
    where that changed; the first one everything."""

    def __init__(self, context: PageContext, language: str) -> None:
        self._context = context
        self._language = language
        self._own = texts_for(context.texts, language)
        self._seen = 0
        self._run: JsonObject = {}
        self._lines: OperatorLines | None = None

    def frame(self) -> JsonObject | None:
        """The next frame; None: nothing has changed."""
        live, lines = self._context.live, self._context.desk.lines
        by_hand = lines is not None and lines.begins_by_hand
        speaks = lines is not None and (by_hand or lines.takes_labels)
        new_run = live.look(partial(run_view, language=self._language, own=self._own, by_hand=by_hand, hears=speaks))
        if self._lines is not lines:
            self._seen, self._lines = 0, lines  # It is of every slot.
        start_by = live.look(lambda states: states.start_by)
        words = partial(slot_view, language=self._language, own=self._own, start_by=start_by)
        read = partial(words, by_hand=by_hand, hears=lines is not None)
        version, slots = live.changed(self._seen, read)
        is_same = new_run == self._run
        if is_same and not slots:
            return None
        self._seen, self._run = version, new_run
        return {"slots": slots} | ({} if is_same else {"run": new_run})


async def _stream(context: PageContext, language: str, may_look: Callable[[], bool]) -> AsyncIterator[str]:
    follower, ticks = Follower(context, language), 0
    # How soon a browser asks again when the station is gone, in milliseconds.
    yield "retry: 1000\n\n"
    while True:
        # Looked at before, so that the end of the run is still told.
        is_last = context.live.closed
        frame = follower.frame()
        if frame is not None:
            yield f"data: {json.dumps(frame, ensure_ascii=False)}\n\n"
        elif ticks % KEEP_ALIVE_TICKS == 0:
            # No comment: the page has to hear that the station is still there.
            yield "event: alive\ndata:\n\n"
        if is_last:
            return
        await asyncio.sleep(TICK_S)
        ticks += 1
        if ticks % LOOK_TICKS == 0 and not may_look():
            return  # Logged out, or removed.


routes = [Route("/events", events, methods=["GET"])]
