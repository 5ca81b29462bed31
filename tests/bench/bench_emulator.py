"""What does our emulated core cost over the library that executes? Processor time of this process, as ratios.

Usage: bench_emulator.py, by the Python of an environment with particle-dev[emulator]. The code is a handful of
instructions made here; no firmware and no compiler is needed. Stated are instructions a second beside Unicorn alone
without any hook, accesses to a register beside Unicorn's own Python binding with an empty callback, exceptions (entry,
return, eight words each way), and snapshots. The base and ours alternate, and the best of several goes counts.
Exits with 1 when a ratio is worse than its target.
"""

import struct
import sys
import time

import unicorn
from particle_harness.emulator.core.processor import Processor
from particle_harness.emulator.core.timeline import Timeline
from particle_harness.emulator.peripherals.registers import Register, RegisterBlock, RegisterMap
from particle_harness.emulator.snapshot import Snapshots
from particle_harness.swd.bus import Bus, Memory
from unicorn import arm_const as arm

GOES = 5
START, RAM, PORT = 0x100, 0x20000000, 0x40000000
# Loops on an address in r0: load, add, store, four adds, branch; load, branch; SVC (its handler returns), branch.
ARITHMETIC = struct.pack("<8H", 0x6801, 0x3101, 0x6001, 0x3201, 0x3301, 0x3401, 0x3501, 0xE7F7)
POLLING = struct.pack("<2H", 0x6801, 0xE7FD)
CALLS = struct.pack("<2H", 0xDF00, 0xE7FD)
RETURN = struct.pack("<H", 0x4770)
HANDLER = 0x80
MOST_TIMES_SLOWER = {"instructions": 3.0, "register accesses": 2.5}


class Port(RegisterBlock):
    """One register that a method serves."""

    registers = RegisterMap("PORT", "of this benchmark", Register("VALUE", 0))

    def read_value(self):
        return 0


class Chip:
    """A core, its memories and the port."""

    def __init__(self, code, address):
        flash = bytearray(0x1000)
        flash[:8] = struct.pack("<II", RAM + 0x1000, START | 1)
        flash[4 * 11 : 4 * 12] = struct.pack("<I", HANDLER | 1)
        flash[HANDLER : HANDLER + 2] = RETURN
        flash[START : START + len(code)] = code
        self.bus, self.timeline = Bus(), Timeline(64_000_000)
        self.bus.add_memory(Memory(0, flash, lambda _offset, _data: False))
        self.bus.add_memory(Memory(RAM, bytearray(0x40000)))
        self.processor = Processor(self.bus, 4, self.timeline, 3)
        self.port = Port()
        self.bus.add_peripheral(PORT, self.port)
        self.processor.map_bus()
        self.processor.reset()
        self.processor.set_register(0, address)

    def seconds(self, cycles):
        started = time.process_time()
        self.processor.run(self.timeline.cycles + cycles)
        return time.process_time() - started


class Plain:
    """The same loop on the library alone, which counts only where it has to."""

    def __init__(self, code, address):
        self.engine = unicorn.Uc(unicorn.UC_ARCH_ARM, unicorn.UC_MODE_THUMB | unicorn.UC_MODE_MCLASS)
        self.engine.ctl_set_cpu_model(arm.UC_CPU_ARM_CORTEX_M4)
        self.engine.mem_map(0, 0x1000)
        self.engine.mem_map(RAM, 0x1000)
        self.engine.mmio_map(PORT, 0x1000, lambda _uc, _offset, _size, _user: 0, None, None, None)
        self.engine.mem_write(START, code)
        self.engine.reg_write(arm.UC_ARM_REG_R0, address)

    def seconds(self, instructions):
        started = time.process_time()
        self.engine.emu_start(START | 1, 0xFFFFFFFE, count=instructions)
        return time.process_time() - started


class Unhooked(Plain):
    """Without even the library's own counter: the loop ends where its counter does."""

    def seconds(self, instructions):
        rounds = instructions // 8
        # subs r6, #1; bne: in place of one add and the branch.
        self.engine.mem_write(START + 12, struct.pack("<2H", 0x3E01, 0xD1F7))
        self.engine.reg_write(arm.UC_ARM_REG_R6, rounds)
        started = time.process_time()
        self.engine.emu_start(START | 1, START + 16)
        return time.process_time() - started


def best(ours, base, ours_units, base_units):
    """Units a second of both, each at its best."""
    goes = [(ours.seconds(ours_units), base.seconds(base_units)) for _ in range(GOES)]
    return min(first for first, _ in goes), min(second for _, second in goes)


def report(name, unit, ours_per_s, base_per_s, base_name):
    times = base_per_s / ours_per_s
    print(f"{name:20} {ours_per_s:8.2f} {unit}   {base_name} {base_per_s:8.2f} {unit}   {times:4.2f} times its time")
    return times <= MOST_TIMES_SLOWER[name]


def main():
    good = True
    count = 20_000_000
    ours, base = best(Chip(ARITHMETIC, RAM), Unhooked(ARITHMETIC, RAM), count, count)
    good &= report("instructions", "M/s", count / ours / 1e6, count / base / 1e6, "Unicorn without hooks")
    accesses = 400_000
    # Load and branch: two cycles, and eight for the access.
    ours, base = best(Chip(POLLING, PORT), Plain(POLLING, PORT), accesses * 10, accesses * 2)
    good &= report("register accesses", "M/s", accesses / ours / 1e6, accesses / base / 1e6, "its Python binding")
    calls = 20_000
    chip = Chip(CALLS, RAM)
    # SVC, BX, branch.
    seconds = min(chip.seconds(3 * calls) for _ in range(GOES))
    print(f"{'exceptions':20} {seconds / calls * 1e6:8.2f} microseconds, entry and return")
    snapshots, goes = Snapshots("bench", chip), 20
    started = time.process_time()
    for _ in range(goes):
        snapshots.restore(snapshots.take())
    print(f"{'snapshots':20} {(time.process_time() - started) / goes * 1e3:8.2f} milliseconds, taken and restored")
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
