"""Rate limits in a real PostgreSQL: counted together by all computers of a site, in the database's time."""

import multiprocessing
import threading
import time

import pytest

from particle_dev.cloud.limit_database import DATABASE_BOOT, DatabaseLimitStore
from particle_dev.cloud.limits import SERIAL_LOOKUPS, Limit, RateLimiter, default_limit_place
from particle_dev.errors import CloudLimitError, ConfigError
from particle_dev.transport.clock import SystemClock

SMALL = Limit("small", 40, 3600)


def limiter(url, **options):
    store = DatabaseLimitStore(url, SystemClock(), **options)
    return RateLimiter(store, store.clock(), share=1.0, boot=DATABASE_BOOT), store


def take(url, queue):
    subject, store = limiter(url)
    taken = 0
    try:
        while True:
            subject.acquire((SMALL,), max_wait_s=0)
            taken += 1
    except CloudLimitError:
        queue.put(taken)
    finally:
        store.close()


def test_two_processes_have_one_limit(database_url):
    context = multiprocessing.get_context("spawn")
    queue = context.Queue()
    workers = [context.Process(target=take, args=(database_url, queue)) for _ in range(2)]
    for worker in workers:
        worker.start()
    taken = [queue.get(timeout=60) for _ in workers]
    for worker in workers:
        worker.join(30)
    assert sum(taken) == SMALL.count
    subject, store = limiter(database_url)
    assert subject.used(SMALL) == SMALL.count
    subject.forget(SMALL)
    assert subject.used(SMALL) == 0
    store.close()


class WrongClock(SystemClock):
    """Of a computer whose clock is a day ahead, and which has just started."""

    def monotonic_s(self):
        return super().monotonic_s() % 1

    def utc_now(self):
        raise AssertionError("the time of the computer does not count")


def test_time_is_the_database_s(database_url):
    one, first = limiter(database_url)
    store = DatabaseLimitStore(database_url, WrongClock())
    other = RateLimiter(store, store.clock(), share=1.0, boot=DATABASE_BOOT)
    short = Limit("short", 4, 0.6)
    for turn in range(4):
        (one, other)[turn % 2].acquire((short,), max_wait_s=0)
    with pytest.raises(CloudLimitError):
        one.acquire((short,), max_wait_s=0)
    time.sleep(0.65)
    assert other.acquire((short,), max_wait_s=0) == 0
    one.hold(SERIAL_LOOKUPS, 100, account="me")
    with pytest.raises(CloudLimitError, match="refused"):
        other.check(SERIAL_LOOKUPS, account="me")
    other.check(SERIAL_LOOKUPS, account="somebody else")
    first.close()
    store.close()


def test_a_server_that_starts_again_is_waited_for_and_one_that_stays_away_is_told(server, database_url):
    subject, store = limiter(database_url)
    subject.acquire((SMALL,), max_wait_s=0)
    server.stop()
    starting = threading.Timer(1.5, server.start)
    starting.start()
    subject.acquire((SMALL,), max_wait_s=0)
    starting.join()
    assert subject.used(SMALL) == 2
    store.close()
    server.stop()
    subject, store = limiter(database_url, timeout_s=0)
    with pytest.raises(ConfigError, match="cannot be used") as caught:
        subject.acquire((SMALL,), max_wait_s=0)
    assert "start the database" in caught.value.hint
    store.close()
    server.start()


def test_where_requests_are_counted(monkeypatch, tmp_path):
    monkeypatch.delenv("PARTICLE_DEV_LIMITS", raising=False)
    monkeypatch.delenv("PARTICLE_DEV_RECORDS", raising=False)
    assert default_limit_place("records.sqlite").name == "cloud-limits.json"
    assert default_limit_place("postgresql://h/records") == "postgresql://h/records"
    monkeypatch.setenv("PARTICLE_DEV_RECORDS", "postgresql://env/records")
    assert default_limit_place() == "postgresql://env/records"
    monkeypatch.setenv("PARTICLE_DEV_LIMITS", str(tmp_path / "mine"))
    assert default_limit_place("postgresql://h/records") == tmp_path / "mine"
    for url in ("mysql://h/d", "://"):
        with pytest.raises(ConfigError, match="Requests cannot be counted"):
            DatabaseLimitStore(url, SystemClock())
