"""How a station's events look on a terminal, in a log and as JSON. Progress goes to stderr, results to stdout."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Protocol, Self, TextIO

from rich.console import Console
from rich.table import Table
from rich.text import Text

from particle_dev.cli.escape import printable
from particle_dev.cli.station_board import SlotBoard
from particle_dev.cli.wrap import wrapped
from particle_dev.station.events import EventType, JsonObject, StationEvent
from particle_dev.station.run_record import RunRecord
from particle_dev.station.wording import UNKNOWN, duration_text, name_text, outcome_text, slot_text, unit_versions

_STYLES = {
    "pass": "green",
    "not_started": "green",
    "fail": "bold red",
    "refused": "bold red",
    "started": "bold red",
    "interrupted": "yellow",
    "incomplete": "yellow",
    "unknown": "yellow",
    "empty": "yellow",
    "locked": "yellow",
}


class _View(Protocol):
    def handle(self, event: StationEvent) -> None: ...
    def remember(self, events: Sequence[StationEvent]) -> None: ...
    def start(self) -> None: ...
    def stop(self) -> None: ...


class StationView:
    """Shows a run to a person: a line per slot on a terminal, drawn over, else one line per step."""

    def __init__(self, stream: TextIO | None = None) -> None:
        stream = stream or sys.stderr
        self._view: _View = SlotBoard(stream) if stream.isatty() else PlainLines(stream)

    def handle(self, event: StationEvent) -> None:
        """Show one event."""
        self._view.handle(event)

    def remember(self, events: Sequence[StationEvent]) -> None:
        """Learn what the run did before this start; it is not told again."""
        self._view.remember(events)

    def __enter__(self) -> Self:
        self._view.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._view.stop()


class JsonView:
    """Writes each event as a line. A reader that goes away ends the output, not the run: the journal has it."""

    def __init__(self, stream: TextIO | None = None) -> None:
        self._stream = stream or sys.stdout

    def handle(self, event: StationEvent) -> None:
        """Write one event."""
        _write_line(self._stream, event.to_json())

    def remember(self, events: Sequence[StationEvent]) -> None:
        """Earlier starts have written theirs."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stream.flush()


class PlainLines:
    """One line per step, for logs and pipes: no control codes, nothing is drawn over."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def start(self) -> None:
        """Nothing to begin."""

    def remember(self, events: Sequence[StationEvent]) -> None:
        """Earlier starts have written their lines."""

    def stop(self) -> None:
        """Make sure that all lines are out."""
        self._stream.flush()

    def handle(self, event: StationEvent) -> None:
        """Write the line of one event, if it has one."""
        data = event.data
        match event.type:
            case EventType.UNIT_STARTED:
                text = f"{data.get('platform') or 'unknown board'} {event.unit or 'of unknown Device ID'}"
            case EventType.STEP_FINISHED:
                text = _finished_line(event)
            case EventType.UNIT_FINISHED:
                text = f"{data['verdict']}, billing {name_text(data['billing']['verdict'])}{_gate_text(data)}"
                if error := data.get("error"):
                    text += f": {_reason_text(error)}"
            case EventType.SLOT_EMPTY:
                text = f"empty: {data['reason']}"
            case EventType.UNIT_RETRIED:
                text = f"{event.unit or 'the board'} is tried again, {data['attempt']} of {data['attempts']}"
            case EventType.OPERATOR_MESSAGE:
                text = data["message"]
            case _:
                return
        _write_line(self._stream, printable(slot_text(event.slot, text)))


def _write_line(stream: TextIO, line: str) -> None:
    """A reader that goes away ends the output, not the run."""
    try:
        stream.write(line + "\n")
        stream.flush()
    except BrokenPipeError:
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, stream.fileno())
        os.close(nowhere)


def print_summary(record: RunRecord, report: Path | None, stream: TextIO | None = None) -> None:
    """Write the table of a run, what went wrong and what to do about it, and where the report is."""
    console = Console(file=stream or sys.stdout, highlight=False, soft_wrap=True)
    console.print(summary_table(record), soft_wrap=False)
    console.print()
    for unit in record.units:
        if unit.error:
            _print_error(console, unit.slot, unit.error)
    if record.units and not any(unit.gate and unit.gate.facts for unit in record.units):
        note = "billing: of the time in the station's hands; the cloud was not asked about the time before"
        _print_line(console, note)
    word = record.verdict.upper()
    _print_line(console, f"{word}: {outcome_text(record)}", style=_STYLES.get(record.verdict, ""), styled=len(word))
    if report is not None:
        _print_line(console, f"report: {report}")


def summary_table(record: RunRecord) -> Table:
    """A row per unit and empty slot; fits 80 columns."""
    table = Table(box=None, pad_edge=False, padding=(0, 1, 0, 0))
    for heading in ("Slot", "Platform", "Device ID", "Verdict", "Billing", "Device OS", "App"):
        table.add_column(heading, no_wrap=heading == "Device ID", overflow="fold")
    rows: list[tuple[str, list[str | Text]]] = []
    for unit in record.units:
        cells = [unit.platform or UNKNOWN, unit.device_id or UNKNOWN]
        asked = unit.gate is not None and bool(unit.gate.facts)
        verdicts = [
            _verdict(unit.verdict),
            _verdict(unit.gate.verdict if unit.gate and asked else unit.billing.verdict),
        ]
        rows.append((unit.slot, [*map(_text, cells), *verdicts, *map(_text, unit_versions(unit))]))
    for empty in record.empty_slots:
        rows.append(
            (empty.slot, [UNKNOWN, UNKNOWN, _verdict("locked" if empty.lock else "empty"), UNKNOWN, UNKNOWN, UNKNOWN])
        )
    order = {slot: position for position, slot in enumerate(record.slots)}
    for slot, row in sorted(rows, key=lambda row: order.get(row[0], len(order))):
        table.add_row(_text(slot), *row)
    return table


def _finished_line(event: StationEvent) -> str:
    data = event.data
    line = f"{name_text(event.step or '')} {data['status']} ({duration_text(data['duration_s'])})"
    return f"{line}: {data['error']['message']}" if data["error"] else line


def _gate_text(data: JsonObject) -> str:
    """What the cloud says of the unit's whole life, where it was asked."""
    gate = data.get("gate")
    return f", ever: {name_text(gate['verdict'])}" if gate and gate["facts"] else ""


def _reason_text(error: JsonObject) -> str:
    """Why a unit of which every step passed did not, and what to do."""
    return f"{error['message']}; what to do: {error['hint']}" if error["hint"] else str(error["message"])


def _print_error(console: Console, slot: str, error: JsonObject) -> None:
    _print_line(console, slot_text(slot, error["message"]))
    if error["hint"]:
        _print_line(console, f"  what to do: {error['hint']}")


def _print_line(console: Console, content: str, *, style: str = "", styled: int = 0) -> None:
    """A paragraph as wide as the terminal; the first ``styled`` characters in ``style``."""
    text = Text(wrapped(printable(content), console.file, 4))
    text.stylize(style, 0, styled)
    console.print(text)


def _text(content: str) -> Text:
    """Text that is not read as markup."""
    return Text(printable(content))


def _verdict(verdict: str, text: str | None = None) -> Text:
    return Text(text or name_text(verdict), style=_STYLES.get(verdict, ""))
