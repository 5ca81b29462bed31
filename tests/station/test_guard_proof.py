"""The proof of the billing guard: whatever happens to a board, `not_started` is never said of one that is metered.

Random sequences of all that a station, an operator, other tools, a gang programmer, somebody with the account's
password and faults of power, transfers, programs, clocks, streams and cloud can do to a virtual board that its bench
joins to a simulated cloud, whose ledger knows whether it is metered. After every step:

- a verdict `not_started` is compared with the ledger: of the device's whole life (gate), of the time since its
  baseline, and of the window in which the station had it;
- a board that was quiet before a call of the library without ``may_connect`` is quiet after it: nothing that the call
  left behind leads it online by itself, not even when the power is cut or the program killed in the middle of it.

Other tools are bytes on endpoint 0 (``foreign_tools``). Board and cloud are models of ours, made from Particle's
sources: that real ones behave so is not proven. There are three witnesses, the cloud's record, the board and the event
stream; any two of them may lie, or not know, about what happens while the station has the board. One lie cannot be
found out by anybody: a cloud that for ever denies a connection from before the unit came here. So a record that hides
a connection has settled when a run begins.
"""

import os

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis.stateful import run_state_machine_as_test

from tests.station.guard_machine import TALLY, GuardMachine

STEPS = int(os.environ.get("GUARD_STEPS", "20000"))
"""`make soak` asks for more, with other dice each time. GUARD_SHRINK=1 looks for the shortest sequence that fails."""
PARTS = 4
STEPS_PER_BOARD = 60


def prove(steps, number, *, shrink=False):
    """Run so many steps at least: the same each time for a ``number``; None throws the dice anew. ``shrink`` makes what
    fails short, in minutes."""
    TALLY.clear()
    while TALLY["steps"] < steps:
        _some_boards(steps // STEPS_PER_BOARD + steps // 1000 if not TALLY else 10, number, shrink)
        number = None if number is None else number + PARTS
    return TALLY


def _some_boards(count, number, shrink):
    machine_settings = settings(
        max_examples=count,
        stateful_step_count=STEPS_PER_BOARD,
        phases=tuple(Phase) if shrink else (Phase.generate,),
        report_multiple_bugs=shrink,
        database=None,
        deadline=None,
        suppress_health_check=list(HealthCheck),
    )
    GuardMachine._hypothesis_internal_use_seed = number  # What hypothesis.seed sets on a function.
    run_state_machine_as_test(GuardMachine, settings=machine_settings)


@pytest.mark.timeout(1800 if STEPS <= 20_000 else 0)
@pytest.mark.parametrize("part", range(PARTS))
def test_the_guard_never_says_not_started_of_a_board_that_was_metered(part, capsys):
    number = None if "GUARD_STEPS" in os.environ else part
    tally = prove(STEPS // PARTS, number, shrink="GUARD_SHRINK" in os.environ)
    with capsys.disabled():
        print("\n" + "\n".join(f"  {count:7} {what}" for what, count in sorted(tally.items())))
    assert tally["steps"] >= STEPS // PARTS
    for must_happen in (
        "never billed, said the gate",
        "never billed, thanks to an application of ours",
        "metered boards",
        "stations killed",
        "acts of foreign tools",
        "conspiracies about a connection",
    ):
        assert tally[must_happen] > 0, must_happen
