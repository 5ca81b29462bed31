"""Debug probes: which are there, who uses one, and what pyOCD's errors mean. Needs the extra ``swd``."""

from __future__ import annotations

import contextlib
import hashlib
import logging
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import platformdirs
from filelock import FileLock, Timeout
from pyocd.core import exceptions
from pyocd.probe.aggregator import DebugProbeAggregator

from particle_dev.errors import (
    DeviceAmbiguousError,
    DeviceNotFoundError,
    LinkAccessError,
    LinkDisconnectedError,
    LinkTimeoutError,
    TransportError,
)

# What matters becomes an error of ours; without a handler Python would print the rest.
logging.getLogger("pyocd").addHandler(logging.NullHandler())
_SYSFS_USB = Path("/sys/bus/usb/devices")


@dataclass(frozen=True, slots=True)
class ProbeInfo:
    """A debug probe. ``unique_id`` is its whole serial number, as pyOCD spells it; ``usb_path`` the place where it is
    plugged in, such as ``1-4.2``, None where the system does not tell or where several devices have that number."""

    unique_id: str
    vendor: str
    product: str
    usb_path: str | None = None


def list_probes() -> tuple[ProbeInfo, ...]:
    """Probes that are plugged in. Opens none of them for a chip. Raises TransportError."""
    with translated("the list of probes"):
        probes = DebugProbeAggregator.get_all_connected_probes()
    return tuple(
        ProbeInfo(p.unique_id, p.vendor_name or "", p.product_name or "", usb_path(p.unique_id)) for p in probes
    )


def usb_path(serial_number: str, devices: Path = _SYSFS_USB) -> str | None:
    """Where the USB device with that serial number is plugged in; None when none or several have it.

    Source: Linux Documentation/ABI/stable/sysfs-bus-usb.
    """
    paths = []
    for file in devices.glob("*/serial"):
        # A device may leave while it is looked at.
        with contextlib.suppress(OSError, UnicodeDecodeError):
            if file.read_text("utf-8").strip() == serial_number:
                paths.append(file.parent.name)
    return paths[0] if len(paths) == 1 else None


def probe_with_id(unique_id: str) -> Any:
    """pyOCD compares a part of the id; this one compares all of it. Raises DeviceNotFoundError when no probe has it,
    DeviceAmbiguousError when several do; TransportError."""
    with translated(unique_id):
        probes = DebugProbeAggregator.get_all_connected_probes(unique_id=unique_id)
    matches = [p for p in probes if p.unique_id == unique_id or unique_id.endswith(f":{p.unique_id}")]
    if not matches:
        known = ", ".join(p.unique_id for p in list_probes_quietly()) or "none"
        raise DeviceNotFoundError(
            f"no debug probe has the id '{unique_id}'",
            selector=unique_id,
            hint=f"give the whole id of one; plugged in: {known}",
        )
    if len(matches) > 1:
        raise DeviceAmbiguousError(
            f"{len(matches)} debug probes have the id '{unique_id}'",
            candidates=[p.unique_id for p in matches],
            hint="plug in one of them alone: cheap probes share a serial number",
        )
    return matches[0]


def list_probes_quietly() -> Sequence[ProbeInfo]:
    """As :func:`list_probes`, and none where that fails: for messages."""
    try:
        return list_probes()
    except TransportError:
        return ()


def take_probe(unique_id: str) -> FileLock:
    """Keep other sessions of this user off a probe until the lock is released. Raises LinkAccessError when one has it.

    Not every probe refuses a second program, and two sessions that drive one chip destroy each other's work.
    """
    folder = platformdirs.user_cache_path("particle-dev") / "probes"
    folder.mkdir(parents=True, exist_ok=True)
    lock = FileLock(folder / f"probe-{hashlib.sha256(unique_id.encode()).hexdigest()[:16]}.lock")
    try:
        lock.acquire(timeout=0)
    except Timeout as e:
        raise LinkAccessError(
            f"another session uses the debug probe {unique_id}", where=unique_id, hint="wait until it has ended"
        ) from e
    return lock


@contextlib.contextmanager
def translated(where: str) -> Iterator[None]:
    """Errors of pyOCD and of the system as ours: LinkDisconnectedError, LinkTimeoutError, LinkAccessError,
    TransportError; DeviceNotFoundError when no probe server is there."""
    try:
        yield
    except exceptions.ProbeDisconnected as e:
        raise LinkDisconnectedError(
            f"the debug probe left: {e}", where=where, hint="plug it in again, then run again"
        ) from e
    except (exceptions.TransferTimeoutError, exceptions.TimeoutError) as e:
        raise LinkTimeoutError(
            f"no answer in time: {e}", where=where, hint="lower the clock, check the wires and the board's power"
        ) from e
    except exceptions.TransferFaultError as e:
        raise TransportError(f"the chip refused an access: {e}", where=where, hint="is it the chip you expect?") from e
    except exceptions.TransferError as e:
        raise TransportError(
            f"the wire failed: {e}", where=where, hint="lower the clock, check the wires and the board's power"
        ) from e
    except exceptions.ProbeError as e:
        raise LinkAccessError(
            f"the debug probe cannot be used: {e}",
            where=where,
            hint="end any other program that uses the probe, then try again",
        ) from e
    except ConnectionRefusedError as e:
        raise DeviceNotFoundError(
            f"no probe server answers at {where}", hint="start it, or give the name that it prints with --probe"
        ) from e
    except OSError as e:
        # pyOCD lets what a socket says through.
        raise LinkDisconnectedError(
            f"the debug probe cannot be reached: {e.strerror or e}",
            where=where,
            hint="plug the probe in again, or start its server again; then run again",
        ) from e
    except exceptions.FlashFailure as e:
        raise TransportError(
            f"the chip's flash was not programmed: {e}",
            where=where,
            hint="see that no other program uses the probe and that the board keeps its power, then run again",
        ) from e
    except exceptions.Error as e:
        raise TransportError(
            str(e) or type(e).__name__, where=where, hint="check the wires, the board's power, and which chip it is"
        ) from e
