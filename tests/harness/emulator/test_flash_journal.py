"""Flash as a loss of power at any operation leaves it: the journal agrees with a flash that really stops there."""

from hypothesis import given
from hypothesis import strategies as st
from particle_harness.clock import VirtualClock
from particle_harness.emulator.power_cuts.flash_journal import FlashJournal, Torn, put_back
from particle_harness.nor_flash import NorFlash

from particle_dev.catalog.flash_chips import qspi_flash

CHIP = qspi_flash(32 << 10)
SECTOR = 4096


def new_flash():
    return NorFlash(CHIP, VirtualClock(), delays=False)


acts = st.lists(
    st.one_of(
        st.tuples(st.just("erase"), st.integers(0, 3), st.just(b"")),
        st.tuples(st.just("program"), st.integers(0, 4 * SECTOR - 16), st.binary(min_size=1, max_size=16)),
    ),
    max_size=12,
)


def carry_out(flash, script):
    for kind, where, data in script:
        if kind == "erase":
            flash.erase_sector(CHIP.base_address + where * SECTOR)
        else:
            flash.program(CHIP.base_address + where, data)


@given(script=acts)
def test_after_each_operation_the_journal_has_what_the_flash_had(script):
    flash = new_flash()
    flash.load(CHIP.base_address, bytes(range(256)) * 64)
    journal = FlashJournal({"external": flash})
    seen = []
    with journal.recording():
        for act in script:
            seen.append(bytes(flash.cells[: 4 * SECTOR]))
            carry_out(flash, [act])
    seen.append(bytes(flash.cells[: 4 * SECTOR]))
    states = journal.states([(n, Torn.NOTHING) for n in range(len(script) + 1)])
    assert [state["external"][: 4 * SECTOR] for state in states] == seen


@given(script=acts, torn=st.sampled_from([Torn.HALF, Torn.BITS]))
def test_a_torn_operation_lies_between_before_and_after_and_leaves_the_next_states_alone(script, torn):
    flash = new_flash()
    journal = FlashJournal({"external": flash})
    with journal.recording():
        carry_out(flash, script)
    count = len(journal.operations)
    whole = [s["external"][: 4 * SECTOR] for s in journal.states([(n, Torn.NOTHING) for n in range(count + 1)])]
    both = [(n, kind) for n in range(count) for kind in (torn, Torn.NOTHING)]
    mixed = [state["external"][: 4 * SECTOR] for state in journal.states(both)]
    assert mixed[1::2] == whole[:-1]
    for n, state in enumerate(mixed[::2]):
        before, after = (int.from_bytes(w, "little") for w in whole[n : n + 2])
        now = int.from_bytes(state, "little")
        assert (now ^ before) & ~(before ^ after) == 0


def test_half_an_erase_is_its_first_half():
    flash = new_flash()
    flash.load(CHIP.base_address, bytes(2 * SECTOR))
    journal = FlashJournal({"external": flash})
    with journal.recording():
        flash.erase_sector(CHIP.base_address)
    (half, bits) = journal.states([(0, Torn.HALF), (0, Torn.BITS)])
    assert half["external"][:SECTOR] == b"\xff" * (SECTOR // 2) + bytes(SECTOR // 2)
    assert bits["external"][:SECTOR] == b"\x55" * SECTOR


def test_recording_ends_and_leaves_faults_in_place():
    flash = new_flash()
    flash.on_program = lambda _address, data: b"\xff" * len(data)
    hook = flash.on_program
    journal = FlashJournal({"external": flash})
    with journal.recording():
        flash.program(CHIP.base_address, b"\x00")
    assert flash.on_program is hook
    assert journal.operations[0].data == b"\xff"
    assert str(journal.operations[0]) == "program of 1 bytes at 0x00000000 of external flash"


def test_contents_are_put_back():
    flash = new_flash()
    journal = FlashJournal({"external": flash})
    flash.program(CHIP.base_address, b"\x00")
    put_back({"external": flash}, journal.start)
    assert flash.read(CHIP.base_address, 1) == b"\xff"
