"""Undo over our client against the simulated cloud: the ledger stops counting only when both halves are done."""

import pytest

from particle_dev.cloud.removal import Removal, RemovalStep, undo
from particle_dev.cloud.removal_client import ApiRemoval
from particle_dev.permissions import Permissions
from tests.station.guard_world import World

MAY_RELEASE = Permissions(may_release=True)


@pytest.fixture
def world(tmp_path):
    made = World(tmp_path, "boron", factory="online", device_os="4.0.0")
    made.clock.sleep(60)
    made.board.advance()
    made.board.power_off()
    yield made
    made.close()


def counted(w):
    return w.cloud.ledger.counted(w.cloud.ledger.payer_of_product(w.products[0])[0])


def test_both_halves(world):
    w, saved = world, []
    assert (w.is_metered, counted(w)) == (True, 1)
    removal = Removal(w.device_id, str(w.products[0].id), w.device.iccid)
    done = undo(ApiRemoval(w.api), removal, MAY_RELEASE, saved.append, w.clock)
    assert done.is_complete
    assert counted(w) == 0
    assert w.evidence.record(w.device_id) is None


def test_one_half_goes_on_to_count(world):
    w = world
    ApiRemoval(w.api).remove_device(str(w.products[0].id), w.device_id)
    assert counted(w) == 1, "its SIM is still owned"
    half = Removal(w.device_id, str(w.products[0].id), w.device.iccid, (RemovalStep.UNCLAIM, RemovalStep.REMOVE_DEVICE))
    assert undo(ApiRemoval(w.api), half, MAY_RELEASE, lambda _: None, w.clock).is_complete
    assert counted(w) == 0
