"""What goes wrong in the cloud, by script.

A fault is a table such as ``{do = "status", on = "GET /v1/products/*", status = 529, count = 3}``. ``on`` is method and
path with wildcards, default: every request. A fault hits its ``n``-th match (1) and ``count`` (1) matches in a row;
``count = 0``: for ever.

====================  ==============================================================================================
``do``                what happens
====================  ==============================================================================================
``status``            an error with ``status`` (500), in ``shape`` "error", "errors" or "code"; ``retry_after_s``
``html``              502 with a page of HTML
``slow``              the answer comes ``delay_s`` (25) later
``drop``              the connection ends without an answer
``truncate``          the JSON ends half-way
``empty``             200 without a body
``expire_token``      the token of the request has expired
``release_pending``   releasing a SIM is answered with 202
``silent_stream``     an event stream without keep-alive bytes; ``seconds`` (0: none at all) between two of them
``close_stream``      an event stream ends after ``events`` events or ``seconds`` seconds
``half_event``        an event stream stops in the middle of its first event
``duplicate``         each event comes twice
``lose``              events are lost
``reorder``           an event comes after the next one
``clock_skew``        ``published_at`` is ``seconds`` off
``wrong_product``     ``productID`` of events is ``product_id``
``lie_online``        a device record says ``online`` (true)
``hide_connection``   a device record knows no connection: ``last_heard`` and ``last_handshake_at`` are null
``no_answer``         the device does not answer a function, a variable, a ping or a signal
``invalid_id``        an import calls the id invalid and does not take it
``sim_stuck``         a SIM's change takes 24 h
``pause``             the payer of a device is paused: nobody gets through
``key_mismatch``      the handshake of a device fails
====================  ==============================================================================================

Faults of devices take ``device_id``, those of SIMs ``iccid``; without it, any. Times are a day at most; only that of
``clock_skew`` may be below 0. ``close_stream`` needs one of its keys.
"""

from __future__ import annotations

import math
import threading
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, fields, replace
from fnmatch import fnmatchcase
from typing import Any

from particle_harness.cloud.hub import Event

OF_REQUESTS = ("status", "html", "slow", "drop", "truncate", "empty", "expire_token", "release_pending")
OF_STREAMS = ("silent_stream", "close_stream", "half_event")
OF_EVENTS = ("duplicate", "lose", "reorder", "clock_skew", "wrong_product")
OF_DEVICES = ("lie_online", "hide_connection", "no_answer", "invalid_id", "sim_stuck", "pause", "key_mismatch")
KINDS = (*OF_REQUESTS, *OF_STREAMS, *OF_EVENTS, *OF_DEVICES)


@dataclass(slots=True)
class CloudFault:
    """One line of the script."""

    do: str
    on: str = "*"
    n: int = 1
    count: int = 1
    status: int = 500
    shape: str = "error"
    retry_after_s: int | None = None
    delay_s: float = 25.0
    seconds: float = 0.0
    events: int = 0
    product_id: int = 0
    online: bool = True
    device_id: str = ""
    iccid: str = ""
    seen: int = 0
    """Matches so far."""

    @property
    def over(self) -> bool:
        """Whether it can hit no more."""
        return self.count > 0 and self.seen >= self.n + self.count - 1

    def hits(self) -> bool:
        """Note one match; whether it is one that is hit."""
        self.seen += 1
        return self.seen >= self.n and (self.count == 0 or self.seen < self.n + self.count)


_LONGEST_S = 86_400


def _is_time(value: Any, least_s: float = 0) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and least_s <= value <= _LONGEST_S


def _is_count(value: Any, least: int = 0, most: float = math.inf) -> bool:
    return type(value) is int and least <= value <= most


def _is_text(value: Any) -> bool:
    return isinstance(value, str)


