"""A board whose firmware runs on an emulated chip, behind the same doors as a virtual board: USB, serial port, power
switch, reset button, debug probe.

A transfer runs the firmware until it has answered. In between, the chip's time goes on by :meth:`EmulatedBoard.run`:
a bench in real time has a thread for that (:mod:`particle_harness.emulator.boards.real_time`), one in virtual time does
it whenever somebody sleeps on the board's clock, so that a run can be repeated exactly. In both, limits of the host are
in the chip's time: on a busy machine nobody gives up on firmware that had no chance to answer.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass, field

from particle_harness.boards import Hardware
from particle_harness.clock import Clock
from particle_harness.emulator.boards.clock import ChipClock, PacedClock
from particle_harness.emulator.chip import EmulatedChip
from particle_harness.emulator.usb.host import UsbHost, bulk_endpoints
from particle_harness.faults import Fault, FaultScript, place_of
from particle_harness.nor_flash import NorFlash
from particle_harness.usb.descriptors import INTERFACE, UsbIdentity, descriptors_of
from particle_harness.usb.transfer import GoneError, Setup, SilentError, StallError

DEBOUNCE_S = 0.1
"""A hub reports a device when its pull-up has been there for so long. Source: USB 2.0 specification, 7.1.7.3."""
_LOOK_EVERY_S = 0.005
_ENUMERATION_TRIES = 3
_DFU_CLASS = (0xFE, 1)


@dataclass(slots=True)
class EmulatedState:
    """What is known of a board from outside."""

    device_id: str
    powered: bool = False
    unplugged: bool = False
    """The cable is out: the power switch does not help."""
    replug_at_s: float | None = None
    """Somebody will plug it in again then, on the board's clock."""
    runs: str = "off"
    """``off``; ``booting``, until it is on the bus; ``dfu`` or ``app``, as the bus shows it."""


@dataclass(slots=True)
class _Enumeration:
    """How far the host is with the device that shows itself now."""

    seen_at_s: float
    tries: int = 0
    found: tuple[int, UsbIdentity] | None = None
    data_endpoints: tuple[int, int] | None = None


@dataclass(slots=True)
class BoardCounts:
    """What happened since the board was made."""

    boots: int = 0
    enumerations: int = 0
    power_cuts: int = 0
    failed_enumerations: list[str] = field(default_factory=list)


