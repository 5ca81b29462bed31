"""``particle-dev cloud devices grace``: what a site remembers of first connections, by both readings of the plan."""

import json
from datetime import UTC, datetime

import pytest
from click.testing import CliRunner

from particle_dev.cli.root import root
from particle_dev.cloud.device_state import DeviceEvent, DeviceEventType, DeviceStates
from particle_dev.errors import GuardStateError
from particle_dev.transport.clock import SystemClock

OLD, NEW, WAITING, GONE, HELD, STRAY = (f"e00fce68{n:016x}" for n in range(6))


@pytest.fixture
def site(tmp_path, monkeypatch):
    monkeypatch.setattr(SystemClock, "utc_now", lambda _: datetime(2026, 11, 20, 12, tzinfo=UTC))
    states = DeviceStates(tmp_path / "devices.jsonl")

    def tell(device_id, type_, day, **details):
        states.add(DeviceEvent(device_id, type_, datetime.fromisoformat(day).replace(tzinfo=UTC), details))

    for device_id in (OLD, NEW, WAITING, GONE, HELD):
        tell(device_id, DeviceEventType.JOINED, "2026-01-01", product="7")
    for device_id, day in ((OLD, "2026-05-20"), (NEW, "2026-11-03"), (GONE, "2026-02-01"), (HELD, "2026-03-01")):
        tell(device_id, DeviceEventType.CONNECTED, day, statement="spark/status online")
    tell(STRAY, DeviceEventType.CONNECTED, "2026-10-31", statement="spark/status online")
    tell(GONE, DeviceEventType.REMOVED, "2026-03-01")
    tell(GONE, DeviceEventType.SIM_RELEASED, "2026-03-02")
    tell(HELD, DeviceEventType.REMOVED, "2026-04-01")
    return tmp_path


def run(folder, *options):
    return CliRunner().invoke(root, ["cloud", "devices", "grace", "--site", str(folder), *options])


def told(folder, *options):
    done = run(folder, *options, "--json")
    assert done.exit_code == 0, done.output
    return {line.pop("device_id"): line for line in json.loads(done.stdout)}


def test_both_ends_of_grace_the_earliest_first(site):
    lines = told(site, "--plan", "enterprise")
    assert list(lines) == [HELD, OLD, STRAY, NEW], "neither what never connected nor what is out for good"
    assert lines[OLD] == {
        "stage": "metered",
        "first_connected_at": "2026-05-20T00:00:00+00:00",
        "billing_end": "2026-11-01T00:00:00+00:00",
        "calendar_end": "2026-11-20T00:00:00+00:00",
        "warn": True,
        "this_month": "unknown",
    }
    assert (lines[NEW]["warn"], lines[NEW]["this_month"]) == (False, "counts")
    assert (lines[HELD]["stage"], lines[HELD]["this_month"]) == ("removed", "counts"), "its SIM is not released"
    assert (lines[STRAY]["stage"], lines[STRAY]["this_month"]) == ("connected_once", "unknown")


def test_the_day_on_which_billing_months_begin_moves_one_end(site):
    assert told(site, "--plan", "enterprise", "--first-day", "15")[OLD]["billing_end"] == "2026-11-15T00:00:00+00:00"


def test_other_plans_have_none(site):
    line = told(site, "--plan", "basic")[OLD]
    assert line["billing_end"] == line["calendar_end"] == line["first_connected_at"]
    assert line["this_month"] == "counts"


def test_people_are_told_how_many_to_look_at(site):
    done = run(site, "--plan", "enterprise")
    assert done.exit_code == 0
    assert "grace of 2 devices ends soon or has ended" in " ".join(done.stdout.split())


def test_a_site_that_knows_nothing_is_no_empty_list(tmp_path):
    done = run(tmp_path, "--plan", "enterprise")
    assert isinstance(done.exception, GuardStateError)
    assert "--site" in done.exception.hint
