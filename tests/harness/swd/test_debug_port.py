import pytest
from particle_harness.swd.debug_port import DapFaultError


def test_power_up_is_acknowledged(nrf52840):
    port = nrf52840().debug_port
    assert port.read_dp(0) == 0x2BA01477
    port.write_dp(4, 0x50000000)
    assert port.read_dp(4) & 0xF0000000 == 0xF0000000


def test_auto_increment_wraps_at_4_kib(nrf52840, probe):
    chip = nrf52840()
    link = probe(chip)
    link.write(0x20000FFC, 1, 2, 3)
    assert link.read(0x20000FFC) == 1
    assert link.read(0x20000000) == 2
    assert link.read(0x20000004) == 3
    assert link.read(0x20001000) == 0


def test_blocks_and_single_transfers_agree(nrf52840, probe):
    link = probe(nrf52840())
    link.write(0x20000000, *range(2000))
    link.port.write_ap(4, 0x20000000)
    block = link.port.read_ap_repeatedly(0xC, 1024)
    assert block == [link.read(0x20000000 + 4 * n) for n in range(1024)]


@pytest.mark.parametrize(("size", "count"), [(0, 4), (1, 2)])
def test_narrow_accesses_use_their_byte_lanes(nrf52840, probe, size, count):
    chip = nrf52840()
    link = probe(chip)
    link.port.write_ap(0, 0x23000010 | size)
    link.port.write_ap(4, 0x20000000)
    link.port.write_ap_repeatedly(0xC, [0x44332211] * count)
    assert bytes(chip.ram[:4]) == bytes.fromhex("11223344")
    link.port.write_ap(4, 0x20000000)
    lanes = link.port.read_ap_repeatedly(0xC, count)
    assert sum(lanes) == 0x44332211


def test_a_fault_sticks_until_it_is_cleared(nrf52840, probe):
    link = probe(nrf52840())
    with pytest.raises(DapFaultError):
        link.read(0x60000000)
    assert link.port.read_dp(4) & 0x20
    with pytest.raises(DapFaultError):
        link.read(0x20000000)
    link.port.write_dp(0, 4)
    assert link.read(0x20000000) == 0


def test_an_access_port_that_is_not_there_reads_as_zero(nrf52840, probe):
    assert probe(nrf52840()).access_port(7, 0xFC) == 0
