"""DFU acts on scripted replies."""

import pytest

from particle_dev.errors import DfuProtocolError
from particle_dev.protocol import dfu
from particle_dev.protocol.dfu import DfuState, DfuStatusCode
from particle_dev.protocol.usb import ControlIn, ControlOut, ControlQueue, Stall, Wait


def status(state, code=0, poll_ms=0):
    return bytes([code]) + poll_ms.to_bytes(3, "little") + bytes([state, 0])


IDLE, SYNC, BUSY, DN_IDLE, MANIFEST_SYNC, MANIFEST, UP_IDLE, ERROR = (status(s) for s in (2, 3, 4, 5, 6, 7, 9, 10))


def converse(machine, replies):
    actions, reply = [], None
    replies = list(replies)
    try:
        while True:
            action = machine.send(reply)
            if isinstance(action, ControlQueue):
                actions.extend(action.transfers)
                reply = tuple(replies.pop(0) for _ in action.transfers)
                continue
            actions.append(action)
            reply = None if isinstance(action, Wait) else replies.pop(0)
    except StopIteration as done:
        assert not replies
        return actions, done.value


def requests(actions):
    return [(a.b_request, a.w_value) for a in actions if not isinstance(a, Wait)]


def test_decode_status():
    got = dfu.decode_status(bytes.fromhex("0ef401000a07"))
    assert (got.status, got.poll_timeout_ms, got.state, got.string_index) == (
        DfuStatusCode.ERR_UNKNOWN,
        500,
        DfuState.DFU_ERROR,
        7,
    )


@pytest.mark.parametrize("data", [b"", b"\0" * 5, b"\0" * 7, bytes([0, 0, 0, 0, 11, 0]), bytes([16, 0, 0, 0, 2, 0])])
def test_malformed_status(data):
    with pytest.raises(DfuProtocolError) as error:
        dfu.decode_status(data)
    # Who asks may be one that flashes nothing.
    assert str(error.value.hint).startswith("run it again; a flash that was under way")


def test_set_address_is_a_download_of_block_0():
    actions, _ = converse(dfu.set_address(0x30000), [None, BUSY, DN_IDLE])
    assert actions[0] == ControlOut(0x21, 1, 0, 0, bytes.fromhex("2100000300"))
    assert requests(actions) == [(1, 0), (3, 0), (3, 0)]


def test_erase():
    actions, _ = converse(dfu.erase_sector(0x080A0000), [None, BUSY, DN_IDLE])
    assert actions[0].data == bytes.fromhex("4100000a08")


def test_poll_timeout_is_obeyed():
    actions, _ = converse(dfu.write_block(3, b"abcd", 0x3000), [None, status(4, poll_ms=250), DN_IDLE])
    assert actions[0] == ControlOut(0x21, 1, 5, 0, b"abcd")
    assert [a.duration_s for a in actions if isinstance(a, Wait)] == [0.25]


@pytest.mark.parametrize(
    ("busy", "seconds"), [(BUSY, 0), (status(4, poll_ms=50_000), 100), (status(4, poll_ms=0xFFFFFF), 0)]
)
def test_a_device_that_is_busy_for_ever_is_given_up(busy, seconds):
    machine, waited_s, reply = dfu.erase_sector(0x30000), 0, None
    with pytest.raises(DfuProtocolError, match="does not end"):
        while True:
            action = machine.send(reply)
            waited_s += action.duration_s if isinstance(action, Wait) else 0
            reply = busy if isinstance(action, ControlIn) else None
    assert waited_s == seconds


def test_block_longer_than_the_buffer_never_leaves():
    with pytest.raises(ValueError, match="4097"):
        next(dfu.write_block(0, bytes(4097), 0))


def test_refused_download_names_address_and_status():
    with pytest.raises(DfuProtocolError) as e:
        converse(dfu.erase_sector(0xF5000), [None, BUSY, status(10, code=0x0E)])
    assert e.value.fields() == {"status": 0x0E, "state": 10, "address": 0xF5000}
    assert "0x000f5000" in str(e.value)


def test_protected_device_is_named():
    with pytest.raises(DfuProtocolError, match="protected"):
        converse(dfu.erase_sector(0x30000), [None, BUSY, status(10, code=0x0B)])


@pytest.mark.parametrize(
    ("answer", "what"),
    [
        (status(10, code=0x0E), "ERASE at 0x00030000 failed: ERR_UNKNOWN in DFU_ERROR"),
        (DN_IDLE, "ERASE at 0x00030000 failed: GETSTATUS was answered by a stall"),
        (Stall(), "ERASE at 0x00030000 failed: GETSTATUS was answered by a stall"),
    ],
)
def test_failed_work_stalls_its_status(answer, what):
    with pytest.raises(DfuProtocolError, match=what) as caught:
        converse(dfu.erase_sector(0x30000), [None, Stall(), answer])
    assert caught.value.address == 0x30000


def test_stalled_download():
    with pytest.raises(DfuProtocolError) as e:
        converse(dfu.set_address(0), [Stall(), status(10, code=0x0F)])
    assert e.value.status == DfuStatusCode.ERR_STALLEDPKT


