"""Slots: what locks them, leases, teaching, states for views."""

import dataclasses
import subprocess
import sys
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from particle_harness.bench import open_bench as open_virtual

from particle_dev.device.discovery import list_devices
from particle_dev.errors import BenchError, ConfigError
from particle_dev.station import slot_work
from particle_dev.station.bench import open_bench
from particle_dev.station.bench_file import load_bench_file
from particle_dev.station.events import EventType
from particle_dev.station.fold import fold
from particle_dev.station.lease import Leases, serial_lease
from particle_dev.station.policy import KEPT_UNITS, RetryPolicy, SlotRules
from particle_dev.station.slot_health import (
    FIRST_SPEEDS,
    LATEST_SPEEDS,
    HealthFile,
    Lock,
    Outcome,
    SlotHealth,
    counted,
    unlocked,
)
from particle_dev.station.slot_states import RunStates, SlotMode
from particle_dev.station.teach import TaughtSlot, Teacher, bench_toml, stable_url, write_bench_file
from particle_dev.transport.base import SerialPortInfo

AT = "2026-05-04T08:00:00.000Z"


def health_after(outcomes, rules, golden=(), start=None):
    health = start or SlotHealth()
    for seq, how in enumerate(outcomes, 1):
        outcome = Outcome(AT, f"unit {seq}", "boron", how, 1, 50_000.0) if isinstance(how, str) else how
        is_golden = outcome.unit in golden
        health = counted(health, outcome, ("run", health.counted[1] + 1), rules, golden=is_golden)
    return health


# ---- health and locks ------------------------------------------------------------------------------------------


def test_failures_in_a_row_lock_a_slot_and_a_pass_in_between_does_not():
    rules = SlotRules(lock_after_failures=3)
    assert health_after(["fail", "refused", "pass", "fail", "fail"], rules).lock is None
    lock = health_after(["fail", "refused", "fail"], rules).lock
    assert (lock.code, lock.reason) == ("failures", "3 units in a row did not pass")


def test_units_that_an_operator_stopped_count_for_nothing():
    rules = SlotRules(lock_after_failures=2)
    health = health_after(["fail", "interrupted", "interrupted"], rules)
    assert (health.lock, len(health.outcomes), health.insertions) == (None, 1, 3)


def test_a_yield_that_is_too_low_locks_once_there_are_enough_units():
    rules = SlotRules(lock_below_yield=0.8, yield_units=5)
    assert health_after(["fail", "fail", "pass", "pass"], rules).lock is None
    lock = health_after(["fail", "fail", "pass", "pass", "pass"], rules).lock
    assert (lock.code, lock.reason) == ("yield", "60% of the last 5 units passed")
    assert health_after(["fail", "pass", "pass", "pass", "pass"], rules).lock is None


def test_a_slot_that_became_slower_is_locked_by_its_own_first_speed():
    rules = SlotRules(lock_at_drift=0.3)
    first = [Outcome(AT, "u", "boron", "pass", 1, 100_000.0)] * FIRST_SPEEDS
    # A Photon is slower by nature, and no sign of a bad cable.
    photons = [Outcome(AT, "u", "photon", "pass", 1, 20_000.0)] * LATEST_SPEEDS
    slower = [Outcome(AT, "u", "boron", "pass", 1, 69_000.0)] * LATEST_SPEEDS
    assert health_after(first + photons, rules).lock is None
    health = health_after(first + slower, rules)
    assert health.lock.code == "drift"
    assert health.drift() == pytest.approx(0.31)
    assert health_after(first + slower[:2], rules).lock is None, "a median, not one slow unit"


def test_units_without_a_write_say_nothing_of_speed():
    outcomes = [Outcome(AT, "u", "boron", "pass", 1, None)] * 50
    assert health_after(outcomes, SlotRules(lock_at_drift=0.1)).drift() is None


def test_a_golden_unit_is_asked_for_proves_the_slot_and_is_no_product():
    rules = SlotRules(golden_every_units=3)
    health = health_after(["pass"] * 3, rules)
    assert health.lock.code == "golden_due"
    proven = health_after([Outcome(AT, "gold", "boron", "pass", 1)], rules, {"gold"}, health)
    assert (proven.lock, proven.since_golden, proven.insertions) == (None, 0, 4)
    failed = health_after([Outcome(AT, "gold", "boron", "fail", 1)], rules, {"gold"}, health)
    assert failed.lock.code == "golden_failed"


