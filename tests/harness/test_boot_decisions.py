"""Boot rules as a table: what lies in flash and what was asked for, against where the boot ends."""

import hashlib

import pytest
from particle_harness.boards import hardware
from particle_harness.boot import decide_boot, fetch_modules
from particle_harness.factory import app_stand_in, bootloader_stand_in, build_module, system_stand_ins
from particle_harness.wifi import FORMER_OWNERS_NETWORK

from particle_dev.catalog.modules import ModuleFunction

GEN3_APP, GEN3_SYSTEM = 0xD4000, 0x30000


def erase(board, address, size):
    board.internal.load(address, b"\xff" * size)


def erase_app(board):
    erase(board, 0xD4000 if board.hardware.is_gen3 else 0x080A0000, 0x1000)


def erase_system(board):
    erase(board, 0x30000 if board.hardware.is_gen3 else 0x08020000, 0x1000)


def spoil(address):
    def change(board):
        byte = board.internal.read(address, 1)[0]
        board.internal.load(address, bytes([byte ^ 1]))

    return change


def app_needs_more(board):
    board.internal.load(0xD4000 if board.hardware.is_gen3 else 0x080A0000, app_stand_in(board.hardware, 2012))


def old_bootloader(board):
    board.internal.load(board.hardware.bootloader_address, bootloader_stand_in(board.hardware, 1))


def setup_done(board):
    board.dct.mark_setup_done()


def credentials(board):
    board.state.wifi_networks.append(FORMER_OWNERS_NETWORK)


def factory_image(board):
    slot = board.external if board.hardware.is_gen3 else board.internal
    slot.load(board.hardware.factory_address, app_stand_in(board.hardware, 2011))


def bad_factory_image(board):
    factory_image(board)
    slot = board.external if board.hardware.is_gen3 else board.internal
    slot.load(board.hardware.factory_address + 0x100, b"\0\1\2\3")


def ask(name):
    def change(board):
        setattr(board.state, name, True)

    return change


def flag_0xaaaa(board):
    board.dct.factory_reset_requested = True


def device_os_4(board):
    for module in system_stand_ins(board.hardware, 4003, 1005):
        board.internal.load(GEN3_SYSTEM, module)


GEN3 = [
    # changes to a fresh board, runs, would connect, safe mode, words in the reasons
    ([], "listening", False, False, "setup is not done"),
    ([setup_done], "app", True, False, "AUTOMATIC"),
    ([device_os_4], "app", True, False, "AUTOMATIC"),
    ([setup_done, erase_app], "safe_mode", True, True, "user part: erased"),
    ([erase_app], "listening", False, True, "setup is not done"),
    ([setup_done, spoil(GEN3_APP + 0x400)], "safe_mode", True, True, "CRC"),
    ([setup_done, app_needs_more], "safe_mode", True, True, "dependency"),
    ([setup_done, old_bootloader], "safe_mode", True, True, "system part 1 fails dependencies"),
    ([setup_done, spoil(0xF5000)], "safe_mode", True, True, "bootloader 0 fails integrity"),
    ([setup_done, erase_system], "dfu", False, False, "no valid system part"),
    ([setup_done, spoil(GEN3_SYSTEM + 0x5000)], "dfu", False, False, "no valid system part"),
    ([setup_done, ask("safe_mode_requested")], "safe_mode", True, True, "safe mode was requested"),
    ([setup_done, ask("dfu_requested")], "dfu", False, False, "one-shot"),
    ([setup_done, ask("listen_requested")], "listening", False, False, "requested for this boot"),
    ([setup_done, ask("listen_requested"), ask("safe_mode_requested")], "safe_mode", True, True, "safe mode connects"),
    ([setup_done, erase_app, factory_image], "factory_restore", False, False, "factory slot"),
    ([setup_done, erase_app, bad_factory_image], "reset_loop", False, False, "factory slot"),
    ([setup_done, spoil(GEN3_APP + 0x400), factory_image], "safe_mode", True, True, "CRC"),
    ([setup_done, flag_0xaaaa, factory_image], "factory_restore", False, False, "factory reset flag"),
    ([flag_0xaaaa, erase_system], "dfu", False, False, "no system part"),
]


@pytest.mark.parametrize(("changes", "runs", "connects", "safe_mode", "reason"), GEN3)
@pytest.mark.parametrize("platform", ["boron", "bsom", "tracker"])
def test_gen3(make_board, platform, changes, runs, connects, safe_mode, reason):
    board = make_board(platform)
    for change in changes:
        change(board)
    decision = decide_boot(board.boot_view())
    assert (decision.runs, decision.would_connect, decision.safe_mode) == (runs, connects, safe_mode)
    assert reason in "; ".join(decision.reasons)


PHOTON = [
    ([], "listening", False, False, "no Wi-Fi credentials"),
    ([credentials], "app", True, False, "AUTOMATIC"),
    ([credentials, erase_app], "safe_mode", True, True, "user part: erased"),
    ([erase_app], "listening", False, True, "no Wi-Fi credentials"),
    ([credentials, erase_system], "dfu", False, False, "no valid system part"),
    # A Photon's bootloader looks at the header of part 1 only.
    ([credentials, spoil(0x08021000)], "app", True, False, "AUTOMATIC"),
    ([credentials, spoil(0x08061000)], "safe_mode", True, True, "system part 2 fails integrity"),
    ([credentials, lambda board: erase(board, 0x08060000, 0x1000)], "hung", False, False, "part 2 is missing"),
    ([credentials, ask("safe_mode_requested")], "safe_mode", True, True, "requested"),
    ([credentials, ask("listen_requested")], "app", True, False, "AUTOMATIC"),
    ([credentials, ask("listen_requested"), ask("safe_mode_requested")], "safe_mode", True, True, "safe mode connects"),
    ([credentials, app_needs_more], "safe_mode", True, True, "dependency"),
    ([credentials, erase_app, factory_image], "factory_restore", False, False, "factory slot"),
    ([credentials, erase_system, factory_image], "reset_loop", False, False, "again and again"),
]


