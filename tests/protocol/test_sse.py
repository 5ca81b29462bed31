"""Server-sent events against the standard's examples, a second parser written line by line, and any way to cut it."""

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from particle_dev.errors import ProtocolError
from particle_dev.protocol.sse import SseEvent, SseParser


def parse(data, cuts=()):
    parser, events = SseParser(), []
    edges = [0, *sorted(cuts), len(data)]
    for start, end in itertools.pairwise(edges):
        events += parser.feed(data[start:end])
    return events


def reference(text):
    """The standard's algorithm, a line at a time."""
    text = text.removeprefix("\ufeff").replace("\r\n", "\n").replace("\r", "\n")
    *lines, _unfinished = text.split("\n")
    events, name, data = [], "", []
    for line in lines:
        if not line:
            if "\n".join(data):
                events.append(SseEvent(name or "message", "\n".join(data).encode()))
            name, data = "", []
            continue
        field, _, value = line.partition(":")
        value = value.removeprefix(" ")
        if field == "event":
            name = value
        elif field == "data":
            data.append(value)
    return events


CLOUD = b':ok\n\nevent: spark/status\ndata: {"data":"online"}\n\n\n\n\nevent: b\ndata: {}\n\n'


def test_what_the_cloud_sends():
    assert parse(CLOUD) == [SseEvent("spark/status", b'{"data":"online"}'), SseEvent("b", b"{}")]


@pytest.mark.parametrize(
    "data", [CLOUD, CLOUD.replace(b"\n", b"\r\n"), CLOUD.replace(b"\n", b"\r"), b"\xef\xbb\xbf" + CLOUD]
)
def test_every_end_of_line_cut_anywhere(data):
    expected = parse(CLOUD)
    assert parse(data + b"x") == expected
    assert parse(data + b"x", range(len(data))) == expected
    for cut in range(len(data)):
        assert parse(data + b"x", [cut]) == expected


@pytest.mark.parametrize(
    ("data", "events"),
    [
        ("data: a\ndata: b\ndata:c\n\n", [("message", b"a\nb\nc")]),
        ("event: x\ndata\n\ndata\ndata\n\n", [("message", b"\n")]),
        (": comment\nevent: e\n: more\ndata:  two spaces\n\n", [("e", b" two spaces")]),
        ("event: e\ndata: a:b\nid: 7\nretry: 1\n\n", [("e", b"a:b")]),
        ("data: first\n\nevent: gone\n\ndata: second\n\n", [("message", b"first"), ("message", b"second")]),
        ("event: e\ndata: \n\n", []),
        ("event: e\ndata: never finished\n", []),
        ("event:\ndata: x\n\n", [("message", b"x")]),
        ("event: a\nevent: b\ndata: x\n\n", [("b", b"x")]),
        ("Event: e\nDATA: x\n\n", []),
        ("event: é\ndata: ü\n\n", [("é", "ü".encode())]),
    ],
)
def test_cases_of_the_standard(data, events):
    assert parse(data.encode()) == events == reference(data)


LINE = st.one_of(
    st.sampled_from(
        [
            "event: e",
            "data: {}",
            "data:x",
            "data",
            "",
            "",
            ":",
            ": c",
            "event:",
            "event: ",
            "data: ",
            "id: 1",
            "event",
            "\ufeff",
        ]
    ),
    st.text(alphabet="abde:t \u00e9", max_size=8),
)


@given(st.lists(st.tuples(LINE, st.sampled_from(["\n", "\r\n", "\r"])), max_size=30), st.data())
def test_any_stream_cut_any_way_is_what_the_standard_says(lines, data):
    text = "".join(line + end for line, end in lines) + "x"
    raw = text.encode()
    cuts = data.draw(st.lists(st.integers(0, len(raw)), max_size=6))
    assert parse(raw, cuts) == reference(text)


@given(st.binary(max_size=200), st.binary(max_size=200))
def test_no_bytes_are_too_strange(first, second):
    parser = SseParser()
    parser.feed(first)
    parser.feed(second)


def test_an_event_without_an_end_does_not_fill_the_memory():
    parser = SseParser(max_event_bytes=1000)
    for _ in range(100):
        parser.feed(b"\n" * 50 + b":x\n\n")
    with pytest.raises(ProtocolError, match="longer than 1000"):
        for _ in range(100):
            parser.feed(b"data: 0123456789")
