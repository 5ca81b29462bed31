"""A shift: boards of all kinds of fate flow through eight slots, unattended; at the end the records say what is true.

20 boards here, 200 in `make shift` and `make soak`. The boards are our own models; the operator is a script that swaps
boards when the station asks, pulls some at work and puts them back.
"""

import random
import threading
import time
from collections import Counter
from dataclasses import replace

import pytest

from particle_dev.station.events import EventType
from particle_dev.station.policy import RetryPolicy
from particle_dev.station.records import DATABASE_NAME, RecordDatabase
from tests.station.test_continuous import BORON, Shift

pytestmark = pytest.mark.firmware
SLOTS = 8
KINDS = {
    # What becomes of a board, its faults, and its verdict in the end.
    "good": ([], "pass"),
    "bad": ([{"do": "flip_byte", "at": "write", "address": 0x30010}], "fail"),
    "pulled": ([], "pass"),
    "retried": ([{"do": "stall", "at": "dfu_transfer", "n": 300}], "pass"),
    "refused": ([], "refused"),
}
SHARES = ("good",) * 12 + ("bad",) * 2 + ("pulled",) * 2 + ("retried",) * 2 + ("refused",) * 2


class Operator:
    """Feeds one slot at a time from a tray, as its events ask; knows what is true."""

    def __init__(self, tray):
        self.tray = tray
        self.fates = {}
        self.boards = {}
        self.pulled = {}
        self.wanted = []
        self.changed = threading.Condition()

    def next_board(self, slot):
        """The table of the next board; None: the tray is empty."""
        if not self.tray:
            return None
        number, fate = self.tray.pop()
        # The recipe has no firmware for an Argon.
        platform = {"platform": "argon"} if fate == "refused" else BORON
        device_id = f"e00fce68{number:016x}"
        self.fates[device_id] = fate
        return platform | {"device_id": device_id, "faults": KINDS[fate][0]}

    def show(self, event):
        """Called by the station under its lock: only note what is to be done."""
        with self.changed:
            fate = self.fates.get(event.unit)
            if event.type == EventType.STEP_PROGRESS and fate == "pulled" and event.unit not in self.pulled:
                self.pulled[event.unit] = None
                self.wanted.append(("pull", event.slot, event.unit))
            elif event.type == EventType.SLOT_WAITING:
                self.wanted.append((event.data["for"], event.slot, event.unit))
            self.changed.notify_all()

    def work(self, line):
        """Until the tray is empty and every slot has had its last board."""
        idle = set()
        while len(idle) < SLOTS:
            with self.changed:
                assert self.changed.wait_for(lambda: self.wanted or line.error, 120), (line.error, idle)
                assert line.error is None
                what, slot, unit = self.wanted.pop(0)
            if what == "pull":
                self.pulled[unit] = line.driver.take_out(slot)
                continue
            lying = next((u for u, b in self.pulled.items() if b and self.slot_of[u] == slot), None)
            if what == "board" and lying is None and slot not in self.begun:
                self.begun.add(slot)  # It waits for what is in it already.
                continue
            self.swap(line, slot, lying, idle)

    def swap(self, line, slot, lying, idle):
        """Take out what is finished; put in what was pulled there, or the next one of the tray."""
        if lying is not None:
            board, self.pulled[lying] = self.pulled[lying], False
            line.put_in(slot, board)
            return
        table = self.next_board(slot)
        if table is None:
            idle.add(slot)
            return
        self.slot_of[table["device_id"]] = slot
        self.boards[table["device_id"]] = line.put_in(slot, table) or line.driver.board(slot)


def a_shift(ship_recipe, release_store, folder, count, capsys):
    chance = random.Random(count)
    fates = [SHARES[n % len(SHARES)] for n in range(count)]
    chance.shuffle(fates)
    operator = Operator(list(enumerate(fates, 1)))
    operator.slot_of, operator.begun = {}, set()
    tables = [operator.next_board(n) for n in range(SLOTS)]
    for number, table in enumerate(tables, 1):
        operator.slot_of[table["device_id"]] = str(number)
    slots = [{"name": str(n), **table} for n, table in enumerate(tables, 1)]
    recipe = replace(ship_recipe, retries=RetryPolicy(attempts=2, pause_s=0.5))
    began_s = time.monotonic()
    line = Shift(recipe, release_store, folder, slots)
    show, line.show = line.show, lambda event: (show(event), operator.show(event))
    for number, table in enumerate(tables, 1):
        operator.boards[table["device_id"]] = line.driver.board(str(number))
    with line:
        operator.work(line)
        line.arrivals.end()
        line.thread.join(120)
    duration_s = time.monotonic() - began_s
    assert not operator.tray
    check(line, operator, count)
    truth = Counter(operator.fates.values())
    with capsys.disabled():
        print(f" {count} boards, {dict(truth)}: {3600 * count / duration_s:.0f} units an hour ", end="")


def check(line, operator, count):
    """Records against the truth."""
    database = RecordDatabase(line.folder / DATABASE_NAME)
    stored = [s.unit for s in database.units()]
    found = database.verify(None, {})
    database.close()
    assert not found.problems
    assert found.runs == 1
    assert len(stored) == len({u.device_id for u in stored}) == len(operator.fates) == count, "none lost, none doubled"
    expected = {device_id: KINDS[fate][1] for device_id, fate in operator.fates.items()}
    assert {u.device_id: str(u.verdict) for u in stored} == expected
    for unit in stored:
        fate = operator.fates[unit.device_id]
        assert len(unit.attempts) == {"pulled": 2, "retried": 2}.get(fate, len(unit.attempts)), (fate, unit.attempts)
        assert len(unit.attempts) <= 2
        truth = operator.boards[unit.device_id].truth
        assert (truth.cloud_attempts, truth.network_attempts) == (0, 0), "the ledger is clean"
        assert str(unit.billing.verdict) == ("not_started" if fate in ("good", "pulled", "retried") else "unknown")
        if fate == "refused":
            assert truth.erases == 0


@pytest.mark.timeout(600)
def test_a_tenth_of_a_shift(ship_recipe, release_store, tmp_path, capsys):
    a_shift(ship_recipe, release_store, tmp_path / "run", 20, capsys)


@pytest.mark.soak
@pytest.mark.timeout(3600)
def test_a_shift_of_two_hundred_boards(ship_recipe, release_store, tmp_path, capsys):
    a_shift(ship_recipe, release_store, tmp_path / "run", 200, capsys)
