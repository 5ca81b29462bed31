"""Server-sent events as the real cloud sends them: ``:ok``, an event's two lines, an empty line every nine seconds."""

from __future__ import annotations

import time
from collections.abc import Callable, Generator, Iterator
from typing import TYPE_CHECKING

from particle_harness.cloud.faults import OF_STREAMS, CloudFault
from particle_harness.cloud.hub import Event

if TYPE_CHECKING:
    from particle_harness.cloud.sim_cloud import SimCloud

_FOR_EVER_S = 3600.0


class EventStream:
    """The body of one stream, for a server that iterates it and closes it when the client is gone."""

    def __init__(self, cloud: SimCloud, wants: Callable[[Event], bool], ip: str, path: str) -> None:
        cloud.limits.open_stream(ip)
        self._cloud = cloud
        self._ip = ip
        self._fault = cloud.faults.for_request("GET", path, OF_STREAMS)
        self._subscription = cloud.hub.subscribe(wants)
        self._lines = self._run()
        self._is_closed = False

    def __iter__(self) -> Iterator[bytes]:
        return self._lines

    def close(self) -> None:
        """Stop listening. A stream that was never read is closed, too."""
        if not self._is_closed:
            self._is_closed = True
            self._cloud.hub.unsubscribe(self._subscription)
            self._cloud.limits.close_stream(self._ip)
            self._lines.close()

    def _run(self) -> Generator[bytes, None, None]:
        fault, sent = self._fault, 0
        started_s = time.monotonic()
        yield b":ok\n\n"
        while not self._subscription.closed:
            events = self._subscription.take(self._wait_s(started_s))
            for event in events:
                wire = event.wire()
                if fault is not None and fault.do == "half_event":
                    yield wire[: len(wire) // 2]
                    self._stall()
                    return
                yield wire
                sent += 1
                if fault is not None and fault.do == "close_stream" and sent == fault.events:
                    return
            if fault is not None and self._is_over(fault, started_s):
                return
            if not events and not (fault is not None and fault.do == "silent_stream" and not fault.seconds):
                yield b"\n"

    def _wait_s(self, started_s: float) -> float:
        fault = self._fault
        if fault is not None and fault.do == "silent_stream":
            return fault.seconds or _FOR_EVER_S
        if fault is not None and fault.do == "close_stream" and fault.seconds:
            return min(self._cloud.keep_alive_s, max(0.0, started_s + fault.seconds - time.monotonic()))
        return self._cloud.keep_alive_s

    def _stall(self) -> None:
        while not self._subscription.closed:
            self._subscription.take(_FOR_EVER_S)

    @staticmethod
    def _is_over(fault: CloudFault, started_s: float) -> bool:
        is_timed = fault.do == "close_stream" and fault.seconds > 0
        return is_timed and time.monotonic() - started_s >= fault.seconds
