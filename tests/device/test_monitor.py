"""The monitor on scripted boards that come, go and print, and on virtual ones."""

from collections import deque
from datetime import UTC, datetime

import pytest
from particle_harness.boards import hardware
from particle_harness.factory import bootloader_stand_in, softdevice_stand_in

from particle_dev.catalog.platforms import UsbMode, platform_by_name
from particle_dev.device.control import ControlSession
from particle_dev.device.discovery import wait_for_device
from particle_dev.device.mode_changes import change_mode
from particle_dev.device.modes import Target
from particle_dev.device.monitor import OPEN_GRACE_S, BoardLine, PortOpened, PortRefused, SerialMonitor
from particle_dev.device.watch import BoardEvent, Change, Watch
from particle_dev.errors import DeviceAmbiguousError, DeviceNotFoundError, LinkAccessError, LinkDisconnectedError
from particle_dev.permissions import Permissions
from particle_dev.protocol.secret import Secret
from particle_dev.station.bench import open_bench
from particle_dev.transport.base import Host, SerialPortInfo, UsbDeviceInfo

ID_A, ID_B = "e00fce68aaaaaaaaaaaaaaaa", "e00fce68bbbbbbbbbbbbbbbb"


class Link:
    where = "scripted"

    def __init__(self, bus, url, output):
        self.bus, self.url, self.output, self.closed = bus, url, output, False

    def read(self, timeout_s):
        if self.output:
            return self.output.popleft()
        if self.url not in self.bus.outputs:
            raise LinkDisconnectedError("gone", where=self.url)
        self.bus.sleep(timeout_s)
        return b""

    def close(self):
        self.closed = True


class Bus:
    """Boards with serial ports, all of it plain attributes that a test changes. It is the clock, too."""

    def __init__(self):
        self.now_s, self.boards, self.outputs, self.refusal, self.links = 0.0, {}, {}, None, []
        self.host = Host(self, self, self)

    def plug(self, serial, address, mode=UsbMode.NORMAL, *output, port="1-1", has_port=True):
        usb = platform_by_name("boron").usb_normal if mode is UsbMode.NORMAL else platform_by_name("boron").usb_dfu
        self.boards[port] = UsbDeviceInfo(usb.vid, usb.pid, 1, address, port, serial, "Boron")
        if has_port and mode is UsbMode.NORMAL:
            self.outputs[f"{port}@{address}"] = deque(output)

    def unplug(self, port="1-1"):
        info = self.boards.pop(port)
        self.outputs.pop(f"{port}@{info.address}", None)

    def enumerate(self):
        return list(self.boards.values())

    def ports(self):
        infos = {f"{i.port_path}@{i.address}": i for i in self.boards.values()}
        return [SerialPortInfo(url, i.vid, i.pid, i.serial_number) for url, i in infos.items() if url in self.outputs]

    def open(self, url):
        if self.refusal:
            raise self.refusal
        self.links.append(Link(self, url, self.outputs[url]))
        return self.links[-1]

    def monotonic_s(self):
        return self.now_s

    def sleep(self, duration_s):
        self.now_s += max(duration_s, 0.001)

    def utc_now(self):
        return datetime.fromtimestamp(self.now_s, UTC)


@pytest.fixture
def bus():
    return Bus()


def monitor_of(bus, **options):
    return SerialMonitor(bus.host, Watch(bus.host, None), **options)


def watch_for(monitor, bus, duration_s):
    end_s, events = bus.now_s + duration_s, []
    while bus.now_s < end_s:
        events += monitor.step()
    return events


def texts(events):
    return [(e.identity, e.line.text) for e in events if isinstance(e, BoardLine)]


def changes(events):
    return [e.change for e in events if isinstance(e, BoardEvent)]


def test_lines_of_two_boards(bus):
    bus.plug(ID_A, 5, UsbMode.NORMAL, b"0000000001 [app] INFO: a\r\n", b"half", b" line\r\n")
    bus.plug(ID_B, 6, UsbMode.NORMAL, b"b\n", port="1-2")
    events = watch_for(monitor_of(bus), bus, 1)
    assert sorted(texts(events)) == [(ID_A, "0000000001 [app] INFO: a"), (ID_A, "half line"), (ID_B, "b")]
    assert [e.identity for e in events if isinstance(e, PortOpened)] == [ID_A, ID_B]
    (first,) = [e for e in events if isinstance(e, BoardLine) and e.line.log]
    assert first.line.log.message == "a"


def test_only_the_boards_wanted(bus):
    bus.plug(ID_A, 5, UsbMode.NORMAL, b"a\n")
    bus.plug(ID_B, 6, UsbMode.NORMAL, b"b\n", port="1-2")
    events = watch_for(monitor_of(bus, wanted=lambda _, d: d.device_id == ID_B), bus, 1)
    assert {e.identity for e in events} == {ID_B}
    assert len(bus.links) == 1, "the other board's port is not even opened"


def test_reset_and_dfu_mode_and_back(bus):
    bus.plug(ID_A, 5, UsbMode.NORMAL, b"before\n")
    monitor = monitor_of(bus)
    assert texts(watch_for(monitor, bus, 1)) == [(ID_A, "before")]
    bus.unplug()
    assert changes(watch_for(monitor, bus, 1)) == [Change.LEFT]
    bus.plug(ID_A, 6, UsbMode.DFU)
    events = watch_for(monitor, bus, 5)
    assert changes(events) == [Change.CHANGED_MODE]
    assert not [e for e in events if isinstance(e, PortRefused)], "nobody expects a serial port in DFU mode"
    bus.unplug()
    bus.plug(ID_A, 7, UsbMode.NORMAL, b"after\n")
    events = watch_for(monitor, bus, 1)
    assert changes(events) == [Change.CHANGED_MODE]
    assert texts(events) == [(ID_A, "after")]
    assert bus.links[0].closed


