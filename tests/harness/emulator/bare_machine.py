"""The part of Arm's MPS2 boards that the C programs of ``firmware/`` need, and QEMU's model of the same boards."""

import functools
import subprocess
import tempfile
from pathlib import Path

from particle_harness.emulator.core.processor import Processor
from particle_harness.emulator.core.timeline import Timeline
from particle_harness.emulator.peripherals.registers import Register, RegisterBlock, RegisterMap
from particle_harness.swd.bus import Bus, Memory
from particle_harness.swd.stm32f205 import BitBand

SOURCE = Path(__file__).with_name("firmware")
RAM = 0x20000000
CPU = {3: ["-mcpu=cortex-m3"], 4: ["-mcpu=cortex-m4", "-mfloat-abi=softfp", "-mfpu=fpv4-sp-d16"]}
QEMU_BOARDS = {3: "mps2-an385", 4: "mps2-an386"}
_END = b"\xab\xbe"
"""BKPT 0xAB: semihosting; SYS_EXIT is all that is asked for."""


class Uart(RegisterBlock):
    """What is printed."""

    registers = RegisterMap(
        "UART", "Arm CMSDK DDI 0479D, 3.3 APB UART", Register("DATA", 0), Register("STATE", 4), Register("CTRL", 8)
    )

    def __init__(self):
        self.printed = bytearray()
        super().__init__()

    def write_data(self, value):
        self.printed.append(value & 0xFF)


class BareMachine:
    def __init__(self, image, cortex, priority_bits=8):
        self.timeline = Timeline(25_000_000)
        self.bus = Bus()
        self.ram = bytearray(0x10000)
        self.bus.add_memory(Memory(0, bytearray(image.ljust(0x10000, b"\xff")), lambda _offset, _data: False))
        self.bus.add_memory(Memory(RAM, self.ram))
        self.processor = Processor(self.bus, cortex, self.timeline, priority_bits)
        self.uart = Uart()
        self.bus.add_peripheral(0x40004000, self.uart)
        self.bus.add_peripheral(0x22000000, BitBand(self.bus, RAM), pages=len(self.ram) * 32 // 0x1000)
        self.processor.map_bus()
        self.processor.on_breakpoint = self._on_breakpoint
        self.processor.reset()

    def _on_breakpoint(self):
        assert self.bus.read(self.processor.program_counter, 2) == _END
        self.processor.stop_requested = True
        return True

    def run(self, cycles=50_000_000):
        """What is printed until the program ends; it must."""
        self.processor.run(cycles)
        printed = self.uart.printed.decode()
        assert self.processor.stop_requested, f"{printed}\n{self.processor.faults.reports}"
        return printed


@functools.cache
def build(name, cortex, *defines):
    """The ELF file and the image of a program of ``firmware/``."""
    with tempfile.TemporaryDirectory() as folder:
        elf, image = Path(folder, "a.elf"), Path(folder, "a.bin")
        flags = [*CPU[cortex], "-mthumb", "-Os", "-ffreestanding", "-nostdlib", "-Wall", "-Wextra", "-Werror"]
        linking = ["-Wl,--no-warn-rwx-segments", "-T", SOURCE / "bare.ld"]
        options = [*flags, *linking, *(f"-D{define}" for define in defines)]
        subprocess.run(
            ["arm-none-eabi-gcc", *options, "-o", elf, SOURCE / f"{name}.c", "-lgcc"], check=True, timeout=60
        )
        subprocess.run(["arm-none-eabi-objcopy", "-O", "binary", elf, image], check=True, timeout=60)
        return elf.read_bytes(), image.read_bytes()


def run_on_qemu(elf, cortex, folder):
    """What the same program prints on QEMU."""
    file = folder / "program.elf"
    file.write_bytes(elf)
    command = ["qemu-system-arm", "-nographic", "-monitor", "none", "-serial", "stdio", "-semihosting-config"]
    command += ["enable=on,target=native", "-M", QEMU_BOARDS[cortex], "-kernel", str(file)]
    done = subprocess.run(command, check=True, timeout=60, stdin=subprocess.DEVNULL, capture_output=True)
    return done.stdout.decode()
