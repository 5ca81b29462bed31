"""A session over SWD in a process of its own, with a deadline for every act.

pyOCD waits for some answers without limit, and sessions of one process share its interpreter lock; so each slot's
session is a child that can be ended from outside. What ends badly ends with the chip as it was left: halted.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from multiprocessing.connection import Connection, wait
from typing import Any

from particle_dev.catalog.chips import Chip
from particle_dev.errors import LinkDisconnectedError, LinkTimeoutError, ParticleDevError

OPEN_TIMEOUT_S = 60.0
"""Start of the interpreter, import of pyOCD, connection: a second, but all slots of a busy machine start at once."""
DEFAULT_TIMEOUT_S = 10.0
_END_TIMEOUT_S = 5.0
_SLOWEST_BYTES_PER_S = 8_000
"""Of any probe: a quarter of the slowest that was ever reported for programming. Source: github.com/pyocd/pyOCD issue
23 (24 to 32 kB/s)."""
_CLOSE = "close"

Progress = Callable[[float], None]


def _end_with_parent() -> None:
    """Wait for the parent's death, then end this process at once: in the middle of an act, too, which pyOCD may never
    end by itself, while the probe stays locked for the next run."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        wait([parent.sentinel])
        os._exit(1)


def _serve(connection: Connection, probe_id: str, chip: Chip, options: dict[str, Any]) -> None:
    """The child: opens the link, then does what it is told until it is told to close or the parent is gone."""
    # Only the child pays for pyOCD.
    from particle_dev.transport.swd import SwdLink  # noqa: PLC0415

    # Ctrl-C reaches every process of a terminal; the parent decides what becomes of an act.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_end_with_parent, name="parent", daemon=True).start()
    try:
        link = SwdLink(probe_id, chip, **options)
    except ParticleDevError as error:
        connection.send(("error", error))
        return
    connection.send(("result", None))
    with link:
        while True:
            try:
                method, arguments, wants_progress = connection.recv()
            except EOFError:
                return
            if method == _CLOSE:
                break
            if wants_progress:
                arguments["progress"] = lambda done: connection.send(("progress", done))
            try:
                connection.send(("result", getattr(link, method)(**arguments)))
            except ParticleDevError as error:
                connection.send(("error", error))
    connection.send(("result", None))


