"""Device OS on the emulated nRF52840, with a modem's stand-in: what it answers, and when it asks for the air."""

import struct

import pytest
from particle_harness.boards import hardware
from particle_harness.emulator.images import BoardImages, ImagesFolder, image_of, images_folder
from particle_harness.emulator.new_board import BoardMemories, NewBoard, furnish, make_chip, make_memories
from particle_harness.emulator.usb_host import UsbHost
from particle_harness.usb.transfer import Setup

from particle_dev.catalog.modules import ModuleFunction
from particle_dev.errors import BenchError

pytestmark = [pytest.mark.images, pytest.mark.timeout(1200)]
DEVICE_ID = "e00fce680102030405060708"
RELEASES = ["1.5.0", "2.1.0", "2.2.0"]
BACKUP_1, BACKUP_9 = 0x3F380, 0x3F3A0
"""Offsets in RAM. Source: device-os v2.1.0 build/arm/linker/nrf52840, hal/inc/core_hal.h."""
DFU_REQUESTED, SAFE_MODE_REQUESTED, LISTEN_AT_START = 0xEDFA, 0x5AFE, 0x5A1B
LISTENING = (0, b"\x08\x01")
"""Reply of request 72."""
SETUP_DONE = 8134
"""Offset in the device configuration."""
ASKS_FOR_THE_AIR = {
    "as new": False,
    "setup done": True,
    "setup done, to listen at the start": False,
    "setup done, safe mode requested": True,
    "setup done, no application": True,
}
"""Situation of a board with an AUTOMATIC application to what particle_harness.boot.decide_boot and the guard of
particle_dev believe."""


class SystemBoard:
    """A board with a whole set that has power and a cable."""

    def __init__(self, name, release, *, application=True):
        try:
            folder = images_folder()
            images = folder.for_board(hardware(name), release)
        except BenchError as error:
            pytest.skip(str(error))
        user = self._application(folder, name) if application else None
        memories: BoardMemories = make_memories(hardware(name))
        furnish(memories, BoardImages(images.bootloader, images.softdevice, images.system, user))
        self.chip = make_chip(NewBoard(hardware(name), DEVICE_ID), memories)
        self.chip.power_on()
        self.chip.attach_vbus()
        self.host = UsbHost(self.chip.usb, self.chip.processor, self.chip.timeline)

    @staticmethod
    def _application(folder: ImagesFolder, name):
        platform = hardware(name).platform_id
        found = [
            image
            for image in folder.images()
            if (image.prefix.platform_id, image.prefix.function) == (platform, ModuleFunction.USER_PART)
        ]
        if not found:
            pytest.skip(f"{folder.folder} has no application for {name}")
        return image_of(found[0].data)

    def keep(self, offset, value):
        self.chip.ram[offset : offset + 4] = struct.pack("<I", value)

    def appear(self, limit_s=10):
        end_s = self.chip.timeline.now_s + limit_s
        while not self.chip.usb.connected:
            assert self.chip.timeline.now_s < end_s
            self.host.run_for(0.01)
        self.host.run_for(0.1)
        return self.host.enumerate(5)

    def mark_setup_done(self):
        """Through the bootloader, as a station does."""
        self.host.run_for(0.02)
        self.keep(BACKUP_1, DFU_REQUESTED)
        self.chip.reset(0)
        self.appear()
        self.host.control(Setup(0x01, 11, 1, 0, 0))
        for block, data in ((0, struct.pack("<BI", 0x21, SETUP_DONE)), (2, b"\x01")):
            self.host.control(Setup(0x21, 1, block, 0, len(data)), data)
            while (state := self.host.control(Setup(0xA1, 3, 0, 0, 6))[4]) == 4:
                pass
            assert state == 5

    def request(self, kind, limit_s=60):
        """Result and reply of a control request. Source: usb-control: INIT 1, CHECK 2, RECV 4."""
        reply = self.host.control(Setup(0xC0, 1, 0, kind, 64))
        flags, _status, identity = struct.unpack_from("<IHH", reply)
        assert flags & 2
        end_s = self.chip.timeline.now_s + limit_s
        while True:
            reply = self.host.control(Setup(0xC0, 2, 0, identity, 64))
            flags, status = struct.unpack_from("<IH", reply)
            if status != 2:
                break
            assert self.chip.timeline.now_s < end_s
            self.host.run_for(0.002)
        values = iter(struct.unpack(f"<{(len(reply) - 6) // 4}i", reply[6 : 6 + (len(reply) - 6) // 4 * 4]))
        size = next(values) if flags & 4 else 0
        result = next(values) if flags & 8 else None
        return result, self.host.control(Setup(0xC0, 4, 0, identity, size)) if size else b""


@pytest.mark.parametrize("release", RELEASES)
def test_control_requests_are_answered_in_listening_mode(release):
    board = SystemBoard("boron", release)
    identity = board.appear()
    assert identity.device[8:12] == struct.pack("<HH", 0x2B04, 0xC00D)
    assert board.host.control(Setup(0xC0, 0x50, 0, 20, 64)).decode() == DEVICE_ID.upper()
    assert board.request(20) == (0, b"\n\x18" + DEVICE_ID.encode())
    result, version = board.request(30)
    assert (result, version[2:].decode()) == (0, release)
    board.host.run_for(1)
    assert board.request(72) == LISTENING
    assert board.request(9999) == (-120, b"")


@pytest.mark.parametrize("release", RELEASES)
@pytest.mark.parametrize("situation", ASKS_FOR_THE_AIR)
def test_device_os_asks_for_the_air_when_the_guard_believes_it_does(release, situation):
    board = SystemBoard("boron", release, application="no application" not in situation)
    if situation != "as new":
        board.mark_setup_done()
        board.keep(BACKUP_1, SAFE_MODE_REQUESTED if "safe mode" in situation else 0)
        board.keep(BACKUP_9, LISTEN_AT_START if "listen" in situation else 0)
        board.chip.reset(0)
    board.chip.modem.asked.clear()
    end_s = board.chip.timeline.now_s + 20
    while board.chip.timeline.now_s < end_s and not board.chip.modem.radio_requests:
        board.host.run_for(0.25)
    asked = [request.what for request in board.chip.modem.radio_requests]
    print(f"boron {release}, {situation}: {asked or 'nothing'} after {board.chip.timeline.now_s - end_s + 20:.1f} s")
    assert bool(asked) is ASKS_FOR_THE_AIR[situation]
    if not asked:
        board.appear()
        assert board.request(72) == LISTENING
