"""Rate limits: never more than the limit in any window, whoever asks, whatever the clock does."""

import json
import multiprocessing
from datetime import timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from particle_harness.clock import VirtualClock

from particle_dev.cloud.limits import (
    LONGEST_HOLD_S,
    REQUESTS,
    SERIAL_LOOKUPS,
    STREAM_OPENS,
    FileLimitStore,
    Limit,
    MemoryLimitStore,
    RateLimiter,
    boot_id,
)
from particle_dev.errors import CloudLimitError, ConfigError
from particle_dev.transport.clock import SystemClock

SMALL = Limit("small", 10, 60)


def limiter(clock, store=None, **options):
    return RateLimiter(store or MemoryLimitStore(), clock, boot="one", **options)


@settings(max_examples=60, deadline=None)
@given(st.lists(st.floats(0, 90), min_size=1, max_size=120))
def test_never_more_than_the_limit_in_any_window(pauses):
    clock = VirtualClock()
    subject = limiter(clock, share=1.0)
    uses = []
    for pause_s in pauses:
        clock.sleep(pause_s)
        subject.acquire((SMALL,), max_wait_s=1e9)
        uses.append(clock.monotonic_s())
    for n, first in enumerate(uses):
        assert sum(1 for u in uses[n:] if u - first < SMALL.window_s) <= SMALL.count


def test_all_of_a_limit_can_be_used_at_once_and_again_after_the_window():
    clock = VirtualClock()
    subject = limiter(clock)
    for _ in range(9):
        assert subject.acquire((SMALL,), max_wait_s=0) == 0
    with pytest.raises(CloudLimitError) as caught:
        subject.acquire((SMALL,), max_wait_s=1)
    assert caught.value.limit == "small"
    assert caught.value.status is None
    assert 60 <= caught.value.wait_s <= 62
    assert subject.acquire((SMALL,), max_wait_s=100) == caught.value.wait_s
    assert subject.used(SMALL) == 1


def test_several_limits_are_used_together_or_not_at_all():
    clock = VirtualClock()
    subject = limiter(clock)
    for _ in range(9):
        subject.acquire((SMALL,), max_wait_s=0)
    with pytest.raises(CloudLimitError):
        subject.acquire((REQUESTS, SMALL), max_wait_s=0)
    assert subject.used(REQUESTS) == 0


def test_users_have_look_ups_of_their_own():
    subject = limiter(VirtualClock())
    for _ in range(45):
        subject.acquire((SERIAL_LOOKUPS,), account="a", max_wait_s=0)
    with pytest.raises(CloudLimitError):
        subject.acquire((SERIAL_LOOKUPS,), account="a", max_wait_s=0)
    subject.acquire((SERIAL_LOOKUPS,), account="b", max_wait_s=0)


def test_what_the_cloud_says_stops_everybody():
    clock = VirtualClock()
    store = MemoryLimitStore()
    one, other = limiter(clock, store), limiter(clock, store)
    one.hold(STREAM_OPENS, 120)
    with pytest.raises(CloudLimitError, match="nobody here asks for another 120 s") as caught:
        other.check(STREAM_OPENS)
    assert "used up" not in str(caught.value), "the count is not full"
    assert other.acquire((STREAM_OPENS,), max_wait_s=200) == 120
    other.acquire((REQUESTS,), max_wait_s=0)


@pytest.mark.parametrize("duration_s", [3601.0, 1e12, float("inf")])
def test_nobody_is_stopped_for_good(duration_s, tmp_path):
    clock, store = VirtualClock(), FileLimitStore(tmp_path / "l.json")
    assert limiter(clock, store).hold(REQUESTS, duration_s) == LONGEST_HOLD_S
    with pytest.raises(CloudLimitError, match="3600 s"):
        limiter(clock, store).acquire((REQUESTS,), max_wait_s=60)
    assert limiter(clock, store).acquire((REQUESTS,), max_wait_s=4000) == LONGEST_HOLD_S


@pytest.mark.parametrize("until_s", ["1e300", "Infinity"])
def test_a_file_that_stops_everybody_for_good_is_mended(until_s, tmp_path):
    """As one may be from before there was a longest time."""
    clock, path = VirtualClock(), tmp_path / "l.json"
    limiter(clock, FileLimitStore(path)).hold(REQUESTS, 77)
    data = json.loads(path.read_text())
    data["counters"]["requests"][0] = float(until_s)
    path.write_text(json.dumps(data))
    assert limiter(clock, FileLimitStore(path)).acquire((REQUESTS,), max_wait_s=4000) == LONGEST_HOLD_S


