"""The boot record's stand-in is code that runs: it starts the bootloader, forwards exceptions and serves its calls."""

import struct
import subprocess

import pytest
from particle_harness.clock import VirtualClock
from particle_harness.emulator.nrf52840.boot_record import (
    FORWARD_ADDRESS,
    INVALID_LENGTH,
    INVALID_PARAM,
    NO_MEMORY,
    NULL,
    SERVICES_ADDRESS,
    SUCCESS,
    boot_record,
)
from particle_harness.emulator.nrf52840.chip import BoardPins, EmulatedNrf52840
from particle_harness.nor_flash import NorFlash
from particle_harness.swd.nrf52840 import Silicon
from particle_harness.user_information import BOOTLOADER_ADDRESS, PARAMETER_PAGE, UICR_SIZE_BYTES

from particle_dev.catalog.flash_chips import NRF52840_FLASH

from ..machine import RAM

BOOTLOADER, PARAMETERS, SOFTDEVICE = 0xF4000, 0x2F000, 0x1000
SAYS = RAM + 0x3000
_SOURCE = f"""
    .syntax unified
    .thumb
    .balign 4
    .org 0x200
forward:
    ldr r1, 1f
    ldr r1, [r1]
    ldr r1, [r1, r0]
    bx r1
1:  .word 0x{FORWARD_ADDRESS:x}
    .org 0x210, 0xff
    mov r0, lr
    lsls r0, r0, #29
    bmi process_stack
    mrs r0, msp
    b found
process_stack:
    mrs r0, psp
found:
    ldr r1, [r0, #24]
    subs r1, #2
    ldrb r1, [r1]
    cmp r1, #0x18
    bne not_ours
    ldr r1, 1f
    str r0, [r1]
wait:
    ldr r0, [r1]
    cmp r0, #0
    bne wait
    bx lr
not_ours:
    movs r0, #44
    b forward
    nop
1:  .word 0x{SERVICES_ADDRESS:x}
    .org 0x250, 0xff
    ldr r1, 1f
    ldr r0, [r1, #4]
    cmp r0, #0
    beq nothing
    ldr r1, 2f
    str r0, [r1]
    ldr r1, [r0]
    msr msp, r1
    ldr r1, [r0, #4]
    bx r1
nothing:
    wfi
    b nothing
    nop
1:  .word 0x{SERVICES_ADDRESS:x}
2:  .word 0x{FORWARD_ADDRESS:x}
"""


def program(body, **handlers):
    """Code with a vector table of its own; ``handlers`` are the bodies of exceptions that it takes."""
    numbers = {"svcall": 11, "irq3": 19}
    vectors = ["unexpected"] * 62
    for name in handlers:
        vectors[numbers[name] - 2] = name
    functions = "\n".join(f"    .thumb_func\n{name}:\n{code}\n    .ltorg" for name, code in handlers.items())
    return f"""
    .syntax unified
    .thumb
    .word 0x20020000, body, {", ".join(vectors)}
    .thumb_func
unexpected:
    b .
    .thumb_func
body:
    ldr r4, =0x{SAYS:x}
    {body}
    b .
    .ltorg
{functions}
    """


def assemble(tmp_path, source, start=0):
    code, linked, image = tmp_path / "a.S", tmp_path / "a.elf", tmp_path / "a.bin"
    code.write_text(source, encoding="utf-8")
    options = ["-mcpu=cortex-m4", "-mthumb", "-nostdlib", f"-Wl,-Ttext={start:#x},-n,--no-warn-rwx-segments"]
    subprocess.run(["arm-none-eabi-gcc", *options, "-Wl,-e0", "-o", linked, code], check=True, timeout=60)
    subprocess.run(["arm-none-eabi-objcopy", "-O", "binary", linked, image], check=True, timeout=60)
    return image.read_bytes()


class Board:
    def __init__(self):
        self.internal = NorFlash(NRF52840_FLASH, VirtualClock(), delays=False)
        self.internal.load(0, boot_record())
        self.uicr = bytearray(b"\xff" * UICR_SIZE_BYTES)
        struct.pack_into("<I", self.uicr, BOOTLOADER_ADDRESS, BOOTLOADER)
        self.chip = self.fresh_chip()

    def fresh_chip(self):
        return EmulatedNrf52840(
            Silicon(b"\1\2\3\4\5\6\7\x08"), self.internal, self.uicr, None, BoardPins(11, 13, 14, 15)
        )

    def run(self, duration_s=0.01):
        self.chip.power_on()
        self.chip.processor.run(self.chip.timeline.cycles + self.chip.timeline.cycles_of(duration_s))

    def said(self, index=0):
        return self.chip.bus.read_word(SAYS + 4 * index)


@pytest.fixture
def board():
    return Board()


def call(command, *arguments):
    """Code that makes a call to the boot record and says what came back."""
    words = ", ".join(f"0x{word:x}" for word in (command, *arguments, *([0] * (3 - len(arguments)))))
    return f"""
    adr r0, 1f
    svc 0x18
    str r0, [r4]
    adds r4, #4
    b 2f
    .align 2
1:  .word {words}
2:
    """


def test_its_code_is_what_the_assembler_makes_of_its_listing(tmp_path):
    assembled = assemble(tmp_path, _SOURCE)
    assert assembled[0x200:] == boot_record()[0x200 : len(assembled)]


