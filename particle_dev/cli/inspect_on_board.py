"""What the Device OS of a board would say to a module that arrives there as an update."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from particle_dev.catalog.ota_region import ota_region
from particle_dev.catalog.requests import result_name
from particle_dev.cli.board_file import read_board
from particle_dev.cli.inspect_files import Inspected
from particle_dev.errors import FormatError
from particle_dev.flash.boot_outcome import started_by_bootloader
from particle_dev.flash.releases import release_for_layout
from particle_dev.protocol.board_check import Board, BoardModule, check_on_board, slots_at


class BoardAnswers:
    """Adds ``on_board`` to what is known about a module. ``has_refused``: the board would not take one of them.

    Raises FormatError for a file without a board, or for a board without a system part.
    """

    def __init__(self, board_file: Path) -> None:
        inventory = read_board(board_file)
        platform, parts = inventory.platform, inventory.parts
        system = started_by_bootloader(parts)
        if system is None:
            raise FormatError(
                f"{board_file}: the board has no system part, so no Device OS would answer",
                code="no_device_os",
                file=str(board_file),
                hint="flash Device OS first",
            )
        self.has_refused = False
        device_os = release_for_layout(system.version)
        region = ota_region(platform, device_os)
        self._board = Board(
            platform.id,
            slots_at(platform, device_os),
            tuple(
                BoardModule(
                    part.function,
                    part.index,
                    part.version,
                    tuple((need.function, need.index, need.version) for need in part.needs),
                    part.start_address or 0,
                )
                for part in parts
                if part.intact
            ),
            update_max_size_bytes=region.size_bytes if region else 0,
        )

    def __call__(self, item: Inspected) -> None:
        """Add the answer to ``item.description``; None where no whole module was read."""
        item.description["on_board"] = self._answer(item) if item.is_whole and item.data is not None else None

    def _answer(self, item: Inspected) -> dict[str, Any] | None:
        answer = check_on_board(item.data or b"", self._board)
        if answer is None:
            return None
        self.has_refused |= answer.passed != answer.checked
        problem, error = answer.problem, answer.device_result
        return {
            "passed": [check.name for check in answer.passed],
            "failed": [check.name for check in answer.checked & ~answer.passed],
            "code": problem.code if problem else None,
            "offset": item.description["module_offset"] + problem.offset if problem and problem.offset else None,
            "message": problem.message if problem else None,
            "device_error": result_name(error) if error else None,
        }
