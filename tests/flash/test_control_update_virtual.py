"""Modules through the running system of virtual boards: what counts is what the board reports after its reset."""

import hashlib

import pytest
from particle_harness.boards import hardware
from particle_harness.factory import bootloader_stand_in, build_module, softdevice_stand_in

from particle_dev.catalog.modules import ModuleFunction
from particle_dev.catalog.platforms import UsbMode
from particle_dev.device.control import ControlSession
from particle_dev.device.discovery import wait_for_device
from particle_dev.errors import (
    DeviceModeError,
    LinkDisconnectedError,
    PermissionMissingError,
    PlanRefusedError,
    RequestRefusedError,
    UpdateNotAppliedError,
    WrongDeviceError,
)
from particle_dev.flash.control_update import update_over_control
from particle_dev.flash.plan import ModuleFile
from particle_dev.permissions import Permissions
from particle_dev.protocol.messages import DeviceMode
from particle_dev.protocol.module import parse
from particle_dev.station.bench import open_bench

MAY_CONNECT = Permissions(may_connect=True)


def factory(platform):
    board = hardware(platform)
    modules = [bootloader_stand_in(board, 1005)]
    return [*modules, softdevice_stand_in(board)] if board.is_gen3 else modules


def as_file(data):
    module = parse(data)
    return ModuleFile(module, hashlib.sha256(data).hexdigest(), f"{module.function.name.lower()}.bin"), data


def bootloader(platform, version=1006):
    return as_file(bootloader_stand_in(hardware(platform), version))


def softdevice(platform="boron", version=0x5A5A):
    body = bytearray(0x2100)
    body[0x200C:0x200E] = version.to_bytes(2, "little")
    values = {"start_address": 0x1000, "size_bytes": 153048, "flags": 1, "body": bytes(body)}
    return as_file(build_module(hardware(platform), ModuleFunction.RADIO_STACK, 0, version, **values))


class Desk:
    """One board with a running application that goes online by itself."""

    def __init__(self, platform, **slot):
        table = {"name": "1", "platform": platform, "factory": "online", **slot}
        self.bench = open_bench("virtual", options={"clock": "virtual"}, slots=[table], factory_modules=factory)
        self.slot = self.bench.slots[0]
        self.host = self.slot.host
        self.board = self.bench.driver.board("1")

    @property
    def device(self):
        return wait_for_device(self.host, self.slot.port_path, 60)

    def update(self, module, permissions=MAY_CONNECT, **options):
        return update_over_control(self.host, self.device, *module, permissions=permissions, **options)


@pytest.fixture
def desk():
    opened = []

    def make(platform="boron", **slot):
        opened.append(Desk(platform, **slot))
        return opened[-1]

    yield make
    for each in opened:
        each.bench.close()


@pytest.mark.parametrize("platform", ["boron", "tracker", "photon"])
def test_bootloader(desk, platform):
    desk = desk(platform)
    before, module, sent = desk.device, bootloader(platform), []
    done = desk.update(module, progress=lambda *now: sent.append(now))
    assert done.written
    assert sent[-1] == (len(module[1]), len(module[1]))
    assert done.device.usb.address != before.usb.address
    assert (done.device.mode, done.device.device_id) == (UsbMode.NORMAL, before.device_id)
    assert done.evidence == "control request 90: version only"  # as every Device OS before 5.6.0 tells it
    address = desk.board.hardware.bootloader_address
    assert desk.board.internal.read(address, len(module[1])) == module[1]
    assert done.listening
    with ControlSession(desk.host, done.device) as session:
        assert session.device_mode() is DeviceMode.LISTENING
        assert session.cloud_status() == 0


def test_radio_stack(desk):
    desk, module = desk(), softdevice()
    assert desk.update(module).written
    assert desk.board.internal.read(0x1000, len(module[1]) - 24) == module[1][24:]


def test_what_is_there_already_is_not_sent_and_needs_no_permission(desk):
    desk = desk()
    boots, here = desk.board.truth.boots, desk.device
    done = desk.update(bootloader("boron", 1005), permissions=Permissions())
    assert (done.written, done.listening, done.device) == (False, False, here)
    assert desk.board.truth.boots == boots
    assert not desk.board.state.listening


def test_without_permission_nothing_is_sent(desk):
    desk = desk()
    boots = desk.board.truth.boots
    with pytest.raises(PermissionMissingError) as error:
        desk.update(bootloader("boron"), permissions=Permissions())
    assert error.value.permission == "may_connect"
    assert (desk.board.truth.boots, desk.board.truth.erases) == (boots, 0)
    assert not desk.board.state.listening


