"""Transfers that are queued at a virtual board: on which thread they are done, and in which order they come back."""

import threading

import pytest
from particle_harness.bench import open_bench
from particle_harness.boards import hardware
from particle_harness.factory import bootloader_stand_in, softdevice_stand_in
from particle_harness.usb.transfer import Setup
from particle_harness.usb.urbs import Urb, UrbQueue

GET_DEVICE_DESCRIPTOR = Setup(0x80, 6, 0x0100, 0, 18)


@pytest.fixture
def queue_of():
    """A queue at a new Boron, and the URBs that it gave back, with the thread that did."""
    benches = []

    def make(delays="none", faults=()):
        bench = open_bench(
            options={"clock": "virtual", "delays": delays},
            slots=[{"name": "1", "platform": "boron", "faults": list(faults)}],
            state_dir=None,
            factory_modules=lambda name: [
                bootloader_stand_in(hardware(name), 1005),
                softdevice_stand_in(hardware(name)),
            ],
        )
        benches.append(bench)
        (board,) = bench.boards
        back, came = [], threading.Condition()

        def give_back(urb):
            with came:
                back.append((urb, threading.current_thread()))
                came.notify()

        def wait_for(count):
            with came:
                assert came.wait_for(lambda: len(back) >= count, timeout=10)

        address, _ = board.on_bus()
        queue = UrbQueue(board, address, give_back)
        return queue, back, wait_for

    yield make
    for bench in benches:
        bench.close()


def descriptor_urb():
    return Urb(0, 18, GET_DEVICE_DESCRIPTOR)


def test_a_board_that_answers_at_once_answers_before_submit_returns(queue_of):
    queue, back, _ = queue_of()
    urbs = [descriptor_urb() for _ in range(3)]
    for number, urb in enumerate(urbs, 1):
        assert queue.submit(urb)
        assert len(back) == number
    assert [urb for urb, _ in back] == urbs
    assert {thread for _, thread in back} == {threading.current_thread()}
    assert {urb.actual_length for urb in urbs} == {18}
    assert not queue.cancel(urbs[0]), "it was given back"


@pytest.mark.parametrize(
    "options", [{"delays": "realistic"}, {"faults": [{"do": "slow", "at": "control_transfer", "delay_s": 0.1}]}]
)
def test_one_that_takes_its_time_lets_the_submitter_go_on(queue_of, options):
    queue, back, wait_for = queue_of(**options)
    urbs = [descriptor_urb() for _ in range(3)]
    for urb in urbs:
        queue.submit(urb)
    wait_for(3)
    assert [urb for urb, _ in back] == urbs
    assert threading.current_thread() not in {thread for _, thread in back}


def test_what_waits_for_a_serial_port_is_not_in_the_way(queue_of):
    queue, back, _ = queue_of()
    reader = Urb(0x82, 64)
    queue.submit(reader)
    queue.submit(descriptor_urb())
    assert len(back) == 1
    assert queue.cancel(reader)


def test_a_closed_queue_takes_nothing(queue_of):
    queue, back, _ = queue_of()
    queue.close()
    assert not queue.submit(descriptor_urb())
    assert back == []
