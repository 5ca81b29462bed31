"""Device OS on the emulated STM32F205, with a stand-in for the Wi-Fi chip: what it answers, when it seeks a network."""

from __future__ import annotations

import struct
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest
from particle_harness.debug_side import SAFE_MODE_WORD
from particle_harness.usb.transfer import Setup

from particle_dev.device.modes import Target
from tests.emulated.air import LISTEN_AT_START, LISTENING
from tests.emulated.test_nrf52840_device_os import needs_newer_system
from tests.emulated.wifi_air import BACKUP_1, BACKUP_9, WifiBoard

pytestmark = [pytest.mark.images, pytest.mark.timeout(1200)]
RELEASES = ["1.5.0", "2.1.0", "2.2.0"]
PRODUCTS = {"photon": 0xC006, "p1": 0xC008}
SSID = b"nowhere"
AIR_LIMIT_S = 5
"""Of the board's own time. It asks within a quarter of a second of its start, if it does."""
OLDEST = "1.5.0"
USER_PART, SYSTEM_PART_1 = 0x080A0000, 0x08020000


@dataclass(frozen=True)
class Situation:
    """Of a Photon that has been in DFU mode and is then reset. ``application``: ``Tinker``, ``none``, or ``unmet`` for
    one that needs a newer system part. ``listen``: ``request``, control request 75 asked for it; ``register``, the
    word that this would leave on Gen 3 lies in its place. Everything else is as the name says."""

    name: str
    knows_network: bool = True
    application: str = "Tinker"
    safe_mode: bool = False
    listen: str = ""
    old_bootloader: bool = False
    no_system: bool = False


SITUATIONS = [
    Situation("no network stored", knows_network=False),
    Situation("network stored"),
    Situation("network stored, listening at the next start asked for (75)", listen="request"),
    Situation("network stored, safe mode requested", safe_mode=True),
    Situation(
        "network stored, safe mode requested and listening at the next start asked for (75)",
        safe_mode=True,
        listen="request",
    ),
    Situation("network stored, safe mode requested and start-up-listen flag", safe_mode=True, listen="register"),
    Situation("network stored, no application", application="none"),
    Situation("network stored, application needs a newer system part", application="unmet"),
    Situation("network stored, system part needs a newer bootloader", old_bootloader=True),
    Situation("no network stored, safe mode requested", knows_network=False, safe_mode=True),
    Situation("network stored, system part 1 erased", no_system=True),
]


@pytest.fixture
def board_with(images: Path):
    """A board with Device OS and power; closed afterwards."""
    made: list[WifiBoard] = []

    def make(platform: str, release: str, application: bytes | None = None) -> WifiBoard:
        made.append(WifiBoard(images, platform, release, application))
        return made[-1]

    yield make
    for each in made:
        each.close()


@dataclass
class Learnt:
    """A Photon with Tinker, and its flash before and after it was told of a network."""

    board: WifiBoard
    new: bytes
    with_network: bytes


@pytest.fixture(scope="module")
def learnt(images: Path, application) -> Callable[[str], Learnt]:
    """One Photon of a release for all situations: making keys and typing take long."""
    made: dict[str, Learnt] = {}

    def find(release: str) -> Learnt:
        if release not in made:
            board = WifiBoard(images, "photon", release, application("photon").read_bytes())
            board.appear("app")
            new = board.flash()
            board.learn_network(SSID)
            made[release] = Learnt(board, new, board.flash())
        return made[release]

    yield find
    for each in made.values():
        each.board.close()


@pytest.mark.parametrize("platform", PRODUCTS)
@pytest.mark.parametrize("release", RELEASES)
def test_control_requests_are_answered_in_listening_mode(platform, release, board_with):
    board = board_with(platform, release)
    identity = board.appear("app")
    assert identity.device[8:12] == struct.pack("<HH", 0x2B04, PRODUCTS[platform])
    texts = {index: text[2:].decode("utf-16-le") for index, text in identity.strings.items()}
    assert "Control Interface" in texts[9]
    assert "Serial" in texts[10]
    device_id = board.board.state.device_id
    assert board.host.control(Setup(0xC0, 0x50, 0, 20, 64)).decode() == device_id.upper()
    assert board.request(20) == (0, b"\n\x18" + device_id.encode())
    result, version = board.request(30)
    assert (result, version[2:].decode()) == (0, release)
    assert board.board.run_until(lambda: board.wlan.access_point_is_up, 4)
    assert board.request(72) == LISTENING
    assert board.request(9999) == (-120, b"")
    assert not board.wlan.radio_requests
    # Blue, and no fault on the way.
    assert {light > 0 for light in board.chip.lights[:2]} == {False}
    assert not board.chip.processor.faults.reports


def furnish(learnt: Learnt, release: str, situation: Situation) -> None:
    """Bring the board into its situation; ends in DFU mode."""
    board = learnt.board
    board.start_from(
        learnt.with_network if situation.knows_network else learnt.new, knows_network=situation.knows_network
    )
    if situation.old_bootloader:
        # Before anything of the other one is executed.
        board.load(board.bootloader_of(OLDEST).data)
    if situation.listen == "request":
        board.appear("app")
        assert board.request(75, data=b"\x08\x01") == (0, b"")
    else:
        board.board.run(0.02)
    board.enter_dfu()
    if situation.application == "none":
        board.board.internal.load(USER_PART, b"\xff" * 0x1000)
    elif situation.application == "unmet":
        tinker = learnt.with_network[USER_PART - 0x08000000 :]
        size = int.from_bytes(tinker[4:8], "little") - USER_PART + 4
        board.load(needs_newer_system(tinker[:size]))
    if situation.no_system:
        with board.desk.session() as session:
            session.erase_sector(session.sectors(SYSTEM_PART_1, 4096)[0])


@pytest.mark.parametrize("release", RELEASES)
@pytest.mark.parametrize("situation", SITUATIONS, ids=lambda s: s.name)
def test_device_os_asks_for_a_network_when_it_is_believed_to(release, situation, learnt, record_property):
    """What particle_dev and particle_harness say of a boot, from the board's own flash and backup registers, against
    what Device OS then does."""
    if situation.old_bootloader and release == OLDEST:
        pytest.skip(f"no older bootloader than that of {release} is in these packages")
    furnish(learnt(release), release, situation)
    board = learnt(release).board
    board.keep(BACKUP_1, SAFE_MODE_WORD if situation.safe_mode else 0)
    if situation.listen == "register":
        board.keep(BACKUP_9, LISTEN_AT_START)
    believed = board.belief(Target.SAFE if situation.safe_mode else Target.NORMAL)
    board.wlan.asked.clear()
    board.reset()
    started_s = board.chip.timeline.now_s
    asked = board.radio(AIR_LIMIT_S)
    after_s = board.chip.timeline.now_s - started_s
    said = f"looks for the network after {after_s:.1f} s" if asked else f"nothing in {after_s:.0f} s"
    record_property("air", (f"Photon, {situation.name}", *believed.cells(), release, said))
    contradictions = believed.contradictions(bool(asked))
    assert not contradictions, f"{contradictions}: {said}\n{believed.lines()}"
    if believed.model.runs == "dfu":
        board.appear("dfu")
    else:
        assert asked in ([], [f"SSID {SSID.decode()}"])
        board.appear("app")
        assert (board.request(72) == LISTENING) is not bool(asked)
