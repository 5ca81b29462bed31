"""The smallest things a medium can do, as protocols without any third-party import."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Protocol, runtime_checkable
from urllib.parse import quote

from particle_dev.protocol.secret import HIDDEN, Secret
from particle_dev.protocol.usb import ControlIn, ControlOut, TransferReply


class Clock(Protocol):
    """Time as a value that tests can replace."""

    def monotonic_s(self) -> float:
        """Seconds since an arbitrary start; never goes back."""
        ...

    def sleep(self, duration_s: float) -> None:
        """Return after ``duration_s`` seconds of this clock."""
        ...

    def utc_now(self) -> datetime:
        """Time of day, in UTC, for records."""
        ...


@dataclass(frozen=True, slots=True)
class UsbDeviceInfo:
    """One enumeration of one device on a bus.

    ``port_path`` is ``<bus>-<port>.<port>…``, the chain of hub ports from the root hub on, as Linux names the folder in
    /sys/bus/usb/devices: ``1-2.3`` is port 3 of the hub in port 2 of bus 1. It names the socket on the bench, so it
    survives re-enumeration and the exchange of boards; ``address`` does not: it changes each time a device enumerates,
    so an unchanged pair (port_path, address) proves that it never left.

    ``access_problem`` says why the device cannot be opened and what to do; then ``serial_number`` and ``product`` are
    empty where the system tells them to nobody else.
    """

    vid: int
    pid: int
    bus: int
    address: int
    port_path: str
    serial_number: str
    product: str
    access_problem: str = ""


class UsbLink(Protocol):
    """Endpoint 0 of one opened device. Every method raises TransportError subclasses only."""

    info: UsbDeviceInfo

    def control_in(
        self,
        bm_request_type: int,
        b_request: int,
        w_value: int,
        w_index: int,
        w_length: int,
        timeout_s: float,
    ) -> bytes:
        """Bytes that the device returned, at most ``w_length``."""
        ...

    def control_out(
        self, bm_request_type: int, b_request: int, w_value: int, w_index: int, data: bytes, timeout_s: float
    ) -> None:
        """Send ``data`` (may be empty)."""
        ...

    def claim_interface(self, number: int) -> None:
        """Take the interface for this process."""
        ...

    def set_interface_altsetting(self, number: int, alternate: int) -> None:
        """Choose an alternate setting."""
        ...

    def configuration_descriptor(self) -> bytes:
        """The raw configuration descriptor with all interfaces."""
        ...

    def string_descriptor(self, index: int) -> str:
        """A string descriptor in the device's first language."""
        ...

    def close(self) -> None:
        """Give the device back; never raises."""
        ...


@runtime_checkable
class QueueingUsbLink(Protocol):
    """A link that can hand several control transfers to the bus at once."""

    @property
    def can_queue(self) -> bool:
        """Whether this one can."""
        ...

    def control_queue(self, transfers: Sequence[ControlIn | ControlOut]) -> tuple[TransferReply, ...]:
        """Carry out transfers in their order; what the device answered to each, stalls included. Raises
        TransportError for the first that failed otherwise."""
        ...


class UsbHost(Protocol):
    """What is on the bus, and how to open it."""

    def enumerate(self) -> Sequence[UsbDeviceInfo]:
        """Particle devices (by VID/PID) that are on the bus now: those whose strings can be read, and those that the
        system refuses to open, with their ``access_problem``."""
        ...

    def open(self, info: UsbDeviceInfo) -> UsbLink:
        """A link to exactly that enumeration. Raises LinkDisconnectedError when it is gone, LinkAccessError when the
        operating system refuses."""
        ...


@dataclass(frozen=True, slots=True)
class SerialPortInfo:
    """A serial port that belongs to a USB device; ``url`` is what pyserial opens."""

    url: str
    vid: int
    pid: int
    serial_number: str


