"""How long boards take for what is not flash work. Delays in code are facts; boot and network times are assumed."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class BoardTiming:
    """Seconds. ``restart_s`` and ``leave_s`` stand in the firmware's source, the rest is assumed, not measured."""

    restart_s: float
    """Control requests 40, 50 and 60 wait before they act (HAL_Delay_Milliseconds(1000))."""
    leave_s: float
    """DFU mode waits after the last status (500 ms)."""
    bootloader_usb_s: float
    """Reset to DFU mode on the bus."""
    system_usb_s: float
    """Reset to Device OS on the bus."""
    restore_s: float
    """Bootloader copies an application or a system part."""
    transfer_s: float
    """One control transfer without data."""
    bytes_per_s: float
    """Control data on a full-speed bus."""
    rtl872x_leave_s: float
    """The same wait on RTL872x, which counts 500 passes of its main loop."""
    serial_port_s: float
    """An RTL872x comes onto the bus without its serial port; this much later it comes again with it."""
    watchdog_s: float
    """Three watchdog resets of 5 s each, after which a Photon's bootloader gives up and stays in DFU mode."""
    ncp_update_s: float
    """The running system programs a network processor."""


REALISTIC = BoardTiming(1.0, 0.5, 0.4, 1.2, 2.0, 0.0002, 1e6, 0.1, 0.3, 15.0, 60.0)
INSTANT = BoardTiming(0.0, 0.0, 0.0, 0.0, 0.0, 0.0, float("inf"), 0.0, 0.0, 0.0, 0.0)


@dataclass(frozen=True, slots=True)
class NetworkTiming:
    """Seconds after the start of the system; never shortened, so that tests see the race they would have."""

    network_attempt_s: float
    cloud_attempt_s: float
    connected_s: float


NETWORK_TIMING = {
    "cellular": NetworkTiming(3.0, 20.0, 25.0),
    "wifi": NetworkTiming(2.0, 6.0, 8.0),
}
