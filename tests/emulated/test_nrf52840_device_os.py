"""Device OS on the emulated nRF52840, with a modem's stand-in: what it answers, and when it asks for the air."""

from __future__ import annotations

import struct
import zlib
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
from particle_harness.usb.transfer import Setup

from particle_dev.device.modes import Target
from tests.emulated.air import BACKUP_1, BACKUP_9, LISTEN_AT_START, SAFE_MODE_REQUESTED, SystemBoard
from tests.emulated.work import lies_in_flash

pytestmark = [pytest.mark.images, pytest.mark.timeout(1200)]
PLATFORM = "boron"
RELEASES = ["1.5.0", "2.1.0", "2.2.0"]
LISTENING = (0, b"\x08\x01")
"""Reply of request 72."""
AIR_LIMIT_S, INSTALL_LIMIT_S = 8, 40
"""Of the board's own time. It asks five to six seconds after its start, if it does."""
OLDEST_WITH_OLDER_BOOTLOADER = "1.5.0"
WAITING = {"1.5.0": (None, "2.1.0"), "2.1.0": (None, "2.2.0"), "2.2.0": ("1.5.0", "2.2.0")}
"""For each release: whose bootloader the board has, if not its own, and whose waits. That of 1.5.0 is too old for
2.2.0, so that there a set is incomplete until it is installed."""


@dataclass(frozen=True)
class Situation:
    """Of a board that has been in DFU mode and is then reset. ``application``: ``Tinker``, ``none``, or ``unmet`` for
    one that needs a newer system part. Everything else is as the name says."""

    name: str
    setup_done: bool = True
    application: str = "Tinker"
    safe_mode: bool = False
    listen: bool = False
    old_bootloader: bool = False
    braked: bool = False
    update_waits: bool = False


SITUATIONS = [
    Situation("as new (setup not done)", setup_done=False),
    Situation("setup done"),
    Situation("setup done, start-up-listen flag", listen=True),
    Situation("setup done, safe mode requested", safe_mode=True),
    Situation("setup done, safe mode requested and start-up-listen flag", safe_mode=True, listen=True),
    Situation("setup done, no application", application="none"),
    Situation("setup done, application needs a newer system part", application="unmet"),
    Situation("setup done, system part needs a newer bootloader", old_bootloader=True),
    Situation("setup not done, no application", setup_done=False, application="none"),
    Situation("setup done, parking brake set", braked=True),
    Situation("setup done, a bootloader waits (0xA5)", update_waits=True),
    Situation("setup not done, a bootloader waits (0xA5)", setup_done=False, update_waits=True),
]


@pytest.fixture
def board_with(images: Path, application):
    """A Boron with Device OS; closed afterwards."""
    made: list[SystemBoard] = []

    def make(release: str, situation: Situation, platform: str = PLATFORM) -> SystemBoard:
        tinker = application(platform).read_bytes()
        user = {"Tinker": tinker, "none": None, "unmet": needs_newer_system(tinker)}[situation.application]
        made.append(SystemBoard(images, platform, release, user))
        return made[-1]

    yield make
    for each in made:
        each.close()


def needs_newer_system(module: bytes) -> bytes:
    """The same module, with a first dependency that no system part meets. Source: module prefix, offset 16: function,
    index, version."""
    changed = bytearray(module)
    (start, end) = struct.unpack_from("<II", module)
    assert changed[16:18] == b"\x04\x01"
    changed[18:20] = struct.pack("<H", 9999)
    size = end - start
    changed[size : size + 4] = zlib.crc32(changed[:size]).to_bytes(4, "big")
    return bytes(changed)


@pytest.mark.parametrize("release", RELEASES)
def test_control_requests_are_answered_in_listening_mode(release, board_with):
    board = board_with(release, SITUATIONS[0])
    identity = board.appear("app")
    assert identity.device[8:12] == struct.pack("<HH", 0x2B04, 0xC00D)
    device_id = board.board.state.device_id
    assert board.host.control(Setup(0xC0, 0x50, 0, 20, 64)).decode() == device_id.upper()
    assert board.request(20) == (0, b"\n\x18" + device_id.encode())
    result, version = board.request(30)
    assert (result, version[2:].decode()) == (0, release)
    board.board.run(1)
    assert board.request(72) == LISTENING
    assert board.request(9999) == (-120, b"")


