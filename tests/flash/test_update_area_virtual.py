"""Bootloader and SoftDevice through the update area of virtual boards, with stand-in modules."""

import hashlib

import pytest
from particle_harness.boards import hardware
from particle_harness.dct import ModuleSlot
from particle_harness.factory import (
    app_stand_in,
    bootloader_stand_in,
    build_module,
    install,
    softdevice_stand_in,
    system_stand_ins,
)

from particle_dev.catalog.modules import ModuleFunction
from particle_dev.catalog.platforms import UsbMode
from particle_dev.device.control import ControlSession
from particle_dev.device.dfu import DfuSession
from particle_dev.device.discovery import wait_for_device, wait_for_mode
from particle_dev.device.modes import enter_dfu
from particle_dev.errors import PlanRefusedError, TransportError, UpdateNotAppliedError, VerifyError
from particle_dev.flash.board_modules import ModuleFile
from particle_dev.flash.bootloader_copies import copy_by_bootloader, not_applied, stage_in_slots
from particle_dev.flash.install_by_flag import stage_by_flag
from particle_dev.flash.installed import is_reported
from particle_dev.flash.inventory import inventory_by_control
from particle_dev.flash.progress import BlockWritten, ModuleStaged, ModuleVerified, SectorErased
from particle_dev.flash.update_area import Install
from particle_dev.permissions import Permissions
from particle_dev.protocol.module import parse
from particle_dev.station.bench import open_bench

BRAKE = 0x30000
AREA = {"boron": 0x24C000, "tracker": 0x689000}


def factory(platform):
    board = hardware(platform)
    modules = [bootloader_stand_in(board, 1005)]
    return [*modules, softdevice_stand_in(board)] if board.is_gen3 else modules


def to_install(data):
    module = parse(data)
    return Install(ModuleFile(module, hashlib.sha256(data).hexdigest(), f"{module.function.name.lower()}.bin"), data)


def new_softdevice(platform, **changes):
    values = {"start_address": 0x1000, "size_bytes": 153048, "flags": 1, "body": b"\x5a" * 0x3000} | changes
    return to_install(build_module(hardware(platform), ModuleFunction.RADIO_STACK, 0, 0x5A5A, **values))


def new_bootloader(platform, version=1006):
    return to_install(bootloader_stand_in(hardware(platform), version))


class Desk:
    """One board that goes online as soon as its application runs; it lies in DFU mode."""

    def __init__(self, platform, **slot):
        self.platform = platform
        table = {"name": "1", "platform": platform, "factory": "online", "arrives_in": "dfu", **slot}
        self.bench = open_bench("virtual", options={"clock": "virtual"}, slots=[table], factory_modules=factory)
        self.slot = self.bench.slots[0]
        self.host = self.slot.host
        self.board = self.bench.driver.board("1")

    @property
    def device(self):
        return wait_for_device(self.host, self.slot.port_path, 60)

    def session(self, **permissions):
        return DfuSession(self.host, self.device, Permissions(**permissions))

    def brake(self):
        with self.session() as session:
            session.erase_sector(session.sectors(BRAKE, 1)[0])

    def stage(self, installs):
        with self.session() as session:
            return list(stage_in_slots(session, installs))

    def changes(self):
        return self.board.truth.erases, self.board.truth.programs, self.board.dct.read(0, 8391)


@pytest.fixture
def desk():
    opened = []

    def make(platform="boron", **slot):
        opened.append(Desk(platform, **slot))
        return opened[-1]

    yield make
    for each in opened:
        each.bench.close()


def assert_stayed_dark(board):
    truth = board.truth
    assert (truth.app_boots, truth.safe_mode_boots) == (0, 0)
    assert (truth.network_attempts, truth.cloud_attempts, truth.went_online) == (0, 0, False)