def test_the_most_that_a_rule_may_look_at_is_enough_for_it_to_hold():
    assert health_after(["fail"] * KEPT_UNITS, SlotRules(lock_after_failures=KEPT_UNITS)).lock.code == "failures"
    rules = SlotRules(lock_below_yield=0.5, yield_units=KEPT_UNITS)
    assert health_after(["fail"] * KEPT_UNITS, rules).lock.code == "yield"


def test_second_goes_are_counted():
    outcomes = [Outcome(AT, "u", "boron", "pass", attempts) for attempts in (1, 2, 1, 3)]
    assert health_after(outcomes, None).share_repeated == 0.5


def test_no_unit_counts_twice_and_not_all_are_kept():
    outcome = Outcome(AT, "u", "boron", "fail", 1)
    once = counted(SlotHealth(), outcome, ("run", 7), None, golden=False)
    assert counted(once, outcome, ("run", 7), None, golden=False) == once
    assert counted(once, outcome, ("another", 3), None, golden=False).insertions == 2
    assert len(health_after(["pass"] * (KEPT_UNITS + 5), None).outcomes) == KEPT_UNITS


def test_health_outlives_the_process_and_an_unlocked_slot_starts_anew(tmp_path):
    file = HealthFile(tmp_path, "line 1/left")
    made = health_after(["pass", "fail", "fail"], SlotRules(lock_after_failures=2))
    assert file.change("1", lambda _: made) == made
    assert HealthFile(tmp_path, "line 1/left").read() == {"1": made}
    after = file.change("1", unlocked)
    assert (after.lock, after.outcomes, after.insertions) == (None, (), 3)
    assert file.path.parent == tmp_path / "slots"


@pytest.mark.parametrize("content", [b"{", b"[]", b'{"slots": {"1": {}}}', b'{"slots": {"1": 5}}', b"[" * 100_000])
def test_a_damaged_health_file_is_told(tmp_path, content):
    file = HealthFile(tmp_path, "line")
    file.path.parent.mkdir()
    file.path.write_bytes(content)
    with pytest.raises(BenchError, match="damaged"):
        file.read()


def test_health_as_data_is_json():
    data = health_after(["fail"], SlotRules(lock_after_failures=1)).data()
    assert data["lock"] == {"code": "failures", "reason": "a unit did not pass", "at": AT}
    assert (data["share_passed"], data["insertions"]) == (0.0, 1)
    assert dataclasses.asdict(Lock("engineer", "r", AT))["code"] == "engineer"


# ---- retries ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("names", "error", "allowed"),
    [
        (("TransportError",), "LinkDisconnectedError", True),
        (("TransportError",), "VerifyError", False),
        (("ParticleDevError",), "WrongDeviceError", False),
        (("ParticleDevError",), "CapacityError", False),
        (("ParticleDevError",), "VerifyError", True),
        (("TransportError",), "no error at all", False),
    ],
)
def test_what_may_be_tried_again(names, error, allowed):
    assert RetryPolicy(2, 1.0, names).allows(error) is allowed


# ---- leases ----------------------------------------------------------------------------------------------------

HOLD = """
import sys
from types import SimpleNamespace
from pathlib import Path
from particle_dev.station.lease import Leases, serial_lease
slot = SimpleNamespace(name="1", port_path="1-2", leases=("usb-1-2",))
held = Leases([slot], "run in there", Path(sys.argv[1]))
print("held", flush=True)
sys.stdin.read()
"""


@pytest.fixture
def slots(ship_recipe):
    bench = open_bench("usb", slots=[{"name": "1", "port": "1-2"}, {"name": "2", "port": "1-3", "probe": "A1"}])
    yield bench.slots
    bench.close()


