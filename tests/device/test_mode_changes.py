"""Every row of the mode table on virtual boards: the permission it needs, the way it takes, and what proves arrival."""

from contextlib import closing

import pytest
from particle_harness.boards import hardware, kinds
from particle_harness.factory import bootloader_stand_in, release_stand_ins

from particle_dev.catalog.platforms import UsbMode
from particle_dev.device.control import ControlSession
from particle_dev.device.discovery import device_at, wait_for_device
from particle_dev.device.mode_changes import change_mode, transition_for
from particle_dev.device.modes import TRANSITIONS, ArrivalEvidence, Target, Way
from particle_dev.errors import (
    ControlProtocolError,
    DeviceAmbiguousError,
    DeviceModeError,
    LinkDisconnectedError,
    NoWayToModeError,
    PermissionMissingError,
    WrongDeviceError,
)
from particle_dev.permissions import Permissions
from particle_dev.protocol.messages import DeviceMode
from particle_dev.station.bench import open_bench

MAY_CONNECT = Permissions(may_connect=True)
BOOTLOADER_OF_6_1_2 = 3002
BOARDS = kinds()


class Bench:
    def __init__(self, platform, bootloader=None, **slot):
        board = hardware(platform)
        modules = release_stand_ins(board)
        if bootloader:
            modules[0] = bootloader_stand_in(board, bootloader)
        self.bench = open_bench(
            "virtual",
            options={"clock": "virtual"},
            slots=[{"name": "1", "platform": platform, "factory": "online", **slot}],
            factory_modules=lambda _: modules,
        )
        self.host = self.bench.slots[0].host
        self.board = self.bench.driver.board("1")
        self.device = wait_for_device(self.host, "1-1", 10)

    def change(self, target, permissions=MAY_CONNECT, **options):
        change = change_mode(self.host, self.device, target, permissions, **options)
        self.device = change.device
        return change


@pytest.fixture
def bench():
    opened = []

    def make(*args, **slot):
        opened.append(Bench(*args, **slot))
        return opened[-1]

    yield make
    for one in opened:
        one.bench.close()


@pytest.fixture(params=BOARDS)
def board(bench, request):
    return bench(request.param)


def test_dfu_and_back(board):
    device_id = board.device.device_id
    change = board.change(Target.DFU, Permissions())
    # An Electron that has just started says yes, and does not come.
    way = Way.TOUCH if board.board.hardware.name == "electron" else Way.CONTROL
    assert (change.transition.way, change.evidence, change.missing) == (way, (ArrivalEvidence.PRODUCT_ID,), ())
    assert (change.device.mode, change.device.device_id) == (UsbMode.DFU, device_id)
    assert board.board.state.runs == "dfu"
    change = board.change(Target.NORMAL)
    assert (change.transition.way, change.device.mode) == (Way.DFU, UsbMode.NORMAL)
    assert change.device.device_id == device_id
    assert board.board.state.runs == "app"


def test_dfu_by_touch(board):
    change = board.change(Target.DFU, Permissions(), way=Way.TOUCH)
    assert change.transition.way is Way.TOUCH
    assert board.board.state.runs == "dfu"


def test_reset(board):
    boots = board.board.truth.boots
    change = board.change(Target.RESET)
    assert change.evidence == (ArrivalEvidence.PRODUCT_ID, ArrivalEvidence.UPTIME)
    assert not change.missing
    assert board.board.truth.boots == boots + 1


def test_raw_reset(board):
    boots = board.board.truth.boots
    if board.board.hardware.name in ("xenon", "asom", "xsom"):
        # Their last release is 1.5.2.
        with pytest.raises(NoWayToModeError, match="raw reset"):
            board.change(Target.RESET, way=Way.RAW)
        assert board.board.truth.boots == boots
        return
    change = board.change(Target.RESET, way=Way.RAW)
    assert (change.transition.way, change.missing) == (Way.RAW, ())
    assert board.board.truth.boots == boots + 1


def test_safe(board):
    change = board.change(Target.SAFE)
    assert set(change.evidence) == {ArrivalEvidence.PRODUCT_ID, ArrivalEvidence.UPTIME}
    assert change.missing == (ArrivalEvidence.RESET_REASON,), "no Device OS tells it"
    assert board.board.state.runs == "safe_mode"
    has_radio = board.board.hardware.radio != "none"
    assert (board.board.truth.network_attempts > 0) == has_radio, "safe mode connects; the permission is no formality"


def test_listening_and_out_of_it(board):
    change = board.change(Target.LISTENING, Permissions())
    assert (change.evidence, change.device_mode) == ((ArrivalEvidence.DEVICE_MODE,), DeviceMode.LISTENING)
    assert board.board.state.listening
    assert board.change(Target.LISTENING, Permissions()).transition is None, "it is there already"
    change = board.change(Target.NORMAL)
    assert (change.transition.way, change.device_mode) == (Way.CONTROL, DeviceMode.NORMAL)
    assert not board.board.state.listening
    assert board.change(Target.NORMAL).transition is None


