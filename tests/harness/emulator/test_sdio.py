"""The SDIO host controller and the DMA streams that wait for it, with a card that keeps what it is given."""

import pytest

from tests.harness.emulator.sdio_host import (
    ARG,
    BUFFER,
    CARD_INTERRUPT,
    CMD,
    DATA,
    DCOUNT,
    DCTRL,
    DLEN,
    DMA2,
    ENABLE,
    FIFO,
    FROM_CARD,
    ICR,
    IO_MODE,
    MASK,
    RCC,
    REPLIED,
    RESPCMD,
    SENT,
    STA,
    STREAM,
    TIMED_OUT,
    USES_DMA,
    SdioHost,
    new_chip,
)

INTERRUPT = 49


class Card:
    """CMD53 to function 1 moves ``kept``."""

    def __init__(self):
        self.kept = bytearray(range(200))
        self.asked = None
        self.interrupts = False

    def command(self, index, argument):
        self.asked = (argument >> 31, argument & 0x1FF) if index == 53 else None
        return {3: 0x10000, 5: 0xA0FFFF00, 52: 0x1000 | argument & 0xFF, 53: 0x1000}.get(index)

    def send(self, size_bytes):
        if self.asked is None or self.asked[0]:
            return b""
        count, self.asked = self.asked[1], None
        return bytes(self.kept[: min(size_bytes, count)])

    def receive(self, data):
        if self.asked is not None and self.asked[0]:
            self.kept[: len(data)] = data


@pytest.fixture
def chip():
    chip = new_chip()
    chip.power_on()
    chip.sdio.card = Card()
    return chip


@pytest.fixture
def host(chip):
    return SdioHost(chip)


def test_without_a_card_every_command_that_wants_a_reply_times_out(chip, host):
    chip.sdio.card = None
    assert host.command(5)[0] == TIMED_OUT
    host.write(ICR, 0xFFFFFFFF)
    host.write(CMD, 0 | ENABLE)
    assert host.read(STA) == SENT


def test_replies_carry_the_number_of_their_command_but_for_that_of_command_5(host):
    assert host.command(3) == (REPLIED, 0x10000)
    assert host.read(RESPCMD) == 3
    host.command(5)
    assert host.read(RESPCMD) == 0x3F
    assert host.command(0)[0] == TIMED_OUT


@pytest.mark.parametrize("by_dma", [True, False])
def test_data_moves_both_ways(chip, by_dma):
    host = SdioHost(chip, by_dma=by_dma)
    assert host.extended(1, 0, 64) == bytes(range(64))
    host.extended(1, 0, data=b"abcdefgh")
    assert host.extended(1, 0, 12) == b"abcdefgh" + bytes([8, 9, 10, 11])
    assert host.read(DCOUNT) == 0


def test_a_stream_that_is_switched_on_first_waits_for_the_command(chip, host):
    base = DMA2 + 0x10 + 0x18 * STREAM
    for offset, value in ((4, 2), (8, FIFO), (12, BUFFER)):
        host.write(base + offset, value)
    # It counts items by itself.
    host.write(base, 4 << 25 | 2 << 13 | 2 << 11 | 1 << 10 | 1)
    host.write(DLEN, 8)
    host.write(DCTRL, DATA | FROM_CARD | USES_DMA | IO_MODE)
    assert host.read(base) & 1
    host.write(ARG, 1 << 28 | 8)
    host.write(CMD, 53 | 1 << 6 | ENABLE)
    assert not host.read(base) & 1
    assert chip.bus.read(BUFFER, 12) == bytes(range(8)) + bytes(4)


def test_interrupts_of_the_card_are_noted_when_it_raises_them_and_while_it_keeps_them(chip, host):
    card, line = chip.sdio.card, chip.processor.interrupt_line(INTERRUPT)
    host.write(MASK, CARD_INTERRUPT)
    card.interrupts = True
    chip.sdio.card_interrupts()
    assert not line.level
    host.write(DCTRL, IO_MODE)
    chip.sdio.card_interrupts()
    assert line.level
    host.write(ICR, CARD_INTERRUPT)
    assert not line.level
    host.command(52)
    assert line.level
    card.interrupts = False
    host.command(52)
    assert not line.level


def test_the_end_of_a_command_interrupts_when_it_is_wanted(chip, host):
    line = chip.processor.interrupt_line(INTERRUPT)
    host.command(52)
    assert not line.level
    host.write(MASK, REPLIED)
    assert line.level
    host.write(ICR, REPLIED)
    assert not line.level


def test_a_reset_by_rcc_forgets_a_transfer_that_was_begun(chip, host):
    host.write(DLEN, 4)
    host.write(DCTRL, DATA | USES_DMA | IO_MODE)
    host.write(RCC + 0x24, 1 << 11)
    host.write(RCC + 0x24, 0)
    assert host.read(DCTRL) == 0
    assert host.extended(1, 0, 64) == bytes(range(64))
