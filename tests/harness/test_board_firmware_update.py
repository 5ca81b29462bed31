"""A board takes in firmware over control requests 250 to 253, as system/src/control/storage.cpp has it."""

import pytest
from particle_harness.boot import fetch_modules
from particle_harness.factory import app_stand_in, bootloader_stand_in, softdevice_stand_in, system_stand_ins
from particle_harness.usb.transfer import Setup
from particle_harness.usb.wire import bytes_field, number_field

START, FINISH, CANCEL, DATA = 250, 251, 252, 253


class Update:
    """Talks to a running board; every method returns the result code."""

    def __init__(self, board):
        self.board = board
        board.clock.sleep(2)
        self.address = board.on_bus()[0]

    def control(self, *setup, data=b""):
        return self.board.control(self.address, Setup(*setup), data)

    def request(self, kind, payload=b"", wait_s=10.0):
        reply = self.control(0xC0, 1, len(payload), kind, 64)
        number = int.from_bytes(reply[6:8], "little")
        if payload:
            self.control(0xC0, 2, 0, number, 64)
            self.control(0x40, 3, 0, number, len(payload), data=payload)
        self.board.clock.sleep(wait_s)
        reply = self.control(0xC0, 2, 0, number, 64)
        assert reply[0] & 8, "still pending"
        result = int.from_bytes(reply[-4:], "little", signed=True)
        if reply[0] & 4:
            self.reply = self.control(0xC0, 4, 0, number, int.from_bytes(reply[6:10], "little"))
        return result

    def start(self, size_bytes, file_format=0):
        return self.request(START, number_field(1, size_bytes) + number_field(2, file_format))

    def send(self, module):
        assert self.start(len(module)) == 0
        for offset in range(0, len(module), 1024):
            assert self.request(DATA, bytes_field(1, module[offset : offset + 1024]), 0.1) == 0

    def finish(self, *, validate_only=False):
        return self.request(FINISH, number_field(1, int(validate_only)), 0.1)


@pytest.fixture
def boron(make_board):
    return make_board("boron", bootloader="old", factory="online")


@pytest.fixture
def update(boron):
    return Update(boron)


def test_bootloader_is_installed_after_the_reset(boron, update):
    new = bootloader_stand_in(boron.hardware, 1005)
    app = boron.internal.read(0xD4000, 0x2000)
    update.send(new)
    assert update.reply == number_field(1, 1024)
    assert boron.internal.read(0xF4000, len(new)) != new
    assert update.finish() == 0
    assert len(boron.dct.modules()) == 1
    boron.clock.sleep(10)
    boron.advance()
    assert boron.internal.read(0xF4000, len(new)) == new
    assert boron.internal.read(0xD4000, 0x2000) == app
    assert boron.dct.modules() == []
    assert boron.state.reset_reason == 70
    assert boron.state.runs == "app"


def test_dfu_mode_comes_before_an_entered_module(boron, update):
    old = boron.internal.read(0xF4000, 0xC000)
    update.send(bootloader_stand_in(boron.hardware, 1005))
    update.finish()
    update.request(50, wait_s=0.1)
    boron.clock.sleep(0.5)
    boron.state.dfu_requested = True
    boron.reset_pin()
    assert boron.state.runs == "dfu"
    assert boron.internal.read(0xF4000, 0xC000) == old
    assert boron.dct.modules()


def test_softdevice_loses_its_prefix(boron, update):
    module = softdevice_stand_in(boron.hardware)
    boron.internal.load(0x1000, bytes(len(module)))
    update.send(module)
    assert update.finish() == 0
    boron.clock.sleep(10)
    boron.advance()
    assert boron.internal.read(0x1000, len(module) - 24) == module[24:]


def test_photon_replaces_its_bootloader_at_once_and_a_system_part_at_the_next_boot(make_board):
    photon = make_board("photon", factory="online")
    update = Update(photon)
    new = bootloader_stand_in(photon.hardware, 1100)
    update.send(new)
    assert update.finish() == 0
    assert photon.internal.read(0x08000000, len(new)) == new
    photon.clock.sleep(10)
    update = Update(photon)
    part = system_stand_ins(photon.hardware, 2011, 1005)[1]
    update.send(part)
    assert update.finish() == 0
    photon.clock.sleep(10)
    photon.advance()
    assert photon.internal.read(0x08060000, len(part)) == part


