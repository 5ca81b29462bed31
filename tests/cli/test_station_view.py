"""How a run looks: on a terminal, in a log, as JSON."""

import dataclasses
import io
import os
import pty
import re
import termios
import threading
from contextlib import suppress
from pathlib import Path

import pytest

from particle_dev.cli.station_view import JsonView, StationView, print_summary, printable
from particle_dev.station.events import EventType, StationEvent
from particle_dev.station.fold import fold
from particle_dev.station.journal import read_journal


@pytest.fixture
def events(mixed_journal):
    """A run with progress between start and end of flash, as a view gets it."""
    events, _ = read_journal(mixed_journal)
    flash = next(e for e in events if e.step == "flash" and e.slot == "1")
    data = {"activity": "boron-system-part1@2.1.0.bin", "done_bytes": 300_000, "total_bytes": 600_000}
    progress = dataclasses.replace(flash, type=EventType.STEP_PROGRESS, data=data)
    place = events.index(flash) + 1
    return [*events[:place], progress, *events[place:]]


def test_without_a_terminal_there_is_a_line_per_step(events):
    stream = io.StringIO()
    with StationView(stream) as view:
        for event in events:
            view.handle(event)

    lines = stream.getvalue().splitlines()
    finished = [event for event in events if event.type == EventType.STEP_FINISHED]
    assert sum(bool(re.search(r" (passed|failed) \(", line)) for line in lines) == len(finished)
    for line in [
        "slot 1: boron e00fce68d3a1b2c4f5061728",
        "slot 1: enter DFU passed (1.6 s)",
        "slot 2: plan failed (0.02 s): bootloader 311 is too old: Device OS 2.1.0 needs bootloader 1005 or later",
        "slot 2: refused, billing unknown",
        "slot 3: flash failed (5.2 s): the board left the bus while writing 0x00051000",
        "slot 5: empty: no board answers on port 1-5",
        "slot 1: pass, billing not started",
    ]:
        assert any(line in found for found in lines), line
    assert all(printable(line) == line for line in lines)


def on_terminal(events):
    """What a terminal of 100 columns gets."""
    master, slave = os.openpty()
    received = []

    def read():
        with os.fdopen(master, "rb", buffering=0) as terminal:
            try:
                while chunk := terminal.read(65536):
                    received.append(chunk)
            except OSError:  # the other end was closed
                pass

    reader = threading.Thread(target=read)
    reader.start()
    with os.fdopen(slave, "w", encoding="utf-8") as stream, StationView(stream) as view:
        for event in events:
            view.handle(event)
    reader.join()
    return b"".join(received).decode()


def test_on_a_terminal_there_is_a_bar_per_slot(events, monkeypatch):
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", "100")
    place = next(number for number, event in enumerate(events) if event.type == EventType.STEP_PROGRESS) + 1

    halfway = on_terminal(events[:place])
    end = on_terminal(events)

    bars = [line for line in re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", halfway).splitlines() if "50%" in line]
    assert any(re.match(r"slot 1\s+boron\s+\w{6} > flash\s.*50%", line) for line in bars)
    *last, foot = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", end).splitlines()[-6:]
    assert sorted(line.split()[1] for line in last) == ["1", "2", "3", "4", "5"]
    assert any(re.match(r"slot 2\s+bsom\s+\w* *X refused", line) for line in last)
    assert foot == "ship on virtual · 1 passed, 2 did not"
    assert "unplug the B-SoM now" in end
    assert "left the bus" in end


def test_json_lines_are_the_events(events):
    stream = io.StringIO()
    with JsonView(stream) as view:
        for event in events:
            view.handle(event)

    assert [StationEvent.from_json(line) for line in stream.getvalue().splitlines()] == events


def test_a_reader_that_goes_away_does_not_end_the_run(events):
    reader, writer = os.pipe()
    os.close(reader)
    with os.fdopen(writer, "w", encoding="ascii") as stream, JsonView(stream) as view:
        for event in events:
            view.handle(event)


def test_summary_of_a_good_run(pass_journal):
    stream = io.StringIO()

    print_summary(fold(read_journal(pass_journal)[0]), None, stream)

    lines = stream.getvalue().splitlines()
    assert len(lines) == 8
    assert lines[-2].endswith("the cloud was not asked about the time before")
    assert lines[4].split() == ["4", "photon", "3c001f000947343432313031", "pass", "not", "started", "2.1.0", "v6"]
    assert lines[-1] == "PASS: 4 of 4 units passed"


def with_an_error(events, message, hint):
    """The same run, but unit 1 fails for that although all of its steps passed."""
    error = {"type": "BillingUnprovenError", "message": message, "hint": hint, "fields": {}}
    last = max(n for n, e in enumerate(events) if e.type == EventType.UNIT_FINISHED and e.slot == "1")
    data = events[last].data | {"verdict": "fail", "error": error}
    return [*events[:last], dataclasses.replace(events[last], data=data), *events[last + 1 :]]


def summary_on_80_columns(record, report):
    master, terminal = pty.openpty()
    termios.tcsetwinsize(terminal, (24, 80))
    with os.fdopen(terminal, "w", encoding="utf-8") as stream:
        print_summary(record, report, stream)
    shown = b""
    # Where the other end was closed, the end of a terminal is an error.
    with suppress(OSError):
        while part := os.read(master, 65536):
            shown += part
    os.close(master)
    return re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", shown.decode()).splitlines()


def test_the_summary_fits_its_terminal(events, pass_journal):
    record = fold(with_an_error(events, "nobody watched the unit " * 6, "leave it off, " * 12))
    report = Path("/somewhere/else" * 6) / "report.html"
    lines = summary_on_80_columns(record, report)
    assert [line for line in lines if len(line) >= 80] == [f"    {report}"], "a path stays whole"
    assert any(line.startswith("FAIL: ") for line in lines)
    assert any(line.startswith("  what to do: leave it off") for line in lines)

    lines = summary_on_80_columns(fold(read_journal(pass_journal)[0]), None)
    assert max(map(len, lines)) < 80
    assert any(line.startswith("billing: of the time") for line in lines)
    assert lines[-1] == "PASS: 4 of 4 units passed"


def test_names_from_boards_do_not_steer_the_terminal(pass_journal):
    evil = "\x1b[2J[red]x[/]"
    record = fold(read_journal(pass_journal)[0])
    unit = dataclasses.replace(record.units[0], device_id=evil, platform=evil, slot=evil)
    stream, log = io.StringIO(), io.StringIO()

    print_summary(dataclasses.replace(record, units=(unit,)), None, stream)
    with StationView(log) as view:
        view.handle(
            StationEvent(1, record.started_at, "r", EventType.OPERATOR_MESSAGE, evil, evil, None, {"message": evil})
        )

    assert "\x1b" not in stream.getvalue() + log.getvalue()
    assert log.getvalue() == "slot ?[2J[red]x[/]: ?[2J[red]x[/]\n"
    assert "[red]x" in stream.getvalue()


def test_a_unit_that_fails_although_every_step_passed_tells_why_and_what_to_do(events):
    events = with_an_error(events, "nobody watched the unit", "leave it off")
    lines, summary = io.StringIO(), io.StringIO()
    with StationView(lines) as view:
        for event in events:
            view.handle(event)
    print_summary(fold(events), None, summary)

    expected = "slot 1: fail, billing not started: nobody watched the unit; what to do: leave it off"
    assert expected in lines.getvalue().splitlines()
    assert "slot 1: nobody watched the unit\n  what to do: leave it off" in summary.getvalue()
    assert "leave it off" in on_terminal(events)
