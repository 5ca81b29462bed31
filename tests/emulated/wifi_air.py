"""A Photon or P1 with Device OS on an emulated chip: its console, the network it knows, what it asks of its radio."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from particle_harness.boards import hardware
from particle_harness.boot import BootDecision, decide_boot
from particle_harness.boot_view import BootView
from particle_harness.dct import Dct
from particle_harness.debug_side import DFU_WORD, SAFE_MODE_WORD
from particle_harness.usb.transfer import Setup

from tests.emulated.air import LISTEN_AT_START, SystemBoard

BACKUP_1, BACKUP_9 = 0x54, 0x74
"""Offsets in RTC. Source: ST RM0033, RTC_BKPxR; device-os v2.1.0 hal/src/stm32f2xx/bkpreg_hal.c."""
_SET_CONTROL_LINE_STATE, _DTR = 0x22, 1
_PROMPT_LIMIT_S, _FIRST_JOIN_LIMIT_S = 5, 10


class WifiBoard(SystemBoard):
    """``knows_wifi_network`` is what whoever furnished it knows."""

    def __init__(self, images: Path, name: str, release: str, application: bytes | None = None) -> None:
        super().__init__(images, name, release, application)
        self.wlan = self.chip.wifi.wlan

    # ---- flash ------------------------------------------------------------------------------------------------------

    def flash(self) -> bytes:
        """All of it."""
        return self.board.internal.read(0x08000000, len(self.board.internal.cells))

    def start_from(self, flash: bytes, *, knows_network: bool) -> None:
        """Put a flash back, and give it power."""
        self.board.power_off()
        self.board.internal.load(0x08000000, flash)
        self.knows_wifi_network = knows_network
        self.board.power_on()

    # ---- retained words ---------------------------------------------------------------------------------------------

    def keep(self, offset: int, value: int) -> None:
        """Set a backup register."""
        self.chip.rtc.stored[offset] = value

    def kept(self, offset: int) -> int:
        """A backup register."""
        return int(self.chip.rtc.stored[offset])

    def reset(self) -> None:
        """As firmware resets itself."""
        self.chip.processor.request_reset()

    def enter_dfu(self) -> None:
        """As a running system does."""
        self.keep(BACKUP_1, DFU_WORD)
        self.reset()
        self.board.run(0.01)
        self.appear("dfu")

    # ---- beliefs ----------------------------------------------------------------------------------------------------

    def boot_view(self, dct: Dct) -> BootView:
        """What a virtual board would have in its place."""
        return BootView(
            hardware=hardware(self.name),
            internal=self.board.internal.read,
            wifi_credentials=self.knows_wifi_network,
            dfu_requested=self.kept(BACKUP_1) == DFU_WORD,
            safe_mode_requested=self.kept(BACKUP_1) == SAFE_MODE_WORD,
            factory_reset_requested=dct.factory_reset_requested,
            listen_requested=self.kept(BACKUP_9) == LISTEN_AT_START,
            ota_update_requested=dct.ota_update_requested,
        )

    def modelled(self, dct: Dct) -> BootDecision:
        """Where a virtual board in its place ends. Nothing waits for it to be installed first."""
        return decide_boot(self.boot_view(dct))

    def radio(self, limit_s: float, done: Callable[[], bool] = lambda: False) -> list[str]:
        """Let it run until it has asked for a network, or ``done()``, or for so long: what it asked for."""
        self.board.run_until(lambda: bool(self.wlan.radio_requests) or done(), limit_s)
        return [request.what for request in self.wlan.radio_requests]

    # ---- console ----------------------------------------------------------------------------------------------------

    def open_port(self) -> None:
        """As a terminal does."""
        self.host.control(Setup(0x21, _SET_CONTROL_LINE_STATE, _DTR, 0, 0))

    def type(self, keys: bytes, until: bytes) -> bytes:
        """Keys for its console; what it prints until that comes."""
        found = self.board.on_bus()
        assert found is not None
        self.board.serial_write(found[0], keys)
        printed = b""
        end_s = self.chip.timeline.now_s + _PROMPT_LIMIT_S
        while until not in printed:
            assert self.chip.timeline.now_s < end_s, printed
            self.board.run(0.02)
            printed += self.board.serial_read(found[0], 4096)
        return printed

    def learn_network(self, ssid: bytes) -> None:
        """At its console in listening mode: key ``w``. It is over when it looks for the network."""
        self.appear("app")
        assert self.board.run_until(lambda: self.wlan.access_point_is_up, 5)
        self.open_port()
        self.type(b"w", b"SSID: ")
        # It looks for the network itself, to know how it is secured, and finds none.
        self.type(ssid + b"\r", b"Security 0=")
        self.type(b"3\r", b"Cipher 1=AES")
        self.type(b"1\r", b"Password: ")
        self.type(b"a secret\r", b"Thanks!")
        assert self.radio(_FIRST_JOIN_LIMIT_S) == [f"SSID {ssid.decode()}"]
        self.knows_wifi_network = True
