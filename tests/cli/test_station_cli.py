"""``station teach|status|lock|unlock`` and the lines of operators. The boards are our own models."""

import contextlib
import dataclasses
import io
import json
import threading
from types import SimpleNamespace

import pytest
from click.testing import CliRunner

from particle_dev.cli import station_run, station_teach
from particle_dev.cli.exit_codes import ExitCode
from particle_dev.cli.root import root
from particle_dev.cli.station_board import SlotBoard
from particle_dev.errors import StationStoppedError
from particle_dev.station.arrivals import Arrivals, Start, StartBy
from particle_dev.station.bench import open_bench
from particle_dev.station.bench_file import load_bench_file
from particle_dev.station.events import EventType
from particle_dev.station.journal import JOURNAL_NAME, Journal
from particle_dev.station.label_scans import LabelScans
from particle_dev.station.operator_lines import OperatorLines, is_engineers
from particle_dev.station.slot_health import HealthFile, Lock
from particle_dev.station.slot_states import RunStates

ID = "e00fce68" + "1" * 16


@pytest.fixture
def particle_dev(tmp_path):
    def run(*words, stdin=""):
        site = ("--site", str(tmp_path / "site")) if words[1] in ("status", "lock", "unlock") else ()
        return CliRunner().invoke(root, [*words, *site], input=stdin, standalone_mode=False)

    return run


@pytest.fixture
def folder(tmp_path, mixed_journal):
    (tmp_path / "run").mkdir()
    path = tmp_path / "run" / JOURNAL_NAME
    path.write_bytes(mixed_journal.read_bytes())
    with Journal(path) as journal:
        data = {"verdict": "fail", "report": None}
        end = dataclasses.replace(journal.events[-1], type=EventType.RUN_FINISHED, slot=None, unit=None, data=data)
        journal.append(end, durable=True)
    return tmp_path / "run"


# ---- status -----------------------------------------------------------------------------------------


def test_status_of_a_run_that_ended(particle_dev, folder):
    result = particle_dev("station", "status", str(folder), "--json")
    data = json.loads(result.stdout)
    assert result.return_value == ExitCode.FAILED
    assert (data["state"], data["verdict"], data["passed"]) == ("ended", "fail", 1)
    assert [slot["state"] for slot in data["slots"]] == ["pass", "refused", "fail", "interrupted", "empty"]
    text = particle_dev("station", "status", str(folder))
    assert text.stdout.startswith("ship on virtual: ended fail, 1 passed, ")
    assert all(len(line) <= 88 for line in text.stdout.splitlines())


def test_status_of_a_run_that_was_cut_short_and_of_one_that_goes_on(particle_dev, folder):
    path = folder / JOURNAL_NAME
    path.write_bytes(b"".join(path.read_bytes().splitlines(keepends=True)[:6]))
    result = particle_dev("station", "status", str(folder), "--json")
    assert (result.return_value, json.loads(result.stdout)["state"]) == (ExitCode.INCOMPLETE, "cut short")
    with Journal(path):
        result = particle_dev("station", "status", str(folder), "--json")
    assert (result.return_value, json.loads(result.stdout)["state"]) == (ExitCode.OK, "runs")


def test_a_locked_slot_is_seen_in_the_status_until_it_is_unlocked(particle_dev, folder):
    assert particle_dev("station", "lock", "2", "--bench", "virtual", "--reason", "bent pin").exit_code == 0
    text = particle_dev("station", "status", str(folder)).stdout
    assert ": bent pin" in text
    result = particle_dev("station", "unlock", "2", "--bench", "virtual", "--json")
    assert json.loads(result.stdout)["lock"] is None
    assert "bent pin" not in particle_dev("station", "status", str(folder)).stdout


def test_a_slot_that_the_bench_file_lacks_cannot_be_locked(particle_dev, tmp_path):
    bench = tmp_path / "bench.toml"
    bench.write_text('[bench]\ndriver = "usb"\n[[slot]]\nname = "A"\nport = "1-2"\n')
    result = particle_dev("station", "lock", "B", "--bench", str(bench), "--reason", "r")
    assert "it has A" in str(result.exception.hint)


