"""Brings one board into another mode and proves that it arrived."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

from particle_dev.catalog.platforms import UsbMode
from particle_dev.device.console import ConsoleSession, open_serial_port, touch_into_listening
from particle_dev.device.control import ControlSession
from particle_dev.device.dfu import DfuSession
from particle_dev.device.discovery import POLL_INTERVAL_S, wait_for_mode, wait_until_settled
from particle_dev.device.model import LEAVE_DFU_FIRST, Device
from particle_dev.device.modes import TRANSITIONS, ArrivalEvidence, Target, Transition, Way, enter_dfu
from particle_dev.errors import (
    ControlProtocolError,
    DeviceModeError,
    LinkAccessError,
    LinkDisconnectedError,
    LinkTimeoutError,
    NoWayToModeError,
    RequestRefusedError,
    RequestUnsupportedError,
)
from particle_dev.permissions import NOTHING, Permissions
from particle_dev.protocol.messages import DeviceMode
from particle_dev.transport.base import Host

ARRIVAL_TIMEOUT_S = 60.0
"""How long a board may take to come back. Source: particle-cli 3.43.1 src/cmd/usb-util.js."""
_SWITCH_TIMEOUT_S = 10.0
_STARTS_WITHIN_S = 5.0
"""From its enumeration until its system takes control requests; meanwhile their endpoint stalls."""
_PROTECTED = -1801
_MIN_UPTIME_S = 3
"""A younger boot cannot be told from the next one by uptimes in whole seconds."""
ResultT = TypeVar("ResultT")


@dataclass(frozen=True, slots=True)
class ModeChange:
    """``device`` as it is on the bus now. ``transition`` is None when it was there already.

    ``missing`` names what the transition's evidence lacks: nothing then proves that the board is in the mode wanted.
    ``device_mode`` is its answer to request 72, where it was asked.
    """

    device: Device
    transition: Transition | None
    evidence: tuple[ArrivalEvidence, ...]
    missing: tuple[ArrivalEvidence, ...] = ()
    device_mode: DeviceMode | None = None


def transition_for(device: Device, target: Target, way: Way | None = None) -> Transition | None:
    """The row of the mode table that :func:`change_mode` would use, None when the board shows the mode already. Raises
    NoWayToModeError when no row leads there from the board's mode."""
    if target is Target.DFU and device.mode is UsbMode.DFU:
        return None
    for row in TRANSITIONS:
        if row.target is target and row.source is device.mode and way in (None, row.way):
            return row
    ways = sorted({str(row.way) for row in TRANSITIONS if row.target is target and row.source is device.mode})
    raise NoWayToModeError(
        f"{device}: no way to '{target}'" + (f" by {way}" if way else "") + f" from {device.mode} mode",
        expected=target,
        actual=device.mode,
        hint=f"leave out --by, or use one of: {', '.join(ways)}" if ways else LEAVE_DFU_FIRST,
    )


def change_mode(
    host: Host,
    device: Device,
    target: Target,
    permissions: Permissions = NOTHING,
    *,
    way: Way | None = None,
    timeout_s: float = ARRIVAL_TIMEOUT_S,
) -> ModeChange:
    """The board in the mode wanted, with the evidence for it.

    Rows of the mode table with ``may_connect`` **can bring the board online, which starts billing**; they need that
    permission, and without it nothing is sent. ``way`` None is the first row; only on the way into DFU mode does a
    serial touch follow a control request that the board does not answer.

    Raises PermissionMissingError; NoWayToModeError (nothing was changed); DeviceModeError (it did not arrive);
    WrongDeviceError (another board came back); RequestRefusedError; TransportError.
    """
    transition = transition_for(device, target, way)
    if transition is None:
        return ModeChange(device, None, (ArrivalEvidence.PRODUCT_ID,))
    if transition.may_connect:
        permissions.require_connect(f"mode {target}")
    try:
        return _change(host, device, transition, permissions, way, timeout_s)
    except RequestRefusedError as error:
        if error.result_code != _PROTECTED:
            raise
        raise NoWayToModeError(
            f"{device} is protected and changes its mode for nobody",
            expected=target,
            actual=device.mode,
            hint="its owner can open it for a while in the cloud; by hand, hold MODE while tapping RESET until the LED "
            "blinks yellow: DFU mode, in which it stays protected",
        ) from error


