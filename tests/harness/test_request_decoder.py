"""How Device OS reads messages, as run on an emulated board."""

import pytest
from particle_harness.usb.decoder import ENUMERATION, FLAG, Data, MalformedError, Message, Number, Text, decode
from particle_harness.usb.request_pool import RequestPool, pool_of
from particle_harness.usb.wire import bytes_field, number_field

NUMBER = {1: Number()}


@pytest.mark.parametrize(
    ("fields", "message", "values"),
    [
        (NUMBER, b"", {}),
        (NUMBER, b"\x08\x05", {1: 5}),
        (NUMBER, b"\x08\x05\x08\x06", {1: 6}),
        (NUMBER, b"\x08\x05\x00\xff\xff", {1: 5}),
        (NUMBER, b"\x08\xff\xff\xff\xff\x0f", {1: 0xFFFFFFFF}),
        (NUMBER, b"\x10\x05\x1a\x02xy\x25abcd\x29abcdefgh\x08\x07", {1: 7}),
        # The number of a field of another type is read as what the receiver expects.
        (NUMBER, b"\x0a\x02\x08\x09", {1: 9}),
        ({1: Text(3)}, b"\x08\x02ab", {1: b"ab"}),
        ({1: Data()}, bytes_field(1, bytes(300)), {1: bytes(300)}),
        ({1: Data()}, b"\x08\x96\x01", {1: b"\x96\x01"}),
        ({2: Message({1: Data(), 4: FLAG})}, bytes_field(2, b"\x0a\x01x\x20\x01"), {2: {1: b"x", 4: 1}}),
    ],
)
def test_what_is_read(fields, message, values):
    assert decode(message, fields) == values


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        (NUMBER, b"\x08"),
        (NUMBER, b"\x08\x80\x80\x80\x80\x10"),
        (NUMBER, b"\x08" + b"\xff" * 10 + b"\x01"),
        (NUMBER, b"\xff\xff\xff\xff\x7f\x01"),
        (NUMBER, b"\x13"),
        (NUMBER, b"\x12\x05ab"),
        ({1: ENUMERATION}, number_field(1, 256)),
        ({1: FLAG}, number_field(1, 256)),
        ({1: Text(3)}, bytes_field(1, b"abcd")),
        ({1: Data()}, b"\x0c"),
        ({2: Message({1: FLAG})}, bytes_field(2, b"\x08")),
    ],
)
def test_what_is_refused(fields, message):
    with pytest.raises(MalformedError):
        decode(message, fields)


def test_a_tag_may_be_written_with_the_sign_of_64_bits():
    assert decode(b"\xf8\xff\xff\xff\xff\xff\xff\xff\xff\x01\x05\x08\x07", NUMBER) == {1: 7}


def test_blocks_of_the_pool_keep_their_size_until_the_end_comes_back_to_them():
    pool = RequestPool()
    first, second, third = (pool.allocate(64) for _ in range(3))
    assert (first, second, third) == (0, 76, 152)
    pool.free(second)
    # The end comes first.
    assert pool.allocate(10) == 228
    assert pool.allocate(200) == 248
    assert pool.allocate(40) == 460
    assert pool.allocate(69) is None
    # A block that is larger than what is asked for stays as large.
    assert pool.allocate(10) == second
    pool.free(second)
    assert pool.allocate(64) == second


def test_what_is_free_at_the_end_is_room_again():
    pool = RequestPool()
    blocks = [pool.allocate(64) for _ in range(6)]
    assert pool.allocate(64) is None
    for block in blocks:
        pool.free(block)
    assert pool.allocate(500) == 0


@pytest.mark.parametrize(
    ("version", "is_rtl872x", "requests"),
    [
        (2101, False, 6),
        (2202, False, 6),
        (3001, False, 6),
        (5300, False, 6),
        (5300, True, 12),
        (6200, True, 102),
    ],
)
def test_how_many_requests_find_room(version, is_rtl872x, requests):
    pool = pool_of(version, is_rtl872x=is_rtl872x)
    assert sum(pool.allocate(pool.request_bytes) is not None for _ in range(200)) == requests


@pytest.mark.parametrize(
    ("version", "request_bytes"), [(2101, 64), (2200, 64), (2201, 68), (3000, 64), (3102, 64), (3103, 68), (6200, 68)]
)
def test_a_request_has_grown_by_a_word(version, request_bytes):
    """Six find room all the same, and no payload beside them."""
    assert pool_of(version, is_rtl872x=False).request_bytes == request_bytes
