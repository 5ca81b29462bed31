"""The records, for views of engineers: opened for one request, never made by looking."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from starlette.requests import Request

from particle_dev.errors import RecordNotFoundError
from particle_dev.station.record_chain import Verification
from particle_dev.station.record_search import FoundUnit, unit_history
from particle_dev.station.records import RecordDatabase, not_found
from particle_dev.station.station_key import KEY_NAME, StationKey
from particle_dev.station.web.context import context_of


def has_records(request: Request) -> bool:
    """Whether anything was ever recorded where this station records. A server has its tables, or makes them."""
    place = context_of(request).records
    return place is not None and (not isinstance(place, Path) or place.is_file())


@contextmanager
def opened(request: Request) -> Iterator[RecordDatabase]:
    """The records. RecordNotFoundError: there are none yet. RecordsAwayError, JournalError: they cannot be read."""
    place = context_of(request).records
    if place is None or not has_records(request):
        raise RecordNotFoundError(
            "nothing is recorded here yet", hint="units come into the records when their run ends"
        )
    database = RecordDatabase(place)
    try:
        yield database
    finally:
        database.close()


def unrecorded(request: Request) -> RecordDatabase | None:
    """The finished units of the run that is shown, as records; None: there are none that are not in the records."""
    run = context_of(request).unrecorded
    return run.database() if run is not None else None


def unrecorded_run_id(request: Request) -> str | None:
    """The run whose finished units are not in the records yet."""
    run = context_of(request).unrecorded
    return run.run_id if run is not None and run.database() is not None else None


@contextmanager
def opened_all(request: Request) -> Iterator[list[RecordDatabase]]:
    """What is not in the records yet, if anything, and then the records. Raises as :func:`opened`."""
    fresh = unrecorded(request)
    if fresh is not None and not has_records(request):
        yield [fresh]
        return
    with opened(request) as database:
        yield [fresh, database] if fresh is not None else [database]


@contextmanager
def opened_with(request: Request, run_id: str) -> Iterator[tuple[RecordDatabase, bool]]:
    """Where a run is looked up, and whether that is the records. Raises as :func:`opened`."""
    fresh = unrecorded(request)
    if fresh is not None and run_id == unrecorded_run_id(request):
        yield fresh, False
        return
    with opened(request) as database:
        yield database, True


def whole_history(request: Request, databases: list[RecordDatabase], name: str) -> list[FoundUnit]:
    """As :func:`history_of`, with the go that is not in the records yet."""
    fresh, found, problem = unrecorded_run_id(request), {}, not_found(name or "no name")
    for database in databases:
        try:
            for item in history_of(database, name):
                if database is databases[0] or item.run_id != fresh:
                    found[item.run_id, item.unit] = item
        except RecordNotFoundError as error:
            problem = error
    if len({item.unit for item in found.values()}) != 1:
        raise problem
    return sorted(found.values(), key=lambda item: item.started_at, reverse=True)


MOST_CHARACTERS = 128
"""Of a name that somebody gives; longer ones name nothing."""


def plain(text: str) -> str:
    """Without what no database takes as text, and no longer than any name."""
    return "".join(c for c in text if c.isprintable())[:MOST_CHARACTERS].strip()


def named(request: Request, key: str) -> str:
    """A part of the address."""
    return plain(str(request.path_params[key]))


def history_of(database: RecordDatabase, name: str) -> list[FoundUnit]:
    """Every go at a unit, the last one first. RecordNotFoundError: none, or several, or no name at all."""
    if not name:
        raise not_found("no name")
    return unit_history(database, name)


def proof_of(request: Request, database: RecordDatabase, run_id: str) -> Verification:
    """Whether the rows of a run are what its station signed. Only this station's own key is known here: runs of others
    agree with themselves, or do not. Looking makes no key."""
    site = context_of(request).site
    own = StationKey(site) if (site / KEY_NAME).exists() else None
    return database.verify_run(run_id, own, {})