def test_forgetting():
    subject = limiter(VirtualClock())
    subject.acquire((SMALL,), max_wait_s=0)
    subject.forget(SMALL)
    assert subject.used(SMALL) == 0


class SetClock(VirtualClock):
    """Somebody sets the time of day; the monotonic clock goes on."""

    shift = 0.0

    def utc_now(self):
        return super().utc_now() + timedelta(seconds=self.shift)


@pytest.mark.parametrize("shift_s", [-86400, -1, 1, 86400])
def test_setting_the_clock_opens_no_window_and_closes_none(shift_s, tmp_path):
    clock = SetClock(1000)
    store = FileLimitStore(tmp_path / "limits.json")
    for _ in range(9):
        limiter(clock, store).acquire((SMALL,), max_wait_s=0)
    clock.shift = shift_s
    with pytest.raises(CloudLimitError) as caught:
        limiter(clock, store).acquire((SMALL,), max_wait_s=0)
    assert caught.value.wait_s <= 62


@pytest.mark.parametrize(("away_s", "free"), [(0, False), (10, False), (100, True), (-500, False)])
def test_after_a_boot_the_time_of_day_counts(away_s, free, tmp_path):
    clock = SetClock(1000)
    store = FileLimitStore(tmp_path / "limits.json")
    for _ in range(9):
        RateLimiter(store, clock, boot="one").acquire((SMALL,), max_wait_s=0)
    booted = SetClock(5)
    booted.shift = 995 + away_s
    subject = RateLimiter(store, booted, boot="two")
    if free:
        assert subject.acquire((SMALL,), max_wait_s=0) == 0
    else:
        with pytest.raises(CloudLimitError) as caught:
            subject.acquire((SMALL,), max_wait_s=0)
        assert caught.value.wait_s <= 62


def use_some(path, count, results):
    subject = RateLimiter(FileLimitStore(path), SystemClock())
    done = 0
    for _ in range(count):
        try:
            subject.acquire((Limit("small", 50, 3600),), max_wait_s=0)
            done += 1
        except CloudLimitError:
            pass
    results.put(done)


def test_processes_share_a_limit(tmp_path):
    context = multiprocessing.get_context("spawn")
    results = context.Queue()
    workers = [context.Process(target=use_some, args=(tmp_path / "l.json", 30, results)) for _ in range(3)]
    for worker in workers:
        worker.start()
    done = [results.get(timeout=60) for _ in workers]
    for worker in workers:
        worker.join(10)
    assert sum(done) == 45


@pytest.mark.parametrize(
    "content",
    [
        b"{",
        b"[]",
        b'{"version": 2}',
        b'{"version": 1, "counters": {"a": 1}}',
        b'{"version": 1, "counters": {"a": [0, [1e999, 1]]}}',
        b'{"version": 1, "counters": {}, "offset_s": 1e999, "seen_s": 0, "seen_wall_s": 0, "boot": ""}',
        b"\xff\xfe\x00",
        bytes(40),
        b"[" * 100_000,
    ],
    ids=["cut", "list", "version", "counter", "infinite", "no time", "no text", "zeros", "deep"],
)
def test_a_damaged_file_is_told_and_counted_anew(content, tmp_path, caplog):
    (tmp_path / "l.json").write_bytes(content)
    limiter(VirtualClock(), FileLimitStore(tmp_path / "l.json")).acquire((SMALL,), max_wait_s=0)
    assert "damaged" in caplog.text
    assert json.loads((tmp_path / "l.json").read_text())["version"] == 1


def test_a_folder_that_cannot_be_written(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(ConfigError, match="counts of requests"):
        limiter(VirtualClock(), FileLimitStore(tmp_path / "file" / "l.json")).acquire((SMALL,), max_wait_s=0)


def test_the_file_stays_small(tmp_path):
    clock = VirtualClock()
    subject = limiter(clock, FileLimitStore(tmp_path / "l.json"))
    for _ in range(300):
        subject.acquire((REQUESTS,), max_wait_s=0)
        clock.sleep(7)
    assert (tmp_path / "l.json").stat().st_size < 2000


def test_this_machine_tells_its_boots_apart():
    assert boot_id() == boot_id()