def test_listening_by_touch(board):
    change = board.change(Target.LISTENING, Permissions(), way=Way.TOUCH)
    assert (change.transition.way, change.evidence) == (Way.TOUCH, (ArrivalEvidence.DEVICE_MODE,))
    assert board.board.state.listening


NEEDS_PERMISSION = [row for row in TRANSITIONS if row.may_connect]


@pytest.mark.parametrize("platform", ["boron", "photon"])
@pytest.mark.parametrize("row", NEEDS_PERMISSION, ids=lambda row: f"{row.source}-{row.target}-{row.way}")
def test_without_permission_nothing_is_sent(bench, row, platform):
    one = bench(platform, arrives_in="dfu" if row.source is UsbMode.DFU else "app")
    # A host that can do nothing but tell the time: every other use of it fails.
    idle = type("Idle", (), {"clock": one.host.clock})()
    before = one.board.truth.dfu_transfers
    with pytest.raises(PermissionMissingError, match="starts billing"):
        change_mode(idle, one.device, row.target, way=row.way)
    assert one.board.truth.dfu_transfers == before


def test_rows_that_need_no_permission_lead_away_from_the_network():
    assert {row.target for row in TRANSITIONS if not row.may_connect} == {Target.DFU, Target.LISTENING}
    assert all(row.may_connect for row in TRANSITIONS if row.boots_application)


def test_every_row_can_be_chosen(bench):
    normal, dfu = bench("boron").device, bench("boron", arrives_in="dfu").device
    for row in TRANSITIONS:
        assert transition_for(normal if row.source is UsbMode.NORMAL else dfu, row.target, row.way) is row


@pytest.mark.parametrize("target", [Target.LISTENING, Target.RESET])
def test_no_way_from_dfu_mode(bench, target):
    one = bench("boron", arrives_in="dfu")
    with pytest.raises(DeviceModeError, match="no way") as error:
        one.change(target)
    assert "mode normal" in error.value.hint


def test_no_such_way(bench):
    with pytest.raises(NoWayToModeError, match="by touch") as error:
        bench("boron").change(Target.SAFE, way=Way.TOUCH)
    assert "use one of: control" in error.value.hint


def test_dfu_when_it_is_there_already(bench):
    one = bench("boron", arrives_in="dfu")
    address = one.device.usb.address
    change = one.change(Target.DFU, Permissions())
    assert (change.transition, change.device.usb.address) == (None, address)


def test_safe_from_dfu_needs_a_bootloader_that_names_the_command(bench):
    one = bench("boron", arrives_in="dfu")
    with pytest.raises(DeviceModeError, match="no way into safe mode"):
        one.change(Target.SAFE)
    assert one.board.state.runs == "dfu"
    assert one.change(Target.NORMAL).device.mode is UsbMode.NORMAL, "it was not disturbed"


def test_safe_from_dfu_by_a_new_bootloader_arrives_and_is_not_proven(bench):
    one = bench("boron", BOOTLOADER_OF_6_1_2, arrives_in="dfu")
    change = one.change(Target.SAFE)
    assert change.transition.way is Way.DFU
    assert change.missing == (ArrivalEvidence.RESET_REASON,)
    assert one.board.state.runs == "safe_mode"


def test_board_that_returns_to_listening_by_itself(bench):
    one = bench("photon", factory="new")
    with pytest.raises(DeviceModeError, match="listening mode 10 s") as error:
        one.change(Target.NORMAL)
    assert "credentials" in error.value.hint


@pytest.mark.parametrize("target", [Target.DFU, Target.RESET, Target.SAFE])
def test_another_board_comes_back(bench, target):
    one = bench("boron", faults=[{"do": "wrong_device_id", "at": "re_enumeration"}])
    with pytest.raises(WrongDeviceError):
        one.change(target)


@pytest.mark.parametrize("target", [Target.DFU, Target.RESET])
def test_board_that_never_comes_back(bench, target):
    one = bench("boron", faults=[{"do": "vanish", "at": "re_enumeration"}])
    begun_s = one.host.clock.monotonic_s()
    with pytest.raises(DeviceModeError, match="did not reach"):
        one.change(target, timeout_s=20)
    assert 19 < one.host.clock.monotonic_s() - begun_s < 25


