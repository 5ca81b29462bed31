"""How a device gets from one mode into another, and what proves that it arrived."""

from __future__ import annotations

from enum import StrEnum
from typing import NamedTuple

from particle_dev.catalog.console import DFU_SPEED, LISTENING_SPEED
from particle_dev.catalog.platforms import UsbMode
from particle_dev.catalog.requests import ControlRequest, RawRequest
from particle_dev.device.control import ControlSession
from particle_dev.device.discovery import POLL_INTERVAL_S, device_at, is_same_enumeration, wait_for_mode
from particle_dev.device.model import Device
from particle_dev.errors import (
    ControlProtocolError,
    DeviceAmbiguousError,
    DeviceModeError,
    DeviceNotFoundError,
    LinkTimeoutError,
)
from particle_dev.protocol.dfuse import DfuseCommand
from particle_dev.transport.base import Host

DFU_TOUCH_BAUD = DFU_SPEED.baud
RESETS_WITHIN_S = 5.0
"""A board that has said yes to DFU mode resets one second later. One that is still there then does not come to it: an
Electron whose only thread waits for its modem, executed with Device OS 2.1.0 (docs/emulator.md)."""


class Target(StrEnum):
    """What a host can ask a board for. RESET keeps the mode it would boot into."""

    DFU = "dfu"
    SAFE = "safe"
    LISTENING = "listening"
    NORMAL = "normal"
    RESET = "reset"


class Way(StrEnum):
    """By what it asks."""

    CONTROL = "control"
    """A control request that the system answers."""
    RAW = "raw"
    """A control transfer that acts at once, even when the system is blocked."""
    TOUCH = "touch"
    """A serial speed that is a command."""
    DFU = "dfu"
    """A command to the bootloader."""


WAYS_INTO_DFU = (Way.CONTROL, Way.TOUCH)


class ArrivalEvidence(StrEnum):
    """What proves that a board arrived."""

    PRODUCT_ID = "same Device ID at the same port, enumerated anew as that mode"
    DEVICE_MODE = "control request 72"
    CONSOLE = "the listening console answered"
    UPTIME = "uptime began anew"
    RESET_REASON = "reset reason, which no Device OS tells"


class Transition(NamedTuple):
    """One row of the mode table.

    ``delay_s`` passes on the device before it acts. ``boots_application`` means that the application may run
    afterwards; ``may_connect`` that the board can go online, by the application or by the system itself.
    """

    target: Target
    source: UsbMode
    way: Way
    code: int
    delay_s: float
    boots_application: bool
    may_connect: bool
    evidence: tuple[ArrivalEvidence, ...]
    note: str = ""


_NORMAL, _DFU = UsbMode.NORMAL, UsbMode.DFU
_BUS = (ArrivalEvidence.PRODUCT_ID,)
_MODE = (ArrivalEvidence.DEVICE_MODE,)
_RESET = (ArrivalEvidence.PRODUCT_ID, ArrivalEvidence.UPTIME)
_R = ControlRequest
_DNLOAD = 1

TRANSITIONS: tuple[Transition, ...] = (
    Transition(Target.DFU, _NORMAL, Way.CONTROL, _R.DFU_MODE, 1.0, False, False, _BUS, "refused by protected boards"),
    Transition(Target.DFU, _NORMAL, Way.TOUCH, DFU_TOUCH_BAUD, 0.0, False, False, _BUS, "works while the system hangs"),
    Transition(
        Target.SAFE,
        _NORMAL,
        Way.CONTROL,
        _R.SAFE_MODE,
        1.0,
        False,
        True,
        (*_RESET, ArrivalEvidence.RESET_REASON),
        "the system connects, whatever the application wants",
    ),
    Transition(
        Target.SAFE,
        _DFU,
        Way.DFU,
        DfuseCommand.ENTER_SAFE_MODE,
        0.5,
        False,
        True,
        _BUS,
        "bootloaders since Device OS 6.1.1; nothing on the board tells safe mode from normal mode afterwards",
    ),
    Transition(
        Target.LISTENING,
        _NORMAL,
        Way.CONTROL,
        _R.START_LISTENING,
        0.0,
        False,
        False,
        _MODE,
        "no new enumeration; since Device OS 4.0.0 the answer comes when it listens",
    ),
    Transition(
        Target.LISTENING,
        _NORMAL,
        Way.TOUCH,
        LISTENING_SPEED.baud,
        0.0,
        False,
        False,
        _MODE,
        f"no new enumeration; Device OS up to {LISTENING_SPEED.until}",
    ),
    Transition(
        Target.NORMAL,
        _NORMAL,
        Way.CONTROL,
        _R.STOP_LISTENING,
        0.0,
        False,
        True,
        _MODE,
        "out of listening mode; no new enumeration; connects if it wanted to before",
    ),
    Transition(Target.NORMAL, _DFU, Way.DFU, _DNLOAD, 0.5, True, True, _BUS, "DNLOAD of length 0"),
    Transition(Target.RESET, _NORMAL, Way.CONTROL, _R.RESET, 1.0, True, True, _RESET),
    Transition(
        Target.RESET,
        _NORMAL,
        Way.RAW,
        RawRequest.RESET,
        0.0,
        True,
        True,
        _RESET,
        "Device OS 2.0.0 and later; works while the system hangs",
    ),
)
"""In the order of preference. Source: device-os v6.2.0 system/src/system_control_internal.cpp (1 s before a reset),
system_update.cpp system_lineCodingBitRateHandler, system/src/control/common.cpp and system_mode.cpp (what connects),
bootloader/src/nRF52840/usbd_dfu.cpp (500 ms after manifest; 0xFA), v6.0.0 without it, v6.1.1 with it."""


