"""What boards do with assets, firmware of network processors, combined, compressed, protected and encrypted modules."""

import random
import zlib

import pytest
from particle_harness.bench import open_bench
from particle_harness.boards import hardware
from particle_harness.factory import (
    app_stand_in,
    bootloader_stand_in,
    build_module,
    known_release,
    release_stand_ins,
    system_stand_ins,
)
from particle_harness.firmware_update import NOT_SUPPORTED, FirmwareUpdate
from particle_harness.offered_modules import (
    INTEGRITY,
    INVALID_FORMAT,
    INVALID_PLATFORM,
    NOT_FOUND,
    PROTECTED,
    UNSUPPORTED_MODULE,
)

from particle_dev.catalog.modules import ModuleFunction
from particle_dev.protocol.asset import Asset, dependency_tlv, make_asset_module
from particle_dev.protocol.compressed import compress
from particle_dev.protocol.module import parse
from particle_dev.protocol.module_edit import add_extensions, combine, protect_bootloader

PICTURE, SONG = Asset("picture.png", bytes(range(256)) * 40), Asset("song", zlib.compress(b"la") * 1000)
ESP32 = 0x21


@pytest.fixture
def make_board():
    opened = []

    def make(platform="boron", **slot):
        bench = open_bench(
            options={"clock": "virtual"},
            slots=[{"name": "1", "platform": platform, "factory": "online", **slot}],
            state_dir=None,
            factory_modules=lambda name: release_stand_ins(hardware(name)),
        )
        opened.append(bench)
        return bench.board("1")

    yield make
    for bench in opened:
        bench.close()


def take_in(board, module, *, guarded=False):
    region = board.external if board.hardware.is_gen3 else board.internal
    update = FirmwareUpdate(
        board.hardware, region, board.internal, board.dct, board.boot_view, board.state, lambda: guarded
    )
    assert update.start(len(module), 0) == 0
    assert update.data(module) == 0
    result = update.finish(validate_only=False)
    return result or (update.apply() if update.answers_first else 0)


def restart(board):
    board.reset_pin()
    board.clock.sleep(40)
    board.advance()


def assets_of(board):
    return {asset.identity for asset in board.boot_view().assets(5901)}


def app_that_wants(board, *assets):
    """Installed, as after DFU."""
    version, _ = known_release("5.9.0")
    app = add_extensions(
        app_stand_in(board.hardware, version, linked_for=version), [dependency_tlv(asset) for asset in assets]
    )
    board.internal.load(parse(app).start_address, app)
    restart(board)
    return app


WITH_ASSETS = ("argon", "boron", "b5som", "tracker", "p2", "msom")


@pytest.mark.parametrize("platform", WITH_ASSETS)
def test_missing_asset_is_safe_mode_until_it_is_there(make_board, platform):
    board = make_board(platform, device_os="5.9.0")
    app_that_wants(board, PICTURE, SONG)
    assert board.state.runs == "safe_mode"
    assert board.state.reasons == ["asset 'picture.png' is missing", "asset 'song' is missing", "safe mode connects"]
    assert take_in(board, make_asset_module(PICTURE)) == 0
    restart(board)
    assert board.state.reasons == ["asset 'song' is missing", "safe mode connects"]
    assert take_in(board, make_asset_module(SONG, compressed=False)) == 0
    restart(board)
    assert board.state.runs == "app", board.state.reasons
    assert assets_of(board) == {(a.name, a.sha256) for a in (PICTURE, SONG)}


@pytest.mark.parametrize("platform", WITH_ASSETS)
def test_asset_of_that_name_with_other_contents_is_missing(make_board, platform):
    board = make_board(platform, device_os="5.9.0")
    app_that_wants(board, PICTURE)
    assert take_in(board, make_asset_module(Asset(PICTURE.name, b"another"))) == 0
    restart(board)
    assert board.state.runs == "safe_mode"


def test_what_no_application_asks_for_goes_with_the_next_asset(make_board):
    board = make_board("p2", device_os="5.9.0")
    assert take_in(board, make_asset_module(PICTURE)) == 0
    restart(board)
    assert [name for name, _ in assets_of(board)] == [PICTURE.name]
    assert take_in(board, make_asset_module(SONG)) == 0
    restart(board)
    assert [name for name, _ in assets_of(board)] == [SONG.name]


def test_an_older_device_os_knows_no_assets(make_board):
    board = make_board("boron", device_os="5.4.1")
    assert take_in(board, make_asset_module(PICTURE)) == NOT_FOUND
    app_that_wants(board, PICTURE)
    assert "asset" not in " ".join(board.state.reasons)


def test_damaged_asset_is_validated_and_then_not_stored(make_board):
    board = make_board("boron", device_os="5.9.0")
    module = bytearray(make_asset_module(PICTURE))
    module[60] ^= 1
    assert take_in(board, bytes(module)) == -280
    assert assets_of(board) == set()


