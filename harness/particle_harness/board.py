"""A virtual board: flash, modes, USB presence and radio on one clock, without threads or timers.

Everything that happens later is an entry with a time on the board's agenda; :meth:`VirtualBoard.advance` catches up
whenever somebody touches the board. Work that keeps a real chip busy moves the clock during the transfer.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any

from particle_harness import radio as radio_events
from particle_harness.agenda import Agenda
from particle_harness.board_settings import BoardSettings
from particle_harness.boards import Hardware
from particle_harness.boot import BootDecision, BootView, decide_boot, system_version
from particle_harness.boot_side import BootSide
from particle_harness.boot_steps import (
    photon_system_parts_are_intact,
)
from particle_harness.boot_view import bootloader_protects
from particle_harness.clock import Clock
from particle_harness.cloud_side import CloudLink, CloudSide
from particle_harness.debug_side import BoardActs, DebugSide
from particle_harness.faults import FaultScript
from particle_harness.firmware_update import FirmwareUpdate
from particle_harness.host_side import HostSide
from particle_harness.memories import Memories
from particle_harness.module_reader import read_prefix
from particle_harness.network_trouble import parse_troubles
from particle_harness.new_board import leave_factory
from particle_harness.protection import Protection
from particle_harness.radio import Radio
from particle_harness.resets import RESET_PIN, RESET_POWER_DOWN, RESET_UNKNOWN
from particle_harness.running import BoardSystem
from particle_harness.state import BoardState, SlotStore
from particle_harness.timing import INSTANT, REALISTIC
from particle_harness.truth import Truth
from particle_harness.usb.assemble import dfu_device, running_identity, running_kind
from particle_harness.usb.cdc import NormalDevice
from particle_harness.usb.device import UsbDevice
from particle_harness.usb.port import UsbPort
from particle_harness.user_information import firmware_opens_debug_port

if TYPE_CHECKING:
    # The emulator is an extra of its own.
    from particle_harness.swd.chip import Chip

__all__ = ["BoardSettings", "VirtualBoard"]

_ARRIVED_BEFORE_S = 1.5
"""A new board was plugged in this long before the bench is opened: it is on the bus, and not yet on the network."""


class VirtualBoard(BootSide, HostSide):
    """One board in one USB port.

    ``release_modules()`` gives bootloader and SoftDevice for a new board; ``next_address()`` the next free USB
    address. With a store, the board of a former process is taken up where it was. With ``cloud``, a network decides
    whether the board gets online.
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
        cloud: CloudLink | None = None,
    ) -> None:
        self.hardware = hardware
        self.settings = settings
        self.clock = clock
        self.port_path = port_path
        self.timing = REALISTIC if delays else INSTANT
        self._delays = delays
        self._store = store
        self._lock = threading.RLock()
        kept = store.load() if store else None
        self.state, self.truth = kept or (BoardState(device_id=settings.device_id), Truth())
        memories = self._memories = Memories(hardware, clock, store, delays=delays)
        memories.count_on_from(self.truth)
        self.internal, self.external, self.dct = memories.internal, memories.external, memories.dct
        self.uicr = memories.uicr
        faults = self._faults = FaultScript(settings.faults, self.state.fired_faults)
        self.internal.on_program = lambda address, data: faults.spoil(self.internal.read, address, data)
        self.internal.on_erase = faults.spoil_erase
        self._agenda = Agenda(self.state.events)
        self._debug = DebugSide(
            hardware,
            settings.silicon,
            self.state,
            memories,
            self._agenda,
            faults,
            self._lock,
            now_s=clock.monotonic_s,
            acts=BoardActs(self.advance, self._start, self._stop, self._save, self._opens_debug_port, self._cut_power),
        )
        self._port = UsbPort(
            self.state,
            self.truth,
            self._agenda,
            clock,
            faults,
            make_device=self._usb_device,
            next_address=next_address,
        )
        self._radio = Radio(
            hardware.radio,
            self.state,
            self.truth,
            self._agenda.add,
            self._agenda.cancel,
            scale=settings.network_scale,
        )
        self.protection = Protection(
            self.state,
            self.dct,
            enabled=settings.protected or settings.service_mode,
            bootloader_version=self._bootloader_version,
            bootloader_protects=lambda: bootloader_protects(self.boot_view()),
            now_s=clock.monotonic_s,
        )
        self._system = BoardSystem(
            hardware,
            self.state,
            self.dct,
            self._radio,
            FirmwareUpdate(
                hardware,
                memories.updates,
                self.internal,
                self.dct,
                self.boot_view,
                self.state,
                is_guarded=lambda: self.protection.enabled,
            ),
            self.protection,
            view=self.boot_view,
            now_s=clock.monotonic_s,
            restart_later=self._restart_later,
            ncp_update_s=self.timing.ncp_update_s,
            install_later=lambda after_s: self._agenda.add(clock.monotonic_s() + after_s, "install_update", ""),
            application_features=settings.application,
        )
        self.cloud_side = CloudSide(
            hardware, self.state, self._system, self.boot_view, clock, self._lock, self.advance, cloud
        )
        self._radio.cloud = self.cloud_side if cloud else None
        self._system.application.publish = self.cloud_side.publish
        self._system.application.subscribe = self.cloud_side.subscribe
        if kept is None:
            self.state.network_troubles = list(settings.network)
            leave_factory(
                settings, hardware, memories, self.protection, self.state, release_modules, self._bootloader_version
            )
            self.cloud_side.join()
            self._power_on(clock.monotonic_s() - _ARRIVED_BEFORE_S)
        else:
            self.cloud_side.join()
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

    def pull(self) -> None:
        """Pull its cable: it loses its power, and no switch gives it any."""
        with self._lock:
            self.advance()
            self._lose_power()
            self.state.unplugged = True
            self._save()

    def plug_in(self) -> None:
        """Return its cable; it boots, where the port has power."""
        with self._lock:
            self.advance()
            self.state.unplugged = False
            self.power_on()

    def reset_pin(self) -> None:
        """Press the reset button: backup registers survive."""
        with self._lock:
            self.advance()
            if self.state.powered:
                self._boot(self.clock.monotonic_s(), RESET_PIN)
                self.advance()
                self._save()

    # -- debug probe ---------------------------------------------------------------------------------------------

    @property
    def chip(self) -> Chip:
        """The controller as a debug probe reaches it; needs the emulator. ValueError where none is modelled."""
        with self._lock:
            return self._debug.chip()

    def keep(self) -> None:
        """Write down what the next process must know."""
        with self._lock:
            self._save()

    def add_fault(self, table: Mapping[str, Any]) -> None:
        """Let something go wrong from now on; see :mod:`particle_harness.faults`."""
        with self._lock:
            self._faults.add(table)

    def set_network_troubles(self, *names: str) -> None:
        """From now on this is wrong with its way to the network, and nothing else; see
        :mod:`particle_harness.network_trouble`. ValueError for a name that is none."""
        with self._lock:
            self.advance()
            self.state.network_troubles = list(parse_troubles(names))
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
            uicr=bytes(self._memories.uicr) if self._memories.uicr else None,
            ncp_version=self.state.ncp_version,
            encrypted_prefix=bytes.fromhex(self.state.km0_prefix),
        )

    def decide_boot(self) -> BootDecision:
        """Where a reset at this moment would end, without one."""
        with self._lock:
            self.advance()
            return decide_boot(self.boot_view())

    # -- agenda --------------------------------------------------------------------------------------------------

    def advance(self) -> None:
        """Catch up with the clock."""
        with self._lock:
            changed = False
            if self.state.halted_at_s is not None:
                return
            while event := self._agenda.next_due(self.clock.monotonic_s()):
                self._handle(*event)
                changed = True
            usb = self._port.device
            if isinstance(usb, NormalDevice):
                usb.service.advance()
            if changed:
                self._save()

    def _handle(self, at_s: float, name: str, argument: str) -> None:
        if name in radio_events.EVENTS:
            self._radio.handle(at_s, name)
        elif name == "enumerate":
            self._port.attach(after_reset=argument == "reset")
        elif name == "start_serial_port":
            self._port.detach()
            self.state.has_serial_port = True
            self._port.attach(after_reset=False)
        elif name == "restart" and (busy_until_s := self._system.registers_until_s) is not None:
            self._agenda.add(busy_until_s, name, argument)
        elif name == "restart":
            self._reset_into(at_s, argument)
        elif name == "install_update":
            self._system.firmware_update.apply()
            self._agenda.add(at_s + self.timing.restart_s, "restart", "update")
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

    # -- presence on the bus -------------------------------------------------------------------------------------

    def _reattach(self) -> None:
        self._port.reattach_after(self.timing.bootloader_usb_s)

    def _usb_device(self) -> UsbDevice:
        if self.state.runs != "dfu":
            version = system_version(self.boot_view())
            identity = running_identity(
                self.hardware, self.state.device_id, version, has_serial_port=self.state.has_serial_port
            )
            kind = running_kind(self.hardware)
            return kind(
                identity, self._system, now_s=self.clock.monotonic_s, reset_now=self._reset_now, delays=self._delays
            )
        return dfu_device(
            self.hardware,
            self.state.device_id,
            self._memories,
            self.protection,
            dct_is_reachable=lambda: photon_system_parts_are_intact(self.boot_view()),
            leave=self._start_leave,
            detach=self._reattach,
        )

    def _reset_now(self, into: str) -> None:
        self._reset_into(self.clock.monotonic_s(), into)

    # -- persistence ---------------------------------------------------------------------------------------------

    def _bootloader_version(self) -> int:
        prefix = read_prefix(self.internal.read, self.hardware.bootloader_address, self.hardware.mcu)
        return prefix.version if prefix else 0

    def _opens_debug_port(self) -> bool:
        uicr = self._memories.uicr
        return uicr is not None and firmware_opens_debug_port(
            uicr, self._bootloader_version(), is_protected=self.protection.locked
        )

    def _lose_power(self) -> None:
        self._radio.drop()
        self._port.detach()
        self._debug.lose_power()
        self.state.lose_power()

    def _take_up(self) -> None:
        """Go on where a former process left the board. One that was unplugged, or hangs, is plugged in again; one that
        was switched off stays off where the bench can switch it on."""
        state = self.state
        state.device_id = self.settings.device_id
        plugged_in = state.unplugged or (state.runs == "hung" and state.halted_at_s is None)
        if plugged_in:
            self._lose_power()
            state.unplugged = False
        if state.attached:
            self._port.take_up()
        if plugged_in or not self.settings.power_control:
            self.power_on()
            if self._delays and not state.attached:
                self.clock.sleep(_ARRIVED_BEFORE_S)

    def _save(self) -> None:
        self._memories.count_into(self.truth)
        self._debug.keep()
        if self._store is None:
            return
        self._port.keep()
        self.state.clock_s = self.clock.monotonic_s()
        self._store.save(self.state, self.truth)