@pytest.mark.parametrize("platform", AREA)
def test_bootloader_and_softdevice_without_one_moment_online(desk, platform):
    desk = desk(platform)
    installs = [new_softdevice(platform), new_bootloader(platform)]
    desk.brake()
    events = desk.stage(installs)
    assert [(e.slot, e.source_address) for e in events if isinstance(e, ModuleStaged)] == [
        (1, AREA[platform]),
        (2, AREA[platform] + 0x26000),
    ]
    written = [e for e in events if isinstance(e, BlockWritten)]
    assert written[-1].done_bytes == written[-1].total_bytes == sum(len(i.staged) for i in installs)
    assert [e.sha256 for e in events if isinstance(e, ModuleVerified)] == [i.file.sha256 for i in installs]
    assert desk.board.internal.read(0xF4000, 100) != installs[1].image[:100]  # nothing is installed yet

    before = desk.device
    back = copy_by_bootloader(desk.host, before, installs)
    assert back.mode is UsbMode.DFU
    assert back.usb.address != before.usb.address
    assert desk.board.internal.read(0x1000, len(installs[0].image)) == installs[0].data[24:]
    assert desk.board.internal.read(0xF4000, len(installs[1].image)) == installs[1].data
    assert desk.board.dct.modules() == []
    with desk.session() as session:
        assert not_applied(session, installs) == ()
    assert_stayed_dark(desk.board)


def test_what_is_there_already_is_not_done_again(desk):
    desk = desk()
    installs = [new_softdevice("boron"), new_bootloader("boron")]
    desk.brake()
    desk.stage(installs)
    before = desk.changes()
    events = desk.stage(installs)
    assert not [e for e in events if isinstance(e, SectorErased | BlockWritten)]
    assert [e.slot for e in events if isinstance(e, ModuleStaged)] == [1, 2]
    assert desk.changes() == before

    back = copy_by_bootloader(desk.host, desk.device, installs)
    before, boots = desk.changes(), desk.board.truth.boots
    assert desk.stage(installs) == []
    assert copy_by_bootloader(desk.host, back, installs) == back
    assert (desk.changes(), desk.board.truth.boots) == (before, boots)


def whole(desk, installs):
    desk.brake()
    desk.stage(installs)
    copy_by_bootloader(desk.host, desk.device, installs)