def enter_dfu(host: Host, device: Device, by: Way | None = None, timeout_s: float = 30.0) -> tuple[Device, Way]:
    """The same board in DFU mode, and the way that led there.

    ``by`` None asks by control request first and, when the device does not answer it or says yes and stays, by 14400
    baud on its serial port; a device that refuses is not asked twice. Arrival is proven by the DFU product id at the
    same port with the same Device ID. Raises DeviceModeError (also for a device that is in DFU mode already, and for a
    way that does not lead there), DeviceAmbiguousError, WrongDeviceError, TransportError.
    """
    if device.mode is UsbMode.DFU:
        raise DeviceModeError(
            f"{device} is in DFU mode already",
            expected=UsbMode.NORMAL,
            actual=UsbMode.DFU,
            hint="leave the step out; `particle-dev flash` takes it as it is",
        )
    used = by or Way.CONTROL
    if used not in WAYS_INTO_DFU:
        raise DeviceModeError(
            f"{device}: no way into DFU mode by {used}",
            expected=UsbMode.DFU,
            actual=device.mode,
            hint=f"possible: {', '.join(WAYS_INTO_DFU)}",
        )
    if used is Way.CONTROL:
        try:
            with ControlSession(host, device) as session:
                session.enter_dfu_mode()
        except (LinkTimeoutError, ControlProtocolError):
            if by is not None:
                raise
            used = Way.TOUCH
        else:
            if by is None and _stays(host, device, min(RESETS_WITHIN_S, timeout_s)) and serial_port_of(host, device):
                used = Way.TOUCH
    if used is Way.TOUCH:
        touch_serial_port(host, device)
    return wait_for_mode(host, device, UsbMode.DFU, timeout_s), used


def serial_port_of(host: Host, device: Device) -> str | None:
    """The URL of the board's serial port, None when it has none; of several, that of the system, not one of the
    application. Raises DeviceAmbiguousError when another board has the same USB serial number, or neither has one:
    nothing tells their ports apart, and a speed can be a command. Raises TransportError when ports or bus cannot be
    listed."""
    wanted = (device.usb.serial_number, device.usb.vid, device.usb.pid)
    urls = [port.url for port in host.serial.ports() if (port.serial_number, port.vid, port.pid) == wanted]
    if not urls:
        return None
    # An application that begins USBSerial1 gives its board a second port; only the bus tells that from a second board.
    twins = [usb.port_path for usb in host.usb.enumerate() if (usb.serial_number, usb.vid, usb.pid) == wanted]
    if len(twins) > 1:
        raise DeviceAmbiguousError(
            f"{device}: the boards at {', '.join(twins)} have one USB serial number, so nothing tells whose serial "
            f"ports these are: {', '.join(urls)}",
            candidates=urls,
            hint="unplug the others, then run again: boards that give the same number have a defect",
        )
    return urls[0]


def _stays(host: Host, device: Device, duration_s: float) -> bool:
    """Whether it is on the bus for so long as it is now."""
    end_s = host.clock.monotonic_s() + duration_s
    while host.clock.monotonic_s() < end_s:
        seen = device_at(host, device.usb.port_path)
        if seen is None or not is_same_enumeration(seen, device):
            return False
        host.clock.sleep(POLL_INTERVAL_S)
    return True


def touch_serial_port(host: Host, device: Device, timeout_s: float = 5.0, baud: int = DFU_TOUCH_BAUD) -> None:
    """Open the board's serial port at 14400 baud, which resets it into DFU mode at once, or at another speed that is a
    command (catalog.console). Raises DeviceNotFoundError when it has no serial port, DeviceAmbiguousError."""
    deadline_s = host.clock.monotonic_s() + timeout_s
    while True:
        if url := serial_port_of(host, device):
            host.serial.touch(url, baud)
            return
        if host.clock.monotonic_s() >= deadline_s:
            raise DeviceNotFoundError(
                f"{device} has no serial port",
                selector=device.device_id,
                hint="use the control request, or hold MODE while tapping RESET until the LED blinks yellow",
            )
        host.clock.sleep(POLL_INTERVAL_S)
