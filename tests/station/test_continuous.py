"""A station that goes on: boards come and go in its slots, by insertion, by an operator's word, by a scanned label.

The boards are our own models, so this proves our side. Each test ends its run itself, by a number of units or by hand.
"""

import errno
import os
import signal
import threading
from dataclasses import replace
from datetime import timedelta
from types import SimpleNamespace

import pytest
import usb.core
from particle_harness.clock import VirtualClock
from particle_harness.usb.pyusb_backend import VirtualBackend

from particle_dev.errors import BenchError, JournalError, TransportError
from particle_dev.station import arrivals as arrivals_module
from particle_dev.station import usb_steps
from particle_dev.station.arrivals import Arrivals, StartBy
from particle_dev.station.bench import open_bench
from particle_dev.station.engine import Station
from particle_dev.station.events import EventType
from particle_dev.station.fold import fold
from particle_dev.station.instructions import instruction, run_instruction
from particle_dev.station.journal import JOURNAL_NAME, read_journal
from particle_dev.station.label_choice import LabelChoice
from particle_dev.station.label_scans import LabelScans
from particle_dev.station.policy import RetryPolicy, SlotRules
from particle_dev.station.run_record import EmptySlot
from particle_dev.station.slot_health import HealthFile, Lock, unlocked
from particle_dev.station.slot_states import RunStates
from particle_dev.station.stopping import StopAtOnce
from particle_dev.station.wording import outcome_text

pytestmark = pytest.mark.firmware


class Shift:
    """A continuous run in a thread of its own; the test is the operator."""

    def __init__(
        self, recipe, store, folder, slots, power_control=False, start_by=StartBy.INSERTION, options=None, **station
    ):
        self.recipe, self.store, self.folder, self.station = recipe, store, folder, station
        self.events, self.changed = [], threading.Condition()
        self.start_by = start_by
        self.slots = slots
        self.options = options or {"clock": "virtual", "power_control": power_control}
        self.record = self.error = None
        self.open()

    def open(self):
        self.bench = open_bench(
            "virtual",
            options=self.options,
            slots=self.slots,
            state_dir=None,
            factory_modules=self.factory_modules,
        )
        self.driver = self.bench.driver
        self.arrivals = Arrivals(self.bench.host, self.bench.slots, self.start_by)

    def factory_modules(self, platform):
        release = self.store.device_os_set(platform, "2.1.0")
        return [self.store.read(m.sha256) for m in release.factory_modules]

    def put_in(self, slot, board):
        """Plug it in, and let one that was there before boot: nobody else moves the clock of a slot that waits."""
        self.driver.put_in(slot, board)
        if not isinstance(board, dict):
            self.driver.slot(slot).clock.sleep(5)

    def show(self, event):
        with self.changed:
            self.events.append(event)
            self.changed.notify_all()

    def _run(self):
        try:
            self.record = Station(
                self.recipe, self.bench, self.store, self.folder, self.show, arrivals=self.arrivals, **self.station
            ).run()
        except BaseException as error:
            self.error = error
            with self.changed:
                self.changed.notify_all()
            raise

    def __enter__(self):
        self.thread = threading.Thread(target=self._run)
        self.thread.start()
        return self

    def __exit__(self, *_):
        self.arrivals.end()
        self.thread.join()
        self.bench.close()

    def wait_for(self, kind, slot=None, count=1, **data):
        """Until such an event has come so many times."""

        def found():
            return [
                e
                for e in self.events
                if e.type == kind
                and (slot is None or e.slot == slot)
                and all(text in str(e.data.get(key)) for key, text in data.items())
            ]

        with self.changed:
            assert self.changed.wait_for(lambda: len(found()) >= count or self.error, 60), (kind, slot, data)
            assert self.error is None or len(found()) >= count
            return found()[count - 1]

    def has(self, kind, slot=None):
        with self.changed:
            return [e for e in self.events if e.type == kind and (slot is None or e.slot == slot)]


@pytest.fixture
def shift(ship_recipe, release_store, tmp_path):
    def make(*slots, recipe=ship_recipe, folder="run", **options):
        slots = [{"name": str(n), **slot} for n, slot in enumerate(slots, 1)]
        return Shift(recipe, release_store, tmp_path / folder, slots, **options)

    return make


def device_id(number):
    return f"e00fce68{number:016x}"


BORON = {"platform": "boron"}