class EmulatedBoard:
    """One board in one USB port. ``next_address()`` gives the next free USB address. ``paced``: sleeping on
    :attr:`clock` takes at least as long on the clock on the wall."""

    answers_at_once = False
    """The firmware takes its time."""

    def __init__(
        self,
        hardware: Hardware,
        device_id: str,
        chip: EmulatedChip,
        *,
        internal: NorFlash,
        external: NorFlash | None,
        port_path: str,
        next_address: Callable[[], int],
        faults: FaultScript | None = None,
        paced: bool = False,
    ) -> None:
        self.hardware = hardware
        self.chip = chip
        self.internal, self.external = internal, external
        """The chip's flash and the serial flash beside it."""
        self.port_path = port_path
        self.state = EmulatedState(device_id)
        self.counts = BoardCounts()
        self.lock = threading.RLock()
        self.clock: Clock = PacedClock(self) if paced else ChipClock(self)
        """The time of its chip; sleeping runs the firmware."""
        self.host = UsbHost(chip.usb, chip.processor, chip.timeline, self._alive)
        self.debounce_s = DEBOUNCE_S
        self.last_touched_s = self.clock.monotonic_s()
        """When the host or a hand last did something."""
        self.keep_in: Callable[[], None] | None = None
        """Writes down where the board is."""
        self.note_in: Callable[[], None] | None = None
        """Writes down all but the chip: what must outlive this process even when it is killed."""
        self.mode_button_s = 0.0
        """For so long MODE is held whenever power comes, or until the board is in DFU mode."""
        self._let_go_at_s: float | None = None
        self.next_address = next_address
        """The next free USB address."""
        script = self.faults = faults or FaultScript(())
        """What goes wrong with it."""
        internal.on_program = lambda address, data: script.spoil(internal.read, address, data)
        internal.on_erase = script.spoil_erase
        self._enumeration: _Enumeration | None = None

    # ---- power ------------------------------------------------------------------------------------------------------

    def power_on(self) -> None:
        """Switch the board's supply on; it boots. Nothing happens when it has power already."""
        with self.lock:
            self._touch()
            if not self.state.powered and not self.state.unplugged:
                self.state.powered = True
                self.counts.boots += 1
                self.chip.power_on()
                if self.mode_button_s:
                    self.chip.hold_mode_button(True)
                    self._let_go_at_s = self.chip.timeline.now_s + self.mode_button_s
                self.chip.attach_vbus()

    def power_off(self) -> None:
        """Switch the supply off: RAM is lost, flash stays as it is."""
        with self.lock:
            self._touch()
            if self.state.powered:
                self.state.powered = False
                self._enumeration = None
                self._let_go()
                self.chip.detach_vbus()
                self.chip.power_off()

    def pull(self) -> None:
        """Pull its cable: it loses its power, and no switch gives it any."""
        with self.lock:
            self.power_off()
            self.state.unplugged = True

    def plug_in(self) -> None:
        """Return its cable; it boots."""
        with self.lock:
            self.state.unplugged = False
            self.state.replug_at_s = None
            self.power_on()

    def reset_pin(self) -> None:
        """Press the reset button."""
        with self.lock:
            self._touch()
            if self.state.powered:
                self.chip.pin_reset()
                self._look()

    def hold_mode_button(self, pressed: bool) -> None:
        """Press the MODE button, or let it go."""
        with self.lock:
            self._touch()
            self.chip.hold_mode_button(pressed)

    # ---- from one process to the next -------------------------------------------------------------------------------

    def keep(self) -> None:
        """Write down what the next process must know, where there is a place for it."""
        with self.lock:
            if self.keep_in is None:
                return
            if self._let_go_at_s is not None:
                # No hand outlives this process.
                self.run(self._let_go_at_s - self.chip.timeline.now_s)
                self._let_go()
            self.keep_in()

    def take_up(self, snapshot: bytes) -> None:
        """Go on where a former process left the board, with power. ValueError when the snapshot is of no use."""
        with self.lock:
            self.chip.restore(snapshot)
            self.state.powered = True
            self._touch()
            self.be_forgotten()

    def be_forgotten(self) -> None:
        """The host forgets the board and enumerates it anew, which it takes for a reset of its port."""
        with self.lock:
            if self.chip.usb.connected:
                self._enumeration = _Enumeration(self.chip.timeline.now_s - DEBOUNCE_S)
            self._look()

    @property
    def fired_faults(self) -> set[str]:
        """Of its script, those that have happened."""
        return self.faults.fired

    # ---- time -------------------------------------------------------------------------------------------------------

    def run(self, duration_s: float) -> None:
        """Let that much of the chip's time pass; the host enumerates what shows itself meanwhile."""
        with self.lock:
            timeline = self.chip.timeline
            end = timeline.cycles + timeline.cycles_of(duration_s)
            while timeline.cycles < end:
                step = min(end, timeline.cycles + timeline.cycles_of(_LOOK_EVERY_S))
                if self.state.powered:
                    self.chip.processor.run(step)
                if timeline.cycles < step:
                    # No power, or a core that is dead or halted: time passes all the same.
                    timeline.pass_until(step)
                self.see_to_power_cut()
                self._replug_if_due()
                self._look()

    def run_until(self, done: Callable[[], bool], limit_s: float) -> bool:
        """Let time pass until ``done()``, at most that long; whether it is."""
        with self.lock:
            end_s = self.chip.timeline.now_s + limit_s
            while not done():
                if self.chip.timeline.now_s >= end_s:
                    return False
                self.run(_LOOK_EVERY_S)
            return True

    # ---- what the USB seams ask -------------------------------------------------------------------------------------

    def on_bus(self) -> tuple[int, UsbIdentity] | None:
        """USB address and descriptors when the board is on the bus."""
        # A board in the middle of a transfer is on the bus, and may be there for seconds of flash work.
        locked = self.lock.acquire(blocking=False)
        try:
            if locked:
                self._look()
            enumeration = self._enumeration
            return enumeration.found if enumeration else None
        finally:
            if locked:
                self.lock.release()

    def control(self, address: int, setup: Setup, data: bytes = b"") -> bytes:
        """One control transfer to the device at ``address``. Raises StallError, GoneError, SilentError."""
        with self.lock:
            self._present(address)
            fault = self._fault_in(setup)
            self._present(address)
            if fault and fault.do == "stall":
                self._note()
                raise StallError
            if fault and fault.do != "short_reply":
                self.cut_power(fault)
                raise GoneError(during=True)
            try:
                reply = self.host.control(setup, data)
            finally:
                cut = self.see_to_power_cut()
            if cut:
                raise GoneError(during=True)
            self._look()
            return reply[: fault.size_bytes] if fault else reply

    def bus_reset(self, address: int) -> None:
        """The host resets the port and gives the device its address again. Raises GoneError, SilentError."""
        with self.lock:
            self._present(address)
            try:
                identity = self.host.enumerate(address)
            except StallError:
                raise GoneError(during=True) from None
            assert self._enumeration is not None
            self._enumeration.found = (address, identity)

    def serial_write(self, address: int, data: bytes) -> None:
        """Bulk data to the serial port. Raises GoneError, SilentError."""
        with self.lock:
            endpoints = self._present(address).data_endpoints
            if endpoints:
                try:
                    self.host.bulk_out(endpoints[1], data)
                except StallError:
                    return
                finally:
                    self.see_to_power_cut()

    def serial_read(self, address: int, size_bytes: int) -> bytes:
        """Bulk data that waits in the serial port. Raises GoneError."""
        with self.lock:
            touched_s = self.last_touched_s
            endpoints = self._present(address).data_endpoints
            # Whoever polls for what does not come leaves the board alone.
            self.last_touched_s = touched_s
            if not endpoints or not self._alive():
                return b""
            try:
                data = self.host.poll_in(endpoints[0], size_bytes)
            except StallError:
                return b""
            if data:
                self._touch()
            return data

    # ---- within -----------------------------------------------------------------------------------------------------

    def _alive(self) -> bool:
        return self.state.powered and self.chip.runs

    def _touch(self) -> None:
        self.debounce_s = DEBOUNCE_S
        self.last_touched_s = self.clock.monotonic_s()

    def _present(self, address: int) -> _Enumeration:
        self._touch()
        self._look()
        enumeration = self._enumeration
        if enumeration is None or enumeration.found is None or enumeration.found[0] != address:
            raise GoneError
        if not self._alive():
            raise SilentError
        return enumeration

    def _look(self) -> None:
        """See whether the device shows itself, or no longer does, and enumerate it when it has for long enough."""
        self._follow()
        found = self._enumeration.found if self._enumeration else None
        state = self.state
        state.runs = "off" if not state.powered else "booting" if not found else "dfu" if _is_dfu(found[1]) else "app"
        if self._let_go_at_s is not None and (state.runs == "dfu" or self.chip.timeline.now_s >= self._let_go_at_s):
            self._let_go()

    def _let_go(self) -> None:
        if self._let_go_at_s is not None:
            self.chip.hold_mode_button(False)
            self._let_go_at_s = None

    def _follow(self) -> None:
        if not self.state.powered or not self.chip.usb.connected:
            self._enumeration = None
            return
        now_s = self.chip.timeline.now_s
        if self._enumeration is None:
            self._enumeration = _Enumeration(now_s)
        enumeration = self._enumeration
        if enumeration.found is None and now_s - enumeration.seen_at_s >= self.debounce_s and self._alive():
            self._enumerate(enumeration)

    def _enumerate(self, enumeration: _Enumeration) -> None:
        if enumeration.tries == _ENUMERATION_TRIES:
            return
        enumeration.tries += 1
        address = self.next_address()
        try:
            identity = self.host.enumerate(address)
        except (StallError, GoneError) as error:
            self.counts.failed_enumerations.append(f"{type(error).__name__} at {self.chip.timeline.now_s:.3f} s")
            enumeration.seen_at_s = self.chip.timeline.now_s
            return
        self.counts.enumerations += 1
        enumeration.data_endpoints = bulk_endpoints(identity.configuration)
        enumeration.found = (address, identity)

    def _fault_in(self, setup: Setup) -> Fault | None:
        place = place_of(setup, self.state.runs)
        if place is None:
            return None
        fault = self.faults.count(place)
        if slowdown_s := self.faults.slowdown_s(place):
            self.clock.sleep(slowdown_s)
        return fault

    def see_to_power_cut(self) -> bool:
        """Switch off where flash work has run into a loss of power; whether it has."""
        cut = self.faults.take_power_cut()
        if cut is not None:
            self.cut_power(cut)
        return cut is not None

    def cut_power(self, fault: Fault) -> None:
        """Lose power, by that fault."""
        self.counts.power_cuts += 1
        self.power_off()
        if fault.do == "brown_out":
            self.power_on()
        else:
            self.state.unplugged = fault.do == "unplug"
        if fault.replug_after_s is not None:
            self.state.replug_at_s = self.clock.monotonic_s() + fault.replug_after_s
        self._note()

    def _note(self) -> None:
        if self.note_in is not None:
            self.note_in()

    def _replug_if_due(self) -> None:
        due_s = self.state.replug_at_s
        if due_s is not None and self.clock.monotonic_s() >= due_s:
            self.plug_in()


def _is_dfu(identity: UsbIdentity) -> bool:
    return any(d[1] == INTERFACE and (d[5], d[6]) == _DFU_CLASS for d in descriptors_of(identity.configuration))
