"""What every view of the page is given."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from starlette.requests import Request

from particle_dev.station.operator_lines import OperatorLines
from particle_dev.station.operator_texts import OperatorTexts
from particle_dev.station.unrecorded import UnrecordedRun
from particle_dev.station.web.access import NOBODY, Visitor
from particle_dev.station.web.admission import Admission
from particle_dev.station.web.live import LiveRun


@dataclass(slots=True)
class Desk:
    """Where what operators say is carried out. ``lines`` None: the run has not begun, has ended, or is shown again."""

    lines: OperatorLines | None = None


@dataclass(frozen=True, slots=True)
class PageContext:
    """One per page. ``live``: the run that is shown; ``admission``: who is let in; ``site``: folder of the station's
    key and memory; ``records``: where the database of units is, a file or a URL, None: nowhere; ``run_folder``: of the
    run that is shown; ``texts``: what its release tells operators, by language; ``unrecorded``: its finished units
    until they are in the records."""

    live: LiveRun
    admission: Admission
    site: Path
    desk: Desk = field(default_factory=Desk)
    records: Path | str | None = None
    run_folder: Path | None = None
    texts: Mapping[str, OperatorTexts] = field(default_factory=dict)
    unrecorded: UnrecordedRun | None = None


def context_of(request: Request) -> PageContext:
    """The context of the page that answers this request."""
    context = request.app.state.context
    assert isinstance(context, PageContext)
    return context


def visitor_of(request: Request) -> Visitor:
    """Who sent the request."""
    visitor = request.scope.get("visitor", NOBODY)
    assert isinstance(visitor, Visitor)
    return visitor


def fields_of(request: Request) -> Mapping[str, str]:
    """What a form or a JSON object of a POST said. It was meant by the visitor: its form token was right."""
    fields = request.scope["fields"]
    assert isinstance(fields, Mapping)
    return fields


def address_of(request: Request) -> str:
    """From where it was sent."""
    return request.client.host if request.client else ""
