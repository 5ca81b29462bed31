"""A board is the same board over every link that it has."""

import pytest

from particle_dev.catalog.platforms import UsbMode
from particle_dev.device.console import ConsoleSession, open_serial_port
from particle_dev.device.mode_changes import change_mode
from particle_dev.device.modes import Target
from particle_dev.device.swd import swd_session
from particle_dev.flash.inventory import read_inventory

pytestmark = pytest.mark.particle_each_board


def test_over_control_requests(particle_board):
    device = particle_board.device()
    if device.mode is not UsbMode.NORMAL:
        pytest.skip("it is in DFU mode, and nothing may boot it")
    with particle_board.control() as session:
        assert session.device_id() == device.device_id == particle_board.device_id
        assert session.system_version()


def test_over_dfu_and_what_it_holds_stays_the_same(particle_board):
    before = read_inventory(particle_board.host, particle_board.device())
    device = particle_board.in_dfu_mode()
    assert (device.device_id, device.platform) == (particle_board.device_id, particle_board.platform)
    after = read_inventory(particle_board.host, device)
    assert after.device_os == before.device_os


@pytest.mark.particle_link("usb", "serial")
def test_over_the_serial_console(particle_board):
    change_mode(particle_board.host, particle_board.device(), Target.LISTENING)
    with ConsoleSession(open_serial_port(particle_board.host, particle_board.device())) as console:
        assert console.identify().device_id == particle_board.device_id


@pytest.mark.particle_link("usb", "swd")
def test_over_a_debug_probe(particle_board):
    expected = particle_board.device_id
    with swd_session(particle_board.slot.probe_id, particle_board.platform) as session:
        assert session.identity().device_id == expected
