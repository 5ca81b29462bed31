"""Loops that wait for the cycle counter are cut short, and nothing but the host's time tells."""

from random import Random

import pytest
from particle_harness.emulator.core.native_core import BusAccess
from particle_harness.swd.bus import Memory

from .machine import Machine, assemble

COUNTS_TICKS = """
    function systick
        ldr r0, =0x20000100
        ldr r1, [r0]
        adds r1, #1
        str r1, [r0]
"""
START = (
    COUNTS_TICKS
    + """
        bx lr
        .ltorg
    function _start
        cpsid i
        ldr r6, =0xE0001000
        movs r0, #1
        str r0, [r6]
        tick_every 85000
        ldr r6, =0xE0001000
        ldr r5, =0x20000200
        movs r0, #7
        str r0, [r5]
        movs r1, #100
        ldr r7, =1000
        ldr r8, =64000
        cpsie i
"""
)
END = """
        ldr r4, =0x40000000
        str r0, [r4]
        ldr r0, =0x20000100
        ldr r0, [r0]
        str r0, [r4]
        stop
"""
MILLISECONDS = """
        ldr r3, [r6, #4]
        ldr r2, [r5]
        subs r3, r3, r2
        udiv r3, r3, r8
        adds r0, r1, r3
"""
A_MUTEX = """
        push {r0, r3, lr}
        cpsid i
        ldr r3, [r5, #4]
        adds r3, #1
        str r3, [r5, #4]
        cpsie i
        ldr r3, [r5, #4]
        subs r3, #1
        str r3, [r5, #4]
        pop {r0, r3, lr}
"""
SAY_WHAT_IS_NEW = """
        cmp r{value}, r11
        beq 1f
        mov r11, r{value}
        ldr r9, =0x40000000
        str r{value}, [r9]
        ldr r2, [r9, #12]
        str r2, [r9]
1:
"""
"""The value and the time."""
UNTIL_20_MS = (
    SAY_WHAT_IS_NEW.format(value=0)
    + """
        cmp r0, #120
        blo loop
"""
)


FLASH = 0x08000000


class MachineWithFlash(Machine):
    """Which counts stores."""

    def before_mapping(self):
        self.stores = 0
        self.more_flash = bytearray(0x1000)
        self.bus.add_memory(Memory(FLASH, self.more_flash, self._store))

    def _store(self, offset, data):
        self.stores += 1
        self.more_flash[offset : offset + len(data)] = data
        return True


def ended(source, cortex=3, pace=1, *, skips):
    """Everything there is at its end."""
    machine = MachineWithFlash(assemble(source, cortex), cortex)
    machine.processor.native.shared.skips_loops = skips
    machine.processor.instruction_cycles = pace
    machine.run(20_000_000)
    native = machine.processor.native
    state = machine.said, machine.timeline.cycles, native.saved_state(), native.counts
    return (*state, bytes(machine.ram), machine.stores), machine


def jumps_executed(source, pace=1):
    """All of them without the short cut and those left with it; everything else has to be equal."""
    plain, slow = ended(source, pace=pace, skips=False)
    cut, fast = ended(source, pace=pace, skips=True)
    assert cut == plain
    return slow.processor.native.shared.branch_count, fast.processor.native.shared.branch_count


def everything(source, cortex, *, skips):
    state, machine = ended(START + source, cortex, skips=skips)
    reads = [access for access in machine.processor.native.last_accesses() if access.address == 0xE0001004]
    last = BusAccess(reads[-1].is_write, reads[-1].address, reads[-1].value, reads[-1].by) if reads else None
    return (state, last), machine


def rounds_executed(source, cortex=3):
    """Clock reads, all of them without the short cut and those left with it; everything else has to be equal."""
    plain, slow = everything(source, cortex, skips=False)
    cut, fast = everything(source, cortex, skips=True)
    assert cut == plain
    return slow.processor.native.shared.access_count, fast.processor.native.shared.access_count


@pytest.mark.parametrize("cortex", [3, 4])
def test_a_loop_that_waits_for_milliseconds_is_cut_short(cortex):
    all_of_them, left = rounds_executed("loop:" + MILLISECONDS + A_MUTEX + UNTIL_20_MS + END, cortex)
    assert all_of_them > 20_000
    assert left < 1_000


def test_time_is_what_it_is_without_the_short_cut():
    _, machine = everything("loop:" + MILLISECONDS + A_MUTEX + UNTIL_20_MS + END, 3, skips=True)
    assert machine.said[::2] == [*range(100, 121), 120]
    assert machine.said[-1] == 20 * 64 // 85


