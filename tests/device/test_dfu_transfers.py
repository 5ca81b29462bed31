"""What a DFU session does not send: addresses that stand, and reads whose answer is known."""

import pytest
from particle_harness.bench_toml import stand_ins
from particle_harness.usb.trace import describe, trace_control_transfers

from particle_dev.device.dfu import INTERNAL_FLASH_ALT, DfuSession
from particle_dev.device.discovery import wait_for_device
from particle_dev.station.bench import open_bench

BLOCK = 4096
START = {"boron": 0x40000, "p2": 0x08070000, "photon": 0x08020000, "electron": 0x08020000}


@pytest.fixture
def opened():
    """A session with a virtual board in DFU mode, the board, and what is sent from then on."""
    closing = []

    def make(platform):
        slots = [{"name": "1", "platform": platform, "arrives_in": "dfu"}]
        options = {"delays": "none", "clock": "virtual"}
        bench = open_bench("virtual", options=options, slots=slots, factory_modules=stand_ins)
        (slot,) = bench.slots
        session = DfuSession(slot.host, wait_for_device(slot.host, slot.port_path, 10))
        closing.extend((bench, session))
        seen, board = [], bench.driver.board("1")
        trace_control_transfers(board, lambda record: seen.append(describe(record)))
        return session, board, seen

    yield make
    for closable in reversed(closing):
        closable.close()


def of_kind(seen, word):
    return [text for text in seen if text.startswith(word)]


@pytest.mark.parametrize("platform", START)
def test_blocks_in_a_row_need_one_address_unless_an_erase_moves_it(opened, platform):
    session, board, seen = opened(platform)
    start = START[platform]
    sectors = session.sectors(start, 8 * BLOCK)
    data = [bytes([number]) * BLOCK for number in range(8)]
    for number, block in enumerate(data):
        address = start + number * BLOCK
        for sector in sectors:
            if sector.address == address:
                session.erase_sector(sector)
        session.write(address, block)
    assert board.internal.read(start, 8 * BLOCK) == b"".join(data)
    assert len(of_kind(seen, "DNLOAD SET_ADDRESS")) == 1
    # Back to the beginning, where an erase may have moved the address; then not by whole blocks.
    session.erase_sector(sectors[0])
    session.write(start, data[7])
    session.write(start + 64, data[7][:64])
    assert len(of_kind(seen, "DNLOAD SET_ADDRESS")) == (3 if platform in ("photon", "electron") else 2)
    assert board.internal.read(start, BLOCK) == data[7]


@pytest.mark.parametrize("platform", START)
def test_an_erase_in_between(opened, platform):
    session, board, _ = opened(platform)
    start = START[platform]
    far = session.sectors(start, 0x30000)[-1]
    first = session.sectors(start, 1)[0]
    session.erase_sector(first)
    session.write(start, b"\x01" * BLOCK)
    session.erase_sector(far)
    session.write(start + BLOCK, b"\x02" * BLOCK) if first.size_bytes > BLOCK else session.write(
        far.address, b"\x02" * BLOCK
    )
    written = start + BLOCK if first.size_bytes > BLOCK else far.address
    assert board.internal.read(written, BLOCK) == b"\x02" * BLOCK
    assert board.internal.read(start, BLOCK) == b"\x01" * BLOCK


def test_a_block_without_data_is_refused(opened):
    """The device would take it for the request to leave, and boot."""
    session, board, seen = opened("boron")
    with pytest.raises(ValueError, match="1 to 4096"):
        session.write(START["boron"], b"")
    assert of_kind(seen, "DNLOAD 2") == []
    assert board.state.runs == "dfu"


def test_what_was_read_is_not_read_again_until_it_changes(opened):
    session, board, seen = opened("boron")
    start = START["boron"]
    before = session.read(INTERNAL_FLASH_ALT, start - 100, 4 * BLOCK)
    assert before == board.internal.read(start - 100, 4 * BLOCK)
    seen.clear()
    assert session.read(INTERNAL_FLASH_ALT, start + 10, 3 * BLOCK - 110) == before[110:][: 3 * BLOCK - 110]
    assert seen == []
    # A page that was read in part is read.
    assert session.read(INTERNAL_FLASH_ALT, start - 100, 8) == before[:8]
    assert of_kind(seen, "UPLOAD")
    seen.clear()
    session.erase_sector(session.sectors(start, 1)[0])
    assert session.read(INTERNAL_FLASH_ALT, start, 2 * BLOCK) == b"\xff" * BLOCK + before[100 + BLOCK :][:BLOCK]
    session.write(start, b"\x05" * BLOCK)
    seen.clear()
    assert session.read(INTERNAL_FLASH_ALT, start, BLOCK) == b"\x05" * BLOCK
    assert len(of_kind(seen, "UPLOAD")) == 1
