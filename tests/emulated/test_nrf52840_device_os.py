"""Device OS on the emulated nRF52840, with a modem's stand-in: what it answers, and when it asks for the air."""

from __future__ import annotations

import struct
import zlib
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
from particle_harness.dct import FACTORY_RESET_FLAG_OFFSET, FACTORY_RESET_REQUESTED, SETUP_DONE_OFFSET
from particle_harness.debug_side import SAFE_MODE_WORD
from particle_harness.emulator.parts.modem import ANSWERS
from particle_harness.usb.transfer import Setup

from particle_dev.catalog.modules import ModuleFunction
from particle_dev.device.modes import Target
from particle_dev.protocol.messages_radio import WifiCredentials, WifiSecurity
from particle_dev.protocol.secret import Secret
from tests.emulated.air import BACKUP_1, BACKUP_9, LISTEN_AT_START, LISTENING, SystemBoard
from tests.emulated.work import lies_in_flash

pytestmark = [pytest.mark.images, pytest.mark.timeout(1200)]
PLATFORM = "boron"
RELEASES = ["1.5.0", "2.1.0", "2.2.0"]
AIR_LIMIT_S, WIFI_LIMIT_S, COPY_LIMIT_S, INSTALL_LIMIT_S = 8, 15, 6, 40
"""Of the board's own time. It asks five to six seconds after its start, an Argon later, if it does."""
OLDEST_WITH_OLDER_BOOTLOADER = "1.5.0"
WAITING = {"1.5.0": (None, "2.1.0"), "2.1.0": (None, "2.2.0"), "2.2.0": ("1.5.0", "2.2.0")}
"""For each release: whose bootloader the board has, if not its own, and whose waits. That of 1.5.0 is too old for
2.2.0, so that there a set is incomplete until it is installed."""


@dataclass(frozen=True)
class Situation:
    """Of a board that has been in DFU mode and is then reset. ``application``: ``Tinker``, ``none``, or ``unmet`` for
    one that needs a newer system part. ``factory``: ``image``, one is there; ``flag``, a factory reset is asked for;
    both. Everything else is as the name says."""

    name: str
    setup_done: bool = True
    application: str = "Tinker"
    safe_mode: bool = False
    listen: bool = False
    old_bootloader: bool = False
    braked: bool = False
    update_waits: bool = False
    system_waits: bool = False
    factory: str = ""


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
    Situation("setup done, parking brake set, a system part waits in a slot", braked=True, system_waits=True),
    Situation("setup done, no application, a factory image", application="none", factory="image"),
    Situation("setup done, factory reset flag", factory="flag"),
    Situation("setup done, no application, factory reset flag and image", application="none", factory="flag, image"),
    Situation("setup done, parking brake set, factory reset flag and image", braked=True, factory="flag, image"),
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
    assert changed[16] == ModuleFunction.SYSTEM_PART
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


@pytest.mark.parametrize("release", RELEASES)
def test_after_a_session_in_dfu_mode_its_light_tells_what_it_does(release, board_with):
    """Blinking blue: it listens. Blinking green: it looks for the network."""
    for situation, colour in ((SITUATIONS[0], 2), (SITUATIONS[1], 1)):
        board = board_with(release, situation)
        furnish(board, release, situation)
        board.keep(BACKUP_1, 0)
        board.chip.reset(0)
        board.board.run(4)
        seen = set()
        # At no multiple of its half second.
        for _ in range(20):
            board.board.run(0.07)
            seen.add(tuple(level > 0 for level in board.chip.lights))
        assert seen == {(False, False, False), tuple(number == colour for number in range(3))}


def furnish(board: SystemBoard, release: str, situation: Situation, tinker: bytes = b""):
    """Bring a board into its situation; ends in DFU mode. The update that waits, if one does."""
    own, waiting = WAITING[release] if situation.update_waits else (None, None)
    older = OLDEST_WITH_OLDER_BOOTLOADER if situation.old_bootloader else own
    if older:
        board.load(board.bootloader_of(older).data)
    board.board.run(0.02)
    board.enter_dfu()
    if situation.setup_done:
        board.configure(SETUP_DONE_OFFSET, b"\x01")
    update = board.bootloader_of(waiting) if waiting else None
    if update:
        board.let_update_wait(update)
    if situation.system_waits:
        board.let_system_wait(board.system_of(release))
    if "image" in situation.factory:
        board.put_factory_image(tinker)
    if "flag" in situation.factory:
        board.configure(FACTORY_RESET_FLAG_OFFSET, struct.pack("<H", FACTORY_RESET_REQUESTED))
    if situation.braked:
        with board.desk.session() as session:
            session.erase_sector(session.sectors(0x30000, 4096)[0])
    return update


@pytest.mark.parametrize("release", RELEASES)
@pytest.mark.parametrize("situation", SITUATIONS, ids=lambda s: s.name)
def test_device_os_asks_for_the_air_when_it_is_believed_to(
    release, situation, board_with, application, record_property
):
    """What particle_dev and particle_harness say of a boot, from the board's own flash, configuration and retained
    words, against what Device OS then does."""
    if situation.old_bootloader and release == OLDEST_WITH_OLDER_BOOTLOADER:
        pytest.skip(f"no older bootloader than that of {release} is in these packages")
    tinker = application(PLATFORM).read_bytes()
    compare(board_with(release, situation), release, situation, tinker, record_property)


