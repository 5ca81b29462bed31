"""A stand-in for Nordic's boot record (MBR), which no package carries: the first page of flash.

Its code, which is executed, forwards exceptions through the vector table whose address stands at the start of RAM and
finds the supervisor calls meant for it; what those ask for is done by :class:`BootRecordServices`, registers at an
address where the chip has none. A board whose user flashes the real one over it runs that instead.

Behaviour: Nordic, nRF5 SDK documentation, "Master boot record and bootloader" of the S140 SoftDevice Specification, and
the declarations of nrf_mbr.h. What the SoftDevice relies on beyond those: register r0 holds four times the exception's
number when its handler is entered.
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from typing import ClassVar

from particle_harness.emulator.peripherals.registers import Register, RegisterBlock, RegisterMap
from particle_harness.nor_flash import NorFlash
from particle_harness.swd.bus import PAGE_SIZE_BYTES, Bus, BusFaultError
from particle_harness.user_information import BOOTLOADER_ADDRESS, PARAMETER_PAGE, Uicr, word

SERVICES_ADDRESS = 0x5FFFF000
FORWARD_ADDRESS = 0x20000000
"""Word in RAM with the address of the vector table that exceptions are forwarded to."""
_SOFTDEVICE_ADDRESS = 0x1000
_SOFTDEVICE_STATE = range(0x20000008, 0x20001400)
"""RAM that S140 7.0.1 needs at least. RAM outlives a reset; the reset function that INIT_SD runs in the SoftDevice
makes it forget that it is enabled, else it refuses to be (seen: NRF_ERROR_INVALID_STATE, a Device OS without USB)."""
_ERASED_WORD = 0xFFFFFFFF
_VECTORS = 64
_STACK_POINTER = 0x20000400
_FIRST_STUB, _FORWARD, _SUPERVISOR_CALL, _RESET = 0x100, 0x200, 0x210, 0x250
_SVC_VECTOR = 11

_FORWARD_CODE = (
    0x4901,  # ldr   r1, =FORWARD_ADDRESS
    0x6809,  # ldr   r1, [r1]
    0x5809,  # ldr   r1, [r1, r0]
    0x4708,  # bx    r1
)
_FORWARD_LITERALS = (FORWARD_ADDRESS,)
_SUPERVISOR_CALL_CODE = (
    0x4670,  # mov   r0, lr
    0x0740,  # lsls  r0, r0, #29      which stack holds the frame
    0xD402,  # bmi   process_stack
    0xF3EF, 0x8008,  # mrs   r0, msp
    0xE001,  # b     found
    0xF3EF, 0x8009,  # process_stack: mrs r0, psp
    0x6981,  # found: ldr r1, [r0, #24]
    0x3902,  # subs  r1, #2
    0x7809,  # ldrb  r1, [r1]         number of the call
    0x2918,  # cmp   r1, #0x18
    0xD105,  # bne   not_ours
    0x4904,  # ldr   r1, =SERVICES_ADDRESS
    0x6008,  # str   r0, [r1]
    0x6808,  # wait: ldr r0, [r1]     until the call is over, or the chip is reset
    0x2800,  # cmp   r0, #0
    0xD1FC,  # bne   wait
    0x4770,  # bx    lr
    0x202C,  # not_ours: movs r0, #44
    0xE7E2,  # b     forward
    0xBF00,  # nop
)  # fmt: skip
_RESET_CODE = (
    0x4906,  # ldr   r1, =SERVICES_ADDRESS
    0x6848,  # ldr   r0, [r1, #4]     vector table of what starts
    0x2800,  # cmp   r0, #0
    0xD006,  # beq   nothing
    0x4905,  # ldr   r1, =FORWARD_ADDRESS
    0x6008,  # str   r0, [r1]
    0x6801,  # ldr   r1, [r0]
    0xF381, 0x8808,  # msr   msp, r1
    0x6841,  # ldr   r1, [r0, #4]
    0x4708,  # bx    r1
    0xBF30,  # nothing: wfi
    0xE7FD,  # b     nothing
    0xBF00,  # nop
)  # fmt: skip


def boot_record() -> bytes:
    """The page."""
    page = bytearray(b"\xff" * PAGE_SIZE_BYTES)
    struct.pack_into("<II", page, 0, _STACK_POINTER, _RESET | 1)
    for number in range(2, _VECTORS):
        struct.pack_into("<I", page, 4 * number, _FIRST_STUB + 4 * number | 1)
        branch = (_FORWARD - (_FIRST_STUB + 4 * number + 2) - 4) // 2
        struct.pack_into("<HH", page, _FIRST_STUB + 4 * number, 0x2000 | 4 * number, 0xE000 | branch & 0x7FF)
    struct.pack_into("<I", page, 4 * _SVC_VECTOR, _SUPERVISOR_CALL | 1)
    for start, code, literals in (
        (_FORWARD, _FORWARD_CODE, _FORWARD_LITERALS),
        (_SUPERVISOR_CALL, _SUPERVISOR_CALL_CODE, (SERVICES_ADDRESS,)),
        (_RESET, _RESET_CODE, (SERVICES_ADDRESS, FORWARD_ADDRESS)),
    ):
        struct.pack_into(f"<{len(code)}H{len(literals)}I", page, start, *code, *literals)
    return bytes(page)


_COPY_BL, _COPY_SD, _INIT_SD, _COMPARE, _VECTOR_TABLE_BASE_SET, _IRQ_FORWARD_ADDRESS_SET = 0, 1, 2, 3, 4, 6
SUCCESS, NO_MEMORY, INVALID_PARAM, INVALID_LENGTH, NULL = 0, 4, 7, 9, 14
"""Results. Source: nrf_error.h."""
_PENDING_COPY = 0x3059C0DE
"""First word of the parameter page while a copy of the bootloader is under way; the layout is this stand-in's own."""