def test_storage_that_is_full(make_board):
    board = make_board("boron", device_os="5.9.0")
    dice = random.Random(1)
    big = [Asset(f"big{n}", dice.randbytes(590_000)) for n in range(2)]
    app_that_wants(board, *big)
    assert take_in(board, make_asset_module(big[0])) == 0
    restart(board)
    assert take_in(board, make_asset_module(big[1])) == -1911
    restart(board)
    assert [name for name, _ in assets_of(board)] == ["big0"]


def test_large_update_of_a_small_chip_destroys_the_assets(make_board):
    board = make_board("boron", device_os="5.9.0")
    assert take_in(board, make_asset_module(PICTURE)) == 0
    region = board.external
    update = FirmwareUpdate(board.hardware, region, board.internal, board.dct, board.boot_view, board.state)
    assert update.start(606_208, 0) == 0
    assert assets_of(board)
    assert update.start(606_209, 0) == 0
    assert not assets_of(board)


def test_formatting_for_assets_overwrites_what_the_factory_left(make_board):
    board = make_board("p2", device_os="5.9.0")
    board.internal.load(0x081E0000, b"\x12" * 64)
    restart(board)
    assert board.internal.read(0x081E0000, 8) != b"\x12" * 8


def ncp_firmware(board, version=8, *, mcu_target=ESP32):
    values = {"start_address": 0, "size_bytes": 900_000, "mcu_target": mcu_target}
    return build_module(board.hardware, ModuleFunction.NCP_FIRMWARE, 0, version, **values)


@pytest.mark.parametrize(("platform", "device_os"), [("argon", "2.1.0"), ("argon", "4.1.0"), ("tracker", "4.1.0")])
def test_network_processor_is_programmed_at_once(make_board, platform, device_os):
    board = make_board(platform, device_os=device_os)
    assert take_in(board, ncp_firmware(board)) == 0
    assert (board.state.ncp_version, board.dct.modules()) == (8, [])
    assert board.boot_view().ncp_version == 8


@pytest.mark.parametrize(
    ("platform", "device_os", "result"),
    [("tracker", "5.9.0", NOT_SUPPORTED), ("tracker", "2.1.0", NOT_FOUND), ("boron", "4.1.0", NOT_FOUND)],
)
def test_who_does_not_program_a_network_processor(make_board, platform, device_os, result):
    board = make_board(platform, device_os=device_os)
    assert take_in(board, ncp_firmware(board)) == result
    assert board.state.ncp_version == 7


def test_firmware_for_another_processor(make_board):
    board = make_board("argon")
    assert take_in(board, ncp_firmware(board, mcu_target=0x22)) == INVALID_PLATFORM


def in_place(board, module):
    return board.internal.read(parse(module).start_address, len(module)) == module


COMPRESSING = [("boron", "2.1.0"), ("tracker", "6.2.0"), ("p2", "5.9.0")]


@pytest.mark.parametrize(("platform", "device_os"), COMPRESSING)
@pytest.mark.parametrize("what", ["app", "system"])
def test_compressed_module_is_expanded_by_the_bootloader(make_board, platform, device_os, what):
    board = make_board(platform, device_os=device_os)
    version, bootloader_version = known_release(device_os)
    module = (
        compressible_app(board, version)
        if what == "app"
        else build_like(board, system_stand_ins(board.hardware, version, bootloader_version)[0])
    )
    assert not in_place(board, module)
    assert take_in(board, compress(module)) == 0
    restart(board)
    assert in_place(board, module)
    assert board.state.runs == "app", board.state.reasons


def compressible_app(board, system_version):
    """One of 32 KiB of zeros, at the place of those that are not."""
    kind, size_bytes = board.hardware, 0x8000
    index, start = (1, 0x08600000 - size_bytes) if kind.is_rtl872x else (1, 0xD4000)
    if kind.is_gen3 and system_version >= 3100:
        index, start = 2, 0xB4000
    needs = (ModuleFunction.SYSTEM_PART, 1, system_version)
    return build_module(
        kind,
        ModuleFunction.USER_PART,
        index,
        99,
        start_address=start,
        size_bytes=size_bytes,
        need1=needs,
        body=bytes(0x7F00),
    )


