"""Card, chip and firmware together, as they hang on a controller's SDIO bus and its reset line."""

from __future__ import annotations

from particle_harness.emulator.core.timeline import Timeline
from particle_harness.emulator.parts.wifi.bcm43362 import Bcm43362
from particle_harness.emulator.parts.wifi.sdio_card import IoCard
from particle_harness.emulator.parts.wifi.wlan import Wlan
from particle_harness.emulator.stm32f205.sdio import Sdio


class WifiModule:
    """Held in reset until somebody lets it go."""

    def __init__(self, timeline: Timeline, bus: Sdio, address: bytes) -> None:
        self.chip = Bcm43362()
        self.card = IoCard(self.chip)
        self.wlan = Wlan(timeline, self.chip, address)
        self.chip.on_interrupt = bus.card_interrupts
        bus.card = self.card

    def reset_line(self, *, high: bool) -> None:
        """Low holds it in reset."""
        if high != self.card.powered:
            self.card.powered = high
            self.card.reset()
            self.chip.reset()
