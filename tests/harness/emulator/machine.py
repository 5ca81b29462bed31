"""A Cortex-M core with memories, a place to print and interrupt lines to pull, and code for it from assembler text."""

import functools
import subprocess
import tempfile
from pathlib import Path

from particle_harness.emulator.core.processor import Processor
from particle_harness.emulator.core.timeline import Timeline
from particle_harness.emulator.peripherals.registers import Register, RegisterBlock, RegisterMap
from particle_harness.swd.bus import Bus, BusFaultError, Memory

FLASH_SIZE_BYTES, RAM_SIZE_BYTES = 0x20000, 0x10000
RAM = 0x20000000
PORT = 0x40000000
CPU = {3: ["-mcpu=cortex-m3"], 4: ["-mcpu=cortex-m4", "-mfloat-abi=hard", "-mfpu=fpv4-sp-d16"]}
_VECTORS = """
    .syntax unified
    .thumb
    .section .vectors, "a"
    .macro handler name
    .weak \\name
    .thumb_func
    .set \\name, unexpected
    .word \\name
    .endm
    .word 0x20010000, _start
    .irp name, nmi, hard_fault, mem_manage, bus_fault, usage_fault, r7, r8, r9, r10, svcall, debug, r13, pendsv, systick
    handler \\name
    .endr
    .irp n, 0, 1, 2, 3, 4, 5, 6, 7
    handler irq\\n
    .endr
    .text
    .thumb_func
unexpected:
    ldr r0, =0x40000008
    mrs r1, ipsr
    str r1, [r0]
    b .
    .ltorg
"""
_MACROS = """
    .syntax unified
    .thumb
    .macro say value
    store 0x40000000, \\value
    .endm
    .macro store address, value
    ldr r7, =\\address
    ldr r6, =\\value
    str r6, [r7]
    .endm
    .macro tick_every cycles
    store 0xE000E014, \\cycles - 1
    store 0xE000E018, 0
    store 0xE000E010, 7
    .endm
    .macro stop
    store 0x40000004, 1
    b .
    .ltorg
    .endm
    .macro function name
    .global \\name
    .thumb_func
\\name:
    .endm
    .text
"""


class Port(RegisterBlock):
    """Words that firmware says, lines that it pulls, and an end."""

    registers = RegisterMap(
        "PORT",
        "tests/harness/emulator/machine.py",
        Register("SAY", 0x000, access="w"),
        Register("STOP", 0x004, access="w"),
        Register("UNEXPECTED", 0x008, access="w"),
        Register("NOW", 0x00C, access="r"),
        Register("RAISE", 0x010, access="w", count=8),
        Register("LOWER", 0x030, access="w", count=8),
        Register("REFUSES", 0x050),
        Register("RAISE_LATER", 0x060, access="w", count=8),
    )

    def __init__(self, machine):
        self.machine = machine
        self.said = []
        super().__init__()

    def write_say(self, value):
        self.said.append(value)

    def write_stop(self, _value):
        self.machine.processor.stop_requested = True
        self.machine.processor.attend()

    def write_unexpected(self, value):
        raise AssertionError(f"exception {value} has no handler")

    def read_now(self):
        return self.machine.timeline.cycles & 0xFFFFFFFF

    def write_raise(self, index, _value):
        self.machine.processor.interrupt_line(index).set(True)

    def write_lower(self, index, _value):
        self.machine.processor.interrupt_line(index).set(False)

    def write_raise_later(self, index, value):
        line = self.machine.processor.interrupt_line(index)
        self.machine.timeline.after(value, functools.partial(line.set, True))

    def read_refuses(self):
        raise BusFaultError(PORT + 0x50)

    def write_refuses(self, _value):
        raise BusFaultError(PORT + 0x50)


class Machine:
    def __init__(self, image, cortex=4, priority_bits=3):
        self.timeline = Timeline(64_000_000)
        self.bus = Bus()
        self.flash = bytearray(b"\xff" * FLASH_SIZE_BYTES)
        self.flash[: len(image)] = image
        self.ram = bytearray(RAM_SIZE_BYTES)
        self.bus.add_memory(Memory(0, self.flash, lambda _offset, _data: False))
        self.bus.add_memory(Memory(RAM, self.ram))
        self.processor = Processor(self.bus, cortex, self.timeline, priority_bits)
        self.port = Port(self)
        self.bus.add_peripheral(PORT, self.port)
        self.before_mapping()
        self.processor.map_bus()
        self.processor.reset()

    def before_mapping(self):
        pass

    @property
    def said(self):
        return self.port.said

    def run(self, cycles=1_000_000):
        """Until firmware stops; it must."""
        self.processor.run(self.timeline.cycles + cycles)
        assert self.processor.stop_requested, f"still at 0x{self.processor.program_counter:08X} after {self.said}"
        return self.said


@functools.cache
def assemble(source, cortex=4):
    """An image for address 0 from assembler text; see the macros above."""
    with tempfile.TemporaryDirectory() as folder:
        vectors, code, elf, image = (Path(folder, name) for name in ("vectors.S", "code.S", "a.elf", "a.bin"))
        vectors.write_text(_VECTORS, encoding="utf-8")
        code.write_text(_MACROS + source + "\n", encoding="utf-8")
        linking = ["-nostdlib", "-Wl,--section-start=.vectors=0,-Ttext=0x100,-n,--no-warn-rwx-segments"]
        subprocess.run(["arm-none-eabi-gcc", *CPU[cortex], *linking, "-o", elf, code, vectors], check=True, timeout=60)
        command = ["arm-none-eabi-objcopy", "-O", "binary", "-j", ".vectors", "-j", ".text", elf, image]
        subprocess.run(command, check=True, timeout=60)
        return image.read_bytes()


def run(source, cortex=4, **machine):
    """What the firmware says until it stops."""
    return Machine(assemble(source, cortex), cortex, **machine).run()
