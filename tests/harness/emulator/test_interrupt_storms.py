"""Random scripts of interrupts that pend, mask and reprioritise each other: the core's order of entries and returns is
that of a small model written from the architecture manual, and that of QEMU."""

import random
import subprocess

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from .bare_machine import QEMU_BOARDS, BareMachine, build

SCRIPT_ADDRESS = 0x8000
OPERATIONS, ENTRIES_MAX = 8, 120
PENDSV = 8
OPERATION = st.one_of(
    st.integers(0x10, 0x17), st.integers(0x10, 0x17), st.integers(0x20, 0x2F), st.sampled_from([0x30, 0x31, 0x70]),
    st.integers(0x40, 0x47), st.integers(0x50, 0x57), st.integers(0x60, 0x67), st.integers(0x80, 0x8F),
)  # fmt: skip
SCRIPTS = st.tuples(
    st.lists(st.sampled_from(range(0, 256, 16)), min_size=9, max_size=9),
    st.integers(0, 7),
    st.lists(OPERATION, min_size=80, max_size=80),
).map(lambda parts: bytes([*parts[0], parts[1], *parts[2]]))


class Model:
    """Interrupts 0 to 7 and PendSV as number 8, by B1.5.4 and B1.5.5 of the Armv7-M manual."""

    def __init__(self, script):
        self.script = script
        self.priorities = list(script[:9])
        self.group_mask = 0xFF & ~((2 << script[9]) - 1)
        self.enabled = {*range(9)}
        self.pending, self.active, self.log = set(), [], []
        self.primask, self.basepri, self.entries = False, 0, 0

    def run(self):
        self.run_script(0)
        self.log.append(".")
        return "".join(self.log)

    def run_script(self, number):
        for operation in self.script[10 + OPERATIONS * number :][:OPERATIONS]:
            self.operate(operation)
            self.take_what_may_be_taken()

    def operate(self, operation):
        kind, n = operation >> 4, operation & 7
        if kind == 1 and self.entries < ENTRIES_MAX:
            self.pending.add(n)
        elif kind == 2:
            self.basepri = (operation & 15) << 4
        elif kind == 3:
            self.primask = not n & 1
        elif kind == 4:
            self.pending.discard(n)
        elif kind == 5:
            self.enabled.discard(n)
        elif kind == 6:
            self.enabled.add(n)
        elif kind == 7 and self.entries < ENTRIES_MAX:
            self.pending.add(PENDSV)
        elif kind == 8:
            self.priorities[n] = (operation & 8) << 4 | n << 4

    def take_what_may_be_taken(self):
        while True:
            # PendSV has the lowest exception number.
            waiting = sorted(self.pending & self.enabled, key=lambda n: (self.priorities[n], n != PENDSV, n))
            limits = [self.priorities[n] & self.group_mask for n in self.active] + [256]
            limits += [self.basepri & self.group_mask] if self.basepri else []
            limits += [0] if self.primask else []
            if not waiting or self.priorities[waiting[0]] & self.group_mask >= min(limits):
                return
            number = waiting[0]
            self.pending.discard(number)
            self.active.append(number)
            self.entries += 1
            self.log.append("abcdefghi"[number])
            self.run_script(1 + number)
            self.log.append("ABCDEFGHI"[number])
            self.active.pop()


def run_here(image, cortex, script):
    machine = BareMachine(image[:SCRIPT_ADDRESS].ljust(SCRIPT_ADDRESS, b"\xff") + script, cortex)
    return machine.run()


@pytest.mark.parametrize("cortex", [3, 4])
def test_the_core_takes_exceptions_in_the_order_of_the_model(cortex):
    _, image = build("storm", cortex)
    longest = 0

    @settings(max_examples=100, deadline=None)
    @given(SCRIPTS)
    def compare(script):
        nonlocal longest
        expected = Model(script).run()
        longest = max(longest, len(expected))
        assert run_here(image, cortex, script) == expected

    compare()
    assert longest > 50


@pytest.mark.parametrize("seed", range(6))
def test_qemu_takes_them_in_the_same_order(seed, tmp_path):
    """The model is right, too."""
    choose = random.Random(seed)
    kinds = [*range(0x10, 0x18)] * 4 + [
        *range(0x20, 0x30),
        0x30,
        0x31,
        0x31,
        0x70,
        *range(0x40, 0x48),
        *range(0x60, 0x68),
    ]
    script = bytes([*(choose.randrange(0, 256, 16) for _ in range(9)), choose.randrange(8)])
    script += bytes(choose.choice(kinds) for _ in range(80))
    elf, image = build("storm", 3)
    (tmp_path / "storm.elf").write_bytes(elf)
    (tmp_path / "script.bin").write_bytes(script)
    command = ["qemu-system-arm", "-nographic", "-monitor", "none", "-serial", "stdio", "-semihosting-config"]
    command += ["enable=on,target=native", "-M", QEMU_BOARDS[3], "-kernel", str(tmp_path / "storm.elf")]
    command += ["-device", f"loader,file={tmp_path / 'script.bin'},addr={SCRIPT_ADDRESS:#x},force-raw=on"]
    done = subprocess.run(command, check=True, timeout=60, stdin=subprocess.DEVNULL, capture_output=True)
    assert done.stdout.decode() == Model(script).run() == run_here(image, 3, script)
