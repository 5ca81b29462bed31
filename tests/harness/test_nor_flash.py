import pytest
from hypothesis import given
from hypothesis import strategies as st
from particle_harness.clock import VirtualClock
from particle_harness.nor_flash import NorFlash

from particle_dev.catalog.flash_chips import NRF52840_FLASH, STM32F205_FLASH, FlashChip, SectorRun, qspi_flash

SMALL = FlashChip("small", 0x1000, (SectorRun(2, 16, 0.5), SectorRun(2, 64, 1.0)), 4, 0.001, "made up")
SIZE = SMALL.size_bytes


def flash(chip=SMALL, **kwargs):
    return NorFlash(chip, VirtualClock(), **kwargs)


ranges = st.integers(0, SIZE - 1).flatmap(
    lambda start: st.tuples(st.just(start), st.binary(min_size=1, max_size=SIZE - start))
)


@given(st.lists(ranges, max_size=5))
def test_programming_only_clears_bits(writes):
    nor = flash()
    for start, data in writes:
        before = nor.read(0x1000, SIZE)
        nor.program(0x1000 + start, data)
        after = nor.read(0x1000, SIZE)
        assert after[start : start + len(data)] == bytes(
            a & b for a, b in zip(before[start : start + len(data)], data, strict=True)
        )
        assert after[:start] + after[start + len(data) :] == before[:start] + before[start + len(data) :]


@given(ranges, st.integers(0, SIZE - 1))
def test_erasing_touches_exactly_one_sector(write, victim):
    nor = flash()
    nor.program(0x1000 + write[0], write[1])
    before = nor.read(0x1000, SIZE)
    start, size, _ = nor.sector(0x1000 + victim)
    nor.erase_sector(0x1000 + victim)
    after = nor.read(0x1000, SIZE)
    offset = start - 0x1000
    assert offset <= victim < offset + size
    assert after[offset : offset + size] == b"\xff" * size
    assert after[:offset] + after[offset + size :] == before[:offset] + before[offset + size :]


@given(st.binary(min_size=SIZE, max_size=SIZE))
def test_after_erase_any_contents_can_be_written(data):
    nor = flash()
    nor.load(0x1000, bytes(SIZE))
    for address in (0x1000, 0x1010, 0x1020, 0x1060):
        nor.erase_sector(address)
    nor.program(0x1000, data)
    assert nor.read(0x1000, SIZE) == data


def test_sectors_of_mixed_size():
    nor = flash()
    assert nor.sector(0x1010) == (0x1010, 16, 0.5)
    assert nor.sector(0x1020) == (0x1020, 64, 1.0)
    assert nor.sector(0x109F) == (0x1060, 64, 1.0)


@pytest.mark.parametrize(("address", "size"), [(0xFFF, 1), (0x1000, SIZE + 1), (0x1000 + SIZE, 1)])
def test_outside_the_chip_is_an_error(address, size):
    with pytest.raises(IndexError):
        flash().read(address, size)


@pytest.mark.parametrize(
    ("chip", "address", "erase_s", "program_s"),
    [
        (NRF52840_FLASH, 0x30000, 0.085, 1024 * 41e-6),
        (STM32F205_FLASH, 0x08000000, 0.25, 1024 * 16e-6),
        (STM32F205_FLASH, 0x08010000, 0.55, 1024 * 16e-6),
        (STM32F205_FLASH, 0x08020000, 1.0, 1024 * 16e-6),
        (qspi_flash(0x400000), 0, 0.040, 16 * 0.4e-3),
    ],
)
def test_work_takes_the_time_of_the_data_sheet(chip, address, erase_s, program_s):
    nor = flash(chip)
    nor.erase_sector(address)
    assert nor._clock.monotonic_s() == pytest.approx(erase_s)
    nor.program(address, bytes(4096))
    assert nor._clock.monotonic_s() == pytest.approx(erase_s + program_s)
    assert (nor.erases, nor.programs) == (1, 1)


def test_without_delays_no_time_passes():
    nor = flash(NRF52840_FLASH, delays=False)
    nor.erase_sector(0)
    nor.program(0, bytes(4096))
    assert nor._clock.monotonic_s() == 0


def test_real_chips_have_their_size():
    assert NRF52840_FLASH.size_bytes == STM32F205_FLASH.size_bytes == 1024 * 1024
