"""Frames, requests and reports of the self-test. That the C service speaks the same is proven in
tests/device/test_selftest_boards.py."""

import json
import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from particle_dev.errors import SelfTestProtocolError
from particle_dev.permissions import Effect
from particle_dev.protocol import selftest
from particle_dev.protocol.request_effects import effects_of
from particle_dev.protocol.selftest import Frame, FrameKind, FrameReader, Measurement, Outcome, SelfTestReport

frames = st.builds(Frame, st.integers(0, 255), st.integers(0, 255), st.binary(max_size=1200))


@given(frames)
def test_a_frame_comes_back(frame):
    encoded = frame.encode()
    assert encoded[0] == encoded[-1] == 0
    assert 0 not in encoded[1:-1]
    assert FrameReader().feed(encoded) == [frame]


@given(st.lists(frames, max_size=4), st.binary(max_size=50), st.data())
def test_frames_in_any_pieces_after_garbage(sent, garbage, data):
    stream = garbage.replace(b"\0", b"x") + b"".join(f.encode() for f in sent)
    reader, got, at = FrameReader(), [], 0
    while at < len(stream):
        size = data.draw(st.integers(1, len(stream) - at))
        got += reader.feed(stream[at : at + size])
        at += size
    assert got == sent


@given(frames, st.data())
def test_a_damaged_frame_is_dropped_and_the_next_one_read(frame, data):
    encoded = bytearray(frame.encode())
    at = data.draw(st.integers(1, len(encoded) - 2))
    encoded[at] ^= 1 << data.draw(st.integers(0, 7))
    reader = FrameReader()
    assert frame not in reader.feed(bytes(encoded))
    assert reader.feed(Frame(1, 2).encode()) == [Frame(1, 2)]
    assert reader.dropped_bytes > 0


def test_runs_of_254_and_255_bytes():
    for size in (253, 254, 255, 508, 509):
        frame = Frame(FrameKind.REPLY, 7, bytes([5]) * size)
        assert FrameReader().feed(frame.encode()) == [frame]


def test_a_frame_byte_by_byte():
    """As firmware/selftest/README.md has it."""
    crc = zlib.crc32(bytes([1, 1, 0, 0])).to_bytes(4, "little")
    assert Frame(FrameKind.PING, 1).encode() == b"\0\x03\x01\x01\x01\x05" + crc + b"\0"
    assert Frame(FrameKind.PING, 1).encode().hex(" ") == "00 03 01 01 01 05 4e d2 3a 98 00"


def test_a_line_without_end_does_not_fill_the_memory():
    reader = FrameReader()
    assert reader.feed(b"x" * 3 * selftest.MAX_FRAME_BYTES) == []
    assert reader.dropped_bytes == 3 * selftest.MAX_FRAME_BYTES


def test_pings_have_no_letters():
    pings = [selftest.ping(n) for n in range(200)]
    assert len({p.sequence for p in pings}) > 50
    for ping in pings:
        assert not any(chr(b).isalpha() for b in ping.encode() if b < 0x80)


def test_answers_that_are_too_short():
    with pytest.raises(SelfTestProtocolError):
        selftest.decode_pong(Frame(FrameKind.PONG, 1, b"\1"))
    with pytest.raises(SelfTestProtocolError):
        selftest.decode_reply(Frame(FrameKind.REPLY, 1, b"\0\0\0"))
    assert selftest.decode_reply(Frame(FrameKind.REPLY, 1, b"\x88\xff\xff\xff{}")) == (-120, b"{}")


def test_start_request():
    assert json.loads(selftest.start_request("adc", 7)) == {"c": "t", "t": "adc", "n": 7}
    request = selftest.start_request("publish", 8, {"name": "a", "n": 1, "b": True}, may_connect=True)
    assert json.loads(request) == {
        "c": "t",
        "t": "publish",
        "n": 8,
        "may_connect": True,
        "p": {"name": "a", "n": 1, "b": True},
    }
    with pytest.raises(ValueError, match="takes 384"):
        selftest.start_request("publish", 1, {"data": "x" * 384})


def test_what_can_go_online_needs_the_permission():
    assert effects_of(10, selftest.start_request("publish", 1, may_connect=True)) == (Effect.CONNECT,)
    assert effects_of(10, b'{"c":"t","m\\u0061y_connect":true}') == (Effect.CONNECT,)
    assert effects_of(10, selftest.start_request("publish", 1)) == ()


REPORT = {
    "test": "adc",
    "n": 3,
    "result": "failed",
    "message": "too high",
    "lost": 1,
    "values": [
        {"name": "A0", "unit": "mV", "value": 12, "min": 0, "max": 10, "ok": False},
        {"name": "gain", "unit": "1", "value": 2},
        {"name": "part", "text": "MCP3208"},
    ],
}


def test_report():
    report = selftest.decode_report(json.dumps(REPORT).encode())
    values = (Measurement("A0", 12, "mV", 0, 10), Measurement("gain", 2, "1"), Measurement("part", "MCP3208"))
    assert report == SelfTestReport("adc", 3, Outcome.FAILED, "too high", 1, values)
    assert [v.ok for v in values] == [False, True, True]
    assert [str(v) for v in values] == ["A0 12 mV (0 to 10)", "gain 2 1", "part MCP3208"]


@pytest.mark.parametrize(
    "change",
    [
        {"result": "running"},
        {"result": ""},
        {"n": "3"},
        {"n": 1.5},
        {"lost": None},
        {"values": [{"name": "A0", "unit": "mV", "value": "12"}]},
        {"values": [{"name": "A0", "value": 12}]},
        {"values": [{"name": "A0", "unit": "mV", "value": True}]},
        {"values": 3},
    ],
)
def test_malformed_reports(change):
    with pytest.raises(SelfTestProtocolError, match="malformed"):
        selftest.decode_report(json.dumps(REPORT | change).encode())


@pytest.mark.parametrize("data", [b"", b"[]", b"{", b"\xff", b"[" * 100_000], ids=lambda d: str(d[:4]))
def test_what_is_no_object(data):
    with pytest.raises(SelfTestProtocolError, match="no JSON object"):
        selftest.decode_report(data)
    with pytest.raises(SelfTestProtocolError, match="no JSON object"):
        selftest.decode_description(data)


def test_description():
    good = {"version": 1, "tests": [{"name": "adc", "may_connect": False}]}
    assert [t.name for t in selftest.decode_description(json.dumps(good).encode())] == ["adc"]
    with pytest.raises(SelfTestProtocolError, match="version 2"):
        selftest.decode_description(json.dumps(good | {"version": 2}).encode())
    with pytest.raises(SelfTestProtocolError, match="malformed"):
        selftest.decode_description(json.dumps(good | {"tests": [{"name": "adc"}]}).encode())
