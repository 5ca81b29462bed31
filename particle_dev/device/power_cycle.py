"""Takes the supply of a board away and gives it back, and proves by the board that it was without."""

from __future__ import annotations

from dataclasses import dataclass

from particle_dev.catalog.platforms import UsbMode
from particle_dev.device.control import ControlSession
from particle_dev.device.discovery import device_at, wait_for_device, wait_until_settled
from particle_dev.device.model import Device
from particle_dev.errors import ProtocolError, RequestRefusedError, TransportError
from particle_dev.permissions import Permissions
from particle_dev.transport.base import Host
from particle_dev.transport.power import PowerControl

OFF_S = 2.0
RETURN_TIMEOUT_S = 30.0
_MARGIN_S = 1.5
"""Uptimes are whole seconds, and a board may have been up for a while before it was asked."""


@dataclass(frozen=True, slots=True)
class PowerCycle:
    """``device`` as it came back. ``proven``: its uptime says that it booted after the power came; else ``why_not``."""

    device: Device
    proven: bool
    why_not: str = ""


def power_cycle(
    host: Host,
    port_path: str,
    power: PowerControl,
    permissions: Permissions,
    *,
    off_s: float = OFF_S,
    timeout_s: float = RETURN_TIMEOUT_S,
) -> PowerCycle:
    """The board after ``off_s`` seconds without supply. **It boots, and its application may connect, which starts
    billing**: needs ``may_connect``.

    A hub that drops a port from the bus and leaves its supply on is found out by a board whose uptime goes on.
    Raises PermissionMissingError, before anything is switched; TransportError; DeviceNotFoundError when nothing comes
    back.
    """
    permissions.require_connect("giving power to a board")
    before_s = _uptime_s(host, port_path)
    power.off()
    host.clock.sleep(off_s)
    power.on()
    on_s = host.clock.monotonic_s()
    device = wait_for_device(host, port_path, timeout_s)
    if device.mode is UsbMode.NORMAL:
        device = wait_until_settled(host, device, timeout_s)
    after_s = _uptime_s(host, port_path)
    since_on_s = host.clock.monotonic_s() - on_s
    if after_s is None:
        return PowerCycle(device, False, "it tells no uptime in this mode, or its Device OS has none")
    if after_s <= since_on_s + _MARGIN_S and (before_s is None or after_s < before_s + off_s + since_on_s - _MARGIN_S):
        return PowerCycle(device, True)
    if after_s > since_on_s + _MARGIN_S:
        return PowerCycle(
            device, False, f"it is up for {after_s} s, and had its power back {since_on_s:.1f} s ago: it was never off"
        )
    return PowerCycle(device, False, "it had booted shortly before: do it again")


def _uptime_s(host: Host, port_path: str) -> int | None:
    device = device_at(host, port_path)
    if device is None or device.mode is not UsbMode.NORMAL:
        return None
    try:
        with ControlSession(host, device) as session:
            return session.diagnostics().get("sys:uptime")
    except (ProtocolError, RequestRefusedError, TransportError):
        return None
