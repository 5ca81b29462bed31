"""Records under load: counts and times, within one run.

Run by `make bench`. Usage: bench_records.py FIRMWARE JUDGES [QUESTION…]; no folder is used. Questions (default: all):

replay   100 000 journal events read, checked and folded into the record. Target: 5 s of one CPU
search   one unit among 1 000 000 by whole, beginning and end of a name, and its history. Target: 50 ms each
count    yield, Pareto, spreads and trends of 1 000 000 units, which a page shows. Target: 500 ms of a CPU each
write    units an hour through the records, whole history, signed, SQLite with full syncs. Target: 1 000
verify   units a second that `records verify` compares with the chain
"""

import json
import random
import sqlite3
import sys
import tempfile
import time
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

from particle_dev.station import record_tables as tables
from particle_dev.station.events import EventType, new_event, timestamp
from particle_dev.station.fold import fold
from particle_dev.station.journal import JOURNAL_NAME, Journal, read_journal
from particle_dev.station.record_keeping import record_folder
from particle_dev.station.record_outcomes import bucket_of
from particle_dev.station.record_search import search, unit_history
from particle_dev.station.record_statistics import FailureKey, Quantity, Scope, pareto, spreads, trends, yields
from particle_dev.station.records import RecordDatabase
from particle_dev.station.station_key import StationKey

EVENTS = 100_000
UNITS = 1_000_000
SLOTS = 32
STEPS = ("identify", "check", "plan", "enter_dfu", "flash", "verify", "park")
BEGAN = datetime(2026, 5, 4, 8, 0, tzinfo=UTC)


AT = timestamp(BEGAN)
ATTEMPTS = json.dumps(
    [{"number": 1, "run_attempt": 1, "started_at": AT, "last_event_at": AT, "verdict": "pass", "steps": None}]
)


def line(name, text, good):
    print(f"{name:<8} {text} [{'ok' if good else 'MISSED'}]", flush=True)
    return good


def run_events(run_id, units, slots=SLOTS):
    """A run in which each slot works on one unit after the other."""
    now = BEGAN

    def event(kind, **fields):
        nonlocal now
        now += timedelta(milliseconds=20)
        return new_event(kind, run_id=run_id, at=now, **fields)

    yield event(
        EventType.RUN_STARTED,
        data={
            "recipe": {"name": "ship", "sha256": "ab" * 32, "path": "ship.toml", "limits": {"flash_s": 300.0}},
            "bench": {"name": "virtual"},
            "slots": [str(n + 1) for n in range(slots)],
            "software": {"particle_dev": "0.1.0"},
            "operator": "mara",
        },
    )
    for number in range(units):
        unit, slot = f"e00fce68{abs(hash(run_id)) % 0xFFFFFFFF:08x}{number:08x}", str(number % slots + 1)
        yield event(EventType.UNIT_STARTED, slot=slot, unit=unit, data={"platform": "boron", "port": f"1-{slot}"})
        for step in STEPS:
            yield event(EventType.STEP_STARTED, slot=slot, unit=unit, step=step)
            evidence = {"serial_number": f"P046{number:011}", "port": f"1-{slot}", "text": "x" * 120}
            data = {"status": "passed", "duration_s": 1.5, "evidence": evidence, "error": None}
            yield event(EventType.STEP_FINISHED, slot=slot, unit=unit, step=step, data=data)
        at = now.isoformat()
        piece = {
            "id": "dfu",
            "statement": "in DFU mode",
            "source": "USB",
            "from": at,
            "until": at,
            "finding": "offline",
        }
        module = {
            "function": "system part",
            "index": 1,
            "version": 2101,
            "sha256": "5c" * 32,
            "size_bytes": 667_648,
            "address": 0x30000,
            "file_name": "boron-system-part1@2.1.0.bin",
            "read_back_sha256": "5c" * 32,
        }
        billing = {"verdict": "not_started", "window": {"from": at, "until": at}, "evidence": [piece], "missing": []}
        data = {
            "verdict": "pass",
            "billing": billing,
            "modules": [module] * 4,
            "parked": {"mode": "dfu", "power": "off"},
        }
        yield event(EventType.UNIT_FINISHED, slot=slot, unit=unit, data=data)
    yield event(EventType.RUN_FINISHED, data={"verdict": "pass", "report": None})


