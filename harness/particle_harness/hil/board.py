"""A board that a test has: everything that reaches it, and what may be done to it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from particle_dev.catalog.platforms import Platform, UsbMode, platform_by_name
from particle_dev.device.control import ControlSession
from particle_dev.device.dfu import DfuSession
from particle_dev.device.discovery import device_at, wait_for_device
from particle_dev.device.model import Device
from particle_dev.device.modes import enter_dfu
from particle_dev.device.selftest import ControlSelfTestLink, SelfTestSession, SerialSelfTestLink
from particle_dev.errors import BenchError
from particle_dev.flash.inventory import read_inventory
from particle_dev.permissions import Permissions
from particle_dev.station.bench import Slot
from particle_dev.transport.base import Host
from particle_dev.transport.power import PowerControl
from particle_dev.transport.serial import PyserialHost
from particle_harness.hil.logs import BoardLog

if TYPE_CHECKING:
    from particle_harness.board import VirtualBoard

RETURN_TIMEOUT_S = 60.0
SELFTEST_BAUD = 115_200


@dataclass(frozen=True, slots=True)
class Board:
    """One board, this test's alone until it ends. ``permissions`` are those that the bench gives **and** the test's
    markers ask for: sessions made here hold them. ``device_os`` None: it was not running when the test got it."""

    name: str
    """Of its slot."""
    platform: Platform
    device_id: str
    """Empty when it is blank and the bench file does not say it."""
    device_os: str | None
    slot: Slot
    permissions: Permissions
    wiring: frozenset[str]
    log: BoardLog
    virtual_board: VirtualBoard | None = None

    def __str__(self) -> str:
        return f"{self.platform.display_name} {self.device_id or 'without Device ID'} in slot {self.name}"

    @property
    def is_virtual(self) -> bool:
        """Whether it is a model: what passes on it is a virtual proof."""
        return self.virtual_board is not None

    @property
    def host(self) -> Host:
        """What reaches it: USB, serial ports, and the clock of its slot."""
        return self.slot.host

    @property
    def power(self) -> PowerControl:
        """Its supply. Ask for it by the marker particle_power. Raises BenchError when the bench cannot switch it."""
        if self.slot.power is None:
            raise BenchError(
                f"slot {self.name} has no power switch", slot=self.name, hint="mark the test with particle_power"
            )
        return self.slot.power

    @property
    def virtual(self) -> VirtualBoard:
        """The model, for what no real board tells. Raises BenchError on a real one."""
        if self.virtual_board is None:
            raise BenchError(
                f"slot {self.name} holds a real board", slot=self.name, hint="such a test belongs to virtual boards"
            )
        return self.virtual_board

    def is_there(self) -> bool:
        """Whether it is on USB now."""
        return device_at(self.host, self.slot.port_path) is not None

    def device(self, timeout_s: float = RETURN_TIMEOUT_S) -> Device:
        """It as it is on USB now, waited for. Raises DeviceNotFoundError, LinkAccessError."""
        return wait_for_device(self.host, self.slot.port_path, timeout_s)

    def control(self) -> ControlSession:
        """Control requests to the running board, with the permissions of the test. Raises as ControlSession."""
        return ControlSession(self.host, self.device(), self.permissions)

    def dfu(self) -> DfuSession:
        """DFU, into which the board is brought when it runs. Raises as enter_dfu and DfuSession."""
        return DfuSession(self.host, self.in_dfu_mode(), self.permissions)

    @contextmanager
    def selftest(self) -> Iterator[SelfTestSession]:
        """Its self-test service, with the permissions of the test: over the serial line of its slot, else over control
        requests. Raises TransportError, and what the session raises."""
        clock = self.host.clock
        if self.slot.serial_url is None:
            with (
                self.control() as control,
                SelfTestSession(ControlSelfTestLink(control), clock, self.permissions) as session,
            ):
                yield session
            return
        with (
            closing(PyserialHost().open(self.slot.serial_url, SELFTEST_BAUD)) as line,
            SelfTestSession(SerialSelfTestLink(line, clock), clock, self.permissions) as session,
        ):
            yield session

    def in_dfu_mode(self) -> Device:
        """It in DFU mode, where it runs nothing and stays offline. Raises as enter_dfu."""
        device = self.device()
        if device.mode is not UsbMode.DFU:
            device, _ = enter_dfu(self.host, device)
        return device


def look(slot: Slot) -> tuple[Device | None, str | None]:
    """The board at a slot's port and the Device OS that it runs or holds. Raises TransportError, ProtocolError,
    RequestRefusedError."""
    device = device_at(slot.host, slot.port_path)
    if device is None:
        return None, None
    if device.mode is UsbMode.NORMAL:
        with ControlSession(slot.host, device) as session:
            return device, session.device_os
    return device, read_inventory(slot.host, device).device_os


def platform_of(slot: Slot, device: Device | None) -> Platform | None:
    """What is in a slot: as the board shows itself, else as the bench file says."""
    if device is not None:
        return device.platform
    return platform_by_name(slot.platform) if slot.platform else None
