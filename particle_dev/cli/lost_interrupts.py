"""Ctrl-C that arrives while Python finalizes an object."""

from __future__ import annotations

import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager

_AGAIN_AFTER_S = 0.01


@contextmanager
def lost_interrupts_come_again() -> Iterator[None]:
    """What a signal raises while an object is finalized, as each USB device of pyusb is, Python drops. Within, the
    signal is sent again once that is over: SIGINT, or SIGTERM for what a command made of another (endings.py)."""
    before = sys.unraisablehook

    def hook(lost: sys.UnraisableHookArgs) -> None:
        if not issubclass(lost.exc_type, KeyboardInterrupt):
            before(lost)
            return
        number = signal.SIGINT if lost.exc_type is KeyboardInterrupt else signal.SIGTERM
        # Not from here: this is still within the finalizer.
        threading.Timer(_AGAIN_AFTER_S, signal.pthread_kill, (threading.main_thread().ident, number)).start()

    sys.unraisablehook = hook
    try:
        yield
    finally:
        sys.unraisablehook = before