def test_unplugged_at_any_point_and_run_again(desk):
    installs = [new_softdevice("boron"), new_bootloader("boron")]
    braked, clean = desk(), desk()
    braked.brake()
    whole(clean, installs)
    first, last = braked.board.truth.dfu_transfers, clean.board.truth.dfu_transfers
    # Evenly over the whole work, and more closely where slots are armed, the board is left and the copies are proven.
    points = {*range(first + 1, last, (last - first) // 25), *range(last - 250, last, 5)}
    for n in sorted(points):
        one = desk(faults=[{"do": "unplug", "at": "dfu_transfer", "n": n, "replug_after_s": 1}])
        with pytest.raises(TransportError):
            whole(one, installs)
        whole(one, installs)
        with one.session() as session:
            assert not_applied(session, installs) == (), n
            assert not session.system_would_start()
        assert_stayed_dark(one.board)
        one.bench.close()


def test_a_byte_that_external_flash_does_not_take_arms_nothing(desk):
    desk = desk()
    desk.brake()

    def spoil(address, data):
        return data[:-1] + b"\0" if address == AREA["boron"] + 0x3000 else data

    desk.board.external.on_program = spoil
    with pytest.raises(VerifyError, match="external flash at 0x8024ffff does not hold"):
        desk.stage([new_softdevice("boron")])
    assert desk.board.dct.modules() == []


def test_an_armed_slot_never_names_what_was_not_proven(desk):
    desk = desk()
    installs = [new_softdevice("boron")]
    desk.brake()
    with desk.session() as session:
        for event in stage_in_slots(session, installs):
            if isinstance(event, ModuleStaged):
                break
            assert desk.board.dct.modules() == []


@pytest.mark.parametrize("spoil", ["slot", "flag"])
def test_what_somebody_else_armed_is_not_overwritten(desk, spoil):
    desk = desk()
    if spoil == "slot":
        desk.board.dct.add_module(ModuleSlot(1, 0, 0x24C000, 0xD4000, 5000, 0x0E, 5))
    else:
        desk.board.dct.write(1753, b"\xa5")
    before = desk.changes()
    with pytest.raises(PlanRefusedError, match=r"update slot 1|OTA region"):
        desk.stage([new_softdevice("boron")])
    with desk.session() as session, pytest.raises(PlanRefusedError):
        list(stage_by_flag(session, new_bootloader("boron")))
    assert desk.changes() == before


def damaged():
    data = bytearray(new_bootloader("boron").data)
    data[5000] ^= 1
    return to_install(bytes(data))


@pytest.mark.parametrize(
    ("install", "reason"),
    [
        (new_bootloader("tracker"), "is for platform 26"),
        (damaged(), "CRC"),
        (to_install(system_stand_ins(hardware("boron"), 2101, 1005)[0]), "not installed this way"),
        (to_install(app_stand_in(hardware("boron"), 2101)), "not installed this way"),
        (new_softdevice("boron", start_address=0x2000), "no place for it"),
    ],
)
def test_modules_that_are_refused(desk, install, reason):
    desk = desk()
    before = desk.changes()
    with pytest.raises(PlanRefusedError, match=reason):
        desk.stage([new_softdevice("boron"), install])
    with desk.session() as session, pytest.raises(PlanRefusedError, match=reason):
        list(stage_by_flag(session, install))
    assert desk.changes() == before


def test_five_modules_and_too_many_bytes(desk):
    desk = desk()
    with pytest.raises(PlanRefusedError, match=r"4 slots.*update area has 606208"):
        desk.stage([new_softdevice("boron")] * 5)


def test_old_bootloader_and_photon_are_refused(desk):
    with pytest.raises(PlanRefusedError, match="bootloader 0 v501; slots need v1001"):
        desk(bootloader="old").stage([new_softdevice("boron")])
    with pytest.raises(PlanRefusedError, match="no update area"):
        desk("photon").stage([new_bootloader("photon")])


def test_without_the_brake_the_board_is_not_left(desk):
    desk = desk()
    installs = [new_softdevice("boron")]
    desk.stage(installs)
    boots = desk.board.truth.boots
    with pytest.raises(PlanRefusedError, match="a system part would start"):
        copy_by_bootloader(desk.host, desk.device, installs)
    assert desk.board.truth.boots == boots
    assert_stayed_dark(desk.board)


def test_a_boot_without_permission_is_only_for_braked_boards_whose_rules_are_known(desk):
    unbraked, photon, braked = desk(), desk("photon"), desk()
    for one, reason in ((unbraked, "a system part would start"), (photon, "would start is not known")):
        before = one.device
        with one.session() as session, pytest.raises(PlanRefusedError, match=reason):
            session.boot_with_brake_set()
        one.host.clock.sleep(5)
        assert one.device == before
    braked.brake()
    before = braked.device
    with braked.session() as session:
        session.boot_with_brake_set()
    assert wait_for_mode(braked.host, before, UsbMode.DFU, 30).usb.address != before.usb.address
    assert_stayed_dark(braked.board)


def arm(desk, module, **changes):
    """As an update that was cut short left it: the module in the update area, a slot that names it."""
    values = {
        "source_device": 1,
        "destination_device": 0,
        "source_address": AREA["boron"],
        "destination_address": module.file.module.start_address,
        "length": len(module.data),
        "flags": 0x0E,
        "function": module.file.module.function,
    }
    desk.board.external.load(AREA["boron"], module.data)
    assert desk.board.dct.add_module(ModuleSlot(**values | changes))


def test_a_system_part_that_waits_in_a_slot_lifts_the_brake_and_needs_permission(desk):
    system = to_install(system_stand_ins(hardware("boron"), 2101, 1005)[0])
    for changes in ({}, {"destination_address": 0x28000}, {"destination_address": 0x1000, "flags": 0x2E, "length": 99}):
        braked = desk()
        braked.brake()
        arm(braked, system, **changes)
        before, device = braked.changes(), braked.device
        with braked.session() as session, pytest.raises(PlanRefusedError, match=r"slot 1 copies .* part would start"):
            session.boot_with_brake_set()
        braked.host.clock.sleep(5)
        assert (braked.changes(), braked.device) == (before, device)
        assert_stayed_dark(braked.board)
    lifted = desk()
    lifted.brake()
    arm(lifted, system)
    before = lifted.device
    with lifted.session(may_connect=True) as session:
        session.leave()
    wait_for_mode(lifted.host, before, UsbMode.NORMAL, 60)
    assert lifted.board.truth.app_boots


def test_an_application_that_waits_in_a_slot_leaves_the_brake_set(desk):
    desk = desk()
    desk.brake()
    application = to_install(app_stand_in(hardware("boron"), 2101))
    arm(desk, application)
    before = desk.device
    with desk.session() as session:
        session.boot_with_brake_set()
    assert wait_for_mode(desk.host, before, UsbMode.DFU, 30).usb.address != before.usb.address
    assert desk.board.internal.read(0xD4000, 4096) == application.data[:4096]
    assert_stayed_dark(desk.board)


def test_system_parts_of_both_places_would_start(desk):
    desk = desk()
    desk.brake()
    low = build_module(hardware("boron"), ModuleFunction.SYSTEM_PART, 1, 6200, start_address=0x28000, size_bytes=500000)
    with desk.session() as session:
        assert not session.system_would_start()
    # Not within a session: that remembers what nobody else can change.
    install(desk.board.internal, hardware("boron"), low)
    with desk.session() as session:
        assert session.system_would_start()
        # The page of the brake is covered by its CRC.
        session.erase_sector(session.sectors(BRAKE, 1)[0])
        assert not session.system_would_start()


def test_a_copy_that_the_bootloader_drops_is_an_error(desk):
    desk = desk()
    installs = [new_softdevice("boron"), new_bootloader("boron")]
    desk.brake()
    desk.stage(installs)
    before = desk.board.external.read(AREA["boron"] + 5000, 1)
    desk.board.external.load(AREA["boron"] + 5000, bytes([before[0] ^ 1]))
    with pytest.raises(UpdateNotAppliedError, match=r"radio stack 0 v23130 .* is not in its place") as error:
        copy_by_bootloader(desk.host, desk.device, installs)
    assert "bootloader" not in error.value.actual
    assert_stayed_dark(desk.board)
    whole(desk, installs)


@pytest.mark.parametrize("platform", AREA)
def test_by_flag_the_running_system_installs_a_bootloader(desk, platform):
    desk = desk(platform, factory="new")
    install = new_bootloader(platform)
    with desk.session(may_connect=True) as session:
        events = list(stage_by_flag(session, install))
        assert [(e.slot, e.source_address) for e in events if isinstance(e, ModuleStaged)] == [
            (None, {"boron": 0x289000, "tracker": 0x689000}[platform])
        ]
        assert len(not_applied(session, [install])) == 2  # not in its place, and still waiting
        before = desk.changes()
        again = list(stage_by_flag(session, install))
        assert not [e for e in again if isinstance(e, SectorErased | BlockWritten)]
        assert desk.changes() == before
        with pytest.raises(PlanRefusedError, match="another module waits"):
            list(stage_by_flag(session, new_bootloader(platform, 1007)))
        device = session.device
        session.leave()
    device = wait_for_mode(desk.host, device, UsbMode.NORMAL, 30)
    with ControlSession(desk.host, device) as control:
        assert is_reported(install.file, inventory_by_control(control).modules)
    enter_dfu(desk.host, device)
    with desk.session() as session:
        assert not_applied(session, [install]) == ()
        assert list(stage_by_flag(session, install)) == []


def test_by_flag_where_the_release_on_the_board_looks(desk):
    desk = desk("boron", factory="new")
    kind, install_file = hardware("boron"), new_bootloader("boron", 2400)
    for module in (*system_stand_ins(kind, 5501, 1005), app_stand_in(kind, 5501)):
        install(desk.board.internal, kind, module)
    with desk.session(may_connect=True) as session:
        assert [e.source_address for e in stage_by_flag(session, install_file) if isinstance(e, ModuleStaged)] == [
            0x24C000
        ]
        device = session.device
        session.leave()
    device = wait_for_mode(desk.host, device, UsbMode.NORMAL, 30)
    assert desk.board.internal.read(0xF4000, len(install_file.image)) == install_file.image


def test_by_flag_needs_a_system_part(desk):
    desk = desk()
    desk.brake()
    before = desk.changes()
    with desk.session() as session, pytest.raises(PlanRefusedError, match="no system part would start"):
        list(stage_by_flag(session, new_bootloader("boron")))
    assert desk.changes() == before


def test_by_flag_refuses_a_release_whose_region_is_unknown(desk):
    desk = desk("tracker")
    with desk.session() as session, pytest.raises(PlanRefusedError, match=r"where Device OS 1\.5\.2 looks"):
        list(stage_by_flag(session, new_bootloader("tracker"), "1.5.2"))
