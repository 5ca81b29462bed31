"""The firmware of a bench in real time: a thread that lets it run while no transfer does.

The time of a chip follows the clock on the wall, and falls behind where the machine is too slow or nobody has touched
the board for a while: an idle bootloader polls without pause, which would cost a processor of the host for each board.
"""

from __future__ import annotations

import atexit
import threading
import time
from collections.abc import Callable, Sequence

from particle_harness.emulator.boards.board import EmulatedBoard

_TICK_S = 0.004
_LONGEST_STEP_S = 0.1
"""On a busy machine the thread comes late; what it has missed beyond this is left out."""
_AWAKE_S = 3.0
"""A board is at full speed for so long after somebody has touched it, and until it is on the bus."""
_BOOT_S = 20.0
_IDLE_SHARE = 0.05
"""Of a host processor, for all boards that nobody touches together."""
_CHUNK_S = 0.0005


class RealTime:
    """Runs the boards that ``boards()`` gives until :meth:`stop`."""

    def __init__(self, boards: Callable[[], Sequence[EmulatedBoard]]) -> None:
        self._boards = boards
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="emulated boards", daemon=True)
        self._thread.start()
        # Unicorn does not stand the end of the interpreter in the middle of a run.
        atexit.register(self.stop)

    def stop(self) -> None:
        """The boards stand still."""
        self._stop.set()
        if self._thread is not threading.current_thread():
            self._thread.join()
        atexit.unregister(self.stop)

    def _run(self) -> None:
        last_s = time.monotonic()
        while not self._stop.wait(_TICK_S):
            now_s = time.monotonic()
            step_s = min(now_s - last_s, _LONGEST_STEP_S)
            last_s = now_s
            boards = self._boards()
            for board in boards:
                self._advance(board, step_s, len(boards))

    def _advance(self, board: EmulatedBoard, step_s: float, boards: int) -> None:
        # A board in a transfer runs by itself.
        if not board.lock.acquire(blocking=False):
            return
        try:
            if is_awake(board):
                board.run(step_s)
                return
            budget_s = step_s * _IDLE_SHARE / boards
            end_s = time.monotonic() + budget_s
            passed_s = 0.0
            while passed_s < step_s and time.monotonic() < end_s:
                board.run(_CHUNK_S)
                passed_s += _CHUNK_S
        finally:
            board.lock.release()


def is_awake(board: EmulatedBoard) -> bool:
    """Whether it must run at full speed: touched a moment ago, or still on its way to the bus."""
    idle_s = board.clock.monotonic_s() - board.last_touched_s
    return idle_s < (_AWAKE_S if board.on_bus() else _BOOT_S)