def _change(
    host: Host, device: Device, transition: Transition, permissions: Permissions, way: Way | None, timeout_s: float
) -> ModeChange:
    match transition.target:
        case Target.DFU:
            return _to_dfu(host, device, transition, way, timeout_s)
        case Target.LISTENING:
            return _to_listening(host, device, transition)
        case Target.NORMAL if transition.way is Way.CONTROL:
            return _out_of_listening(host, device, transition, permissions)
        case Target.NORMAL | Target.SAFE if transition.way is Way.DFU:
            return _out_of_dfu(host, device, transition, permissions, timeout_s)
        case _:
            return _restart(host, device, transition, permissions, timeout_s)


def _to_dfu(host: Host, device: Device, transition: Transition, way: Way | None, timeout_s: float) -> ModeChange:
    arrived, used_way = enter_dfu(host, device, way, timeout_s)
    used = next(row for row in TRANSITIONS if row.target is Target.DFU and row.way is used_way)
    return ModeChange(arrived, used, transition.evidence)


def _to_listening(host: Host, device: Device, transition: Transition) -> ModeChange:
    if transition.way is Way.TOUCH:
        return _touch_listening(host, device, transition)
    with ControlSession(host, device) as session:
        mode = _told_mode(session)
        if mode is DeviceMode.LISTENING:
            return ModeChange(device, None, (ArrivalEvidence.DEVICE_MODE,), device_mode=DeviceMode.LISTENING)
        session.start_listening()
        if mode is not None:
            _wait_for_device_mode(host, session, DeviceMode.LISTENING, "its application may forbid listening mode")
            return ModeChange(device, transition, (ArrivalEvidence.DEVICE_MODE,), device_mode=DeviceMode.LISTENING)
    return _proven_by_console(host, device, transition)


def _told_mode(session: ControlSession) -> DeviceMode | None:
    """Its mode; None from a Device OS that cannot be asked for it."""
    try:
        return session.device_mode()
    except RequestUnsupportedError:
        return None


def _proven_by_console(host: Host, device: Device, transition: Transition) -> ModeChange:
    with ConsoleSession(open_serial_port(host, device), clock=host.clock) as console:
        console.version()
    return ModeChange(device, transition, (ArrivalEvidence.CONSOLE,))


def _touch_listening(host: Host, device: Device, transition: Transition) -> ModeChange:
    try:
        with ControlSession(host, device) as session:
            device_os = session.device_os
    except LinkAccessError:
        # The serial port may be open to us where USB is not; then its console has to prove the mode.
        touch_into_listening(host, device, None)
        return _proven_by_console(host, device, transition)
    touch_into_listening(host, device, device_os)
    with ControlSession(host, device) as session:
        if _told_mode(session) is None:
            return _proven_by_console(host, device, transition)
        _wait_for_device_mode(host, session, DeviceMode.LISTENING, "use the control request")
    return ModeChange(device, transition, (ArrivalEvidence.DEVICE_MODE,), device_mode=DeviceMode.LISTENING)


def _out_of_listening(host: Host, device: Device, transition: Transition, permissions: Permissions) -> ModeChange:
    with ControlSession(host, device, permissions) as session:
        mode = _told_mode(session)
        if mode is DeviceMode.NORMAL:
            return ModeChange(device, None, (ArrivalEvidence.DEVICE_MODE,), device_mode=DeviceMode.NORMAL)
        session.stop_listening()
        if mode is None:
            return ModeChange(device, transition, (), (ArrivalEvidence.DEVICE_MODE,))
        hint = "a board without Wi-Fi credentials, or not set up before Device OS 4.0.0, goes on listening by itself"
        _wait_for_device_mode(host, session, DeviceMode.NORMAL, hint)
    return ModeChange(device, transition, (ArrivalEvidence.DEVICE_MODE,), device_mode=DeviceMode.NORMAL)


