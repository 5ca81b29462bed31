"""NVMC and QSPI obey the rules of NOR flash, on objects that others share."""

import pytest
from particle_harness.clock import VirtualClock
from particle_harness.emulator.nrf52840.memory_controller import MemoryController
from particle_harness.emulator.nrf52840.qspi import OTP_SIZE_BYTES, SerialFlashController
from particle_harness.nor_flash import NorFlash
from particle_harness.swd.bus import Memory

from particle_dev.catalog.flash_chips import NRF52840_FLASH, qspi_flash

from .rig import INTENSET, RAM, Rig

MIB = 1 << 20
CONFIG, ERASEPAGE, ERASEALL, ERASEUICR = 0x504, 0x508, 0x50C, 0x514
UICR = 0x10001000


def nor(chip):
    return NorFlash(chip, VirtualClock(), delays=False)


@pytest.fixture
def rig():
    return Rig()


class TestInternal:
    @pytest.fixture
    def flash(self):
        return nor(NRF52840_FLASH)

    @pytest.fixture
    def controller(self, rig, flash):
        uicr = bytearray(b"\xff" * 0x1000)
        block = MemoryController(rig.bus, flash, uicr)
        rig.bus.add_memory(Memory(0, flash.cells, block.store_flash))
        rig.bus.add_memory(Memory(UICR, uicr, block.store_uicr))
        return rig.add(block, 0x4001E000)

    def test_stores_need_write_enable_and_only_clear_bits(self, rig, flash, controller):
        rig.bus.write(0x1000, b"\x00\x00\x00\x00")
        assert rig.bus.read_word(0x1000) == 0xFFFFFFFF
        controller[CONFIG] = 1
        rig.bus.write(0x1000, b"\xf0\xf0\xf0\xf0")
        rig.bus.write(0x1000, b"\x0f\xff\x0f\xff")
        assert rig.bus.read_word(0x1000) == 0xF000F000
        assert flash.programs == 2

    def test_erases_need_erase_enable(self, rig, flash, controller):
        controller[CONFIG] = 1
        rig.bus.write(0x1000, bytes(4))
        rig.bus.write(UICR + 0x14, bytes(4))
        controller[ERASEPAGE] = 0x1000
        controller[ERASEUICR] = 1
        assert rig.bus.read_word(0x1000) == rig.bus.read_word(UICR + 0x14) == 0
        controller[CONFIG] = 2
        controller[ERASEPAGE] = 0x1234
        assert rig.bus.read_word(0x1000) == 0xFFFFFFFF
        assert rig.bus.read_word(UICR + 0x14) == 0
        controller[ERASEPAGE] = 0x100000
        controller[ERASEUICR] = 1
        assert rig.bus.read_word(UICR + 0x14) == 0xFFFFFFFF
        assert flash.erases == 1

    def test_everything_goes_at_once(self, rig, controller):
        controller[CONFIG] = 1
        rig.bus.write(0xFF000, bytes(4))
        rig.bus.write(UICR, bytes(4))
        controller[CONFIG] = 2
        controller[ERASEALL] = 1
        assert rig.bus.read_word(0xFF000) == rig.bus.read_word(UICR) == 0xFFFFFFFF


class TestSerial:
    @pytest.fixture(params=[4, 8])
    def flash(self, request):
        return nor(qspi_flash(request.param * MIB))

    @pytest.fixture
    def secured(self):
        return bytearray(b"\xff" * OTP_SIZE_BYTES)

    @pytest.fixture
    def qspi(self, rig, flash, secured):
        return rig.add(SerialFlashController(rig.timeline, rig.line, rig.wires, rig.bus, flash, secured))

    @staticmethod
    def write(rig, qspi, address, data):
        rig.bus.write(RAM, data)
        qspi[0x510], qspi[0x514], qspi[0x518] = address, RAM, len(data)
        qspi.trigger(0x008)
        assert qspi.take(0x100)

    @staticmethod
    def read(rig, qspi, address, size_bytes):
        qspi[0x504], qspi[0x508], qspi[0x50C] = address, RAM + 0x800, size_bytes
        qspi.trigger(0x004)
        assert qspi.take(0x100)
        return rig.bus.read(RAM + 0x800, size_bytes)

    @staticmethod
    def instruct(qspi, opcode, length=1, data=0):
        qspi[0x638] = data
        qspi[0x634] = length << 8 | opcode
        assert qspi.take(0x100)
        return qspi[0x638]

    def test_data_come_back(self, rig, qspi):
        self.write(rig, qspi, 0x12340, b"abcdefgh")
        assert self.read(rig, qspi, 0x1233C, 16) == b"\xff" * 4 + b"abcdefgh" + b"\xff" * 4

    def test_programming_is_one_operation_for_each_page(self, rig, qspi, flash):
        self.write(rig, qspi, 0x10F0, bytes(0x220))
        assert flash.programs == 4
        assert self.read(rig, qspi, 0x10EC, 0x228) == b"\xff" * 4 + bytes(0x220) + b"\xff" * 4

    @pytest.mark.parametrize(("length", "size_bytes", "erases"), [(0, 0x1000, 1), (1, 0x10000, 16)])
    def test_erasing_takes_whole_sectors_and_blocks(self, rig, qspi, flash, length, size_bytes, erases):
        for address in (size_bytes - 4, size_bytes, 2 * size_bytes - 4, 2 * size_bytes):
            self.write(rig, qspi, address, bytes(4))
        qspi[0x51C], qspi[0x520] = size_bytes + 0x10, length
        qspi.trigger(0x00C)
        assert qspi.take(0x100)
        assert flash.erases == erases
        left = [flash.read(n * size_bytes - 4, 8).count(0) for n in (1, 2)]
        assert left == [4, 4]

    def test_the_whole_chip(self, rig, qspi, flash):
        self.write(rig, qspi, 0, bytes(4))
        qspi[0x520] = 2
        qspi.trigger(0x00C)
        assert flash.read(0, 4) == b"\xff" * 4

    def test_it_identifies_itself_by_its_size(self, qspi, flash):
        assert self.instruct(qspi, 0x9F, 4) == {4: 0x1620C2, 8: 0x1728C2}[flash.chip.size_bytes // MIB]

    def test_status_and_write_enable(self, qspi):
        assert self.instruct(qspi, 0x05, 2) == 0x40
        self.instruct(qspi, 0x06)
        assert self.instruct(qspi, 0x05, 2) == 0x42
        assert qspi[0x604] == 1 << 3 | 0x42 << 24
        self.instruct(qspi, 0x04)
        self.instruct(qspi, 0x01, 4, 0x01_02_00)
        assert self.instruct(qspi, 0x05, 2) == 0
        assert self.instruct(qspi, 0x15, 3) == 0x0102

    def test_the_secured_area_is_in_place_of_the_array_for_a_while(self, rig, qspi, flash, secured):
        self.instruct(qspi, 0xB1)
        self.write(rig, qspi, 0, b"unit")
        assert self.read(rig, qspi, 0, 8) == b"unit\xff\xff\xff\xff"
        self.instruct(qspi, 0xC1)
        assert self.read(rig, qspi, 0, 4) == flash.read(0, 4) == b"\xff" * 4
        assert secured[:4] == b"unit"

    def test_interrupts(self, rig, qspi):
        qspi[INTENSET] = 1
        qspi.trigger(0x000)
        assert rig.line.level