def test_one_board_after_the_other_by_insertion(shift):
    with shift(BORON, {"platform": "photon"}) as line:
        for number in range(1, 4):
            line.wait_for(EventType.UNIT_FINISHED, "1", number)
            line.wait_for(EventType.SLOT_WAITING, "1", number, **{"for": "removal"})
            if number < 3:
                line.put_in("1", BORON | {"device_id": device_id(number)})
        line.wait_for(EventType.UNIT_FINISHED, "2")
        line.arrivals.end()
        line.thread.join()
    assert line.record.verdict == "pass"
    assert [u.slot for u in line.record.units] == ["1", "1", "1", "2"]
    assert {device_id(1), device_id(2)} <= {u.device_id for u in line.record.units}
    assert all(len(u.attempts) == 1 for u in line.record.units)


def test_a_unit_that_stays_in_its_slot_is_not_done_twice(shift):
    with shift(BORON, BORON, most_units=3) as line:
        line.wait_for(EventType.UNIT_FINISHED, "1")
        line.wait_for(EventType.UNIT_FINISHED, "2")
        line.put_in("2", BORON | {"device_id": device_id(7)})
        line.thread.join(60)
    assert len(line.has(EventType.UNIT_STARTED, "1")) == 1
    assert len(line.record.units) == 3


def test_a_unit_that_passed_and_is_plugged_in_again_is_looked_at_again(shift):
    """It boots its application, so it may go online: the station stops that, and its verdict is of that time, too."""
    with shift(BORON) as line:
        line.wait_for(EventType.SLOT_WAITING, "1", 2)
        board = line.driver.take_out("1")
        line.put_in("1", board)
        line.wait_for(EventType.UNIT_FINISHED, "1", 2)
    (unit,) = line.record.units
    assert (len(unit.attempts), str(unit.verdict), str(unit.billing.verdict)) == (2, "pass", "not_started")
    assert board.truth.cloud_attempts == 0


def test_where_power_is_switched_the_operator_starts_each_board(shift):
    with shift(BORON, power_control=True, start_by=StartBy.OPERATOR) as line:
        for number in (1, 2):
            line.wait_for(EventType.SLOT_WAITING, "1", number, **{"for": "board"})
            assert len(line.has(EventType.UNIT_STARTED)) == number - 1
            while not line.arrivals.start("1"):
                line.thread.join(0.01)
            line.wait_for(EventType.UNIT_FINISHED, "1", number)
            line.put_in("1", BORON | {"device_id": device_id(number)})
        line.arrivals.end()
        line.thread.join(60)
    assert line.record.verdict == "pass"
    assert len(line.record.units) == 2
    assert not line.arrivals.start("nowhere")


def test_a_label_starts_the_slot_where_its_board_is(shift):
    with shift(BORON | {"device_id": device_id(1)}, start_by=StartBy.SCAN, most_units=2) as line:
        line.wait_for(EventType.SLOT_WAITING, "1")
        assert line.arrivals.scan("neither") is None
        assert line.arrivals.scan(f"SN P046AC2000000 ID {device_id(1).upper()} secret") == device_id(1)
        line.wait_for(EventType.UNIT_FINISHED, "1")
        line.put_in("1", BORON | {"device_id": device_id(2)})
        while not line.arrivals.idle():
            line.thread.join(0.01)
        assert line.arrivals.scan("slot 1") == "1"
        assert line.arrivals.scan(device_id(2)) in ("1", device_id(2)), "at once, or once the first one is gone"
        line.thread.join(60)
    assert [u.device_id for u in line.record.units] == [device_id(1), device_id(2)]
    assert line.record.verdict == "pass"


@pytest.mark.parametrize("said", ["slot1", " slot1\n", "slot slot1", "slot: slot1"])
def test_a_slot_may_be_named_slot1(said):
    slots = [SimpleNamespace(name=name, port_path=f"1-{name}") for name in ("slot1", "2")]
    arrivals = Arrivals(None, slots, StartBy.SCAN, wake_up=SimpleNamespace())
    assert arrivals.scan(said) == "slot1"
    assert arrivals.scan("slot2") == "2"


