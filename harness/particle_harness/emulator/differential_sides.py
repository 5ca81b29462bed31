"""The two sides of a differential test: a virtual board in DFU mode, and a bootloader on an emulated chip."""

from __future__ import annotations

from collections.abc import Mapping

from particle_harness.board import BoardSettings, VirtualBoard
from particle_harness.boards import Hardware
from particle_harness.clock import VirtualClock
from particle_harness.emulator.chip import EmulatedChip
from particle_harness.emulator.differential import DONE, GONE, SILENT, STALL, Abandoned, Act, Enumerate, Wait
from particle_harness.emulator.usb_host import UsbHost
from particle_harness.usb.device import UsbDevice
from particle_harness.usb.transfer import GoneError, Setup, SilentError, StallError

Cells = Mapping[str, bytes | bytearray | memoryview]
_ADDRESS = 5
_ENUMERATION = (Setup(0x00, 5, _ADDRESS, 0, 0), Setup(0x00, 9, 1, 0, 0))
PATIENCE_S, PATIENCE_WITH_FILES_S = 0.03, 0.5
"""Virtual time for one transfer: whoever has not answered by then never does. The second where a transfer may write a
file in serial flash."""
_SETTLE_S = 0.00005


def stalled(stall: StallError) -> str:
    """The outcome of a transfer that was refused, after its data or at once."""
    return f"in: {stall.data.hex()}, {STALL}" if stall.data else STALL


class ModelledSide:
    """A virtual board with the contents of ``memories`` (``internal``, and where there are such ``external``,
    ``uicr`` and ``dct``), asked for DFU mode. ``compared``: ranges of each memory, by name."""

    def __init__(self, hardware: Hardware, device_id: str, memories: Cells, compared: Mapping[str, range]) -> None:
        self.board = VirtualBoard(
            hardware,
            BoardSettings(device_id, blank=True),
            VirtualClock(),
            port_path="1-1",
            delays=False,
            release_modules=tuple,
            next_address=lambda: 2,
        )
        self._compared = compared
        self.board.internal.load(self.board.internal.base_address, bytes(memories["internal"]))
        if self.board.external is not None and "external" in memories:
            self.board.external.load(self.board.external.base_address, bytes(memories["external"]))
        if self.board.uicr is not None and "uicr" in memories:
            self.board.uicr[:] = bytes(memories["uicr"])
        if "dct" in memories:
            self.board.dct.write(0, bytes(memories["dct"]))
        self.board.state.dfu_requested = True
        self.board.reset_pin()
        self.board.clock.sleep(2)
        self.board.advance()
        device = self.board.usb_device
        if device is None:
            raise ValueError(f"the virtual {hardware.name} does not come up in DFU mode")
        self._device: UsbDevice = device

    def act(self, act: Act) -> str:
        """As the protocol says."""
        if isinstance(act, Wait):
            self.board.clock.sleep(act.duration_s)
            self.board.advance()
            return DONE if self.board.usb_device is self._device else GONE
        if isinstance(act, Abandoned):
            self._device.abandon(act.setup)
            return DONE
        try:
            if isinstance(act, Enumerate):
                self._device.bus_reset()
                for setup in _ENUMERATION:
                    self._device.control(setup)
                return DONE
            reply = self._device.control(act.setup, act.data)
        except StallError as stall:
            return stalled(stall)
        except SilentError:
            return SILENT
        return f"in: {reply.hex()}" if act.setup.is_in else DONE

    def memories(self) -> Mapping[str, memoryview]:
        """The board's flashes."""
        flashes = {"internal": self.board.internal, "external": self.board.external}
        return {
            name: memoryview(flash.cells)[part.start : part.stop]
            for name, part in self._compared.items()
            if (flash := flashes[name]) is not None
        }


class EmulatedSide:
    """A bootloader that is in DFU mode already, on ``chip``; ``cells``: the same names as the other side's."""

    def __init__(
        self, chip: EmulatedChip, cells: Cells, compared: Mapping[str, range], *, patience_s: float = PATIENCE_S
    ) -> None:
        self.chip = chip
        self._cells = cells
        self._compared = compared
        self.host = UsbHost(chip.usb, chip.processor, chip.timeline, limit_s=patience_s)
        self.is_over = False
        """It has left DFU mode or the bus, or answers nothing: nothing more can be compared."""

    def act(self, act: Act) -> str:
        """As the protocol says."""
        outcome = self._outcome(act)
        self.is_over = self.is_over or outcome == GONE or (outcome == SILENT and isinstance(act, Enumerate))
        return outcome

    def _outcome(self, act: Act) -> str:
        try:
            return self._act(act)
        except StallError as stall:
            return stalled(stall)
        except SilentError:
            return GONE if self._was_reset() else SILENT
        except GoneError:
            return GONE

    def _act(self, act: Act) -> str:
        if isinstance(act, Wait):
            self.host.run_for(act.duration_s)
            return GONE if self._was_reset() else DONE
        if isinstance(act, Abandoned):
            self.chip.usb.setup(act.setup.pack())
            self.host.run_for(_SETTLE_S)
            return DONE
        if isinstance(act, Enumerate):
            self.host.bus_reset()
            for setup in _ENUMERATION:
                self.host.control(setup)
                self.host.run_for(_SETTLE_S)
            return DONE
        reply = self.host.control(act.setup, act.data)
        # What follows the status stage, flash work among it, is done before the next act.
        self.host.run_for(_SETTLE_S)
        return f"in: {reply.hex()}" if act.setup.is_in else DONE

    def memories(self) -> Mapping[str, memoryview]:
        """The chip's flashes."""
        return {name: memoryview(self._cells[name])[part.start : part.stop] for name, part in self._compared.items()}

    def _was_reset(self) -> bool:
        return not self.chip.usb.connected or self.chip.usb.address != _ADDRESS
