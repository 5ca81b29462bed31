"""A debug probe on a virtual board: the same memory, the same boot, and what a halted core does to USB and radio."""

import pytest
import usb.core
from particle_harness.bench import open_bench
from particle_harness.boards import hardware
from particle_harness.factory import app_stand_in, known_release, release_stand_ins, system_stand_ins
from particle_harness.module_reader import DROP_MODULE_INFO, PREFIX_SIZE_BYTES, read_prefix, reader_of
from particle_harness.swd.debug_port import DapFaultError, WireError
from particle_harness.usb.pyusb_backend import VirtualBackend
from particle_harness.user_information import factory_uicr, mbr_stand_in

NVMC_CONFIG, NVMC_ERASE_ALL = 0x4001E504, 0x4001E50C
AIRCR, DHCSR, DEMCR = 0xE000ED0C, 0xE000EDF0, 0xE000EDFC
RESET, HALT, GO, STOP_AT_RESET = 0x05FA0004, 0xA05F0003, 0xA05F0001, 1
BACKUP_REGISTER_1 = 0x2003F380
ONLINE_S = 60.0
VERSION, BOOTLOADER_VERSION = known_release("2.0.1")


@pytest.fixture
def make_bench():
    opened = []

    def make(*slots, state_dir=None):
        bench = open_bench(
            options={"clock": "virtual", "delays": "none"},
            slots=[{"name": str(n), **slot} for n, slot in enumerate(slots, 1)],
            state_dir=state_dir,
            factory_modules=lambda platform: release_stand_ins(hardware(platform)),
        )
        opened.append(bench)
        return bench

    yield make
    for bench in opened:
        bench.close()


@pytest.fixture
def make_board(make_bench):
    def make(platform="boron", state_dir=None, **slot):
        return make_bench({"platform": platform, **slot}, state_dir=state_dir).board("1")

    return make


def programs(link, address, data):
    link.write(NVMC_CONFIG, 1)
    for start in range(0, len(data), 4096):
        piece = data[start : start + 4096]
        piece += b"\xff" * (-len(piece) % 4)
        link.write(address + start, *memoryview(piece).cast("I").tolist())
    link.write(NVMC_CONFIG, 0)


def program_boron(link, *, uicr=None):
    board = hardware("boron")
    modules = (*release_stand_ins(board), *system_stand_ins(board, VERSION, BOOTLOADER_VERSION))
    for module in (*modules, app_stand_in(board, VERSION)):
        prefix = read_prefix(reader_of(module), 0, board.mcu)
        skipped = PREFIX_SIZE_BYTES if prefix.flags & DROP_MODULE_INFO else 0
        programs(link, prefix.start_address, module[skipped:])
    programs(link, 0, mbr_stand_in())
    programs(link, 0x10001000, uicr or factory_uicr(0, was_protected=False))


# ---- identity and memory --------------------------------------------------------------------------------------------


def test_chip_and_board_agree_on_identity(make_board, probe):
    boron, photon = make_board("boron"), make_board("photon")
    link = probe(boron.chip)
    words = [link.read(0x10000060), link.read(0x10000064)]
    assert "e00fce68" + b"".join(w.to_bytes(4, "little") for w in words).hex() == boron.state.device_id
    link = probe(photon.chip)
    words = [link.read(0x1FFF7A10 + 4 * n) for n in range(3)]
    assert b"".join(w.to_bytes(4, "little") for w in words).hex() == photon.state.device_id


def test_flash_is_the_boards_own(make_board, probe):
    board = make_board()
    link = probe(board.chip)
    link.write(DHCSR, HALT)
    link.write(NVMC_CONFIG, 1)
    link.write(0xE0000, 0x12345678)
    assert board.internal.read(0xE0000, 4) == bytes.fromhex("78563412")
    board.internal.load(0xE1000, b"over USB")
    assert link.read(0xE1000).to_bytes(4, "little") == b"over"


@pytest.mark.parametrize("platform", ["boron", "photon", "electron", "p2", "trackerm"])
def test_every_family_has_a_probe_on_the_same_flash(make_bench, platform):
    bench = make_bench({"platform": platform, "probe": True})
    board = bench.slots[0].board
    assert bench.slots[0].probe_id.startswith("remote:")
    start = board.chip.flash.base_address
    assert board.chip.core.bus.read(start, 64) == board.internal.read(start, 64)


# ---- starting -------------------------------------------------------------------------------------------------------


def test_a_blank_board_does_nothing_until_it_is_programmed_by_probe(make_board, probe):
    board = make_board(blank=True)
    assert board.state.runs == "hung"
    assert board.on_bus() is None
    link = probe(board.chip)
    link.write(DHCSR, HALT)
    program_boron(link)
    boots = board.truth.boots
    link.write(BACKUP_REGISTER_1, 0xEDFA)
    link.write(AIRCR, RESET)
    assert board.on_bus() is not None
    assert board.state.runs == "dfu"
    assert board.truth.boots == boots + 2, "the first boot of an erased NRFFW[1] resets once"
    assert link.read(0x10001018) == 0x2F000
    assert board.truth.app_boots == 0


