"""Yield, Pareto, spreads and trends, against a plain count of the same goes."""

from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from statistics import mean

import pytest
import sqlalchemy as sa
from hypothesis import given, settings
from hypothesis import strategies as st

from particle_dev.station.fold import fold
from particle_dev.station.record_outcomes import bucket_of
from particle_dev.station.record_statistics import (
    FailureKey,
    Period,
    Place,
    Quantity,
    Scope,
    pareto,
    period_of,
    period_start,
    recorded_days,
    spread_of,
    spreads,
    station_names,
    trends,
    yields,
)
from particle_dev.station.records import RecordDatabase
from particle_dev.station.station_key import StationKey

BEGAN = datetime(2026, 5, 4, 6, tzinfo=UTC)
UNITS = tuple(f"e00fce68{n:016x}" for n in range(4))
FAULTS = ("the device left the bus", "no answer for 30 s")

GO = st.tuples(
    st.sampled_from(UNITS),
    st.sampled_from(("1", "2", "10")),
    st.sampled_from(("boron", "bsom")),
    st.sampled_from(("pass", "fail", "refused", "interrupted")),
    st.integers(1, 3),  # attempts
    st.integers(0, 40),  # hours after BEGAN
    st.sampled_from(("ship", "test")),
)


@pytest.fixture(scope="module")
def keys(tmp_path_factory):
    return [StationKey(tmp_path_factory.mktemp(name), name) for name in ("one", "two")]


def run_of(run_script, number, go):
    unit, slot, platform, verdict, attempts, hour, recipe = go
    script = run_script((slot,), run_id=f"run-{number:03}")
    script.began = BEGAN + timedelta(hours=hour, seconds=number)
    for attempt in range(1, attempts + 1):
        script.unit(slot, unit, platform)
        script.step(slot, unit, "identify", duration_s=1.0 + number)
        if attempt == attempts and verdict == "interrupted":
            script.begin(slot, unit, "flash")
            break
        if attempt == attempts and verdict == "pass":
            work = {"work": {"written_bytes": 1000 * (number + 1)}}
            script.step(slot, unit, "flash", duration_s=2.0, evidence=work)
            script.finish(slot, unit)
            break
        script.step(slot, unit, ("flash", "check")[number % 2], error=script.error(FAULTS[number % 2]))
        script.finish(slot, unit, verdict if attempt == attempts and verdict != "interrupted" else "fail")
        if attempt < attempts:
            script.pass_time(slot, 1.0)
            script.resume(pause_s=60.0)
    record = fold(script.build())
    return replace(record, recipe={**record.recipe, "name": recipe})


def filled(path, run_script, keys, goes):
    database = RecordDatabase(path)
    for number, go in enumerate(goes):
        database.write_run(run_of(run_script, number, go), keys[number % 2])
    return database


def counted(goes):
    """The yields of goes, by hand."""
    timed = sorted(enumerate(goes), key=lambda item: BEGAN + timedelta(hours=item[1][5], seconds=item[0]))
    of_unit = {unit: [number for number, go in timed if go[0] == unit] for unit in UNITS}
    judged = [n for n, go in enumerate(goes) if go[3] != "interrupted"]
    first = [n for n in judged if of_unit[goes[n][0]][0] == n]
    last = [n for n in judged if of_unit[goes[n][0]][-1] == n]
    return {
        "goes": len(goes),
        "passed": sum(go[3] == "pass" for go in goes),
        "failed": sum(go[3] == "fail" for go in goes),
        "refused": sum(go[3] == "refused" for go in goes),
        "interrupted": sum(go[3] == "interrupted" for go in goes),
        "first": len(first),
        "first_passed": sum(goes[n][3] == "pass" and goes[n][4] == 1 for n in first),
        "last": len(last),
        "last_passed": sum(goes[n][3] == "pass" for n in last),
    }


@settings(max_examples=25)
@given(goes=st.lists(GO, max_size=12))
def test_counts_are_those_of_a_plain_count(goes, run_script, keys, tmp_path_factory):
    database = filled(tmp_path_factory.mktemp("records") / "records.sqlite", run_script, keys, goes)
    found = yields(database, Scope())
    wanted = counted(goes)

    assert {name: getattr(found.whole, name) for name in wanted} == wanted
    for parts in (found.by_time, found.by_place, found.by_platform, found.by_recipe):
        assert sum(part.goes for part in parts.values()) == len(goes)
        assert sum(part.last_passed for part in parts.values()) == wanted["last_passed"]
    failed, kinds = pareto(database, Scope(), FailureKey.MESSAGE)
    assert failed == sum(kind.count for kind in kinds) == wanted["failed"] + wanted["refused"]
    for quantity in Quantity:
        assert sum(s.count for s in spreads(database, Scope(), quantity).values()) == wanted["passed"]
    passed = [n for n, go in enumerate(goes) if go[3] == "pass"]
    means = [m for by_time in trends(database, Scope())[1].values() for m in by_time.values()]
    assert sum(m.count for m in means) == len(passed)
    if passed:
        speeds = sum(m.bytes_per_s * m.count for m in means) / len(passed)
        assert speeds == pytest.approx(mean(500 * (n + 1) for n in passed))
    database.close()


@pytest.fixture
def database(tmp_path, run_script, keys):
    goes = [
        (UNITS[0], "1", "boron", "fail", 1, 0, "ship"),
        (UNITS[0], "2", "boron", "pass", 1, 1, "ship"),
        (UNITS[1], "10", "bsom", "pass", 2, 30, "test"),
        (UNITS[2], "10", "bsom", "refused", 1, 31, "test"),
    ]
    database = filled(tmp_path / "records.sqlite", run_script, keys, goes)
    yield database
    database.close()


