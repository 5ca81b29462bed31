"""A board that loses power in the middle of a flash is whole after the next one, and was never online meanwhile."""

import pytest

from particle_dev.errors import ParticleDevError
from particle_dev.flash.carry_out import carry_out
from tests.contract.firmware import in_dfu_mode, stayed_offline

# Giving power back boots what is there: a brake keeps it in DFU mode, which is what this is about.
pytestmark = [
    pytest.mark.particle_each_board,
    pytest.mark.particle_power,
    pytest.mark.may_erase,
    pytest.mark.may_connect,
]


@pytest.mark.parametrize("part", [0.1, 0.5, 0.9])
def test_power_is_lost_while_it_is_flashed(particle_board, particle_faults, firmware, part):
    _, offer = firmware.offer(particle_board.platform, firmware.recipe)
    device, plan = firmware.plan(particle_board, offer)
    total_bytes = sum(len(offer.contents[f.sha256]) for f in plan.installs)
    assert total_bytes, "it has all of it already: start with another release"
    done_bytes, is_off = {}, False
    with pytest.raises(ParticleDevError):
        for event in carry_out(
            particle_board.host, device, plan, offer.contents.__getitem__, permissions=particle_board.permissions
        ):
            name = getattr(event, "file_name", None)
            done_bytes[name] = max(done_bytes.get(name, 0), getattr(event, "done_bytes", 0))
            if not is_off and sum(done_bytes.values()) >= part * total_bytes:
                is_off = True
                particle_faults.lose_power()
    assert is_off
    particle_faults.give_power()
    particle_board.device()
    firmware.install(particle_board, offer)
    firmware.assert_nothing_is_missing(particle_board, offer)
    in_dfu_mode(particle_board)
    stayed_offline(particle_board)