@pytest.mark.parametrize("word", ["lock", "unlock"])
def test_a_slot_of_a_bench_that_is_not_there_cannot_be_locked(particle_dev, tmp_path, word):
    """Nobody would ever ask for it: the slot that was meant stays in use."""
    reason = ("--reason", "bent pin") if word == "lock" else ()
    result = particle_dev("station", word, "A", "--bench", "bench.tml", *reason)
    assert "'bench.tml', which is no bench driver" in str(result.exception)
    bench = tmp_path / "bench.toml"
    bench.write_text('[bench]\ndriver = "usbb"\n')
    result = particle_dev("station", word, "A", "--bench", str(bench), *reason)
    assert "the driver of bench 'bench' is 'usbb'" in str(result.exception)
    assert not (tmp_path / "site").exists()


# ---- teach -----------------------------------------------------------------------------------------------------


class Hands:
    """Plugs the next board in whenever the command waits."""

    name = "hands"

    def __init__(self, bench):
        self.bench = bench
        self.slots = list(bench.driver.slots)
        self.waits = 0
        for slot in self.slots:
            slot.board.pull()

    def wait(self, timeout_s):
        self.bench.host.clock.sleep(timeout_s)
        self.waits += 1
        if self.slots and self.waits % 20 == 0:
            slot = self.slots.pop(0)
            slot.board.plug_in()
            slot.clock.sleep(5)

    def close(self):
        pass


def test_teach_writes_a_bench_file_that_the_station_reads(particle_dev, tmp_path, monkeypatch):
    shelf = tmp_path / "shelf.toml"
    shelf.write_text(
        '[bench]\ndriver = "virtual"\n[bench.options]\nclock = "virtual"\npower_control = false\n'
        '[[slot]]\nname = "1"\nplatform = "p2"\n[[slot]]\nname = "2"\nplatform = "msom"\n'
    )
    monkeypatch.setattr(station_teach, "wake_up_for", lambda bench: (Hands(bench), ""))
    out = tmp_path / "bench.toml"
    words = ("station", "teach", "--out", str(out), "--slots", "2", "--bench", str(shelf), "--no-battery", "--json")
    result = particle_dev(*words, "--store", str(tmp_path / "store"))
    assert result.exit_code == 0, result.output
    taught = [json.loads(line) for line in result.stdout.splitlines()]
    assert [(slot["name"], slot["port_path"], slot["platform"]) for slot in taught] == [
        ("1", "1-1", "p2"),
        ("2", "1-2", "msom"),
    ]
    assert [slot["port"] for slot in load_bench_file(out).slots] == ["1-1", "1-2"]
    again = particle_dev(*words)
    assert "there already" in str(again.exception)


# ---- lines of operators ----------------------------------------------------------------------------------------


PORTS = {"1": "9-1", "left": "9-2"}


@pytest.fixture
def lines(tmp_path):
    """Two slots that wait for a start, each in a thread. Their power is off before: USB shows no board."""
    slots = [
        {"name": name, "port": port, "battery": False, "power": {"by": "operator"}} for name, port in PORTS.items()
    ]
    bench = open_bench("usb", slots=slots)
    arrivals = Arrivals(SimpleNamespace(usb=SimpleNamespace(enumerate=tuple)), bench.slots, StartBy.OPERATOR)
    starts = {}
    with arrivals:
        threads = [
            threading.Thread(target=lambda n=name: starts.update({n: arrivals.wait(n)})) for name in ("1", "left")
        ]
        for thread in threads:
            thread.start()
        while len(arrivals.idle()) < 2:
            threads[0].join(0.01)
        health = HealthFile(tmp_path, "line")
        yield SimpleNamespace(
            by=lambda start_by: OperatorLines(arrivals, ["1", "left"], start_by, health),
            arrivals=arrivals,
            starts=starts,
            threads=threads,
        )
        arrivals.end()
        for thread in threads:
            thread.join()


