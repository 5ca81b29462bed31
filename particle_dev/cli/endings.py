"""How a command that works on boards is ended from outside."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

from particle_dev.station.stopping import StopAtOnce


@contextmanager
def ended_as_by_ctrl_c() -> Iterator[None]:
    """A closed terminal or a shutdown, too, ends the work in order: with its record, and boards left as promised.
    They raise StopAtOnce, a KeyboardInterrupt."""
    numbers = [signal.SIGTERM, *([signal.SIGHUP] if hasattr(signal, "SIGHUP") else [])]
    # nohup asks for SIGHUP to be ignored.
    before = {n: signal.getsignal(n) for n in numbers if signal.getsignal(n) is not signal.SIG_IGN}
    for number in before:
        signal.signal(number, _stop_at_once)
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _stop_at_once(_number: int, _frame: FrameType | None) -> None:
    raise StopAtOnce
