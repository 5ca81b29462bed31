"""The host's side of a virtual board: what can be done to it over its USB cable, and what then goes wrong by script."""

from __future__ import annotations

import threading
from abc import ABC, abstractmethod

from particle_harness.agenda import Agenda
from particle_harness.clock import Clock
from particle_harness.faults import Fault, FaultScript
from particle_harness.state import BoardState
from particle_harness.timing import INSTANT, BoardTiming
from particle_harness.usb.cdc import NormalDevice
from particle_harness.usb.descriptors import UsbIdentity
from particle_harness.usb.device import UsbDevice
from particle_harness.usb.port import UsbPort
from particle_harness.usb.transfer import GoneError, Setup, SilentError, StallError


class HostSide(ABC):
    """Transfers, one at a time: the board's lock is held while one goes on."""

    state: BoardState
    clock: Clock
    timing: BoardTiming
    _agenda: Agenda
    _faults: FaultScript
    _lock: threading.RLock
    _port: UsbPort

    @abstractmethod
    def advance(self) -> None:
        """Catch up with the clock."""

    @abstractmethod
    def _save(self) -> None: ...

    @abstractmethod
    def _power_on(self, at_s: float) -> None: ...

    @abstractmethod
    def _lose_power(self) -> None: ...

    @property
    def answers_at_once(self) -> bool:
        """Whether neither bus nor flash take time: made without delays, and not slowed down by script."""
        return self.timing is INSTANT and not self._faults.slows

    @property
    def usb_device(self) -> UsbDevice | None:
        """Device side of the present enumeration, for tests."""
        return self._port.device

    def on_bus(self) -> tuple[int, UsbIdentity] | None:
        """USB address and descriptors when the board is on the bus."""
        # A board in the middle of a transfer is on the bus; its thread may hold it for a second of flash work.
        locked = self._lock.acquire(blocking=False)
        try:
            if locked:
                self.advance()
            usb = self._port.device
            return (self.state.address, usb.identity) if usb else None
        finally:
            if locked:
                self._lock.release()

    def control(self, address: int, setup: Setup, data: bytes = b"") -> bytes:
        """One control transfer to the device at ``address``. Raises StallError, GoneError, SilentError."""
        with self._lock:
            usb = self._present(address)
            self._require_awake()
            fault = self._port.fault_in(setup)
            if fault and fault.do != "short_reply":
                self._break_transfer(fault)
            self.clock.sleep(self.timing.transfer_s + max(len(data), setup.w_length) / self.timing.bytes_per_s)
            try:
                reply = usb.control(setup, data)
                cut = self._faults.take_power_cut()
                if cut is not None:
                    self._cut_power(cut)
                self._port.at(address, during=True)
                return reply[: fault.size_bytes] if fault else reply
            finally:
                self._save()

    def bus_reset(self, address: int) -> None:
        """The host resets the port: same address, the device starts its USB side anew. Raises GoneError,
        SilentError."""
        with self._lock:
            usb = self._present(address)
            self._require_awake()
            usb.bus_reset()
            usb.host_enumerates()
            self._save()

    def serial_write(self, address: int, data: bytes) -> None:
        """Bytes to the serial port. Raises GoneError, SilentError."""
        with self._lock:
            usb = self._present(address)
            self._require_awake()
            if isinstance(usb, NormalDevice):
                usb.type_keys(data)
            self._save()

    def serial_read(self, address: int, size_bytes: int) -> bytes:
        """Bytes that wait in the serial port. Raises GoneError."""
        with self._lock:
            usb = self._present(address)
            if not isinstance(usb, NormalDevice) or self.state.halted_at_s is not None:
                return b""
            data = bytes(usb.output[:size_bytes])
            del usb.output[:size_bytes]
            return data

    def _present(self, address: int) -> UsbDevice:
        self.advance()
        return self._port.at(address)

    def _require_awake(self) -> None:
        if self.state.halted_at_s is not None:
            raise SilentError

    def _break_transfer(self, fault: Fault) -> None:
        if fault.do == "stall":
            self._save()
            raise StallError
        self._cut_power(fault)
        raise GoneError(during=True)

    def _cut_power(self, fault: Fault) -> None:
        self._lose_power()
        if fault.do == "brown_out":
            self._power_on(self.clock.monotonic_s())
        else:
            self.state.unplugged = fault.do == "unplug"
        if fault.replug_after_s is not None:
            self._agenda.add(self.clock.monotonic_s() + fault.replug_after_s, "replug")
        self._save()
