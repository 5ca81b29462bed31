"""USB OTG core in device mode, data moved by the CPU (no DMA): endpoints, FIFOs, what the host sees.

The core is Synopsys' DWC2; OTG_FS has four endpoints each way, OTG_HS six. Both run at full speed here, as boards
without an external PHY do.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable

from particle_harness.emulator.core.interrupt_line import InterruptLine
from particle_harness.emulator.core.timeline import Alarm, Timeline
from particle_harness.emulator.peripherals.registers import RegisterBlock
from particle_harness.emulator.stm32f205.dwc2_registers import OTG_REGISTERS
from particle_harness.emulator.usb.controller import STALLED, Handshake, Stalled

_IN, _OUT = 0x900, 0xB00
_MAX_PACKET_CODES = (64, 32, 16, 8)
_SOF, _RXFLVL, _NPTXFE = 1 << 3, 1 << 4, 1 << 5
_USBRST, _ENUMDNE, _IEPINT, _OEPINT = 1 << 12, 1 << 13, 1 << 18, 1 << 19
_CURRENT_MODE = 1 << 0
_LATCHED = 0xFFFFFFFF & ~(_RXFLVL | _NPTXFE | _IEPINT | _OEPINT | _CURRENT_MODE)
_XFRC, _EPDISD, _STUP, _TXFE = 1 << 0, 1 << 1, 1 << 3, 1 << 7
_EPENA, _EPDIS, _SNAK, _CNAK, _STALL, _NAKSTS = 1 << 31, 1 << 30, 1 << 27, 1 << 26, 1 << 21, 1 << 17
_KEPT_CONTROL = 0x03EC87FF
_OUT_RECEIVED, _OUT_COMPLETE, _SETUP_COMPLETE, _SETUP_RECEIVED = 2, 3, 4, 6
_GINT = 1 << 0
_POWER_DOWN_OFF = 1 << 16
_SOFT_DISCONNECT = 1 << 1
_FRAME_S, _ENUMERATION_S = 0.001, 0.0005
_RX_ENTRIES = 16


class Dwc2(RegisterBlock):
    """The controller and what hangs on its connector. Implements
    :class:`particle_harness.emulator.usb.controller.UsbController`.

    What the data left in a transmit FIFO does when an endpoint is armed again is not described by the manual; here it
    is dropped.
    """

    registers = OTG_REGISTERS

    def __init__(self, name: str, timeline: Timeline, line: InterruptLine, endpoints: int) -> None:
        self._timeline = timeline
        self._line = line
        self.endpoints = endpoints
        self.vbus = True
        self.alarm: Alarm | None = None
        """The end of enumeration, then the next frame."""
        super().__init__(name)

    def reset(self) -> None:
        """As after a reset of the chip: off the bus."""
        super().reset()
        self.interrupts = 0
        self.received: deque[tuple[int, int, bytes]] = deque()
        self.words: deque[int] = deque()
        self.queues = [bytearray() for _ in range(6)]
        self.in_interrupts, self.out_interrupts = [0] * 6, [0] * 6
        self.in_control, self.out_control = [0] * 6, [0] * 6
        self.in_enabled, self.out_enabled = [False] * 6, [False] * 6
        self.in_nak, self.out_nak = [True] * 6, [True] * 6
        self._cancel()
        self._update()

    # ---- the host's side --------------------------------------------------------------------------------------------

    @property
    def connected(self) -> bool:
        """Whether the pull-up is on and somebody supplies VBUS."""
        on = self.stored[0x038] & _POWER_DOWN_OFF and not self.stored[0x804] & _SOFT_DISCONNECT
        return self.vbus and bool(on)

    @property
    def address(self) -> int:
        """Address that the device answers to."""
        return self.stored[0x800] >> 4 & 0x7F

    def attach_vbus(self) -> None:
        """The cable is plugged in."""
        self.vbus = True

    def detach_vbus(self) -> None:
        """The cable is pulled."""
        self.vbus = False
        self._cancel()

    def bus_reset(self) -> None:
        """The host resets the bus; enumeration of the speed is done a little later."""
        self.received.clear()
        self.words.clear()
        self.interrupts |= _USBRST
        self.in_enabled, self.out_enabled = [False] * 6, [False] * 6
        self.in_nak, self.out_nak = [True] * 6, [True] * 6
        self._set_alarm(_ENUMERATION_S, self._enumerated)
        self._update()

    def _set_alarm(self, duration_s: float, call: Callable[[], None]) -> None:
        self._cancel()
        self.alarm = self._timeline.after(self._timeline.cycles_of(duration_s), call)

    def _cancel(self) -> None:
        if self.alarm is not None:
            self.alarm.cancel()
            self.alarm = None

    def _enumerated(self) -> None:
        self.interrupts |= _ENUMDNE
        self._set_alarm(_FRAME_S, self._frame)
        self._update()

    def _frame(self) -> None:
        self.alarm = None
        if self.connected:
            self.interrupts |= _SOF
            self._set_alarm(_FRAME_S, self._frame)
            self._update()

    def setup(self, packet: bytes) -> None:
        """A SETUP packet, which is always taken. It ends a stall and any transfer of endpoint 0."""
        self.in_control[0] &= ~_STALL
        self.out_control[0] &= ~_STALL
        self.in_nak[0] = self.out_nak[0] = True
        self.received.append((0, _SETUP_RECEIVED, packet))
        self.received.append((0, _SETUP_COMPLETE, b""))
        self._update()

    def in_token(self, endpoint: int) -> bytes | Stalled | None:
        """The host asks an endpoint for a packet; None is a NAK."""
        if self.in_control[endpoint] & _STALL:
            return STALLED
        if not self.in_enabled[endpoint] or self.in_nak[endpoint] or (endpoint == 0 and self.received):
            return None
        size = self.stored[_IN + 0x20 * endpoint + 0x10]
        mask = 0x7F if endpoint == 0 else 0x7FFFF
        left = size & mask
        length = min(left, self._max_packet(endpoint, self.in_control[endpoint]))
        queue = self.queues[endpoint]
        if len(queue) < length:
            return None
        packet = bytes(queue[:length])
        del queue[: length + 3 & ~3]
        packets = (size >> 19 & 0x3FF) - 1
        self.stored[_IN + 0x20 * endpoint + 0x10] = size & ~(0x3FF << 19 | mask) | max(0, packets) << 19 | left - length
        if packets <= 0:
            self.in_enabled[endpoint] = False
            self.in_interrupts[endpoint] |= _XFRC
        self._update()
        return packet

    def out_data(self, endpoint: int, data: bytes) -> Handshake:
        """The host sends a packet to an endpoint."""
        if self.out_control[endpoint] & _STALL:
            return Handshake.STALL
        busy = len(self.received) >= _RX_ENTRIES or (endpoint == 0 and self.received)
        if not self.out_enabled[endpoint] or self.out_nak[endpoint] or busy:
            return Handshake.NAK
        offset = _OUT + 0x20 * endpoint + 0x10
        size = self.stored[offset]
        packet_mask, mask = (0x1, 0x7F) if endpoint == 0 else (0x3FF, 0x7FFFF)
        packets = (size >> 19 & packet_mask) - 1
        left = max(0, (size & mask) - len(data))
        self.stored[offset] = size & ~(packet_mask << 19 | mask) | max(0, packets) << 19 | left
        self.received.append((endpoint, _OUT_RECEIVED, data))
        if packets <= 0 or len(data) < self._max_packet(endpoint, self.out_control[endpoint]):
            self.out_enabled[endpoint] = False
            self.received.append((endpoint, _OUT_COMPLETE, b""))
        self._update()
        return Handshake.ACK

    def _max_packet(self, endpoint: int, control: int) -> int:
        # Endpoint 0 has one code for both directions, in DIEPCTL0.
        return _MAX_PACKET_CODES[self.in_control[0] & 3] if endpoint == 0 else control & 0x7FF

    # ---- interrupts -------------------------------------------------------------------------------------------------

    def _all_endpoints(self) -> int:
        stored = self.stored
        in_mask, out_mask, empty = stored[0x810], stored[0x814], stored[0x834]
        value = 0
        for n in range(self.endpoints):
            if self.in_interrupts[n] & in_mask or (empty >> n & 1 and self.is_empty(n)):
                value |= 1 << n
            if self.out_interrupts[n] & out_mask:
                value |= 0x10000 << n
        return value

    def is_empty(self, endpoint: int) -> bool:
        """Whether an IN endpoint waits for data that is not in its FIFO."""
        return self.in_enabled[endpoint] and not self.queues[endpoint]

    def _status(self) -> int:
        value = self.interrupts | _NPTXFE
        if self.received:
            value |= _RXFLVL
        wanted = self._all_endpoints() & self.stored[0x81C]
        if wanted & 0xFFFF:
            value |= _IEPINT
        if wanted >> 16:
            value |= _OEPINT
        return value

    @property
    def interrupts_are_on(self) -> bool:
        """GINT."""
        return bool(self.stored[0x008] & _GINT)

    def _update(self) -> None:
        self._line.set(bool(self.interrupts_are_on and self._status() & self.stored[0x018]))

    # ---- core registers ---------------------------------------------------------------------------------------------

    def read_gintsts(self) -> int:
        """Latched interrupts and levels; bit 0 stays 0: device mode."""
        return self._status()

    def write_gintsts(self, value: int) -> None:
        """Ones clear."""
        self.interrupts &= ~(value & _LATCHED)
        self._update()

    def write_gintmsk(self, value: int) -> None:
        """Which interrupts reach the line."""
        self.stored[0x018] = value
        self._update()

    def write_gahbcfg(self, value: int) -> None:
        """GINT switches the line."""
        self.stored[0x008] = value
        self._update()

    def read_gotgctl(self) -> int:
        """B-session valid follows VBUS."""
        return self.stored[0x000] & 0xF00 | 1 << 16 | self.vbus << 19

    def write_gotgint(self, value: int) -> None:
        """Ones clear."""
        self.stored[0x004] &= ~value

    def write_grstctl(self, value: int) -> None:
        """Flushes are done at once; a core reset forgets what is queued."""
        if value & 0x21:
            number = value >> 6 & 0x1F
            for queue in self.queues if number == 0x10 or value & 1 else self.queues[number : number + 1]:
                queue.clear()
        if value & 0x11:
            self.received.clear()
            self.words.clear()
        self._update()

    def read_grstctl(self) -> int:
        """The bus is idle, no flush runs."""
        return 0x80000000

    def read_grxstsr(self) -> int:
        """The oldest entry of the receive FIFO, left there."""
        if not self.received:
            return 0
        endpoint, kind, data = self.received[0]
        return endpoint | len(data) << 4 | kind << 17

    def read_grxstsp(self) -> int:
        """The oldest entry, taken out: its data is read from the FIFO next."""
        value = self.read_grxstsr()
        if self.received:
            endpoint, kind, data = self.received.popleft()
            for start in range(0, len(data), 4):
                self.words.append(int.from_bytes(data[start : start + 4], "little"))
            if kind == _SETUP_COMPLETE:
                self.out_interrupts[endpoint] |= _STUP
            elif kind == _OUT_COMPLETE:
                self.out_interrupts[endpoint] |= _XFRC
            self._update()
        return value

    # ---- device registers -------------------------------------------------------------------------------------------

    def read_dsts(self) -> int:
        """Full speed, 48 MHz PHY; the number of the frame."""
        frame = int(self._timeline.cycles / self._timeline.frequency_hz / _FRAME_S) & 0x3FFF
        return 3 << 1 | frame << 8

    def read_daint(self) -> int:
        """Endpoints that want service."""
        return self._all_endpoints()

    def write_daint(self, value: int) -> None:
        """Read-only in fact: cleared by the endpoints' own registers."""

    def write_daintmsk(self, value: int) -> None:
        """Which endpoints reach GINTSTS."""
        self.stored[0x81C] = value
        self._update()

    def write_diepmsk(self, value: int) -> None:
        """Which interrupts of IN endpoints count."""
        self.stored[0x810] = value
        self._update()

    def write_doepmsk(self, value: int) -> None:
        """Which interrupts of OUT endpoints count."""
        self.stored[0x814] = value
        self._update()

    def write_diepempmsk(self, value: int) -> None:
        """Which endpoints tell that their transmit FIFO is empty."""
        self.stored[0x834] = value
        self._update()

    # ---- endpoints --------------------------------------------------------------------------------------------------

    def read_diepctl(self, number: int) -> int:
        """Control of an IN endpoint."""
        nak = _NAKSTS if self.in_nak[number] else 0
        return self.in_control[number] | nak | (_EPENA if self.in_enabled[number] else 0)

    def write_diepctl(self, number: int, value: int) -> None:
        """Arm, disarm, stall."""
        self.in_control[number] = value & _KEPT_CONTROL | (self.in_control[0] & _STALL if number == 0 else 0)
        if value & _CNAK:
            self.in_nak[number] = False
        if value & _SNAK:
            self.in_nak[number] = True
        if value & _EPDIS and self.in_enabled[number]:
            self.in_enabled[number] = False
            self.in_interrupts[number] |= _EPDISD
        elif value & _EPENA:
            self.in_enabled[number] = True
            self.queues[number].clear()
        self._update()

    def read_doepctl(self, number: int) -> int:
        """Control of an OUT endpoint."""
        nak = _NAKSTS if self.out_nak[number] else 0
        return self.out_control[number] | nak | (_EPENA if self.out_enabled[number] else 0)

    def write_doepctl(self, number: int, value: int) -> None:
        """Arm, disarm, stall."""
        self.out_control[number] = value & _KEPT_CONTROL | (self.out_control[0] & _STALL if number == 0 else 0)
        if value & _CNAK:
            self.out_nak[number] = False
        if value & _SNAK:
            self.out_nak[number] = True
        if value & _EPDIS and self.out_enabled[number]:
            self.out_enabled[number] = False
            self.out_interrupts[number] |= _EPDISD
        elif value & _EPENA:
            self.out_enabled[number] = True
        self._update()

    def read_diepint(self, number: int) -> int:
        """Interrupts of an IN endpoint; TXFE is a level."""
        return self.in_interrupts[number] | (_TXFE if self.is_empty(number) else 0)

    def write_diepint(self, number: int, value: int) -> None:
        """Ones clear."""
        self.in_interrupts[number] &= ~value
        self._update()

    def read_doepint(self, number: int) -> int:
        """Interrupts of an OUT endpoint."""
        return self.out_interrupts[number]

    def write_doepint(self, number: int, value: int) -> None:
        """Ones clear."""
        self.out_interrupts[number] &= ~value
        self._update()

    def read_dtxfsts(self, number: int) -> int:
        """Words that still go into the transmit FIFO."""
        depth = self.stored[0x028 if number == 0 else 0x100 + 4 * number] >> 16
        return max(0, depth - len(self.queues[number]) // 4)

    # ---- FIFOs ------------------------------------------------------------------------------------------------------

    def read(self, offset: int, size_bytes: int) -> int:
        """As the bus asks; from 0x1000 on lies the receive FIFO."""
        if offset >= 0x1000:
            return self.words.popleft() if self.words else 0
        return super().read(offset, size_bytes)

    def write(self, offset: int, size_bytes: int, value: int) -> None:
        """As the bus asks; each page from 0x1000 on is a transmit FIFO."""
        if offset < 0x1000:
            super().write(offset, size_bytes, value)
            return
        number = (offset >> 12) - 1
        if number < self.endpoints:
            was_empty = not self.queues[number]
            self.queues[number] += value.to_bytes(4, "little")
            if was_empty:
                self._update()
