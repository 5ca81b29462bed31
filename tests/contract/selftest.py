"""A board that runs the self-test service tests itself, offline. Wiring "selftest": such firmware is on it."""

import pytest

from particle_dev.device.selftest import ControlSelfTestLink, SelfTestSession
from particle_dev.device.selftest_plan import plan_for
from particle_dev.device.selftest_runner import Verdict, run_plan

pytestmark = [pytest.mark.particle_each_board, pytest.mark.particle_wiring("selftest")]
HARDWARE = {"gpio", "i2c", "adc", "ram", "flash"}


def test_its_hardware_passes(particle_board):
    clock = particle_board.host.clock
    with particle_board.control() as control, SelfTestSession(ControlSelfTestLink(control), clock) as session:
        tests = session.describe()
        done = run_plan(session, plan_for(tests), tests, clock)
    results = {result.name: result for result in done.results}
    for name in sorted(HARDWARE & results.keys()):
        assert results[name].verdict in (Verdict.PASSED, Verdict.NOT_SUPPORTED), results[name].reasons
    assert [r.name for r in done.results if r.verdict is Verdict.FAILED] == []
    assert results["identity"].verdict is Verdict.PASSED


def test_what_goes_online_is_not_allowed(particle_board):
    with (
        particle_board.control() as control,
        SelfTestSession(ControlSelfTestLink(control), particle_board.host.clock) as session,
    ):
        online = [t.name for t in session.describe() if t.may_connect]
        assert online
        assert {str(session.run(name).outcome) for name in online} == {"not_allowed"}
