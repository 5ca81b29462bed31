import pytest

from particle_dev.errors import FormatError
from particle_dev.protocol.dfuse import DfuseCommand, encode_command, parse_memory_layout

GEN3 = "@Internal Flash   /0x00000000/1*004Ka,47*004Kg,192*004Kg,4*004Kg,4*004Kg,8*004Ka"
PHOTON = "@Internal Flash   /0x08000000/03*016Ka,01*016Kg,01*064Kg,07*128Kg"


def test_gen3_layout():
    layout = parse_memory_layout(GEN3)
    assert layout.name == "Internal Flash"
    assert (layout.address, layout.end_address, len(layout.sectors)) == (0, 0x100000, 256)
    assert (layout.sectors[0].writable, layout.sectors[1].writable, layout.sectors[255].writable) == (
        False,
        True,
        False,
    )


def test_photon_layout():
    layout = parse_memory_layout(PHOTON)
    assert [s.size_bytes // 1024 for s in layout.sectors] == [16, 16, 16, 16, 64, 128, 128, 128, 128, 128, 128, 128]
    assert [hex(s.address) for s in layout.sectors_in(0x08020000, 241416)] == ["0x8020000", "0x8040000"]
    assert layout.end_address == 0x08100000


def test_several_areas_in_one_string():
    layout = parse_memory_layout("@Two /0x1000/2*001Kg/0x8000/01*512 a")
    assert [(s.address, s.size_bytes) for s in layout.sectors] == [(0x1000, 1024), (0x1400, 1024), (0x8000, 512)]


def test_protected_layout():
    assert parse_memory_layout(GEN3.replace("Kg", "Kb").replace("Ka", "Kb")).protected
    assert not parse_memory_layout(GEN3).protected


@pytest.mark.parametrize(
    "text",
    ["", "Internal", "@x", "@x/0x0", "@x/zz/1*004Kg", "@x/0x0/1*004Kz", "@x/0x0/4Kg", "@x/0x0/1*004Kg/0x9000"],
)
def test_bad_strings(text):
    with pytest.raises(FormatError):
        parse_memory_layout(text)


@pytest.mark.parametrize(("address", "size"), [(0xFFFFF, 2), (0x100000, 1), (0x1000, 0)])
def test_range_outside(address, size):
    with pytest.raises(FormatError):
        parse_memory_layout(GEN3).sectors_in(address, size)


def test_command_bytes():
    assert encode_command(DfuseCommand.SET_ADDRESS, 0x080A0000) == bytes.fromhex("2100000a08")
