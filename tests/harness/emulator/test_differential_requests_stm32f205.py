"""Conversations with Device OS on an STM32F205: what they hold, what they leave out, and that a planted difference
between two virtual Photons is found."""

from itertools import pairwise
from random import Random

import pytest
from particle_harness.bench import open_bench
from particle_harness.boards import EXAMPLE_DEVICE_IDS, hardware
from particle_harness.emulator.conversations.acts import (
    DONE,
    GONE,
    SILENT,
    STALL,
    Abandoned,
    Enumerate,
    Step,
    Transfer,
    Wait,
)
from particle_harness.emulator.conversations.system import OpenRequest
from particle_harness.emulator.conversations.system_stm32f205 import (
    LEFT_OUT,
    BusyConversation,
    OldStm32Conversation,
    Stm32Conversation,
    conversations_of,
    data_bytes,
    is_left_out,
)
from particle_harness.emulator.differential.comparison import compare
from particle_harness.emulator.differential.known import known_of_systems
from particle_harness.emulator.differential.sides import ModelledSide
from particle_harness.emulator.recordings.system import conversation as recorded
from particle_harness.factory import release_stand_ins
from particle_harness.usb.control_service import Service
from particle_harness.usb.stm32_system import Stm32NormalDevice
from particle_harness.usb.transfer import TO_ENDPOINT, Setup, StallError

KIND = hardware("photon")
DEVICE_ID = EXAMPLE_DEVICE_IDS[False]
COMPAT_ID, LINE_CODING = Setup(0xC0, 0xEE, 0, 4, 255), Setup(0xA1, 0x21, 0, 0, 64)


def acts(seed, length=60):
    return Stm32Conversation(Random(seed)).acts(length)


@pytest.fixture(scope="module")
def cells():
    """Of a Photon."""
    return cells_of("photon")


def cells_of(platform):
    """What lies in the flash of a new board with stand-ins of a release."""
    bench = open_bench(
        options={"clock": "virtual"},
        slots=[{"name": "1", "platform": platform}],
        state_dir=None,
        factory_modules=lambda name: release_stand_ins(hardware(name)),
    )
    board = bench.board("1")
    kept = {"internal": bytes(board.internal.cells), "dct": board.dct.read(0, board.dct.file_size_bytes)}
    bench.close()
    return kept


@pytest.fixture
def side(cells):
    """Makes virtual boards that listen."""
    return lambda: ModelledSide(KIND, DEVICE_ID, cells, {"internal": range(0xC000, 0x100000)}, dfu=False)


def test_each_family_has_its_conversations():
    assert conversations_of(KIND) is Stm32Conversation
    assert conversations_of(hardware("boron")) is not Stm32Conversation
    assert conversations_of(KIND, 1512) is OldStm32Conversation
    assert conversations_of(KIND, 2000) is Stm32Conversation


def test_requests_that_only_old_releases_have_are_left_out_with_those():
    def kinds(conversation):
        said = [act for seed in range(300) for act in conversation(Random(seed)).acts(60)]
        return {act.kind for act in said if isinstance(act, Step)}

    old, new = kinds(OldStm32Conversation), kinds(Stm32Conversation)
    assert new - old == {110, 120, 260}
    assert not old - new
    in_file = [{act.kind for act in recorded(KIND, version) if isinstance(act, Step)} for version in (1512, 2000)]
    assert in_file[1] - in_file[0] == {110, 260}


def test_the_same_seed_gives_the_same_conversation():
    assert acts(5) == acts(5)
    assert acts(5) != acts(6)


def test_nothing_that_is_left_out_is_sent():
    seen = [act for seed in range(300) for act in acts(seed)]
    setups = [act.setup for act in seen if isinstance(act, (Transfer, Abandoned))]
    assert not any(is_left_out(act) for act in seen)
    assert {setup.w_index for setup in setups if setup.recipient == TO_ENDPOINT} == {0, 0x80, 1, 0x81, 0x82, 0x83}
    assert {act.kind for act in seen if isinstance(act, Step)} >= {210, 211, 220, 221, 222, 223, 240}
    assert all(reason[0].isalpha() for reason in LEFT_OUT)


@pytest.mark.parametrize(("sent", "longest"), [(63, 64), (64, 937)])
def test_no_long_piece_of_a_payload_begins_between_words(sent, longest):
    talk, request = Stm32Conversation(Random(1)), OpenRequest(1, 72, bytes(1000), sent)
    assert max(talk.piece_bytes(request, 1000 - sent) for _ in range(100)) == longest


def test_the_configuration_gets_its_time():
    seen = [pair for seed in range(300) for pair in pairwise(acts(seed))]
    after = {act.kind: wait.duration_s for act, wait in seen if isinstance(act, Step) and act.service is Service.SEND
             and isinstance(wait, Wait)}  # fmt: skip
    assert after[210] == after[240] > after[1]


@pytest.mark.parametrize(
    ("fields", "left_out"),
    [
        ((0x82, 0, 0, 0x85, 2), True),
        ((0x82, 0, 0, 0x83, 2), False),
        ((0xC1, 0xEE, 0, 5, 11), True),
        ((0xC1, 0xEE, 0, 5, 10), False),
        ((0xC1, 0xEE, 2, 5, 255), False),
        ((0x21, 0x20, 0, 0, 0), True),
        ((0x21, 0x22, 0, 0, 0), False),
        ((0x21, 0x20, 0, 0, 8), False),
        ((0x21, 0x20, 0, 0, 9), True),
    ],
)
def test_what_is_left_out(fields, left_out):
    assert is_left_out(Transfer(Setup(*fields))) is left_out