class BootRecordServices(RegisterBlock):
    """What the boot record's code asks for. ``restart``: resets the chip.

    A copy of the bootloader is written down in the parameter page first, and goes on at the next start when power went
    in between.
    """

    registers: ClassVar[RegisterMap] = RegisterMap(
        "MBR", "not on the chip: services of the boot record's stand-in", Register("CALL", 0x0), Register("START", 0x4)
    )

    def __init__(self, bus: Bus, flash: NorFlash, uicr: Uicr, restart: Callable[[], None]) -> None:
        self.bus = bus
        self.flash = flash
        self.uicr = uicr
        self.restart = restart
        self.waits = False
        self.calls: dict[int, int] = {}
        """Command to how often it was asked for."""
        super().__init__("MBR")

    def reset(self) -> None:
        """Nothing is under way."""
        super().reset()
        self.waits = False

    # ---- start ------------------------------------------------------------------------------------------------------

    def read_start(self) -> int:
        """Vector table of the bootloader, or of the SoftDevice where none is named; 0 when there is nothing."""
        self._resume_copy()
        bootloader = word(self.uicr, BOOTLOADER_ADDRESS)
        start = _SOFTDEVICE_ADDRESS if bootloader == _ERASED_WORD else bootloader
        if start + 8 > self.flash.end_address or self.bus.read_word(start) == _ERASED_WORD:
            return 0
        return start

    # ---- calls ------------------------------------------------------------------------------------------------------

    def read_call(self) -> int:
        """Whether the caller has to wait for a reset."""
        return int(self.waits)

    def write_call(self, frame: int) -> None:
        """The exception frame of a supervisor call; its r0 points to the command and takes the result."""
        command = self.bus.read_word(frame)
        try:
            result = self._carry_out(command)
        except BusFaultError:
            result = INVALID_PARAM
        self.bus.write(frame, result.to_bytes(4, "little"))

    def _carry_out(self, pointer: int) -> int:
        command, *arguments = struct.unpack("<4I", self.bus.read(pointer, 16))
        self.calls[command] = self.calls.get(command, 0) + 1
        if command == _COPY_BL:
            return self._begin_copy(arguments[0], 4 * arguments[1])
        if command == _COPY_SD:
            return self._copy(arguments[0], arguments[1], 4 * arguments[2])
        if command == _INIT_SD:
            self.bus.write(_SOFTDEVICE_STATE.start, bytes(len(_SOFTDEVICE_STATE)))
            return self._forward_to(_SOFTDEVICE_ADDRESS)
        if command == _COMPARE:
            first, second, words = arguments
            return SUCCESS if self.bus.read(first, 4 * words) == self.bus.read(second, 4 * words) else NULL
        if command in (_VECTOR_TABLE_BASE_SET, _IRQ_FORWARD_ADDRESS_SET):
            return self._forward_to(arguments[0])
        return INVALID_PARAM

    def _forward_to(self, vector_table: int) -> int:
        self.bus.write(FORWARD_ADDRESS, vector_table.to_bytes(4, "little"))
        return SUCCESS

    # ---- copies -----------------------------------------------------------------------------------------------------

    def _begin_copy(self, source: int, size_bytes: int) -> int:
        page, target = word(self.uicr, PARAMETER_PAGE), word(self.uicr, BOOTLOADER_ADDRESS)
        if _ERASED_WORD in (page, target):
            return NO_MEMORY
        if source + size_bytes > self.flash.end_address or target + size_bytes > self.flash.end_address:
            return INVALID_LENGTH
        self.flash.erase_sector(page)
        self.flash.program(page + 4, struct.pack("<II", source, size_bytes))
        self.flash.program(page, struct.pack("<I", _PENDING_COPY))
        self._resume_copy()
        self.waits = True
        self.restart()
        return SUCCESS

    def _resume_copy(self) -> None:
        page = word(self.uicr, PARAMETER_PAGE)
        if page == _ERASED_WORD or page + PAGE_SIZE_BYTES > self.flash.end_address:
            return
        mark, source, size_bytes = struct.unpack("<III", self.flash.read(page, 12))
        if mark == _PENDING_COPY:
            self._copy(source, word(self.uicr, BOOTLOADER_ADDRESS), size_bytes)
            self.flash.erase_sector(page)

    def _copy(self, source: int, target: int, size_bytes: int) -> int:
        if target < PAGE_SIZE_BYTES or target + size_bytes > self.flash.end_address:
            return INVALID_LENGTH
        data = self.bus.read(source, size_bytes)
        for offset in range(0, size_bytes, PAGE_SIZE_BYTES):
            self.flash.erase_sector(target + offset)
            for at in range(offset, min(offset + PAGE_SIZE_BYTES, size_bytes), 4):
                self.flash.program(target + at, data[at : at + 4])
        self.bus.code_changed = True
        return SUCCESS
