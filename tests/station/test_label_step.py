"""Labels that are scanned back before a unit passes, on virtual boards; the operator is the test.

The boards are our own models, so this proves our side.
"""

import errno
import hashlib
import json
import os
import stat
from dataclasses import replace
from types import SimpleNamespace

import pytest

from particle_dev.errors import ConfigError, JournalError, PlanRefusedError
from particle_dev.protocol.identifiers import Identifier, IdentifierKind
from particle_dev.protocol.secret import Secret
from particle_dev.station import label_step
from particle_dev.station.bench import open_bench
from particle_dev.station.engine import Station
from particle_dev.station.events import EventType
from particle_dev.station.journal import JOURNAL_NAME
from particle_dev.station.label_choice import LabelChoice, LabelHolds
from particle_dev.station.label_scans import LabelScans
from particle_dev.station.labels import LabelContent
from particle_dev.station.recipe import load_recipe
from particle_dev.station.records import DATABASE_NAME, RecordDatabase

pytestmark = pytest.mark.firmware
BACK = LabelChoice(scan_back=True)
OTHER = "e00fce68" + "9" * 16


class Line:
    """Stations on one bench and folder. ``operator`` is called with (scans, slot, unit) for each label asked for."""

    def __init__(self, recipe, store, folder, slots):
        self.recipe, self.store, self.folder, self.slots = recipe, store, folder, slots
        self.asked = []
        self.events = []

    def run(self, operator, label=BACK, now_s=None):
        self.asked, self.events = [], []
        scans = LabelScans(now_s) if now_s else LabelScans()

        def show(event):
            self.events.append(event)
            if event.type == EventType.OPERATOR_MESSAGE and "scan" in event.data["message"]:
                self.asked.append(event.data["message"])
                operator(scans, event.slot, event.unit)

        def factory(platform):
            release = self.store.device_os_set(platform, "2.1.0")
            return [self.store.read(m.sha256) for m in release.factory_modules]

        bench = open_bench(
            "virtual",
            options={"clock": "virtual"},
            slots=self.slots,
            state_dir=self.folder / "boards",
            factory_modules=factory,
        )
        try:
            recipe = replace(self.recipe, label=label)
            return Station(recipe, bench, self.store, self.folder, show, scans=scans).run()
        finally:
            bench.close()


@pytest.fixture
def line(ship_recipe, release_store, tmp_path):
    def make(count=1, **slot):
        slots = [{"name": str(n), "platform": "boron", **slot} for n in range(1, count + 1)]
        return Line(ship_recipe, release_store, tmp_path / "run", slots)

    return make


def right(scans, _slot, unit):
    assert scans.offer(f" {unit}\r\n")


def label_evidence(unit):
    return next(step.evidence for step in unit.steps if step.name == "label")


def test_a_unit_passes_when_its_label_was_scanned(line):
    line = line()
    record = line.run(right)
    (unit,) = record.units
    assert record.verdict == "pass"
    assert label_evidence(unit)["scanned_back"] is True
    assert label_evidence(unit)["label"] == {"holds": "device_id", "symbol": "datamatrix", "says": unit.device_id}
    assert len(line.asked) == 1
    assert (line.folder / f"attachments/{unit.device_id}/label.zpl").read_text().startswith("^XA")


def test_label_and_logs_are_in_the_records_with_size_and_hash(line):
    line = line()
    (unit,) = line.run(right).units
    database = RecordDatabase(line.folder / DATABASE_NAME)
    run_id = line.events[0].run_id
    rows = {r["name"]: r for r in database.run_rows(run_id)["attachments"] if r["unit"] == unit.device_id}
    assert set(rows) == {"label.svg", "label.zpl", "attempt-1-flash.log", "attempt-1-verify.log"}
    log = (line.folder / f"attachments/{unit.device_id}/attempt-1-flash.log").read_bytes()
    assert database.attachment(run_id, unit.device_id, "attempt-1-flash.log").data == log
    row = rows["attempt-1-flash.log"]
    assert (row["size_bytes"], row["sha256"]) == (len(log), hashlib.sha256(log).hexdigest())
    assert b"written of boron-system-part1@2.1.0.bin: 65536 bytes" in log
    assert log.endswith(b"done\n")
    assert not database.verify(None, {}).problems
    database.close()


