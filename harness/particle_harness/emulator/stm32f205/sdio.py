"""The SDIO host controller: commands to a card, and the data that follows them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from particle_harness.emulator.core.interrupt_line import InterruptLine
from particle_harness.emulator.peripherals.registers import Register, RegisterBlock, RegisterMap

_WAITS_FOR_REPLY, _ENABLED, _LONG_REPLY = 0x40, 1 << 10, 0xC0
_SEND_OPERATING_CONDITIONS = 5
_NO_INDEX = 0x3F
"""RESPCMD of a reply that carries no index of a command."""
_CRC_FAIL, _TIMED_OUT, _REPLIED, _SENT, _DATA_END, _BLOCK_END = 1 << 0, 1 << 2, 1 << 6, 1 << 7, 1 << 8, 1 << 10
_SENDS, _RECEIVES = 1 << 12, 1 << 13
_HALF_EMPTY, _HALF_FULL, _FULL, _EMPTY_SEND, _EMPTY_RECEIVE = 1 << 14, 1 << 15, 1 << 17, 1 << 18, 1 << 19
_HAS_RECEIVED, _CARD_INTERRUPT = 1 << 21, 1 << 22
_CLEARABLE = 0x00C007FF
_DATA_ENABLED, _FROM_CARD, _USES_DMA, _CARD_INTERRUPTS = 1 << 0, 1 << 1, 1 << 3, 1 << 11
_FIFO_BYTES = 128


class SdioCard(Protocol):
    """What hangs on the bus."""

    def command(self, index: int, argument: int) -> int | None:
        """A command; the 32 bits of its short reply, None when there is none."""
        ...

    def send(self, size_bytes: int) -> bytes:
        """Data that the card gives for the command before, at most that much; nothing when it was none that reads."""
        ...

    def receive(self, data: bytes) -> None:
        """Data for the command before."""
        ...

    @property
    def interrupts(self) -> bool:
        """Whether the card pulls DAT1 to say that it wants attention."""
        ...


class Sdio(RegisterBlock):
    """Commands are over at once, data moves as fast as DMA or the core take it. Without a card each command that wants
    a reply times out. A reply without a CRC (R4, to CMD5) ends in CCRCFAIL, as on the chip.

    The card's interrupt is noted when the card raises it, and again after each command that leaves it raised: on four
    lines a card can say so between transfers alone. Source: SDIO specification 3.0, 8.1.2.
    """

    registers = RegisterMap(
        "SDIO",
        "ST RM0033, Secure digital input/output interface (SDIO), SDIO registers",
        Register("POWER", 0x00),
        Register("CLKCR", 0x04),
        Register("ARG", 0x08),
        Register("CMD", 0x0C),
        Register("RESPCMD", 0x10, access="r"),
        Register("RESP", 0x14, count=4, access="r"),
        Register("DTIMER", 0x24),
        Register("DLEN", 0x28),
        Register("DCTRL", 0x2C),
        Register("DCOUNT", 0x30, access="r"),
        Register("STA", 0x34, access="r"),
        Register("ICR", 0x38, access="w"),
        Register("MASK", 0x3C),
        Register("FIFOCNT", 0x48, access="r"),
        Register("FIFO", 0x80, count=32),
    )

    def __init__(self, line: InterruptLine) -> None:
        self._line = line
        self.card: SdioCard | None = None
        self.on_dma_request: Callable[[], None] | None = None
        """Told when there is data for DMA to move."""
        super().__init__()

    def reset(self) -> None:
        """Off."""
        super().reset()
        self.status = 0
        self.moving = False
        """Whether a data transfer is under way."""
        self.left = 0
        """Bytes of it that have not passed the bus."""
        self.fifo = bytearray()
        self._line.set(False)

    # ---- commands ---------------------------------------------------------------------------------------------------

    def write_cmd(self, value: int) -> None:
        """Send a command."""
        self.stored[0x0C] = value
        if not value & _ENABLED:
            return
        index = value & 0x3F
        reply = self.card.command(index, self.stored[0x08]) if self.card is not None else None
        if not value & _WAITS_FOR_REPLY:
            self.status |= _SENT
        elif reply is None or value & _LONG_REPLY == _LONG_REPLY:
            self.status |= _TIMED_OUT
        else:
            has_index = index != _SEND_OPERATING_CONDITIONS
            self.stored[0x10] = index if has_index else _NO_INDEX
            self.stored[0x14] = reply
            self.status |= _REPLIED if has_index else _CRC_FAIL
        if self.moving:
            self._move()
        self._look_at_card()

    # ---- data -------------------------------------------------------------------------------------------------------

    def write_dctrl(self, value: int) -> None:
        """DTEN starts a transfer of DLEN bytes, which waits for a command that moves data."""
        self.stored[0x2C] = value
        if value & _DATA_ENABLED and not self.moving:
            self.moving = True
            self.left = self.stored[0x28] & 0x01FFFFFF
            self.fifo.clear()
        elif not value & _DATA_ENABLED:
            self.moving = False
        self._move()

    @property
    def _from_card(self) -> bool:
        return bool(self.stored[0x2C] & _FROM_CARD)

    def _move(self) -> None:
        """Have data pass the bus as far as it can."""
        if self.moving and self._from_card and self.left and not self.fifo and self.card is not None:
            data = self.card.send(self.left)
            self.fifo += data
            self.left -= len(data)
        if self.moving and self.stored[0x2C] & _USES_DMA and self.on_dma_request is not None:
            self.on_dma_request()
        self._update()

    def dma_ready(self, *, outward: bool) -> int:
        """Bytes that DMA may read from the FIFO, or write to it (``outward``), now."""
        if not self.moving or not self.stored[0x2C] & _USES_DMA or outward is self._from_card:
            return 0
        return self.left - len(self.fifo) if outward else len(self.fifo)

    def dma_read(self, size_bytes: int) -> bytes:
        """DMA empties the FIFO."""
        data = bytes(self.fifo[:size_bytes])
        del self.fifo[:size_bytes]
        self._finish_if_done()
        return data

    def dma_write(self, data: bytes) -> None:
        """DMA fills it."""
        self.fifo += data
        self._finish_if_done()

    def _finish_if_done(self) -> None:
        if not self.moving:
            return
        if self._from_card:
            done = not self.left and not self.fifo
        else:
            done = len(self.fifo) >= self.left
            if done and self.card is not None:
                self.card.receive(bytes(self.fifo[: self.left]))
            if done:
                self.fifo.clear()
                self.left = 0
        if done:
            self.moving = False
            self.status |= _DATA_END | _BLOCK_END
            self._look_at_card()
        self._update()

    def read_dcount(self) -> int:
        """Bytes that are left of the transfer."""
        return self.left

    def read_fifocnt(self) -> int:
        """Words that are left between core and FIFO."""
        return (self.left + len(self.fifo) + 3) // 4 if self._from_card else (self.left - len(self.fifo) + 3) // 4

    def read_fifo(self, index: int) -> int:  # noqa: ARG002
        """The core takes a word out."""
        return int.from_bytes(self.dma_read(4), "little")

    def write_fifo(self, index: int, value: int) -> None:  # noqa: ARG002
        """The core puts a word in."""
        if self.moving and not self._from_card:
            self.dma_write(value.to_bytes(4, "little"))

    # ---- status -----------------------------------------------------------------------------------------------------

    def card_interrupts(self) -> None:
        """The card has pulled DAT1."""
        self._look_at_card()

    def _look_at_card(self) -> None:
        if self.card is not None and self.card.interrupts and self.stored[0x2C] & _CARD_INTERRUPTS:
            self.status |= _CARD_INTERRUPT
        self._update()

    def read_sta(self) -> int:
        """How the last command ended, and where the data is."""
        value = self.status
        if not self.moving:
            return value
        held = len(self.fifo)
        if self._from_card:
            value |= _RECEIVES | (_HAS_RECEIVED if held else _EMPTY_RECEIVE)
            value |= (_HALF_FULL if held >= _FIFO_BYTES // 4 else 0) | (_FULL if held >= _FIFO_BYTES else 0)
        else:
            value |= _SENDS | _HALF_EMPTY | _EMPTY_SEND
        return value

    def write_icr(self, value: int) -> None:
        """Ones clear."""
        self.status &= ~(value & _CLEARABLE)
        self._update()

    def write_mask(self, value: int) -> None:
        """Interrupts on or off."""
        self.stored[0x3C] = value
        self._update()

    def _update(self) -> None:
        self._line.set(bool(self.read_sta() & self.stored[0x3C]))