_VALUES: Mapping[str, tuple[str, Callable[[Any], bool]]] = {
    "on": ("method and path, such as 'GET /v1/*'", lambda value: _is_text(value) and ("*" in value or " /" in value)),
    "n": ("a whole number from 1 on", lambda value: _is_count(value, 1)),
    "count": ("a whole number from 0 on", _is_count),
    "status": ("a status from 200 to 599", lambda value: _is_count(value, 200, 599)),
    "shape": ("'error', 'errors' or 'code'", lambda value: value in ("error", "errors", "code")),
    "retry_after_s": ("a whole number from 0 on", _is_count),
    "delay_s": (f"a number of seconds from 0 to {_LONGEST_S}", _is_time),
    "seconds": (
        f"a number of seconds from -{_LONGEST_S} to {_LONGEST_S}",
        lambda value: _is_time(value, -_LONGEST_S),
    ),
    "events": ("a whole number from 0 on", _is_count),
    "product_id": ("a whole number from 0 on", _is_count),
    "online": ("true or false", lambda value: isinstance(value, bool)),
    "device_id": ("a text", _is_text),
    "iccid": ("a text", _is_text),
}
"""What each key may hold: a fault that never hits would be a test that cannot fail."""


class CloudFaults:
    """The script of one cloud."""

    def __init__(self) -> None:
        self._faults: list[CloudFault] = []
        self._held: list[Event] = []
        self._lock = threading.Lock()

    def add(self, table: Mapping[str, Any]) -> CloudFault:
        """Take a fault in. ValueError for a kind or key that means nothing."""
        known = {field.name for field in fields(CloudFault)} - {"seen"}
        if table.get("do") not in KINDS:
            raise ValueError(f"no fault {table.get('do')!r}; known: {', '.join(KINDS)}")
        if unknown := set(table) - known:
            raise ValueError(f"fault {table['do']!r} has unknown keys {sorted(unknown)}; known: {sorted(known)}")
        for key, (what, is_right) in _VALUES.items():
            if key in table and not is_right(table[key]):
                raise ValueError(f"fault {table['do']!r}: {key} is {what}, not {table[key]!r}")
        if table["do"] != "clock_skew" and table.get("seconds", 0) < 0:
            raise ValueError(f"fault {table['do']!r}: seconds is a number from 0 on, not {table['seconds']!r}")
        if table["do"] == "close_stream" and not (table.get("events") or table.get("seconds")):
            raise ValueError("fault 'close_stream' needs events from 1 on, or seconds above 0: it would close nothing")
        fault = CloudFault(**table)
        with self._lock:
            self._faults.append(fault)
        return fault

    def clear(self) -> None:
        """Everything works again."""
        with self._lock:
            self._faults.clear()
            self._held.clear()

    def remaining(self) -> tuple[CloudFault, ...]:
        """Faults that can still hit."""
        return tuple(fault for fault in self._faults if not fault.over)

    def for_request(self, method: str, path: str, kinds: tuple[str, ...] = OF_REQUESTS) -> CloudFault | None:
        """The fault that hits this request, if any; it counts as a match."""
        return self._first(kinds, lambda fault: fnmatchcase(f"{method} {path}", fault.on) or fault.on == "*")

    def for_device(self, kind: str, device_id: str = "", iccid: str = "") -> CloudFault | None:
        """The fault of that kind that hits this device or SIM."""
        return self._first(
            (kind,),
            lambda fault: (
                (not fault.device_id or fault.device_id.lower() == device_id)
                and (not fault.iccid or fault.iccid == iccid)
            ),
        )

    def tamper(self, event: Event) -> Iterator[Event]:
        """What listeners get for an event."""
        if not self._faults and not self._held:
            yield event
            return
        if fault := self._first(("clock_skew",), lambda _fault: True):
            event = replace(event, at_s=event.at_s + fault.seconds)
        if fault := self._first(("wrong_product",), lambda _fault: True):
            event = replace(event, product_id=fault.product_id)
        if self._first(("lose",), lambda _fault: True):
            return
        if self._first(("reorder",), lambda _fault: True):
            self._held.append(event)
            return
        yield event
        if self._first(("duplicate",), lambda _fault: True):
            yield event
        held, self._held = self._held, []
        yield from held

    def _first(self, kinds: tuple[str, ...], matches: Any) -> CloudFault | None:
        with self._lock:
            for fault in self._faults:
                if fault.do in kinds and not fault.over and matches(fault) and fault.hits():
                    return fault
        return None
