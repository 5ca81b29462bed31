"""A virtual board: flash, modes, USB presence and radio on one clock, without threads or timers.

Everything that happens later is an entry with a time on the board's agenda; :meth:`VirtualBoard.advance` catches up
whenever somebody touches the board. Work that keeps a real chip busy moves the clock during the transfer.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

from particle_harness import radio as radio_events
from particle_harness.boards import Hardware
from particle_harness.boot import BootDecision, BootView, decide_boot
from particle_harness.boot_steps import photon_system_parts_are_intact, restore_factory_image
from particle_harness.clock import Clock
from particle_harness.dct import DCT_SIZE_BYTES, Dct
from particle_harness.factory import furnish
from particle_harness.faults import Fault, FaultScript
from particle_harness.firmware_update import FirmwareUpdate, install_entered_modules
from particle_harness.nor_flash import NorFlash
from particle_harness.radio import Radio
from particle_harness.running import BoardSystem
from particle_harness.state import BoardState, SlotStore
from particle_harness.timing import INSTANT, REALISTIC
from particle_harness.truth import Truth
from particle_harness.usb.assemble import dfu_device
from particle_harness.usb.cdc import NormalDevice
from particle_harness.usb.descriptors import UsbIdentity, normal_identity
from particle_harness.usb.device import UsbDevice
from particle_harness.usb.dfu import DfuDevice
from particle_harness.usb.transfer import TYPE_CLASS, TYPE_VENDOR, GoneError, Setup, StallError

RESET_POWER_DOWN, RESET_PIN, RESET_UNKNOWN = 40, 20, 10
RESET_UPDATE, RESET_SAFE_MODE, RESET_DFU, RESET_USER = 70, 110, 120, 140
"""Source: device-os v2.1.0 services/inc/system_defs.h System_Reset_Reason."""
_RESET_REASONS = {"app": RESET_USER, "dfu": RESET_DFU, "safe_mode": RESET_SAFE_MODE, "update": RESET_UPDATE}
_MAX_STEPS_OF_A_BOOT = 6
_ARRIVED_BEFORE_S = 1.5
"""A new board was plugged in this long before the bench is opened: it is on the bus, and not yet on the network."""


@dataclass(frozen=True, slots=True)
class BoardSettings:
    """How a board comes out of the factory and what is wrong with it."""

    device_id: str
    online: bool = False
    """Set up by a former owner: goes online when its application runs."""
    arrives_in_dfu: bool = False
    old_bootloader: bool = False
    factory_image: bool = False
    power_control: bool = True
    """Its slot can switch power."""
    semi_automatic_apps: frozenset[str] = field(default_factory=frozenset)
    faults: tuple[Fault, ...] = ()


class VirtualBoard:
    """One board in one USB port.

    ``release_modules()`` gives bootloader and SoftDevice for a new board; ``next_address()`` the next free USB
    address. With a store, the board of a former process is taken up where it was.
    """

    def __init__(
        self,
        hardware: Hardware,
        settings: BoardSettings,
        clock: Clock,
        *,
        port_path: str,
        delays: bool,
        release_modules: Callable[[], Iterable[bytes]],
        next_address: Callable[[], int],
        store: SlotStore | None = None,
    ) -> None:
        self.hardware = hardware
        self.settings = settings
        self.clock = clock
        self.port_path = port_path
        self.timing = REALISTIC if delays else INSTANT
        self._delays = delays
        self._next_address = next_address
        self._store = store
        self._lock = threading.RLock()
        kept = store.load() if store else None
        self.state, self.truth = kept or (BoardState(device_id=settings.device_id), Truth())
        self.internal = self._flash("internal")
        self.external = self._flash("external") if hardware.external_chip else None
        self.dct = Dct(store.image("dct", DCT_SIZE_BYTES) if store else None)
        self._counted_before = (self.truth.erases, self.truth.programs)
        faults = FaultScript(settings.faults, self.state.fired_faults)
        self.internal.on_program = lambda address, data: faults.spoil(self.internal.read, address, data)
        self._faults = faults
        self._usb: UsbDevice | None = None
        self._radio = Radio(hardware.radio, self.state, self.truth, self._schedule, self._cancel)
        self._system = BoardSystem(
            hardware,
            self.state,
            self.dct,
            self._radio,
            FirmwareUpdate(
                hardware,
                self.external if hardware.is_gen3 and self.external else self.internal,
                self.internal,
                self.dct,
                self.boot_view,
            ),
            view=self.boot_view,
            now_s=clock.monotonic_s,
            restart_later=self._restart_later,
        )
        if kept is None:
            self._leave_factory(release_modules())
            self._power_on(clock.monotonic_s() - _ARRIVED_BEFORE_S)
        else:
            self._take_up()

    # -- power ---------------------------------------------------------------------------------------------------

    def power_on(self) -> None:
        """Switch the board's supply on; it boots. Nothing happens when it has power already."""
        with self._lock:
            self.advance()
            if not self.state.powered and not self.state.unplugged:
                self._power_on(self.clock.monotonic_s())

    def _power_on(self, at_s: float) -> None:
        self.state.powered = True
        self.truth.power_cycles += 1
        self._boot(at_s, RESET_POWER_DOWN, after_power_on=True)
        self.advance()
        self._save()

    def power_off(self) -> None:
        """Switch the supply off: RAM and backup registers are lost, flash stays as it is."""
        with self._lock:
            self.advance()
            self._lose_power()
            self._save()

    def reset_pin(self) -> None:
        """Press the reset button: backup registers survive."""
        with self._lock:
            self.advance()
            if self.state.powered:
                self._boot(self.clock.monotonic_s(), RESET_PIN)
                self.advance()
                self._save()

    # -- what a test may ask -------------------------------------------------------------------------------------

    def boot_view(self) -> BootView:
        """What the next boot would depend on."""
        return BootView(
            hardware=self.hardware,
            internal=self.internal.read,
            external=self.external.read if self.external else None,
            setup_done=self.dct.setup_done,
            wifi_credentials=self.state.wifi_credentials,
            dfu_requested=self.state.dfu_requested,
            safe_mode_requested=self.state.safe_mode_requested,
            factory_reset_requested=self.dct.factory_reset_requested,
            listen_requested=self.state.listen_requested,
            ota_update_requested=self.dct.ota_update_requested,
            semi_automatic_apps=self.settings.semi_automatic_apps,
        )

    def decide_boot(self) -> BootDecision:
        """Where a reset at this moment would end, without one."""
        with self._lock:
            self.advance()
            return decide_boot(self.boot_view())

    # -- USB -----------------------------------------------------------------------------------------------------

    @property
    def usb_device(self) -> UsbDevice | None:
        """Device side of the present enumeration, for tests."""
        return self._usb

    def on_bus(self) -> tuple[int, UsbIdentity] | None:
        """USB address and descriptors when the board is on the bus."""
        # A board in the middle of a transfer is on the bus; its thread may hold it for a second of flash work.
        if not self._lock.acquire(blocking=False):
            usb = self._usb
            return (self.state.address, usb.identity) if usb else None
        try:
            self.advance()
            return (self.state.address, self._usb.identity) if self._usb else None
        finally:
            self._lock.release()

    def control(self, address: int, setup: Setup, data: bytes = b"") -> bytes:
        """One control transfer to the device at ``address``. Raises StallError and GoneError."""
        with self._lock:
            usb = self._present(address)
            self._break_transfer(usb, setup)
            self.clock.sleep(self.timing.transfer_s + max(len(data), setup.w_length) / self.timing.bytes_per_s)
            try:
                return self._still_present(address, usb.control(setup, data))
            finally:
                self._save()

    def bus_reset(self, address: int) -> None:
        """The host resets the port: same address, the device starts its USB side anew. Raises GoneError."""
        with self._lock:
            usb = self._present(address)
            usb.bus_reset()
            usb.host_enumerates()
            self._save()

    def serial_write(self, address: int, data: bytes) -> None:
        """Bytes to the serial port. Raises GoneError."""
        with self._lock:
            usb = self._present(address)
            if isinstance(usb, NormalDevice):
                usb.type_keys(data)
            self._save()

    def serial_read(self, address: int, size_bytes: int) -> bytes:
        """Bytes that wait in the serial port. Raises GoneError."""
        with self._lock:
            usb = self._present(address)
            if not isinstance(usb, NormalDevice):
                return b""
            data = bytes(usb.output[:size_bytes])
            del usb.output[:size_bytes]
            return data

    # -- agenda --------------------------------------------------------------------------------------------------

    def advance(self) -> None:
        """Catch up with the clock."""
        with self._lock:
            changed = False
            while self.state.events and self.state.events[0][0] <= self.clock.monotonic_s():
                at_s, name, argument = self.state.events.pop(0)
                self._handle(at_s, name, argument)
                changed = True
            if isinstance(self._usb, NormalDevice):
                self._usb.service.advance()
            if changed:
                self._save()

    def _schedule(self, at_s: float, name: str, argument: str = "") -> None:
        self.state.events.append((at_s, name, argument))
        self.state.events.sort(key=lambda event: event[0])

    def _cancel(self, names: tuple[str, ...]) -> None:
        self.state.events[:] = [event for event in self.state.events if event[1] not in names]

    def _handle(self, at_s: float, name: str, argument: str) -> None:
        if name in radio_events.EVENTS:
            self._radio.handle(at_s, name)
        elif name == "enumerate":
            self._attach(after_reset=argument == "reset")
        elif name == "restart":
            self._reset_into(at_s, argument)
        elif name == "leave_dfu":
            self._finish_leave(at_s, argument)
        elif name == "watchdog":
            self.state.watchdog_armed = False
            self.state.dfu_requested = True
            self._boot(at_s, RESET_UNKNOWN)
        elif name == "replug":
            self.state.unplugged = False
            self.state.powered = True
            self.truth.power_cycles += 1
            self._boot(at_s, RESET_POWER_DOWN, after_power_on=True)

    # -- boot ----------------------------------------------------------------------------------------------------

    def _boot(self, at_s: float, reason: int, *, after_power_on: bool = False) -> None:
        state = self.state
        self._detach()
        state.events.clear()
        self.truth.boots += 1
        self._system.firmware_update.cancel()
        at_s += self._bootloader_installs()
        decision = decide_boot(self.boot_view())
        for _ in range(_MAX_STEPS_OF_A_BOOT):
            if decision.runs == "factory_restore":
                restore_factory_image(self.boot_view(), self.internal)
                self.dct.factory_reset_requested = False
            elif decision.runs == "ota_update":
                self.dct.clear_ota_update()
                self._system.firmware_update.apply()
                reason = RESET_UPDATE
            else:
                break
            at_s += self.timing.restore_s
            self.truth.boots += 1
            state.safe_mode_requested = False
            at_s += self._bootloader_installs()
            decision = decide_boot(self.boot_view())
        self._run(decision, at_s, reason, after_power_on)

    def _bootloader_installs(self) -> float:
        """Modules that wait are copied, unless DFU mode is wanted; how long that takes."""
        if self.state.dfu_requested:
            return 0.0
        return install_entered_modules(self.boot_view(), self.internal, self.dct) * self.timing.restore_s

    def _run(self, decision: BootDecision, at_s: float, reason: int, after_power_on: bool) -> None:
        state, truth = self.state, self.truth
        state.start(decision, at_s, reason, is_gen3=self.hardware.is_gen3)
        usb_s = self.timing.system_usb_s
        if decision.runs == "dfu":
            truth.dfu_entries += 1
            usb_s = self.timing.bootloader_usb_s
        elif decision.runs in ("app", "safe_mode", "listening"):
            state.watchdog_armed = False
            truth.safe_mode_boots += decision.safe_mode
            truth.app_boots += not decision.safe_mode
            if decision.would_connect:
                self._radio.start(at_s)
        else:
            # Nothing runs that could talk: only an armed watchdog ends this.
            if state.watchdog_armed:
                self._schedule(at_s + self.timing.watchdog_s, "watchdog")
            return
        self._schedule(at_s + usb_s, "enumerate", "" if after_power_on else "reset")

    # -- resets --------------------------------------------------------------------------------------------------

    def _restart_later(self, into: str) -> None:
        self._schedule(self.clock.monotonic_s() + self.timing.restart_s, "restart", into)

    def _reset_into(self, at_s: float, into: str) -> None:
        self.state.dfu_requested = into == "dfu"
        self.state.safe_mode_requested = into == "safe_mode"
        self._boot(at_s, _RESET_REASONS[into])

    def _start_leave(self, safe_mode: bool) -> None:
        argument = "safe_mode" if safe_mode else "app"
        self._schedule(self.clock.monotonic_s() + self.timing.leave_s, "leave_dfu", argument)

    def _finish_leave(self, at_s: float, into: str) -> None:
        if isinstance(self._usb, DfuDevice) and self._usb.leaving:
            # Finish_Update() arms the watchdog of an STM32 for the boot that follows.
            self.state.watchdog_armed = not self.hardware.is_gen3
            self.state.safe_mode_requested = into == "safe_mode"
            self._boot(at_s, RESET_UNKNOWN)

    # -- presence on the bus -------------------------------------------------------------------------------------

    def _attach(self, *, after_reset: bool) -> None:
        fault = self._faults.count("re_enumeration") if after_reset else None
        if fault and fault.do == "vanish":
            self.state.runs = "hung"
            self.state.events.clear()
            return
        if fault and fault.do == "wrong_device_id":
            last = self.state.device_id[-1]
            self.state.device_id = self.state.device_id[:-1] + ("0" if last != "0" else "1")
        self.state.address = self._next_address()
        self.state.attached = True
        self.truth.enumerations += 1
        self._usb = self._usb_device()
        self._usb.host_enumerates()

    def _detach(self) -> None:
        self.state.attached = False
        if isinstance(self._usb, NormalDevice):
            self._usb.service.abort_all()
        self._usb = None

    def _reattach(self) -> None:
        self._schedule(self.clock.monotonic_s() + self.timing.bootloader_usb_s, "enumerate", "reset")
        self._detach()

    def _usb_device(self) -> UsbDevice:
        if self.state.runs != "dfu":
            identity = normal_identity(self.hardware, self.state.device_id)
            return NormalDevice(
                identity, self._system, now_s=self.clock.monotonic_s, reset_now=self._reset_now, delays=self._delays
            )
        return dfu_device(
            self.hardware,
            self.state.device_id,
            self.internal,
            self.external,
            self.dct,
            dct_is_reachable=lambda: photon_system_parts_are_intact(self.boot_view()),
            leave=self._start_leave,
            detach=self._reattach,
        )

    def _reset_now(self, into: str) -> None:
        self._reset_into(self.clock.monotonic_s(), into)

    def _present(self, address: int) -> UsbDevice:
        self.advance()
        if self._usb is None or self.state.address != address:
            raise GoneError
        return self._usb

    def _still_present(self, address: int, reply: bytes) -> bytes:
        if self._usb is None or self.state.address != address:
            raise GoneError(during=True)
        return reply

    # -- faults and persistence ----------------------------------------------------------------------------------

    def _break_transfer(self, usb: UsbDevice, setup: Setup) -> None:
        fault = None
        if isinstance(usb, DfuDevice) and setup.kind == TYPE_CLASS:
            self.truth.dfu_transfers += 1
            fault = self._faults.count("dfu_transfer")
        elif isinstance(usb, NormalDevice) and setup.kind == TYPE_VENDOR:
            fault = self._faults.count("control_transfer")
        if fault is None:
            return
        if fault.do == "stall":
            self._save()
            raise StallError
        self._lose_power()
        self.state.unplugged = True
        if fault.replug_after_s is not None:
            self._schedule(self.clock.monotonic_s() + fault.replug_after_s, "replug")
        self._save()
        raise GoneError(during=True)

    def _lose_power(self) -> None:
        self._detach()
        self.state.lose_power()

    def _flash(self, name: str) -> NorFlash:
        chip = self.hardware.internal_chip if name == "internal" else self.hardware.external_chip
        assert chip is not None
        backing = self._store.image(name, chip.size_bytes) if self._store else None
        return NorFlash(chip, self.clock, backing=backing, delays=self._delays)

    def _leave_factory(self, release_modules: Iterable[bytes]) -> None:
        settings = self.settings
        furnish(
            self.internal,
            self.external,
            self.hardware,
            release_modules,
            old_bootloader=settings.old_bootloader,
            factory_image=settings.factory_image,
        )
        if settings.online:
            self.dct.mark_setup_done()
            self.state.wifi_credentials = True
        self.state.dfu_requested = settings.arrives_in_dfu

    def _take_up(self) -> None:
        """Go on where a former process left the board. One that was unplugged, or hangs, is plugged in again; one that
        was switched off stays off where the bench can switch it on."""
        state = self.state
        state.device_id = self.settings.device_id
        plugged_in = state.unplugged or state.runs == "hung"
        if plugged_in:
            self._lose_power()
            state.unplugged = False
        if state.attached:
            self._usb = self._usb_device()
            self._usb.host_enumerates()
            if isinstance(self._usb, DfuDevice):
                self._usb.registers = state.dfu
                self._usb.alternate = state.alternate
        if plugged_in or not self.settings.power_control:
            self.power_on()
            if self._delays and not state.attached:
                self.clock.sleep(_ARRIVED_BEFORE_S)

    def _save(self) -> None:
        erases, programs = self._counted_before
        flashes = [flash for flash in (self.internal, self.external) if flash]
        self.truth.erases = erases + sum(flash.erases for flash in flashes)
        self.truth.programs = programs + sum(flash.programs for flash in flashes)
        if self._store is None:
            return
        if isinstance(self._usb, DfuDevice):
            self.state.dfu, self.state.alternate = self._usb.registers, self._usb.alternate
        self.state.fired_faults = sorted(self._faults.fired)
        self.state.clock_s = self.clock.monotonic_s()
        self._store.save(self.state, self.truth)
