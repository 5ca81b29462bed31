"""The control-request machine on scripted replies. Byte strings are those of Particle's own encoder."""

import pytest

from particle_dev.catalog.requests import ServiceStatus
from particle_dev.errors import ControlProtocolError, LinkTimeoutError
from particle_dev.protocol.control import (
    CHECK_PAUSES_S,
    ControlResult,
    ServiceReply,
    decode_service_reply,
    perform_request,
    reset_requests,
)
from particle_dev.protocol.usb import ControlIn, ControlOut, Stall, Wait


def converse(machine, replies):
    """Run a machine on a list of replies (waits are answered by themselves). Returns (actions, result)."""
    actions, reply = [], None
    replies = list(replies)
    try:
        while True:
            action = machine.send(reply)
            actions.append(action)
            reply = None if isinstance(action, Wait) else replies.pop(0)
    except StopIteration as done:
        assert not replies
        return actions, done.value


def fields(action):
    return (action.b_request, action.w_value, action.w_index)


OK_ID_1 = bytes.fromhex("0300000000000100")
PENDING_ID_7 = bytes.fromhex("0300000002000700")
BUSY, NO_MEMORY = bytes.fromhex("010000000300"), bytes.fromhex("010000000400")
STILL_PENDING = bytes.fromhex("010000000200")
READY = bytes.fromhex("010000000000")
DONE_26_BYTES = bytes.fromhex("0d00000000001a00000000000000")
DONE_PROTECTED = bytes.fromhex("090000000000f7f8ffff")
DONE_EMPTY = bytes.fromhex("09000000000000000000")


@pytest.mark.parametrize(
    ("data", "reply"),
    [
        (OK_ID_1, ServiceReply(ServiceStatus.OK, request_id=1)),
        (PENDING_ID_7, ServiceReply(ServiceStatus.PENDING, request_id=7)),
        (BUSY, ServiceReply(ServiceStatus.BUSY)),
        (STILL_PENDING, ServiceReply(ServiceStatus.PENDING)),
        (DONE_26_BYTES, ServiceReply(ServiceStatus.OK, size_bytes=26, result_code=0)),
        (DONE_PROTECTED, ServiceReply(ServiceStatus.OK, result_code=-1801)),
    ],
)
def test_service_replies(data, reply):
    assert decode_service_reply(data) == reply


@pytest.mark.parametrize("data", [b"", b"\1\0\0", OK_ID_1[:-1], bytes.fromhex("000000000000"), b"\1\0\0\0\x63\0"])
def test_malformed_service_reply(data):
    with pytest.raises(ControlProtocolError):
        decode_service_reply(data)


def test_request_with_reply_data():
    actions, result = converse(perform_request(20), [OK_ID_1, DONE_26_BYTES, b"x" * 26])
    assert result == ControlResult(0, b"x" * 26)
    assert actions[0] == ControlIn(0xC0, 1, 0, 20, 64)
    assert actions[1] == Wait(0.05)
    assert actions[2] == ControlIn(0xC0, 2, 0, 1, 64)
    assert actions[3] == ControlIn(0xC0, 4, 0, 1, 26)


def test_large_payload_waits_for_the_buffer_and_is_sent_in_chunks():
    payload = bytes(range(256)) * 20
    actions, result = converse(
        perform_request(253, payload), [PENDING_ID_7, STILL_PENDING, READY, None, None, STILL_PENDING, DONE_EMPTY]
    )
    assert result.ok
    sent = [a for a in actions if isinstance(a, ControlOut)]
    assert [len(a.data) for a in sent] == [4096, 1024]
    assert b"".join(a.data for a in sent) == payload
    assert all(fields(a) == (3, 0, 7) for a in sent)
    assert fields(actions[0]) == (1, len(payload), 253)


def test_pauses_grow_and_start_again_after_the_payload():
    replies = [PENDING_ID_7, *[STILL_PENDING] * 9, READY, None, STILL_PENDING, DONE_EMPTY]
    actions, _ = converse(perform_request(1, b"x" * 65), replies)
    waits = [a.duration_s for a in actions if isinstance(a, Wait)]
    assert waits == [*CHECK_PAUSES_S, 1.0, 0.05, 0.05]


def test_long_reply_is_fetched_in_chunks():
    done = bytes.fromhex("0d000000000088130000") + bytes(4)
    actions, result = converse(perform_request(90), [OK_ID_1, done, b"a" * 4096, b"b" * 904])
    assert result.data == b"a" * 4096 + b"b" * 904
    assert [a.w_length for a in actions if isinstance(a, ControlIn) and a.b_request == 4] == [4096, 904]


@pytest.mark.parametrize("full", [BUSY, NO_MEMORY])
def test_device_without_room_is_asked_again(full):
    actions, result = converse(perform_request(50), [full, full, OK_ID_1, DONE_EMPTY])
    assert result.ok
    assert sum(fields(a) == (1, 0, 50) for a in actions if not isinstance(a, Wait)) == 3


def test_refusal_is_a_result():
    _, result = converse(perform_request(50), [OK_ID_1, DONE_PROTECTED])
    assert (result.ok, result.result_code) == (False, -1801)
    assert "PROTECTED" in str(result)


def test_time_limit_cancels_the_request_on_the_device():
    machine = perform_request(100, timeout_s=1.0)
    reply, actions = None, []
    with pytest.raises(LinkTimeoutError, match="100"):
        while True:
            action = machine.send(reply)
            actions.append(action)
            first = isinstance(action, ControlIn) and action.b_request == 1
            reply = None if isinstance(action, Wait) else OK_ID_1 if first else STILL_PENDING
    assert actions[-1] == ControlIn(0xC0, 5, 0, 1, 64)
    assert sum(a.duration_s for a in actions if isinstance(a, Wait)) <= 1.0


@pytest.mark.parametrize(("full", "said"), [(BUSY, "stayed busy"), (NO_MEMORY, "had no memory for it")])
def test_device_that_stays_without_room(full, said):
    machine = perform_request(100, timeout_s=0.5)
    reply = None
    with pytest.raises(LinkTimeoutError, match=said):
        while True:
            reply = None if isinstance(machine.send(reply), Wait) else full


@pytest.mark.parametrize(
    "replies",
    [
        [Stall()],
        [bytes.fromhex("010000000000")],
        [OK_ID_1, bytes.fromhex("010000000500")],
        [OK_ID_1, READY],
        [OK_ID_1, DONE_26_BYTES, b"short"],
        [OK_ID_1, DONE_26_BYTES, Stall()],
    ],
    ids=["stall", "no id", "dropped", "no result", "short data", "data stalled"],
)
def test_answers_outside_the_protocol(replies):
    with pytest.raises(ControlProtocolError):
        converse(perform_request(20), replies)


def test_refused_payload():
    with pytest.raises(ControlProtocolError, match="payload"):
        converse(perform_request(20, b"abc"), [OK_ID_1, Stall()])


def test_payload_above_the_limit():
    with pytest.raises(ValueError, match="65536"):
        next(perform_request(1, bytes(65536)))


def test_reset_of_all_requests():
    actions, status = converse(reset_requests(), [READY])
    assert actions == [ControlIn(0xC0, 5, 0, 0, 64)]
    assert status is ServiceStatus.OK