def furnish(board: SystemBoard, release: str, situation: Situation):
    """Bring a board into its situation; ends in DFU mode. The update that waits, if one does."""
    own, waiting = WAITING[release] if situation.update_waits else (None, None)
    older = OLDEST_WITH_OLDER_BOOTLOADER if situation.old_bootloader else own
    if older:
        board.load(board.bootloader_of(older).data)
    board.board.run(0.02)
    board.enter_dfu()
    if situation.setup_done:
        board.mark_setup_done()
    update = board.bootloader_of(waiting) if waiting else None
    if update:
        board.let_update_wait(update)
    if situation.braked:
        with board.desk.session() as session:
            session.erase_sector(session.sectors(0x30000, 4096)[0])
    return update


@pytest.mark.parametrize("release", RELEASES)
@pytest.mark.parametrize("situation", SITUATIONS, ids=lambda s: s.name)
def test_device_os_asks_for_the_air_when_it_is_believed_to(release, situation, board_with, record_property):
    """What particle_dev and particle_harness say of a boot, from the board's own flash, configuration and retained
    words, against what Device OS then does."""
    if situation.old_bootloader and release == OLDEST_WITH_OLDER_BOOTLOADER:
        pytest.skip(f"no older bootloader than that of {release} is in these packages")
    compare(board_with(release, situation), release, situation, record_property)


@pytest.mark.parametrize("release", RELEASES)
@pytest.mark.parametrize("situation", SITUATIONS[:2], ids=lambda s: s.name)
def test_an_argon_without_a_wifi_network_stays_off_the_air(release, situation, board_with, record_property):
    named = replace(situation, name=f"Argon without a Wi-Fi network, {situation.name}")
    compare(board_with(release, situation, "argon"), release, named, record_property)


def compare(board: SystemBoard, release: str, situation: Situation, record_property) -> None:
    """Beliefs about one boot, and what comes of it."""
    update = furnish(board, release, situation)
    dct = board.configuration()
    board.keep(BACKUP_1, SAFE_MODE_REQUESTED if situation.safe_mode else 0)
    board.keep(BACKUP_9, LISTEN_AT_START if situation.listen else 0)
    parts = board.inventory().parts
    target = Target.SAFE if situation.safe_mode else Target.NORMAL
    believed = board.belief(parts, dct, target)
    cells = believed.cells()
    board.chip.modem.asked.clear()
    board.chip.reset(0)
    started_s = board.chip.timeline.now_s
    if update:
        assert believed.model.runs == "ota_update", believed.lines()
        early = board.radio(INSTALL_LIMIT_S, lambda: lies_in_flash(board.board, [update]))
        assert not early, f"{early} before the update was installed, and\n{believed.lines()}"
        assert lies_in_flash(board.board, [update]), believed.lines()
        # What the copy has displaced is put back.
        board.board.run(1.0)
        dct.clear_ota_update()
        new = update.file.part
        believed = board.belief([*(part for part in parts if part.key != new.key), new], dct, target)
        first, then = cells, believed.cells()
        cells = (then[0] if then[0] == first[0] else f"{first[0]}; then {then[0]}", f"{first[1]}; then {then[1]}")
    asked = board.radio(AIR_LIMIT_S)
    after_s = board.chip.timeline.now_s - started_s
    said = f"`{asked[0]}` after {after_s:.1f} s" if asked else f"nothing in {after_s:.0f} s"
    record_property("air", (situation.name, *cells, release, said))
    contradictions = believed.contradictions(bool(asked))
    assert not contradictions, f"{contradictions}: {said}\n{believed.lines()}"
    if believed.model.runs == "dfu":
        board.appear("dfu")
    elif not asked:
        board.appear("app")
        assert board.request(72) == LISTENING
    if update:
        board.enter_dfu()
        assert not board.configuration().ota_update_requested
