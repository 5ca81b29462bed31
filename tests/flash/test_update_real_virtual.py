"""A whole Device OS 2.1.0, bootloader and SoftDevice included, on boards that hold older ones: no boot of anything but
the bootloader."""

import hashlib

import pytest
from particle_harness.boards import hardware
from particle_harness.factory import bootloader_stand_in, softdevice_stand_in

from particle_dev.catalog.modules import ModuleFunction
from particle_dev.catalog.platforms import UsbMode
from particle_dev.device.control import ControlSession
from particle_dev.device.dfu import DfuSession
from particle_dev.device.discovery import wait_for_device, wait_for_mode
from particle_dev.flash.bootloader_copies import copy_by_bootloader, not_applied, stage_in_slots
from particle_dev.flash.control_update import update_over_control
from particle_dev.flash.execute import flash, verify
from particle_dev.flash.installed import is_reported
from particle_dev.flash.inventory import inventory_by_control, inventory_by_dfu
from particle_dev.flash.plan import ModuleFile, make_plan
from particle_dev.flash.update_area import Install
from particle_dev.permissions import Permissions
from particle_dev.protocol.module import parse
from particle_dev.station.bench import open_bench

APPLICATIONS = {"boron": "tinker-0.8.0-rc.27-boron.bin", "tracker": "tracker-tinker@1.5.4-rc.1.bin"}


def older(platform):
    board = hardware(platform)
    return [bootloader_stand_in(board, 1001), softdevice_stand_in(board)]


@pytest.fixture
def release(particle_cli_firmware):
    """Files of Device OS 2.1.0 for a platform by module function."""
    assets = particle_cli_firmware / "particle-cli-2.12.0" / "package" / "assets"

    def of(platform):
        paths = [*(assets / "updates").glob(f"{platform}-*@2.1.0.bin"), assets / "binaries" / APPLICATIONS[platform]]
        installs = []
        for path in paths:
            data = path.read_bytes()
            file = ModuleFile(parse(data), hashlib.sha256(data).hexdigest(), path.name)
            installs.append(Install(file, data))
        found = {i.file.module.function: i for i in installs}
        assert len(found) == len(installs) == 4
        return found

    return of


@pytest.fixture
def desk():
    opened = []

    def make(platform, **slot):
        bench = open_bench(
            "virtual",
            options={"clock": "virtual"},
            slots=[{"name": "1", "platform": platform, "factory": "online", **slot}],
            factory_modules=older,
        )
        opened.append(bench)
        return bench.slots[0].host, bench.slots[0].port_path, bench.driver.board("1")

    yield make
    for each in opened:
        each.close()


@pytest.mark.firmware
@pytest.mark.parametrize("platform", APPLICATIONS)
def test_whole_release_without_permission(release, desk, platform):
    modules = release(platform)
    host, port, board = desk(platform, arrives_in="dfu")
    device = wait_for_device(host, port, 10)
    early = [modules[ModuleFunction.RADIO_STACK], modules[ModuleFunction.BOOTLOADER]]
    late = [modules[ModuleFunction.SYSTEM_PART], modules[ModuleFunction.USER_PART]]
    with DfuSession(host, device) as session:
        session.erase_sector(session.sectors(0x30000, 1)[0])
        list(stage_in_slots(session, early))
    device = copy_by_bootloader(host, device, early)
    contents = {i.file.sha256: i.data for i in late}
    with DfuSession(host, device) as session:
        plan = make_plan(inventory_by_dfu(session), [i.file for i in late])
        list(flash(plan, session, contents.__getitem__))
        assert len(list(verify(plan, session, contents.__getitem__))) == 2
        assert not_applied(session, early) == ()
        assert session.system_would_start()
    assert (board.truth.app_boots, board.truth.safe_mode_boots, board.truth.network_attempts) == (0, 0, 0)
    assert not board.truth.went_online
    # What a customer's first power-up would find.
    decision = board.decide_boot()
    assert (decision.runs, decision.safe_mode) == ("app", False)
    assert board.internal.read(0x1000, len(early[0].image)) == early[0].data[24:]
    assert board.internal.read(0xF4000, len(early[1].image)) == early[1].data


@pytest.mark.firmware
@pytest.mark.parametrize("platform", APPLICATIONS)
@pytest.mark.parametrize("function", [ModuleFunction.BOOTLOADER, ModuleFunction.RADIO_STACK])
def test_over_control(release, desk, platform, function):
    install = release(platform)[function]
    host, port, board = desk(platform)
    board.internal.load(0x3000, b"\xff" * 0x1000)  # the stand-in has the real one's firmware id
    device = wait_for_device(host, port, 10)
    done = update_over_control(host, device, install.file, install.data, permissions=Permissions(may_connect=True))
    assert done.written
    with ControlSession(host, done.device) as session:
        assert is_reported(install.file, inventory_by_control(session).modules)
        session.enter_dfu_mode()
    device = wait_for_mode(host, done.device, UsbMode.DFU, 30)
    with DfuSession(host, device) as session:
        assert not_applied(session, [install]) == ()