class SerialLink(Protocol):
    """An open serial port as a stream of bytes. Every method raises TransportError subclasses only."""

    where: str

    def read(self, timeout_s: float) -> bytes:
        """What has arrived, at least one byte, or nothing after ``timeout_s``."""
        ...

    def write(self, data: bytes) -> None:
        """Send all of ``data``."""
        ...

    def close(self) -> None:
        """Give the port back; never raises."""
        ...


class SerialHost(Protocol):
    """USB serial ports."""

    def ports(self) -> Sequence[SerialPortInfo]:
        """Ports that are there now; those of one device in the order of its interfaces."""
        ...

    def open(self, url: str, baud: int = ...) -> SerialLink:
        """The port as a stream, for one reader at a time. A ``baud`` other than the default is for real serial lines:
        on USB it has no effect, except that some rates are commands. Raises LinkDisconnectedError; LinkAccessError,
        also when another program reads it."""
        ...

    def touch(self, url: str, baud: int) -> None:
        """Open the port at ``baud`` and close it again. A device that vanishes meanwhile is no error."""
        ...


class WakeUp(Protocol):
    """Ends the wait of somebody who looks at the bus again and again."""

    @property
    def name(self) -> str:
        """``udev`` or ``polling``."""
        ...

    def wait(self, timeout_s: float) -> None:
        """Return when it is time to look again, after ``timeout_s`` at the latest."""
        ...

    def close(self) -> None:
        """Give the source back; never raises."""
        ...


@dataclass(frozen=True, slots=True)
class Host:
    """The openers of one place where devices are plugged in, with its clock."""

    usb: UsbHost
    serial: SerialHost
    clock: Clock


@dataclass(frozen=True, slots=True)
class HttpFile:
    """One file of a multipart body."""

    field: str
    name: str
    content: bytes


@dataclass(frozen=True, slots=True)
class HttpRequest:
    """One request. Secrets stay wrapped until the link puts them on the wire, so this prints without them.

    ``path`` holds unencoded segments. At most one of ``json`` and ``form`` is set; ``form`` with ``files`` is sent as
    multipart. ``json`` may hold Secrets at any depth. ``token`` goes into the Authorization header.
    """

    method: str
    path: tuple[str | int | Secret[str], ...]
    query: Mapping[str, str | int] = field(default_factory=dict)
    json: object = None
    form: Mapping[str, str | Secret[str]] | None = None
    files: tuple[HttpFile, ...] = ()
    token: Secret[str] | None = None
    headers: Mapping[str, str] = field(default_factory=dict)

    def shown(self) -> str:
        """Method and path for messages and logs, without query and secrets."""
        return f"{self.method} /" + "/".join(
            HIDDEN if isinstance(s, Secret) else quote(str(s), safe="", errors="replace") for s in self.path
        )


@dataclass(frozen=True, slots=True)
class HttpReply:
    """A whole answer. Header names are in lower case. ``body`` may hold secrets and is not part of the ``repr``."""

    status: int
    headers: Mapping[str, str]
    body: bytes = field(repr=False)


class HttpStream(Protocol):
    """The body of an answer while it arrives."""

    status: int
    headers: Mapping[str, str]

    def read(self) -> bytes:
        """The bytes that come next, nothing at the end of the answer. Raises LinkTimeoutError when none come within
        the time allowed, LinkDisconnectedError when the connection broke or :meth:`close` was called meanwhile."""
        ...

    def close(self) -> None:
        """End the answer, also while another thread reads; never raises."""
        ...


class HttpLink(Protocol):
    """Requests to one server. Every method raises TransportError subclasses only. Usable from several threads."""

    where: str

    def send(self, request: HttpRequest, timeout_s: float) -> HttpReply:
        """The answer, of any status. Redirects are not followed."""
        ...

    def open_stream(self, request: HttpRequest, timeout_s: float, silence_s: float) -> HttpStream:
        """The answer as soon as its head is there, which may take ``timeout_s``. Reads fail after ``silence_s``
        seconds without a byte."""
        ...

    def close(self) -> None:
        """Close all connections; never raises."""
        ...
