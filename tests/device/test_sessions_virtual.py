"""Sessions on virtual boards: finding, following through modes, control requests, DFU, and what it refuses."""

from enum import IntEnum

import pytest
from particle_harness.boards import hardware
from particle_harness.factory import bootloader_stand_in, softdevice_stand_in

from particle_dev.catalog.modules import ModuleFunction
from particle_dev.catalog.platforms import UsbMode, platform_by_name
from particle_dev.device.control import ControlSession
from particle_dev.device.dfu import DCT_ALT, INTERNAL_FLASH_ALT, DfuSession, parse_descriptors, writable_ranges
from particle_dev.device.discovery import list_devices, wait_for_device, wait_for_mode, wait_until_settled
from particle_dev.device.modes import WAYS_INTO_DFU, Way, enter_dfu
from particle_dev.device.selectors import select_device
from particle_dev.errors import (
    DeviceAmbiguousError,
    DeviceModeError,
    DeviceNotFoundError,
    DfuProtocolError,
    FlashRangeError,
    LinkDisconnectedError,
    LinkTimeoutError,
    PermissionMissingError,
    RequestRefusedError,
    WrongDeviceError,
)
from particle_dev.flash.inventory import (
    has_no_system,
    inventory_by_control,
    inventory_by_dfu,
    pending_updates,
    read_assets,
    read_inventory,
)
from particle_dev.permissions import Permissions
from particle_dev.protocol.dfuse import Sector
from particle_dev.protocol.messages import DeviceMode, InstalledModule
from particle_dev.station.bench import open_bench


class UnknownRequest(IntEnum):
    UNKNOWN = 9999


UNKNOWN = UnknownRequest.UNKNOWN


def stand_ins(platform):
    board = hardware(platform)
    modules = [bootloader_stand_in(board, 1005)]
    return [*modules, softdevice_stand_in(board)] if board.is_gen3 else modules


@pytest.fixture
def bench():
    opened = []

    def make(*slots):
        slots = [{"platform": s} if isinstance(s, str) else s for s in slots]
        opened.append(
            open_bench(
                "virtual",
                options={"clock": "virtual"},
                slots=[{"name": str(n), **s} for n, s in enumerate(slots, 1)],
                factory_modules=stand_ins,
            )
        )
        return opened[-1]

    yield make
    for one in opened:
        one.close()


def arrived(bench, slot=0):
    slot = bench.slots[slot]
    return slot.host, wait_for_device(slot.host, slot.port_path, 10)


def in_dfu(bench, slot=0):
    host, device = arrived(bench, slot)
    return host, enter_dfu(host, device)[0]


@pytest.fixture
def four(bench):
    made = bench("boron", "bsom", "tracker", "photon")
    for n in range(4):
        arrived(made, n)
    return made


def test_list_names_platform_mode_and_port(four):
    devices = list_devices(four.host)
    assert [d.platform.name for d in devices] == ["boron", "bsom", "tracker", "photon"]
    assert {d.mode for d in devices} == {UsbMode.NORMAL}
    assert len({d.device_id for d in devices}) == 4
    assert [d.usb.port_path for d in devices] == ["1-1", "1-2", "1-3", "1-4"]


def test_selectors(four):
    devices = list_devices(four.host)
    photon = devices[3]
    for selector in (photon.device_id, photon.device_id.upper(), "photon", "Photon", "1-4"):
        assert select_device(devices, selector) == photon


def test_several_devices_and_no_selector(four):
    with pytest.raises(DeviceAmbiguousError) as error:
        select_device(list_devices(four.host), None)
    assert len(error.value.candidates) == 4
    assert "--device" in error.value.hint


def test_nothing_matches(four):
    with pytest.raises(DeviceNotFoundError, match="argon"):
        select_device(list_devices(four.host), "argon")
    with pytest.raises(DeviceNotFoundError, match="no Particle device"):
        select_device([], None)


def test_port_that_stays_empty(bench):
    made = bench("boron")
    with pytest.raises(DeviceNotFoundError, match="1-9"):
        wait_for_device(made.slots[0].host, "1-9", 3)


@pytest.mark.parametrize("platform", ["boron", "bsom", "tracker", "photon"])
def test_identity_by_control_requests(bench, platform):
    host, device = arrived(bench(platform))
    with ControlSession(host, device) as session:
        assert session.device_id() == device.device_id
        assert session.system_version() == "2.0.1"
        assert session.device_mode() is DeviceMode.LISTENING
        assert session.cloud_status() == 0
        assert session.diagnostics()["cloud:connatt"] == 0
        assert session.serial_number()
        inventory = inventory_by_control(session)
    assert inventory.device_os == "2.0.1"
    assert inventory.find(ModuleFunction.BOOTLOADER, 0).version == 1005


