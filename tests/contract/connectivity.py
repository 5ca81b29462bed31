"""A board gets online, does everything there, and is left offline: the whole connectivity test, by strategy A. Wiring
"online": it has network where it stands (a SIM that may, an antenna), and an application with the self-test service.
"""

import pytest

from particle_dev.catalog.platforms import UsbMode
from particle_dev.cloud.metering import BillingVerdict
from particle_dev.cloud.plans import PLANS, PlanName
from particle_dev.cloud.strategies import Strategy
from particle_dev.connectivity.board import Board
from particle_dev.connectivity.engine import ConnectivityTest
from particle_dev.connectivity.outcome import ConnectivityVerdict
from particle_dev.connectivity.plan import ConnectivityOptions, make_plan
from particle_dev.protocol.messages import CloudStatus

pytestmark = [
    pytest.mark.particle_each_board,
    pytest.mark.particle_wiring("online"),
    pytest.mark.may_connect,
]


def run(board, cloud):
    device = board.device()
    assert device.mode is UsbMode.NORMAL
    plan = make_plan(device.platform, Strategy.A, ConnectivityOptions())
    with cloud.link(board) as link, Board(board.host, device, board.permissions) as tested:
        return ConnectivityTest(
            tested,
            link,
            plan,
            run_id="hil",
            permissions=board.permissions,
            billing_plan=PLANS[PlanName.BASIC],
            on_event=lambda event: board.log.add(str(event)),
        ).run()


def test_it_gets_online_and_is_left_offline(particle_board, particle_cloud):
    result = run(particle_board, particle_cloud)
    problems = [(r.stage, r.failure and r.failure.code, r.seen) for r in result.stages if r.status != "passed"]
    assert problems == []
    assert result.verdict is ConnectivityVerdict.PASS
    assert result.gate.verdict is BillingVerdict.STARTED
    with particle_board.control() as session:
        assert session.cloud_status() is CloudStatus.DISCONNECTED
    if particle_cloud.is_virtual:
        assert particle_cloud.ledger.has_connected(particle_board.device_id)