def test_upload_reads_blocks_from_the_address():
    actions, data = converse(
        dfu.upload(0x30000, 5000), [IDLE, None, BUSY, DN_IDLE, None, b"a" * 4096, b"b" * 904, None]
    )
    assert data == b"a" * 4096 + b"b" * 904
    uploads = [(a.w_value, a.w_length) for a in actions if isinstance(a, ControlIn) and a.b_request == 2]
    assert uploads == [(2, 4096), (3, 904)]
    assert requests(actions)[-1] == (6, 0)


def test_some_blocks_of_a_range_are_read_a_few_at_a_time():
    blocks = [0, 3, 4, *range(20, 30)]
    pieces = [bytes([n]) * 4096 for n in blocks[:-1]] + [b"end"]
    machine = dfu.upload_blocks(0x30000, 29 * 4096 + 3, blocks)
    queues, reply, left = [], None, list(pieces)
    answers = iter([IDLE, None, BUSY, DN_IDLE, None])
    with pytest.raises(StopIteration) as done:
        while True:
            action = machine.send(reply)
            if isinstance(action, ControlQueue):
                queues.append([(a.w_value, a.w_length) for a in action.transfers])
                reply = tuple(left.pop(0) for _ in action.transfers)
            else:
                reply = next(answers, None)
    assert done.value.value == pieces
    assert [len(queue) for queue in queues] == [8, 5]
    assert queues[0][:3] == [(2, 4096), (5, 4096), (6, 4096)]
    assert queues[1][-1] == (31, 3)


STEPS = [dfu.erasing(0x40000), dfu.addressing(0x40000), dfu.writing(0, b"data", 0x40000)]
DONE = [None, BUSY, DN_IDLE]


def test_queued_downloads_are_those_of_single_ones():
    queued, _ = converse(dfu.download_all(STEPS, 1), DONE * 3)
    singles = []
    for machine in (dfu.erase_sector(0x40000, 1), dfu.set_address(0x40000, 1), dfu.write_block(0, b"data", 0x40000, 1)):
        actions, at_once = converse(machine, DONE)
        assert at_once
        singles += actions
    assert queued == singles


@pytest.mark.parametrize(
    ("replies", "what"),
    [
        ([None, BUSY, ERROR, Stall(), ERROR, ERROR, Stall(), ERROR, ERROR], "ERASE at 0x00040000"),
        ([*DONE, Stall(), ERROR, ERROR, Stall(), ERROR, ERROR], "SET_ADDRESS"),
        ([*DONE, *DONE, None, BUSY, ERROR], "DNLOAD at"),
        ([*DONE, *DONE, None, BUSY, BUSY], "DNLOAD at"),
        ([*DONE, *DONE, None, Stall(), Stall(), Stall()], "stall"),
        ([*DONE, *DONE, None, Stall(), ERROR], "DNLOAD at 0x[0-9a-f]+ failed: .* in DFU_ERROR"),
        ([*DONE, *DONE, None, Stall(), DN_IDLE], "DNLOAD at 0x[0-9a-f]+ failed: GETSTATUS was answered by"),
    ],
)
def test_first_queued_download_that_fails_is_named(replies, what):
    with pytest.raises(DfuProtocolError, match=what):
        converse(dfu.download_all(STEPS), replies)


@pytest.mark.parametrize(
    "answers", [[status(4, poll_ms=1), DN_IDLE], [BUSY, SYNC, DN_IDLE]], ids=["time to wait", "a third question"]
)
def test_device_that_needs_time_is_not_one_for_queues(answers):
    assert converse(dfu.erase_sector(0x40000), [None, *answers])[1] is False


def test_short_upload():
    with pytest.raises(DfuProtocolError, match="0x00031000"):
        converse(dfu.upload(0x30000, 8192), [IDLE, None, BUSY, DN_IDLE, None, b"a" * 4096, b"b", ERROR])


@pytest.mark.parametrize(
    ("replies", "expected"),
    [
        ([IDLE], [(3, 0)]),
        ([DN_IDLE, None, IDLE], [(3, 0), (6, 0), (3, 0)]),
        ([ERROR, None, IDLE], [(3, 0), (4, 0), (3, 0)]),
        ([Stall(), Stall(), ERROR, None, IDLE], [(3, 0), (4, 0), (3, 0), (4, 0), (3, 0)]),
        (
            [
                SYNC,
                BUSY,
                DN_IDLE,
                None,
            ],
            None,
        ),
    ],
    ids=["idle", "after a write", "after an error", "manifest window", "never"],
)
def test_go_idle(replies, expected):
    if expected is None:
        with pytest.raises(DfuProtocolError):
            converse(dfu.go_idle(), [*replies, SYNC])
    else:
        actions, _ = converse(dfu.go_idle(), replies)
        assert requests(actions) == expected


@pytest.mark.parametrize(
    ("announced", "state"), [(MANIFEST, DfuState.DFU_MANIFEST), (DN_IDLE, DfuState.DFU_DNLOAD_IDLE)]
)
def test_leave_asks_for_status_exactly_once(announced, state):
    actions, result = converse(dfu.leave(), [IDLE, None, announced])
    assert result is state
    assert requests(actions) == [(3, 0), (1, 2), (3, 0)]
    assert actions[1].data == b""