def test_the_wrong_board_in_the_slot_of_a_label_is_not_touched(shift):
    with shift(BORON | {"device_id": device_id(1)}, start_by=StartBy.SCAN, most_units=1) as line:
        line.wait_for(EventType.SLOT_WAITING, "1")
        line.arrivals.scan("1")
        line.arrivals.scan(device_id(9))
        line.thread.join(60)
        board = line.driver.board("1")
    (unit,) = line.record.units
    assert unit.error["type"] == "WrongDeviceError"
    assert board.truth.erases == 0


def test_a_continuous_run_is_not_resumed_as_a_round(shift, ship_recipe, release_store):
    with shift(BORON) as line:
        line.wait_for(EventType.UNIT_STARTED, "1")
        line.arrivals.end()
        line.thread.join(60)
        fail = Station(ship_recipe, line.bench, release_store, line.folder, lambda _: None)
        (line.folder / "cut").write_bytes((line.folder / JOURNAL_NAME).read_bytes())
        lines = (line.folder / "cut").read_bytes().splitlines(keepends=True)[:5]
        (line.folder / JOURNAL_NAME).write_bytes(b"".join(lines))
        with pytest.raises(JournalError, match="continuous"):
            fail.run()


def test_the_operator_pulls_the_wrong_board(shift):
    """Slot 1 is done and should be emptied; the board in slot 2, at work, is pulled instead, and put back later."""
    with shift(BORON, {"platform": "photon"}) as line:
        line.wait_for(EventType.STEP_PROGRESS, "2")
        pulled = line.driver.take_out("2")
        failed = line.wait_for(EventType.UNIT_FINISHED, "2")
        assert failed.data["verdict"] == "fail"
        line.wait_for(EventType.UNIT_FINISHED, "1")
        line.wait_for(EventType.SLOT_WAITING, "2", 2, **{"for": "board"})
        line.put_in("2", pulled)
        line.wait_for(EventType.UNIT_FINISHED, "2", 2)
        line.arrivals.end()
        line.thread.join(60)
    first, second = line.record.units
    assert (str(first.verdict), len(first.attempts)) == ("pass", 1)
    assert (str(second.verdict), len(second.attempts)) == ("pass", 2)
    assert str(second.billing.verdict) == "not_started"
    assert pulled.truth.cloud_attempts == 0


def test_the_next_board_is_put_in_while_the_label_of_the_last_one_is_scanned(shift, ship_recipe):
    scans = LabelScans()
    recipe = replace(ship_recipe, label=LabelChoice(scan_back=True))
    with shift(BORON, recipe=recipe, scans=scans, most_units=2) as line:
        first = line.wait_for(EventType.OPERATOR_MESSAGE, "1", message="then scan it").unit
        line.driver.take_out("1")
        line.put_in("1", BORON | {"device_id": device_id(5)})
        scans.offer(first)
        second = line.wait_for(EventType.OPERATOR_MESSAGE, "1", 2, message="then scan it").unit
        scans.offer(second)
        line.thread.join(60)
    assert (line.record.verdict, second) == ("pass", device_id(5))


def test_two_boards_that_were_swapped_at_work(shift):
    # Both slots on one clock, as in life: each board's past is told in the other's slot.
    with shift(BORON, BORON, options={"delays": "none", "power_control": False}) as line:
        line.wait_for(EventType.STEP_PROGRESS, "1")
        line.wait_for(EventType.STEP_PROGRESS, "2")
        one, two = line.driver.take_out("1"), line.driver.take_out("2")
        ids = [one.state.device_id, two.state.device_id]
        for slot in "12":
            line.wait_for(EventType.UNIT_FINISHED, slot)
            line.wait_for(EventType.SLOT_WAITING, slot, 2)
        line.put_in("1", BORON | {"device_id": ids[1]})
        line.put_in("2", BORON | {"device_id": ids[0]})
        for slot in "12":
            line.wait_for(EventType.UNIT_FINISHED, slot, 2)
        line.arrivals.end()
        line.thread.join(60)
    units = {u.device_id: u for u in line.record.units}
    assert set(units) == set(ids), "none lost, none doubled"
    assert [units[i].slot for i in ids] == ["2", "1"]
    assert {str(u.verdict) for u in units.values()} == {"pass"}, [u.error for u in units.values()]


