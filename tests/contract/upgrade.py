"""From the release that is shipped to the next one, and back, each started and asked."""

import pytest

from particle_dev.device.mode_changes import change_mode
from particle_dev.device.modes import Target

pytestmark = [pytest.mark.particle_each_board, pytest.mark.may_erase, pytest.mark.may_connect]


def runs(board, release):
    """It boots into that release: asked of the running system."""
    change_mode(board.host, board.in_dfu_mode(), Target.NORMAL, board.permissions)
    with board.control() as session:
        assert session.system_version() == release


def test_old_to_new_and_back(particle_board, firmware):
    old, old_offer = firmware.offer(particle_board.platform, firmware.recipe)
    new, new_offer = firmware.offer(particle_board.platform, firmware.following)
    assert old != new, "both recipes name the same release"
    for release, offer in ((old, old_offer), (new, new_offer), (old, old_offer)):
        firmware.install(particle_board, offer)
        firmware.assert_nothing_is_missing(particle_board, offer)
        runs(particle_board, release)
