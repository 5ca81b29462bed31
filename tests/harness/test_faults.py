import errno

import pytest
import usb.core

from particle_dev.errors import BenchError

SECTOR = 0x30000


@pytest.fixture
def plugged(make_bench):
    """A Boron in DFU mode (or running) with faults, seen through pyusb."""

    def make(*faults, arrives_in="dfu", **slot):
        bench = make_bench({"platform": "boron", "arrives_in": arrives_in, "faults": list(faults), **slot})
        bench.slots[0].clock.sleep(2)
        return bench, usb.core.find(backend=bench.usb_backend)

    return make


def get_status(device):
    return bytes(device.ctrl_transfer(0xA1, 3, 0, 0, 6))


def command(device, code, argument):
    device.ctrl_transfer(0x21, 1, 0, 0, bytes([code]) + argument.to_bytes(4, "little"))
    get_status(device)
    return get_status(device)


def test_unplug_in_the_middle_and_for_good(plugged):
    bench, device = plugged({"do": "unplug", "at": "dfu_transfer", "n": 3})
    get_status(device)
    get_status(device)
    for _ in range(2):
        with pytest.raises(usb.core.USBError) as error:
            get_status(device)
        assert (error.value.errno, error.value.backend_error_code) == (errno.ENODEV, -4)
    assert usb.core.find(backend=bench.usb_backend) is None
    bench.slots[0].power.off()
    bench.slots[0].power.on()
    bench.slots[0].clock.sleep(60)
    assert usb.core.find(backend=bench.usb_backend) is None
    assert bench.board("1").truth.power_cycles == 1


def test_somebody_plugs_it_in_again(plugged):
    bench, device = plugged({"do": "unplug", "at": "dfu_transfer", "n": 1, "replug_after_s": 5})
    with pytest.raises(usb.core.USBError):
        get_status(device)
    bench.slots[0].clock.sleep(4)
    assert usb.core.find(backend=bench.usb_backend) is None
    bench.slots[0].clock.sleep(4)
    assert usb.core.find(backend=bench.usb_backend) is not None
    assert bench.board("1").truth.power_cycles == 2


def test_one_stall(plugged):
    _, device = plugged({"do": "stall", "at": "dfu_transfer", "n": 2})
    get_status(device)
    with pytest.raises(usb.core.USBError) as error:
        get_status(device)
    assert (error.value.errno, error.value.backend_error_code) == (errno.EPIPE, -9)
    assert get_status(device) == b"\0\0\0\0\2\0"


def test_stall_of_a_control_request(plugged):
    _, device = plugged({"do": "stall", "at": "control_transfer", "n": 1}, arrives_in="app")
    with pytest.raises(usb.core.USBError) as error:
        device.ctrl_transfer(0xC0, 1, 0, 20, 64)
    assert error.value.errno == errno.EPIPE
    assert len(device.ctrl_transfer(0xC0, 1, 0, 20, 64)) == 8


def test_a_bit_that_does_not_program(plugged):
    bench, device = plugged({"do": "flip_byte", "at": "write", "address": SECTOR + 0x10})
    board = bench.board("1")
    command(device, 0x41, SECTOR)
    command(device, 0x21, SECTOR)
    data = bytes(range(64))

    def write():
        device.ctrl_transfer(0x21, 1, 2, 0, data)
        get_status(device)
        return get_status(device)

    assert write() == b"\0\0\0\0\5\0"
    written = board.internal.read(SECTOR, 64)
    assert [n for n in range(64) if written[n] != data[n]] == [0x10]
    assert (written[0x10] ^ data[0x10]).bit_count() == 1
    write()
    assert board.internal.read(SECTOR, 64) == data


def test_another_board_comes_back(plugged):
    bench, device = plugged({"do": "wrong_device_id", "at": "re_enumeration", "n": 1})
    right = device.serial_number
    leave(bench, device)
    other = usb.core.find(backend=bench.usb_backend)
    assert other.serial_number != right
    assert len(other.serial_number) == 24


def test_board_that_never_comes_back(plugged):
    bench, device = plugged({"do": "vanish", "at": "re_enumeration"}, factory="online")
    leave(bench, device)
    bench.slots[0].clock.sleep(100)
    assert usb.core.find(backend=bench.usb_backend) is None
    assert not bench.board("1").truth.went_online


def leave(bench, device):
    device.ctrl_transfer(0x21, 1, 0, 0, b"")
    get_status(device)
    bench.slots[0].clock.sleep(5)
    assert bench.board("1").on_bus() is None or bench.board("1").state.runs != "dfu"


@pytest.mark.parametrize(
    "fault",
    [
        {"do": "explode", "at": "write"},
        {"do": "stall", "at": "write"},
        {"do": "flip_byte", "at": "write"},
        {"do": "stall", "at": "dfu_transfer", "address": 5},
        {"do": "stall", "at": "dfu_transfer", "m": 5},
    ],
)
def test_a_fault_that_means_nothing_is_refused(plugged, fault):
    with pytest.raises(BenchError, match="fault"):
        plugged(fault)