def test_a_hub_disappears_with_eight_boards_and_comes_back(shift):
    with shift(*[BORON] * 8) as line:
        for slot in line.driver.slots:
            line.wait_for(EventType.STEP_PROGRESS, slot.name)
        pulled = {slot.name: line.driver.take_out(slot.name) for slot in line.driver.slots}
        ended = [line.wait_for(EventType.UNIT_FINISHED, name).data["verdict"] for name in pulled]
        for name in pulled:
            line.wait_for(EventType.SLOT_WAITING, name, 2)
        for name, board in pulled.items():
            line.put_in(name, board)
        for name, verdict in zip(pulled, ended, strict=True):
            line.wait_for(EventType.UNIT_FINISHED, name, 1 if verdict == "pass" else 2)
        line.arrivals.end()
        line.thread.join(60)
    assert line.record.verdict == "pass"
    assert len(line.record.units) == 8
    assert "fail" in ended
    assert {str(u.billing.verdict) for u in line.record.units} == {"not_started"}
    events, torn = read_journal(line.folder / JOURNAL_NAME)
    assert not torn
    assert fold(events) == line.record


# ---- second goes, locks, golden units --------------------------------------------------------------------------


def broken_at(*numbers):
    return BORON | {"faults": [{"do": "stall", "at": "dfu_transfer", "n": n} for n in numbers]}


def test_a_unit_that_failed_by_its_cable_gets_the_goes_of_the_recipe(shift, ship_recipe):
    recipe = replace(ship_recipe, retries=RetryPolicy(attempts=2))
    with shift(broken_at(300), broken_at(300, 700, 900), recipe=recipe, most_units=2) as line:
        line.thread.join(60)
    good, bad = line.record.units
    assert (str(good.verdict), len(good.attempts)) == ("pass", 2)
    assert (str(bad.verdict), len(bad.attempts)) == ("fail", 2), "two goes, no more"
    retried = line.has(EventType.UNIT_RETRIED)
    assert [(e.data["attempt"], e.data["attempts"]) for e in retried] == [(2, 2), (2, 2)]
    assert all(e.data["error"]["hint"] for e in retried)


def test_without_a_policy_there_is_one_go(shift):
    with shift(broken_at(300), most_units=1) as line:
        line.thread.join(60)
    assert (str(line.record.units[0].verdict), len(line.record.units[0].attempts)) == ("fail", 1)


def test_a_refused_unit_is_not_tried_again(shift, ship_recipe):
    recipe = replace(ship_recipe, retries=RetryPolicy(3, 1.0, ("ParticleDevError",)))
    with shift(BORON | {"bootloader": "old"}, recipe=recipe, most_units=1) as line:
        line.thread.join(60)
    assert (str(line.record.units[0].verdict), len(line.record.units[0].attempts)) == ("refused", 1)


def test_a_slot_that_does_no_good_is_locked_until_a_golden_unit_passes(shift, ship_recipe, tmp_path):
    gold = device_id(99)
    recipe = replace(ship_recipe, slot_rules=SlotRules(lock_after_failures=2))
    health = HealthFile(tmp_path / "site", "virtual")
    with shift(broken_at(300), recipe=recipe, health=health, golden=frozenset([gold])) as line:
        line.wait_for(EventType.SLOT_WAITING, "1", 2)
        line.put_in("1", broken_at(300) | {"device_id": device_id(2)})
        line.wait_for(EventType.SLOT_WAITING, "1", 1, **{"for": "unlock"})
        line.put_in("1", BORON | {"device_id": device_id(3)})
        line.wait_for(EventType.OPERATOR_MESSAGE, "1", message="put a golden unit in")
        line.put_in("1", BORON | {"device_id": gold})
        line.wait_for(EventType.OPERATOR_MESSAGE, "1", message="back in use")
        line.wait_for(EventType.SLOT_WAITING, "1", 1, **{"for": "removal"})
        line.put_in("1", BORON | {"device_id": device_id(3)})
        line.wait_for(EventType.UNIT_FINISHED, "1", 4)
        line.arrivals.end()
        line.thread.join(60)
    assert {u.device_id: str(u.verdict) for u in line.record.units}[device_id(3)] == "pass"
    assert len(line.record.units) == 4
    after = health.read()["1"]
    assert (after.lock, after.insertions, len(after.outcomes)) == (None, 4, 1)
    assert after.outcomes[0].bytes_per_s > 0