def test_validation_alone_changes_nothing(boron, update):
    update.send(bootloader_stand_in(boron.hardware, 1005))
    assert update.finish(validate_only=True) == 0
    assert boron.dct.modules() == []
    assert update.finish() == -210


def damaged(module):
    return module[:3000] + bytes([module[3000] ^ 1]) + module[3001:]


@pytest.mark.parametrize(
    ("make", "result"),
    [
        (lambda h, _: damaged(bootloader_stand_in(h, 1005)), -1330),
        (lambda _, other: bootloader_stand_in(other, 1005), -1360),
        (lambda h, _: system_stand_ins(h, 3000, 1100)[0], -1340),
        (lambda h, _: app_stand_in(h, 6000), 0),
    ],
    ids=["damaged", "another platform", "bootloader too old", "applications may come first"],
)
def test_what_the_board_checks(make_board, make, result):
    boron = make_board("boron", device_os="2.1.0", factory="online")
    update = Update(boron)
    update.send(make(boron.hardware, make_board("argon").hardware))
    assert update.finish() == result
    assert len(boron.dct.modules()) == (0 if result else 1)


@pytest.mark.parametrize(("platform", "release"), [("photon", "1.5.0"), ("boron", "1.5.2")])
def test_before_device_os_2_a_refusal_is_a_1_and_validation_looks_for_a_module_alone(make_board, platform, release):
    """As run on Device OS 1.5.0 of a Photon and 1.5.2 of a Xenon."""
    update = Update(make_board(platform, device_os=release, factory="online"))
    bad = damaged(app_stand_in(update.board.hardware, 0))
    update.send(bad)
    assert update.finish(validate_only=True) == 0
    update.send(bad)
    assert update.finish() == 1
    update.send(b"\xff" * 1024)
    assert update.finish(validate_only=True) == 1
    assert update.finish() == -210
    update.send(app_stand_in(update.board.hardware, 0))
    assert update.finish() == 0


@pytest.mark.parametrize(("size", "file_format", "result"), [(0, 0, 0), (1500 * 1024 + 1, 0, 0), (10, 1, -120)])
def test_device_os_before_3_0_0_does_not_look_at_the_size(update, size, file_format, result):
    assert update.start(size, file_format) == result


@pytest.mark.parametrize(("size", "file_format", "result"), [(0, 0, -1351), (1500 * 1024 + 1, 0, -1351), (10, 1, -120)])
def test_start_that_is_refused(make_board, size, file_format, result):
    assert Update(make_board("boron", device_os="3.1.0")).start(size, file_format) == result


def test_erasing_takes_its_time_and_the_bus_stays_responsive(boron, update):
    payload = number_field(1, 400_000)
    reply = update.control(0xC0, 1, len(payload), START, 64)
    before_s = boron.clock.monotonic_s()
    update.control(0x40, 3, 0, int.from_bytes(reply[6:8], "little"), len(payload), data=payload)
    boron.clock.sleep(3.8)
    assert update.control(0xC0, 2, 0, int.from_bytes(reply[6:8], "little"), 64)[4] == 2
    boron.clock.sleep(0.2)
    assert update.control(0xC0, 2, 0, int.from_bytes(reply[6:8], "little"), 64)[0] & 8
    assert boron.clock.monotonic_s() - before_s < 4.1


def test_wrong_lengths_end_the_update(update):
    assert update.request(DATA, bytes_field(1, b"x")) == -210
    update.start(10)
    assert update.request(DATA, bytes_field(1, bytes(11))) == -290
    assert update.request(DATA, bytes_field(1, bytes(10))) == -210
    update.start(10)
    assert update.request(CANCEL) == 0
    assert update.finish() == -210


def test_reset_forgets_the_update(boron, update):
    update.start(10)
    boron.reset_pin()
    assert Update(boron).request(DATA, bytes_field(1, bytes(10))) == -210


def test_modules_are_sound_after_an_update(boron, update):
    update.send(bootloader_stand_in(boron.hardware, 1005))
    update.finish()
    boron.clock.sleep(10)
    boron.advance()
    assert all(module.ok for module in fetch_modules(boron.boot_view()))