@pytest.mark.parametrize("release", RELEASES)
@pytest.mark.parametrize("situation", SITUATIONS[:2], ids=lambda s: s.name)
def test_an_argon_without_a_wifi_network_stays_off_the_air(release, situation, board_with, record_property):
    named = replace(situation, name=f"Argon without a Wi-Fi network, {situation.name}")
    compare(board_with(release, situation, "argon"), release, named, b"", record_property)


@pytest.mark.parametrize("release", RELEASES)
@pytest.mark.parametrize("situation", SITUATIONS[:2], ids=lambda s: s.name)
def test_an_argon_with_a_wifi_network_joins_it_when_its_setup_is_done(
    release, situation, board_with, monkeypatch, record_property
):
    """It has stored one that it found in the air."""
    monkeypatch.setitem(ANSWERS, "AT+CWLAP", '+CWLAP:(3,"net",-50,"aa:bb:cc:dd:ee:ff",6)')
    board = board_with(release, situation, "argon")
    board.join_wifi_network(WifiCredentials("net", WifiSecurity.WPA2, Secret("password")))
    named = replace(situation, name=f"Argon with a Wi-Fi network, {situation.name}")
    compare(board, release, named, b"", record_property, WIFI_LIMIT_S)


@pytest.mark.parametrize("release", RELEASES)
@pytest.mark.parametrize(
    ("held_s", "asks", "runs", "setup_done"),
    [(2.0, True, "app", True), (4.5, False, "dfu", True), (11.0, False, "app", False)],
)
def test_mode_held_at_the_start(release, held_s, asks, runs, setup_done, board_with, record_property):
    """Of a board whose setup is done: safe mode, DFU mode, or settings forgotten. No button tells particle_dev, and no
    virtual board has one."""
    situation = Situation(f"setup done, MODE held for {held_s:g} s from the start")
    board = board_with(release, situation)
    furnish(board, release, situation)
    board.board.power_off()
    board.chip.modem.asked.clear()
    board.board.hold_mode_button(True)
    board.board.power_on()
    started_s = board.chip.timeline.now_s
    assert not board.radio(held_s)
    board.board.hold_mode_button(False)
    asked = board.radio(AIR_LIMIT_S)
    after_s = board.chip.timeline.now_s - started_s
    said = f"`{asked[0]}` after {after_s:.1f} s" if asked else f"{runs}, nothing in {after_s:.0f} s"
    record_property("air", (situation.name, "–", "–", release, said))
    assert bool(asked) is asks
    board.appear(runs)
    if runs == "app":
        assert (board.request(72) == LISTENING) is not asks
        board.enter_dfu()
    assert board.configuration().setup_done is setup_done


@pytest.mark.parametrize("release", RELEASES)
def test_asked_to_listen_it_asks_for_nothing_more(release, board_with, record_property):
    """Of a board that is registering with the network: request 70. Nothing switches the radio off."""
    situation = Situation("setup done, asked to listen while it registers")
    board = board_with(release, situation)
    furnish(board, release, situation)
    board.keep(BACKUP_1, 0)
    board.chip.modem.asked.clear()
    board.chip.reset(0)
    assert board.radio(AIR_LIMIT_S)
    board.board.run(1.0)
    assert board.request(72) != LISTENING
    assert board.request(70) == (0, b"")
    board.board.run(0.5)
    board.chip.modem.asked.clear()
    board.board.run(15)
    assert not board.chip.modem.asked
    record_property("air", (situation.name, "–", "–", release, "nothing in 15 s"))
    assert board.request(72) == LISTENING


def compare(board, release: str, situation: Situation, tinker: bytes, record_property, limit_s=AIR_LIMIT_S) -> None:
    """Beliefs about one boot, and what comes of it."""
    update = furnish(board, release, situation, tinker)
    board.keep(BACKUP_1, SAFE_MODE_WORD if situation.safe_mode else 0)
    board.keep(BACKUP_9, LISTEN_AT_START if situation.listen else 0)
    believed = board.belief(Target.SAFE if situation.safe_mode else Target.NORMAL)
    board.chip.modem.asked.clear()
    board.chip.reset(0)
    started_s = board.chip.timeline.now_s
    if update:
        assert believed.first.runs == "ota_update", believed.lines()
        early = board.radio(INSTALL_LIMIT_S, lambda: lies_in_flash(board.board, [update]))
        assert not early, f"{early} before the update was installed, and\n{believed.lines()}"
        assert lies_in_flash(board.board, [update]), believed.lines()
    asked = board.radio(limit_s + (COPY_LIMIT_S if situation.system_waits else 0))
    after_s = board.chip.timeline.now_s - started_s
    said = f"`{asked[0]}` after {after_s:.1f} s" if asked else f"nothing in {after_s:.0f} s"
    record_property("air", (situation.name, *believed.cells(), release, said))
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


OTHER_MODEMS = {"bsom": "B-SoM", "b5som": "B5-SoM", "tracker": "Tracker"}
ON_OTHER_BOARDS = [
    SITUATIONS[0],
    SITUATIONS[1],
    Situation("setup done, safe mode requested and start-up-listen flag", safe_mode=True, listen=True),
    Situation("setup done, start-up-listen flag", listen=True),
    Situation("setup done, no application", application="none"),
]


@pytest.mark.parametrize("release", RELEASES[1:])
@pytest.mark.parametrize("platform", OTHER_MODEMS)
@pytest.mark.parametrize("situation", ON_OTHER_BOARDS, ids=lambda s: s.name)
def test_other_boards_ask_for_the_air_when_they_are_believed_to(
    release, platform, situation, board_with, record_property
):
    named = replace(situation, name=f"{OTHER_MODEMS[platform]}, {situation.name}")
    compare(board_with(release, situation, platform), release, named, b"", record_property)
