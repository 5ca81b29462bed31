"""RADIO, as far as a SoftDevice waits for it: it sends into the void and never hears anything. AAR and CCM with it."""

from __future__ import annotations

from typing import ClassVar

from particle_harness.emulator.core.interrupt_line import InterruptLine
from particle_harness.emulator.core.timeline import Alarm, Timeline
from particle_harness.emulator.nrf52840.peripheral import INTERRUPTS, SHORTS, NrfPeripheral, Wires, event, task
from particle_harness.emulator.peripherals.registers import Register, RegisterMap

_READY, _ADDRESS, _PAYLOAD, _END, _DISABLED = 0x100, 0x104, 0x108, 0x10C, 0x110
_TXREADY, _RXREADY, _PHYEND = 0x154, 0x158, 0x16C
_STATE, _POWER = 0x550, 0xFFC
_RAMP_UP_S, _PREAMBLE_S, _PACKET_S, _RAMP_DOWN_S = 140e-6, 40e-6, 300e-6, 6e-6
_DISABLED_STATE, _RXIDLE, _RX, _TXIDLE, _TX = 0, 2, 3, 10, 11


class RadioPeripheral(NrfPeripheral):
    """``packets``: how many it has sent."""

    registers: ClassVar[RegisterMap] = RegisterMap(
        "RADIO",
        "nRF52840 PS v1.7, 6.20 RADIO",
        task("TXEN", 0x000),
        task("RXEN", 0x004),
        task("START", 0x008),
        task("STOP", 0x00C),
        task("DISABLE", 0x010),
        task("RSSISTART", 0x014),
        task("RSSISTOP", 0x018),
        task("BCSTART", 0x01C),
        task("BCSTOP", 0x020),
        event("READY", _READY),
        event("ADDRESS", _ADDRESS),
        event("PAYLOAD", _PAYLOAD),
        event("END", _END),
        event("DISABLED", _DISABLED),
        event("DEVMATCH", 0x114),
        event("DEVMISS", 0x118),
        event("RSSIEND", 0x11C),
        event("BCMATCH", 0x128),
        event("CRCOK", 0x130),
        event("CRCERROR", 0x134),
        event("TXREADY", _TXREADY),
        event("RXREADY", _RXREADY),
        event("PHYEND", _PHYEND),
        SHORTS,
        *INTERRUPTS,
        Register("STATE", _STATE, access="r"),
        Register("POWER", _POWER, reset=1),
    )

    def __init__(self, timeline: Timeline, line: InterruptLine, wires: Wires) -> None:
        self.state = _DISABLED_STATE
        self.packets = 0
        self.alarm: Alarm | None = None
        super().__init__(0x40001000, timeline, line, wires, "RADIO")

    def reset(self) -> None:
        """Off."""
        super().reset()
        self._cancel()
        self.state = _DISABLED_STATE

    def _cancel(self) -> None:
        if self.alarm is not None:
            self.alarm.cancel()
            self.alarm = None

    def task_txen(self) -> None:
        """Ramps up to send."""
        self._cancel()
        self.state = _TXIDLE
        self.alarm = self.timeline.after(self.timeline.cycles_of(_RAMP_UP_S), self._become_ready)

    def task_rxen(self) -> None:
        """Ramps up to receive."""
        self._cancel()
        self.state = _RXIDLE
        self.alarm = self.timeline.after(self.timeline.cycles_of(_RAMP_UP_S), self._become_ready)

    def _become_ready(self) -> None:
        self.alarm = None
        start = self.shortcut(0) or self.shortcut(18 if self.state == _TXIDLE else 19)
        self.raise_event(_TXREADY if self.state == _TXIDLE else _RXREADY)
        self.raise_event(_READY)
        if start:
            self.task_start()

    def task_start(self) -> None:
        """Sends, or listens."""
        self._cancel()
        if self.state == _TXIDLE:
            self.state = _TX
            self.alarm = self.timeline.after(self.timeline.cycles_of(_PREAMBLE_S), self._send_address)
        elif self.state == _RXIDLE:
            self.state = _RX

    def _send_address(self) -> None:
        self.raise_event(_ADDRESS)
        self.alarm = self.timeline.after(self.timeline.cycles_of(_PACKET_S), self._end_packet)

    def _end_packet(self) -> None:
        self.alarm = None
        self.packets += 1
        self.state = _TXIDLE
        disable = self.shortcut(1) or self.shortcut(20)
        start = self.shortcut(5)
        for offset in (_PAYLOAD, _END, _PHYEND):
            self.raise_event(offset)
        if disable:
            self.task_disable()
        elif start:
            self.task_start()

    def task_stop(self) -> None:
        """Back to idle."""
        self._cancel()
        self.state = {_TX: _TXIDLE, _RX: _RXIDLE}.get(self.state, self.state)

    def task_disable(self) -> None:
        """Off."""
        self._cancel()
        self.alarm = self.timeline.after(self.timeline.cycles_of(_RAMP_DOWN_S), self._become_disabled)

    def _become_disabled(self) -> None:
        self.alarm = None
        self.state = _DISABLED_STATE
        to_send, to_receive = self.shortcut(2), self.shortcut(3)
        self.raise_event(_DISABLED)
        if to_send:
            self.task_txen()
        elif to_receive:
            self.task_rxen()

    def task_rssistart(self) -> None:
        """Measured."""
        self.raise_event(0x11C)

    def read_state(self) -> int:
        """What it does."""
        return self.state

    def write_power(self, value: int) -> None:
        """Off and on again is a reset."""
        if not value & 1:
            self.reset()
        self.stored[_POWER] = value & 1


class AddressResolver(NrfPeripheral):
    """AAR, which resolves nothing, since nothing is heard; CCM at the same address must not be asked."""

    registers: ClassVar[RegisterMap] = RegisterMap(
        "AAR/CCM",
        "nRF52840 PS v1.7, 6.2 AAR, 6.4 CCM",
        task("START", 0x000),
        task("CRYPT", 0x004),
        task("STOP", 0x008),
        event("END", 0x100),
        event("RESOLVED", 0x104),
        event("NOTRESOLVED", 0x108),
        *INTERRUPTS,
        Register("STATUS", 0x400),
        Register("ENABLE", 0x500),
    )

    def task_start(self) -> None:
        """No known address."""
        self.raise_event(0x100)
        self.raise_event(0x108)