@pytest.mark.parametrize(
    ("body", "why"),
    [
        ("ldr r4, [r5, #8]\n adds r4, #1\n str r4, [r5, #8]\n movs r4, #0\n", "memory changes"),
        ("add r9, r9, #1\n", "a register changes"),
        ("ldr r4, =0x4000000C\n ldr r4, [r4]\n movs r4, #0\n", "another register of a peripheral is read"),
        ("ldr r4, [r6, #4]\n movs r4, #0\n", "the clock is read twice"),
        ("push {r0, r3}\n str r6, [r6, #0x20]\n pop {r0, r3}\n", "a register of a peripheral is written"),
    ],
)
def test_a_loop_that_does_anything_else_is_executed(body, why):
    all_of_them, left = rounds_executed("loop:" + MILLISECONDS + body + UNTIL_20_MS + "\n b over\n .ltorg\nover:" + END)
    assert left == all_of_them, why


def test_each_store_into_flash_is_done():
    store = "ldr r4, =0x08000100\n str r1, [r4]\n movs r4, #0\n"
    all_of_them, left = rounds_executed(
        "loop:" + MILLISECONDS + store + UNTIL_20_MS + "\n b over\n .ltorg\nover:" + END
    )
    assert left == all_of_them


@pytest.mark.parametrize("against", [500_000, 0x7FFFFFFF - 500_000, 0xFFFFFFFF - 500_000, 0x80000000 + 500_000])
@pytest.mark.parametrize("operation", ["adds", "subs"])
def test_flags_are_part_of_what_the_clock_comes_to(operation, against):
    flags = f"ldr r4, ={against}\n {operation} r3, r3, r4\n mov.w r3, #0x1000\n mrs r10, apsr\n"
    body = (
        "ldr r3, [r6, #4]\n"
        + flags
        + SAY_WHAT_IS_NEW.format(value=10)
        + "ldr r2, =0x20000100\n ldr r2, [r2]\n cmp r2, #14\n blo loop"
    )
    all_of_them, left = rounds_executed("ldr r9, =0\nloop:" + body + "\n b over\n .ltorg\nover:" + END)
    assert left < all_of_them / 10


def test_a_loop_that_keeps_what_it_read_is_executed():
    all_of_them, left = rounds_executed(
        "loop:" + MILLISECONDS.replace("subs r3", "mov r10, r3\n subs r3") + UNTIL_20_MS + END
    )
    assert left == all_of_them


def test_a_read_of_the_clock_in_an_it_block_is_executed():
    clock = MILLISECONDS.replace("ldr r3, [r6, #4]", "cmp r6, #0\n it ne\n ldrne r3, [r6, #4]")
    all_of_them, left = rounds_executed("loop:" + clock + UNTIL_20_MS + END)
    assert left == all_of_them


def test_an_interrupt_that_waits_behind_a_mask_is_not_skipped():
    """The loop lifts the mask in each round: the interrupt comes there, once for each millisecond."""
    source = "loop:" + MILLISECONDS + " msr basepri, r7\n movs r4, #0\n msr basepri, r4\n" + UNTIL_20_MS + END
    all_of_them, left = rounds_executed(source)
    assert left < all_of_them / 20


IDLE = (
    COUNTS_TICKS
    + """
        bx lr
        .ltorg
    function idle
        push {r4, lr}
        ldr r4, [r5, #4]
        adds r4, #1
        str r4, [r5, #4]
        ldr r4, [r5, #4]
        subs r4, #1
        str r4, [r5, #4]
        pop {r4, pc}
    function _start
        ldr r5, =0x20000200
        movs r0, #0
        tick_every 85000
    loop:
        bl idle
        IN_BETWEEN
        ldr r1, =0x20000100
        ldr r1, [r1]
        cmp r1, #10
        blo loop
        ldr r4, =0x4000000C
        ldr r2, [r4]
        stop
"""
)


def idle(in_between):
    """Jumps of a loop that waits, with that in it."""
    return jumps_executed(IDLE.replace("IN_BETWEEN", in_between))


def test_a_loop_that_waits_for_an_interrupt_alone_is_cut_short():
    all_of_them, left = idle("")
    assert all_of_them > 50_000
    assert left < all_of_them / 30