def test_a_scope_counts_its_goes_only(database, keys):
    one, two = (key.station_id for key in keys)

    assert yields(database, Scope(platform="bsom")).whole.goes == 2
    assert yields(database, Scope(recipe_name="ship", slot="1")).whole.goes == 1
    assert yields(database, Scope(station_id=two)).whole.goes == 2
    assert yields(database, Scope(since=date(2026, 5, 5))).whole.goes == 2
    assert yields(database, Scope(until=date(2026, 5, 4))).whole.goes == 2
    assert yields(database, Scope(since=date(2027, 1, 1), until=date(2026, 1, 1))).whole.goes == 0
    assert set(yields(database, Scope(platform="boron")).by_place) == {Place(one, "1"), Place(two, "2")}
    assert yields(database, Scope(platform="boron")).platforms == ("boron", "bsom"), "the menu keeps what is left out"


def test_a_unit_that_passed_at_its_second_go_or_attempt_is_no_first_pass(database):
    whole = yields(database, Scope()).whole

    assert (whole.first, whole.first_passed, whole.first_pass_yield) == (3, 0, 0)
    assert (whole.last, whole.last_passed) == (3, 2)
    assert whole.repeated == 1


def test_few_days_are_shown_by_hours(database):
    found = yields(database, Scope())

    assert found.period is Period.HOUR
    assert list(found.by_time) == [BEGAN + timedelta(hours=hour) for hour in (0, 1, 30, 31)]


def test_failures_stand_most_frequent_first_and_sum_up(database):
    assert pareto(database, Scope(), FailureKey.STEP)[0] == 2
    by_step = pareto(database, Scope(), FailureKey.STEP)[1]
    by_failure = pareto(database, Scope(), FailureKey.FAILURE)[1]
    by_message = pareto(database, Scope(), FailureKey.MESSAGE)[1]

    assert [(f.name, f.count, f.cumulative) for f in by_step] == [("check", 1, 0.5), ("flash", 1, 1.0)]
    assert [(f.name, f.count, f.share) for f in by_failure] == [("LinkDisconnectedError", 2, 1.0)]
    assert [f.name for f in by_message] == ["check: no answer for … s", "flash: the device left the bus"]
    whole, first = pareto(database, Scope(), FailureKey.MESSAGE, limit=1)
    assert (whole, len(first)) == (2, 1), "what is left out is still counted"


def test_slots_are_in_the_order_of_their_numbers(database, keys):
    slots = list(yields(database, Scope()).by_place)

    assert [place.slot for place in slots if place.station_id == keys[0].station_id] == ["1", "10"]


def test_stations_have_names_and_days_bounds(database, keys, tmp_path):
    assert station_names(database) == {key.station_id: key.name for key in keys}
    assert recorded_days(database) == (date(2026, 5, 4), date(2026, 5, 5))


def test_empty_records_count_nothing(tmp_path):
    empty = RecordDatabase(tmp_path / "empty.sqlite")

    found = yields(empty, Scope())
    assert (found.whole.goes, found.whole.final_yield, found.by_time) == (0, None, {})
    assert pareto(empty, Scope(), FailureKey.STEP) == (0, [])
    assert spreads(empty, Scope(), Quantity.CYCLE) == {}
    assert trends(empty, Scope())[1] == {}
    assert recorded_days(empty) is None
    empty.close()


def test_a_spread_is_that_of_its_values():
    spread = spread_of((bucket_of(value), 1) for value in range(1, 1001))

    assert spread.count == 1000
    for value, wanted in ((spread.low, 50), (spread.quarter, 250), (spread.median, 500), (spread.high, 950)):
        assert value == pytest.approx(wanted, rel=0.008)
    with pytest.raises(ValueError, match="no values"):
        spread_of([])


@pytest.mark.parametrize(
    ("days", "period"), [(1, "hour"), (3, "hour"), (4, "day"), (62, "day"), (63, "week"), (430, "week"), (431, "month")]
)
def test_a_longer_time_has_longer_periods(days, period):
    assert period_of(date(2026, 1, 1), date(2026, 1, 1) + timedelta(days - 1)) == period


@given(st.datetimes(), st.sampled_from(Period))
def test_a_time_is_in_the_period_that_begins_before_it(at, period):
    start = period_start(at, period)
    assert start <= at
    assert at - start < timedelta(days={"hour": 1 / 24, "day": 1, "week": 7, "month": 31}[period])
    assert period_start(start, period) == start


@pytest.mark.parametrize(
    "scope",
    [
        Scope(),
        Scope(since=date(2026, 5, 1), until=date(2026, 6, 1)),
        Scope(since=date(2026, 5, 1), until=date(2026, 6, 1), platform="boron", recipe_name="ship", station_id="x"),
        Scope(since=date(2026, 5, 1), until=date(2026, 5, 2), slot="1"),
    ],
)
def test_every_question_is_answered_by_an_index_alone(database, scope):
    plans = []

    def explain(connection, cursor, statement, parameters, context, executemany):
        if "unit_outcomes" in statement:
            plan = connection.connection.cursor()
            plan.execute(f"explain query plan {statement}", parameters)
            plans.append([row[3] for row in plan.fetchall()])

    sa.event.listen(database._engine, "before_cursor_execute", explain)
    yields(database, scope)
    pareto(database, scope, FailureKey.STEP)
    trends(database, scope)
    for quantity in Quantity:
        spreads(database, scope, quantity)

    looks = [line for plan in plans for line in plan if "unit_outcomes" in line]
    assert len(looks) >= 6
    assert [line for line in looks if "COVERING INDEX ix_unit_outcomes" not in line] == []
