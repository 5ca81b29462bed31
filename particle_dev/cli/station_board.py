"""All slots of a station on a terminal, drawn over again and again."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from typing import TextIO

from rich.console import Console, Group
from rich.filesize import decimal
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from particle_dev.cli.escape import printable
from particle_dev.station.events import EventType, StationEvent
from particle_dev.station.slot_states import RunStates, SlotMode, SlotState
from particle_dev.station.wording import UNKNOWN, duration_text, name_text, slot_text

LOOKS = {
    SlotMode.WAITING: ("·", ""),
    SlotMode.WORKING: (">", "bold cyan"),
    SlotMode.PASS: ("+", "bold green"),
    SlotMode.FAIL: ("X", "bold red"),
    SlotMode.REFUSED: ("X", "bold red"),
    SlotMode.INTERRUPTED: ("!", "bold yellow"),
    SlotMode.EMPTY: ("!", "yellow"),
    SlotMode.LOCKED: ("#", "bold magenta"),
}
"""Symbol and colour of each state; beside both stands its word."""
REDRAWS_PER_S = 4
_BAR_WIDTH = 12
_LINES_BESIDE_SLOTS = 5


class SlotBoard:
    """A line per slot: symbol and word of what it does, board, step, share done, bytes per second, time left; what went
    wrong and what to do scrolls by above. Of more slots than the terminal has lines, those at rest are left out."""

    def __init__(self, stream: TextIO, states: RunStates | None = None) -> None:
        self.states = states or RunStates()
        self._lock = threading.Lock()
        self._console = Console(file=stream)
        self._live = Live(
            console=self._console,
            get_renderable=self.draw,
            refresh_per_second=REDRAWS_PER_S,
            vertical_overflow="visible",
            redirect_stdout=False,
            redirect_stderr=False,
        )

    def start(self) -> None:
        """Begin to draw."""
        self._live.start()

    def stop(self) -> None:
        """Draw the last state and give the terminal free."""
        self._live.stop()

    def handle(self, event: StationEvent) -> None:
        """Learn of one event. It is drawn with the next frame; what must be read stays above."""
        with self._lock:
            self.states.take(event)
        text = _lasting_text(event)
        if text is not None:
            style = "bold yellow" if event.type == EventType.OPERATOR_MESSAGE else "bold red"
            self._console.print(Text(printable(slot_text(event.slot, text)), style=style))

    def remember(self, events: Sequence[StationEvent]) -> None:
        """Learn what the run did before this start; it is drawn, and not told again."""
        with self._lock:
            for event in events:
                self.states.take(event)

    def draw(self) -> Group:
        """One frame."""
        with self._lock:
            slots, left_out = self._fitting()
            table = Table(box=None, pad_edge=False, padding=(0, 1, 0, 0), show_header=False)
            for _ in range(7):
                table.add_column(no_wrap=True, overflow="ellipsis")
            for slot in slots:
                table.add_row(*_row(slot))
            return Group(table, *([Text(f"… and {left_out} more slots at rest")] if left_out else []), self._foot())

    def _fitting(self) -> tuple[list[SlotState], int]:
        slots = list(self.states.slots.values())
        room = max(4, self._console.height - _LINES_BESIDE_SLOTS)
        if len(slots) <= room:
            return slots, 0
        rest = (SlotMode.PASS, SlotMode.WAITING)
        shown = sorted(slots, key=lambda slot: slot.mode in rest)[:room]
        return [slot for slot in slots if slot in shown], len(slots) - room

    def _foot(self) -> Text:
        states = self.states
        counts = Text.assemble(
            (f"{states.passed} passed", "green"),
            ", ",
            (f"{states.not_passed} did not", "red" if states.not_passed else ""),
        )
        head = f"{states.recipe} on {states.bench}" if states.recipe else ""
        end = Text(f" · {states.verdict.upper()}" if states.verdict else "")
        return Text.assemble(printable(head), " · " if head else "", counts, end)


def _row(slot: SlotState) -> tuple[Text | ProgressBar | str, ...]:
    symbol, style = LOOKS[slot.mode]
    word = f"{symbol} {name_text(slot.step) if slot.mode is SlotMode.WORKING and slot.step else slot.mode}"
    if slot.attempts > 1 and slot.mode is SlotMode.WORKING:
        word += f" ({slot.attempt}/{slot.attempts})"
    share, speed, left_s = slot.share_done, slot.bytes_per_s, slot.left_s
    return (
        Text(f"slot {printable(slot.name)}", style="bold"),
        Text(printable(slot.platform or UNKNOWN) if slot.unit or slot.platform else ""),
        Text(printable(slot.unit[-6:] if slot.unit else "")),
        Text(word, style=style),
        ProgressBar(total=1.0, completed=share, width=_BAR_WIDTH) if share is not None else "",
        Text("" if share is None else f"{share:4.0%}", style="progress.percentage"),
        Text(
            ""
            if speed is None
            else f"{decimal(int(speed))}/s" + (f", {duration_text(left_s)}" if left_s is not None else ""),
            style="progress.data.speed",
        ),
    )


def _lasting_text(event: StationEvent) -> str | None:
    data = event.data
    match event.type:
        case EventType.OPERATOR_MESSAGE:
            return str(data["message"])
        case EventType.STEP_FINISHED if data["error"]:
            duration = duration_text(data["duration_s"])
            return f"{name_text(event.step or '')} {data['status']} ({duration}): {data['error']['message']}"
        case EventType.UNIT_RETRIED:
            return f"{event.unit or 'the board'} is tried again, {data['attempt']} of {data['attempts']}"
        case EventType.UNIT_FINISHED if data.get("error"):
            error = data["error"]
            return f"{error['message']}; what to do: {error['hint']}" if error["hint"] else str(error["message"])
        case _:
            return None