def _wait_for_device_mode(host: Host, session: ControlSession, wanted: DeviceMode, hint: str) -> None:
    deadline_s = host.clock.monotonic_s() + _SWITCH_TIMEOUT_S
    while (mode := session.device_mode()) is not wanted:
        if host.clock.monotonic_s() >= deadline_s:
            raise DeviceModeError(
                f"{session.device} is in {mode} mode {_SWITCH_TIMEOUT_S:.0f} s after it was asked for {wanted} mode",
                expected=wanted,
                actual=mode,
                hint=hint,
            )
        host.clock.sleep(POLL_INTERVAL_S)


def _out_of_dfu(
    host: Host, device: Device, transition: Transition, permissions: Permissions, timeout_s: float
) -> ModeChange:
    deadline_s = host.clock.monotonic_s() + timeout_s
    with DfuSession(host, device, permissions) as session:
        if transition.target is Target.SAFE:
            session.leave_into_safe_mode()
        else:
            session.leave()
    arrived, mode = _ask_after_boot(host, device, deadline_s, _device_mode)
    missing = (ArrivalEvidence.RESET_REASON,) if transition.target is Target.SAFE else ()
    return ModeChange(arrived, transition, transition.evidence, missing, mode)


def _restart(
    host: Host, device: Device, transition: Transition, permissions: Permissions, timeout_s: float
) -> ModeChange:
    deadline_s = host.clock.monotonic_s() + timeout_s
    with ControlSession(host, device, permissions) as session:
        uptime_s = _diagnostics(session).get("sys:uptime")
        if uptime_s is not None and uptime_s < _MIN_UPTIME_S:
            host.clock.sleep(_MIN_UPTIME_S - uptime_s)
        booted_s = None if uptime_s is None else host.clock.monotonic_s() - max(uptime_s, _MIN_UPTIME_S)
        if transition.target is Target.SAFE:
            session.enter_safe_mode()
        elif transition.way is Way.CONTROL:
            session.reset()
        elif not session.reset_now():
            raise NoWayToModeError(
                f"{device} does not know the raw reset; Device OS 2.0.0 and later do",
                expected=transition.target,
                actual=device.mode,
                hint="leave out --by, for a control request",
            )
    arrived, diagnostics = _ask_after_boot(host, device, deadline_s, _diagnostics)
    found = {ArrivalEvidence.PRODUCT_ID}
    uptime_s = diagnostics.get("sys:uptime")
    # Uptimes are whole seconds: two readings in one boot give times of booting less than a second apart.
    if booted_s is not None and uptime_s is not None and host.clock.monotonic_s() - uptime_s > booted_s + 1.5:
        found.add(ArrivalEvidence.UPTIME)
    evidence = tuple(e for e in transition.evidence if e in found)
    return ModeChange(arrived, transition, evidence, tuple(e for e in transition.evidence if e not in found))


def _diagnostics(session: ControlSession) -> dict[str, int]:
    try:
        return session.diagnostics()
    except RequestRefusedError:
        # Old or protected: there is no uptime to compare, and the result says so.
        return {}


def _device_mode(session: ControlSession) -> DeviceMode | None:
    try:
        return session.device_mode()
    except RequestRefusedError:
        return None


def _ask_after_boot(
    host: Host, before: Device, deadline_s: float, question: Callable[[ControlSession], ResultT]
) -> tuple[Device, ResultT]:
    """The board in normal mode again, and its answer. One that leaves while it is asked is waited for again, and one
    that refuses requests as a system does that is just starting is asked again."""
    starting_until_s: float | None = None
    while True:
        seen = wait_for_mode(host, before, UsbMode.NORMAL, deadline_s - host.clock.monotonic_s())
        seen = wait_until_settled(host, seen, deadline_s - host.clock.monotonic_s())
        try:
            with ControlSession(host, seen) as session:
                return seen, question(session)
        except (LinkDisconnectedError, LinkTimeoutError):
            if host.clock.monotonic_s() >= deadline_s:
                raise
            starting_until_s = None
        except ControlProtocolError:
            now_s = host.clock.monotonic_s()
            starting_until_s = starting_until_s or min(deadline_s, now_s + _STARTS_WITHIN_S)
            if now_s >= starting_until_s:
                raise
            host.clock.sleep(POLL_INTERVAL_S)
