"""The two sides of a differential test: a virtual board, and firmware on an emulated chip."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping

from particle_harness.board import BoardSettings, VirtualBoard
from particle_harness.boards import Hardware
from particle_harness.clock import VirtualClock
from particle_harness.emulator.chip import EmulatedChip
from particle_harness.emulator.conversations.acts import (
    DONE,
    GONE,
    SILENT,
    STALL,
    Abandoned,
    Act,
    Enumerate,
    Return,
    Step,
    Transfer,
    Wait,
)
from particle_harness.emulator.conversations.steps import PENDING, Requests
from particle_harness.emulator.usb.host import UsbHost
from particle_harness.usb.device import UsbDevice
from particle_harness.usb.transfer import GoneError, Setup, SilentError, StallError

Cells = Mapping[str, bytes | bytearray | memoryview]
_ADDRESS = 5
_ENUMERATION = (Setup(0x00, 5, _ADDRESS, 0, 0), Setup(0x00, 9, 1, 0, 0))
_DEVICE_DESCRIPTOR = Setup(0x80, 6, 0x0100, 0, 18)
PATIENCE_S, PATIENCE_WITH_FILES_S = 0.03, 0.5
"""Virtual time for one transfer: whoever has not answered by then never does. The second where a transfer may write a
file in serial flash."""
_SETTLE_S = 0.00005
_RESET_S = 0.004
"""A host would give it 20 ms, a fifth of the whole test. Whoever notices the reset later does not answer after it."""
_ADDRESSED_S = 0.002
"""Source: USB 2.0 specification, 9.2.6.3."""
_GIVEN_UP_S = 0.001
"""A host that gives up does so after a time-out, when the firmware has long done its part."""
_ASK_EVERY_S, _DONE_AFTER_S = 0.0005, 30.0
"""A control request that is worked on is asked about so often, for so long."""
_LOOK_EVERY_S, _ATTACHED_FOR_S = 0.01, 0.15
"""For a device that is to come back; a starting Device OS may come and go, and gets as long as a hub needs."""


def stalled(stall: StallError) -> str:
    """The outcome of a transfer that was refused, after its data or at once."""
    return f"in: {stall.data.hex()}, {STALL}" if stall.data else STALL


def is_end_of_conversation(act: Act, outcome: str) -> bool:
    """Whether a device is then in another mode, not on the bus, or dead: no other sequence can begin there."""
    return outcome == GONE or isinstance(act, Return) or (outcome == SILENT and isinstance(act, Enumerate))


class SideOfTransfers(ABC):
    """What both sides have in common: outcomes as words, and control requests by number."""

    def __init__(self) -> None:
        self._requests = Requests()

    def act(self, act: Act) -> str:
        """As the protocol says."""
        if isinstance(act, Step):
            return self._step(act)
        try:
            if isinstance(act, Wait):
                self._pass(act.duration_s)
                return GONE if self._has_left() else DONE
            if isinstance(act, Return):
                return self._return(act.limit_s)
            if isinstance(act, Enumerate):
                self._enumerate()
                return DONE
            return self._transfer(act)
        except StallError as stall:
            return stalled(stall)
        except SilentError:
            return GONE if self._has_left() else SILENT
        except GoneError:
            return GONE

    def _step(self, step: Step) -> str:
        waited_s = 0.0
        while True:
            outcome = self.act(self._requests.transfer(step))
            if not step.until_done or outcome != PENDING or waited_s >= _DONE_AFTER_S:
                self._requests.hear(step, outcome)
                return outcome
            self._pass(_ASK_EVERY_S)
            waited_s += _ASK_EVERY_S

    def _transfer(self, act: Transfer | Abandoned) -> str:
        if isinstance(act, Transfer):
            reply = self._control(act.setup, act.data)
            if self._has_left():
                return GONE
            return f"in: {reply.hex()}" if act.setup.is_in else DONE
        try:
            reply = self._give_up(act)
        except (StallError, SilentError):
            # After SETUP alone the host has not asked.
            if act.packets:
                raise
            return DONE
        return f"in: {reply.hex()}" if reply else DONE

    def _return(self, limit_s: float) -> str:
        end_s = self._now_s() + limit_s
        while not self._has_left():
            if self._now_s() >= end_s:
                return "stays on the bus"
            self._pass(_LOOK_EVERY_S)
        while not self._is_back():
            if self._now_s() >= end_s:
                return "does not come back"
            self._pass(_LOOK_EVERY_S)
        self._enumerate()
        self._requests = Requests()
        return f"back as {self._control(_DEVICE_DESCRIPTOR, b'')[10:12][::-1].hex()}"

    @abstractmethod
    def _now_s(self) -> float: ...

    @abstractmethod
    def _pass(self, duration_s: float) -> None: ...

    @abstractmethod
    def _enumerate(self) -> None: ...

    @abstractmethod
    def _control(self, setup: Setup, data: bytes) -> bytes: ...

    @abstractmethod
    def _give_up(self, act: Abandoned) -> bytes: ...

    @abstractmethod
    def _has_left(self) -> bool: ...

    @abstractmethod
    def _is_back(self) -> bool: ...


class ModelledSide(SideOfTransfers):
    """A virtual board with the contents of ``memories`` (``internal``, and where there are such ``external``,
    ``uicr`` and ``dct``), asked for DFU mode or left to start its system. ``compared``: ranges of each memory, by
    name."""

    def __init__(
        self, hardware: Hardware, device_id: str, memories: Cells, compared: Mapping[str, range], *, dfu: bool = True
    ) -> None:
        super().__init__()
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
        self.board.state.dfu_requested = dfu
        # The other one has started before.
        self.board.state.ncp_is_known = True
        self.board.reset_pin()
        self.board.clock.sleep(2)
        self.board.advance()
        device = self.board.usb_device
        if device is None or (self.board.state.runs == "dfu") is not dfu:
            raise ValueError(f"the virtual {hardware.name} does not come up in {'DFU' if dfu else 'normal'} mode")
        self._device: UsbDevice = device

    def memories(self) -> Mapping[str, memoryview]:
        """The board's flashes."""
        flashes = {"internal": self.board.internal, "external": self.board.external}
        return {
            name: memoryview(flash.cells)[part.start : part.stop]
            for name, part in self._compared.items()
            if (flash := flashes[name]) is not None
        }

    def _now_s(self) -> float:
        return self.board.clock.monotonic_s()

    def _pass(self, duration_s: float) -> None:
        self.board.clock.sleep(duration_s)
        self.board.advance()

    def _enumerate(self) -> None:
        if self.board.usb_device is not None:
            self._device = self.board.usb_device
        self._device.bus_reset()
        for setup in _ENUMERATION:
            self._device.control(setup)

    def _control(self, setup: Setup, data: bytes) -> bytes:
        return self._device.control(setup, data)

    def _give_up(self, act: Abandoned) -> bytes:
        return self._device.abandon(act.setup, act.data, act.packets)

    def _has_left(self) -> bool:
        return self.board.usb_device is not self._device

    def _is_back(self) -> bool:
        return self.board.usb_device is not None