@pytest.mark.parametrize(
    ("missing", "reason"),
    [("uicr", "NRFFW[0] is erased"), ("mbr", "no boot record"), ("bootloader", "no vector table at 0xf4000")],
)
def test_nothing_starts_without_mbr_uicr_and_bootloader(make_board, missing, reason):
    board = make_board()
    if missing == "uicr":
        board._memories.uicr[:] = b"\xff" * 4096
    else:
        board.internal.erase_sector(0 if missing == "mbr" else 0xF4000)
    board.power_off()
    board.power_on()
    assert board.state.runs == "hung"
    assert reason in board.state.reasons[0]
    assert board.on_bus() is None


def test_an_erased_stm32_does_not_start(make_board):
    board = make_board("photon")
    board.internal.erase_sector(0x08000000)
    board.reset_pin()
    assert (board.state.runs, board.on_bus()) == ("hung", None)


def test_the_boot_writes_the_word_away_so_the_next_reset_starts_the_application(make_board, probe):
    board = make_board(factory="online")
    link = probe(board.chip)
    link.write(BACKUP_REGISTER_1, 0xEDFA)
    link.write(AIRCR, RESET)
    assert board.state.runs == "dfu"
    assert link.read(BACKUP_REGISTER_1) == 0
    link.write(AIRCR, RESET)
    assert board.state.runs == "app"
    board.clock.sleep(ONLINE_S)
    board.advance()
    assert board.truth.went_online


def test_safe_mode_word_lets_the_system_connect(make_board, probe):
    board = make_board(factory="online")
    link = probe(board.chip)
    link.write(BACKUP_REGISTER_1, 0x5AFE)
    link.write(AIRCR, RESET)
    assert board.state.runs == "safe_mode"
    assert board.truth.safe_mode_boots == 1


def test_what_the_system_writes_into_the_word_can_be_read(make_board, probe):
    board = make_board()
    link = probe(board.chip)
    link.write(DEMCR, STOP_AT_RESET)
    link.write(DHCSR, GO)
    board._reset_into(board.clock.monotonic_s(), "dfu")
    assert link.read(DHCSR) & 1 << 17, "the debugger stops it at the reset vector"
    assert link.read(BACKUP_REGISTER_1) == 0xEDFA
    link.write(DHCSR, GO)
    assert board.state.runs == "dfu"


def test_photon_backup_register_needs_its_gates(make_board, probe):
    board = make_board("photon")
    link = probe(board.chip)
    link.write(DHCSR, HALT)
    link.write(0x40002854, 0xEDFA)
    assert link.read(0x40002854) == 0
    link.write(0x40007000, 1 << 8)
    link.write(0x40002854, 0xEDFA)
    assert link.read(0x40002854) == 0
    link.write(0x40023840, 1 << 28)
    link.write(0x40007000, 1 << 8)
    link.write(0x40002854, 0xEDFA)
    assert link.read(0x40002854) == 0xEDFA
    link.write(AIRCR, RESET)
    assert board.state.runs == "dfu"


# ---- halting --------------------------------------------------------------------------------------------------------


def test_a_halted_board_stays_on_the_bus_and_answers_nothing(make_board, probe):
    board = make_board()
    (device,) = usb.core.find(find_all=True, backend=VirtualBackend([board]))
    assert device.ctrl_transfer(0x80, 0, 0, 0, 2)
    link = probe(board.chip)
    link.write(DHCSR, HALT)
    assert board.on_bus() is not None
    before_s = board.clock.monotonic_s()
    with pytest.raises(usb.core.USBTimeoutError):
        device.ctrl_transfer(0x80, 0, 0, 0, 2, timeout=1500)
    assert board.clock.monotonic_s() - before_s == pytest.approx(1.5)
    link.write(DHCSR, GO)
    assert device.ctrl_transfer(0x80, 0, 0, 0, 2)


def test_a_halted_board_does_not_go_online_and_goes_on_later(make_board, probe):
    board = make_board(factory="online")
    link = probe(board.chip)
    link.write(DHCSR, HALT)
    board.clock.sleep(10 * ONLINE_S)
    board.advance()
    assert not board.truth.went_online
    link.write(DHCSR, GO)
    board.advance()
    assert not board.truth.went_online
    board.clock.sleep(ONLINE_S)
    board.advance()
    assert board.truth.went_online
    assert board.truth.first_connected_at_s > 10 * ONLINE_S


def test_halted_at_the_reset_vector_is_off_the_bus_and_never_boots(make_board, probe):
    board = make_board(factory="online")
    link = probe(board.chip)
    link.write(DEMCR, STOP_AT_RESET)
    link.write(DHCSR, GO)
    boots = board.truth.boots
    link.write(AIRCR, RESET)
    board.clock.sleep(ONLINE_S)
    assert board.on_bus() is None
    assert (board.truth.boots, board.truth.went_online) == (boots, False)


