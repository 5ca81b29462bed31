"""What ends a wait for devices: udev's messages on Linux through pyudev, else the clock.

pyudev is LGPL and therefore an extra (``pip install particle-dev[hotplug]``). Without it, and wherever its socket
cannot be opened, polling does the same work up to :data:`POLL_INTERVAL_S` later; :func:`open_wake_up` says why.
"""

from __future__ import annotations

import errno
import sys
from pathlib import Path
from typing import Any

from particle_dev.errors import TransportError
from particle_dev.transport.base import Clock, WakeUp

POLL_INTERVAL_S = 0.25
MISSED_MESSAGE_S = 2.0
"""The bus is looked at this often even when udev says nothing: its messages can be lost."""
_UDEV_SOCKET = Path("/run/udev/control")


class PollingWakeUp:
    """Wakes every ``interval_s`` seconds of ``clock``, which for virtual boards is theirs."""

    name = "polling"

    def __init__(self, clock: Clock, interval_s: float = POLL_INTERVAL_S) -> None:
        self._clock = clock
        self._interval_s = interval_s

    def wait(self, timeout_s: float) -> None:
        """Sleep for the interval, or for ``timeout_s`` when that is shorter."""
        self._clock.sleep(min(self._interval_s, timeout_s))

    def close(self) -> None:
        """Nothing is held open."""


class UdevWakeUp:
    """Wakes when udev has finished with a USB device or a serial port, so that permissions are set by then.

    ``monitor`` is a started ``pyudev.Monitor``.
    """

    name = "udev"

    def __init__(self, monitor: Any) -> None:
        self._monitor = monitor

    def wait(self, timeout_s: float) -> None:
        """Return at the next message, or after :data:`MISSED_MESSAGE_S` without one. Raises TransportError."""
        left_s = min(timeout_s, MISSED_MESSAGE_S)
        try:
            # One enumeration makes a dozen messages; one look answers all that have come.
            while self._monitor.poll(left_s) is not None:
                left_s = 0
        except OSError as e:
            # ENOBUFS: so many messages came that the kernel dropped some. That, too, is a reason to look.
            if e.errno != errno.ENOBUFS:
                raise TransportError(
                    f"udev's messages cannot be received: {e.strerror}", where="udev", hint="run again"
                ) from e

    def close(self) -> None:
        """pyudev closes its socket with the object."""
        self._monitor = None


def open_wake_up(clock: Clock) -> tuple[WakeUp, str]:
    """The best wake-up for the USB ports of this machine and, when that is polling, why; else an empty text."""
    if not sys.platform.startswith("linux"):
        return PollingWakeUp(clock), f"{sys.platform} has no udev"
    try:
        # Imported late: an extra, and only those who watch need it.
        import pyudev  # noqa: PLC0415

        monitor = pyudev.Monitor.from_netlink(pyudev.Context())
        monitor.filter_by("usb")
        monitor.filter_by("tty")
        monitor.start()
    except ImportError as e:
        return PollingWakeUp(clock), f"pyudev or libudev is not installed ({e})"
    except OSError as e:
        return PollingWakeUp(clock), f"udev's socket cannot be opened: {e.strerror or e}"
    if not _UDEV_SOCKET.exists():
        return PollingWakeUp(clock), "udevd does not run here"
    return UdevWakeUp(monitor), ""
