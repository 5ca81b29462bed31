"""What people do to a run from the page. Every act is one line of :class:`OperatorLines`, and one of the audit log."""

from __future__ import annotations

from collections.abc import Callable

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from particle_dev.errors import JournalError
from particle_dev.station.instructions import N_
from particle_dev.station.operator_lines import ANSWER_TEXTS, Answer, OperatorLines, is_engineers
from particle_dev.station.web.access import Role
from particle_dev.station.web.context import address_of, context_of, fields_of, visitor_of
from particle_dev.station.web.language import language_of, translations

MOST_LINE = 1000
"""Characters. The largest Data Matrix code holds 2335 letters, a label a tenth."""


def line(request: Request) -> Response:
    """What was typed, scanned, or pressed with a foot."""
    text = fields_of(request).get("line", "")
    if len(text) > MOST_LINE:
        return _said(request, N_("That is no label."), status=400)
    if is_engineers(text) and visitor_of(request).role < Role.ENGINEER:
        return _said(request, N_("Only an engineer may do that."), status=403)
    return _act(request, "line", "", lambda lines: lines.carry_out(text, _who(request)))


def start_all(request: Request) -> Response:
    """Begin in all free slots."""
    return _act(request, "start", "", OperatorLines.start_all)


def start(request: Request) -> Response:
    """Begin in one slot."""
    slot = _slot(request)
    return _act(request, "start", slot, lambda lines: lines.start(slot, _who(request)))


def unlock(request: Request) -> Response:
    """Put a slot back into use."""
    slot = _slot(request)
    return _act(request, "unlock", slot, lambda lines: lines.unlock(slot))


def end(request: Request) -> Response:
    """Begin no more units."""
    return _act(request, "end", "", OperatorLines.end)


def _who(request: Request) -> str:
    """Two people at two tablets name slots and scan labels in between each other."""
    return str(request.scope["cookie_key"])


def _slot(request: Request) -> str:
    return str(request.path_params["slot"])


def _act(request: Request, what: str, target: str, carry_out: Callable[[OperatorLines], Answer]) -> Response:
    context = context_of(request)
    lines = context.desk.lines
    if lines is None:
        return _said(request, N_("No run goes on here."), status=409)
    try:
        with context.admission.audit.act(visitor_of(request), address_of(request), what, target) as act:
            answer = carry_out(lines)
            act.result, act.target = str(answer.id), target or answer.what
    except JournalError as error:
        return JSONResponse({"text": str(error), "good": False}, 503)
    text = translations(language_of(request)).gettext(ANSWER_TEXTS[answer.id]).format(what=answer.what)
    text = text[:1].upper() + text[1:]
    return JSONResponse({"text": text, "good": answer.is_good, "id": str(answer.id)})


def _said(request: Request, text: str, *, status: int) -> Response:
    return JSONResponse({"text": translations(language_of(request)).gettext(text), "good": False}, status)


routes = [
    Route("/lines", line, methods=["POST"]),
    Route("/start", start_all, methods=["POST"]),
    Route("/end", end, methods=["POST"]),
    Route("/slots/{slot:path}/start", start, methods=["POST"]),
    Route("/slots/{slot:path}/unlock", unlock, methods=["POST"]),
]
