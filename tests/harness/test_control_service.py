"""Rules of the request/reply service, one test per rule; hex strings are what real devices answer."""

import pytest
from particle_harness.usb.control_service import ABORTED, CANCELLED, ControlService, Outcome
from particle_harness.usb.transfer import Setup, StallError

OK, PENDING, BUSY, NO_MEMORY, NOT_FOUND = 0, 2, 3, 4, 5


class Device:
    """A service whose request 7 echoes, 8 answers nothing, 9 takes half a second."""

    def __init__(self):
        self.now_s = 0.0
        self.completed = []
        self.taken_in = []
        self.busy = False
        self.service = ControlService(
            self.handle,
            lambda request, _payload: 0.5 if request == 9 else 0.0,
            lambda: self.now_s,
            self.taken_in.append,
            lambda: self.busy,
        )

    def handle(self, request, payload):
        return Outcome(0, payload if request == 7 else b"", lambda result: self.completed.append((request, result)))

    def transfer(self, setup, data=b""):
        reply = self.service.request(setup, data)
        self.service.data_stage_done()
        return reply

    def init(self, request, size=0, length=64):
        return self.transfer(Setup(0xC0, 1, size, request, length))

    def check(self, request_id, length=64):
        return self.transfer(Setup(0xC0, 2, 0, request_id, length))

    def send(self, request_id, data):
        return self.transfer(Setup(0x40, 3, 0, request_id, len(data)), data)

    def receive(self, request_id, size):
        return self.transfer(Setup(0xC0, 4, 0, request_id, size))

    def reset(self, request_id, length=64):
        return self.transfer(Setup(0xC0, 5, 0, request_id, length))


@pytest.fixture
def device():
    return Device()


def status(reply):
    return int.from_bytes(reply[4:6], "little")


def test_request_without_payload_is_ok_at_once(device):
    assert device.init(8).hex() == "0300000000000100"


def test_payload_up_to_64_bytes_may_be_sent_at_once(device):
    assert status(device.init(7, 64)) == OK
    device.send(1, bytes(64))
    assert device.check(1).hex() == "0d000000000040000000" + "00000000"


def test_longer_payload_waits_for_a_buffer(device):
    assert device.init(7, 65).hex() == "0300000002000100"
    with pytest.raises(StallError):
        Device.send(device_with_pending(), 1, bytes(65))
    assert device.check(1).hex() == "010000000000"
    device.send(1, bytes(65))
    assert status(device.check(1)) == OK


def device_with_pending():
    device = Device()
    device.now_s = 1.0
    device.init(7, 65)
    device.now_s = 0.0  # the system task has not run yet
    return device


def test_fifth_request_is_busy_and_gets_no_id(device):
    for _ in range(4):
        device.init(8)
    assert device.init(8).hex() == "010000000300"
    device.check(1)
    assert device.init(8).hex() == "0300000000000500"


def test_check_says_pending_while_the_device_works(device):
    device.init(9)
    assert device.check(1).hex() == "010000000200"
    device.now_s = 0.5
    assert device.check(1).hex() == "09000000000000000000"


def test_unknown_ids_are_not_found(device):
    assert device.check(77).hex() == "010000000500"
    assert status(device.reset(77)) == NOT_FOUND
    for stalled in (lambda: device.send(77, b"x"), lambda: device.receive(77, 1)):
        with pytest.raises(StallError):
            stalled()


@pytest.mark.parametrize("length", [0, 63])
def test_short_replies_are_refused(device, length):
    for call in (lambda: device.init(8, 0, length), lambda: device.check(1, length), lambda: device.reset(0, length)):
        with pytest.raises(StallError):
            call()


def test_unknown_service_requests_stall(device):
    with pytest.raises(StallError):
        device.transfer(Setup(0xC0, 6, 0, 0, 64))


def test_request_without_reply_data_ends_with_the_final_check(device):
    device.init(8)
    assert device.completed == []
    device.check(1)
    assert device.completed == [(8, 0)]
    assert status(device.check(1)) == NOT_FOUND


def test_host_that_never_polls_never_completes(device):
    device.init(8)
    device.now_s = 100.0
    device.service.advance()
    assert device.completed == []


def test_completion_waits_until_the_host_has_the_check_reply(device):
    device.init(8)
    device.service.request(Setup(0xC0, 2, 0, 1, 64), b"")
    assert device.completed == []
    device.service.data_stage_done()
    assert device.completed == [(8, 0)]


def test_request_with_reply_data_ends_with_the_last_byte(device):
    device.init(7, 10)
    device.send(1, b"0123456789")
    assert device.check(1).hex() == "0d000000" + "0000" + "0a000000" + "00000000"
    assert device.receive(1, 6) == b"012345"
    assert device.completed == []
    assert device.receive(1, 4) == b"6789"
    assert device.completed == [(7, 0)]
    assert status(device.check(1)) == NOT_FOUND


