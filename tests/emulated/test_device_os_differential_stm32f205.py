"""Device OS on emulated STM32F205 boards against virtual ones, by control transfers; `DIFFERENTIAL=50000` for all."""

import os
from functools import partial

import pytest
from particle_harness.boards import EXAMPLE_DEVICE_IDS, hardware
from particle_harness.emulator.conversations.acts import DONE, GONE, Abandoned, Return, Step, Transfer, Wait
from particle_harness.emulator.conversations.system import line_coding, whole
from particle_harness.emulator.differential.system_stm32f205 import (
    ListeningElectron,
    RegisteringElectron,
    Stm32SystemSubject,
)
from particle_harness.usb.control_service import Service
from particle_harness.usb.transfer import Setup

from tests.emulated.agreement import agrees, names_of_counters, on_both, without_reply

pytestmark = [pytest.mark.images, pytest.mark.timeout(7200)]
DEVICE_ID = EXAMPLE_DEVICE_IDS[False]
BOARDS = [
    ("photon", "1.5.0"), ("photon", "2.1.0"), ("photon", "2.2.0"), ("p1", "1.5.0"), ("p1", "2.1.0"),
    ("electron", "2.1.0"), ("electron", "2.2.0"),
]  # fmt: skip
TRANSFERS = int(os.environ.get("DIFFERENTIAL", "1000"))
FIRST_SEED = int(os.environ.get("DIFFERENTIAL_SEED", "1"))
SAMPLE = min(TRANSFERS, 1000)
TO_DFU, TO_NORMAL = "back as d006", "back as c006"
GET_LINE_CODING = Transfer(Setup(0xA1, 0x21, 0, 0, 7))
AT_9600, AT_115200 = "in: 80250000000000", "in: 00c20100000008"


@pytest.fixture(scope="module")
def subject(images_of):
    made = {}

    def make(platform, release):
        if (platform, release) not in made:
            kind = ListeningElectron if platform == "electron" else Stm32SystemSubject
            made[platform, release] = kind(hardware(platform), images_of(platform, release), DEVICE_ID)
        return made[platform, release]

    return make


@pytest.mark.parametrize(("platform", "release"), BOARDS)
def test_device_os_and_its_model_agree_on_a_sample(subject, platform, release):
    agrees(subject(platform, release), SAMPLE, first_seed=21)


@pytest.fixture(scope="module")
def registering(images_of):
    made = {}

    def make(release):
        if release not in made:
            made[release] = RegisteringElectron(hardware("electron"), images_of("electron", release), DEVICE_ID)
        return made[release]

    return make


@pytest.mark.parametrize("release", ["2.1.0", "2.2.0"])
def test_an_electron_that_registers_and_its_model_agree_on_a_sample(registering, release):
    agrees(registering(release), SAMPLE, first_seed=21)


ASKED = (Step(Service.INIT, 1, 20), Step(Service.CHECK, 1, 20))
TOLD, LISTENS, PENDING = Step(Service.CHECK, 1, 20, until_done=True), "in: 0801", "in: 010000000200"


@pytest.mark.parametrize("release", ["2.1.0", "2.2.0"])
@pytest.mark.parametrize(
    ("ends", "last"),
    [
        ([*ASKED, Transfer(Setup(0x40, 0x50, 0, 302, 0)), TOLD, *whole(2, 72)], "stall"),
        ([*ASKED, line_coding(28800), line_coding(9600), TOLD, *whole(2, 72)], LISTENS),
        ([*ASKED, *whole(2, 70), TOLD, *whole(3, 72)], LISTENS),
        ([*ASKED, *without_reply(50), Return()], "back as d00a"),
        ([*ASKED, *without_reply(40), Return()], "back as c00a"),
        ([*ASKED, Step(Service.INIT, 2, 50), Step(Service.RESET, 2, 50), Return()], "back as d00a"),
        ([*ASKED, line_coding(14400), Return()], "back as d00a"),
    ],
    ids=["raw 302", "28800 baud", "request 70", "request 50", "request 40", "request 50 given up", "14400 baud"],
)
def test_what_ends_registering_has_the_rest_carried_out(registering, release, ends, last):
    outcomes = on_both(registering(release), *ends)
    assert outcomes[1] == PENDING
    assert outcomes[-1] == last


def test_device_os_and_its_model_agree(subject, capsys):
    compared = agrees(subject("photon", "2.1.0"), TRANSFERS, FIRST_SEED)
    with capsys.disabled():
        print(f"\n{compared}")


@pytest.fixture
def both(subject):
    """Carries acts out on both sides of a Photon; the outcomes of the firmware. They have to be the model's."""

    return partial(on_both, subject("photon", "2.1.0"))


@pytest.mark.parametrize(("kind", "mode"), [(40, TO_NORMAL), (41, TO_NORMAL), (50, TO_DFU), (60, TO_NORMAL)])
def test_restarts_lead_to_the_same_mode(both, kind, mode):
    assert both(*without_reply(kind), Return())[-1] == mode


def test_14400_baud_is_heeded_at_once(both):
    assert both(line_coding(14400), Return()) == [GONE, TO_DFU]


def test_module_information_is_the_same_to_the_byte(both):
    assert both(*whole(1, 90))[-1].startswith("in: ")


@pytest.mark.parametrize(("platform", "release"), [("photon", "1.5.0"), ("photon", "2.1.0"), ("electron", "2.1.0")])
def test_a_virtual_board_has_no_counter_that_device_os_lacks(subject, platform, release):
    modelled, firmware = names_of_counters(subject(platform, release))
    assert modelled - firmware == set()


def test_a_speed_behind_a_refused_request_is_acknowledged_and_lost(both):
    refused = Transfer(Setup(0xC0, 0x50, 0, 9999, 64))
    assert both(refused, line_coding(115200), GET_LINE_CODING)[1:] == [DONE, AT_9600]
    # What was lost is heeded when the next data for a device are refused.
    short = Transfer(Setup(0x40, 3, 0, 0x7777, 8), bytes(8))
    assert both(refused, line_coding(115200), short, GET_LINE_CODING)[2:] == [DONE, AT_115200]
    assert both(refused, line_coding(14400), Wait(0.5), Return(1.0))[1:] == [DONE, DONE, "stays on the bus"]


def test_a_payload_that_never_arrived_counts_as_sent(both):
    sent_before = whole(1, 1, b"abcdefgh")
    begun = [Step(Service.INIT, 2, 1, value=8), Step(Service.SEND, 2, 1, 8, data=b"ijklmnop", packets=0)]
    anything = Transfer(Setup(0x80, 6, 0x0100, 0, 18))
    # GET_DESCRIPTOR ends the data stage that the HAL waits for; its buffer holds the reply to INIT.
    rest = [Step(Service.CHECK, 2, 1, until_done=True), Step(Service.RECV, 2, 1, 8)]
    assert both(*sent_before, *begun, anything, Wait(0.02), *rest)[-1] == "in: 0300000000000200"


def test_a_configuration_taken_away_leaves_the_note(both):
    refused = Abandoned(Setup(0xC0, 0x50, 0, 20, 64))
    off, on = Transfer(Setup(0x00, 9, 0, 0, 0)), Transfer(Setup(0x00, 9, 1, 0, 0))
    device = Transfer(Setup(0x80, 6, 0x0100, 0, 18))
    outcomes = both(refused, off, device, on, line_coding(115200), GET_LINE_CODING)
    assert outcomes[-1] == AT_9600