def test_a_core_that_goes_on_in_rewritten_flash_hangs(make_board, probe):
    board = make_board()
    link = probe(board.chip)
    link.write(DHCSR, HALT)
    programs(link, 0xE0000, b"else")
    link.write(DHCSR, GO)
    assert (board.state.runs, board.on_bus()) == ("hung", None)


def test_a_halted_board_is_taken_up_halted(make_board, make_bench, probe, tmp_path):
    board = make_board(state_dir=tmp_path, factory="online")
    probe(board.chip).write(DHCSR, HALT)
    board.keep()
    again = make_bench({"platform": "boron", "factory": "online"}, state_dir=tmp_path).board("1")
    again.clock.sleep(ONLINE_S)
    again.advance()
    assert not again.truth.went_online
    link = probe(again.chip)
    assert link.read(DHCSR) & 1 << 17
    link.write(DHCSR, GO)
    again.clock.sleep(ONLINE_S)
    again.advance()
    assert again.truth.went_online


def test_uicr_and_word_are_kept_between_processes(make_board, make_bench, probe, tmp_path):
    board = make_board(state_dir=tmp_path)
    link = probe(board.chip)
    link.write(DHCSR, HALT)
    programs(link, 0x10001080, b"mark")
    link.write(BACKUP_REGISTER_1, 0xEDFA)
    board.keep()
    link = probe(make_bench({"platform": "boron"}, state_dir=tmp_path).board("1").chip)
    assert link.read(0x10001080).to_bytes(4, "little") == b"mark"
    assert link.read(BACKUP_REGISTER_1) == 0xEDFA


# ---- power, pin, protection -----------------------------------------------------------------------------------------


def test_without_power_the_debug_port_does_not_answer(make_board, probe):
    board = make_board()
    link = probe(board.chip)
    link.write(DHCSR, HALT)
    link.write(BACKUP_REGISTER_1, 0xEDFA)
    board.power_off()
    with pytest.raises(WireError):
        link.port.read_dp(0)
    board.power_on()
    assert board.state.runs in ("app", "listening"), "the word was in RAM"
    assert not probe(board.chip).read(DHCSR) & 1 << 17


def test_reset_pin_needs_uicr(make_board, probe):
    board = make_board(blank=True)
    link = probe(board.chip)
    link.write(DHCSR, HALT)
    program_boron(link)
    board.reset_pin()
    assert link.read(DHCSR) & 1 << 17, "still halted: the pin does nothing yet"
    link.write(AIRCR, RESET)
    link.write(DHCSR, HALT)
    board.reset_pin()
    assert not link.read(DHCSR) & 1 << 17


def test_mass_erase_stops_the_board_and_leaves_its_serial_flash(make_board, probe):
    board = make_board()
    board.external.load(0, b"file system")
    link = probe(board.chip)
    link.write_access_port(1, 0x04, 1)
    assert board.internal.read(0xF4000, 4) == b"\xff" * 4
    assert board.external.read(0, 11) == b"file system"
    with pytest.raises(usb.core.USBTimeoutError):
        (device,) = usb.core.find(find_all=True, backend=VirtualBackend([board]))
        device.ctrl_transfer(0x80, 0, 0, 0, 2, timeout=100)
    board.power_off()
    board.power_on()
    assert (board.state.runs, board.on_bus()) == ("hung", None)


def open_to_probe(board, probe):
    try:
        probe(board.chip).read(0x10000060)
    except DapFaultError:
        return False
    return True


def test_hardened_silicon_is_closed_unless_new_firmware_opens_it(make_board, probe):
    new = make_board(silicon="AAF0", device_os="6.1.1")
    assert not open_to_probe(new, probe), "0xFF is locked"
    new._memories.uicr[0x208] = 0x5A
    new.power_off()
    new.power_on()
    assert open_to_probe(new, probe)
    old = make_board(silicon="AAF0")
    old._memories.uicr[0x208] = 0x5A
    old.power_off()
    old.power_on()
    assert not open_to_probe(old, probe), "Device OS before 6.0 does not write DISABLE"


@pytest.mark.parametrize("silicon", ["AAD0", "AAF0"])
def test_a_protected_board_is_locked_on_any_silicon(make_board, probe, silicon):
    board = make_board(silicon=silicon, device_os="6.1.1", protected=True)
    assert board.protection.locked
    assert not open_to_probe(board, probe)


def test_a_protected_bootloader_locks_old_silicon_at_its_first_boot(make_board, probe):
    board = make_board(device_os="6.1.1", protected=True)
    board._memories.uicr[0x208] = 0xFF
    boots = board.truth.boots
    board.power_off()
    board.power_on()
    assert board.truth.boots == boots + 2
    assert board._memories.uicr[0x208] == 0x5A
    assert not open_to_probe(board, probe)


def test_erase_all_opens_hardened_silicon_until_its_power_goes(make_board, probe):
    board = make_board(silicon="AAF0")
    link = probe(board.chip)
    link.write_access_port(1, 0x04, 1)
    assert open_to_probe(board, probe)
    link.write(AIRCR, RESET)
    assert open_to_probe(board, probe)
    board.power_off()
    board.power_on()
    assert not open_to_probe(board, probe)
