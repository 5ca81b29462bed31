"""A debug probe's view of an emulated chip: the debug port in front of the core that runs the firmware.

The probe reaches the same flash, user information, RAM and registers as the firmware, and halts, steps and resets it.
"""

from __future__ import annotations

from particle_harness.emulator.boards.board import EmulatedBoard
from particle_harness.emulator.nrf52840.chip import EmulatedNrf52840
from particle_harness.emulator.nrf52840.power import RESET_PIN
from particle_harness.emulator.stm32f205.chip import EmulatedStm32f205
from particle_harness.swd.chip import ProbedChip
from particle_harness.swd.debug_port import (
    AccessPort,
    ControlAccessPort,
    DebugPort,
    MemoryAccessPort,
)
from particle_harness.swd.wire_faults import spoil_transfers
from particle_harness.user_information import APPROTECT

_NORDIC_NRF52840, _ST_F205 = (0x008, 0x244), (0x411, 0x020)
"""Part and designer of the ROM table."""
_OPEN = 0xFF


class Wire:
    """Between a probe and the debug port of a board: no power, no answer, and faults by script."""

    def __init__(self, board: EmulatedBoard, port: DebugPort) -> None:
        self._board = board
        self._port = port
        port.on_transfer = self._on_transfer

    def _on_transfer(self, count: int) -> None:
        board = self._board
        board.see_to_power_cut()
        spoil_transfers(
            self._port, board.faults, count, cut_power=board.cut_power, is_powered=lambda: board.state.powered
        )


class ProbedNrf52840:
    """An nRF52840 of revision 1 or 2, whose protection UICR decides. The board's lock is held while a probe acts."""

    name = "nrf52840"
    erasing = False
    """Work of its flash is done when the store returns."""

    def __init__(self, chip: EmulatedNrf52840, board: EmulatedBoard) -> None:
        self.lock = board.lock
        self._chip = chip
        part, designer = _NORDIC_NRF52840
        chip.debug.rom_table.identify(part, 1, designer)
        control = ControlAccessPort(self)
        control.misreads = lambda: board.faults.count("protection_reading") is not None
        ports: dict[int, AccessPort] = {0: MemoryAccessPort(chip.debug, lambda: self.locked), 1: control}
        self.debug_port = DebugPort(ports)
        self._wire = Wire(board, self.debug_port)

    @property
    def locked(self) -> bool:
        """Whether a debugger is kept from its memories."""
        return self._chip.uicr[APPROTECT] != _OPEN

    def pin_reset(self) -> None:
        """The reset line is pulled and let go."""
        self._chip.pin_reset()

    def control_reset(self) -> None:
        """Reset through CTRL-AP."""
        self._chip.reset(RESET_PIN)

    def erase_all(self) -> None:
        """CTRL-AP ERASEALL: flash, UICR and RAM; protection is lifted."""
        chip = self._chip
        chip.internal.erase_chip()
        chip.uicr[:] = b"\xff" * len(chip.uicr)
        chip.ram[:] = bytes(len(chip.ram))
        chip.bus.code_changed = True
        chip.reset(RESET_PIN)

    def set_wire_clock(self, frequency_hz: float) -> None:
        """Its time is the chip's."""


class ProbedStm32f205:
    """An STM32F205 without read protection. The board's lock is held while a probe acts."""

    name = "stm32f205"

    def __init__(self, chip: EmulatedStm32f205, board: EmulatedBoard) -> None:
        self.lock = board.lock
        self._chip = chip
        part, designer = _ST_F205
        chip.debug.rom_table.identify(part, 1, designer)
        self.debug_port = DebugPort({0: MemoryAccessPort(chip.debug, lambda: False)})
        self._wire = Wire(board, self.debug_port)

    def pin_reset(self) -> None:
        """The reset line is pulled and let go."""
        self._chip.pin_reset()

    def set_wire_clock(self, frequency_hz: float) -> None:
        """Its time is the chip's."""


def probed_chip(board: EmulatedBoard) -> ProbedChip:
    """What a probe on that board reaches. TypeError for one whose chip has no debug port."""
    chip = board.chip
    if isinstance(chip, EmulatedNrf52840):
        return ProbedNrf52840(chip, board)
    if isinstance(chip, EmulatedStm32f205):
        return ProbedStm32f205(chip, board)
    raise TypeError(f"{type(chip).__name__} has no debug port")
