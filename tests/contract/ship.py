"""A station takes a unit from the tray to shipped, and its record says that billing has not started."""

import pytest

from particle_dev.cloud.metering import BillingVerdict
from particle_dev.station.bench import Bench
from particle_dev.station.engine import Station

pytestmark = [pytest.mark.particle_each_board, pytest.mark.may_erase]


class OneSlot:
    """A bench with the slot of the test's board; the plugin closes what is behind it."""

    name = "hil"

    def __init__(self, slot):
        self.usb_backend = self.serial_ports = None
        self.slots = (slot,)

    def close(self):
        """Nothing of its own."""


def test_ship_without_billing(particle_board, particle_cloud, firmware, tmp_path):
    firmware.offer(particle_board.platform, firmware.recipe)
    bench = Bench("hil", particle_board.host, (particle_board.slot,), OneSlot(particle_board.slot))
    events = []
    record = Station(firmware.recipe, bench, firmware.store, tmp_path / "run", events.append).run()
    (unit,) = record.units
    assert str(record.verdict) == "pass", unit.error
    assert unit.billing.verdict is BillingVerdict.NOT_STARTED, unit.billing
    assert unit.device_id == particle_board.device_id
    if particle_cloud.is_virtual:
        assert not particle_cloud.ledger.metered(particle_board.device_id)