def test_reset_between_two_looks_loses_nothing(bus):
    bus.plug(ID_A, 5, UsbMode.NORMAL, b"before\n")
    monitor = monitor_of(bus)
    watch_for(monitor, bus, 1)
    bus.outputs["1-1@5"].append(b"last words")
    bus.unplug()
    bus.plug(ID_A, 6, UsbMode.NORMAL, b"hello again\n")
    bus.sleep(1)
    events = watch_for(monitor, bus, 1)
    assert [type(e) for e in events] == [BoardLine, BoardEvent, PortOpened, BoardLine]
    assert texts(events) == [(ID_A, "last words"), (ID_A, "hello again")]
    assert changes(events) == [Change.RETURNED]


def test_port_that_comes_later_than_its_board(bus):
    bus.plug(ID_A, 5, has_port=False)
    monitor = monitor_of(bus)
    assert changes(watch_for(monitor, bus, 1)) == [Change.APPEARED]
    bus.outputs["1-1@5"] = deque([b"here\n"])
    events = watch_for(monitor, bus, 1)
    assert texts(events) == [(ID_A, "here")]


@pytest.mark.parametrize("refusal", [None, LinkAccessError("1-1: in use by minicom (process 7)", hint="close it")])
def test_port_that_cannot_be_opened_is_told_once_and_tried_again(bus, refusal):
    bus.refusal = refusal
    bus.plug(ID_A, 5, UsbMode.NORMAL, b"x\n", has_port=refusal is not None)
    monitor = monitor_of(bus)
    events = watch_for(monitor, bus, OPEN_GRACE_S * 3)
    (refused,) = [e for e in events if isinstance(e, PortRefused)]
    assert isinstance(refused.error, LinkAccessError if refusal else DeviceNotFoundError)
    bus.refusal = None
    bus.outputs["1-1@5"] = deque([b"now\n"])
    assert texts(watch_for(monitor, bus, 1)) == [(ID_A, "now")]


def test_ports_of_two_boards_with_one_serial_number_are_refused_until_one_leaves(bus):
    bus.plug(ID_A, 5, UsbMode.NORMAL, b"a\n")
    bus.plug(ID_A, 6, UsbMode.NORMAL, b"b\n", port="1-2")
    monitor = monitor_of(bus)
    events = watch_for(monitor, bus, OPEN_GRACE_S * 3)
    assert [type(e.error) for e in events if isinstance(e, PortRefused)] == [DeviceAmbiguousError] * 2
    assert not texts(events)
    bus.unplug("1-2")
    assert texts(watch_for(monitor, bus, 1)) == [(ID_A, "a")]


def test_secrets_are_hidden(bus):
    bus.plug(ID_A, 5, UsbMode.NORMAL, b"Device Secret: SEC", b"RET\r\n", b"pw!\n")
    events = watch_for(monitor_of(bus, secrets=[Secret("pw!")]), bus, 1)
    assert [text for _, text in texts(events)] == ["Device Secret: ***", "***"]


def test_unfinished_line_at_the_end(bus):
    bus.plug(ID_A, 5, UsbMode.NORMAL, b"SSID: ")
    monitor = monitor_of(bus)
    assert texts(watch_for(monitor, bus, 1)) == []
    assert texts(monitor.close()) == [(ID_A, "SSID: ")]
    assert bus.links[0].closed


@pytest.fixture(params=["boron", "photon"])
def virtual(request):
    board = hardware(request.param)
    modules = [bootloader_stand_in(board, 1005)]
    bench = open_bench(
        "virtual",
        options={"clock": "virtual"},
        slots=[{"name": "1", "platform": request.param}],
        factory_modules=lambda _: [*modules, softdevice_stand_in(board)] if board.is_gen3 else modules,
    )
    yield bench.slots[0].host, bench.driver.board("1")
    bench.close()


def run_for(monitor, clock, duration_s):
    end_s, events = clock.monotonic_s() + duration_s, []
    while clock.monotonic_s() < end_s:
        events += monitor.step()
    return events


def test_virtual_board_through_dfu_mode(virtual):
    host, board = virtual
    device = wait_for_device(host, "1-1", 10)
    monitor = SerialMonitor(host, Watch(host, None))
    run_for(monitor, host.clock, 1)
    board.serial_write(device.usb.address, b"v")
    assert [t for _, t in texts(run_for(monitor, host.clock, 1))][:1] == ["system firmware version: 2.0.1"]
    device = change_mode(host, device, Target.DFU).device
    assert Change.CHANGED_MODE in changes(run_for(monitor, host.clock, 2))
    device = change_mode(host, device, Target.NORMAL, Permissions(may_connect=True)).device
    assert Change.CHANGED_MODE in changes(run_for(monitor, host.clock, 2))
    board.serial_write(device.usb.address, b"v")
    assert "system firmware version: 2.0.1" in [t for _, t in texts(run_for(monitor, host.clock, 1))]
    monitor.close()


def test_reading_a_virtual_board_has_no_side_effects(virtual):
    host, board = virtual
    device = wait_for_device(host, "1-1", 10)
    boots, enumerations, runs = board.truth.boots, board.truth.enumerations, board.state.runs
    for _ in range(3):
        monitor = SerialMonitor(host, Watch(host, None))
        events = run_for(monitor, host.clock, 1)
        assert [type(e) for e in events] == [BoardEvent, PortOpened]
        monitor.close()
    assert (board.truth.boots, board.truth.enumerations, board.state.runs) == (boots, enumerations, runs)
    with ControlSession(host, device) as session:
        assert session.device_mode() == "listening"
