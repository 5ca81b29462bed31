"""Conversations with a running Device OS: how they are made, what their steps become, and that a planted difference
between two virtual boards is found."""

from random import Random

import pytest
from particle_harness.bench import open_bench
from particle_harness.boards import EXAMPLE_DEVICE_IDS, hardware
from particle_harness.emulator.conversations.acts import (
    ALL,
    AS_ANNOUNCED,
    DONE,
    GONE,
    SILENT,
    STALL,
    Abandoned,
    Enumerate,
    Return,
    Step,
    Transfer,
    Wait,
)
from particle_harness.emulator.conversations.steps import PENDING, Requests
from particle_harness.emulator.conversations.system import SystemConversation, line_coding, whole
from particle_harness.emulator.differential.comparison import compare, shrink
from particle_harness.emulator.differential.known import known_of_systems
from particle_harness.emulator.differential.sides import ModelledSide
from particle_harness.factory import release_stand_ins
from particle_harness.usb.cdc import NormalDevice
from particle_harness.usb.control_service import Service
from particle_harness.usb.transfer import Setup

COMPARED = {"internal": range(0x30000, 0xF4000)}
DEVICE_ID = EXAMPLE_DEVICE_IDS[True]
KIND = hardware("boron")


@pytest.fixture(scope="module")
def cells():
    """What lies in the flash of a new Boron with stand-ins of a release."""
    bench = open_bench(
        options={"clock": "virtual"},
        slots=[{"name": "1", "platform": "boron"}],
        state_dir=None,
        factory_modules=lambda name: release_stand_ins(hardware(name)),
    )
    board = bench.board("1")
    kept = {"internal": bytes(board.internal.cells), "external": bytes(board.external.cells), "uicr": bytes(board.uicr)}
    kept["dct"] = board.dct.read(0, board.dct.file_size_bytes)
    bench.close()
    return kept


@pytest.fixture
def side(cells):
    """Makes virtual boards that listen."""
    return lambda: ModelledSide(KIND, DEVICE_ID, cells, COMPARED, dfu=False)


def acts(seed, length=60):
    return SystemConversation(Random(seed)).acts(length)


def test_the_same_seed_gives_the_same_conversation():
    assert acts(5) == acts(5)
    assert acts(5) != acts(6)


def test_conversations_hold_every_step_and_every_way_to_break_off():
    seen = [act for seed in range(200) for act in acts(seed)]
    steps = [act for act in seen if isinstance(act, Step)]
    assert {type(act) for act in seen} == {Transfer, Abandoned, Enumerate, Wait, Step}
    assert {step.service for step in steps} == set(Service)
    assert any(step.packets == 0 for step in steps)
    assert any(step.packets == 2 and step.service is Service.SEND and len(step.data) > 128 for step in steps)
    assert any(isinstance(act, Abandoned) and act.packets == 2 for act in seen)
    assert {step.number for step in steps if step.service is Service.RESET} >= {ALL}
    assert all(len(step.data) == step.length for step in steps if step.service is Service.SEND)


def test_nothing_that_leaves_the_mode_is_in_the_middle_of_a_conversation():
    seen = [act for seed in range(200) for act in acts(seed)]
    leaving = {40, 41, 50, 60, 71}
    assert not leaving & {act.kind for act in seen if isinstance(act, Step)}
    raw = [act.setup for act in seen if isinstance(act, Transfer) and act.setup.bm_request_type == 0x40]
    assert not any(setup.b_request == 0x50 and setup.w_index == 40 for setup in raw)
    speeds = [act.data[:4] for act in seen if isinstance(act, Transfer) and act.setup.b_request == 0x20]
    assert speeds
    assert not {(14400).to_bytes(4, "little"), (28800).to_bytes(4, "little")} & set(speeds)


def test_every_way_to_restart_is_taken():
    endings = [SystemConversation(Random(seed)).restart() for seed in range(60)]
    assert all(isinstance(ending[-1], Return) for ending in endings)
    kinds = {act.kind for ending in endings for act in ending if isinstance(act, Step)}
    assert kinds >= {40, 50, 60}
    assert line_coding(14400) in [act for ending in endings for act in ending]


def test_a_step_is_a_transfer_with_the_id_that_the_device_gave():
    requests = Requests()
    begin = Step(Service.INIT, 1, 20, value=3)
    assert requests.transfer(begin) == Transfer(Setup(0xC0, 1, 3, 20, 64))
    requests.hear(begin, "in: 0300000000002a00")
    check = Step(Service.CHECK, 1, 20)
    assert requests.transfer(check).setup.w_index == 0x2A
    requests.hear(check, "in: 0d00000000006400000000000000")
    fetch = Step(Service.RECV, 1, 20, AS_ANNOUNCED)
    assert requests.transfer(fetch).setup.w_length == 100
    requests.hear(fetch, "in: " + bytes(60).hex())
    assert requests.transfer(fetch).setup.w_length == 40
    assert requests.transfer(Step(Service.SEND, 1, 20, 2, data=b"ab", packets=1)) == Abandoned(
        Setup(0x40, 3, 0, 0x2A, 2), b"ab", 1
    )
    assert requests.transfer(Step(Service.RESET, ALL, 0)).setup.w_index == 0


def test_a_request_that_got_no_id_has_one_that_no_device_gives():
    requests = Requests()
    requests.hear(Step(Service.INIT, 3, 20), "in: 010000000300")
    assert requests.transfer(Step(Service.CHECK, 3, 20)).setup.w_index > 0x6FFF


