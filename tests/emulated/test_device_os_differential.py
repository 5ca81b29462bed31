"""Device OS on emulated nRF52840 boards against virtual ones, by control transfers; `DIFFERENTIAL=50000` for all."""

import os
from functools import partial

import pytest
from particle_harness.boards import EXAMPLE_DEVICE_IDS, hardware
from particle_harness.emulator.conversations.acts import ALL, DONE, GONE, Enumerate, Return, Step, Wait
from particle_harness.emulator.conversations.system import line_coding, whole
from particle_harness.emulator.differential.comparison import compare
from particle_harness.emulator.differential.system import SystemSubject
from particle_harness.usb.control_service import Service
from particle_harness.usb.wire import number_field

from tests.emulated.agreement import agrees, names_of_counters, on_both, without_reply

pytestmark = [pytest.mark.images, pytest.mark.timeout(3600)]
DEVICE_ID = EXAMPLE_DEVICE_IDS[True]
BOARDS = [
    ("boron", "2.1.0"), ("boron", "2.2.0"), ("xenon", "1.5.2"), ("argon", "2.1.0"), ("b5som", "2.1.0"),
    ("bsom", "2.1.0"), ("tracker", "2.1.0"), ("tracker", "2.2.0"),
]  # fmt: skip
TRANSFERS = int(os.environ.get("DIFFERENTIAL", "1500"))
SAMPLE = min(TRANSFERS, 1500)
TO_DFU, TO_NORMAL = "back as d00d", "back as c00d"
NOT_FOUND, BUSY = "in: 010000000500", "in: 010000000300"


@pytest.fixture(scope="module")
def subject(images_of):
    made = {}

    def make(platform, release):
        if (platform, release) not in made:
            made[platform, release] = SystemSubject(hardware(platform), images_of(platform, release), DEVICE_ID)
        return made[platform, release]

    return make


@pytest.mark.parametrize(("platform", "release"), BOARDS)
def test_device_os_and_its_model_agree_on_a_sample(subject, platform, release):
    agrees(subject(platform, release), SAMPLE, first_seed=21)


def test_device_os_and_its_model_agree(subject, capsys):
    compared = agrees(subject("boron", "2.1.0"), TRANSFERS)
    with capsys.disabled():
        print(f"\n{compared}")


@pytest.fixture
def both(subject):
    """Carries acts out on both sides of a Boron; the outcomes of the firmware. They have to be the model's."""

    return partial(on_both, subject("boron", "2.1.0"))


@pytest.mark.parametrize(("kind", "mode"), [(40, TO_NORMAL), (41, TO_NORMAL), (50, TO_DFU), (60, TO_NORMAL)])
def test_restarts_lead_to_the_same_mode(both, kind, mode):
    assert both(*without_reply(kind), Return())[-1] == mode


def test_a_restart_that_nobody_waits_for_comes_all_the_same(both):
    assert both(Step(Service.INIT, 1, 50), Wait(0.1), Step(Service.RESET, ALL, 0), Return())[-1] == TO_DFU


def test_14400_baud_is_heeded_when_the_next_speed_is_set(both):
    assert both(line_coding(14400), Wait(0.5), Return(1.0)) == [DONE, DONE, "stays on the bus"]
    assert both(line_coding(14400), line_coding(9600), Return()) == [DONE, GONE, TO_DFU]


def test_after_a_reply_read_in_part_and_a_reset_the_next_request_is_lost(both):
    """A matter of places in memory, so it is held to one history: that of a new board."""
    begun = [step for step in whole(1, 1, bytes(128)) if step.service is not Service.RECV]
    given_up = [Step(Service.RECV, 1, 1, 64), Step(Service.RESET, 1, 1), Wait(0.02)]
    outcomes = both(*begun, *given_up, *whole(2, 20), *whole(3, 20))
    lost, kept = outcomes[-5], outcomes[-2]
    assert lost == NOT_FOUND
    assert kept.startswith("in: 0d")


def test_a_last_check_given_up_and_a_reset_leave_it_busy_for_ever(both):
    begun = [Step(Service.INIT, 1, 230), Wait(0.02), Step(Service.CHECK, 1, 230, packets=0)]
    outcomes = both(*begun, Step(Service.RESET, 1, 230), Wait(0.02), Step(Service.INIT, 2, 20), Enumerate())
    assert outcomes[-2] == BUSY
    assert both(*begun, Enumerate(), Wait(0.02), *whole(2, 20))[-1].startswith("in: 0a18")


def test_module_information_is_the_same_to_the_byte(subject):
    """Device OS asks the modem first, for 19 s of its time."""
    asked = [Enumerate(), *whole(1, 90)]
    modelled, emulated = subject("boron", "2.1.0").pair()
    difference, _ = compare(modelled, emulated, asked)
    assert difference is None, str(difference)


@pytest.mark.parametrize(
    ("platform", "release"),
    [("boron", "1.5.0"), ("boron", "2.1.0"), ("boron", "2.2.0"), ("xenon", "1.5.2"), ("argon", "2.1.0"),
     ("tracker", "2.1.0")],
)  # fmt: skip
def test_a_virtual_board_has_no_counter_that_device_os_lacks(subject, platform, release):
    modelled, firmware = names_of_counters(subject(platform, release))
    assert modelled - firmware == set()


START_LISTENING, MODULE_INFO, NCP_VERSION, INTERFACE = 70, 90, 31, 401


@pytest.mark.parametrize(
    ("platform", "release", "asked"),
    [
        ("boron", "2.1.0", MODULE_INFO),
        ("argon", "2.1.0", NCP_VERSION),
        ("argon", "2.2.0", NCP_VERSION),
        ("tracker", "2.1.0", NCP_VERSION),
        ("tracker", "2.1.0", MODULE_INFO),
    ],
)
def test_an_interface_says_whether_its_radio_is_on(subject, platform, release, asked):
    """Before and after it is asked, and in listening mode, where nothing switches it off."""
    interface = INTERFACE, number_field(1, 4)
    kinds = (interface, (asked, b""), interface, (START_LISTENING, b""), interface)
    acts = [Enumerate(), *(step for n, kind in enumerate(kinds, start=1) for step in whole(n, *kind))]
    difference, _ = compare(*subject(platform, release).pair(), acts)
    assert difference is None, str(difference)


def test_requests_share_a_pool(both):
    begun = [Step(Service.INIT, number, 1, value=64) for number in range(1, 5)]
    assert both(*begun)[-1] == "in: 010000000400"
    assert both(*begun, Step(Service.RESET, ALL, 0), Wait(0.02), *whole(5, 1, b"abc"))[-1] == "in: 616263"