class SwdProcess:
    """A :class:`particle_dev.transport.swd.SwdLink` in a child process. Use as a context manager.

    Opening raises what that class raises; every act raises LinkTimeoutError when it takes longer than allowed, and the
    session is over then.
    """

    def __init__(self, probe_id: str, chip: Chip, **options: Any) -> None:
        self.chip = chip
        self.where = probe_id
        # spawn: a fork would share the parent's threads' locks and open devices.
        context = multiprocessing.get_context("spawn")
        self._connection, theirs = context.Pipe()
        self._process = context.Process(
            target=_serve, args=(theirs, probe_id, chip, options), name=f"SWD {probe_id}", daemon=True
        )
        self._process.start()
        theirs.close()
        self._answer("open", OPEN_TIMEOUT_S, None)

    def __enter__(self) -> SwdProcess:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def call(
        self, method: str, *, timeout_s: float = DEFAULT_TIMEOUT_S, progress: Progress | None = None, **arguments: Any
    ) -> Any:
        """What ``SwdLink.<method>`` returns or raises. ``timeout_s`` bounds the whole act."""
        if not self._process.is_alive():
            raise LinkDisconnectedError(
                f"the session has ended; {method} was not sent", where=self.where, hint="open a new session"
            )
        try:
            self._connection.send((method, arguments, progress is not None))
        except OSError as error:
            # It died since it was looked at.
            self._end()
            raise self._died(method) from error
        return self._answer(method, timeout_s, progress)

    # ---- as SwdLink, with a deadline for each -----------------------------------------------------------------------

    def read(self, address: int, size_bytes: int) -> bytes:
        """Bytes of memory or flash."""
        timeout_s = DEFAULT_TIMEOUT_S + size_bytes / _SLOWEST_BYTES_PER_S
        return bytes(self.call("read", timeout_s=timeout_s, address=address, size_bytes=size_bytes))

    def write(self, address: int, data: bytes) -> None:
        """Store into RAM or registers."""
        self.call("write", address=address, data=data)

    def read_word(self, address: int) -> int:
        """32 bits."""
        return int(self.call("read_word", address=address))

    def write_word(self, address: int, value: int) -> None:
        """32 bits of RAM or a register."""
        self.call("write_word", address=address, value=value)

    def page_crcs(self, addresses: Sequence[int]) -> tuple[int, ...]:
        """CRC-32 of the 4096 bytes at each address."""
        return tuple(self.call("page_crcs", timeout_s=30.0, addresses=addresses))

    def erase_sectors(self, addresses: Sequence[int]) -> None:
        """**Erase** the sectors that begin there."""
        self.call("erase_sectors", timeout_s=DEFAULT_TIMEOUT_S + 4.0 * len(addresses), addresses=addresses)

    def erase_everything(self) -> None:
        """**Erase the whole flash and UICR** of an nRF52840."""
        self.call("erase_everything")

    def erase_user_information(self) -> None:
        """**Erase UICR** of an nRF52840."""
        self.call("erase_user_information")

    def write_user_information(self, words: Mapping[int, int]) -> None:
        """Clear bits of UICR, by address. **APPROTECT can lock the chip.**"""
        self.call("write_user_information", words=dict(words))

    def write_pages(self, pages: Sequence[tuple[int, bytes]], *, progress: Progress | None = None) -> None:
        """Program erased pages of 4096 bytes, or whole words of one."""
        timeout_s = DEFAULT_TIMEOUT_S + sum(len(data) for _, data in pages) / _SLOWEST_BYTES_PER_S
        self.call("write_pages", timeout_s=timeout_s, progress=progress, pages=pages)

    @property
    def halted(self) -> bool:
        """Whether the core stands still."""
        return bool(self.call("is_halted"))

    def halt(self) -> None:
        """Stop the core."""
        self.call("halt")

    def reset_and_halt(self) -> None:
        """Reset; the core stands at its first instruction."""
        self.call("reset_and_halt")

    def reset_and_run(self) -> None:
        """Reset and let the firmware run. **It may connect, which starts billing.**"""
        self.call("reset_and_run")

    def request_reset(self) -> None:
        """Reset by one store and let the firmware run. **It may connect, which starts billing.**"""
        self.call("request_reset")

    def port_is_locked(self) -> bool:
        """Whether the chip refuses its memory to debuggers now."""
        return bool(self.call("port_is_locked"))

    def close(self) -> None:
        """End the session; the chip stays as it is. Never raises."""
        if self._process.is_alive():
            try:
                self._connection.send((_CLOSE, {}, False))
                self._process.join(_END_TIMEOUT_S)
            except OSError:
                # The child went first.
                pass
        self._end()

    def _answer(self, method: str, timeout_s: float, progress: Progress | None) -> Any:
        end_s = time.monotonic() + timeout_s
        while True:
            try:
                if not self._connection.poll(max(0.0, end_s - time.monotonic())):
                    self._end()
                    raise LinkTimeoutError(
                        f"{method} took longer than {timeout_s:g} s; its process was ended",
                        where=self.where,
                        hint="check probe and wires; the chip may be left in the middle of the act",
                    )
                kind, value = self._connection.recv()
            except (EOFError, ConnectionResetError) as error:
                self._end()
                raise self._died(method) from error
            except KeyboardInterrupt:
                # Else closing would wait for the act that nobody wants any more.
                self._end()
                raise
            if kind == "error":
                raise value
            if kind == "result":
                return value
            if progress is not None:
                progress(value)

    def _died(self, method: str) -> LinkDisconnectedError:
        return LinkDisconnectedError(
            f"the process of the session died during {method}", where=self.where, hint="open a new session"
        )

    def _end(self) -> None:
        if self._process.is_alive():
            self._process.kill()
            self._process.join(_END_TIMEOUT_S)
        self._connection.close()
