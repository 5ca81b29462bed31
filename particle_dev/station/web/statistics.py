"""What the records say of many units: yield, what fails most, how fast each slot is."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, replace
from datetime import date, datetime
from gettext import NullTranslations
from urllib.parse import urlencode

from markupsafe import Markup
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from particle_dev.station.record_outcomes import bucket_of
from particle_dev.station.record_statistics import (
    Failure,
    FailureKey,
    Period,
    Place,
    Quantity,
    Scope,
    Spread,
    Yield,
    Yields,
    pareto,
    recorded_days,
    spread_of,
    spreads,
    station_names,
    trends,
    yields,
)
from particle_dev.station.records import RecordDatabase
from particle_dev.station.web.formats import number_text, percent_text
from particle_dev.station.web.language import language_of
from particle_dev.station.web.plots import ParetoBar, Series, box_plot, pareto_plot, spark_plot, time_plot
from particle_dev.station.web.record_access import has_records, opened, plain, unrecorded
from particle_dev.station.web.record_words import step_namer
from particle_dev.station.web.texts import translations
from particle_dev.station.web.units import day_of, page

DEFAULT_DAYS = 30
SLOW_SHARE = 0.15
"""A slot whose median is worse than that of all units of that platform by more than this is marked."""
FEWEST_UNITS = 5
"""Of one platform that must have passed in a slot before it is called slow: one unit says nothing of a slot."""


@dataclass(frozen=True, slots=True)
class SlotLine:
    """One slot of the table. Medians None: no unit passed in it. ``is_slow``: by cycle time or speed."""

    place: Place
    station: str
    counts: Yield
    cycle: Spread | None
    speed: Spread | None
    cycle_box: Markup
    speed_box: Markup
    cycle_trend: Markup
    speed_trend: Markup
    is_slow: bool


@dataclass(frozen=True, slots=True)
class TimeLine:
    """One period of the table beside the plot of yield."""

    label: str
    counts: Yield


def statistics(request: Request) -> Response:
    """Yield over time, the Pareto of failures and the slots, of the time and the units that the form asks for."""
    scope = _asked(request)
    by = _failure_key(request)
    fresh = unrecorded(request)
    of_run = fresh is not None and (request.query_params.get("of") == "run" or not _has_units(request))
    if not of_run and not _has_units(request):
        return page(request, "statistics.html", found=None, scope=scope, by=by)
    with nullcontext(fresh) if fresh is not None and of_run else opened(request) as database:
        days = recorded_days(database)
        if days is None:  # a run was taken out of the records while this page was made
            return page(request, "statistics.html", found=None, scope=scope, by=by)
        scope = _bounded(scope, days)
        found = yields(database, scope)
        whole, failures = pareto(database, scope, by)
        names = station_names(database)
        slots, medians = _slots(database, scope, found, names)
    texts = translations(language_of(request))
    times = [TimeLine(_label(start, found.period), counts) for start, counts in found.by_time.items()]
    return page(
        request,
        "statistics.html",
        found=found,
        of_run=of_run,
        fresh=_fresh_counts(fresh),
        scope=scope,
        by=by,
        keys=list(FailureKey),
        days=days,
        ranges=_ranges(request, days, scope),
        names=names,
        times=times,
        yield_plot=_yield_plot(times, texts) if times else Markup(""),
        failures=failures,
        failed=whole,
        failure_name=_failure_namer(request, by),
        pareto=_pareto_plot(request, failures, by, texts),
        slots=slots,
        medians=medians,
        several_stations=len({line.place.station_id for line in slots}) > 1,
    )


def _has_units(request: Request) -> bool:
    if not has_records(request):
        return False
    with opened(request) as database:
        return recorded_days(database) is not None


def _fresh_counts(fresh: RecordDatabase | None) -> Yield | None:
    """Of the run that is not in the records yet."""
    return yields(fresh, Scope()).whole if fresh is not None else None


def _asked(request: Request) -> Scope:
    given = {key: plain(request.query_params.get(key, "")) or None for key in ("station", "slot", "platform", "recipe")}
    return Scope(
        day_of(request, "since"),
        day_of(request, "until"),
        given["station"],
        given["slot"],
        given["platform"],
        given["recipe"],
    )


def _failure_key(request: Request) -> FailureKey:
    asked = request.query_params.get("by", "")
    return FailureKey(asked) if asked in list(FailureKey) else FailureKey.MESSAGE


def _bounded(scope: Scope, days: tuple[date, date]) -> Scope:
    """Without a time, the last days that something was recorded in."""
    until = scope.until or days[1]
    since = scope.since or _days_before(min(until, days[1]), DEFAULT_DAYS, days[0])
    return Scope(since, until, scope.station_id, scope.slot, scope.platform, scope.recipe_name)


def _days_before(last: date, count: int, first: date) -> date:
    """The first of ``count`` days that end with ``last``, but none before ``first``."""
    return date.fromordinal(max(first.toordinal(), last.toordinal() - count + 1))


def _ranges(request: Request, days: tuple[date, date], scope: Scope) -> list[tuple[str, str, bool]]:
    """Names, addresses and whether they are shown, of times that one often asks for."""
    gettext = translations(language_of(request)).gettext
    kept = {key: value for key, value in request.query_params.items() if key not in ("since", "until")}
    wanted = [(1, gettext("Last day")), (7, gettext("7 days")), (30, gettext("30 days")), (None, gettext("All"))]
    found = []
    for count, name in wanted:
        since = days[0] if count is None else _days_before(days[1], count, days[0])
        address = f"/statistics?{urlencode({**kept, 'since': since, 'until': days[1]})}"
        found.append((name, address, (scope.since, scope.until) == (since, days[1])))
    return found


def _label(start: datetime, period: Period) -> str:
    if period is Period.HOUR:
        return f"{start:%m-%d %H:00}"
    return f"{start:%Y-%m}" if period is Period.MONTH else f"{start:%m-%d}"


def _yield_plot(times: Sequence[TimeLine], texts: NullTranslations) -> Markup:
    gettext = texts.gettext
    counts = [line.counts for line in times]
    return time_plot(
        "yield",
        gettext("Yield over time"),
        gettext("Above: shares of units that passed, at their first try and at last. Below: how many were worked on."),
        [line.label for line in times],
        [
            Series(gettext("Final yield"), "final", [one.final_yield for one in counts]),
            Series(gettext("First-pass yield"), "first", [one.first_pass_yield for one in counts]),
        ],
        [
            Series(gettext("passed"), "passed", [one.passed for one in counts]),
            Series(gettext("not passed"), "failed", [one.failed + one.refused for one in counts]),
            Series(gettext("cut short"), "interrupted", [one.interrupted for one in counts]),
        ],
    )


def _failure_namer(request: Request, by: FailureKey) -> Callable[[str], str]:
    gettext = translations(language_of(request)).gettext
    step_word = step_namer(request)

    def name(text: str) -> str:
        if by is FailureKey.STEP:
            return step_word(text) if text else gettext("no step")
        if by is FailureKey.MESSAGE:
            step, colon, message = text.partition(": ")
            return f"{step_word(step)}: {message}" if colon else text or gettext("nothing was told")
        return text or gettext("nothing was told")

    return name


def _pareto_plot(request: Request, failures: Sequence[Failure], by: FailureKey, texts: NullTranslations) -> Markup:
    if not failures:
        return Markup("")
    language, name = language_of(request), _failure_namer(request, by)
    bars = [
        ParetoBar(
            name(failure.name),
            failure.count,
            failure.cumulative,
            (number_text(failure.count, language), percent_text(failure.share, language)),
        )
        for failure in failures
    ]
    description = texts.gettext("Bars: how often each failure came. Line: what those down to it make together.")
    return pareto_plot("pareto", texts.gettext("What fails most"), description, bars)


def _slots(
    database: RecordDatabase, scope: Scope, found: Yields, names: Mapping[str, str]
) -> tuple[list[SlotLine], dict[Quantity, float | None]]:
    spread = {quantity: spreads(database, scope, quantity) for quantity in Quantity}
    medians = {quantity: _median(spread[quantity]) for quantity in Quantity}
    ends = {q: [end for one in spread[q].values() for end in (one.low, one.high)] for q in Quantity}
    axes = {quantity: _axis(ends[quantity]) for quantity in Quantity}
    _, trend = trends(database, scope)
    every = [mean for by_time in trend.values() for mean in by_time.values()]
    cycle_axis, speed_axis = _axis([mean.cycle_s for mean in every]), _axis([mean.bytes_per_s for mean in every])
    slow = slow_places(database, scope, found.by_platform)
    lines = []
    for place, counts in found.by_place.items():
        cycle, speed = (spread[quantity].get(place) for quantity in Quantity)
        means = [trend.get(place, {}).get(start) for start in found.by_time]
        lines.append(
            SlotLine(
                place,
                names.get(place.station_id, place.station_id),
                counts,
                cycle,
                speed,
                _box(cycle, axes[Quantity.CYCLE], medians[Quantity.CYCLE]),
                _box(speed, axes[Quantity.SPEED], medians[Quantity.SPEED]),
                _spark([mean.cycle_s if mean else None for mean in means], cycle_axis),
                _spark([mean.bytes_per_s if mean else None for mean in means], speed_axis),
                place in slow,
            )
        )
    return lines, medians


def _median(found: Mapping[Place, Spread]) -> float | None:
    """Of all units of all slots."""
    buckets = [
        (number, count)
        for spread in found.values()
        for value, count in spread.buckets
        if (number := bucket_of(value)) is not None
    ]
    return spread_of(buckets).median if buckets else None


def slow_places(database: RecordDatabase, scope: Scope, platforms: Iterable[str]) -> set[Place]:
    """Slots that are slower than others with boards of the same platform: a Photon never is as fast as a Boron."""
    slow: set[Place] = set()
    for platform in platforms:
        alike = replace(scope, platform=platform)
        spread = {quantity: spreads(database, alike, quantity) for quantity in Quantity}
        medians = {quantity: _median(spread[quantity]) for quantity in Quantity}
        for place in spread[Quantity.CYCLE].keys() | spread[Quantity.SPEED].keys():
            cycle, speed = (_told(spread[quantity].get(place)) for quantity in Quantity)
            if _is_slow(cycle, speed, medians):
                slow.add(place)
    return slow


def _told(spread: Spread | None) -> Spread | None:
    return spread if spread is not None and spread.count >= FEWEST_UNITS else None


def _is_slow(cycle: Spread | None, speed: Spread | None, medians: Mapping[Quantity, float | None]) -> bool:
    cycle_s, bytes_per_s = medians[Quantity.CYCLE], medians[Quantity.SPEED]
    late = cycle is not None and cycle_s is not None and cycle.median > cycle_s * (1 + SLOW_SHARE)
    slow = speed is not None and bytes_per_s is not None and speed.median < bytes_per_s * (1 - SLOW_SHARE)
    return late or slow


def _axis(values: Sequence[float | None]) -> tuple[float, float]:
    """With some room around all of them."""
    known = [value for value in values if value is not None]
    return (min(known) * 0.95, max(known) * 1.02) if known else (0.0, 1.0)


def _box(spread: Spread | None, axis: tuple[float, float], middle: float | None) -> Markup:
    if spread is None or middle is None:
        return Markup("")
    return box_plot(spread.low, spread.quarter, spread.median, spread.three_quarters, spread.high, axis, middle)


def _spark(values: Sequence[float | None], axis: tuple[float, float]) -> Markup:
    return spark_plot(values, axis) if sum(value is not None for value in values) > 1 else Markup("")


routes = [Route("/statistics", statistics, methods=["GET"])]
