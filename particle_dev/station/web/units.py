"""Units of the records: found by what is known of them, their history, one go with all that was done, two compared."""

from __future__ import annotations

from dataclasses import replace
from datetime import date
from urllib.parse import quote, urlencode

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route

from particle_dev.catalog.platforms import PLATFORMS
from particle_dev.errors import FormatError, RecordNotFoundError
from particle_dev.protocol.identifiers import Misread, identify, parse_label, visible
from particle_dev.station.events import Verdict
from particle_dev.station.measurements import unit_measurements
from particle_dev.station.record_look import Go, files_of, read_go, read_run_record
from particle_dev.station.record_search import MIN_PART, FoundUnit, search
from particle_dev.station.records import RecordDatabase
from particle_dev.station.report_pdf import can_print
from particle_dev.station.timeline import layout
from particle_dev.station.unit_comparison import compare
from particle_dev.station.web.plots import limit_plot
from particle_dev.station.web.record_access import (
    has_records,
    history_of,
    named,
    opened,
    opened_all,
    opened_with,
    plain,
    proof_of,
    unrecorded_run_id,
    whole_history,
)
from particle_dev.station.web.record_words import SYMBOLS, label_words, step_namer, word_finder
from particle_dev.station.web.rendering import render
from particle_dev.station.wording import evidence_text, name_text, platform_text, version_text

SHOWN_UNITS = 100
MOST_DRAWN_UNITS = 64
"""A time-line of more units than a bench has slots is no picture any more."""
_MOST_CHARACTERS = 64


def page(request: Request, template: str, *, status_code: int = 200, **values: object) -> Response:
    """A page about records, whose templates have the words of records."""
    return render(
        request,
        template,
        status_code=status_code,
        symbols=SYMBOLS,
        word=word_finder(request),
        step_word=step_namer(request),
        evidence_text=evidence_text,
        platform_text=platform_text,
        version_text=version_text,
        name_text=name_text,
        limit_plot=limit_plot,
        go_address=go_address,
        unit_address=unit_address,
        run_address=run_address,
        **values,
    )


def unit_address(unit: str) -> str:
    """Where the history of a unit is shown."""
    return f"/units/{quote(unit, safe='')}"


def run_address(run_id: str) -> str:
    """Where a run is shown."""
    return f"/runs/{quote(run_id, safe='')}"


def go_address(run_id: str, unit: str) -> str:
    """Where one go at a unit is shown."""
    return f"{run_address(run_id)}/unit?{urlencode({'key': unit})}"


def find(request: Request) -> Response:
    """Units by Device ID, serial number, IMEI, ICCID or what a scanner reads off a label; without a name, the latest.

    A mobile secret on a label never stays in an address: the browser is sent on without it.
    """
    asked = request.query_params.get("q", "")
    name = searched_name(asked)
    if name != asked:
        return RedirectResponse(f"/units?{urlencode({'q': name})}", 303)
    verdict = _one_of(request, "verdict", [str(verdict) for verdict in Verdict])
    platform = _one_of(request, "platform", [platform.name for platform in PLATFORMS])
    operator = plain(request.query_params.get("operator", "")) or None
    since = day_of(request, "since")
    found: list[FoundUnit] = []
    hint = "none"
    fresh = unrecorded_run_id(request)
    if fresh or has_records(request):
        hint = "short" if name and len(name) < MIN_PART else ""
        with opened_all(request) as databases:
            for database in databases if not hint else ():
                some = search(
                    database,
                    name,
                    verdict=verdict,
                    platform=platform,
                    operator=operator,
                    since=str(since) if since else None,
                    limit=SHOWN_UNITS,
                )
                # What the records have of a run that was taken up again is older than what this page knows.
                found += [item for item in some if database is databases[0] or item.run_id != fresh]
        found = found[:SHOWN_UNITS]
    filters = {"verdict": verdict, "platform": platform, "operator": operator, "since": since}
    if name and len({item.unit for item in found}) == 1 and found[0].device_id and not any(filters.values()):
        return RedirectResponse(unit_address(found[0].unit), 303)
    misread = identify(name) if name and not found else None
    return page(
        request,
        "units.html",
        name=name,
        filters=filters,
        found=found,
        fresh=fresh,
        hint=hint,
        misread=misread if isinstance(misread, Misread) else None,
        platforms=sorted(platform.name for platform in PLATFORMS),
        verdicts=[str(verdict) for verdict in Verdict],
        most=SHOWN_UNITS,
    )


def searched_name(text: str) -> str:
    """What to search for when somebody typed or scanned ``text``: one word, without what could be a secret."""
    words = plain(visible(text)).split()
    if not words:
        return ""
    try:
        return parse_label(" ".join(words)).identifier.value
    except FormatError:
        return words[0][:_MOST_CHARACTERS]


