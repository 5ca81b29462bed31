"""Faults for the boards of a test: by script on virtual boards, and what a bench can do to real ones."""

from __future__ import annotations

from collections.abc import Sequence

from particle_harness.hil.bench import NoBoardError
from particle_harness.hil.board import Board


class Faults:
    """What a test lets go wrong, on the boards that it has."""

    def __init__(self, boards: Sequence[Board]) -> None:
        self._boards = tuple(boards)

    def add(self, do: str, at: str, *, board: Board | None = None, **keys: object) -> None:
        """Let something go wrong from now on, once: ``add("unplug", "dfu_transfer", n=40, replug_after_s=5)``. Words
        and keys: particle_harness/faults.py. Only virtual boards can do that: NoBoardError elsewhere, which counts as
        not run. ValueError for a word that means nothing."""
        chosen = self._the(board)
        if chosen.virtual_board is None:
            raise NoBoardError(f"{chosen} is real: nobody can let '{do}' happen at {at} there")
        chosen.log.add(f"fault planted: {do} at {at} {keys or ''}".rstrip())
        chosen.virtual_board.add_fault({"do": do, "at": at, **keys})

    def lose_power(self, *, board: Board | None = None) -> None:
        """Take the supply away, on any bench that switches it. Raises as PowerControl.off, BenchError."""
        chosen = self._the(board)
        chosen.log.add("power off")
        chosen.power.off()

    def give_power(self, *, board: Board | None = None) -> None:
        """Give it back; the board boots and **may connect**: needs the marker may_connect. Raises
        PermissionMissingError."""
        chosen = self._the(board)
        chosen.permissions.require_connect("giving power to a board")
        chosen.log.add("power on")
        chosen.power.on()

    def _the(self, board: Board | None) -> Board:
        if board is not None:
            return board
        if len(self._boards) != 1:
            raise ValueError(f"the test has {len(self._boards)} boards: say which by board=…")
        return self._boards[0]