def test_the_bootloader_that_uicr_names_is_started_with_its_stack(board, tmp_path):
    board.internal.load(BOOTLOADER, assemble(tmp_path, program("mov r0, sp\nstr r0, [r4]"), BOOTLOADER))
    board.run()
    assert board.said() == 0x20020000
    assert board.chip.bus.read_word(FORWARD_ADDRESS) == BOOTLOADER


def test_without_a_bootloader_the_softdevice_is_started(board, tmp_path):
    board.uicr[:] = b"\xff" * UICR_SIZE_BYTES
    board.internal.load(SOFTDEVICE, assemble(tmp_path, program("str r4, [r4]"), SOFTDEVICE))
    board.run()
    assert board.said() == SAYS


def test_with_nothing_to_start_the_core_sleeps(board):
    board.run()
    assert board.chip.runs
    assert board.chip.processor.sleeping


def test_interrupts_and_calls_of_others_are_forwarded(board, tmp_path):
    body = """
    ldr r0, =0xE000E100
    movs r1, #8
    str r1, [r0]
    ldr r0, =0xE000E200
    str r1, [r0]
    isb
    movs r0, #7
    svc 0x10
    """
    irq3 = f"""
    ldr r1, =0x{SAYS:x}
    str r0, [r1]
    ldr r0, =0xE000E280
    movs r1, #8
    str r1, [r0]
    bx lr
    """
    svcall = f"""
    ldr r1, =0x{SAYS:x}
    str r0, [r1, #4]
    ldr r0, [sp]
    str r0, [r1, #8]
    bx lr
    """
    code = program(body, irq3=irq3, svcall=svcall)
    board.internal.load(BOOTLOADER, assemble(tmp_path, code, BOOTLOADER))
    board.run()
    assert [board.said(n) for n in range(3)] == [4 * (16 + 3), 4 * 11, 7]


def test_exceptions_go_where_a_call_said(board, tmp_path):
    says = f"ldr r1, =0x{SAYS:x}\nstr r0, [r1, #16]\nbx lr"
    there = assemble(tmp_path, program("", svcall=says), 0x30000)
    board.internal.load(0x30000, there)
    code = program(call(4, 0x30000) + "svc 0x20")
    board.internal.load(BOOTLOADER, assemble(tmp_path, code, BOOTLOADER))
    board.run()
    assert (board.said(0), board.said(4)) == (SUCCESS, 44)
    assert board.chip.boot_record.calls == {4: 1}


@pytest.mark.parametrize(
    ("command", "arguments", "result"),
    [
        (2, (), SUCCESS),
        (3, (BOOTLOADER, BOOTLOADER, 16), SUCCESS),
        (3, (BOOTLOADER, BOOTLOADER + 4, 16), NULL),
        (0, (0xD4000, 16), NO_MEMORY),
        (1, (0xD4000, 0, 16), INVALID_LENGTH),
        (3, (0xA0000000, 0, 16), INVALID_PARAM),
        (9, (), INVALID_PARAM),
    ],
)
def test_results_of_calls(board, tmp_path, command, arguments, result):
    board.internal.load(BOOTLOADER, assemble(tmp_path, program(call(command, *arguments)), BOOTLOADER))
    board.run()
    assert board.said() == result


class TestCopyOfTheBootloader:
    """At 0xD4000 lies a bootloader that says 2; the one that runs says 1 and has it copied over itself."""

    @pytest.fixture
    def board(self, tmp_path):
        board = Board()
        struct.pack_into("<I", board.uicr, PARAMETER_PAGE, PARAMETERS)
        self.new = assemble(tmp_path, program("movs r0, #2\nstr r0, [r4]"), BOOTLOADER).ljust(0x2000, b"N")
        body = "movs r0, #1\nstr r0, [r4]\n" + call(0, 0xD4000, len(self.new) // 4)
        board.internal.load(BOOTLOADER, assemble(tmp_path, program(body), BOOTLOADER))
        board.internal.load(0xD4000, self.new)
        return board

    def test_it_ends_with_a_reset_into_the_new_one(self, board):
        board.run()
        assert board.said() == 2
        assert board.chip.resets == 1
        assert board.internal.read(BOOTLOADER, len(self.new)) == self.new
        assert board.internal.read(PARAMETERS, 0x1000) == b"\xff" * 0x1000

    def test_it_goes_on_at_the_next_start_wherever_power_went(self, board):
        before = bytes(board.internal.cells)
        board.run()
        operations = board.internal.programs + board.internal.erases
        assert operations > 2000
        for cut in [*range(6), 1000, 1200, operations - 2, operations - 1]:
            board.internal.load(0, before)
            count = PowerCut(board.internal, cut)
            with pytest.raises(PowerGoneError):
                board.run()
            count.disarm()
            board.chip = board.fresh_chip()
            board.run()
            assert board.said() == 2
            assert board.internal.read(BOOTLOADER, len(self.new)) == self.new


class PowerGoneError(Exception):
    pass


class PowerCut:
    """Power goes before the operation of that number."""

    def __init__(self, flash, at):
        self.flash = flash
        self.left = at
        flash.on_program = self.program
        flash.on_erase = self.erase

    def disarm(self):
        self.flash.on_program = self.flash.on_erase = None

    def program(self, _address, data):
        self.count()
        return data

    def erase(self, _address, _before, after):
        self.count()
        return after

    def count(self):
        if self.left == 0:
            raise PowerGoneError
        self.left -= 1
