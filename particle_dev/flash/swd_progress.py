"""How far the flash of a board by a debug probe has come, and what the board is when it ends early."""

from __future__ import annotations

from dataclasses import dataclass

from particle_dev.flash.swd_execute import BackupTaken, ChangesBegin, PieceProven, SwdEvent
from particle_dev.flash.swd_plan import SwdPlan
from particle_dev.permissions import Effect


@dataclass(slots=True)
class SwdProgress:
    """Of one plan, told by its events. ``changed``: something may be erased or written. ``whole``: everything is there,
    proven by CRC. ``backup``: the file with what was erased in passing."""

    plan: SwdPlan
    changed: bool = False
    whole: bool = False
    backup: str | None = None

    def take(self, event: SwdEvent) -> None:
        """Something happened."""
        if isinstance(event, ChangesBegin):
            self.changed = True
        elif isinstance(event, BackupTaken):
            self.backup = event.where
        elif isinstance(event, PieceProven):
            self.whole = True

    def left(self) -> str:
        """The board's state if nothing more happens, for people: what lies in it, and what its next start does."""
        plan = self.plan
        if self.whole:
            return "everything is written and proven by CRC, but the command did not come to its end"
        if not self.changed:
            return "nothing was erased or written"
        if not plan.size_bytes and not plan.erase:
            parts = ["its flash is right, UICR may not be"]
        elif Effect.CONNECT in plan.permissions_needed:
            parts = ["its application is incomplete: a reset or a loss of power may start safe mode, which connects"]
        else:
            parts = ["its flash is incomplete: until it is whole, no start goes further than the bootloader"]
        parts.append("the core stands as long as the board has power")
        if self.backup is not None:
            parts.append(f"what was erased in passing is kept in {self.backup}")
        return "; ".join(parts)

    def next_step(self) -> str:
        """What to type."""
        if self.changed and not self.whole:
            # A flash that was cut short may no longer say which board it is.
            again = f"run the same command again, with --platform {self.plan.platform.name}"
            return f"{again}: what is right stays, the rest is written"
        return "run the same command again"