def test_the_unit_that_locked_a_slot_has_to_leave_it_before_it_is_used_again(shift, ship_recipe, tmp_path):
    recipe = replace(ship_recipe, slot_rules=SlotRules(lock_after_failures=1))
    health = HealthFile(tmp_path / "site", "virtual")
    with shift(BORON | {"bootloader": "old"}, recipe=recipe, health=health, most_units=2) as line:
        line.wait_for(EventType.SLOT_WAITING, "1", **{"for": "unlock"})
        assert instruction(RunStates(line.events).slots["1"]).id == "unplug", "or it goes online"
        health.change("1", unlocked)
        line.arrivals.tell_news("1")
        line.wait_for(EventType.SLOT_WAITING, "1", **{"for": "removal"})
        assert instruction(RunStates(line.events).slots["1"]).id == "unplug"
        line.put_in("1", BORON | {"device_id": device_id(2)})
        line.thread.join(60)
    assert [str(unit.verdict) for unit in line.record.units] == ["refused", "pass"]


@pytest.mark.parametrize("pause_s", [0, 1.5])
def test_a_good_board_in_a_locked_slot_does_not_go_to_the_reject_tray(shift, ship_recipe, tmp_path, pause_s):
    """Nothing was done to it, also where it came so soon that nobody saw the slot empty."""
    recipe = replace(ship_recipe, slot_rules=SlotRules(lock_after_failures=1))
    health = HealthFile(tmp_path / "site", "virtual")
    with shift(BORON | {"bootloader": "old"}, recipe=recipe, health=health, most_units=2) as line:
        line.wait_for(EventType.SLOT_WAITING, "1", **{"for": "unlock", "removal": "True"})
        line.driver.take_out("1")
        line.thread.join(pause_s)
        line.put_in("1", BORON | {"device_id": device_id(2)})
        line.wait_for(EventType.SLOT_WAITING, "1", **{"for": "unlock", "board": device_id(2)})
        assert instruction(RunStates(line.events).slots["1"]).id == "locked"
        health.change("1", unlocked)
        line.arrivals.tell_news("1")
        line.wait_for(EventType.SLOT_WAITING, "1", **{"for": "removal", "board": device_id(2)})
        assert instruction(RunStates(line.events).slots["1"]).id == "insert_again"
        board = line.driver.take_out("1")
        line.wait_for(EventType.SLOT_WAITING, "1", 2, **{"for": "board"})
        line.put_in("1", board)
        line.thread.join(60)
    assert [str(unit.verdict) for unit in line.record.units] == ["refused", "pass"]


def test_a_locked_slot_is_left_out_of_a_round_which_is_no_pass(shift, ship_recipe, tmp_path):
    health = HealthFile(tmp_path / "site", "virtual")
    health.change("2", lambda h: replace(h, lock=Lock("engineer", "bent pin", "2026-05-04T08:00:00.000Z")))
    line = shift(BORON, BORON)
    record = Station(ship_recipe, line.bench, line.store, line.folder, line.show, health=health).run()
    assert record.empty_slots == (EmptySlot("2", "the slot is locked: bent pin", "engineer"),)
    assert outcome_text(record) == "1 of 1 units passed, 1 of 2 slots locked"
    assert record.verdict == "incomplete"
    assert line.driver.board("2").truth.erases == 0
    line.bench.close()


def test_a_unit_whose_run_died_before_it_was_counted_counts_once(shift, ship_recipe, tmp_path):
    health = HealthFile(tmp_path / "site", "virtual")
    line = shift(broken_at(300))
    Station(ship_recipe, line.bench, line.store, line.folder, line.show, health=health).run()
    path = line.folder / JOURNAL_NAME
    lines = path.read_bytes().splitlines(keepends=True)
    end = next(n for n, text in enumerate(lines) if b'"slot_health"' in text)
    path.write_bytes(b"".join(lines[:end]))
    health.change("1", lambda h: replace(h, insertions=0, outcomes=(), counted=("", 0)))
    for _ in range(2):
        Station(ship_recipe, line.bench, line.store, line.folder, line.show, health=health).run()
        assert [o.verdict for o in health.read()["1"].outcomes] == ["fail", "pass"]
        path.write_bytes(path.read_bytes().rpartition(b'{"at"')[0])
    line.bench.close()


def test_33_slots_are_too_many(shift, ship_recipe):
    line = shift(*[{"platform": "photon", "connected": False}] * 33)
    with pytest.raises(BenchError, match="33 slots, a station at most 32"):
        Station(ship_recipe, line.bench, line.store, line.folder, line.show).run()
    line.bench.close()


# ---- Ctrl-C, other stations, the clock -------------------------------------------------------------------------