def test_the_label_of_another_unit_fails_it_and_both_are_named(line):
    def wrong(scans, _slot, _unit):
        scans.offer(OTHER)

    (unit,) = line().run(wrong).units
    assert str(unit.verdict) == "fail"
    assert unit.error["type"] == "LabelMismatchError"
    assert unit.error["fields"] == {"expected": unit.device_id, "actual": OTHER}
    assert unit.device_id in unit.error["message"]
    assert OTHER in unit.error["message"]


def test_what_is_no_label_of_a_device_is_asked_for_again(line):
    said = iter(["4006381333931", "", "unlok 1"])

    def operator(scans, _slot, unit):
        scans.offer(next(said, unit))

    line = line()
    record = line.run(operator)
    assert record.verdict == "pass"
    assert len(line.asked) == 4
    assert "another code" in line.asked[1]


def test_nobody_scans(line):
    seconds = iter(range(0, 10_000, 100))
    record = line().run(lambda *_: None, now_s=lambda: next(seconds))
    (unit,) = record.units
    assert (str(unit.verdict), unit.error["type"]) == ("fail", "StepTimeoutError")
    assert "label of slot 1" in unit.error["message"]
    assert label_evidence(unit)["scanned_back"] is False


def test_one_slot_is_asked_at_a_time_so_swapped_labels_are_found(line):
    line = line(2)
    asked = []

    def swapped(scans, slot, _unit):
        """Both boards have the other's label on; the operator scans the board of the slot that is asked for."""
        asked.append((scans.asking, slot))
        ids = {e.slot: e.unit for e in line.events if e.unit}
        scans.offer(ids["1" if slot == "2" else "2"])

    # Scans wait until both boards are known.
    record = line.run(swapped)
    assert {str(u.verdict) for u in record.units} == {"fail"}
    assert {u.error["type"] for u in record.units} == {"LabelMismatchError"}
    assert all(asking == slot for asking, slot in asked)


def cut(folder, until):
    """The journal as a kill right after the first event like that leaves it."""
    path = folder / JOURNAL_NAME
    lines = path.read_bytes().splitlines(keepends=True)
    events = [json.loads(text) for text in lines]
    end = next(n for n, e in enumerate(events, 1) if (e["type"], e["step"]) == until)
    path.write_bytes(b"".join(lines[:end]))


def test_a_station_that_was_killed_while_it_waited_asks_again(line):
    line = line()
    whole = line.run(right)
    cut(line.folder, ("step_started", "label"))
    again = line.run(right)
    assert len(line.asked) == 1
    assert again.verdict == "pass", again.units[0].error
    assert [u.comparable() for u in again.units] == [u.comparable() for u in whole.units]


def test_a_scan_of_before_the_kill_stands(line):
    line = line()
    whole = line.run(right)
    cut(line.folder, ("step_finished", "label"))
    again = line.run(right)
    assert line.asked == []
    assert again.verdict == "pass", again.units[0].error
    assert [u.comparable() for u in again.units] == [u.comparable() for u in whole.units]
    assert (line.folder / f"attachments/{again.units[0].device_id}/attempt-2-verify.log").exists()


def test_a_mismatch_of_before_the_kill_does_not_stand_for_a_scan(line):
    line = line()
    line.run(lambda scans, *_: scans.offer(OTHER))
    cut(line.folder, ("step_finished", "label"))
    record = line.run(right)
    assert len(line.asked) == 1
    assert record.verdict == "pass"


def test_a_disk_that_is_full_when_the_label_is_made_stops_the_station(line, monkeypatch):
    def full(*_, **__):
        raise OSError(errno.ENOSPC, "No space left on device")

    line = line()
    with monkeypatch.context() as patch:
        patch.setattr("particle_dev.station.attaching.write_whole", full)
        with pytest.raises(JournalError, match="No space left"):
            line.run(right)
    record = line.run(right)
    assert record.verdict == "pass"
    assert len(record.units) == 1


def test_a_serial_number_that_nobody_knows_refuses_before_anything_is_erased(line):
    label = LabelChoice(LabelHolds.SERIAL_NUMBER, scan_back=True)
    record = line(arrives_in="dfu").run(right, label)
    (unit,) = record.units
    assert str(unit.verdict) == "refused", unit.error
    assert "serial number" in unit.error["message"]


