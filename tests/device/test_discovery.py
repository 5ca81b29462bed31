"""Waiting for boards that the system lets us open a moment after they came, or never."""

import pytest

from particle_dev.catalog.platforms import UsbMode, platform_by_name
from particle_dev.device.discovery import device_at, list_devices, wait_for_device, wait_for_mode
from particle_dev.errors import DeviceModeError, LinkAccessError, WrongDeviceError
from particle_dev.transport.base import Host, UsbDeviceInfo

ID_A, ID_B = "e00fce68aaaaaaaaaaaaaaaa", "e00fce68bbbbbbbbbbbbbbbb"
BORON = platform_by_name("boron")


def info(serial=ID_A, address=5, mode=UsbMode.NORMAL, problem=""):
    usb = BORON.usb_normal if mode is UsbMode.NORMAL else BORON.usb_dfu
    return UsbDeviceInfo(usb.vid, usb.pid, 1, address, "1-1", serial, "Boron", problem)


class Bus:
    """Shows what the script says for that time."""

    def __init__(self, *script):
        self.script, self.now_s = script, 0.0
        self.host = Host(self, None, self)

    def enumerate(self):
        return [shown for at_s, shown in self.script if at_s <= self.now_s][-1]

    def monotonic_s(self):
        return self.now_s

    def sleep(self, duration_s):
        self.now_s += duration_s


NORMAL = [info()]
CLOSED = [info(address=6, mode=UsbMode.DFU, problem="denied; ask for rights")]
NAMELESS = [info("", 6, UsbMode.DFU, "denied; ask for rights")]
DFU = [info(address=6, mode=UsbMode.DFU)]


def test_closed_board_is_listed():
    (device,) = list_devices(Bus((0, CLOSED)).host)
    assert (device.device_id, device.mode, device.usb.access_problem) == (ID_A, UsbMode.DFU, "denied; ask for rights")


@pytest.mark.parametrize("closed", [CLOSED, NAMELESS], ids=["named", "nameless"])
def test_rights_that_come_later_are_waited_for(closed):
    bus = Bus((0, NORMAL), (1, []), (2, closed), (3, DFU))
    before = device_at(bus.host, "1-1")
    assert wait_for_mode(bus.host, before, UsbMode.DFU, 10).usb == DFU[0]
    assert bus.now_s == pytest.approx(3, abs=0.11)
    bus = Bus((0, []), (2, closed), (3, DFU))
    assert wait_for_device(bus.host, "1-1", 10).usb == DFU[0]


@pytest.mark.parametrize("closed", [CLOSED, NAMELESS], ids=["named", "nameless"])
def test_rights_that_never_come_are_named(closed):
    bus = Bus((0, NORMAL), (2, closed))
    before = device_at(bus.host, "1-1")
    with pytest.raises(LinkAccessError, match="ask for rights") as error:
        wait_for_mode(bus.host, before, UsbMode.DFU, 10)
    assert error.value.where == "1-1"
    with pytest.raises(LinkAccessError, match="ask for rights"):
        wait_for_device(Bus((0, closed)).host, "1-1", 1)


def test_a_board_in_another_mode_has_enumerated_anew_whatever_its_address():
    """Some systems give an address again at once."""
    bus = Bus((0, NORMAL), (2, [info(mode=UsbMode.DFU)]))
    before = device_at(bus.host, "1-1")
    assert wait_for_mode(bus.host, before, UsbMode.DFU, 10).usb.address == before.usb.address


def test_closed_board_with_another_device_id_is_another_board():
    bus = Bus((0, NORMAL), (2, [info(ID_B, 6, UsbMode.DFU, "denied")]))
    with pytest.raises(WrongDeviceError):
        wait_for_mode(bus.host, device_at(bus.host, "1-1"), UsbMode.DFU, 10)


def test_closed_board_in_another_mode_did_not_arrive():
    bus = Bus((0, NORMAL), (2, [info(address=6, problem="denied")]))
    with pytest.raises(DeviceModeError):
        wait_for_mode(bus.host, device_at(bus.host, "1-1"), UsbMode.DFU, 10)