def test_two_equal_boards_agree_through_conversations_and_restarts(side):
    transfers = 0
    for seed in range(12):
        talk = SystemConversation(Random(seed))
        difference, count = compare(side(), side(), [*talk.acts(60), *talk.restart()])
        assert difference is None, str(difference)
        transfers += count
    assert transfers > 500


def test_the_model_is_asked_about_as_long_as_it_works(side):
    one = side()
    one.act(Enumerate())
    one.act(Step(Service.INIT, 1, 1, value=65))
    assert one.act(Step(Service.CHECK, 1, 1, until_done=True)) != PENDING


class Forgetful(ModelledSide):
    """A board whose request 20 loses its last byte."""

    def _control(self, setup, data):
        reply = super()._control(setup, data)
        return reply[:-1] if setup.b_request == Service.RECV and reply.startswith(b"\n\x18") else reply


def test_a_planted_difference_is_found_and_shrunk(side, cells):
    talk = [*acts(1), *whole(1000, 20), *acts(2)]

    def again(sequence):
        return compare(side(), Forgetful(KIND, DEVICE_ID, cells, COMPARED, dfu=False), sequence)[0]

    found = again(talk)
    assert found is not None
    small = shrink(found, again)
    assert [act.service for act in small.acts[1 : small.number + 1] if isinstance(act, Step)][-1] is Service.RECV
    assert small.number < 8
    assert small.modelled[:-2] == small.emulated


NOT_SUPPORTED, NO_SERIAL_NUMBER, TOLD = (
    "in: 09000000000088ffffff",
    "in: 090000000000ffffffff",
    "in: 0d00000000001100000000000000",
)


@pytest.mark.parametrize(
    ("service", "kind", "modelled", "emulated"),
    [
        (Service.CHECK, 21, TOLD, NO_SERIAL_NUMBER),
        (Service.RECV, 21, "in: 0a0142", STALL),
        (Service.CHECK, 1001, NOT_SUPPORTED, "in: 0900000000009cffffff"),
        (Service.RECV, 1001, STALL, "in: 0801"),
    ],
)
def test_known_differences_are_about_one_step_of_their_request(service, kind, modelled, emulated):
    known = known_of_systems(KIND)

    def is_known(service, kind, modelled, emulated):
        return any(difference.applies(Step(service, 1, kind), modelled, emulated) for difference in known)

    assert is_known(service, kind, modelled, emulated)
    assert not any(is_known(other, kind, modelled, emulated) for other in Service if other is not service)
    assert not is_known(service, 20, modelled, emulated)
    assert not is_known(service, kind, emulated, modelled)
    assert not is_known(service, kind, modelled, SILENT)
    assert not is_known(service, kind, modelled, GONE)
    assert all(difference.reason for difference in known)


def test_a_board_that_restarts_is_told_by_its_product_id(side):
    one = side()
    one.act(Enumerate())
    assert one.act(line_coding(14400)) == DONE
    assert one.act(line_coding(9600)) == GONE
    assert one.act(Return()) == "back as d00d"
    assert one.act(Transfer(Setup(0xA1, 3, 0, 0, 6))).startswith("in: 00")


def test_a_board_that_stays_is_not_waited_for_forever(side):
    one = side()
    one.act(Enumerate())
    assert one.act(Return(1.0)) == "stays on the bus"


class TestGivenUp:
    """Transfers that the host breaks off."""

    @pytest.fixture
    def board(self, side):
        one = side()
        one.act(Enumerate())
        return one

    def test_a_reply_comes_packet_by_packet(self, board):
        configuration = Setup(0x80, 6, 0x0200, 0, 255)
        whole_reply = board.act(Transfer(configuration))
        assert len(whole_reply) == len("in: ") + 2 * 84
        assert board.act(Abandoned(configuration)) == DONE
        assert board.act(Abandoned(configuration, packets=1)) == whole_reply[: len("in: ") + 128]
        assert board.act(Abandoned(configuration, packets=2)) == whole_reply

    def test_a_refusal_is_seen_by_who_asks_for_data(self, board):
        unknown = Setup(0xC0, 0x50, 0, 9, 64)
        assert board.act(Abandoned(unknown)) == DONE
        assert board.act(Abandoned(unknown, packets=1)) == STALL

    def test_a_payload_that_does_not_arrive_whole_is_not_there(self, board):
        board.act(Step(Service.INIT, 1, 1, value=100))
        board.act(Step(Service.CHECK, 1, 1, until_done=True))
        data = bytes(range(100))
        board.act(Step(Service.SEND, 1, 1, 100, data=data, packets=1))
        assert board.act(Step(Service.SEND, 1, 1, 100, data=data)) == DONE
        board.act(Step(Service.CHECK, 1, 1, until_done=True))
        assert board.act(Step(Service.RECV, 1, 1, AS_ANNOUNCED)) == f"in: {data.hex()}"

    def test_a_check_whose_answer_is_not_fetched_leaves_the_request(self, board):
        board.act(Step(Service.INIT, 1, 230))
        board.act(Step(Service.CHECK, 1, 230, packets=0))
        assert board.act(Step(Service.CHECK, 1, 230)) == "in: 09000000000000000000"
        assert board.act(Step(Service.CHECK, 1, 230)) == "in: 010000000500"


def test_boards_of_other_families_have_their_own_endpoint_zero(make_board):
    assert type(make_board("photon").usb_device) is not type(make_board("boron").usb_device)
    assert isinstance(make_board("p2").usb_device, NormalDevice)
