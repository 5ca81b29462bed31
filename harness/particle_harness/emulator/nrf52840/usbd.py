"""USBD: the USB device controller, full speed, endpoints 0 to 7."""

from __future__ import annotations

from typing import ClassVar

from particle_harness.emulator.core.interrupt_line import InterruptLine
from particle_harness.emulator.core.timeline import Alarm, Timeline
from particle_harness.emulator.nrf52840.peripheral import INTERRUPTS, SHORTS, NrfPeripheral, Wires, event, task
from particle_harness.emulator.peripherals.registers import Register, RegisterMap
from particle_harness.emulator.usb.controller import STALLED, Handshake, Stalled
from particle_harness.swd.bus import Bus
from particle_harness.usb.transfer import StandardRequest

_USBRESET, _STARTED, _ENDEPIN, _EP0DATADONE, _ENDEPOUT = 0x100, 0x104, 0x108, 0x128, 0x130
_SOF, _USBEVENT, _EP0SETUP, _EPDATA = 0x154, 0x158, 0x15C, 0x160
_EVENTCAUSE, _EPSTATUS, _EPDATASTATUS, _USBADDR = 0x400, 0x468, 0x46C, 0x470
_ENABLE, _USBPULLUP, _EPINEN, _EPOUTEN = 0x500, 0x504, 0x510, 0x514
_EPIN, _EPOUT, _DMA_STRIDE = 0x600, 0x700, 0x14
_READY = 1 << 11
_IN = 0x80
_SHORT_DONE_STARTIN, _SHORT_DONE_STARTOUT, _SHORT_DONE_STATUS = 0, 1, 2
_SHORT_ENDOUT_STATUS, _SHORT_ENDOUT_RCVOUT = 3, 4
_FRAME_S = 0.001
_DMA_ERRATUM_BIT = 0x20


