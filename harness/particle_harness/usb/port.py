"""The board's end of its USB cable: what is enumerated there, and what faults do to it."""

from __future__ import annotations

from collections.abc import Callable

from particle_harness.agenda import Agenda
from particle_harness.clock import Clock
from particle_harness.faults import Fault, FaultScript, place_of
from particle_harness.state import BoardState
from particle_harness.truth import Truth
from particle_harness.usb.cdc import NormalDevice
from particle_harness.usb.device import UsbDevice
from particle_harness.usb.dfu import DfuDevice
from particle_harness.usb.transfer import GoneError, Setup


class UsbPort:
    """At most one device at a time; each enumeration has its own, and its own address."""

    def __init__(
        self,
        state: BoardState,
        truth: Truth,
        agenda: Agenda,
        clock: Clock,
        faults: FaultScript,
        *,
        make_device: Callable[[], UsbDevice],
        next_address: Callable[[], int],
    ) -> None:
        self._state = state
        self._truth = truth
        self._agenda = agenda
        self._clock = clock
        self._faults = faults
        self._make_device = make_device
        self._next_address = next_address
        self.device: UsbDevice | None = None

    def attach(self, *, after_reset: bool) -> None:
        """Come onto the bus, unless a fault is due."""
        state = self._state
        fault = self._faults.count("re_enumeration") if after_reset else None
        if fault and fault.do == "vanish":
            state.runs = "hung"
            self._agenda.clear()
            return
        if fault and fault.do == "wrong_device_id":
            state.device_id = state.device_id[:-1] + ("0" if state.device_id[-1] != "0" else "1")
        state.address = self._next_address()
        state.attached = True
        self._truth.enumerations += 1
        self.device = self._make_device()
        self.device.host_enumerates()

    def detach(self) -> None:
        """Leave the bus."""
        self._state.attached = False
        if isinstance(self.device, NormalDevice):
            self.device.service.abort_all()
        self.device = None

    def reattach_after(self, pause_s: float) -> None:
        """Leave the bus and come back in the same mode."""
        self._agenda.add(self._clock.monotonic_s() + pause_s, "enumerate", "reset")
        self.detach()

    def take_up(self) -> None:
        """Be on the bus as a former process left it."""
        self.device = self._make_device()
        self.device.host_enumerates()
        if isinstance(self.device, DfuDevice):
            self.device.registers = self._state.dfu
            self.device.alternate = self._state.alternate

    def at(self, address: int, *, during: bool = False) -> UsbDevice:
        """The device with that USB address. Raises GoneError."""
        if self.device is None or self._state.address != address:
            raise GoneError(during=during)
        return self.device

    def fault_in(self, setup: Setup) -> Fault | None:
        """Count a transfer that begins; the fault that is due with it, if any. A slow one takes its time here."""
        runs = {DfuDevice: "dfu", NormalDevice: "app"}
        place = place_of(setup, next((name for kind, name in runs.items() if isinstance(self.device, kind)), ""))
        if place is None:
            return None
        if place == "dfu_transfer":
            self._truth.dfu_transfers += 1
        fault = self._faults.count(place)
        self._clock.sleep(self._faults.slowdown_s(place))
        return fault

    def keep(self) -> None:
        """Note in the board's state what the next process must know."""
        if isinstance(self.device, DfuDevice):
            self._state.dfu, self._state.alternate = self.device.registers, self.device.alternate
        self._state.fired_faults = sorted(self._faults.fired)
