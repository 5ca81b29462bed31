"""Rings of RTT: whatever offsets, what is written comes out, and an overwritten block is told."""

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from particle_dev.errors import FormatError
from particle_dev.protocol.rtt import CONTROL_BLOCK_ID, Ring, find_control_block, ring_counts, unpack_ring


def ring(size, write, read):
    return Ring(0, 0, 0x100, size, write, read)


@given(st.data(), st.integers(2, 40))
def test_free_and_used_bytes_make_up_the_ring(data, size):
    one = ring(size, data.draw(st.integers(0, size - 1)), data.draw(st.integers(0, size - 1)))
    cells = [a for pieces in (one.readable(), one.writable()) for start, n in pieces for a in range(start, start + n)]
    assert len(cells) == len(set(cells)) == size - 1
    assert all(0x100 <= a < 0x100 + size for a in cells)


@given(st.integers(2, 16), st.lists(st.tuples(st.binary(max_size=20), st.booleans()), max_size=40))
def test_what_goes_in_comes_out(size, acts):
    cells, write, read = bytearray(0x100 + size), 0, 0
    said, heard = b"", b""
    for data, reads in acts:
        one = ring(size, write, read)
        done = 0
        for start, n in one.writable():
            piece = data[done : done + n]
            cells[start : start + len(piece)] = piece
            done += len(piece)
        said += data[:done]
        write = one.advanced(write, done)
        if reads:
            one = ring(size, write, read)
            got = b"".join(bytes(cells[start : start + n]) for start, n in one.readable())
            heard += got
            read = one.advanced(read, len(got))
            assert ring(size, write, read).readable() == ()
            assert heard == said


@pytest.mark.parametrize(("size", "write", "read"), [(0, 0, 0), (1, 0, 0), (8, 8, 0), (8, 0, 8), (8, 2**32 - 1, 0)])
def test_offsets_outside(size, write, read):
    for pieces in (ring(size, write, read).readable, ring(size, write, read).writable):
        with pytest.raises(FormatError):
            pieces()


def test_control_block():
    header = CONTROL_BLOCK_ID + struct.pack("<II", 3, 2)
    assert find_control_block(b"\1" * 8 + header) == 8
    assert find_control_block(b"\1" * 7 + header) is None
    assert find_control_block(b"\1" * 7 + header + b"\1" + header) == 32
    assert find_control_block(CONTROL_BLOCK_ID[:10] + b"x" * 30) is None
    assert ring_counts(header) == (3, 2)
    assert ring_counts(CONTROL_BLOCK_ID + struct.pack("<II", 1000, 2)) is None
    assert ring_counts(b"x" * 24) is None
    assert unpack_ring(struct.pack("<6I", 1, 2, 3, 4, 5, 6), 9) == Ring(9, 1, 2, 3, 4, 5)
