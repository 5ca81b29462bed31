"""A restored chip goes on exactly as the one that the snapshot was taken of."""

import dataclasses
import functools
import pickle

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from particle_harness.emulator.snapshot import MAGIC, SnapshotError, Snapshots

from .machine import Machine, assemble

# A thread on its own stack that calculates with floating point, two interrupts that nest, SysTick, sleep, an exclusive
# access, masked stretches: whatever a core can be in the middle of.
BUSY = """
    function _start
        store 0xE000ED88, 0x00F00000
        ldr r0, =0x20004000
        msr psp, r0
        movs r0, #2
        msr control, r0
        isb
        store 0xE000E400, 0x00004020
        store 0xE000E100, 3
        tick_every 778
        vmov.f32 s0, #1.0
        vmov.f32 s1, #0.5
        movs r8, #0
    1:  vadd.f32 s0, s0, s1
        vmov r0, s0
        say 1
        str r0, [r7]
        cpsid i
        store 0x40000060, 40
        add r8, r8, #1
        cpsie i
        movs r0, #50
    2:  subs r0, #1
        bne 2b
        ands r0, r8, #3
        itt eq
        addeq r8, r8, #4
        strdeq r8, r9, [sp, #-16]
        wfi
        b 1b
        .ltorg
    function irq0
        vmov.f32 s0, #2.0
        vmul.f32 s1, s0, s0
        store 0x40000030, 1
        store 0x40000064, 5
        push {r4, lr}
        movs r0, #20
    1:  subs r0, #1
        bne 1b
        say 100
        pop {r4, pc}
        .ltorg
    function irq1
        store 0x40000034, 1
        ldr r7, =0x4000000C
        ldr r6, [r7]
        ldr r7, =0x40000000
        str r6, [r7]
        bx lr
        .ltorg
    function systick
        store 0xE000ED04, 0x10000000
        bx lr
        .ltorg
    function pendsv
        say 300
        bx lr
        .ltorg
"""


class SnapshotMachine(Machine):
    unsaved = frozenset({"snapshots"})

    def __init__(self, image=None, kind="test machine"):
        super().__init__(assemble(BUSY) if image is None else image)
        self.snapshots = Snapshots(kind, self)

    def go_on(self, cycles):
        """What is seen in that time."""
        seen = []
        self.processor.trace = lambda *access: seen.append(access)
        self.processor.run(self.timeline.cycles + cycles)
        self.processor.trace = None
        return seen, self.timeline.cycles, self.processor.native.saved_state(), bytes(self.ram)


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 20_000), st.integers(1, 5_000), st.sampled_from((1, 4)))
def test_from_any_moment_the_same_accesses_cycles_and_registers_follow(before, after, instruction_cycles):
    machine = SnapshotMachine()
    machine.processor.instruction_cycles = instruction_cycles
    machine.go_on(before)
    snapshot = machine.snapshots.take()
    expected = machine.go_on(after)
    assert expected[0] or after < 1_000 * instruction_cycles
    machine.go_on(321)
    machine.snapshots.restore(snapshot)
    assert machine.go_on(after) == expected
    other = SnapshotMachine()
    other.snapshots.restore(snapshot)
    assert other.go_on(after) == expected
    assert other.snapshots.take() == machine.snapshots.take()


def test_taking_one_changes_nothing():
    machine, undisturbed = SnapshotMachine(), SnapshotMachine()
    seen = []
    for _ in range(40):
        seen += machine.go_on(137)[0]
        machine.snapshots.take()
    assert seen == undisturbed.go_on(machine.timeline.cycles)[0]


def test_code_in_ram_is_the_restored_one():
    machine = SnapshotMachine(assemble("function _start\n ldr r0, =0x20000001\n bx r0\n .ltorg"))
    adds, spin = bytes.fromhex("0132"), bytes.fromhex("fde7")
    machine.ram[:4] = adds + spin
    snapshot = machine.snapshots.take()
    machine.ram[:4] = bytes.fromhex("0232") + spin
    machine.processor.run(1_000)
    twos = machine.processor.register(2)
    machine.snapshots.restore(snapshot)
    machine.processor.run(1_000)
    assert 2 * machine.processor.register(2) == twos > 0


def test_another_chip_other_flash_another_format_and_damage_are_refused_and_change_nothing():
    machine = SnapshotMachine()
    machine.go_on(1_000)
    snapshot = machine.snapshots.take()
    cases = {
        "of a test machine, and this is a other": (SnapshotMachine(kind="other"), snapshot),
        "other contents of the memory at 0x00000000": (SnapshotMachine(assemble(BUSY + "\n.word 1\n")), snapshot),
        "damaged": (SnapshotMachine(), snapshot[:-1] + bytes([snapshot[-1] ^ 1])),
        "no snapshot": (SnapshotMachine(), b"hello"),
    }
    for message, (other, data) in cases.items():
        before = other.snapshots.take()
        with pytest.raises(SnapshotError, match=message):
            other.snapshots.restore(data)
        assert other.snapshots.take() == before


def test_a_part_that_has_changed_since_is_refused_by_name():
    machine = SnapshotMachine()
    snapshot = machine.snapshots.take()
    machine.port.temperature = 20
    with pytest.raises(SnapshotError, match=r"chip\.port differs in temperature"):
        machine.snapshots.restore(snapshot)


def test_state_that_cannot_be_kept_is_named():
    machine = SnapshotMachine()
    machine.port.peer = lambda: None
    with pytest.raises(SnapshotError, match=r"chip\.port\.peer cannot be kept"):
        machine.snapshots.take()


@dataclasses.dataclass
class Evil:
    """Pickles to a call."""

    def __reduce__(self):
        return (print, ("called",))


@pytest.mark.parametrize("thing", [Evil(), functools.partial(print, "called"), print])
def test_a_snapshot_calls_nothing(thing, capsys):
    machine = SnapshotMachine()
    sealed = machine.snapshots.take()
    assert sealed.startswith(MAGIC)
    import zlib  # noqa: PLC0415

    forged = machine.snapshots._sealed(zlib.compress(pickle.dumps(({"chip": thing}, {}))))
    with pytest.raises(SnapshotError, match="no value of the emulator"):
        machine.snapshots.restore(forged)
    assert capsys.readouterr().out == ""