@pytest.mark.parametrize("size", [0, 11])
def test_receiving_nothing_or_too_much_stalls(device, size):
    device.init(7, 10)
    device.send(1, b"0123456789")
    device.check(1)
    with pytest.raises(StallError):
        device.receive(1, size)


def test_receive_before_done_stalls(device):
    device.init(9)
    with pytest.raises(StallError):
        device.receive(1, 1)


def test_payload_may_come_in_pieces(device):
    device.init(7, 6)
    device.send(1, b"012")
    assert device.check(1).hex() == "010000000000"
    device.send(1, b"345")
    device.check(1)
    assert device.receive(1, 6) == b"012345"


def test_too_much_payload_stalls(device):
    device.init(7, 6)
    with pytest.raises(StallError):
        device.send(1, b"0123456")


def test_send_after_the_payload_is_complete_stalls(device):
    device.init(9, 1)
    device.send(1, b"x")
    with pytest.raises(StallError):
        device.send(1, b"x")


def test_reset_of_one_request_cancels_it(device):
    device.init(8)
    device.init(7, 3)
    assert status(device.reset(1)) == OK
    assert device.completed == [(8, CANCELLED)]
    assert status(device.check(2)) == OK


def test_reset_of_all_frees_every_place_and_keeps_counting(device):
    for _ in range(4):
        device.init(8)
    assert status(device.reset(0)) == OK
    assert device.init(8).hex() == "0300000000000500"


def test_bus_reset_aborts(device):
    device.init(8)
    device.init(7, 3)
    device.service.abort_all()
    assert device.completed == [(8, ABORTED)]


def test_interrupt_that_takes_a_request_in_sees_its_type(device):
    device.init(8)
    device.init(7, 3)
    assert device.taken_in == [8]


def test_a_send_without_data_is_refused(device):
    device.init(7, 3)
    with pytest.raises(StallError):
        device.send(1, b"")


def test_requests_and_their_small_payloads_share_512_bytes(device):
    """As run on Device OS 2.1.0: three requests with payloads of 64 bytes fill them."""
    assert [status(device.init(7, 64)) for _ in range(4)] == [OK, OK, OK, NO_MEMORY]
    device.reset(0)
    assert device.init(7, 64).hex() == "0300000000000400"


def test_a_payload_for_which_there_is_no_room_is_allocated_by_the_system(device):
    assert [status(device.init(7, size)) for size in (64, 64, 40, 8)] == [OK, OK, OK, PENDING]
    assert status(device.check(4)) == OK
    device.send(4, b"12345678")
    device.check(4)
    assert device.receive(4, 8) == b"12345678"


def test_after_a_reply_that_was_read_in_part_and_reset_the_next_request_is_lost(device):
    """As run on Device OS 2.1.0: it looks at the place in memory, not at the id."""
    device.init(7, 30)
    device.send(1, bytes(30))
    device.check(1)
    device.receive(1, 10)
    assert status(device.reset(1)) == OK
    assert device.init(8).hex() == "0300000000000200"
    assert status(device.check(2)) == NOT_FOUND
    device.init(8)
    assert status(device.check(3)) == OK


def test_a_bus_reset_makes_it_forget_what_was_read_in_part(device):
    device.init(7, 30)
    device.send(1, bytes(30))
    device.check(1)
    device.receive(1, 10)
    device.service.abort_all()
    device.init(8)
    assert status(device.check(2)) == OK


def test_a_last_check_that_nobody_fetched_and_a_reset_leave_it_busy_for_ever(device):
    """As run on Device OS 2.1.0: the request ends twice."""
    device.init(8)
    device.service.request(Setup(0xC0, 2, 0, 1, 64), b"")
    device.reset(1)
    assert status(device.init(8)) == BUSY
    device.service.abort_all()
    assert status(device.init(8)) == BUSY


def test_a_busy_system_thread_carries_nothing_out_and_allocates_nothing(device):
    """As run on Device OS 2.1.0 of an Electron that registers."""
    device.busy = True
    assert [status(reply) for reply in (device.init(8), device.init(7, 65))] == [OK, PENDING]
    device.now_s = 10.0
    assert [status(device.check(number)) for number in (1, 2)] == [PENDING, PENDING]
    device.busy = False
    assert [status(device.check(number)) for number in (1, 2)] == [OK, OK]
    device.send(2, bytes(65))
    assert device.completed == [(8, 0)]


def test_requests_that_are_given_up_keep_their_memory_until_the_system_thread_has_seen_to_them(device):
    device.busy = True
    for _ in range(6):
        device.init(8)
        device.reset(0)
    assert status(device.init(8)) == NO_MEMORY
    assert device.completed == []
    device.busy = False
    assert status(device.init(8)) == OK
    assert device.completed == [(8, CANCELLED)] * 6