class EmulatedSide(SideOfTransfers):
    """Firmware that is on the bus already, on ``chip``; ``cells``: the same names as the other side's."""

    def __init__(
        self, chip: EmulatedChip, cells: Cells, compared: Mapping[str, range], *, patience_s: float = PATIENCE_S
    ) -> None:
        super().__init__()
        self.chip = chip
        self._cells = cells
        self._compared = compared
        self.host = UsbHost(chip.usb, chip.processor, chip.timeline, limit_s=patience_s)
        self.is_over = False
        """It has left its mode or the bus, or answers nothing: nothing more can be compared."""

    def act(self, act: Act) -> str:
        """As the protocol says."""
        outcome = super().act(act)
        self.is_over = self.is_over or is_end_of_conversation(act, outcome)
        return outcome

    def memories(self) -> Mapping[str, memoryview]:
        """The chip's flashes."""
        return {name: memoryview(self._cells[name])[part.start : part.stop] for name, part in self._compared.items()}

    def _now_s(self) -> float:
        return self.chip.timeline.now_s

    def _pass(self, duration_s: float) -> None:
        self.host.run_for(duration_s)

    def _enumerate(self) -> None:
        self.host.bus_reset(_RESET_S)
        for setup in _ENUMERATION:
            self.host.control(setup)
            self.host.run_for(_ADDRESSED_S)

    def _control(self, setup: Setup, data: bytes) -> bytes:
        reply = self.host.control(setup, data)
        # What follows the status stage, flash work among it, is done before the next act.
        self.host.run_for(_SETTLE_S)
        return reply

    def _give_up(self, act: Abandoned) -> bytes:
        reply = self.host.give_up(act.setup, act.data, act.packets)
        self.host.run_for(_GIVEN_UP_S)
        return reply

    def _has_left(self) -> bool:
        return not self.chip.usb.connected or self.chip.usb.address != _ADDRESS

    def _is_back(self) -> bool:
        if not self.chip.usb.connected:
            return False
        self.host.run_for(_ATTACHED_FOR_S)
        return self.chip.usb.connected