def test_request_that_the_device_does_not_know(bench):
    host, device = arrived(bench("boron"))
    with ControlSession(host, device) as session, pytest.raises(RequestRefusedError) as error:
        session.request(UNKNOWN)
    assert error.value.result_code == -120
    assert error.value.hint


@pytest.mark.parametrize("platform", ["boron", "photon"])
@pytest.mark.parametrize("by", WAYS_INTO_DFU)
def test_both_ways_into_dfu_keep_the_identity(bench, platform, by):
    made = bench(platform)
    host, device = arrived(made)
    entered, used = enter_dfu(host, device, by)
    assert used is by
    assert (entered.device_id, entered.mode, entered.usb.port_path) == (device.device_id, UsbMode.DFU, "1-1")
    assert made.driver.board("1").truth.network_attempts == 0


def test_an_electron_that_has_just_started_says_yes_goes_on_the_air_and_is_touched(bench):
    made = bench({"platform": "electron", "factory": "online"})
    host, device = arrived(made)
    started_s = host.clock.monotonic_s()
    entered, used = enter_dfu(host, device)
    assert (entered.mode, used) == (UsbMode.DFU, Way.TOUCH)
    assert 5 <= host.clock.monotonic_s() - started_s < 10
    assert made.driver.board("1").truth.network_attempts == 1


def test_an_electron_that_registers_answers_raw_requests_and_gives_it_up_for_dfu_mode(bench):
    made = bench({"platform": "electron", "factory": "online"})
    host, device = arrived(made)
    host.clock.sleep(3)
    with ControlSession(host, device) as session:
        with pytest.raises(LinkTimeoutError, match="no result within 10 s"):
            session.device_id()
        assert session.device_os == "2.0.1"
    assert enter_dfu(host, device)[1] is Way.CONTROL
    assert made.driver.board("1").truth.cloud_attempts == 0


def test_requests_that_were_given_up_leave_an_electron_that_registers_no_memory(bench):
    made = bench({"platform": "electron", "factory": "online", "network": ["no_coverage"]})
    host, device = arrived(made)
    host.clock.sleep(3)
    for _ in range(6):
        with ControlSession(host, device) as session, pytest.raises(LinkTimeoutError, match="no result within 10 s"):
            session.device_id()
    with ControlSession(host, device) as session:
        with pytest.raises(LinkTimeoutError, match="had no memory for it for 9"):
            session.device_id()
        assert session.device_os == "2.0.1"
    assert enter_dfu(host, device)[1] is Way.TOUCH


def test_an_electron_that_has_registered_answers(bench):
    host, device = arrived(bench({"platform": "electron", "factory": "online"}))
    host.clock.sleep(30)
    with ControlSession(host, device) as session:
        assert session.device_id() == device.device_id


def test_a_board_that_says_yes_and_stays_is_touched(bench, monkeypatch):
    host, device = arrived(bench("electron"))
    monkeypatch.setattr(ControlSession, "enter_dfu_mode", lambda _session: None)
    started_s = host.clock.monotonic_s()
    entered, used = enter_dfu(host, device)
    assert (entered.mode, used) == (UsbMode.DFU, Way.TOUCH)
    assert 5 <= host.clock.monotonic_s() - started_s < 10


def test_a_board_that_says_yes_and_stays_is_not_touched_by_whoever_wants_the_request_alone(bench, monkeypatch):
    made = bench("electron")
    host, device = arrived(made)
    monkeypatch.setattr(ControlSession, "enter_dfu_mode", lambda _session: None)
    with pytest.raises(DeviceModeError, match="did not reach dfu"):
        enter_dfu(host, device, Way.CONTROL, timeout_s=8)
    assert made.driver.board("1").state.runs != "dfu"


def test_dfu_mode_has_nothing_to_enter(bench):
    host, device = in_dfu(bench("boron"))
    with pytest.raises(DeviceModeError, match="already"):
        enter_dfu(host, device)


def test_sessions_refuse_the_wrong_mode(bench):
    host, device = arrived(bench("boron"))
    with pytest.raises(DeviceModeError):
        DfuSession(host, device)
    dfu_device, _ = enter_dfu(host, device)
    with pytest.raises(DeviceModeError):
        ControlSession(host, dfu_device)