def test_an_empty_line_begins_in_all_slots(lines):
    operator = lines.by(StartBy.OPERATOR)
    assert str(operator.carry_out("\n")) == "begins: slot 1, left"
    for thread in lines.threads:
        thread.join()
    assert {start.by for start in lines.starts.values()} == {StartBy.OPERATOR}
    assert str(operator.carry_out("\n")) == "no slot is free"
    assert str(operator.carry_out("1\n")) == "slot 1 is at work"


def test_a_slot_and_then_a_label(lines):
    operator = lines.by(StartBy.SCAN)
    assert str(operator.carry_out("left\n")) == "slot left: now scan its board"
    assert str(operator.carry_out(f"{ID.upper()} SECRET\n")) == "slot left begins"
    lines.threads[1].join()
    assert (lines.starts["left"].by, lines.starts["left"].expected) == (StartBy.SCAN, ID)
    assert str(operator.carry_out(f"{ID}\n")) == f"put {ID} in"


def test_two_people_name_slots_and_scan_in_between_each_other(lines):
    operator = lines.by(StartBy.SCAN)
    other = "e00fce68" + "2" * 16
    assert str(operator.carry_out("1", "anna")) == "slot 1: now scan its board"
    assert str(operator.carry_out("left", "ben")) == "slot left: now scan its board"
    assert str(operator.carry_out(ID, "anna")) == "slot 1 begins"
    assert str(operator.carry_out(other, "ben")) == "slot left begins"
    for thread in lines.threads:
        thread.join()
    assert {name: start.expected for name, start in lines.starts.items()} == {"1": ID, "left": other}


def test_what_is_neither_is_not_repeated(lines):
    answer = str(lines.by(StartBy.OPERATOR).carry_out("P046AC SECRETSECRET1234\n"))
    assert "SECRET" not in answer
    assert answer.startswith("that is no slot")


def test_end_and_unlock(lines):
    operator = lines.by(StartBy.OPERATOR)
    assert str(operator.carry_out("unlock left\n")) == "slot left is back in use"
    assert str(operator.carry_out("unlock 7\n")) == "there is no slot 7"
    answers = []
    OperatorLines(lines.arrivals, ["1"], StartBy.OPERATOR, None).listen(io.StringIO("end\n"), answers.append)
    for thread in lines.threads:
        thread.join()
    # That it is back in use may reach who waits there before the end does; it is no start.
    assert lines.starts["1"] is None
    assert lines.starts["left"] in (None, Start(None))


def test_a_slot_whose_name_has_spaces_is_unlocked_and_by_an_engineer(tmp_path):
    health = HealthFile(tmp_path, "line")
    health.change("left 2", lambda h: dataclasses.replace(h, lock=Lock("engineer", "bent pin", "2026-05-04T08:00:00Z")))
    operator = OperatorLines(None, ["1", "left 2"], StartBy.OPERATOR, health)
    assert str(operator.carry_out(" unlock left 2\n")) == "slot left 2 is back in use"
    assert health.read()["left 2"].lock is None
    assert is_engineers(" unlock left 2\n")
    assert not is_engineers("unlock")


@pytest.mark.parametrize("stdin", [None, ""])
@pytest.mark.parametrize(("by", "told"), [(StartBy.OPERATOR, True), (StartBy.SCAN, True), (StartBy.INSERTION, False)])
def test_a_shift_that_nobody_can_begin_says_so(lines, monkeypatch, capsys, stdin, by, told):
    monkeypatch.setattr("sys.stdin", None if stdin is None else io.StringIO(stdin))
    station_run._listen(lines.by(by), None, by)
    for thread in threading.enumerate():
        if thread.name == "operator":
            thread.join()
    assert ("nobody can begin a unit" in capsys.readouterr().err) == told
    page = SimpleNamespace(listen=lambda _lines: None)
    station_run._listen(lines.by(by), page, by)
    for thread in threading.enumerate():
        if thread.name == "operator":
            thread.join()
    assert capsys.readouterr().err == ""


