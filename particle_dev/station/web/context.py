"""What every view of the page is given."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from starlette.requests import Request

from particle_dev.station.web.access import NOBODY, Visitor
from particle_dev.station.web.live import LiveRun


@dataclass(frozen=True, slots=True)
class PageContext:
    """One per page. ``live``: the run that is shown; ``site``: folder of the station's key and memory; ``records``:
    where the database of units is, a file or a URL; None: nowhere."""

    live: LiveRun
    site: Path
    records: Path | str | None = None


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