def test_a_board_that_stays_in_dfu_mode_is_not_to_be_brought_there(bench):
    one = bench("boron")
    one.change(Target.DFU)
    one.board.internal.erase_sector(0x30000)
    with pytest.raises(DeviceModeError, match="did not reach normal") as error:
        one.change(Target.NORMAL, timeout_s=20)
    assert "`particle-dev id`" in error.value.hint
    assert "hold MODE" not in error.value.hint


@pytest.mark.parametrize("target", [Target.RESET, Target.SAFE])
def test_the_last_enumeration_of_a_boot_is_the_result(board, target):
    """Boards with an RTL872x leave again after they came back, to return with their serial port."""
    change = board.change(target)
    board.host.clock.sleep(5)
    assert device_at(board.host, "1-1") == change.device


def test_board_that_leaves_while_it_is_asked(bench, monkeypatch):
    one = bench("boron")
    enter, lost = ControlSession.__enter__, []

    def enter_once_more(session):
        if session.device.usb.address != one.device.usb.address and not lost:
            lost.append(session.device.usb.address)
            session.close()
            one.board.reset_pin()
            raise LinkDisconnectedError("gone", where="1-1")
        return enter(session)

    monkeypatch.setattr(ControlSession, "__enter__", enter_once_more)
    change = change_mode(one.host, one.device, Target.RESET, MAY_CONNECT)
    assert lost
    assert change.device.usb.address != lost[0]
    assert not change.missing


@pytest.mark.parametrize(("stalls", "arrives"), [(3, True), (10**6, False)])
def test_board_whose_system_is_just_starting_is_asked_again(bench, monkeypatch, stalls, arrives):
    one = bench("boron")
    enter = ControlSession.__enter__
    left = [stalls]

    def enter_once_it_runs(session):
        if session.device.usb.address != one.device.usb.address and left[0]:
            left[0] -= 1
            session.close()
            raise ControlProtocolError("RESET was answered by a stall", request_type=0)
        return enter(session)

    monkeypatch.setattr(ControlSession, "__enter__", enter_once_it_runs)
    if arrives:
        assert not change_mode(one.host, one.device, Target.RESET, MAY_CONNECT).missing
    else:
        start_s = one.host.clock.monotonic_s()
        with pytest.raises(ControlProtocolError):
            change_mode(one.host, one.device, Target.RESET, MAY_CONNECT)
        assert one.host.clock.monotonic_s() - start_s < 20


def test_a_board_that_leaves_has_its_time_to_start_anew(bench, monkeypatch):
    """It refuses, leaves, is long away, and refuses once more as it starts again."""
    one = bench("boron")
    enter = ControlSession.__enter__
    refused = ControlProtocolError("stall", request_type=0)
    to_come = [refused, LinkDisconnectedError("gone", where="1-1"), refused]

    def enter_late(session):
        if session.device.usb.address == one.device.usb.address or not to_come:
            return enter(session)
        session.close()
        if to_come[0] is not refused:
            one.host.clock.sleep(12)
        raise to_come.pop(0)

    monkeypatch.setattr(ControlSession, "__enter__", enter_late)
    assert change_mode(one.host, one.device, Target.RESET, MAY_CONNECT).device.mode is UsbMode.NORMAL
    assert not to_come


def test_raw_reset_of_a_release_before_it(bench, monkeypatch):
    one = bench("boron")
    monkeypatch.setattr(ControlSession, "reset_now", lambda _: False)
    with pytest.raises(NoWayToModeError, match="raw reset"):
        one.change(Target.RESET, way=Way.RAW)


def test_reset_that_did_not_happen_is_not_taken_for_one(bench, monkeypatch):
    """An application that opens another USB interface enumerates again, too; its uptime goes on."""
    one = bench("boron")

    def enumerate_again(session):
        session.close()
        one.board._reattach()

    monkeypatch.setattr(ControlSession, "reset", enumerate_again)
    change = one.change(Target.RESET)
    assert change.evidence == (ArrivalEvidence.PRODUCT_ID,)
    assert change.missing == (ArrivalEvidence.UPTIME,)


def test_a_touch_never_resets_a_twin():
    """Two boards with one Device ID are a defect, and still two boards: a speed that is a command goes to neither."""
    board = hardware("boron")
    slots = [{"name": name, "platform": "boron", "device_id": "e00fce680000000000000001"} for name in "12"]
    made = open_bench(
        "virtual", options={"clock": "virtual"}, slots=slots, factory_modules=lambda _: release_stand_ins(board)
    )
    with closing(made) as bench:
        host = bench.slots[1].host
        with pytest.raises(DeviceAmbiguousError, match="serial ports"):
            change_mode(host, wait_for_device(host, "1-2", 10), Target.DFU, way=Way.TOUCH)
        assert device_at(host, "1-1").mode is UsbMode.NORMAL
        assert change_mode(host, device_at(host, "1-2"), Target.DFU).device.mode is UsbMode.DFU
