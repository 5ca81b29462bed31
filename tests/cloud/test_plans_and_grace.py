"""Plan constants, room in a plan, and the calendar of the manufacturing grace in both readings."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from particle_dev.cloud.grace import (
    WARN_MONTHS,
    Counting,
    add_months,
    billing_month_start,
    counts_in_month,
    grace,
)
from particle_dev.cloud.plans import PLANS, Capacity, PlanName, blocks_needed
from particle_dev.errors import CapacityError

FREE, BASIC, ENTERPRISE = (PLANS[name] for name in PlanName)
TIMES = st.datetimes(datetime(2020, 1, 1), datetime(2090, 1, 1), timezones=st.just(UTC))
FIRST_DAYS = st.integers(1, 31)


def day(text):
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


# ---- capacity --------------------------------------------------------------------------------------------------------


def test_the_free_plan_has_room_for_100_devices_over_the_whole_account():
    Capacity(FREE, 99).require_room(1)
    with pytest.raises(CapacityError, match="101") as caught:
        Capacity(FREE, 100).require_room(1)
    assert (caught.value.devices, caught.value.limit) == (100, 100)
    assert Capacity(FREE, 98).room == 2


def test_a_number_that_is_not_known_leaves_no_room():
    with pytest.raises(CapacityError, match="not known"):
        Capacity(FREE, None).require_room(1)
    assert Capacity(FREE, None).room == 0


@pytest.mark.parametrize("plan", [BASIC, ENTERPRISE])
def test_the_other_plans_have_no_limit(plan):
    Capacity(plan, None).require_room(100_000)
    assert Capacity(plan, 5).room is None


@pytest.mark.parametrize(("devices", "blocks"), [(0, 0), (1, 1), (100, 1), (101, 2), (100_000, 1000)])
def test_blocks(devices, blocks):
    assert blocks_needed(devices) == blocks


# ---- months ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("at", "months", "wanted"),
    [
        ("2026-01-15", 6, "2026-07-15"),
        ("2026-08-31", 6, "2027-02-28"),
        ("2027-08-31", 6, "2028-02-29"),
        ("2026-03-31", -1, "2026-02-28"),
        ("2026-11-30", 3, "2027-02-28"),
        ("2026-12-31", 12, "2027-12-31"),
    ],
)
def test_months_later(at, months, wanted):
    assert add_months(day(at), months) == day(wanted)


@pytest.mark.parametrize(
    ("at", "first_day", "wanted"),
    [
        ("2026-05-04T08:00", 1, "2026-05-01"),
        ("2026-05-04T08:00", 4, "2026-05-04"),
        ("2026-05-04T08:00", 5, "2026-04-05"),
        ("2026-02-28T08:00", 31, "2026-02-28"),
        ("2026-02-27T08:00", 31, "2026-01-31"),
        ("2026-01-02T00:00", 15, "2025-12-15"),
    ],
)
def test_start_of_a_billing_month(at, first_day, wanted):
    assert billing_month_start(day(at), first_day) == day(wanted)


@pytest.mark.parametrize("first_day", [0, 32])
def test_a_month_has_no_such_day(first_day):
    with pytest.raises(ValueError, match="no day"):
        billing_month_start(day("2026-01-01"), first_day)


@given(TIMES, FIRST_DAYS)
def test_a_billing_month_holds_its_time_and_is_one_month_long(at, first_day):
    start = billing_month_start(at, first_day)
    assert start <= at
    assert timedelta(days=0) <= at - start < timedelta(days=31)
    assert billing_month_start(start, first_day) == start


# ---- grace -----------------------------------------------------------------------------------------------------------


def test_both_readings_of_six_months():
    found = grace(ENTERPRISE, day("2026-05-20T10:00"), first_day=15)
    assert found.calendar_end == day("2026-11-20T10:00")
    assert found.billing_end == day("2026-11-15"), "May 15 to June 14 is the first of six billing months"
    assert found.end == found.billing_end
    assert found.warn_at == day("2026-10-20T10:00")


@pytest.mark.parametrize("plan", [FREE, BASIC])
def test_no_grace_in_other_plans(plan):
    found = grace(plan, day("2026-05-20"))
    assert found.end == day("2026-05-20")


@given(TIMES, FIRST_DAYS)
@example(datetime(2021, 2, 28, tzinfo=UTC), 29)
def test_the_earlier_end_is_acted_upon_and_is_never_after_six_calendar_months(at, first_day):
    found = grace(ENTERPRISE, at, first_day)
    assert found.end == min(found.billing_end, found.calendar_end)
    # Later only from the last day of a short month on, where a billing month begins that should on the 29th to 31st.
    assert found.billing_end - found.calendar_end <= timedelta(days=3)
    assert found.billing_end <= found.calendar_end or (at + timedelta(days=1)).day == 1
    assert found.calendar_end - found.billing_end <= timedelta(days=32)
    assert at < found.end
    assert found.warn_at <= found.end
    assert found.warn_at <= add_months(at, WARN_MONTHS)
    assert billing_month_start(found.billing_end, first_day) == found.billing_end


@given(TIMES, st.timedeltas(timedelta(0), timedelta(days=400)), FIRST_DAYS)
def test_a_later_first_connection_never_ends_the_grace_earlier(at, later, first_day):
    early, late = grace(ENTERPRISE, at, first_day), grace(ENTERPRISE, at + later, first_day)
    assert late.calendar_end >= early.calendar_end
    assert late.billing_end >= early.billing_end


# ---- what counts in a month ------------------------------------------------------------------------------------------


def counting(plan, month, connected="2026-05-20", **known):
    known = {"is_member": True, "connected_in_month": None, **known}
    first = day(connected) if connected else None
    return counts_in_month(plan, day(month), first_connected_at=first, **known)


def test_free_counts_members_at_once():
    assert counting(FREE, "2026-05-01", connected=None) is Counting.COUNTS
    assert counting(FREE, "2026-05-01", is_member=False) is Counting.FREE


def test_basic_counts_from_the_first_connection_on_even_in_silence():
    assert counting(BASIC, "2026-05-01", connected=None) is Counting.FREE
    assert counting(BASIC, "2026-04-30") is Counting.FREE, "the month before"
    assert counting(BASIC, "2026-05-01") is Counting.COUNTS, "no proration"
    assert counting(BASIC, "2026-09-01", connected_in_month=False) is Counting.COUNTS
    assert counting(BASIC, "2026-09-01", sim_off_all_month=True) is Counting.COUNTS


def test_enterprise_counts_months_with_a_connection_and_after_the_grace_all():
    assert counting(ENTERPRISE, "2026-07-01", connected_in_month=False) is Counting.FREE
    assert counting(ENTERPRISE, "2026-07-01", connected_in_month=True) is Counting.COUNTS
    assert counting(ENTERPRISE, "2026-07-01") is Counting.UNKNOWN
    assert counting(ENTERPRISE, "2026-12-01", connected_in_month=False) is Counting.COUNTS
    assert counting(ENTERPRISE, "2026-12-01", sim_off_all_month=True) is Counting.FREE


def test_the_month_in_which_the_readings_differ_is_not_known():
    assert counting(ENTERPRISE, "2026-11-10", connected_in_month=False) is Counting.UNKNOWN


def test_membership_that_is_not_known():
    assert counting(BASIC, "2026-05-01", is_member=None) is Counting.UNKNOWN


@given(TIMES, TIMES, FIRST_DAYS, st.sampled_from(PlanName), st.booleans())
def test_silence_never_makes_a_month_count_that_a_connection_leaves_free(month, connected, first_day, plan, member):
    results = [
        counts_in_month(
            PLANS[plan],
            month,
            is_member=member,
            first_connected_at=connected,
            connected_in_month=in_month,
            first_day=first_day,
        )
        for in_month in (True, False)
    ]
    order = [Counting.FREE, Counting.UNKNOWN, Counting.COUNTS]
    assert order.index(results[0]) >= order.index(results[1])