def _one_of(request: Request, key: str, known: list[str]) -> str | None:
    value = request.query_params.get(key, "")
    return value if value in known else None


def day_of(request: Request, key: str) -> date | None:
    """A day that a form gave; None: it gave none, or nothing that is one."""
    try:
        return date.fromisoformat(request.query_params.get(key, ""))
    except ValueError:
        return None


def unit(request: Request) -> Response:
    """All goes at a unit, the last one first, with what it is called by. RecordNotFoundError: there is no such unit."""
    name = named(request, "unit")
    with opened_all(request) as databases:
        history = whole_history(request, databases, name)
    if history[0].unit != request.path_params["unit"]:
        return RedirectResponse(unit_address(history[0].unit), 303)
    with opened_with(request, history[0].run_id) as (database, recorded):
        go = read_go(database, history[0].run_id, history[0].unit)
        proof = proof_of(request, database, history[0].run_id) if recorded else None
    return page(request, "unit.html", history=history, go=go, proof=proof, can_print=can_print())


def one_go(request: Request) -> Response:
    """One go: steps, measurements, modules, evidence of billing, files."""
    run_id, key = named(request, "run_id"), plain(request.query_params.get("key", ""))
    with opened_with(request, run_id) as (database, recorded):
        go = read_go(database, run_id, key)
        proof = proof_of(request, database, run_id) if recorded else None
    with opened_all(request) as databases:
        history = [item for item in _history(request, databases, key) if item.unit == key]
    place = next((n for n, item in enumerate(history) if item.run_id == run_id), None)
    return page(
        request,
        "go.html",
        go=go,
        proof=proof,
        timeline=layout(go.run, label_words(request)),
        measured=[m for m in unit_measurements(go.unit, go.run.recipe.get("limits") or {}) if m.name != "duration"],
        later=history[place - 1] if place else None,
        earlier=history[place + 1] if place is not None and place + 1 < len(history) else None,
        can_print=can_print(),
    )


def _history(request: Request, databases: list[RecordDatabase], key: str) -> list[FoundUnit]:
    """Empty for a board that never told its Device ID: what was in that slot before is another unit."""
    try:
        return whole_history(request, databases, key)
    except RecordNotFoundError:
        return []


def run(request: Request) -> Response:
    """A run: its units, their steps on one time-line, its files."""
    run_id = named(request, "run_id")
    with opened_with(request, run_id) as (database, recorded):
        record = read_run_record(database, run_id)
        files = files_of(database, run_id)
        proof = proof_of(request, database, run_id) if recorded else None
    drawn = replace(record, units=record.units[-MOST_DRAWN_UNITS:])
    return page(
        request,
        "run.html",
        run=record,
        files=[file for file in files if not file.unit],
        proof=proof,
        timeline=layout(drawn, label_words(request)),
        is_cut=len(drawn.units) < len(record.units),
        can_print=can_print(),
    )


def comparison(request: Request) -> Response:
    """Two goes side by side. ``a`` and ``b`` are RUN/UNIT, or a name of a unit, which is its last go."""
    given = {side: request.query_params.get(side, "") for side in ("a", "b")}
    asked = {side: _go_name(text) for side, text in given.items()}
    only = request.query_params.get("only") == "differences"
    if asked != given:
        kept = asked | ({"only": "differences"} if only else {})
        return RedirectResponse(f"/compare?{urlencode({name: value for name, value in kept.items() if value})}", 303)
    goes: dict[str, Go | None] = {"a": None, "b": None}
    problems: dict[str, RecordNotFoundError] = {}
    if any(asked.values()):
        with opened(request) as database:
            for side, name in asked.items():
                try:
                    goes[side] = _named_go(database, name) if name else None
                except RecordNotFoundError as error:
                    problems[side] = error
    left, right = goes["a"], goes["b"]
    parts = compare(left, right) if left and right else ()
    return page(
        request,
        "compare.html",
        asked=asked,
        goes=goes,
        problems=problems,
        parts_of_comparison=parts,
        only_differences=only,
    )


def _go_name(text: str) -> str:
    """RUN/UNIT, or what to search for; without what could be a secret."""
    words = plain(text).split()
    return words[0] if words and "/" in words[0] else searched_name(text)


def _named_go(database: RecordDatabase, name: str) -> Go:
    run_id, slash, key = name.partition("/")
    if slash:
        return read_go(database, run_id, key)
    last = history_of(database, searched_name(name))[0]
    return read_go(database, last.run_id, last.unit)


routes = [
    Route("/units", find, methods=["GET"]),
    Route("/units/{unit}", unit, methods=["GET"]),
    Route("/runs/{run_id}", run, methods=["GET"]),
    Route("/runs/{run_id}/unit", one_go, methods=["GET"]),
    Route("/compare", comparison, methods=["GET"]),
]
