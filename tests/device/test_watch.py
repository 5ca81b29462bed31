"""Snapshots become events: one board keeps one identity, whatever it does on the bus."""

import dataclasses

import pytest
from hypothesis import given
from hypothesis import strategies as st

from particle_dev.catalog.platforms import UsbMode, platform_by_name
from particle_dev.device.model import Device
from particle_dev.device.watch import BoardTracker, Change, Watch
from particle_dev.protocol.identifiers import is_device_id
from particle_dev.transport.base import Host, UsbDeviceInfo

ID_A, ID_B = "e00fce68aaaaaaaaaaaaaaaa", "e00fce68bbbbbbbbbbbbbbbb"


def board(serial=ID_A, address=5, port="1-1", mode=UsbMode.NORMAL, platform="boron", problem=""):
    kind = platform_by_name(platform)
    usb = kind.usb_normal if mode is UsbMode.NORMAL else kind.usb_dfu
    info = UsbDeviceInfo(usb.vid, usb.pid, 1, address, port, serial, "", problem)
    return Device(serial if is_device_id(serial) else "", kind, mode, info)


def story(*snapshots, settle_s=0.5):
    """(change, identity) of each event, for snapshots (time, devices)."""
    tracker = BoardTracker(settle_s)
    return [[(e.change, e.identity) for e in tracker.update(devices, now_s)] for now_s, devices in snapshots]


A, B = board(), board(ID_B, 6, "1-2")


def test_appears_stays_leaves():
    assert story((0, []), (1, [A, B]), (2, [A, B]), (3, [B]), (3.4, [B]), (3.6, [B]), (9, [B])) == [
        [],
        [(Change.APPEARED, ID_A), (Change.APPEARED, ID_B)],
        [],
        [],
        [],
        [(Change.LEFT, ID_A)],
        [],
    ]


def test_mode_change_with_a_long_way():
    dfu = board(address=9, mode=UsbMode.DFU)
    assert story((0, [A]), (1, []), (2, []), (3, [dfu]), (4, [A])) == [
        [(Change.APPEARED, ID_A)],
        [],
        [(Change.LEFT, ID_A)],
        [(Change.CHANGED_MODE, ID_A)],
        [(Change.CHANGED_MODE, ID_A)],
    ]


def test_mode_change_within_one_poll_is_one_event_with_both_enumerations():
    tracker = BoardTracker()
    tracker.update([A], 0)
    dfu = board(address=6, mode=UsbMode.DFU)
    (event,) = tracker.update([dfu], 0.2)
    assert (event.change, event.previous, event.device) == (Change.CHANGED_MODE, A, dfu)
    assert "normal -> dfu" in str(event)


def test_reset_within_one_poll_shows_by_the_address():
    assert story((0, [A]), (0.2, [board(address=6)])) == [[(Change.APPEARED, ID_A)], [(Change.RETURNED, ID_A)]]


def test_double_enumeration_of_an_rtl872x_never_counts_as_leaving():
    control_only, with_serial = board(address=5, platform="p2"), board(address=6, platform="p2")
    assert story((0, [control_only]), (0.1, []), (0.3, [with_serial]), (5, [with_serial])) == [
        [(Change.APPEARED, ID_A)],
        [],
        [(Change.RETURNED, ID_A)],
        [],
    ]


def test_another_board_in_the_port():
    other = board(ID_B, 6)
    assert story((0, [A]), (0.1, [other]), (5, [other]), (6, [A])) == [
        [(Change.APPEARED, ID_A)],
        [(Change.LEFT, ID_A), (Change.APPEARED, ID_B)],
        [],
        [(Change.LEFT, ID_B), (Change.RETURNED, ID_A)],
    ]


def test_board_that_moves_keeps_its_identity():
    assert story((0, [A]), (0.2, [board(address=6, port="1-4")]))[1] == [(Change.RETURNED, ID_A)]


def test_one_missed_reading_is_no_event():
    assert story((0, [A]), (0.1, []), (0.2, [A]), (5, [A])) == [[(Change.APPEARED, ID_A)], [], [], []]


def test_boards_without_device_id_are_told_apart_by_port():
    one, other = board("x", port="1-1"), board("x", port="1-2")
    assert story((0, [one, other]), (1, [other]), (2, [other])) == [
        [(Change.APPEARED, "port 1-1"), (Change.APPEARED, "port 1-2")],
        [],
        [(Change.LEFT, "port 1-1")],
    ]


