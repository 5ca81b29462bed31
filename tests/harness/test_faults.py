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


def test_a_port_that_loses_power_can_be_switched_on_again(plugged):
    bench, device = plugged({"do": "power_off", "at": "dfu_transfer", "n": 2}, factory="online")
    get_status(device)
    with pytest.raises(usb.core.USBError) as error:
        get_status(device)
    assert error.value.errno == errno.ENODEV
    assert usb.core.find(backend=bench.usb_backend) is None
    bench.slots[0].power.on()
    bench.slots[0].clock.sleep(2)
    assert usb.core.find(backend=bench.usb_backend).idProduct == 0xC00D


def test_a_port_that_gets_power_back_by_itself(plugged):
    bench, device = plugged({"do": "power_off", "at": "dfu_transfer", "replug_after_s": 3})
    with pytest.raises(usb.core.USBError):
        get_status(device)
    bench.slots[0].clock.sleep(2)
    assert usb.core.find(backend=bench.usb_backend) is None
    bench.slots[0].clock.sleep(3)
    assert usb.core.find(backend=bench.usb_backend) is not None


def test_a_brown_out_leaves_a_block_half_written_and_restarts_the_board(plugged):
    bench, device = plugged({"do": "brown_out", "at": "write", "address": 0xE0020})
    board = bench.board("1")
    board.internal.load(0xE0000, b"\xff" * 0x1000)
    command(device, 0x21, 0xE0000)
    device.ctrl_transfer(0x21, 1, 2, 0, bytes(64))
    with pytest.raises(usb.core.USBError) as error:
        get_status(device)
    assert error.value.errno == errno.EIO
    assert board.internal.read(0xE0000, 64) == bytes(0x20) + b"\xff" * 0x20
    bench.slots[0].clock.sleep(2)
    assert board.state.runs == "listening"
    assert board.truth.boots == 2


def test_a_brown_out_between_transfers(plugged):
    bench, device = plugged({"do": "brown_out", "at": "control_transfer"}, arrives_in="app")
    with pytest.raises(usb.core.USBError):
        device.ctrl_transfer(0xC0, 1, 0, 20, 64)
    bench.slots[0].clock.sleep(2)
    assert bench.board("1").truth.boots == 2
    device = usb.core.find(backend=bench.usb_backend)
    assert len(device.ctrl_transfer(0xC0, 1, 0, 20, 64)) == 8


def test_a_short_reply(plugged):
    _, device = plugged({"do": "short_reply", "at": "dfu_transfer", "n": 2, "size_bytes": 4})
    assert [len(get_status(device)) for _ in range(3)] == [6, 4, 6]


def test_a_slow_device(plugged):
    bench, device = plugged({"do": "slow", "at": "dfu_transfer", "n": 2, "delay_s": 0.5})
    clock = bench.slots[0].clock

    def duration_s():
        started_s = clock.monotonic_s()
        get_status(device)
        return clock.monotonic_s() - started_s

    durations = [duration_s() for _ in range(3)]
    assert durations[0] < 0.01
    assert all(0.5 <= duration < 0.51 for duration in durations[1:])


def test_a_device_that_is_too_slow_for_the_host(plugged):
    _, device = plugged({"do": "slow", "at": "dfu_transfer", "delay_s": 2})
    with pytest.raises(usb.core.USBTimeoutError):
        device.ctrl_transfer(0xA1, 3, 0, 0, 6, timeout=1000)


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
        {"do": "stall", "at": "dfu_transfer", "replug_after_s": 5},
        {"do": "slow", "at": "write", "address": 5},
    ],
)
def test_a_fault_that_means_nothing_is_refused(plugged, fault):
    with pytest.raises(BenchError, match="fault"):
        plugged(fault)
