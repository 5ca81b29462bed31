"""A chip without a core: its firmware is Python, and a device of its own behind the packets of endpoint 0."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from typing import ClassVar

from particle_harness.emulator.chip import ChecksumUnits
from particle_harness.emulator.core.timeline import Timeline
from particle_harness.emulator.usb.controller import STALLED, Handshake, Stalled
from particle_harness.swd.bus import Bus
from particle_harness.usb.descriptors import (
    configuration_descriptor,
    device_descriptor,
    dfu_functional,
    endpoint,
    interface,
    string_descriptor,
)
from particle_harness.usb.transfer import Setup

DFU_DEVICE = device_descriptor(0x2B04, 0xD00D, 0x0251)
DFU_CONFIGURATION = configuration_descriptor(
    interface(0, 0, 0, (0xFE, 1, 2), 6) + dfu_functional(), 1, string=4, attributes=0xC0, max_power_ma=100
)
SERIAL_DEVICE = device_descriptor(0x2B04, 0xC00D, 0x0102)
SERIAL_CONFIGURATION = configuration_descriptor(
    interface(0, 0, 1, (2, 2, 1), 0)
    + endpoint(0x82, 3, 64, 16)
    + interface(1, 0, 2, (0x0A, 0, 0), 0)
    + endpoint(0x81, 2, 64, 0)
    + endpoint(0x01, 2, 64, 0),
    2,
    string=4,
    attributes=0xC0,
    max_power_ma=500,
)
TEXTS = {1: "Particle", 2: "Boron DFU Mode", 3: "e00fce68aabbccddeeff0011", 4: "Boron DFU Mode", 6: "@Internal Flash"}


@dataclass
class FakeController:
    """``think_cycles``: what the firmware needs before it answers a stage of a transfer."""

    timeline: Timeline
    device: bytes = DFU_DEVICE
    configuration: bytes = DFU_CONFIGURATION
    think_cycles: int = 5000
    connected: bool = False
    address: int = 0
    configured: int = 0
    resets: int = 0
    received: list[tuple[Setup, bytes]] = field(default_factory=list)
    replies: dict[int, bytes] = field(default_factory=dict)
    """By bRequest, for requests that are none of the standard."""
    bulk_in: deque[bytes] = field(default_factory=deque)
    bulk_out: list[bytes] = field(default_factory=list)
    late_strings: frozenset[int] = frozenset()
    """Indices that are neither answered nor refused before there is a configuration."""
    drop_at: int | None = None
    """bRequest at which the device leaves the bus."""
    _setup: Setup | None = None
    _in: deque[bytes] | None = None
    _out: bytearray = field(default_factory=bytearray)
    _stalls: bool = False
    _ready_at: int = 0

    def bus_reset(self) -> None:
        self.resets += 1
        self.address = self.configured = 0

    def setup(self, packet: bytes) -> None:
        setup = self._setup = Setup.unpack(packet)
        self._out.clear()
        self._stalls, self._in = False, None
        self._ready_at = self.timeline.cycles + self.think_cycles
        if setup.b_request == self.drop_at and setup.kind:
            self.connected = False
        elif setup.is_in and not self._is_left_alone(setup):
            reply = self._reply(setup)
            self._stalls = reply is None
            if reply is not None:
                data = reply[: setup.w_length]
                self._in = deque(data[at : at + 64] for at in range(0, len(data), 64))
                if len(data) % 64 == 0 and len(data) < setup.w_length:
                    self._in.append(b"")

    def in_token(self, endpoint: int) -> bytes | Stalled | None:
        if endpoint:
            return self.bulk_in.popleft() if self.bulk_in else None
        if self.timeline.cycles < self._ready_at:
            return None
        if self._stalls:
            return STALLED
        assert self._setup is not None
        self._ready_at = self.timeline.cycles + self.think_cycles
        if self._setup.is_in and self._setup.w_length:
            return self._in.popleft() if self._in else None
        if len(self._out) < self._setup.w_length:
            return None
        self._take(self._setup, bytes(self._out))
        return b""

    def out_data(self, endpoint: int, data: bytes) -> Handshake:
        if self.timeline.cycles < self._ready_at:
            return Handshake.NAK
        if endpoint:
            self.bulk_out.append(data)
            return Handshake.ACK
        if self._stalls or (data and self._setup and self._setup.b_request == 0x66):
            return Handshake.STALL
        self._ready_at = self.timeline.cycles + self.think_cycles
        self._out += data
        return Handshake.ACK

    def _is_left_alone(self, setup: Setup) -> bool:
        is_string = (setup.kind, setup.b_request, setup.w_value >> 8) == (0, 6, 3)
        return is_string and setup.w_value & 0xFF in self.late_strings and not self.configured

    def _reply(self, setup: Setup) -> bytes | None:
        if setup.kind == 0 and setup.b_request == 6:
            kind, index = setup.w_value >> 8, setup.w_value & 0xFF
            if kind == 3:
                return string_descriptor(TEXTS[index]) if index in TEXTS else None
            return {1: self.device, 2: self.configuration}.get(kind)
        return self.replies.get(setup.b_request)

    def _take(self, setup: Setup, data: bytes) -> None:
        if setup.kind == 0 and setup.b_request == 5:
            self.address = setup.w_value
        elif setup.kind == 0 and setup.b_request == 9:
            self.configured = setup.w_value
        else:
            self.received.append((setup, data))


@dataclass
class FakeProcessor:
    """Its core is never late."""

    timeline: Timeline
    runs: list[int] = field(default_factory=list)

    def run(self, until_cycle: int) -> None:
        self.runs.append(until_cycle)
        self.timeline.pass_until(until_cycle)


class FakeChip:
    """Shows itself on the bus 50 ms after power comes."""

    checksum_units: ClassVar[ChecksumUnits] = {}

    def __init__(self, boot_s: float = 0.05) -> None:
        self.timeline = Timeline(64_000_000)
        self.processor = FakeProcessor(self.timeline)
        self.bus = Bus()
        self.usb = FakeController(self.timeline)
        self.boot_s = boot_s
        self.runs = True
        self.vbus = False
        self.buttons: list[bool] = []
        self.powers: list[str] = []

    def power_on(self) -> None:
        self.powers.append("on")
        self._boot()

    def power_off(self) -> None:
        self.powers.append("off")
        self.usb.connected = False
        self.timeline.clear()

    def pin_reset(self) -> None:
        self.powers.append("reset")
        self.usb.connected = False
        self._boot()

    def attach_vbus(self) -> None:
        self.vbus = True

    def detach_vbus(self) -> None:
        self.vbus = False

    def hold_mode_button(self, pressed: bool) -> None:
        self.buttons.append(pressed)

    def snapshot(self) -> bytes:
        return b"fake" + bytes([self.usb.connected])

    def restore(self, snapshot: bytes) -> None:
        if snapshot[:4] != b"fake":
            raise ValueError("another chip's")
        self.usb.connected = bool(snapshot[4])

    def _boot(self) -> None:
        self.timeline.after(self.timeline.cycles_of(self.boot_s), self._show)

    def _show(self) -> None:
        self.usb.connected = True