def write_journal(folder, run_id, units):
    with Journal(folder / JOURNAL_NAME) as journal:
        for event in run_events(run_id, units):
            journal.append(event, durable=False)
    return folder


def replay(folder):
    path = write_journal(folder / "replay", "replay", EVENTS // 16 + 1) / JOURNAL_NAME
    began, cpu_began = time.perf_counter(), time.process_time()
    events, _ = read_journal(path)
    record = fold(events)
    took_s, cpu_s = time.perf_counter() - began, time.process_time() - cpu_began
    good = len(events) >= EVENTS and record.verdict == "pass" and cpu_s <= 5
    return line("replay", f"{len(events)} events in {cpu_s:.2f} s of one CPU, {took_s:.2f} s by the clock", good)


def fill(path):
    """A database of UNITS units that passed, in runs of SLOTS, made by SQLite itself: rows as stations write them."""
    RecordDatabase(path).close()
    connection = sqlite3.connect(path)
    connection.execute("pragma synchronous=off")
    runs = UNITS // SLOTS

    def unit(number):
        return f"e00fce68{number * 2654435761 % 2**64:016x}"

    connection.executemany(
        "insert into runs (run_id, started_at, verdict, bench, operator, software, recorded, recipe_name) "
        "values (?, '2026-05-04T08:00:00.000Z', 'pass', 'usb', 'mara', '{}', ?, 'ship')",
        ((f"run-{n}", n) for n in range(runs)),
    )
    connection.executemany(
        "insert into units (run_id, unit, position, slot, device_id, platform, verdict, billing_verdict, "
        "billing_from, billing_until, billing_missing, attempts) "
        "values (?, ?, ?, ?, ?, 'boron', 'pass', 'not_started', ?, ?, '[]', ?)",
        (
            (f"run-{n // SLOTS}", unit(n), n % SLOTS, str(n % SLOTS), unit(n), AT, AT, ATTEMPTS)
            for n in range(runs * SLOTS)
        ),
    )
    names = (
        (f"run-{n // SLOTS}", unit(n), place, kind, value, value[::-1])
        for n in range(runs * SLOTS)
        for place, (kind, value) in enumerate((("device_id", unit(n)), ("serial_number", f"P046{n:011}")))
    )
    connection.executemany("insert into unit_names values (?, ?, ?, ?, ?, ?)", names)
    chance = random.Random(11)
    places = ", ".join("?" * len(tables.unit_outcomes.columns))
    outcomes = (outcome(f"run-{n // SLOTS}", unit(n), n, chance) for n in range(runs * SLOTS))
    connection.executemany(f"insert into unit_outcomes values ({places})", outcomes)
    connection.commit()
    connection.close()
    return unit


def outcome(run_id, unit, number, chance):
    """A go at a unit, of which 5 % fail: one each 3.6 s, in 32 slots, for six weeks."""
    at = BEGAN + timedelta(seconds=3.6 * number)
    day, second = divmod(int(at.timestamp()), 86400)
    good = chance.random() > 0.05
    step = chance.choice(("flash", "flash", "verify", "check"))
    failure = chance.choice(("LinkDisconnectedError", "VerifyError", "StepTimeoutError"))
    failed = (None, None, None) if good else (step, failure, f"{failure} in {step}, way {chance.randrange(20)}")
    cycle_s, speed = (chance.gauss(40, 4), chance.gauss(60_000, 5_000)) if good else (None, None)
    row = {
        "run_id": run_id,
        "unit": unit,
        "device_id": unit,
        "started_at": timestamp(at),
        "day": day,
        "hour": second // 3600,
        "station_id": "a" * 16,
        "slot": str(number % SLOTS),
        "platform": "boron",
        "recipe_name": "ship",
        "verdict": "pass" if good else "fail",
        "attempts": 1 + (chance.random() < 0.03),
        "is_first": 1,
        "is_last": 1,
        "failed_step": failed[0],
        "failure": failed[1],
        "message": failed[2],
        "cycle_s": cycle_s,
        "cycle_bucket": bucket_of(cycle_s),
        "bytes_per_s": speed,
        "speed_bucket": bucket_of(speed),
    }
    return tuple(row[column.name] for column in tables.unit_outcomes.columns)


def million(folder):
    """The database of UNITS units, made once: its path, and the name of a unit by its number."""
    path = folder / "million.sqlite"
    if path not in _MADE:
        _MADE[path] = fill(path)
    return path, _MADE[path]


_MADE = {}


def count(folder):
    path, _ = million(folder)
    database = RecordDatabase(path)
    whole = Scope(since=BEGAN.date(), until=BEGAN.date() + timedelta(60))
    questions = {
        "yield": lambda: yields(database, whole).whole.goes == UNITS // SLOTS * SLOTS,
        "yield of one platform": lambda: yields(database, replace(whole, platform="boron")).whole.goes > 0,
        "yield of two days, by hours": lambda: (
            len(yields(database, Scope(since=BEGAN.date(), until=BEGAN.date() + timedelta(1))).by_time) == 40
        ),
        "Pareto": lambda: pareto(database, whole, FailureKey.MESSAGE)[0] > 40_000,
        "spread of cycle times": lambda: len(spreads(database, whole, Quantity.CYCLE)) == SLOTS,
        "spread of speeds": lambda: len(spreads(database, whole, Quantity.SPEED)) == SLOTS,
        "trends": lambda: len(trends(database, whole)[1]) == SLOTS,
        "latest": lambda: len(search(database, limit=100)) == 100,
        "units of a verdict that none has": lambda: search(database, verdict="refused") == [],
    }
    good = True
    for name, ask in questions.items():
        times_ms = []
        for _ in range(3):
            began = time.process_time()
            good = ask() and good
            times_ms.append((time.process_time() - began) * 1000)
        told = f"{name} of {UNITS} units: median {sorted(times_ms)[1]:.0f} ms of one CPU"
        good = line("count", told, good and sorted(times_ms)[1] <= 500) and good
    database.close()
    return good


def find(folder):
    path, unit = million(folder)
    database = RecordDatabase(path)
    chosen = random.Random(7).sample(range(UNITS // SLOTS * SLOTS), 40)
    questions = {
        "whole name": lambda n: search(database, unit(n)),
        "beginning": lambda n: search(database, unit(n)[:18]),
        "end": lambda n: search(database, unit(n)[-8:].upper()),
        "serial": lambda n: search(database, f"P046{n:011}"),
        "history": lambda n: unit_history(database, unit(n)),
    }
    good = True
    for name, ask in questions.items():
        times_ms = []
        for number in chosen:
            began = time.perf_counter()
            found = ask(number)
            times_ms.append((time.perf_counter() - began) * 1000)
            good = good and unit(number) in [item.unit for item in found]
        times_ms.sort()
        told = f"{name} among {UNITS} units: median {times_ms[20]:.1f} ms, slowest of 40 {times_ms[-1]:.1f} ms"
        good = line("search", told, good and times_ms[-1] <= 50) and good
    database.close()
    return good


def write(folder, runs=20):
    key = StationKey(folder / "site")
    folders = [write_journal(folder / f"write-{n}", f"write-{n}", SLOTS) for n in range(runs)]
    database = RecordDatabase(folder / "written.sqlite")
    began = time.perf_counter()
    for one in folders:
        record_folder(database, one, key)
    took_s = time.perf_counter() - began
    rate = runs * SLOTS / took_s * 3600
    size = (folder / "written.sqlite").stat().st_size / (runs * SLOTS) / 1000
    good = line("write", f"{rate:,.0f} units an hour, {size:.1f} kB a unit", rate >= 1000)
    began = time.perf_counter()
    found = database.verify(key, {})
    took_s = time.perf_counter() - began
    database.close()
    return (
        line("verify", f"{runs * SLOTS / took_s:,.0f} units a second, {found.verdict}", found.verdict == "intact")
        and good
    )


QUESTIONS = {"replay": replay, "search": find, "count": count, "write": write}


def main(arguments):
    wanted = ["write" if name == "verify" else name for name in arguments[2:]] or list(QUESTIONS)
    with tempfile.TemporaryDirectory() as folder:
        results = [QUESTIONS[name](Path(folder)) for name in dict.fromkeys(wanted)]
    return 0 if all(results) else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
