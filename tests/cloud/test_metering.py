"""The verdict on billing, and what it takes to reach `not_started`."""

from datetime import UTC, datetime, timedelta

import pytest

from particle_dev.cloud.metering import BillingFinding, BillingVerdict, held_in_dfu, judge, read_counters

T0 = datetime(2026, 1, 1, tzinfo=UTC)
QUIET = {
    "sys:uptime": 60,
    "cloud:stat": 0,
    "cloud:connatt": 0,
    "cloud:dconn": 0,
    "net:stat": 2,
    "net:connatt": 0,
    "net:dconn": 0,
}


def at(seconds):
    return T0 + timedelta(seconds=seconds)


def test_counters_of_a_quiet_boot_cover_it_from_its_start():
    evidence = read_counters(QUIET, at(100))
    assert (evidence.since, evidence.until, evidence.finding) == (at(40), at(100), BillingFinding.OFFLINE)


@pytest.mark.parametrize("change", [{"cloud:stat": 2}, {"cloud:dconn": 1}])
def test_a_session_now_or_before_is_online(change):
    evidence = read_counters(QUIET | change, at(100))
    assert evidence.finding is BillingFinding.ONLINE
    billing = judge([evidence, held_in_dfu(at(100), at(130))], at(130))
    assert billing.verdict is BillingVerdict.STARTED


@pytest.mark.parametrize("change", [{"cloud:connatt": 1}, {"net:connatt": 2}, {"net:stat": 3}, {"cloud:stat": 1}])
def test_an_attempt_is_unknown(change):
    billing = judge([read_counters(QUIET | change, at(100)), held_in_dfu(at(100), at(130))], at(130))
    assert billing.verdict is BillingVerdict.UNKNOWN
    assert billing.missing


@pytest.mark.parametrize("name", sorted(QUIET))
def test_a_counter_that_is_not_reported_is_never_taken_for_zero(name):
    diagnostics = {k: v for k, v in QUIET.items() if k != name}
    evidence = read_counters(diagnostics, at(100))
    assert evidence.finding is BillingFinding.INCONCLUSIVE
    assert name in evidence.statement


@pytest.mark.parametrize("uptime_s", [-1000, 2**32, 10**14])
def test_what_is_no_uptime_covers_no_time(uptime_s):
    evidence = read_counters(QUIET | {"sys:uptime": uptime_s}, at(100))
    assert (evidence.since, evidence.finding) == (at(100), BillingFinding.INCONCLUSIVE)
    assert "sys:uptime" in evidence.statement
    assert judge([evidence], at(101)).verdict is BillingVerdict.UNKNOWN


def test_not_started_needs_the_whole_window():
    billing = judge([read_counters(QUIET, at(100)), held_in_dfu(at(101), at(130))], at(130))
    assert (billing.verdict, billing.since, billing.until) == (BillingVerdict.NOT_STARTED, at(40), at(130))
    assert billing.missing == ()


def test_a_gap_is_unknown():
    billing = judge([read_counters(QUIET, at(100)), held_in_dfu(at(110), at(130))], at(130))
    assert billing.verdict is BillingVerdict.UNKNOWN
    assert "00:01:40" in billing.missing[0]


def test_evidence_that_ends_before_parking_is_unknown():
    assert judge([held_in_dfu(at(0), at(10))], at(60)).verdict is BillingVerdict.UNKNOWN


def test_a_clock_that_was_set_back_hides_no_gap():
    """Watched for 40 minutes, then a loss of power that nobody saw: a computer without a clock of its own comes up half
    an hour earlier, and what is observed then lies within what was observed before."""
    before = held_in_dfu(at(0), at(2400))
    after = [read_counters(QUIET, at(700)), held_in_dfu(at(701), at(720))]
    billing = judge([before, *after], at(721), at(725))
    assert billing.verdict is BillingVerdict.UNKNOWN
    assert "clock was set back" in billing.missing[0]
    assert judge([before, *after], at(721), at(2401)).verdict is BillingVerdict.NOT_STARTED


def test_not_parked_is_unknown():
    assert judge([held_in_dfu(at(0), at(10))], None).verdict is BillingVerdict.UNKNOWN


def test_nothing_observed_is_unknown():
    assert judge([], at(0)).verdict is BillingVerdict.UNKNOWN


def test_touching_pieces_are_told_once():
    pieces = [held_in_dfu(at(n), at(n + 10)) for n in (0, 10, 20)]
    billing = judge(pieces, at(30))
    assert [(e.since, e.until) for e in billing.evidence] == [(at(0), at(30))]