def run_here(line, **station):
    """In this thread, to which the system sends Ctrl-C."""
    return Station(line.recipe, line.bench, line.store, line.folder, line.show, arrivals=line.arrivals, **station).run()


@pytest.fixture
def ctrl_c():
    """Presses Ctrl-C at the first event that a condition holds for, so many times. The slot goes on when this thread
    has felt it: on a busy machine the unit would be done before."""
    felt = threading.Semaphore(0)

    def feel(number, frame):
        felt.release()
        signal.default_int_handler(number, frame)

    before = signal.signal(signal.SIGINT, feel)

    def at(line, condition, times=1):
        show, left = line.show, [times]

        def watch(event):
            show(event)
            if left[0] and condition(event):
                left[0] -= 1
                signal.pthread_kill(threading.main_thread().ident, signal.SIGINT)
                # This thread holds the journal: the main thread may wait for that, and feel nothing before.
                felt.acquire(timeout=1)

        line.show = watch

    yield at
    signal.signal(signal.SIGINT, before)


def test_the_first_ctrl_c_lets_units_in_work_finish(shift, ctrl_c):
    line = shift(BORON, BORON | {"connected": False})
    ctrl_c(line, lambda event: event.type == EventType.STEP_PROGRESS)
    record = run_here(line)
    assert (record.verdict, len(record.units)) == ("pass", 1)
    assert any("no more units are begun" in m.message for m in record.messages)
    line.bench.close()


def test_the_second_ctrl_c_stops_them_and_the_same_run_goes_on(shift, ctrl_c):
    line = shift(BORON)
    ending = [False]

    def twice(event):
        ending[0] = ending[0] or "no more units" in str(event.data.get("message"))
        return event.type == EventType.STEP_PROGRESS and (ending[0] or not line.has(EventType.STEP_PROGRESS)[1:])

    ctrl_c(line, twice, 2)
    with pytest.raises(KeyboardInterrupt):
        run_here(line)
    events, _ = read_journal(line.folder / JOURNAL_NAME)
    assert [str(u.verdict) for u in fold(events).units] == ["interrupted"]
    line.arrivals = Arrivals(line.bench.host, line.bench.slots)
    record = run_here(line, most_units=1)
    assert (record.verdict, len(record.units), len(record.units[0].attempts)) == ("pass", 1, 2)
    line.bench.close()


def test_a_second_ctrl_c_while_the_first_is_answered_stops_them_too(shift, ctrl_c):
    line = shift(BORON)
    said = []

    def both(event):
        said.append("no more units" in str(event.data.get("message")))
        return said[-1] or event.type == EventType.STEP_PROGRESS

    ctrl_c(line, both, 2)
    with pytest.raises(KeyboardInterrupt):
        run_here(line)
    events, _ = read_journal(line.folder / JOURNAL_NAME)
    assert [str(u.verdict) for u in fold(events).units] == ["interrupted"]
    line.bench.close()


def test_a_second_station_at_the_same_ports_touches_nothing(shift, monkeypatch, tmp_path, ship_recipe, release_store):
    """On virtual ports that have leases as real ones do; the lock is the operating system's."""
    monkeypatch.setattr("particle_dev.station.lease.lease_folder", lambda: tmp_path / "leases")
    line = shift(BORON)
    line.bench = replace(line.bench, slots=tuple(replace(s, leases=("usb-1-1",)) for s in line.bench.slots))
    with line:
        line.wait_for(EventType.STEP_PROGRESS, "1")
        second = Station(ship_recipe, line.bench, release_store, tmp_path / "second", lambda _: None)
        with pytest.raises(BenchError, match="another run or command works on 1-1"):
            second.run()
        line.wait_for(EventType.UNIT_FINISHED, "1")
        line.arrivals.end()
        line.thread.join(60)
        assert line.record.verdict == "pass"
        assert not (tmp_path / "second" / JOURNAL_NAME).exists()


