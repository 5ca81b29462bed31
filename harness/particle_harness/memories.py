"""The memories of one board: flash of the controller, serial flash beside it, device configuration."""

from __future__ import annotations

from particle_dev.catalog.flash_chips import FlashChip
from particle_harness.boards import Hardware
from particle_harness.clock import Clock
from particle_harness.dct import DCT_SIZE_BYTES, Dct
from particle_harness.nor_flash import NorFlash
from particle_harness.state import SlotStore
from particle_harness.truth import Truth
from particle_harness.user_information import UICR_SIZE_BYTES, Uicr


class Memories:
    """``external`` is None on boards without serial flash. With a store they lie in files that outlive the process."""

    def __init__(self, hardware: Hardware, clock: Clock, store: SlotStore | None, *, delays: bool) -> None:
        def flash(name: str, chip: FlashChip) -> NorFlash:
            return NorFlash(chip, clock, backing=store.image(name, chip.size_bytes) if store else None, delays=delays)

        self.internal = flash("internal", hardware.internal_chip)
        self.external = flash("external", hardware.external_chip) if hardware.external_chip else None
        self.dct = Dct(store.image("dct", DCT_SIZE_BYTES) if store else None)
        self.uicr: Uicr | None = None
        """User information of an nRF52840."""
        if hardware.is_gen3:
            self.uicr = store.image("uicr", UICR_SIZE_BYTES) if store else bytearray(b"\xff" * UICR_SIZE_BYTES)
        self._updates_outside = hardware.is_gen3
        self._counted_before = (0, 0)

    @property
    def updates(self) -> NorFlash:
        """The chip that takes in firmware updates."""
        return self.external if self._updates_outside and self.external else self.internal

    def count_on_from(self, truth: Truth) -> None:
        """Go on counting where a former process stopped."""
        self._counted_before = (truth.erases, truth.programs)

    def count_into(self, truth: Truth) -> None:
        """Write down how often flash was erased and programmed over the board's life."""
        erases, programs = self._counted_before
        flashes = [flash for flash in (self.internal, self.external) if flash]
        truth.erases = erases + sum(flash.erases for flash in flashes)
        truth.programs = programs + sum(flash.programs for flash in flashes)