@pytest.mark.parametrize(
    ("does", "why"),
    [
        ("ldr r4, [r5, #8]\n adds r4, #1\n str r4, [r5, #8]\n movs r4, #0\n", "memory changes"),
        ("adds r0, #1\n", "a register changes"),
        ("ldr r4, =0x40000050\n ldr r4, [r4, #0x20]\n movs r4, #0\n", "a register of a peripheral is read"),
        ("ldr r4, =0x08000100\n str r5, [r4]\n movs r4, #0\n", "flash is written"),
    ],
)
def test_a_loop_that_waits_and_does_something_is_executed(does, why):
    all_of_them, left = idle(does)
    assert left == all_of_them, why


@pytest.mark.parametrize("pace", [1, 4])
def test_a_branch_to_itself_is_cut_short(pace):
    """SysTick's handler counts to ten and leaves the loop by its frame."""
    source = (
        COUNTS_TICKS
        + """
        cmp r1, #10
        itt eq
        ldreq r2, =over
        streq r2, [sp, #24]
        bx lr
        .ltorg
    function _start
        tick_every 85000
        b .
    over:
        ldr r4, =0x4000000C
        ldr r0, [r4]
        stop
    """
    )
    _, jumps = jumps_executed(source, pace)
    assert jumps < 1_000


def test_a_breakpoint_at_a_branch_to_itself_is_met_again_and_again():
    code = assemble("function _start\n nop\n here: b here", 3)
    machine = Machine(code, 3)
    met = []
    machine.processor.on_breakpoint = lambda: met.append(machine.processor.program_counter)
    machine.processor.native.set_breakpoints({code.index(b"\xfe\xe7")})
    machine.processor.run(1_000)
    assert len(met) > 400


def test_a_traced_core_shows_each_round():
    source = "loop:" + MILLISECONDS + UNTIL_20_MS + END
    machine = Machine(assemble(START + source, 3), 3)
    seen = []
    machine.processor.trace = lambda kind, address, *_: seen.append((kind, address))
    machine.run(20_000_000)
    assert seen.count(("R", 0xE0001004)) > 20_000


def test_a_breakpoint_in_the_loop_is_met_in_each_round():
    machine = Machine(assemble(START + "loop:" + MILLISECONDS + UNTIL_20_MS + END, 3), 3)
    met = []
    machine.processor.on_breakpoint = lambda: met.append(machine.processor.program_counter)
    code = assemble(START + "loop:" + MILLISECONDS + UNTIL_20_MS + END, 3)
    machine.processor.native.set_breakpoints({code.index(b"\x73\x68")})
    machine.run(20_000_000)
    assert len(met) > 20_000


OPERATIONS = (
    "adds r{low}, r{first}, r{second}", "subs r{low}, r{first}, r{second}", "mov r{low}, r{first}",
    "udiv r{low}, r{first}, r{divisor}", "mov.w r{low}, #{rotated}", "ldrd r{low}, r{other}, [r5, #{offset}]",
    "ldr r{low}, [r5, #{offset}]", "ldr r{low}, =0x{word:08x}",
)  # fmt: skip


def random_loop(random, name, end):
    """Random arithmetic on the clock, whose result says when the loop ends, with all flags put into memory."""
    lines = [f"{name}:", "ldr r3, [r6, #4]"]
    for _ in range(random.randrange(2, 9)):
        low, other = random.sample([0, 2, 3, 4], 2)
        first, second = random.choices([0, 1, 2, 3, 4, 7], k=2)
        lines.append(
            random.choice(OPERATIONS).format(
                low=low, other=other, first=first, second=second, divisor=random.choice([7, 8]),
                rotated=hex(random.randrange(0x80, 0x100) << random.randrange(24)),
                offset=4 * random.randrange(8), word=random.getrandbits(32),
            )
        )  # fmt: skip
    lines += ["udiv r3, r3, r8", "adds r3, r3, r1", "ldr r4, [r5]"]
    lines.append(SAY_WHAT_IS_NEW.format(value=random.choice([0, 3])))
    lines += ["ldr r2, =0x20000100", "ldr r2, [r2]"]
    return "\n".join([*lines, f"cmp r2, #{end}", f"blo {name}", f"b {name}_over", ".ltorg", f"{name}_over:"])


@pytest.mark.parametrize("seed", range(6))
def test_random_arithmetic_on_the_clock_comes_to_the_same(seed):
    random = Random(seed)
    loops = [random_loop(random, f"loop{n}", 3 * n + 3) for n in range(8)]
    all_of_them, left = rounds_executed("\n".join(loops) + END)
    assert left < all_of_them
