"""The unmodified command ``pyocd`` reads, erases and flashes virtual chips, its own flash algorithm running on them."""

import pytest

pytestmark = pytest.mark.firmware


def holds(chip, image):
    start = chip.flash.base_address
    return all(
        bytes(chip.flash.cells[address - start : address - start + len(data)]) == data
        for file, address in image
        for data in [file.read_bytes()]
    )


@pytest.mark.parametrize("platform", ["boron", "photon"])
def test_flash_real_firmware_compare_and_erase(nrf52840, stm32f205, pyocd, real_image, platform):
    chip, target = (nrf52840(), "nrf52840") if platform == "boron" else (stm32f205, "stm32f412xg")
    image = real_image(platform)
    with pyocd(chip, target) as run:
        for file, address in image:
            run("load", "--base-address", hex(address), "--no-reset", "--format", "bin", str(file))
        assert holds(chip, image)
        file, address = image[2]
        text = run("cmd", "-c", f"compare {address:#x} {file.stat().st_size} {file}")
        assert "match" in text
        run("erase", "--sector", hex(address))
        assert chip.flash.read(address, 4096) == b"\xff" * 4096
        assert holds(chip, [image[0], image[3]])


def test_identity_and_core_registers(nrf52840, pyocd):
    with pyocd(nrf52840(), "nrf52840") as run:
        text = run("cmd", "-c", "read32 0x10000060 8", "-c", "status", "-c", "reset -h", "-c", "reg pc")
    assert "67452301 efcdab89" in text.lower().replace("0x", "")
    assert "halted" in text.lower()


def test_opening_a_locked_chip_erases_it_unless_told_otherwise(nrf52840, pyocd):
    uicr = bytearray(b"\xff" * 0x1000)
    uicr[0x208] = 0
    chip = nrf52840("AAD0", uicr)
    chip.flash.load(0x1000, b"customer")
    with pyocd(chip, "nrf52840") as run:
        run("reset", "-O", "auto_unlock=false", check=False)
        assert chip.flash.read(0x1000, 8) == b"customer"
        run("reset")
    assert chip.flash.read(0x1000, 8) == b"\xff" * 8


def test_reset_through_the_command(nrf52840, pyocd):
    chip = nrf52840()
    resets = []
    chip.core._on_reset, before = (lambda: (resets.append(1), before())), chip.core._on_reset
    with pyocd(chip, "nrf52840") as run:
        run("reset", "-m", "hw")
    assert resets