def validated(desk, _file, data):
    with ControlSession(desk.host, desk.device) as session:
        return session.update_firmware(data, validate_only=True)


def test_validation_only(desk):
    desk = desk()
    boots = desk.board.truth.boots
    accepted = validated(desk, *bootloader("boron"))
    assert not accepted.will_reset
    needs = bootloader("boron", 1006)[1][:]
    unmet = as_file(
        build_module(
            hardware("boron"),
            ModuleFunction.BOOTLOADER,
            0,
            1006,
            start_address=0xF4000,
            size_bytes=len(needs),
            need1=(ModuleFunction.SYSTEM_PART, 1, 9999),
        )
    )
    with pytest.raises(RequestRefusedError) as error:
        validated(desk, *unmet)
    assert error.value.result_code == -1340
    desk.host.clock.sleep(60)
    assert desk.board.truth.boots == boots
    assert desk.board.dct.modules() == []


def damaged():
    data = bytearray(bootloader("boron")[1])
    data[5000] ^= 1
    return as_file(bytes(data))


@pytest.mark.parametrize(("module", "reason"), [(bootloader("tracker"), "platform 26"), (damaged(), "CRC")])
def test_wrong_and_damaged_modules_are_not_sent(desk, module, reason):
    desk = desk()
    with pytest.raises(PlanRefusedError, match=reason):
        desk.update(module)
    assert desk.board.truth.erases == 0


def test_a_board_that_resets_and_does_not_install(desk):
    desk = desk()
    desk.board.dct.add_module = lambda _slot: True  # accepted and forgotten, as by a slot that could not be written
    boots = desk.board.truth.boots
    with pytest.raises(UpdateNotAppliedError) as error:
        desk.update(bootloader("boron"))
    assert desk.board.truth.boots == boots + 1
    assert error.value.actual.startswith("v1005")
    assert error.value.expected.startswith("v1006 ")


def test_a_board_that_never_comes_back(desk):
    desk = desk(faults=[{"do": "vanish", "at": "re_enumeration", "n": 1}])
    began_s = desk.host.clock.monotonic_s()
    with pytest.raises(DeviceModeError, match="did not reach normal mode"):
        desk.update(bootloader("boron"), timeout_s=90)
    assert 90 <= desk.host.clock.monotonic_s() - began_s < 150


def test_another_board_comes_back(desk):
    desk = desk(faults=[{"do": "wrong_device_id", "at": "re_enumeration", "n": 1}])
    with pytest.raises(WrongDeviceError):
        desk.update(bootloader("boron"))


def test_a_board_that_resets_once_more_while_it_is_asked(desk):
    desk, module = desk(), bootloader("boron")
    sent = []
    progress = lambda now, total: sent.append(now == total)  # noqa: E731
    board, slots = desk.board, []
    taken = board.dct.add_module
    board.dct.add_module = lambda slot: slots.append(slot) or True

    class LateClock:
        """The first boot after the update finds no slot; the board installs it at a second one, 3 s later."""

        def __init__(self, clock):
            self.clock = clock

        def __getattr__(self, name):
            return getattr(self.clock, name)

        def sleep(self, duration_s):
            self.clock.sleep(duration_s)
            if slots and board.truth.boots == boots + 1 and board.on_bus() and not board.dct.modules():
                taken(slots[0])
                board.reset_pin()

    boots = board.truth.boots
    host = type(desk.host)(
        **{f: getattr(desk.host, f) for f in desk.host.__slots__} | {"clock": LateClock(desk.host.clock)}
    )
    done = update_over_control(host, desk.device, *module, permissions=MAY_CONNECT, progress=progress)
    assert done.written
    assert board.truth.boots == boots + 2


@pytest.mark.parametrize("n", [1, 10, 40, 100, 170])
def test_unplugged_and_run_again(desk, n):
    desk, module = desk(faults=[{"do": "unplug", "at": "control_transfer", "n": n, "replug_after_s": 1}]), softdevice()
    with pytest.raises(LinkDisconnectedError):
        desk.update(module)
    assert desk.update(module).written
    assert desk.board.internal.read(0x1000, len(module[1]) - 24) == module[1][24:]


def test_a_board_in_dfu_mode_is_not_asked(desk):
    with pytest.raises(DeviceModeError, match="does not answer control requests"):
        desk(arrives_in="dfu").update(bootloader("boron"))
