"""What ``particle-dev cloud events`` prints."""

from __future__ import annotations

import sys
from datetime import datetime

import click

from particle_dev.cli.output import cell_text, count, plain, print_json, print_text
from particle_dev.cli.wrap import wrapped
from particle_dev.cloud.events import CloudEvent, DeviceReread, StreamGap, StreamItem
from particle_dev.cloud.records import DeviceRecord


class EventsView:
    """Events, gaps and devices read again, as lines of text or JSON. What the stream itself does is told on standard
    error, not with --json.

    After a gap, text has a line for each device that may have said something meanwhile, and one for all others.
    """

    def __init__(self, *, as_json: bool) -> None:
        self._as_json = as_json
        self._is_told: set[str] = set()
        self._gap_since: datetime | None = None
        self._silent = 0

    def listening(self, name: str) -> None:
        """Say once that the stream is open."""
        self._tell_once(f"listening to events of {name}; Ctrl-C ends")

    def proven(self) -> None:
        """Say once that a canary came back."""
        self._tell_once("the canary came back: the stream carries events")

    def take(self, item: StreamItem) -> None:
        """Print an item; devices without news are held back until :meth:`flush`."""
        if self._as_json:
            print_json(_object(item))
        elif isinstance(item, DeviceReread):
            self._take_record(item.record)
        else:
            self.flush()
            self._gap_since = item.since if isinstance(item, StreamGap) else self._gap_since
            print_text(_line(item))

    @property
    def holds_back(self) -> bool:
        """Whether :meth:`flush` has something to print."""
        return self._silent > 0

    def flush(self) -> bool:
        """Print how many devices without news were read again. False when there were none."""
        silent, self._silent = self._silent, 0
        if silent:
            print_text(f"! {count(silent, 'device')} again: offline, and not heard since the gap began")
        return silent > 0

    def _take_record(self, record: DeviceRecord) -> None:
        heard = record.last_heard
        if record.online is False and (heard is None or (self._gap_since is not None and heard < self._gap_since)):
            self._silent += 1
        else:
            print_text(_record_line(record))

    def _tell_once(self, text: str) -> None:
        if not self._as_json and text not in self._is_told:
            self._is_told.add(text)
            click.echo(wrapped(text, sys.stderr), err=True)


def _object(item: StreamItem) -> dict[str, object]:
    kind = {CloudEvent: "event", StreamGap: "gap", DeviceReread: "device"}[type(item)]
    return {"type": kind, **plain(item)}


def _line(item: StreamItem) -> str:
    if isinstance(item, CloudEvent):
        return f"{item.published_at}  {item.coreid}  {item.name}  {'' if item.data is None else item.data}".rstrip()
    assert isinstance(item, StreamGap)
    until = "on" if item.until is None else f"to {item.until:%H:%M:%S}"
    lost = f", {item.lost_here} lost here" if item.lost_here else ""
    return f"! gap from {item.since:%H:%M:%S} {until}: {item.reason}{lost}"


def _record_line(record: DeviceRecord) -> str:
    state = {True: "online", False: "offline", None: "online or not is not told"}[record.online]
    heard = "never heard" if record.last_heard is None else f"last heard {cell_text(record.last_heard)}"
    version = record.firmware_version
    runs = "no product firmware" if not version else f"firmware version {version}"
    return f"! {record.id} again: {state}, {heard}, {runs}"
