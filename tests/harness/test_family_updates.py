"""Updates that a running board of every family takes in: into the OTA region of its release, then by its bootloader."""

import pytest
from particle_harness.bench import open_bench
from particle_harness.boards import hardware, kinds
from particle_harness.factory import (
    app_stand_in,
    bootloader_stand_in,
    build_module,
    known_release,
    release_stand_ins,
    system_stand_ins,
)
from particle_harness.firmware_update import FirmwareUpdate
from particle_harness.offered_modules import DEPENDENCY, INVALID_SIZE, NOT_FOUND

from particle_dev.catalog.modules import ModuleFunction
from particle_dev.protocol.module import parse

RTL872X = ("p2", "photon2", "trackerm", "msom")


@pytest.fixture
def make_board():
    opened = []

    def make(platform, **slot):
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


def take_in(board, module):
    """The result code; 0 once the module waits for the bootloader (or, on Gen 2, has replaced it)."""
    region = board.external if board.hardware.is_gen3 else board.internal
    update = FirmwareUpdate(board.hardware, region, board.internal, board.dct, board.boot_view, board.state)
    result = update.start(len(module), 0)
    if result:
        return result
    for offset in range(0, len(module), 1024):
        assert update.data(module[offset : offset + 1024]) == 0
    start = board.boot_view().ota_region().start_address
    assert region.read(start, len(module)) == module
    result = update.finish(validate_only=False)
    return result or (update.apply() if update.answers_first else 0)


def installed(board, module):
    return board.internal.read(parse(module).start_address, len(module)) == module


def restart(board):
    board.reset_pin()
    board.clock.sleep(30)
    board.advance()


@pytest.mark.parametrize("platform", kinds())
@pytest.mark.parametrize("what", ["bootloader", "app", "system"])
def test_update(make_board, platform, what):
    board = make_board(platform)
    kind = board.hardware
    version, bootloader_version = known_release(kind.factory_device_os)
    if what == "bootloader":
        module = bootloader_stand_in(kind, bootloader_version + 1)
    elif what == "app":
        module = app_stand_in(kind, version, version=99, linked_for=version)
    else:
        # Parts that need each other cannot be newer than their peers one at a time.
        (*_, module) = system_stand_ins(kind, version, bootloader_version)
        address = parse(module).start_address + len(module) - 100
        board.internal.load(address, bytes([board.internal.read(address, 1)[0] ^ 1]))
    assert not installed(board, module)
    assert take_in(board, module) == 0
    assert installed(board, module) == (what == "bootloader" and kind.is_gen2)
    restart(board)
    assert installed(board, module)
    assert board.state.runs == "app", board.state.reasons
    assert board.dct.modules() == []


@pytest.mark.parametrize("platform", RTL872X)
@pytest.mark.parametrize(("index", "start"), [(1, 0x08000000), (2, 0x08014000)])
def test_rtl872x_modules_of_the_second_processor(make_board, platform, index, start):
    board = make_board(platform)
    module = build_module(board.hardware, ModuleFunction.BOOTLOADER, index, 50, start_address=start, size_bytes=6000)
    assert take_in(board, module) == 0
    restart(board)
    assert installed(board, module)
    assert board.state.runs == "app"


def test_rtl872x_needs_the_firmware_of_its_second_processor(make_board):
    board = make_board("p2")
    module = build_module(
        board.hardware,
        ModuleFunction.BOOTLOADER,
        0,
        3000,
        start_address=0x08004000,
        size_bytes=30000,
        need1=(ModuleFunction.BOOTLOADER, 2, 10),
    )
    assert take_in(board, module) == DEPENDENCY


@pytest.mark.parametrize(
    ("platform", "device_os", "largest_bytes"),
    [
        ("electron", "3.1.0", 0x20000),
        ("photon", "3.1.0", 0x40000),
        ("boron", "5.9.0", 1500 * 1024),
        ("p2", None, 0x180000),
    ],
)
def test_what_does_not_fit_is_refused_at_the_start(make_board, platform, device_os, largest_bytes):
    board = make_board(platform, **({"device_os": device_os} if device_os else {}))
    assert take_in(board, b"\0" * (largest_bytes + 1)) == INVALID_SIZE


def test_rtl872x_user_part_must_end_at_the_end(make_board):
    board = make_board("p2")
    module = build_module(board.hardware, ModuleFunction.USER_PART, 1, 7, start_address=0x08600000, size_bytes=0x3000)
    assert take_in(board, module) == NOT_FOUND


def test_rtl872x_with_a_user_part_that_leaves_no_room_for_an_update_runs_in_safe_mode(make_board):
    board = make_board("p2")
    huge = build_module(
        board.hardware,
        ModuleFunction.USER_PART,
        1,
        7,
        start_address=0x08480000 - 0x1000,
        size_bytes=0x181000,
        need1=(ModuleFunction.SYSTEM_PART, 1, 5901),
    )
    board.internal.load(0x08480000 - 0x1000, huge)
    assert board.decide_boot().safe_mode
    fits = build_module(
        board.hardware,
        ModuleFunction.USER_PART,
        1,
        7,
        start_address=0x08480000,
        size_bytes=0x180000,
        need1=(ModuleFunction.SYSTEM_PART, 1, 5901),
    )
    board.internal.load(0x08480000, fits)
    assert board.decide_boot().runs == "app"


@pytest.mark.parametrize(
    ("platform", "device_os", "waiting"), [("boron", "3.1.0", 2), ("boron", "3.2.0", 1), ("p2", "5.9.0", 1)]
)
def test_starting_an_update_drops_modules_that_still_wait(make_board, platform, device_os, waiting):
    board = make_board(platform, device_os=device_os)
    version, _ = known_release(device_os)
    for number in (98, 99):
        assert take_in(board, app_stand_in(board.hardware, version, version=number, linked_for=version)) == 0
    assert len(board.dct.modules()) == waiting
    restart(board)
    assert installed(board, app_stand_in(board.hardware, version, version=99, linked_for=version))