class Usbd(NrfPeripheral):
    """Implements :class:`particle_harness.emulator.usb.controller.UsbController`.

    What firmware forces, beyond the section: EPINEN and EPOUTEN come up with endpoint 0 on; a SETUP for SET_ADDRESS is
    reported although the chip answers it; an undocumented register at 0x474 has bit 5 set once a DMA has started; an
    IN token finds the data only after the driver has taken note of its DMA's end.
    """

    registers: ClassVar[RegisterMap] = RegisterMap(
        "USBD",
        "nRF52840 PS v1.7, 6.35 USBD",
        task("STARTEPIN", 0x004, count=8),
        task("STARTISOIN", 0x024),
        task("STARTEPOUT", 0x028, count=8),
        task("STARTISOOUT", 0x048),
        task("EP0RCVOUT", 0x04C),
        task("EP0STATUS", 0x050),
        task("EP0STALL", 0x054),
        task("DPDMDRIVE", 0x058),
        task("DPDMNODRIVE", 0x05C),
        event("USBRESET", _USBRESET),
        event("STARTED", _STARTED),
        event("ENDEPIN", _ENDEPIN, count=8),
        event("EP0DATADONE", _EP0DATADONE),
        event("ENDISOIN", 0x12C),
        event("ENDEPOUT", _ENDEPOUT, count=8),
        event("ENDISOOUT", 0x150),
        event("SOF", _SOF),
        event("USBEVENT", _USBEVENT),
        event("EP0SETUP", _EP0SETUP),
        event("EPDATA", _EPDATA),
        SHORTS,
        *INTERRUPTS,
        Register("EVENTCAUSE", _EVENTCAUSE),
        Register("HALTED_EPIN", 0x420, access="r", count=8),
        Register("HALTED_EPOUT", 0x444, access="r", count=8),
        Register("EPSTATUS", _EPSTATUS),
        Register("EPDATASTATUS", _EPDATASTATUS),
        Register("USBADDR", _USBADDR, access="r"),
        Register("DMA_STATE", 0x474),
        Register("SETUP", 0x480, access="r", count=8),
        Register("SIZE_EPOUT", 0x4A0, count=8),
        Register("SIZE.ISOOUT", 0x4C0, reset=0x10000),
        Register("ENABLE", _ENABLE),
        Register("USBPULLUP", _USBPULLUP),
        Register("DPDMVALUE", 0x508),
        Register("DTOGGLE", 0x50C, reset=0x100),
        Register("EPINEN", _EPINEN, reset=1),
        Register("EPOUTEN", _EPOUTEN, reset=1),
        Register("EPSTALL", 0x518, access="w"),
        Register("ISOSPLIT", 0x51C),
        Register("FRAMECNTR", 0x520, access="r"),
        Register("LOWPOWER", 0x52C),
        Register("ISOINCONFIG", 0x530),
        Register("EPIN.PTR", _EPIN, count=8, stride=_DMA_STRIDE),
        Register("EPIN.MAXCNT", _EPIN + 4, count=8, stride=_DMA_STRIDE),
        Register("EPIN.AMOUNT", _EPIN + 8, access="r", count=8, stride=_DMA_STRIDE),
        Register("ISOIN.PTR", 0x6A0),
        Register("ISOIN.MAXCNT", 0x6A4),
        Register("ISOIN.AMOUNT", 0x6A8, access="r"),
        Register("EPOUT.PTR", _EPOUT, count=8, stride=_DMA_STRIDE),
        Register("EPOUT.MAXCNT", _EPOUT + 4, count=8, stride=_DMA_STRIDE),
        Register("EPOUT.AMOUNT", _EPOUT + 8, access="r", count=8, stride=_DMA_STRIDE),
        Register("ISOOUT.PTR", 0x7A0),
        Register("ISOOUT.MAXCNT", 0x7A4),
        Register("ISOOUT.AMOUNT", 0x7A8, access="r"),
    )

    def __init__(self, timeline: Timeline, line: InterruptLine, wires: Wires, bus: Bus) -> None:
        self.bus = bus
        self.vbus = False
        self.setup_packet = bytes(8)
        self.in_packets: dict[int, bytes] = {}
        """Endpoint to the packet that waits for the host."""
        self.out_packets: dict[int, bytes] = {}
        """Endpoint to the packet that waits for firmware."""
        self.halted: set[int] = set()
        self.receives = False
        """Endpoint 0 takes a data packet."""
        self.status_allowed = False
        self.refuses = False
        """Endpoint 0 stalls until the next SETUP."""
        self.frame_alarm: Alarm | None = None
        self._address = 0
        super().__init__(0x40027000, timeline, line, wires, "USBD")

    def reset(self) -> None:
        """Off the bus."""
        super().reset()
        self._forget_transfers()
        self._address = 0
        self._stop_frames()

    def _forget_transfers(self) -> None:
        self.in_packets.clear()
        self.out_packets.clear()
        self.halted.clear()
        self.receives = self.status_allowed = self.refuses = False

    # ---- host side --------------------------------------------------------------------------------------------------

    @property
    def connected(self) -> bool:
        """Supply there, controller and pull-up on."""
        return self.vbus and bool(self.word(_ENABLE) & self.word(_USBPULLUP) & 1)

    @property
    def address(self) -> int:
        """As the host gave it."""
        return self._address

    def bus_reset(self) -> None:
        """The host resets the bus."""
        self._forget_transfers()
        self._address = 0
        self.raise_event(_USBRESET)
        self._start_frames()

    def setup(self, packet: bytes) -> None:
        """SETUP on endpoint 0."""
        self.setup_packet = packet
        self.in_packets.pop(0, None)
        self.out_packets.pop(0, None)
        self.receives = self.status_allowed = self.refuses = False
        if packet[0] == 0 and packet[1] == StandardRequest.SET_ADDRESS:
            self._address = packet[2] & 0x7F
            self.status_allowed = True
        self.raise_event(_EP0SETUP)

    @property
    def _reads(self) -> bool:
        """Whether the control transfer has an IN data stage."""
        return bool(self.setup_packet[0] & _IN) and self.setup_packet[6:8] != b"\0\0"

    def in_token(self, endpoint: int) -> bytes | Stalled | None:
        """The host asks for a packet."""
        if endpoint == 0:
            return self._control_in()
        if endpoint | _IN in self.halted:
            return STALLED
        if endpoint not in self.in_packets or not self.word(_EPINEN) >> endpoint & 1 or self._end_unseen(endpoint):
            return None
        packet = self.in_packets.pop(endpoint)
        self._note_data(endpoint)
        return packet

    def _control_in(self) -> bytes | Stalled | None:
        if self.refuses and self.setup_packet[:2] != bytes((0, StandardRequest.SET_ADDRESS)):
            return STALLED
        if not self._reads:
            return b"" if self.status_allowed else None
        if 0 not in self.in_packets or self._end_unseen(0):
            return None
        packet = self.in_packets.pop(0)
        self._end_data_stage()
        return packet

    def _end_unseen(self, endpoint: int) -> bool:
        offset = _ENDEPIN + 4 * endpoint
        return self.is_raised(offset) and self.interrupts_on(offset)

    def out_data(self, endpoint: int, data: bytes) -> Handshake:
        """The host sends a packet."""
        if endpoint == 0:
            return self._control_out(data)
        if endpoint in self.halted:
            return Handshake.STALL
        if endpoint in self.out_packets or not self.word(_EPOUTEN) >> endpoint & 1:
            return Handshake.NAK
        self.out_packets[endpoint] = data
        self._note_data(16 + endpoint)
        return Handshake.ACK

    def _control_out(self, data: bytes) -> Handshake:
        if self.refuses:
            return Handshake.STALL
        if self._reads:
            return Handshake.ACK if self.status_allowed else Handshake.NAK
        if not self.receives:
            return Handshake.NAK
        self.receives = False
        self.out_packets[0] = data
        self._end_data_stage()
        return Handshake.ACK

    def _end_data_stage(self) -> None:
        if self.shortcut(_SHORT_DONE_STATUS):
            self.status_allowed = True
        self.raise_event(_EP0DATADONE)
        if self.shortcut(_SHORT_DONE_STARTIN):
            self.task_startepin(0)
        if self.shortcut(_SHORT_DONE_STARTOUT):
            self.task_startepout(0)

    def _note_data(self, bit: int) -> None:
        self.stored[_EPDATASTATUS] |= 1 << bit
        self.raise_event(_EPDATA)

    # ---- frames -----------------------------------------------------------------------------------------------------

    def _start_frames(self) -> None:
        if self.frame_alarm is None and self.connected and self.interrupts_on(_SOF):
            self.frame_alarm = self.timeline.after(self.timeline.cycles_of(_FRAME_S), self._frame)

    def _stop_frames(self) -> None:
        if self.frame_alarm is not None:
            self.frame_alarm.cancel()
            self.frame_alarm = None

    def _frame(self) -> None:
        self.frame_alarm = None
        self.raise_event(_SOF)
        self._start_frames()

    # ---- tasks ------------------------------------------------------------------------------------------------------

    def task_startepin(self, endpoint: int) -> None:
        """A packet goes from RAM into the endpoint's buffer."""
        registers = _EPIN + _DMA_STRIDE * endpoint
        count = self.word(registers + 4) & 0x7F
        self.in_packets[endpoint] = self.bus.read(self.word(registers), count) if count else b""
        self.stored[registers + 8] = count
        self._end_dma(endpoint, _ENDEPIN + 4 * endpoint)

    def task_startepout(self, endpoint: int) -> None:
        """A packet goes from the endpoint's buffer into RAM, and the endpoint takes the next one."""
        registers = _EPOUT + _DMA_STRIDE * endpoint
        data = self.out_packets.pop(endpoint, b"")[: self.word(registers + 4) & 0x7F]
        if data:
            self.bus.write(self.word(registers), data)
        self.stored[registers + 8] = len(data)
        self._end_dma(16 + endpoint, _ENDEPOUT + 4 * endpoint)
        if endpoint == 0:
            if self.shortcut(_SHORT_ENDOUT_STATUS):
                self.status_allowed = True
            if self.shortcut(_SHORT_ENDOUT_RCVOUT):
                self.receives = True

    def _end_dma(self, status_bit: int, offset: int) -> None:
        self.stored[_EPSTATUS] |= 1 << status_bit
        self.raise_event(_STARTED)
        self.raise_event(offset)

    def task_ep0rcvout(self) -> None:
        """Endpoint 0 takes a data packet."""
        self.receives = True

    def task_ep0status(self) -> None:
        """Endpoint 0 lets the status stage pass."""
        self.status_allowed = True

    def task_ep0stall(self) -> None:
        """Endpoint 0 refuses."""
        self.refuses = True

    # ---- registers --------------------------------------------------------------------------------------------------

    def write_intenset(self, value: int) -> None:
        """INTENSET."""
        super().write_intenset(value)
        self._start_frames()

    def write_intenclr(self, value: int) -> None:
        """INTENCLR."""
        super().write_intenclr(value)
        if not self.interrupts_on(_SOF):
            self._stop_frames()

    def write_eventcause(self, value: int) -> None:
        """Ones clear."""
        self.stored[_EVENTCAUSE] &= ~value

    def write_epstatus(self, value: int) -> None:
        """Ones clear."""
        self.stored[_EPSTATUS] &= ~value

    def write_epdatastatus(self, value: int) -> None:
        """Ones clear."""
        self.stored[_EPDATASTATUS] &= ~value

    def read_usbaddr(self) -> int:
        """Address."""
        return self._address

    def read_dma_state(self) -> int:
        """Undocumented; Nordic's driver waits for bit 5 after it has started a DMA."""
        return _DMA_ERRATUM_BIT

    def read_setup(self, index: int) -> int:
        """BMREQUESTTYPE, BREQUEST, WVALUEL … WLENGTHH."""
        return self.setup_packet[index]

    def read_size_epout(self, index: int) -> int:
        """Bytes that wait in an endpoint's buffer."""
        return len(self.out_packets.get(index, b""))

    def write_size_epout(self, index: int, _value: int) -> None:
        """Firmware drops what waits, and the endpoint takes the next packet."""
        self.out_packets.pop(index, None)

    def read_halted_epin(self, index: int) -> int:
        """Whether the endpoint stalls."""
        return int(index | _IN in self.halted)

    def read_halted_epout(self, index: int) -> int:
        """Whether the endpoint stalls."""
        return int(index in self.halted)

    def write_enable(self, value: int) -> None:
        """The controller becomes ready at once."""
        self.stored[_ENABLE] = value & 1
        if value & 1:
            self.stored[_EVENTCAUSE] |= _READY
            self.raise_event(_USBEVENT)
        else:
            self._forget_transfers()
            self._address = 0
            self._stop_frames()

    def write_usbpullup(self, value: int) -> None:
        """Pull-up on D+."""
        self.stored[_USBPULLUP] = value & 1
        if not value & 1:
            self._forget_transfers()
            self._address = 0
            self._stop_frames()

    def write_epstall(self, value: int) -> None:
        """An endpoint halts or goes on."""
        endpoint = value & 7 | value & _IN
        if value & 0x100:
            self.halted.add(endpoint)
        else:
            self.halted.discard(endpoint)

    def read_framecntr(self) -> int:
        """Frame number."""
        return self.timeline.cycles // self.timeline.cycles_of(_FRAME_S) & 0x7FF