@pytest.mark.parametrize(("changes", "runs", "connects", "safe_mode", "reason"), PHOTON)
@pytest.mark.parametrize("platform", ["photon", "p1"])
def test_gen2(make_board, platform, changes, runs, connects, safe_mode, reason):
    board = make_board(platform)
    for change in changes:
        change(board)
    decision = decide_boot(board.boot_view())
    assert (decision.runs, decision.would_connect, decision.safe_mode) == (runs, connects, safe_mode)
    assert reason in "; ".join(decision.reasons)


@pytest.fixture
def two_slot_boron(make_board):
    """A Boron with Device OS 3.3.1 and an application in each of the two user slots."""
    board = make_board("boron", factory="online")
    for module in system_stand_ins(board.hardware, 3302, 1005):
        board.internal.load(GEN3_SYSTEM, module)
    big = build_module(
        board.hardware,
        ModuleFunction.USER_PART,
        2,
        7,
        start_address=0xB4000,
        size_bytes=20000,
        need1=(ModuleFunction.SYSTEM_PART, 1, 3302),
    )
    board.internal.load(0xB4000, big)
    return board, big


def user_parts(board):
    modules = fetch_modules(board.boot_view())
    return [(m.prefix.index, m.ok) for m in modules if m.prefix.function == ModuleFunction.USER_PART]


def test_of_two_user_slots_the_small_one_wins(two_slot_boron):
    board, _ = two_slot_boron
    assert user_parts(board) == [(1, True)]
    erase(board, 0xD4000, 0x1000)
    assert decide_boot(board.boot_view()).runs == "app"
    assert user_parts(board) == [(2, True)]


def test_which_of_two_user_slots_runs_shows_by_its_behaviour(two_slot_boron, make_board):
    board, big = two_slot_boron
    quiet = make_board("boron", factory="online", semi_automatic_apps=[hashlib.sha256(big).hexdigest()])
    quiet.internal.load(0, board.internal.read(0, 0x100000))
    assert decide_boot(quiet.boot_view()).would_connect
    erase(quiet, 0xD4000, 0x1000)
    assert not decide_boot(quiet.boot_view()).would_connect


def test_semi_automatic_application_stays_offline_even_without_setup(make_board):
    kind = hardware("boron")
    app = app_stand_in(kind, 2011)
    board = make_board("boron", semi_automatic_apps=[hashlib.sha256(app).hexdigest()])
    decision = decide_boot(board.boot_view())
    assert (decision.runs, decision.would_connect) == ("app", False)


def test_new_bootloader_finds_a_low_system_part_and_an_old_one_does_not(make_board):
    board = make_board("boron", factory="online")
    erase(board, 0x30000, 0x80000)
    low = build_module(
        board.hardware,
        ModuleFunction.SYSTEM_PART,
        1,
        6200,
        start_address=0x28000,
        size_bytes=400000,
        need1=(ModuleFunction.BOOTLOADER, 0, 3100),
        need2=(ModuleFunction.RADIO_STACK, 0, 202),
    )
    board.internal.load(0x28000, low)
    assert decide_boot(board.boot_view()).runs == "dfu"
    board.internal.load(0xF4000, bootloader_stand_in(board.hardware, 3100))
    assert decide_boot(board.boot_view()).runs != "dfu"


def test_factory_boards_are_sound(make_board):
    for platform in ("argon", "boron", "bsom", "b5som", "tracker", "photon", "p1"):
        for bootloader in ("release", "old"):
            board = make_board(platform, factory="online", bootloader=bootloader)
            assert board.decide_boot().runs == "app", platform
            assert all(m.ok for m in fetch_modules(board.boot_view())), platform


def test_restored_factory_application_boots(make_board):
    board = make_board("boron", factory="online", factory_image=True)
    erase_app(board)
    board.reset_pin()
    board.clock.sleep(10)
    board.advance()
    assert board.state.runs == "app"
    assert board.internal.read(0xD4000, 64) == app_stand_in(board.hardware, 2011)[:64]


def test_pending_ota_module_is_applied_before_the_network_starts(make_board):
    board = make_board("boron", bootloader="old", factory="online")
    new = bootloader_stand_in(board.hardware, 1005)
    board.external.load(board.boot_view().ota_region().start_address, new)
    board.dct.write(1753, b"\xa5")
    assert board.decide_boot().runs == "ota_update"
    before = board.truth.network_attempts
    board.reset_pin()
    assert board.internal.read(0xF4000, len(new)) == new
    assert not board.dct.ota_update_requested
    assert board.truth.network_attempts == before
    assert board.state.runs == "app"


def test_pending_ota_module_with_a_wrong_crc_is_not_applied(make_board):
    board = make_board("boron", bootloader="old", factory="online")
    old = board.internal.read(0xF4000, 0xC000)
    new = bytearray(bootloader_stand_in(board.hardware, 1005))
    new[5000] ^= 1
    board.external.load(board.boot_view().ota_region().start_address, bytes(new))
    board.dct.write(1753, b"\xa5")
    board.reset_pin()
    assert board.internal.read(0xF4000, 0xC000) == old
