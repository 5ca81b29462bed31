"""OpenOCD, which shares no code with pyOCD, over its own CMSIS-DAP client."""

import pytest

pytestmark = pytest.mark.firmware


@pytest.mark.parametrize(("platform", "target"), [("boron", "nordic/nrf52"), ("photon", "stm32f2x")])
def test_program_and_verify_real_firmware(nrf52840, stm32f205, openocd, real_image, platform, target):
    chip = nrf52840() if platform == "boron" else stm32f205
    image = real_image(platform)
    text = openocd(chip, target, "reset halt", *(f"program {file} {address:#x} verify" for file, address in image))
    assert text.count("** Verified OK **") == len(image)
    start = chip.flash.base_address
    for file, address in image:
        data = file.read_bytes()
        assert bytes(chip.flash.cells[address - start : address - start + len(data)]) == data


def test_reads_and_mass_erase(nrf52840, openocd):
    chip = nrf52840()
    chip.flash.load(0x1000, b"customer")
    text = openocd(chip, "nordic/nrf52", "halt", "echo [mdw 0x10000060 2]", "nrf5 mass_erase")
    assert "67452301 efcdab89" in text
    assert chip.flash.read(0x1000, 8) == b"\xff" * 8


def test_a_locked_chip_stays_as_it_is(nrf52840, openocd):
    chip = nrf52840("AAF0")
    chip.flash.load(0x1000, b"customer")
    text = openocd(chip, "nordic/nrf52", check=False)
    assert "Examination failed" in text
    assert chip.flash.read(0x1000, 8) == b"customer"


def test_it_knows_the_chips_by_their_identity(nrf52840, stm32f205, openocd):
    text = openocd(nrf52840(), "nordic/nrf52", "halt", "flash probe 0")
    assert "nRF52840" in text
    assert "1024kB Flash" in text
    text = openocd(stm32f205, "stm32f2x", "halt", "flash probe 0")
    assert "flash size = 1024 KiB" in text
