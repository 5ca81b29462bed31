"""The machinery that compares two sides, on sides of its own."""

from random import Random

import pytest
from particle_harness.emulator.conversations import dfu
from particle_harness.emulator.conversations.acts import DONE, GONE, SILENT, Abandoned, Enumerate, Transfer, Wait
from particle_harness.emulator.conversations.dfu import Conversation, gen2_terrain
from particle_harness.emulator.differential.comparison import KnownDifference, after_recorded, compare, shrink
from particle_harness.usb.dfu_terms import Request


class Counter:
    """Counts DNLOADs; wrong from the third on, when it is the bad one."""

    def __init__(self, bad, word="wrong"):
        self.bad, self.word = bad, word
        self.downloads = 0
        self.cells = bytearray(4)

    def act(self, act):
        if isinstance(act, Transfer) and act.setup.b_request == Request.DNLOAD:
            self.downloads += 1
        if isinstance(act, Transfer) and act.setup.b_request == Request.GETSTATUS:
            return self.word if self.bad and self.downloads >= 3 else "right"
        return DONE

    def memories(self):
        return {"internal": memoryview(self.cells)}


def acts(seed, length=60):
    return Conversation(gen2_terrain(), Random(seed)).acts(length)


def again(sequence):
    return compare(Counter(False), Counter(True), sequence)[0]


def test_the_first_difference_is_found_and_shrunk():
    sequence = acts(3)
    difference = again(sequence)
    assert difference is not None
    assert (difference.modelled, difference.emulated) == ("right", "wrong")
    small = shrink(difference, again)
    kinds = [act.setup.b_request for act in small.acts[1:] if isinstance(act, Transfer)]
    assert kinds == [Request.DNLOAD] * 3 + [Request.GETSTATUS]
    assert isinstance(small.acts[0], Enumerate)
    assert "DFU GETSTATUS" in str(small)
    assert str(small).endswith("emulated: wrong")


def test_equal_sides_compare_every_transfer():
    sequence = acts(3)
    wanted = sum(isinstance(act, (Transfer, Abandoned)) for act in sequence)
    assert compare(Counter(True), Counter(True), sequence) == (None, wanted)


def test_memories_are_compared_afterwards():
    one, other = Counter(False), Counter(False)
    other.cells[2] = 1
    difference, _ = compare(one, other, acts(3))
    assert difference.act is None
    assert difference.emulated == "internal 0x000002: 01 00"


def test_known_differences_are_passed_over_and_others_are_not():
    known = KnownDifference("counts wrong", lambda _act, _modelled, emulated: emulated == "wrong")
    assert compare(Counter(False), Counter(True), acts(3), [known])[0] is None
    assert compare(Counter(False), Counter(True, "worse"), acts(3), [known])[0] is not None


@pytest.mark.parametrize("word", [GONE, SILENT])
def test_a_known_end_of_the_conversation_ends_it(word):
    known = KnownDifference("dies", lambda _act, _modelled, emulated: emulated == word)
    _, transfers = compare(Counter(False), Counter(True, word), acts(3), [known])
    assert transfers < compare(Counter(False), Counter(False), acts(3))[1]


def test_the_same_seed_gives_the_same_conversation():
    assert acts(5) == acts(5)
    assert acts(5) != acts(6)


def test_conversations_hold_what_hosts_do_and_never_what_they_must_not():
    seen = [act for seed in range(300) for act in acts(seed)]
    transfers = [act for act in seen if isinstance(act, Transfer)]
    requests = {act.setup.b_request for act in transfers if act.setup.bm_request_type in (0x21, 0xA1)}
    assert requests >= set(Request) - {Request.DETACH}
    assert {type(act) for act in seen} == {Transfer, Abandoned, Enumerate, Wait}
    assert all(len(act.data) <= dfu.TRANSFER_BYTES for act in transfers)
    assert all(len(act.data) == act.setup.w_length for act in transfers if not act.setup.is_in)
    assert any(act.setup.w_length == 0 and act.setup.b_request == Request.DNLOAD for act in transfers)


def test_acts_are_written_out():
    text = "\n".join(str(act) for act in acts(1))
    assert "SET_INTERFACE" in text
    assert "DFU DNLOAD (0x21)" in text
    assert str(Wait(1.5)) == "wait 1.5 s"


def test_a_conversation_may_follow_the_beginning_of_a_recorded_one():
    recorded = tuple(acts(7)[1:20])
    random_one = acts(8)
    lengths = set()
    for seed in range(60):
        joined = after_recorded(recorded, random_one, Random(seed))
        length = len(joined) - len(random_one) - 2
        assert joined == [Enumerate(), *recorded[:length], Enumerate(), *random_one]
        lengths.add(length)
    assert lengths == set(range(1, len(recorded) - 2))


def test_transfers_are_given_up_in_the_middle_of_their_data():
    seen = [act for seed in range(300) for act in acts(seed) if isinstance(act, Abandoned) and act.packets]
    assert {act.setup.b_request for act in seen} == {Request.DNLOAD, Request.UPLOAD}
    assert all(act.packets * 64 < act.setup.w_length for act in seen)