def test_a_label_with_the_serial_number(line):
    line = line()

    def operator(scans, _slot, _unit):
        number = next(e.data["evidence"]["serial_number"] for e in line.events if e.step == "identify" and e.data)
        scans.offer(number)

    record = line.run(operator, LabelChoice(LabelHolds.SERIAL_NUMBER, scan_back=True))
    assert record.verdict == "pass", record.units[0].error


def test_a_label_with_a_secret_lies_in_no_record_and_is_its_owners_alone(tmp_path, ship_recipe):
    secret = "sEcReT-15-chars"
    record = SimpleNamespace(serial_number="P046ABCDEF12345", mobile_secret=Secret(secret))
    said = []

    def scanned(_slot, _limit_s, asked, _check, again):
        asked()
        return Secret("P046ABCDEF12345 sEcReT-15-charX")

    run = SimpleNamespace(
        context=SimpleNamespace(
            recipe=replace(ship_recipe, label=LabelChoice(LabelHolds.SERIAL_NUMBER_AND_SECRET, scan_back=True)),
            folder=tmp_path,
            prior={},
            scans=SimpleNamespace(wait=scanned),
        ),
        guard=SimpleNamespace(asks_cloud=True, record=lambda: record),
        device_id=OTHER,
        serial_number=None,
        slot=SimpleNamespace(name="1"),
        limits=ship_recipe.limits,
        say=lambda *words: said.append(words[0]),
        check_stopped=lambda: None,
    )
    evidence = {}
    with pytest.raises(Exception, match="its mobile secret differs") as caught:
        label_step.label(run, evidence)
    assert not (tmp_path / "attachments").exists()
    for path in (tmp_path / "labels").iterdir():
        assert secret not in path.read_text()
        assert os.name != "posix" or stat.S_IMODE(path.stat().st_mode) == 0o600
    for text in (str(caught.value), repr(vars(caught.value)), json.dumps(evidence), *said):
        assert "sEcReT" not in text
    record.mobile_secret = None
    with pytest.raises(PlanRefusedError, match="no mobile secret"):
        label_step.label(run, {})


def test_a_scan_that_nobody_asked_for_is_not_kept():
    scans = LabelScans()
    assert scans.offer("text") is None
    assert scans.asking is None
    assert not scans.turn_to("1")


RECIPE = """[recipe]
name = "x"
finish = "dfu"
[firmware.boron]
device_os = "2.1.0"
app = "tinker.bin"
[label]
"""


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ('hold = "x"', ["unknown key 'hold'", "did you mean 'holds'?"]),
        ('holds = "serial"', ["'serial' is not known", "did you mean 'serial_number'?"]),
        ('holds = "serial_number_and_mobile_secret"', ["record in the cloud", "add [cloud]"]),
        ('scan_back = "yes"', ["'yes'", "true or false"]),
        ('symbol = "aztec"', ["'aztec' is not known"]),
        ("module_mm = 0.01", ["label.module_mm is 0.01"]),
        ("dpi = 203.5", ["label.dpi is 203.5"]),
        ('lines = ["a\\nb"]', ["one line each"]),
    ],
)
def test_mistakes_in_a_recipe_have_their_line(tmp_path, line, words):
    path = tmp_path / "recipe.toml"
    path.write_text(RECIPE + line + "\n")
    with pytest.raises(ConfigError) as caught:
        load_recipe(path)
    assert caught.value.line == 8
    for word in words:
        assert word in str(caught.value)


def test_a_recipe_with_labels(tmp_path):
    path = tmp_path / "recipe.toml"
    path.write_text(RECIPE + 'symbol = "qr"\nscan_back = true\nlines = ["Model X"]\n[limits]\nlabel_s = 30\n')
    recipe = load_recipe(path)
    assert (recipe.label.scan_back, recipe.label.layout.symbology, recipe.label.lines) == (True, "qr", ("Model X",))
    assert recipe.limits.label_s == 30.0
    assert LabelContent(Identifier(IdentifierKind.DEVICE_ID, OTHER)).coded().reveal() == OTHER