def test_a_recording_holds_no_byte_behind_the_data_of_a_reply():
    setups = [act.setup for act in recorded(KIND, 2101) if isinstance(act, Transfer) and act.setup.is_in]
    assert all(setup.w_length <= size for setup in setups if (size := data_bytes(setup)) is not None)
    assert Setup(0xC0, 0xEE, 0, 4, 40) in setups
    assert not {COMPAT_ID, LINE_CODING} & set(setups)


def test_bytes_behind_the_data_may_differ_and_nothing_before_them():
    def may_differ(setup, modelled, emulated):
        return is_known(Transfer(setup), modelled, emulated)

    shown = "in: " + "00" * 64
    assert may_differ(LINE_CODING, shown, "in: " + "00" * 8 + "11" * 56)
    assert not may_differ(LINE_CODING, shown, "in: " + "00" * 7 + "11" * 57)
    assert not may_differ(LINE_CODING, shown, shown[:-2])
    assert not may_differ(Setup(0x80, 6, 0x0100, 0, 64), shown, "in: " + "00" * 8 + "11" * 56)
    assert not may_differ(LINE_CODING, shown, STALL)
    assert not may_differ(Setup(0xC0, 0xEE, 0, 4, 40), "in: " + "00" * 40, "in: " + "00" * 39 + "11")


def is_known(step, modelled, emulated):
    return any(known.applies(step, modelled, emulated) for known in known_of_systems(KIND))


FEWER, MORE = ("in: " + text.encode().hex() for text in ('{"sys:uptime":2}', '{"sys:uptime":3,"net:err":0}'))
OF_16, OF_28 = "in: 0d00000000001000000000000000", "in: 0d00000000001c00000000000000"


def test_of_control_requests_only_diagnostics_may_differ():
    answers = [(FEWER, MORE), (OF_16, OF_28), ("in: 01", "in: 02"), ("in: 01", STALL), (DONE, STALL)]
    may_differ = [
        (service, kind, answer)
        for kind in range(2000)
        for service in Service
        for answer in answers
        if is_known(Step(service, 1, kind), *answer)
    ]
    assert may_differ == [(Service.CHECK, 100, (OF_16, OF_28)), (Service.RECV, 100, (FEWER, MORE))]


@pytest.mark.parametrize(
    ("modelled", "emulated"),
    [
        (OF_16, "in: 0d00000000001c000000ffffffff"),
        (OF_16, "in: 0900000000009cffffff"),
        ("in: 09000000000088ffffff", "in: 0900000000009cffffff"),
        (OF_16, "in: 010000000200"),
        (OF_16, STALL),
        (OF_16, SILENT),
        (OF_16, GONE),
    ],
)
def test_of_a_check_of_diagnostics_only_the_size_may_differ(modelled, emulated):
    check = Step(Service.CHECK, 1, 100)
    assert is_known(check, OF_16, OF_28)
    assert not is_known(check, modelled, emulated)
    assert not is_known(check, emulated, modelled)


@pytest.mark.parametrize(
    "emulated", [FEWER, MORE[:-2], MORE + f", {STALL}", "in: 5b5d", "in: 7b7d", "in: ", STALL, SILENT]
)
def test_a_counter_that_device_os_lacks_is_a_difference(emulated):
    receive = Step(Service.RECV, 1, 100)
    assert is_known(receive, FEWER, MORE)
    assert not is_known(receive, MORE, emulated)
    assert not is_known(receive, "in: 7b7d", emulated)


def test_nothing_that_ends_registering_is_said_to_an_electron_that_registers():
    seen = [act for seed in range(300) for act in BusyConversation(Random(seed)).acts(60)]
    steps = [act for act in seen if isinstance(act, Step)]
    assert not any(step.until_done for step in steps)
    begun = {step.kind for step in steps if step.service is Service.INIT}
    assert not begun & {40, 41, 50, 60, 70}
    assert begun >= {20, 30, 72, 9999}
    raw = {act.setup.w_index for act in seen if isinstance(act, Transfer) and act.setup.b_request == 0x50}
    assert 20 in raw
    assert 302 not in raw


def test_an_electron_that_registers_leaves_all_it_is_asked_pending():
    electron = ModelledSide(hardware("electron"), DEVICE_ID, cells_of("electron"), {}, dfu=False)
    electron.act(Enumerate())
    electron.act(Wait(3.0))
    outcomes = [
        electron.act(step)
        for step in (Step(Service.INIT, 1, 20), Step(Service.CHECK, 1, 20), Step(Service.RECV, 1, 20, 26))
    ]
    assert outcomes == ["in: 0300000000000100", "in: 010000000200", STALL]
    assert electron.act(Transfer(Setup(0xC0, 0x50, 0, 30, 64))).startswith("in: ")
    # Whoever ends the registration has it answered.
    electron.act(Transfer(Setup(0x40, 0x50, 0, 302, 0)))
    assert electron.act(Step(Service.CHECK, 1, 20)).startswith("in: 0d")


def test_two_virtual_boards_agree(side):
    modelled, emulated = side(), side()
    for seed in range(3):
        difference, transfers = compare(modelled, emulated, acts(seed))
        assert difference is None, str(difference)
        assert transfers > 40


def test_a_planted_difference_is_found(side):
    modelled, other = side(), side()

    class Stalls(Stm32NormalDevice):
        """Refuses a payload of one byte."""

        def control(self, setup, data=b""):
            if (setup.bm_request_type, setup.b_request, setup.w_length) == (0x40, Service.SEND, 1):
                raise StallError
            return super().control(setup, data)

    other._device.__class__ = Stalls
    found = [compare(modelled, other, acts(seed))[0] for seed in range(4)]
    assert (DONE, STALL) in {(difference.modelled, difference.emulated) for difference in found if difference}
