"""Reports, records and attached files of the records, as files or pages of their own."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from urllib.parse import quote

from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from starlette.routing import Route

from particle_dev.errors import JournalError
from particle_dev.protocol.identifiers import Identifier, IdentifierKind
from particle_dev.station.labels import LabelContent, LabelLayout, label_svg
from particle_dev.station.record_look import read_go, read_run_record, stored_file
from particle_dev.station.report import render_report, render_unit_report
from particle_dev.station.report_pdf import html_to_pdf
from particle_dev.station.run_record import RunRecord
from particle_dev.station.web.record_access import history_of, named, opened
from particle_dev.station.wording import platform_text

REPORT_POLICY = "sandbox allow-modals; default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'"
"""A report carries its styles with it, and nothing of it may run or load anything."""
FILE_POLICY = "sandbox; default-src 'none'; frame-ancestors 'none'"
_TEXT_TYPES = ("text/", "application/json", "application/jsonl", "application/xml")
_MOST_GOES = 50
"""In the report of a unit, the last ones."""
_printing = threading.Lock()
"""One browser at a time prints: each takes hundreds of megabytes."""


def unit_report(request: Request) -> Response:
    """The report of a unit through its runs, as one page."""
    return _report(_unit_html(request))


def unit_report_pdf(request: Request) -> Response:
    """The same, as PDF. JournalError: there is no browser here to print it, or it prints another."""
    return _pdf(_unit_html(request), named(request, "unit"))


def unit_record(request: Request) -> Response:
    """Everything that is recorded of a unit, as JSON."""
    unit, records = _unit_runs(request)
    return _json({"unit": unit, "runs": [record.to_data() for record in records]}, unit)


def unit_label(request: Request) -> Response:
    """The label of a unit: its Device ID as a code, and what people read. No mobile secret is ever in the records."""
    with opened(request) as database:
        last = history_of(database, named(request, "unit"))[0]
        go = read_go(database, last.run_id, last.unit)
    content = LabelContent(
        Identifier(IdentifierKind.DEVICE_ID, last.device_id or last.unit),
        lines=tuple(filter(None, (platform_text(go.unit.platform), go.names.get(IdentifierKind.SERIAL_NUMBER)))),
    )
    return Response(
        label_svg(content, LabelLayout()), media_type="image/svg+xml", headers={"Content-Security-Policy": FILE_POLICY}
    )


def run_report(request: Request) -> Response:
    """The report of a run, as one page."""
    return _report(render_report(_run(request)))


def run_report_pdf(request: Request) -> Response:
    """The same, as PDF. JournalError: there is no browser here to print it, or it prints another."""
    return _pdf(render_report(_run(request)), named(request, "run_id"))


def run_record(request: Request) -> Response:
    """Everything that is recorded of a run, as JSON."""
    return _json(_run(request).to_data(), named(request, "run_id"))


def attached_file(request: Request) -> Response:
    """A file of a run by its SHA-256, as it was attached: nothing of it is unpacked, drawn or run.

    RecordNotFoundError: the run has none with this hash. JournalError: it is damaged.
    """
    with opened(request) as database:
        stored = stored_file(database, named(request, "run_id"), named(request, "sha256"))
    file = stored.file
    is_text = file.media_type.startswith(_TEXT_TYPES)
    headers = {
        "Content-Length": str(file.size_bytes),
        "Content-Disposition": _attachment(file.name),
        "Content-Security-Policy": FILE_POLICY,
    }
    media_type = "text/plain; charset=utf-8" if is_text else "application/octet-stream"
    chunks: Iterator[bytes] = iter(()) if request.method == "HEAD" else stored.chunks()
    return StreamingResponse(chunks, media_type=media_type, headers=headers)


def _attachment(name: str) -> str:
    """A header that says how to call a file: letters, digits and points in its plain form, all of it in the other."""
    plain = "".join(c if c.isascii() and (c.isalnum() or c in "._-") else "_" for c in name).lstrip(".") or "file"
    return f"attachment; filename=\"{plain[:120]}\"; filename*=UTF-8''{quote(name[:200], safe='')}"


def _report(html: str) -> Response:
    return Response(
        html.encode("utf-8", errors="replace"),
        media_type="text/html",
        headers={"Content-Security-Policy": REPORT_POLICY},
    )


def _pdf(html: str, name: str) -> Response:
    # Whoever waited here would keep a thread from those who begin units.
    if not _printing.acquire(blocking=False):
        raise JournalError("another report is being printed", hint="try again in a minute")
    try:
        content = html_to_pdf(html.encode("utf-8", errors="replace"))
    finally:
        _printing.release()
    return Response(content, media_type="application/pdf", headers={"Content-Disposition": _attachment(f"{name}.pdf")})


def _json(data: object, name: str) -> Response:
    return Response(
        json.dumps(data, indent=2),
        media_type="application/json",
        headers={"Content-Disposition": _attachment(f"{name}.json")},
    )


def _unit_html(request: Request) -> str:
    return render_unit_report(*_unit_runs(request))


def _unit_runs(request: Request) -> tuple[str, list[RunRecord]]:
    with opened(request) as database:
        history = history_of(database, named(request, "unit"))[:_MOST_GOES]
        return history[0].unit, [read_go(database, item.run_id, item.unit).run for item in history]


def _run(request: Request) -> RunRecord:
    with opened(request) as database:
        return read_run_record(database, named(request, "run_id"))


routes = [
    Route("/units/{unit}/report", unit_report, methods=["GET"]),
    Route("/units/{unit}/report.pdf", unit_report_pdf, methods=["GET"]),
    Route("/units/{unit}/record.json", unit_record, methods=["GET"]),
    Route("/units/{unit}/label.svg", unit_label, methods=["GET"]),
    Route("/runs/{run_id}/report", run_report, methods=["GET"]),
    Route("/runs/{run_id}/report.pdf", run_report_pdf, methods=["GET"]),
    Route("/runs/{run_id}/record.json", run_record, methods=["GET"]),
    Route("/runs/{run_id}/files/{sha256}", attached_file, methods=["GET"]),
]
