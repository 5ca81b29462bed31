"""Whole transfers of packets, while a firmware that needs time answers them."""

import pytest
from particle_harness.emulator.core.timeline import Timeline
from particle_harness.emulator.usb.host import UsbHost, bulk_endpoints
from particle_harness.usb.transfer import GoneError, Setup, SilentError, StallError

from tests.harness.emulator.fakes import (
    DFU_CONFIGURATION,
    DFU_DEVICE,
    SERIAL_CONFIGURATION,
    TEXTS,
    FakeController,
    FakeProcessor,
)

IN, OUT = 0xC0, 0x40


@pytest.fixture
def timeline():
    return Timeline(64_000_000)


@pytest.fixture
def controller(timeline):
    controller = FakeController(timeline)
    controller.connected = True
    return controller


@pytest.fixture
def host(timeline, controller):
    return UsbHost(controller, FakeProcessor(timeline), timeline)


@pytest.mark.parametrize("size", [0, 1, 63, 64, 65, 128, 4096])
def test_data_in_ends_by_a_short_packet_or_by_the_length(host, controller, size):
    controller.replies[0x11] = bytes(range(256)) * 16
    assert host.control(Setup(IN, 0x11, 0, 0, size)) == (bytes(range(256)) * 16)[:size]


@pytest.mark.parametrize("size", [0, 64, 128])
def test_a_reply_shorter_than_asked_ends_by_an_empty_packet(host, controller, size):
    controller.replies[0x11] = bytes(size)
    assert host.control(Setup(IN, 0x11, 0, 0, 4096)) == bytes(size)


@pytest.mark.parametrize("size", [0, 1, 64, 65, 4096])
def test_data_out_arrives_whole(host, controller, size):
    data = bytes(i & 0xFF for i in range(size))
    assert host.control(Setup(OUT, 0x22, 7, 8, size), data) == b""
    assert controller.received == [(Setup(OUT, 0x22, 7, 8, size), data)]


def test_a_stall_in_either_stage_is_one(host):
    with pytest.raises(StallError):
        host.control(Setup(IN, 0x99, 0, 0, 4))
    with pytest.raises(StallError):
        host.control(Setup(OUT, 0x66, 0, 0, 4), b"1234")


def test_the_firmware_runs_until_it_answers_and_no_longer_than_needed(host, controller, timeline):
    controller.think_cycles = 640_000
    before = timeline.cycles
    host.control(Setup(OUT, 0x22, 0, 0, 0))
    assert 640_000 <= timeline.cycles - before < 2 * 640_000 + 64_000


def test_a_device_that_never_answers_is_silent_after_ten_seconds_of_its_time(host, controller, timeline):
    controller.think_cycles = 1 << 60
    with pytest.raises(SilentError):
        host.control(Setup(OUT, 0x22, 0, 0, 0))
    assert timeline.now_s == pytest.approx(10.0, abs=0.01)


def test_a_device_that_shows_itself_and_never_answers_is_given_up_within_a_second(host, controller, timeline):
    controller.think_cycles = 1 << 60
    with pytest.raises(SilentError):
        host.enumerate(9)
    assert timeline.now_s == pytest.approx(0.52, abs=0.01)


def test_a_dead_core_is_silent_at_once(timeline, controller):
    host = UsbHost(controller, FakeProcessor(timeline), timeline, alive=lambda: False)
    with pytest.raises(SilentError):
        host.control(Setup(OUT, 0x22, 0, 0, 0))
    assert timeline.cycles == 0


def test_a_device_that_leaves_is_gone_before_and_during_a_transfer(host, controller):
    controller.drop_at = 0x22
    with pytest.raises(GoneError) as during:
        host.control(Setup(OUT, 0x22, 0, 0, 0))
    assert during.value.during
    with pytest.raises(GoneError) as before:
        host.control(Setup(OUT, 0x23, 0, 0, 0))
    assert not before.value.during


def test_enumeration_reads_what_the_firmware_says(host, controller):
    identity = host.enumerate(9)
    assert (identity.device, identity.configuration) == (DFU_DEVICE, DFU_CONFIGURATION)
    texts = {index: data[2:].decode("utf-16-le") for index, data in identity.strings.items() if index}
    assert texts == TEXTS
    assert (controller.address, controller.configured) == (9, 1)


def test_strings_of_interfaces_are_asked_for_when_the_device_is_configured(host, controller):
    controller.late_strings = frozenset({4, 6})
    texts = {index: data[2:].decode("utf-16-le") for index, data in host.enumerate(9).strings.items() if index}
    assert texts == TEXTS


def test_bulk_data_goes_in_packets_both_ways(host, controller):
    host.bulk_out(0x01, bytes(150))
    assert [len(packet) for packet in controller.bulk_out] == [64, 64, 22]
    controller.bulk_in.extend([b"a" * 64, b"b" * 10, b"next"])
    assert host.poll_in(0x81, 4096) == b"a" * 64 + b"b" * 10
    assert host.poll_in(0x81, 4096) == b"next"
    assert host.poll_in(0x81, 4096) == b""


def test_a_read_takes_no_more_packets_than_fit(host, controller):
    controller.bulk_in.extend([b"a" * 64, b"b" * 64])
    assert host.poll_in(0x81, 64) == b"a" * 64
    assert host.poll_in(0x81, 100) == b"b" * 64


def test_bulk_endpoints_are_those_of_the_serial_port():
    assert bulk_endpoints(SERIAL_CONFIGURATION) == (0x81, 0x01)
    assert bulk_endpoints(DFU_CONFIGURATION) is None
