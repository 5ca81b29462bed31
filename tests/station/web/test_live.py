"""Events go in and cost the engine nothing; states come out, for many browsers, at their own pace."""

import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta

import pytest

from particle_dev.station.events import EventType, new_event
from particle_dev.station.slot_states import SlotMode
from particle_dev.station.web.stream import Follower

START = datetime(2026, 5, 4, 8, tzinfo=UTC)


class Run:
    """Events of a run of three slots, one a millisecond."""

    def __init__(self, live, slots=("1", "2", "3"), run_id="r"):
        self.live, self.count, self.run_id = live, 0, run_id
        self.tell(EventType.RUN_STARTED, recipe={"name": "ship"}, bench={"name": "line"}, slots=list(slots))

    def tell(self, kind, slot=None, step=None, **data):
        self.count += 1
        unit = slot and f"unit{slot}"
        at = START + timedelta(milliseconds=self.count)
        self.live.take(new_event(kind, run_id=self.run_id, at=at, slot=slot, unit=unit, step=step, data=data))

    def begin(self, slot):
        self.tell(EventType.UNIT_STARTED, slot, platform="boron", port="1-1")
        self.tell(EventType.STEP_STARTED, slot, "flash")

    def progress(self, slot, done):
        self.tell(EventType.STEP_PROGRESS, slot, "flash", activity="write", done_bytes=done, total_bytes=1000)


def modes(live, since=0):
    return live.changed(since, lambda slot: (slot.name, slot.mode))


def test_only_what_changed_comes_out(live):
    run = Run(live)
    version, slots = modes(live)
    assert slots == [("1", SlotMode.WAITING), ("2", SlotMode.WAITING), ("3", SlotMode.WAITING)]
    run.begin("2")
    later, slots = modes(live, version)
    assert slots == [("2", SlotMode.WORKING)]
    assert modes(live, later) == (later, [])
    assert len(modes(live)[1]) == 3, "who comes anew gets all"


def test_of_progress_only_the_latest_waits(live):
    run = Run(live)
    run.begin("1")
    for done in range(1000):
        for slot in ("1", "2"):
            run.progress(slot, done)
    assert len(live._inbox) == 5
    assert live.changed(0, lambda slot: slot.done_bytes)[1] == [999, 999, 0]


def test_progress_of_a_step_before_does_not_come_after_its_end(live):
    run = Run(live)
    run.begin("1")
    run.progress("1", 10)
    run.tell(EventType.STEP_STARTED, "1", "verify")
    run.progress("1", 20)
    run.tell(EventType.STEP_STARTED, "1", "park")
    assert live.changed(0, lambda slot: (slot.step, slot.done_bytes))[1][0] == ("park", 0)


def test_another_run_is_told_whole(live):
    Run(live)
    version, _ = modes(live)
    Run(live, ("a",), "another")
    assert modes(live, version)[1] == [("a", SlotMode.WAITING)]


def test_work_that_was_cut_short_is_told_as_such(live):
    run = Run(live)
    run.begin("1")
    version, _ = modes(live)
    live.cut_short()
    assert modes(live, version)[1][0] == ("1", SlotMode.INTERRUPTED)


def test_events_do_not_pile_up_while_nobody_looks(live, monkeypatch):
    monkeypatch.setattr("particle_dev.station.web.live.KEEP_UP_S", 0.001)
    Run(live).begin("1")
    with ThreadPoolExecutor(1) as pool:
        ended = pool.submit(live.keep_up)
        while live._inbox:
            threading.Event().wait(0.001)
        live.close()
        ended.result()
    assert modes(live)[1][0] == ("1", SlotMode.WORKING)


def test_a_run_that_is_closed_is_followed_no_more(live):
    assert not live.closed
    live.close()
    assert live.closed


# ---- what a browser is told --------------------------------------------------------------------------------------


@pytest.fixture
def follow(context):
    return lambda language="en": Follower(context, language)


def test_a_browser_gets_everything_then_what_changed(live, follow):
    run = Run(live)
    run.begin("1")
    follower = follow()
    first = follower.frame()
    assert first["run"]["slots"] == ["1", "2", "3"]
    assert [slot["mode"] for slot in first["slots"]] == ["working", "waiting", "waiting"]
    assert follower.frame() is None
    run.progress("1", 500)
    (slot,) = (frame := follower.frame())["slots"]
    assert (slot["slot"], slot["percent"], slot["step"]) == ("1", 50, "Write")
    assert "run" not in frame, "nothing of it has changed"


def test_a_browser_that_was_away_gets_what_is_true_now(live, follow):
    run = Run(live)
    follow().frame()
    run.begin("1")
    run.tell(EventType.UNIT_FINISHED, "1", verdict="pass")
    run.tell(EventType.RUN_FINISHED, verdict="pass", report=None)
    again = follow().frame()
    assert (again["run"]["verdict"], again["run"]["passed"]) == ("pass", 1)
    assert again["slots"][0]["mode"] == "pass"


def test_a_slow_browser_misses_frames_and_holds_nobody_up(live, follow):
    run = Run(live)
    slow, quick = follow(), follow()
    seen = []
    for done in range(100):
        run.progress("1", done * 10)
        seen.append(quick.frame()["slots"][0]["percent"])
    assert seen == list(range(100))
    assert [slot["percent"] for slot in slow.frame()["slots"]] == [99, None, None]
    assert slow.frame() is None


def test_who_may_begin_by_hand_is_told_when_it_changes(live, follow, context, lines):
    Run(live)
    follower = follow()
    assert {slot["may_begin"] for slot in follower.frame()["slots"]} == {False}
    context.desk.lines = lines
    frame = follower.frame()
    assert frame["run"]["by_hand"]
    assert [slot["may_begin"] for slot in frame["slots"]] == [True, True, True]


def test_before_the_run_there_is_something_to_say(follow):
    frame = follow().frame()
    assert (frame["slots"], frame["run"]["slots"], frame["run"]["about"]) == ([], [], "")


def test_speed_and_time_left_are_of_the_last_seconds(live, follow):
    run = Run(live)
    run.begin("1")
    follower = follow()
    for done in (0, 100, 200):
        run.progress("1", done)
        frame = follower.frame()
    assert follow("de").frame()["slots"][0]["speed"] == "100,0 kB/s"
    slot = frame["slots"][0]
    assert (slot["speed"], slot["left"]) == ("100.0 kB/s", "1 s left")