def test_a_clock_that_is_set_back_in_the_middle_of_a_flash(shift, monkeypatch):
    """The unit ends, and nothing is said of its billing that is not proven."""
    real, back = VirtualClock.utc_now, [timedelta(0)]
    monkeypatch.setattr(VirtualClock, "utc_now", lambda clock: real(clock) - back[0])
    with shift(BORON, BORON) as line:
        line.wait_for(EventType.STEP_PROGRESS, "1")
        back[0] = timedelta(hours=3)
        for slot in "12":
            line.wait_for(EventType.UNIT_FINISHED, slot)
        line.arrivals.end()
        line.thread.join(60)
    for unit in line.record.units:
        assert (str(unit.verdict), str(unit.billing.verdict)) in (("pass", "not_started"), ("fail", "unknown"))
        if str(unit.verdict) == "fail":
            assert unit.error["type"] == "BillingUnprovenError"
    assert fold(read_journal(line.folder / JOURNAL_NAME)[0]) == line.record


def test_the_past_of_a_go_is_without_the_go_itself(shift, monkeypatch, ship_recipe):
    """What a resumed or retried unit proves by its earlier attempts must not rest on the one that is being made."""
    seen = []
    check = usb_steps.check

    def watched(run, device, evidence):
        prior = run.context.prior.get(run.device_id)
        seen.append(len(prior.attempts) if prior else 0)
        return check(run, device, evidence)

    monkeypatch.setattr(usb_steps, "check", watched)
    recipe = replace(ship_recipe, retries=RetryPolicy(attempts=3))
    with shift(broken_at(300, 700), recipe=recipe, most_units=1) as line:
        line.thread.join(60)
    assert (line.record.verdict, seen) == ("pass", [0, 1, 2])


# ---- the station was killed, and is started again ----------------------------------------------------------------


@pytest.fixture
def killed(shift):
    """A shift of two units that passed; its journal ends before the run does, as after kill -9. Boards boot anew."""
    line = shift(BORON, BORON)
    with line:
        for slot in "12":
            line.wait_for(EventType.SLOT_WAITING, slot, 2)
    path = line.folder / JOURNAL_NAME
    path.write_bytes(b"".join(path.read_bytes().splitlines(keepends=True)[:-1]))
    assert read_journal(path)[0][-1].type != EventType.RUN_FINISHED
    line.open()
    line.events.clear()
    return line


def test_a_unit_that_passed_stays_passed_when_the_station_comes_back(killed):
    """It has booted in between, and nobody watched it: it is done all the same. The next board is not."""
    past = []
    killed.station |= {"most_units": 3, "show_past": past.extend}
    with killed as line:
        for slot in "12":
            line.wait_for(EventType.SLOT_WAITING, slot)
        line.driver.take_out("1")
        line.wait_for(EventType.SLOT_WAITING, "1", 2)
        line.put_in("1", BORON | {"device_id": device_id(7)})
        line.thread.join(60)
    assert [e.unit for e in line.has(EventType.UNIT_STARTED)] == [device_id(7)]
    assert line.record.counts() == {"pass": 3}
    assert {e.type for e in past} >= {EventType.RUN_STARTED, EventType.UNIT_FINISHED}, "views know of them, too"
    assert line.events[0].type == EventType.RUN_RESUMED


def test_the_units_of_earlier_starts_count(killed):
    killed.station |= {"most_units": 2}
    with killed as line:
        line.thread.join(60)
        assert not line.thread.is_alive(), "the run had its two units"
    assert (line.has(EventType.UNIT_STARTED), line.record.counts()) == ([], {"pass": 2})


def test_a_process_that_is_to_end_stops_units_in_work_at_once(shift):
    line = shift(BORON)
    show, told = line.show, []

    def end(event):
        show(event)
        if event.type == EventType.STEP_PROGRESS and not told:
            told.append(event)
            os.kill(os.getpid(), signal.SIGTERM)
            assert felt.acquire(timeout=60)

    felt = threading.Semaphore(0)

    def feel(_number, _frame):
        felt.release()
        raise StopAtOnce

    line.show = end
    before = signal.signal(signal.SIGTERM, feel)
    try:
        with pytest.raises(StopAtOnce):
            run_here(line)
    finally:
        signal.signal(signal.SIGTERM, before)
    events, _ = read_journal(line.folder / JOURNAL_NAME)
    assert [str(u.verdict) for u in fold(events).units] == ["interrupted"]
    line.bench.close()


