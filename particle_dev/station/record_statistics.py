"""What the records say of many units: yield, what fails most, cycle times and transfer speeds of slots.

Everything is counted from ``unit_outcomes`` (:mod:`particle_dev.station.record_outcomes`), each question by one index,
in time that does not depend on how much is recorded of a unit. Days and hours are of UTC.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, fields
from datetime import UTC, date, datetime, timedelta
from enum import StrEnum
from typing import Any

import sqlalchemy as sa

from particle_dev.station import record_tables as tables
from particle_dev.station.events import Verdict
from particle_dev.station.record_outcomes import bucket_value
from particle_dev.station.records import RecordDatabase

EPOCH = date(1970, 1, 1)
MOST_FAILURES = 5000
"""Kinds of failures that are looked at, the most frequent first; more are counted as others."""
_HOURLY_DAYS, _DAILY_DAYS, _WEEKLY_DAYS = 3, 62, 430


@dataclass(frozen=True, slots=True)
class Scope:
    """Which goes are counted: those that started from ``since`` to ``until``, both included; None: no limit."""

    since: date | None = None
    until: date | None = None
    station_id: str | None = None
    slot: str | None = None
    platform: str | None = None
    recipe_name: str | None = None


class Period(StrEnum):
    """How long a bar of a time series is."""

    HOUR = "hour"
    DAY = "day"
    WEEK = "week"
    MONTH = "month"


@dataclass(slots=True)
class Yield:
    """Counts of goes and units. A unit's first pass is the first go that the records hold of it, passed without a
    second attempt; its final result is that of its last go. Goes that were cut short are in neither."""

    goes: int = 0
    passed: int = 0
    failed: int = 0
    refused: int = 0
    interrupted: int = 0
    repeated: int = 0
    """Goes with more than one attempt."""
    first: int = 0
    """Units whose first go is among these and came to a verdict."""
    first_passed: int = 0
    last: int = 0
    """Units whose last go is among these and came to a verdict."""
    last_passed: int = 0

    @property
    def first_pass_yield(self) -> float | None:
        """A share; None: no unit came to a verdict."""
        return self.first_passed / self.first if self.first else None

    @property
    def final_yield(self) -> float | None:
        """A share; None: no unit came to a verdict."""
        return self.last_passed / self.last if self.last else None

    def add(self, other: Yield) -> None:
        """Count other goes too."""
        for one in fields(self):
            setattr(self, one.name, getattr(self, one.name) + getattr(other, one.name))


@dataclass(frozen=True, slots=True, order=True)
class Place:
    """A slot of a station."""

    station_id: str
    slot: str


@dataclass(frozen=True, slots=True)
class Yields:
    """One count of the same goes by several things; times are the beginnings of periods. ``platforms``, ``recipes`` and
    ``stations`` are all that occur in the time, whatever else the scope asks."""

    period: Period
    whole: Yield
    by_time: Mapping[datetime, Yield]
    by_place: Mapping[Place, Yield]
    by_platform: Mapping[str, Yield]
    by_recipe: Mapping[str, Yield]
    platforms: tuple[str, ...]
    recipes: tuple[str, ...]
    stations: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Failure:
    """One kind of failure. ``cumulative``: share of all failures that this one and those above it make."""

    name: str
    count: int
    share: float
    cumulative: float


@dataclass(frozen=True, slots=True)
class Spread:
    """How a value is spread over the passed units of a slot, right within 0.7 %; ``buckets``: counts by middle."""

    count: int
    low: float
    quarter: float
    median: float
    three_quarters: float
    high: float
    """5 % of the values are below ``low``, and 5 % above ``high``."""
    buckets: tuple[tuple[float, int], ...]


@dataclass(frozen=True, slots=True)
class Mean:
    """Of the passed units of one period. None: it is not known of any."""

    count: int
    cycle_s: float | None
    bytes_per_s: float | None


def period_of(first: date, last: date) -> Period:
    """The period that makes a readable number of bars of a time."""
    days = (last - first).days + 1
    if days <= _HOURLY_DAYS:
        return Period.HOUR
    if days <= _DAILY_DAYS:
        return Period.DAY
    return Period.WEEK if days <= _WEEKLY_DAYS else Period.MONTH


def period_start(at: datetime, period: Period) -> datetime:
    """The beginning of the period that a time is in."""
    if period is Period.HOUR:
        return at.replace(minute=0, second=0, microsecond=0)
    start = at.replace(hour=0, minute=0, second=0, microsecond=0)
    if period is Period.WEEK:
        return start - timedelta(days=start.weekday())
    return start.replace(day=1) if period is Period.MONTH else start


def recorded_days(database: RecordDatabase) -> tuple[date, date] | None:
    """The first and the last day that a go started; None: nothing is recorded. JournalError."""
    day = tables.unit_outcomes.c.day
    with database.transaction(writing=False) as connection:
        # Two questions: an index answers each at once, both together not.
        first = connection.execute(sa.select(sa.func.min(day))).scalar()
        last = connection.execute(sa.select(sa.func.max(day))).scalar()
    return None if first is None or last is None else (_date(first), _date(last))


def yields(database: RecordDatabase, scope: Scope) -> Yields:
    """Yield by time, slot, platform and recipe. JournalError."""
    table = tables.unit_outcomes
    first, last = _bounds(database, scope)
    period = period_of(first, last)
    columns = [table.c[name] for name in ("day", "station_id", "slot", "platform", "recipe_name")]
    columns += [table.c[name] for name in ("verdict", "attempts", "is_first", "is_last")]
    columns += [table.c.hour] if period is Period.HOUR else []
    query = sa.select(*columns, sa.func.count()).where(*_days(scope)).group_by(*columns)
    with database.transaction(writing=False) as connection:
        rows = connection.execute(query).all()
    return _rolled_up([(*row[:9], row[9] if period is Period.HOUR else 0, row[-1]) for row in rows], scope, period)


def _rolled_up(rows: Iterable[tuple[Any, ...]], scope: Scope, period: Period) -> Yields:
    by_time: dict[datetime, Yield] = {}
    by_place: dict[Place, Yield] = {}
    by_platform: dict[str, Yield] = {}
    by_recipe: dict[str, Yield] = {}
    stations: set[str] = set()
    platforms: set[str] = set()
    recipes: set[str] = set()
    cells: dict[tuple[Any, ...], Yield] = {}
    for day, station_id, slot, platform, recipe, verdict, attempts, is_first, is_last, hour, count in rows:
        cell = cells.setdefault((day, hour, station_id, slot, platform, recipe), Yield())
        _count(cell, verdict, attempts, is_first, is_last, count)
    whole = Yield()
    starts: dict[tuple[int, int], datetime] = {}
    for (day, hour, station_id, slot, platform, recipe), cell in cells.items():
        stations.add(station_id)
        platforms.add(platform)
        recipes.add(recipe)
        if not _is_within(scope, station_id, slot, platform, recipe):
            continue
        start = starts.get((day, hour))
        if start is None:
            start = starts[day, hour] = period_start(_time(day, hour), period)
        whole.add(cell)
        by_time.setdefault(start, Yield()).add(cell)
        by_place.setdefault(Place(station_id, slot), Yield()).add(cell)
        by_platform.setdefault(platform, Yield()).add(cell)
        by_recipe.setdefault(recipe, Yield()).add(cell)
    return Yields(
        period,
        whole,
        dict(sorted(by_time.items())),
        dict(sorted(by_place.items(), key=lambda item: place_order(item[0]))),
        dict(sorted(by_platform.items())),
        dict(sorted(by_recipe.items())),
        tuple(sorted(platforms)),
        tuple(sorted(recipes)),
        tuple(sorted(stations)),
    )


def _count(cell: Yield, verdict: str, attempts: int, is_first: int, is_last: int, count: int) -> None:
    cell.goes += count
    if attempts > 1:
        cell.repeated += count
    if verdict == Verdict.INTERRUPTED:
        cell.interrupted += count
        return
    passed = verdict == Verdict.PASS
    if passed:
        cell.passed += count
    elif verdict == Verdict.REFUSED:
        cell.refused += count
    else:
        cell.failed += count
    if is_first:
        cell.first += count
        cell.first_passed += count if passed and attempts == 1 else 0
    if is_last:
        cell.last += count
        cell.last_passed += count if passed else 0


def _is_within(scope: Scope, station_id: str, slot: str, platform: str, recipe: str) -> bool:
    return (
        scope.station_id in (None, station_id)
        and scope.slot in (None, slot)
        and scope.platform in (None, platform)
        and scope.recipe_name in (None, recipe)
    )


def place_order(place: Place) -> tuple[Any, ...]:
    """For sorting: slot 10 comes after slot 9."""
    return place.station_id, (0, int(place.slot), "") if place.slot.isdecimal() else (1, 0, place.slot)


class FailureKey(StrEnum):
    """What failures are counted by. ``failure``: the type of the error; ``message``: step and message together."""

    FAILURE = "failure"
    STEP = "step"
    MESSAGE = "message"


def pareto(database: RecordDatabase, scope: Scope, by: FailureKey, *, limit: int = 15) -> tuple[int, list[Failure]]:
    """How many goes failed or were refused, and the most frequent kinds, most frequent first. What is beyond ``limit``
    is not in the list. JournalError."""
    table = tables.unit_outcomes
    columns = (table.c.failed_step, table.c.failure, table.c.message)
    where = (table.c.message.is_not(None), *_days(scope), *_facts(scope))
    counted = sa.func.count().label("count")
    kinds = sa.select(*columns, counted).where(*where).group_by(*columns).order_by(counted.desc(), *columns)
    number = sa.select(sa.func.count()).select_from(table).where(*where)
    with database.transaction(writing=False) as connection:
        whole = connection.execute(number).scalar() or 0
        rows = connection.execute(kinds.limit(MOST_FAILURES)).all()
    name_of: Callable[[Any], str] = {
        FailureKey.FAILURE: lambda row: row.failure,
        FailureKey.STEP: lambda row: row.failed_step,
        FailureKey.MESSAGE: lambda row: f"{row.failed_step}: {row.message or row.failure}".removeprefix(": "),
    }[by]
    counts: dict[str, int] = {}
    for row in rows:
        counts[name_of(row)] = counts.get(name_of(row), 0) + row[-1]
    return whole, _ranked(counts, whole)[:limit]


def _ranked(counts: Mapping[str, int], whole: int) -> list[Failure]:
    found, running = [], 0
    for name, count in sorted(counts.items(), key=lambda item: (-item[1], item[0])):
        running += count
        found.append(Failure(name, count, count / whole, running / whole))
    return found


class Quantity(StrEnum):
    """What is known of each passed unit."""

    CYCLE = "cycle"
    """Seconds in work."""
    SPEED = "speed"
    """Bytes a second of its flash."""


def spreads(database: RecordDatabase, scope: Scope, quantity: Quantity) -> dict[Place, Spread]:
    """How cycle times or speeds are spread, for each slot that has any. JournalError."""
    table = tables.unit_outcomes
    bucket = table.c[f"{quantity}_bucket"]
    columns = (table.c.station_id, table.c.slot, bucket)
    # SQLite would go by an index on days, and look into the table for each row: twenty times slower. That day + 0 is
    # the day is not known to it, so it takes the index that holds all that is asked for.
    where = (bucket.is_not(None), *_days(scope, table.c.day + 0), *_facts(scope))
    query = sa.select(*columns, sa.func.count()).where(*where).group_by(*columns).order_by(*columns)
    with database.transaction(writing=False) as connection:
        rows = connection.execute(query).all()
    buckets: dict[Place, list[tuple[int, int]]] = {}
    for station_id, slot, number, count in rows:
        buckets.setdefault(Place(station_id, slot), []).append((number, count))
    return {place: spread_of(buckets[place]) for place in sorted(buckets, key=place_order)}


def spread_of(buckets: Iterable[tuple[int, int]]) -> Spread:
    """The spread of values, of which there are so many in each bucket. ValueError: there are none."""
    counts: dict[int, int] = {}
    for number, count in buckets:
        counts[number] = counts.get(number, 0) + count
    whole = sum(counts.values())
    if not whole:
        raise ValueError("no values, no spread")
    ordered = sorted(counts.items())

    def quantile(share: float) -> float:
        running = 0
        for number, count in ordered:
            running += count
            if running >= share * whole:
                return bucket_value(number)
        return bucket_value(ordered[-1][0])

    low, quarter, median, three_quarters, high = map(quantile, (0.05, 0.25, 0.5, 0.75, 0.95))
    return Spread(
        whole, low, quarter, median, three_quarters, high, tuple((bucket_value(n), count) for n, count in ordered)
    )


def trends(database: RecordDatabase, scope: Scope) -> tuple[Period, dict[Place, dict[datetime, Mean]]]:
    """Mean cycle time and speed of each slot, day by day or in longer periods. JournalError."""
    table = tables.unit_outcomes
    first, last = _bounds(database, scope)
    period = period_of(first, last)
    columns = [table.c.day, table.c.station_id, table.c.slot]
    columns += [table.c.hour] if period is Period.HOUR else []
    values = [
        maker(column) for column in (table.c.cycle_s, table.c.bytes_per_s) for maker in (sa.func.count, sa.func.sum)
    ]
    where = (table.c.cycle_s.is_not(None), *_days(scope), *_facts(scope))
    query = sa.select(*columns, *values).where(*where).group_by(*columns).order_by(*columns)
    with database.transaction(writing=False) as connection:
        rows = connection.execute(query).all()
    sums: dict[Place, dict[datetime, list[float]]] = {}
    for day, station_id, slot, *rest in rows:
        hour = rest.pop(0) if period is Period.HOUR else 0
        start = period_start(_time(day, hour), period)
        kept = sums.setdefault(Place(station_id, slot), {}).setdefault(start, [0, 0.0, 0, 0.0])
        for position, value in enumerate(rest):
            kept[position] += value or 0
    return period, {
        place: {start: _mean(*kept) for start, kept in sorted(sums[place].items())}
        for place in sorted(sums, key=place_order)
    }


def _mean(cycles: float, cycle_s: float, speeds: float, bytes_per_s: float) -> Mean:
    return Mean(int(cycles), cycle_s / cycles if cycles else None, bytes_per_s / speeds if speeds else None)


def station_names(database: RecordDatabase) -> dict[str, str]:
    """Names of stations by id. JournalError."""
    table = tables.stations
    with database.transaction(writing=False) as connection:
        rows = connection.execute(sa.select(table.c.station_id, table.c.name)).all()
    return {row.station_id: row.name for row in rows}


def _bounds(database: RecordDatabase, scope: Scope) -> tuple[date, date]:
    if scope.since and scope.until:
        return scope.since, max(scope.since, scope.until)
    recorded = recorded_days(database) or (EPOCH, EPOCH)
    return scope.since or recorded[0], scope.until or recorded[1]


def _days(scope: Scope, day: sa.ColumnElement[int] = tables.unit_outcomes.c.day) -> list[sa.ColumnElement[bool]]:
    """With a lower limit always, since an index on days is what most questions are made for."""
    where = [day >= ((scope.since or date.min) - EPOCH).days]
    return [*where, day <= (scope.until - EPOCH).days] if scope.until else where


def _facts(scope: Scope) -> list[sa.ColumnElement[bool]]:
    """In a form that no index serves: without statistics SQLite would take one that begins with a station or a slot,
    and look into the table for each row."""
    columns = tables.unit_outcomes.c
    asked = {name: getattr(scope, name) for name in ("station_id", "slot", "platform", "recipe_name")}
    return [sa.func.coalesce(columns[name], "") == value for name, value in asked.items() if value is not None]


def _date(day: int) -> date:
    return EPOCH + timedelta(days=day)


def _time(day: int, hour: int) -> datetime:
    at = _date(day)
    return datetime(at.year, at.month, at.day, hour, tzinfo=UTC)