def build_like(board, module):
    """The same module with one byte changed in its middle."""
    changed = bytearray(module)
    changed[len(module) // 2] ^= 1
    end = len(module) - 4
    return bytes(changed[:end]) + zlib.crc32(changed[:end]).to_bytes(4, "big")


def test_damaged_stream_leaves_an_erased_place(make_board):
    board = make_board("boron", device_os="4.1.0")
    version, _ = known_release("4.1.0")
    app = app_stand_in(board.hardware, version, version=99, linked_for=version)
    module = bytearray(compress(app))
    module[32:96] = b"\xff" * 64
    end = len(module) - 4
    assert take_in(board, bytes(module[:end]) + zlib.crc32(module[:end]).to_bytes(4, "big")) == 0
    restart(board)
    assert board.internal.read(parse(app).start_address, 0x1000) == b"\xff" * 0x1000
    assert board.state.runs == "safe_mode"


def test_bootloaders_are_not_taken_compressed(make_board):
    board = make_board("p2")
    module = bytearray(
        build_module(
            board.hardware, ModuleFunction.BOOTLOADER, 2, 12, start_address=0x08014000, size_bytes=9000, flags=2
        )
    )
    assert take_in(board, bytes(module)) == UNSUPPORTED_MODULE
    head = build_module(
        board.hardware, ModuleFunction.BOOTLOADER, 0, 3000, start_address=0x08004000, size_bytes=9000, flags=1
    )
    assert take_in(board, head) == INVALID_FORMAT


@pytest.mark.parametrize("platform", ["boron", "p2"])
def test_combined_modules_are_installed_together(make_board, platform):
    board = make_board(platform, device_os="5.9.0")
    version, bootloader_version = known_release("5.9.0")
    bootloader = bootloader_stand_in(board.hardware, bootloader_version + 1)
    system = build_like(board, system_stand_ins(board.hardware, version, bootloader_version)[0])
    first = combine([system, bootloader])
    assert take_in(board, first) == 0
    assert len(board.dct.modules()) == 2
    restart(board)
    plain = first[: len(system)]
    assert in_place(board, plain)
    assert in_place(board, bootloader)
    assert board.state.runs == "app", board.state.reasons


def test_combined_module_without_its_second(make_board):
    board = make_board("p2")
    version, bootloader_version = known_release("5.9.0")
    bootloader = bootloader_stand_in(board.hardware, bootloader_version)
    first = combine([system_stand_ins(board.hardware, version, bootloader_version)[0], bootloader])
    assert take_in(board, first[: -len(bootloader)]) == NOT_FOUND
    damaged = bytearray(first)
    damaged[-100] ^= 1
    assert take_in(board, bytes(damaged)) == INTEGRITY
    assert board.dct.modules() == []


@pytest.mark.parametrize("platform", ["boron", "p2"])
def test_board_open_for_service_takes_only_what_keeps_it_protected(make_board, platform):
    board = make_board(platform, device_os="6.2.0")
    version, bootloader_version = known_release("6.2.0")
    plain = bootloader_stand_in(board.hardware, bootloader_version + 1)
    assert take_in(board, plain, guarded=True) == PROTECTED
    protected = protect_bootloader(plain)
    assert take_in(board, protected, guarded=True) == 0
    old = system_stand_ins(board.hardware, 5901, 0)[0]
    assert take_in(board, old, guarded=True) == PROTECTED
    assert take_in(board, system_stand_ins(board.hardware, version, bootloader_version)[0], guarded=True) == 0


def test_protected_bootloader_closes_the_board_that_takes_it(make_board):
    board = make_board("boron", device_os="6.2.0")
    _, bootloader_version = known_release("6.2.0")
    assert not board.protection.enabled
    assert take_in(board, protect_bootloader(bootloader_stand_in(board.hardware, bootloader_version))) == 0
    restart(board)
    assert board.protection.enabled
    assert board.protection.locked


def encrypted_km0(board, version=20):
    return build_module(
        board.hardware, ModuleFunction.BOOTLOADER, 2, version, start_address=0x08014000, size_bytes=9000, flags=0x09
    )


def test_encrypted_firmware_of_the_second_processor_is_taken_as_it_is(make_board):
    board = make_board("p2")
    module = encrypted_km0(board)
    assert take_in(board, module) == 0
    restart(board)
    assert board.internal.read(0x08014000, len(module) - 24) == module[24:]
    assert board.state.km0_encrypted
    assert board.state.runs == "app", board.state.reasons
    plain = build_module(board.hardware, ModuleFunction.BOOTLOADER, 2, 30, start_address=0x08014000, size_bytes=9000)
    assert take_in(board, plain) == 0
    restart(board)
    assert board.internal.read(0x08014000, len(module) - 24) == module[24:]


def test_application_for_the_new_slot_makes_the_old_one_invalid(make_board):
    board = make_board("boron", device_os="4.1.0")
    old = app_stand_in(board.hardware, 4000, version=1)
    board.internal.load(0xD4000, old)
    restart(board)
    new = app_stand_in(board.hardware, 4000, version=2, linked_for=4000)
    assert take_in(board, new) == 0
    restart(board)
    assert board.internal.read(0xD4000, 0x1000) == b"\xff" * 0x1000
    assert in_place(board, new)


def test_rtl872x_loses_its_configuration_with_its_file_system(make_board):
    board = make_board("p2")
    board.dct.write(1825, b"1")
    restart(board)
    assert board.dct.claimed
    board.internal.erase_sector(0x08600000)
    restart(board)
    assert board.dct.claimed, "the second superblock is still there"
    for block in (0x08600000, 0x08601000):
        board.internal.erase_sector(block)
    restart(board)
    assert not board.dct.claimed