def test_another_board_in_the_port(bench):
    host, device = arrived(bench({"platform": "boron", "faults": [{"do": "wrong_device_id", "at": "re_enumeration"}]}))
    with pytest.raises(WrongDeviceError) as error:
        enter_dfu(host, device)
    assert error.value.expected == device.device_id


@pytest.mark.parametrize("platform", ["boron", "tracker", "photon", "p2"])
def test_flash_shows_what_device_os_reports(bench, platform):
    host, device = arrived(bench(platform))
    with ControlSession(host, device) as session:
        reported = inventory_by_control(session)
    device, _ = enter_dfu(host, device)
    with DfuSession(host, device) as dfu_session:
        read = inventory_by_dfu(dfu_session)
    assert {_identity(m) for m in read.modules} == {_identity(m) for m in reported.modules}
    assert all(m.valid for m in read.modules)


def _identity(module: InstalledModule) -> tuple[int, ...]:
    """What both ways tell; the size of a radio stack is in the prefix, which is not in flash."""
    size_bytes = 0 if module.function == ModuleFunction.RADIO_STACK else module.size_bytes
    return module.function, module.index, module.version, size_bytes


def test_read_changes_nothing_and_sees_the_flash(bench):
    made = bench("boron")
    host, device = in_dfu(made)
    board = made.driver.board("1")
    with DfuSession(host, device) as session:
        assert session.read(INTERNAL_FLASH_ALT, 0x30000, 10_000) == board.internal.read(0x30000, 10_000)
        assert session.read(INTERNAL_FLASH_ALT, 0xFF000, 4096) == board.internal.read(0xFF000, 4096)
        assert len(session.read(DCT_ALT, 0, 4096)) == 4096
        with pytest.raises(DfuProtocolError):
            session.read(INTERNAL_FLASH_ALT, 0xFFFFF, 2)
        assert session.read(INTERNAL_FLASH_ALT, 0x30000, 16) == board.internal.read(0x30000, 16), (
            "usable after an error"
        )
    assert (board.truth.erases, board.truth.programs) == (0, 0)


@pytest.mark.parametrize(
    ("platform", "address"),
    [
        ("boron", 0x0),
        ("boron", 0x1000),
        ("boron", 0x27000),
        ("boron", 0xF4000),
        ("boron", 0xFF000),
        ("photon", 0x08000000),
        ("photon", 0x08004000),
        ("photon", 0x080C0000),
    ],
)
def test_bootloader_and_what_is_nobodys_business_are_never_touched(bench, platform, address):
    made = bench(platform)
    host, device = in_dfu(made)
    board = made.driver.board("1")
    with DfuSession(host, device) as session:
        (sector,) = session.sectors(address, 1)
        with pytest.raises(FlashRangeError) as error:
            session.erase_sector(sector)
        assert error.value.address == sector.address
        with pytest.raises(FlashRangeError):
            session.write(address, b"\0" * 4)
        with pytest.raises(FlashRangeError):
            session.write(0xF3FFE if platform == "boron" else 0x080BFFFE, b"\0" * 4)
    assert (board.truth.erases, board.truth.programs) == (0, 0)


def test_erase_and_write_in_a_slot(bench):
    made = bench("boron")
    host, device = in_dfu(made)
    with DfuSession(host, device) as session:
        session.erase_sector(Sector(0xD4000, 4096, True, True, True))
        assert session.read(INTERNAL_FLASH_ALT, 0xD4000, 4096) == b"\xff" * 4096
        session.write(0xD4000, bytes(range(256)) * 16)
        assert session.read(INTERNAL_FLASH_ALT, 0xD4000, 4096) == bytes(range(256)) * 16


def test_leave_boots_the_application(bench):
    made = bench("boron")
    host, device = in_dfu(made)
    with DfuSession(host, device, Permissions(may_connect=True)) as session:
        session.leave()
    host.clock.sleep(5)
    (back,) = list_devices(host)
    assert (back.mode, back.device_id) == (UsbMode.NORMAL, device.device_id)


@pytest.mark.parametrize("leave", [DfuSession.leave, DfuSession.leave_into_safe_mode])
def test_leaving_without_permission_sends_nothing(bench, leave):
    made = bench("boron")
    host, device = in_dfu(made)
    with DfuSession(host, device) as session:
        transfers = made.driver.board("1").truth.dfu_transfers
        with pytest.raises(PermissionMissingError, match="billing") as error:
            leave(session)
        assert made.driver.board("1").truth.dfu_transfers == transfers
    assert error.value.permission == "may_connect"
    host.clock.sleep(5)
    assert list_devices(host) == (device,)


