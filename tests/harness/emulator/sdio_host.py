"""A driver of the STM32F205's SDIO in Python: it does with registers what firmware does."""

from particle_harness.clock import VirtualClock
from particle_harness.emulator.stm32f205.chip import EmulatedStm32f205
from particle_harness.nor_flash import NorFlash

from particle_dev.catalog.flash_chips import STM32F205_FLASH

SDIO, DMA2, STREAM, RCC, GPIO_C = 0x40012C00, 0x40026400, 3, 0x40023800, 0x40020800
ARG, CMD, RESPCMD, RESP, DLEN, DCTRL, DCOUNT, STA, ICR, MASK, FIFO = (
    SDIO + offset for offset in (0x08, 0x0C, 0x10, 0x14, 0x28, 0x2C, 0x30, 0x34, 0x38, 0x3C, 0x80)
)
SHORT_REPLY, ENABLE = 1 << 6, 1 << 10
CRC_FAIL, TIMED_OUT, REPLIED, SENT, DATA_END, HAS_RECEIVED, CARD_INTERRUPT = 1, 4, 64, 128, 256, 1 << 21, 1 << 22
DATA, FROM_CARD, USES_DMA, IO_MODE = 1, 2, 8, 1 << 11
BUFFER = 0x20001000
UNIQUE_ID = bytes.fromhex("3a0037000f47343638323034")


def new_chip():
    flash = NorFlash(STM32F205_FLASH, VirtualClock(), delays=False)
    # A loop at its reset vector, with the stack at the end of RAM.
    flash.load(0x08000000, bytes.fromhex("00000220 09000008 fee7"))
    return EmulatedStm32f205(UNIQUE_ID, flash, None)


class SdioHost:
    """``by_dma``: data is moved by stream 3 of DMA2, else by the core."""

    def __init__(self, chip, *, by_dma=True):
        self.chip = chip
        self.by_dma = by_dma

    def write(self, address, value):
        self.chip.bus.write(address, value.to_bytes(4, "little"))

    def read(self, address):
        return self.chip.bus.read_word(address)

    def wait(self, duration_s):
        self.chip.processor.run(self.chip.timeline.cycles + self.chip.timeline.cycles_of(duration_s))

    def command(self, index, argument=0):
        """Status after a command that wants a short reply, and the reply."""
        self.write(ICR, 0xFFFFFFFF)
        self.write(ARG, argument)
        self.write(CMD, index | SHORT_REPLY | ENABLE)
        return self.read(STA), self.read(RESP)

    def find(self):
        """Enumerate and select."""
        self.command(0)
        assert self.command(5) == (CRC_FAIL, 0xA0FFFF00)
        status, reply = self.command(3)
        assert status == REPLIED
        assert self.command(7, reply & 0xFFFF0000)[0] == REPLIED

    def direct(self, function, address, value=None):
        """CMD52; the byte that comes back."""
        argument = function << 28 | address << 9 | (0 if value is None else 1 << 31 | value)
        status, reply = self.command(52, argument)
        assert status & ~CARD_INTERRUPT == REPLIED
        assert not reply & 0xCB00, hex(reply)
        return reply & 0xFF

    def extended(self, function, address, size=None, data=None, block=None, *, increments=True):
        """CMD53; the data when it reads."""
        size = len(data) if data is not None else size
        count = size // block if block else size & 0x1FF
        argument = function << 28 | address << 9 | count | bool(block) << 27 | increments << 26
        argument |= (data is not None) << 31
        self.write(DLEN, size)
        self.write(ICR, 0xFFFFFFFF)
        control = DATA | IO_MODE | (FROM_CARD if data is None else 0) | (USES_DMA if self.by_dma else 0)
        self.write(DCTRL, control)
        self.write(ARG, argument)
        self.write(CMD, 53 | SHORT_REPLY | ENABLE)
        assert self.read(STA) & REPLIED
        return self._by_dma(size, data) if self.by_dma else self._by_core(size, data)

    def _by_dma(self, size, data):
        base = DMA2 + 0x10 + 0x18 * STREAM
        if data is not None:
            self.chip.bus.write(BUFFER, data)
        self.write(DMA2 + 0x08, 0x0FC00000)
        for offset, value in ((4, size // 4), (8, FIFO), (12, BUFFER)):
            self.write(base + offset, value)
        # Channel 4, words, memory increments, the peripheral ends the transfer.
        self.write(base, 4 << 25 | 2 << 13 | 2 << 11 | 1 << 10 | (data is not None) << 6 | 1 << 5 | 1)
        assert self.read(DMA2) >> 27 & 1
        assert not self.read(base) & 1
        assert self.read(STA) & DATA_END
        return self.chip.bus.read(BUFFER, size) if data is None else None

    def _by_core(self, size, data):
        if data is not None:
            for start in range(0, size, 4):
                self.write(FIFO, int.from_bytes(data[start : start + 4], "little"))
            assert self.read(STA) & DATA_END
            return None
        words = b""
        while self.read(STA) & HAS_RECEIVED:
            words += self.read(FIFO).to_bytes(4, "little")
        assert self.read(STA) & DATA_END
        return words[:size]