class Labels:
    """Slots that wait for the scan of a label, each in a thread."""

    def __init__(self, *slots):
        self.scans, self.read, self.stop = LabelScans(), {}, False
        self.asked = threading.Semaphore(0)
        self.told = []
        self.threads = [threading.Thread(target=self._wait, args=(slot,)) for slot in slots]
        for thread, slot in zip(self.threads, slots, strict=True):
            thread.start()
            while slot not in self.scans._queue:
                thread.join(0.01)
        self.asked.acquire()

    def _wait(self, slot):
        def check():
            if self.stop:
                raise StationStoppedError("stopped", hint="again")

        def ask():
            self.told.append(("asked", slot))
            self.asked.release()

        with contextlib.suppress(StationStoppedError):
            self.read[slot] = self.scans.wait(slot, 60, ask, check).reveal()
            self.told.append(("read", slot))

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.stop = True
        for thread in self.threads:
            thread.join()


def test_a_scan_is_of_the_slot_that_is_asked_for():
    with Labels("1", "2") as labels:
        operator = OperatorLines(None, ["1", "2", "3"], StartBy.INSERTION, None, labels.scans)
        while labels.scans.asking != "1" or len(labels.scans._queue) < 2:
            labels.threads[1].join(0.01)
        labels.threads[1].join(0.5)
        assert labels.told == [("asked", "1")], "one at a time"
        assert str(operator.carry_out("secret of one\n")) == "the label of slot 1 was read"
        labels.asked.acquire()
        assert str(operator.carry_out("slot 3")).startswith("no label is asked for now")
        assert labels.told[:1] == [("asked", "1")]
        assert ("asked", "2") in labels.told, "not before the first one was read"
        assert str(operator.carry_out("of two\n")) == "the label of slot 2 was read"
        for thread in labels.threads:
            thread.join()
    assert labels.read == {"1": "secret of one\n", "2": "of two\n"}
    assert str(operator.carry_out("of two")).startswith("no label is asked for now")


def test_a_slot_that_is_named_is_asked_first():
    with Labels("1", "2") as labels:
        operator = OperatorLines(None, ["1", "2"], StartBy.INSERTION, None, labels.scans)
        assert str(operator.carry_out("slot: 2")) == "slot 2: now scan its label"
        assert labels.scans.asking == "2"
        operator.carry_out("two")
        labels.threads[1].join()
    assert labels.read == {"2": "two"}


def test_a_label_of_a_named_slot_begins_there_also_while_another_is_asked_for_its_label(lines):
    with Labels("left") as labels:
        operator = OperatorLines(lines.arrivals, ["1", "left"], StartBy.SCAN, None, labels.scans)
        assert str(operator.carry_out("1")) == "slot 1: now scan its board"
        assert str(operator.carry_out(ID)) == "slot 1 begins"
        assert str(operator.carry_out(ID)) == "the label of slot left was read"


def test_a_run_of_one_round_needs_no_starts():
    operator = OperatorLines(None, ["1"], StartBy.INSERTION, None)
    assert str(operator.carry_out("\n")).startswith("this run takes the boards")
    assert "once" in str(operator.carry_out("end"))


# ---- the board of slots ----------------------------------------------------------------------------------------


def test_of_many_slots_those_at_rest_are_left_out_on_a_low_terminal(run_script, monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.setenv("LINES", "15")
    script = run_script(tuple(str(n) for n in range(1, 33)))
    script.unit("30", "u30")
    script.begin("30", "u30", "flash")
    stream = io.StringIO()
    board = SlotBoard(stream, RunStates(script.build()))
    board._console.print(board.draw())
    text = stream.getvalue()
    assert "slot 30" in text
    assert "and 22 more slots at rest" in text
    assert len(text.splitlines()) <= 15
    assert all(len(line) <= 80 for line in text.splitlines())


def test_symbol_and_word_stand_beside_colour(run_script):
    script = run_script(("1", "2", "3"))
    script.good_unit("1", "u1")
    script.emit(EventType.SLOT_WAITING, "2", data={"for": "unlock", "reason": "bent pin"})
    script.emit(EventType.SLOT_EMPTY, "3", data={"reason": "no board"})
    stream = io.StringIO()
    board = SlotBoard(stream, RunStates(script.build()))
    board._console.print(board.draw())
    lines = stream.getvalue().splitlines()
    assert ["+ pass" in lines[0], "# locked" in lines[1], "! empty" in lines[2]] == [True] * 3