def test_no_raw_way_into_dfu_mode(bench):
    host, device = arrived(bench("boron"))
    with pytest.raises(DeviceModeError, match="by raw"):
        enter_dfu(host, device, Way.RAW)


def test_session_with_an_enumeration_that_is_over(bench):
    host, device = arrived(bench("boron"))
    enter_dfu(host, device)
    with pytest.raises(LinkDisconnectedError):
        ControlSession(host, device)


def test_pending_update_is_seen(bench):
    made = bench("boron")
    host, device = in_dfu(made)
    with DfuSession(host, device) as session:
        assert pending_updates(session) == ()
    made.driver.board("1").dct.write(1753, b"\xa5")
    with DfuSession(host, device) as session:
        assert "OTA region" in pending_updates(session)[0]


def test_a_board_without_a_system_part_has_none_until_one_waits_or_a_damaged_one_lies_there(bench):
    made = bench("boron")
    host, device = in_dfu(made)
    board = made.driver.board("1")
    prefix = board.internal.read(0x30000, 0x1000)

    def has_none():
        with DfuSession(host, device) as session:
            return has_no_system(session)

    assert not has_none()
    board.internal.erase_sector(0x30000)
    assert has_none()
    board.dct.write(1753, b"\xa5")
    assert not has_none(), "it is to install something"
    board.dct.write(1753, b"\xff")
    assert has_none()
    board.internal.program(0x30000, prefix[:0x400])
    assert not has_none(), "the rest of its first sector is missing"


@pytest.mark.parametrize("platform", ["boron", "photon", "electron", "p2"])
def test_a_board_that_was_just_flashed_has_a_system(bench, platform):
    host, device = in_dfu(bench(platform))
    with DfuSession(host, device) as session:
        assert not has_no_system(session)


def test_inventory_in_whatever_mode(bench):
    host, device = arrived(bench("boron"))
    running = read_inventory(host, device)
    dfu_device, _ = enter_dfu(host, device)
    parked = read_inventory(host, dfu_device)
    assert (running.read_over, parked.read_over) == ("control request 90", "DFU read")
    assert running.device_os == parked.device_os == "2.0.1"


def test_assets_that_cannot_be_asked_for_have_a_reason(bench):
    host, device = arrived(bench("boron"))
    assets, reason = read_assets(host, device)
    assert assets is None
    assert "Device OS 2.0.1 does not know it" in reason
    assert "DFU mode" in read_assets(host, enter_dfu(host, device)[0])[1]


def test_protected_board_is_no_board_without_assets(bench):
    made = bench({"platform": "boron", "device_os": "6.2.0", "protected": True})
    host, device = arrived(made)
    with pytest.raises(RequestRefusedError) as error:
        read_assets(host, device)
    assert error.value.result_code == -1801


def test_second_enumeration_is_followed(bench):
    made = bench("p2")
    host, device = in_dfu(made)
    with DfuSession(host, device, Permissions(may_connect=True)) as session:
        session.leave()
    first = wait_for_mode(host, device, UsbMode.NORMAL, 30)
    assert not host.serial.ports()
    last = wait_until_settled(host, first, 30)
    assert last.usb.address != first.usb.address
    assert [port.serial_number for port in host.serial.ports()] == [device.device_id]
    host.clock.sleep(10)
    assert list_devices(host) == (last,)
    assert wait_until_settled(host, last, 30) == last


def test_descriptors_without_dfu():
    with pytest.raises(DfuProtocolError, match="no DFU interface"):
        parse_descriptors(bytes.fromhex("09021200010100c0320904000000ff000000"))


def test_descriptors_that_are_cut_off():
    whole = bytes.fromhex("09021b00010100c0320904000000fe010205092103ff0000101a01")
    assert parse_descriptors(whole).transfer_size_bytes == 4096
    for size in range(len(whole) - 2):
        with pytest.raises(DfuProtocolError, match="no DFU interface"):
            parse_descriptors(whole[:size])


def test_writable_ranges_leave_out_the_bootloader():
    for name in ("boron", "tracker", "argon"):
        ranges = writable_ranges(platform_by_name(name))
        assert all(0x28000 <= start < end <= 0xF4000 for start, end in ranges)
    assert all(0x08020000 <= start < end <= 0x080C0000 for start, end in writable_ranges(platform_by_name("photon")))