def test_a_board_that_takes_the_place_of_one_at_work_is_not_charged(shift, ship_recipe):
    """The unit that was taken out fails; its second go is not made at the newcomer, which has a go of its own."""
    recipe = replace(ship_recipe, retries=RetryPolicy(attempts=2))
    line, old, new = shift(broken_at(300), recipe=recipe), [], device_id(7)
    show = line.show

    def swap(event):
        show(event)
        if event.type == EventType.UNIT_RETRIED:
            old.append(event.unit)
            line.driver.take_out("1")
            line.driver.put_in("1", BORON | {"device_id": new})

    line.show = swap
    with line:
        line.wait_for(EventType.UNIT_FINISHED, "1", 2)
    units = {u.device_id: u for u in line.record.units}
    assert {key: str(u.verdict) for key, u in units.items()} == {old[0]: "fail", new: "pass"}
    said = [e.data["message"] for e in line.has(EventType.OPERATOR_MESSAGE) if new in e.data["message"]]
    assert f"{old[0]} was taken out while it was worked on" in said[0]
    states = RunStates(line.events)
    assert (states.passed, states.not_passed) == (1, 1)


def refuse_to_open(monkeypatch, port_path):
    """As a system without udev rules. Returns a function that grants the right."""
    allowed, open_device = [], VirtualBackend.open_device

    def refuse(backend, device):
        if device.board.port_path == port_path and not allowed:
            raise usb.core.USBError("Access denied (insufficient permissions)", -3, errno.EACCES)
        return open_device(backend, device)

    monkeypatch.setattr(VirtualBackend, "open_device", refuse)
    return lambda: allowed.append(True)


def test_a_board_that_may_not_be_opened_is_told_and_begins_once_it_may(shift, monkeypatch):
    monkeypatch.setattr(arrivals_module, "BLOCKED_S", 0.3)
    grant = refuse_to_open(monkeypatch, "1-1")
    with shift(BORON, BORON, most_units=2) as line:
        message = line.wait_for(EventType.OPERATOR_MESSAGE, "1", message="access denied")
        assert (message.data["ask"], "doctor --install" in message.data["message"]) == ("probe_taken", True)
        line.wait_for(EventType.UNIT_FINISHED, "2")
        line.wait_for(EventType.SLOT_WAITING, "1", **{"for": "removal"})
        states = RunStates(line.events)
        assert instruction(states.slots["1"]).id == "probe_taken"
        grant()
        line.wait_for(EventType.UNIT_FINISHED, "1")
        line.thread.join(60)
    assert line.record.verdict == "pass"
    assert line.record.empty_slots == ()


def test_a_bus_that_cannot_be_read_is_told_and_that_it_can_again(shift, monkeypatch):
    with shift(BORON) as line:
        line.wait_for(EventType.UNIT_FINISHED, "1")
        problem = TransportError("libusb is gone", hint="plug the hub in again")
        monkeypatch.setattr(arrivals_module, "list_devices", raiser(problem))
        message = line.wait_for(EventType.OPERATOR_MESSAGE, message="libusb is gone: plug the hub in again")
        assert (message.slot, run_instruction(RunStates(line.events)).id) == (None, "no_more_boards")
        monkeypatch.undo()
        line.wait_for(EventType.OPERATOR_MESSAGE, message="boards are seen again")
        assert run_instruction(RunStates(line.events)).id == "run_goes_on"
    assert line.record.verdict == "pass"


def raiser(error):
    def fail(*_):
        raise error

    return fail


def test_the_label_of_the_next_board_spoils_no_unit(shift):
    """Neither while that is at work nor when it passed and is still in the slot; begun is the board that comes."""
    with shift(BORON | {"device_id": device_id(1)}, start_by=StartBy.SCAN, most_units=2) as line:
        line.wait_for(EventType.SLOT_WAITING, "1")
        line.arrivals.scan(device_id(1))
        line.wait_for(EventType.STEP_FINISHED, "1")
        line.arrivals.scan("1")
        assert line.arrivals.scan(device_id(2)) in ("", device_id(2)), "at work, or just done"
        line.wait_for(EventType.SLOT_WAITING, "1", 2)
        while not line.arrivals.idle():
            line.thread.join(0.01)
        line.arrivals.scan("1")
        assert line.arrivals.scan(device_id(2)) == device_id(2)
        line.thread.join(1)
        assert len(line.has(EventType.UNIT_STARTED)) == 1
        line.put_in("1", BORON | {"device_id": device_id(2)})
        line.thread.join(60)
    assert [(u.device_id, str(u.verdict)) for u in line.record.units] == [
        (device_id(1), "pass"),
        (device_id(2), "pass"),
    ]
    assert [len(u.attempts) for u in line.record.units] == [1, 1]
