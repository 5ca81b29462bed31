"""The device's verdict on real modules, with the places and releases of the catalogue."""

import zlib

import pytest

from particle_dev.catalog.modules import ModuleFunction
from particle_dev.catalog.platforms import platform_by_id, platform_by_name
from particle_dev.errors import ModuleFormatError
from particle_dev.protocol.board_check import Board, BoardCheck, BoardModule, check_on_board, slots_at
from particle_dev.protocol.module import parse

pytestmark = pytest.mark.firmware
RELEASE = "2.1.0"


@pytest.fixture(scope="module")
def release(particle_cli_firmware):
    """Bytes of the modules of Device OS 2.1.0, by platform."""
    modules = {}
    for path in sorted(particle_cli_firmware.joinpath("particle-cli-2.12.0").rglob(f"*@{RELEASE}*.bin")):
        data = path.read_bytes()
        modules.setdefault(parse(data).platform_id, []).append(data)
    return modules


def board_with(platform_id, modules, **rules):
    platform = platform_by_id(platform_id)
    parsed = [parse(data) for data in modules]
    installed = tuple(BoardModule(m.function, m.index, m.version, m.dependencies, m.start_address) for m in parsed)
    return Board(platform_id, slots_at(platform, RELEASE), installed, **rules)


def module_of(modules, function, index=None):
    return next(d for d in modules if (m := parse(d)).function == function and index in (None, m.index))


@pytest.mark.parametrize("is_update", [True, False])
def test_a_complete_release_passes_on_its_own_board(release, is_update):
    assert len(release) >= 8
    for platform_id, modules in release.items():
        board = board_with(platform_id, modules, is_update=is_update, is_protected=False)
        for data in modules:
            verdict = check_on_board(data, board)
            assert (verdict.problem, verdict.device_result) == (None, 0), (platform_id, parse(data))
            assert verdict.passed == verdict.checked
            assert BoardCheck.RANGE | BoardCheck.INTEGRITY | BoardCheck.PLATFORM | BoardCheck.ADDRESS in verdict.checked


def test_boron_without_its_bootloader(release):
    boron = platform_by_name("boron").id
    modules = release[boron]
    system = module_of(modules, ModuleFunction.SYSTEM_PART)
    others = [d for d in modules if parse(d).function != ModuleFunction.BOOTLOADER]
    verdict = check_on_board(system, board_with(boron, others))
    assert (verdict.problem.code, verdict.problem.offset, verdict.device_result) == ("dependency", 0x210, -1340)
    assert verdict.checked & ~verdict.passed == BoardCheck.DEPENDENCIES


def test_photon_module_on_a_boron(release):
    photon = module_of(release[6], ModuleFunction.SYSTEM_PART, 1)
    verdict = check_on_board(photon, board_with(13, release[13]))
    assert (verdict.problem.code, verdict.device_result) == ("out_of_range", -1300)
    assert not verdict.passed & BoardCheck.PLATFORM
    bootloader = module_of(release[6], ModuleFunction.BOOTLOADER)
    assert check_on_board(bootloader, board_with(13, release[13])).problem.code == "out_of_range"
    part2 = module_of(release[6], ModuleFunction.SYSTEM_PART, 2)
    verdict = check_on_board(part2, board_with(13, release[13]))
    assert (verdict.problem.code, verdict.problem.offset) == ("no_slot", 0x184 + 14)


def test_one_flipped_byte(release):
    data = bytearray(module_of(release[13], ModuleFunction.SYSTEM_PART))
    data[0x300] ^= 1
    verdict = check_on_board(bytes(data), board_with(13, release[13]))
    assert (verdict.problem.code, verdict.problem.offset, verdict.device_result) == (
        "crc_mismatch",
        len(data) - 4,
        -1330,
    )


def test_a_too_new_application_arrives_and_then_means_safe_mode(release, particle_cli_firmware):
    (path,) = particle_cli_firmware.joinpath("particle-cli-2.12.0").rglob("*tinker*boron*.bin")
    data = bytearray(path.read_bytes())
    app = parse(bytes(data))
    assert app.dependencies[0][:2] == (ModuleFunction.SYSTEM_PART, 1)
    data[18:20] = (6000).to_bytes(2, "little")
    data[-4:] = zlib.crc32(data[:-4]).to_bytes(4, "big")
    modules = release[13]
    assert check_on_board(bytes(data), board_with(13, modules)).problem is None
    verdict = check_on_board(bytes(data), board_with(13, modules, is_update=False))
    assert (verdict.problem.code, verdict.problem.offset, verdict.device_result) == ("dependency", 16, 0)


def test_protected_board_refuses_public_bootloader_and_old_system(release):
    board = board_with(13, release[13], is_protected=True)
    for function in (ModuleFunction.BOOTLOADER, ModuleFunction.SYSTEM_PART):
        verdict = check_on_board(module_of(release[13], function), board)
        assert (verdict.problem.code, verdict.device_result) == ("protected", -1801)


def test_update_area(release):
    data = module_of(release[13], ModuleFunction.SYSTEM_PART)
    board = board_with(13, release[13], update_max_size_bytes=len(data))
    assert check_on_board(data, board).problem is None
    verdict = check_on_board(data, board._replace(update_max_size_bytes=len(data) - 1))
    assert (verdict.problem.code, verdict.device_result) == ("bad_size", -1351)


def test_no_module():
    with pytest.raises(ModuleFormatError):
        parse(b"nothing")
    assert check_on_board(b"nothing", Board(13, ())) is None
