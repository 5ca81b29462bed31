"""What an import remembers survives a crash at any byte, and belongs to one process. Pure files: no cloud."""

from datetime import UTC, datetime, timedelta

import pytest

from particle_dev.catalog.skus import SimClass
from particle_dev.cloud.import_state import ImportState
from particle_dev.cloud.sim_wait import REACTIVATION, SimSchedule, SimWait, SimWaitState, advice
from particle_dev.errors import ImportStateError

NOW = datetime(2026, 1, 31, 9, 30, tzinfo=UTC)
A, B = "e00fce68000000000000000a", "e00fce68000000000000000b"
ICCIDS = ("8934076500002589174", "89014103273027966570")


def wait(iccid=ICCIDS[0], since=NOW, sim_class=SimClass.FAST, reactivated=False):
    return SimWait(iccid, A, sim_class, reactivated, since)


@pytest.fixture
def path(tmp_path):
    return tmp_path / "imports" / "1234.jsonl"


def test_what_was_asked_and_not_answered_is_remembered(path):
    with ImportState(path, 1234) as state:
        state.ask([A, B])
        state.answer([A])
    with ImportState(path, 1234) as state:
        assert state.asked == {B}


def test_sims_keep_the_time_since_when_they_are_waited_for(path):
    with ImportState(path, 1234) as state:
        state.ask_sims(ICCIDS, NOW)
        state.wait_for([wait(), wait(ICCIDS[1], sim_class=None, reactivated=True)])
    with ImportState(path, 1234) as state:
        state.wait_for([wait(since=NOW + timedelta(hours=1))])
        assert state.waits == {ICCIDS[0]: wait(), ICCIDS[1]: wait(ICCIDS[1], sim_class=None, reactivated=True)}
        assert state.sims_asked == dict.fromkeys(ICCIDS, NOW)
        state.settle([ICCIDS[0]])
    with ImportState(path, 1234) as state:
        assert set(state.waits) == set(state.sims_asked) == {ICCIDS[1]}


def test_a_file_that_waits_for_nothing_goes(path):
    with ImportState(path, 1234) as state:
        state.wait_for([wait()])
        state.settle([ICCIDS[0]])
    assert not path.exists()


def test_a_line_that_was_cut_short_is_dropped_and_a_new_one_is_whole(path):
    with ImportState(path, 1234) as state:
        state.ask([A])
    whole = path.read_bytes()
    for cut in range(len(whole)):
        path.write_bytes(whole[:cut])
        with ImportState(path, 1234) as state:
            assert state.asked <= {A}
            state.ask([B])
        with ImportState(path, 1234) as state:
            assert B in state.asked


def test_a_damaged_line_is_told_with_its_number(path):
    with ImportState(path, 1234) as state:
        state.ask([A])
    lines = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(lines[0] + b'{"event": "asked"}\n')
    with pytest.raises(ImportStateError) as caught:
        ImportState(path, 1234)
    assert caught.value.line == 2
    assert caught.value.hint
    path.write_bytes(lines[0] + lines[1])
    with ImportState(path, 1234) as state:
        assert state.asked == {A}


def test_a_file_of_another_product_is_refused(path):
    with ImportState(path, 1234) as state:
        state.ask([A])
    with pytest.raises(ImportStateError):
        ImportState(path, 99)


def test_one_import_into_a_product_at_a_time(path):
    with ImportState(path, 1234), pytest.raises(ImportStateError) as caught:
        ImportState(path, 1234)
    assert "another import" in caught.value.message


def test_a_folder_that_cannot_be_written(tmp_path):
    (tmp_path / "imports").write_bytes(b"")
    with pytest.raises(ImportStateError) as caught:
        ImportState(tmp_path / "imports" / "1234.jsonl", 1234)
    assert "--state" in caught.value.hint


class TestSchedule:
    def test_a_sim_is_attended_to_then_parked_then_given_up(self):
        schedule = SimSchedule()
        states = [schedule.state(s) for s in (0, 299, 300, 86_399, 86_400)]
        assert states == [
            SimWaitState.WAITING,
            SimWaitState.WAITING,
            SimWaitState.PARKED,
            SimWaitState.PARKED,
            SimWaitState.FAILED,
        ]

    def test_looks_become_rarer(self):
        assert [SimSchedule().next_poll_s(n) for n in range(6)] == [5, 10, 20, 40, 60, 60]

    @pytest.mark.parametrize("sim_class", [SimClass.SOMETIMES_SLOW, None])
    def test_nobody_stands_beside_a_slow_sim_that_was_active_before(self, sim_class):
        assert wait(sim_class=sim_class, reactivated=True).schedule is REACTIVATION
        assert wait(sim_class=sim_class).schedule.attended_s == 300
        assert REACTIVATION.attended_s < 300 and REACTIVATION.give_up_s > 86_400

    def test_a_fast_sim_is_fast_also_when_it_was_active_before(self):
        assert wait(reactivated=True).schedule.give_up_s == 86_400

    def test_advice(self):
        assert "support" in advice(SimWaitState.FAILED, wait())
        assert "again later" in advice(SimWaitState.PARKED, wait())
        assert "days" in advice(SimWaitState.PARKED, wait(sim_class=None, reactivated=True))
