import pytest
from particle_harness.swd.debug_port import DapFaultError

CONFIG, ERASE_PAGE, ERASE_ALL, ERASE_UICR = 0x4001E504, 0x4001E508, 0x4001E50C, 0x4001E514
APPROTECT = 0x10001208


def test_factory_information(nrf52840, probe):
    link = probe(nrf52840())
    assert (link.read(0x10000060), link.read(0x10000064)) == (0x67452301, 0xEFCDAB89)
    assert link.read(0x10000100) == 0x52840
    assert link.read(0x10000104).to_bytes(4, "big") == b"AAD0"
    link.write(0x10000060, 0)
    assert link.read(0x10000060) == 0x67452301


def test_flash_is_written_only_when_enabled_and_only_clears_bits(nrf52840, probe):
    link = probe(nrf52840())
    link.write(0x1000, 0x12345678)
    assert link.read(0x1000) == 0xFFFFFFFF
    link.write(CONFIG, 1)
    link.write(0x1000, 0x12345678)
    link.write(0x1000, 0xFFFF0000)
    assert link.read(0x1000) == 0x12340000


def test_erase_needs_its_own_permission(nrf52840, probe):
    link = probe(nrf52840())
    link.write(CONFIG, 1)
    for address in (0x0FFC, 0x1000, 0x2000):
        link.write(address, 0)
    link.write(ERASE_PAGE, 0x1000)
    assert link.read(0x1000) == 0
    link.write(CONFIG, 2)
    link.write(ERASE_PAGE, 0x1000)
    assert [link.read(a) for a in (0x0FFC, 0x1000, 0x2000)] == [0, 0xFFFFFFFF, 0]


def test_a_reset_takes_the_permissions_back(nrf52840, probe):
    chip = nrf52840()
    link = probe(chip)
    link.write(CONFIG, 1)
    chip.pin_reset()
    link.write(0x1000, 0)
    assert link.read(0x1000) == 0xFFFFFFFF


def test_uicr_is_erased_alone_and_with_everything(nrf52840, probe):
    link = probe(nrf52840())
    for erase, flash_after in ((ERASE_UICR, 0), (ERASE_ALL, 0xFFFFFFFF)):
        link.write(CONFIG, 1)
        link.write(0x10001080, 0)
        link.write(0x1000, 0)
        link.write(CONFIG, 2)
        link.write(erase, 1)
        assert link.read(0x10001080) == 0xFFFFFFFF
        assert link.read(0x1000) == flash_after


@pytest.mark.parametrize(
    ("variant", "approtect", "locked"),
    [("AAD0", 0xFF, False), ("AAD0", 0x00, True), ("AAF0", 0xFF, True), ("AAF0", 0x5A, False), ("AAF0", 0x00, True)],
)
def test_protection_takes_effect_at_the_reset(nrf52840, probe, variant, approtect, locked):
    uicr = bytearray(b"\xff" * 0x1000)
    uicr[0x208] = approtect
    chip = nrf52840(variant, uicr)
    link = probe(chip)
    assert link.access_port(1, 0xFC) == 0x02880000
    assert link.access_port(1, 0x0C) == (0 if locked else 1)
    if locked:
        with pytest.raises(DapFaultError):
            link.read(0x20000000)
    else:
        assert link.read(0x20000000) == 0


def test_erase_all_opens_a_hardened_chip_until_its_power_goes(nrf52840, probe):
    chip = nrf52840("AAF0")
    link = probe(chip)
    link.write_access_port(1, 0x04, 1)
    while link.access_port(1, 0x08):
        pass
    link.write_access_port(1, 0x00, 1)
    link.write_access_port(1, 0x00, 0)
    assert link.read(0x1000) == 0xFFFFFFFF
    chip.power_on()
    assert link.access_port(1, 0x0C) == 0


def test_power_on_loses_ram_and_keeps_flash(nrf52840, probe):
    chip = nrf52840()
    link = probe(chip)
    link.write(0x20000000, 7)
    link.write(CONFIG, 1)
    link.write(0x1000, 7)
    chip.power_on()
    link = probe(chip)
    assert link.read(0x20000000) == 0
    assert link.read(0x1000) == 7