def test_two_stations_never_have_one_board(tmp_path, slots):
    """The other one is a process of its own; when it is killed, the port is free."""
    other = subprocess.Popen(
        [sys.executable, "-c", HOLD, str(tmp_path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    try:
        assert other.stdout.readline() == "held\n"
        with pytest.raises(BenchError, match=rf"works on 1-2 \(process {other.pid}, run in there\)") as caught:
            Leases(slots, "mine", tmp_path)
        assert caught.value.slot == "1"
        # What it had already got is given back.
        with Leases(slots[1:], "mine", tmp_path):
            pass
    finally:
        other.kill()
        other.communicate()
    with Leases(slots, "mine", tmp_path), pytest.raises(BenchError, match="slot 2"):
        Leases(slots[1:], "another", tmp_path)


@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        (lambda folder: folder.chmod(0o777), "anybody may remove"),
        (lambda folder: (folder.rename(folder.with_name("far")), folder.symlink_to("far")), "leads elsewhere"),
    ],
)
def test_a_folder_in_which_locks_are_not_safe_is_refused(tmp_path, slots, spoil, words):
    folder = tmp_path / "leases"
    with Leases(slots, "mine", folder):
        assert folder.stat().st_mode & 0o7777 == 0o1777
    spoil(folder)
    with pytest.raises(BenchError, match=words) as caught:
        Leases(slots, "mine", folder)
    assert "chmod 1777" in caught.value.hint


def test_a_folder_that_another_user_has_closed_is_told(tmp_path, slots, monkeypatch):
    """Root may write everywhere, so the operating system's answer is put in its mouth."""
    monkeypatch.setattr("particle_dev.station.lease.os.access", lambda path, mode: False)
    with pytest.raises(BenchError, match=r"belongs to user .*, and is closed to others"):
        Leases(slots, "mine", tmp_path)


def test_real_ports_and_probes_have_leases_and_virtual_boards_none(slots):
    assert [slot.leases for slot in slots] == [("usb-1-2",), ("usb-1-3", "probe-A1")]


def test_two_slots_with_one_port_are_refused():
    with pytest.raises(BenchError, match="slots 1 and 2 have one port 1-2"):
        open_bench("usb", slots=[{"name": "1", "port": "1-2"}, {"name": "2", "port": "1-2"}])


# ---- teaching --------------------------------------------------------------------------------------------------


class Hands:
    """Plugs the next board in whenever the teacher waits; the boards are virtual, and so is the clock."""

    name = "hands"

    def __init__(self, bench, order):
        self.bench, self.order = bench, list(order)

    def wait(self, timeout_s):
        clock = self.bench.host.clock
        clock.sleep(timeout_s)
        if self.order and clock.monotonic_s() > 10 * (len(self.bench.slots) - len(self.order) + 1):
            slot = self.bench.driver.slot(self.order.pop(0))
            slot.board.plug_in()
            slot.clock.sleep(5)

    def close(self):
        pass


@pytest.fixture
def shelf():
    """A virtual bench of three boards that are not plugged in."""
    bench = open_bench(
        "virtual",
        options={"clock": "virtual", "power_control": False},
        slots=[{"name": str(n), "platform": p} for n, p in enumerate(("boron", "photon", "p2"), 1)],
        factory_modules=lambda _: [],
    )
    for slot in bench.driver.slots:
        slot.board.pull()
    yield bench
    bench.close()


def test_boards_that_are_plugged_in_one_by_one_teach_the_slots(shelf, tmp_path):
    probes = iter([set(), {"P1"}, *[{"P1"}] * 1000])
    teacher = Teacher(shelf.host, Hands(shelf, "213"), lambda: next(probes))
    taught = list(teacher.slots(iter(["left", "middle", "right"])))
    assert [slot.port_path for slot in taught] == ["1-2", "1-1", "1-3"]
    assert [slot.platform for slot in taught] == ["photon", "boron", "p2"]
    assert taught[0].probe == "P1"
    assert taught[1].serial_port == "particle-virtual://1-1" or taught[1].serial_port.endswith("1-1")

    path = tmp_path / "bench.toml"
    write_bench_file(path, bench_toml("line-3", taught, battery=False))
    read = load_bench_file(path)
    assert (read.name, read.driver, dict(read.options)) == ("line-3", "usb", {"battery": False})
    assert [(s["name"], s["port"]) for s in read.slots] == [("left", "1-2"), ("middle", "1-1"), ("right", "1-3")]
    assert read.slots[0]["probe"] == "P1"
    with pytest.raises(ConfigError, match="there already"):
        write_bench_file(path, "")


def test_one_board_can_go_from_slot_to_slot_and_boards_that_were_there_are_left_out(shelf):
    shelf.driver.board("3").plug_in()
    shelf.driver.slot("3").clock.sleep(5)
    teacher = Teacher(shelf.host, Hands(shelf, "12"))
    assert teacher.occupied == ("1-3",)
    taught = []
    for slot in teacher.slots(iter("ab")):
        taught.append(slot)
        shelf.driver.take_out({"1-1": "1", "1-2": "2"}[slot.port_path])
    assert [slot.port_path for slot in taught] == ["1-1", "1-2"]


def test_two_probes_at_once_are_not_guessed_at(shelf):
    probes = iter([set(), *[{"P1", "P2"}] * 1000])
    teacher = Teacher(shelf.host, Hands(shelf, "1"), lambda: next(probes))
    with pytest.raises(ConfigError, match="2 debug probes came with the board of slot a: P1, P2"):
        list(teacher.slots(iter("a")))


class WithAdapters:
    """A host's serial ports, and those of adapters that come with the boards of ports."""

    def __init__(self, host, adapters):
        self.host, self.adapters = host, adapters

    def ports(self):
        there = {device.usb.port_path for device in list_devices(self.host)}
        urls = [url for port, urls in self.adapters.items() if port in there for url in urls]
        return [
            *self.host.serial.ports(),
            *(SerialPortInfo(url, 0x0403, 0x6015, "") for url in ["/dev/ttyUSB9", *urls]),
        ]


def test_a_serial_adapter_that_comes_with_a_board_is_of_its_slot(shelf, tmp_path):
    host = replace(shelf.host, serial=WithAdapters(shelf.host, {"1-2": ["/dev/ttyUSB0"], "1-1": ["/dev/ttyUSB1"]}))
    taught = list(Teacher(host, Hands(shelf, "213")).slots(iter("abc")))
    assert [slot.serial for slot in taught] == ["/dev/ttyUSB0", "/dev/ttyUSB1", None]
    path = tmp_path / "bench.toml"
    write_bench_file(path, bench_toml("line", taught))
    bench = open_bench("usb", slots=load_bench_file(path).slots)
    assert [slot.serial_url for slot in bench.slots] == ["/dev/ttyUSB0", "/dev/ttyUSB1", None]
    assert bench.slots[0].leases == ("usb-1-2", "serial-/dev/ttyUSB0")
    bench.close()


def test_two_serial_adapters_at_once_are_not_guessed_at(shelf):
    host = replace(shelf.host, serial=WithAdapters(shelf.host, {"1-1": ["/dev/ttyUSB0", "/dev/ttyUSB1"]}))
    with pytest.raises(ConfigError, match="2 serial lines came with the board of slot a: /dev/ttyUSB0, /dev/ttyUSB1"):
        list(Teacher(host, Hands(shelf, "1")).slots(iter("a")))


def test_a_serial_line_has_the_name_that_stays_with_its_place(tmp_path):
    (tmp_path / "by-path").mkdir()
    (tmp_path / "ttyUSB3").touch()
    link = tmp_path / "by-path" / "pci-0000:00:14.0-usb-0:2.3:1.0-port0"
    link.symlink_to("../ttyUSB3")
    assert stable_url(str(tmp_path / "ttyUSB3"), tmp_path / "by-path") == str(link)
    assert stable_url("/dev/ttyUSB4", tmp_path / "by-path") == "/dev/ttyUSB4"
    assert stable_url("/dev/ttyUSB4", tmp_path / "none") == "/dev/ttyUSB4"
    assert serial_lease(str(link)) == serial_lease(str(tmp_path / "ttyUSB3"))


def test_two_slots_have_no_serial_line_in_common():
    slots = [{"name": n, "port": f"1-{n}", "serial": "/dev/ttyUSB0"} for n in "12"]
    with pytest.raises(ConfigError, match="serial '/dev/ttyUSB0' is no text, or two slots have it"):
        open_bench("usb", slots=slots)


def test_what_was_taught_is_text_that_toml_reads(tmp_path):
    path = tmp_path / "bench.toml"
    slot = TaughtSlot('a "quoted" name', "1-2.3", "boron", "", "/dev/ttyACM0", None)
    write_bench_file(path, bench_toml("häuser", [slot]))
    read = load_bench_file(path)
    assert (read.name, read.slots[0]["name"]) == ("häuser", 'a "quoted" name')


def test_a_board_that_returns_to_its_slot_is_the_same_and_a_new_one_takes_its_place():
    bench = open_virtual(
        options={"clock": "virtual", "power_control": False},
        slots=[{"name": "1", "platform": "boron"}],
        state_dir=None,
        factory_modules=lambda _: [],
    )
    first = bench.take_out("1")
    assert first.on_bus() is None
    bench.put_in("1", first)
    bench.slot("1").clock.sleep(5)
    assert first.on_bus()
    second = bench.put_in("1", {"platform": "photon"})
    bench.slot("1").clock.sleep(5)
    assert (first.on_bus(), bool(second.on_bus()), bench.board("1")) == (None, True, second)
    bench.close()


# ---- states for views ------------------------------------------------------------------------------------------


def progress(script, slot, done, total, at_s):
    script.now_s[slot] = at_s
    data = {"activity": "part1.bin", "done_bytes": done, "total_bytes": total}
    script.emit(EventType.STEP_PROGRESS, slot, unit="u1", step="flash", data=data)


def test_share_speed_and_time_left_come_from_the_last_seconds(run_script):
    script = run_script(("1", "2"))
    script.unit("1", "u1")
    script.begin("1", "u1", "flash")
    for second in range(21):
        # Slow for ten seconds, then ten times as fast.
        done = 1000 * min(second, 10) + 10_000 * max(0, second - 10)
        progress(script, "1", done, 200_000, float(second))
    slot = RunStates(script.build()).slots["1"]
    assert (slot.mode, slot.step, slot.unit) == (SlotMode.WORKING, "flash", "u1")
    assert slot.share_done == 0.55
    assert slot.bytes_per_s == pytest.approx(10_000)
    assert slot.left_s == pytest.approx(9)


def test_states_follow_a_run_to_its_end(run_script):
    script = run_script(("1", "2", "3"))
    script.good_unit("1", "u1")
    script.unit("2", "u2")
    script.step("2", "u2", "identify", error=script.error("no answer"))
    script.finish("2", "u2", "fail")
    data = {"attempt": 2, "attempts": 3, "error": script.error("no answer")}
    script.emit(EventType.UNIT_RETRIED, "2", unit="u2", data=data)
    script.unit("2", "u2")
    script.begin("2", "u2", "identify")
    script.emit(EventType.SLOT_EMPTY, "3", data={"reason": "no board"})
    states = RunStates(script.build())
    assert [str(slot.mode) for slot in states.slots.values()] == ["pass", "working", "empty"]
    two = states.slots["2"]
    assert (two.attempt, two.attempts, two.step, two.not_passed) == (2, 3, "identify", 0)
    assert (states.passed, states.not_passed, states.verdict) == (1, 0, None)
    script.step("2", "u2", "check")
    script.finish("2", "u2", "fail")
    script.run_finished("fail")
    states = RunStates(script.build())
    assert (states.passed, states.not_passed, states.verdict) == (1, 1, "fail")
    assert states.data()["slots"][2]["message"] == "no board"


def test_a_slot_at_which_the_station_died_is_interrupted_not_at_work(run_script):
    script = run_script(("1",))
    script.unit("1", "u1")
    script.begin("1", "u1", "flash")
    script.resume()
    assert RunStates(script.build()).slots["1"].mode is SlotMode.INTERRUPTED


def test_a_clock_that_was_set_back_gives_no_nonsense(run_script):
    script = run_script(("1",))
    script.unit("1", "u1")
    script.begin("1", "u1", "flash")
    progress(script, "1", 1000, 9000, 5.0)
    events = script.build()
    back = datetime(2020, 1, 1, tzinfo=UTC) + timedelta(seconds=1)
    later = dataclasses.replace(events[-1], at=back.isoformat().replace("+00:00", "Z"))
    later = dataclasses.replace(later, data=later.data | {"done_bytes": 2000})
    slot = RunStates([*events, later]).slots["1"]
    assert (slot.bytes_per_s, slot.left_s) == (None, None)


def test_what_a_run_knows_of_its_units_is_folded_once_and_only_for_who_asks(run_script, monkeypatch):
    script = run_script(("1",))
    for number in range(3):
        script.good_unit("1", f"e00fce68{number:016x}")
    folds = []
    monkeypatch.setattr(slot_work, "fold", lambda events: (folds.append(1), fold(events))[1])
    prior = slot_work.PriorUnits(script.build())
    assert prior.get("e00fce68" + "9" * 16) is None
    assert folds == []
    assert [prior[device_id].device_id for device_id in prior] == [f"e00fce68{n:016x}" for n in range(3)]
    assert (len(prior), len(folds)) == (3, 1)


def test_a_unit_that_did_not_come_back_for_its_second_go_has_failed(run_script):
    script = run_script(("1",))
    script.unit("1", "u1")
    script.finish("1", "u1", "fail")
    data = {"attempt": 2, "attempts": 2, "error": script.error("no answer")}
    script.emit(EventType.UNIT_RETRIED, "1", unit="u1", data=data)
    script.run_finished("fail")
    states = RunStates(script.build())
    assert (states.slots["1"].mode, states.passed, states.not_passed) == (SlotMode.FAIL, 0, 1)