def test_two_boards_with_one_device_id_are_two_boards():
    twin = board(address=6, port="1-2")
    assert story((0, [A, twin]))[0] == [(Change.APPEARED, ID_A), (Change.APPEARED, "port 1-2")]


def test_right_to_open_comes_late():
    closed = board(problem="denied")
    assert story((0, [closed]), (0.1, [A])) == [[], [(Change.APPEARED, ID_A)]]
    assert story((0, [closed]), (0.1, [closed]), (0.6, [closed]), (5, [closed]), (6, [A])) == [
        [],
        [],
        [(Change.APPEARED, ID_A)],
        [],
        [(Change.ACCESSIBLE, ID_A)],
    ]


def test_device_id_that_could_not_be_read_at_first():
    nameless = board("", problem="denied")
    assert story((0, [nameless]), (1, [nameless]), (2, [A]), (3, []), (4, [])) == [
        [],
        [(Change.APPEARED, "port 1-1")],
        [(Change.ACCESSIBLE, "port 1-1")],
        [],
        [(Change.LEFT, "port 1-1")],
    ]


def test_board_that_nobody_was_told_of_leaves_silently():
    assert story((0, [board(problem="denied")]), (0.1, []), (9, [])) == [[], [], []]


# (Device ID, address, port, in DFU mode, why it cannot be opened)
sightings = st.tuples(
    st.sampled_from([ID_A, ID_B, ""]),
    st.integers(1, 4),
    st.sampled_from(["1-1", "1-2", "1-3"]),
    st.booleans(),
    st.sampled_from(["", "denied"]),
)
snapshots = st.lists(st.lists(sightings, max_size=3, unique_by=lambda seen: seen[2]), max_size=12)


@given(snapshots, st.floats(0.05, 1.0))
def test_whoever_follows_the_events_ends_up_with_the_boards_that_are_there(drawn, step_s):
    bus = [
        [
            board(serial, address, port, UsbMode.DFU if dfu else UsbMode.NORMAL, problem=problem)
            for serial, address, port, dfu, problem in sorted(seen, key=lambda one: one[2])
        ]
        for seen in drawn
    ]
    tracker, now_s, believed = BoardTracker(), 0.0, {}
    last = bus[-1] if bus else []
    for devices in bus:
        now_s += step_s
        follow(believed, tracker.update(devices, now_s))
    for _ in range(3):
        now_s += 1.0
        follow(believed, tracker.update(last, now_s))
    seen = [(d.usb.port_path, d.usb.address, d.mode) for d in believed.values()]
    assert sorted(seen) == sorted((d.usb.port_path, d.usb.address, d.mode) for d in last)
    assert not tracker.unsettled


def follow(believed, events):
    for event in events:
        if event.change is Change.LEFT:
            del believed[event.identity]
        else:
            believed[event.identity] = event.device


class Bus:
    """A bus, a clock and a wake-up in one: what is on the bus changes while somebody waits."""

    def __init__(self, script):
        self.script, self.now_s, self.waits, self.host = script, 0.0, [], Host(self, None, self)

    def enumerate(self):
        shown = [devices for at_s, devices in self.script if at_s <= self.now_s]
        return [d.usb for d in shown[-1]] if shown else []

    def monotonic_s(self):
        return self.now_s

    name = "test"

    def wait(self, timeout_s):
        self.waits.append(timeout_s)
        self.now_s += min(timeout_s, 1.0)


def test_wait_returns_with_the_first_event_and_at_the_deadline():
    bus = Bus([(3, [A])])
    watch = Watch(bus.host, bus)
    (event,) = watch.wait(10)
    assert (event.change, bus.now_s) == (Change.APPEARED, 3)
    assert dict(watch.present) == {ID_A: A}
    assert list(watch.wait(2)) == []
    assert bus.now_s == 5


def test_wait_does_not_sleep_over_what_is_due():
    bus = Bus([(0, [A]), (1, [])])
    watch = Watch(bus.host, bus)
    watch.poll()
    (event,) = watch.wait(60)
    assert event.change is Change.LEFT
    assert bus.now_s == pytest.approx(1.5)


def test_devices_of_the_tests_are_what_discovery_makes():
    assert dataclasses.replace(A) == Watch(Bus([(0, [A])]).host, None).poll()[0].device
