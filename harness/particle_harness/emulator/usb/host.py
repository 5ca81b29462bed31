"""The host's end of the cable: whole transfers of packets, with the firmware running until it answers.

Source: USB 2.0 specification, 8.5.3 (control transfers), 8.5.2 (bulk), 8.5.4 (interrupt), 9.1.2 (enumeration).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from itertools import islice
from typing import Protocol

from particle_harness.emulator.core.timeline import Timeline
from particle_harness.emulator.usb.controller import Handshake, Stalled, UsbController
from particle_harness.usb.descriptors import (
    CONFIGURATION,
    DEVICE,
    ENDPOINT,
    INTERFACE,
    LANGUAGES,
    STRING,
    UsbIdentity,
    descriptors_of,
)
from particle_harness.usb.transfer import GoneError, Setup, SilentError, StallError, StandardRequest

CONTROL_PACKET_BYTES = BULK_PACKET_BYTES = 64
TRANSFER_LIMIT_S = 10.0
"""Virtual time in which a transfer must end; flash work of the firmware is the longest that there is."""
_ENUMERATION_LIMIT_S = 0.5
"""The same of a standard request. Source: USB 2.0 specification, 9.2.6.4."""
_SHORTEST_WAIT_S, _LONGEST_WAIT_S = 20e-6, 1e-3
"""Between tries of a packet that is not taken: tries of a full-speed bus, and its frames."""
_RESET_S, _RECOVERY_S = 0.010, 0.010
_US_ENGLISH = 0x0409
_BULK = 2
_IN = 0x80


class Runner(Protocol):
    """What executes the firmware."""

    def run(self, until_cycle: int) -> None:
        """Until that cycle of virtual time, or until the core can do nothing more."""
        ...


class UsbHost:
    """Transfers to one controller. ``alive()``: whether the core can run at all; a halted or dead one answers
    nothing. Not for several threads at once."""

    def __init__(
        self,
        controller: UsbController,
        processor: Runner,
        timeline: Timeline,
        alive: Callable[[], bool] = lambda: True,
        *,
        limit_s: float = TRANSFER_LIMIT_S,
    ) -> None:
        self.controller = controller
        self._processor = processor
        self._timeline = timeline
        self._alive = alive
        self._limit = timeline.cycles_of(limit_s)

    def give_up_after(self, limit_s: float) -> None:
        """From now on: transfers that nobody answers."""
        self._limit = self._timeline.cycles_of(limit_s)

    # ---- transfers --------------------------------------------------------------------------------------------------

    def control(self, setup: Setup, data: bytes = b"") -> bytes:
        """One control transfer with its data and status stages. Raises StallError, GoneError, SilentError."""
        self._require_connected(during=False)
        end = self._timeline.cycles + self._limit
        self.controller.setup(setup.pack())
        if setup.is_in and setup.w_length:
            reply = b""
            while True:
                packet = self._receive(0, end)
                reply += packet
                if len(packet) < CONTROL_PACKET_BYTES or len(reply) >= setup.w_length:
                    break
            reply = reply[: setup.w_length]
            try:
                self._send(0, b"", end)
            except StallError:
                raise StallError(reply) from None
            return reply
        for packet in _packets(data, CONTROL_PACKET_BYTES):
            self._send(0, packet, end)
        self._receive(0, end)
        return b""

    def give_up(self, setup: Setup, data: bytes = b"", packets: int = 0) -> bytes:
        """SETUP, and so many packets of the data stage; then the host sends no more tokens. What it has got. Raises
        StallError, GoneError, SilentError."""
        self._require_connected(during=False)
        end = self._timeline.cycles + self._limit
        self.controller.setup(setup.pack())
        reply = b""
        if not setup.is_in:
            for packet in islice(_packets(data, CONTROL_PACKET_BYTES), packets):
                self._send(0, packet, end)
            return b""
        for _ in range(packets):
            packet = self._receive(0, end)
            reply += packet
            if len(packet) < CONTROL_PACKET_BYTES or len(reply) >= setup.w_length:
                break
        return reply

    def bulk_out(self, endpoint: int, data: bytes) -> None:
        """All of ``data`` in packets. Raises StallError, GoneError, SilentError."""
        self._require_connected(during=False)
        end = self._timeline.cycles + self._limit
        for packet in _packets(data, BULK_PACKET_BYTES):
            self._send(endpoint & 0x7F, packet, end)

    def poll_in(self, endpoint: int, size_bytes: int) -> bytes:
        """What a bulk or interrupt endpoint has ready, at most that much in whole packets; nothing runs meanwhile
        beyond what a packet needs. Raises StallError, GoneError."""
        self._require_connected(during=False)
        reply = b""
        while len(reply) + BULK_PACKET_BYTES <= max(size_bytes, BULK_PACKET_BYTES):
            packet = self.controller.in_token(endpoint & 0x7F)
            if packet is None:
                break
            if isinstance(packet, Stalled):
                raise StallError
            reply += packet
            self.run_for(_SHORTEST_WAIT_S)
            if len(packet) < BULK_PACKET_BYTES:
                break
        return reply

    def bus_reset(self, takes_s: float = _RESET_S + _RECOVERY_S) -> None:
        """SE0 for as long as a host drives it, and the time a device has to recover: together ``takes_s``."""
        self._require_connected(during=False)
        self.controller.bus_reset()
        self.run_for(takes_s)

    def run_for(self, duration_s: float) -> None:
        """Let the firmware go on for that much virtual time."""
        self._processor.run(self._timeline.cycles + self._timeline.cycles_of(duration_s))

    # ---- enumeration ------------------------------------------------------------------------------------------------

    def enumerate(self, address: int) -> UsbIdentity:
        """Reset, address, descriptors and strings, first configuration. Raises StallError, GoneError, SilentError."""
        limit = self._limit
        self._limit = min(limit, self._timeline.cycles_of(_ENUMERATION_LIMIT_S))
        try:
            return self._enumerate(address)
        finally:
            self._limit = limit

    def _enumerate(self, address: int) -> UsbIdentity:
        self.bus_reset()
        self.control(Setup(0x80, StandardRequest.GET_DESCRIPTOR, DEVICE << 8, 0, CONTROL_PACKET_BYTES))
        self.bus_reset()
        self.control(Setup(0x00, StandardRequest.SET_ADDRESS, address, 0, 0))
        self.run_for(0.002)
        device = self.descriptor(DEVICE, 0, 18)
        head = self.descriptor(CONFIGURATION, 0, 9)
        configuration = self.descriptor(CONFIGURATION, 0, int.from_bytes(head[2:4], "little"))
        strings = self._strings(device[14:17])
        self.control(Setup(0x00, StandardRequest.SET_CONFIGURATION, configuration[5], 0, 0))
        # As Linux does. A Photon's Device OS leaves whoever asks for them earlier without an answer.
        interfaces = [d[8] for d in descriptors_of(configuration) if d[1] == INTERFACE]
        strings |= self._strings([configuration[6], *interfaces])
        if strings:
            strings = {0: LANGUAGES, **strings}
        return UsbIdentity(device, configuration, strings, None, "", 0)

    def descriptor(self, kind: int, index: int, length: int, language: int = 0) -> bytes:
        """One descriptor. Raises StallError, GoneError, SilentError."""
        return self.control(Setup(0x80, StandardRequest.GET_DESCRIPTOR, kind << 8 | index, language, length))

    def _strings(self, indices: Iterable[int]) -> dict[int, bytes]:
        strings: dict[int, bytes] = {}
        for index in sorted(set(indices) - {0}):
            try:
                strings[index] = self.descriptor(STRING, index, 255, _US_ENGLISH)
            except StallError:
                continue
        return strings

    # ---- packets ----------------------------------------------------------------------------------------------------

    def _receive(self, endpoint: int, end: int) -> bytes:
        for _ in self._tries(end):
            packet = self.controller.in_token(endpoint)
            if isinstance(packet, Stalled):
                raise StallError
            if packet is not None:
                return packet
        raise SilentError(during=True)

    def _send(self, endpoint: int, packet: bytes, end: int) -> None:
        for _ in self._tries(end):
            handshake = self.controller.out_data(endpoint, packet)
            if handshake is Handshake.STALL:
                raise StallError
            if handshake is Handshake.ACK:
                return
        raise SilentError(during=True)

    def _tries(self, end: int) -> Iterator[None]:
        """Once for each time a packet is tried; the firmware runs in between."""
        timeline = self._timeline
        wait, longest = timeline.cycles_of(_SHORTEST_WAIT_S), timeline.cycles_of(_LONGEST_WAIT_S)
        while timeline.cycles < end:
            if not self._alive():
                return
            self._require_connected(during=True)
            yield
            self._processor.run(timeline.cycles + wait)
            wait = min(2 * wait, longest)

    def _require_connected(self, *, during: bool) -> None:
        if not self.controller.connected:
            raise GoneError(during=during)


def _packets(data: bytes, size_bytes: int) -> Iterator[bytes]:
    for offset in range(0, len(data), size_bytes):
        yield data[offset : offset + size_bytes]


def bulk_endpoints(configuration: bytes) -> tuple[int, int] | None:
    """Addresses of the first bulk endpoint in and out of a configuration; None without both."""
    bulk = [d[2] for d in descriptors_of(configuration) if d[1] == ENDPOINT and d[3] & 3 == _BULK]
    inward = next((e for e in bulk if e & _IN), None)
    outward = next((e for e in bulk if not e & _IN), None)
    return None if inward is None or outward is None else (inward, outward)
