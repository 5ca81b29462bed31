"""A log for each board: what the host library says while a test has it, and what the test says itself, with times."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path

_TRAFFIC = "particle_dev.traffic"


class BoardLog:
    """Lines of one board in one test. ``clock_s`` is the board's clock, which on virtual boards is not ours. With
    ``folder`` they are also appended to ``NAME.log`` there, transfers included."""

    def __init__(self, name: str, marks: Sequence[str], clock_s: Callable[[], float], folder: Path | None) -> None:
        self.name = name
        self.marks = tuple(mark for mark in marks if mark)
        self.lines: list[str] = []
        self._clock_s = clock_s
        self._from_s = clock_s()
        self._path = folder / f"{name}.log" if folder else None

    def add(self, text: str, *, to_file_only: bool = False) -> None:
        """A line: UTC, seconds on the board's clock since the test has it, text."""
        at = datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
        line = f"{at} {self._clock_s() - self._from_s:+10.3f} s  {text}"
        if not to_file_only:
            self.lines.append(line)
        if self._path is not None:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            with self._path.open("a", encoding="utf-8") as file:
                file.write(line + "\n")


class LogCollector(logging.Handler):
    """Puts what ``particle_dev`` logs into the logs of the boards that a test has: into that of the board which a line
    names by Device ID or port, else into all. USB transfers only with ``traffic``: they are many."""

    def __init__(self, logs: Sequence[BoardLog], *, traffic: bool) -> None:
        super().__init__()
        self._logs = logs
        self._logger = logging.getLogger("particle_dev")
        self.addFilter(lambda record: record.levelno >= logging.INFO or record.name == _TRAFFIC)
        self._traffic = logging.getLogger(_TRAFFIC)
        self._before = self._traffic.level, self._traffic.propagate
        if traffic:
            # To the boards' files and nowhere else: pytest would keep and print all of it.
            self._traffic.setLevel(logging.DEBUG)
            self._traffic.propagate = False
            self._traffic.addHandler(self)
        self._logger.addHandler(self)

    def emit(self, record: logging.LogRecord) -> None:
        """One record."""
        text = f"{record.levelname} {record.name}: {record.getMessage()}"
        named = [log for log in self._logs if any(mark in text for mark in log.marks)]
        for log in named or self._logs:
            log.add(text, to_file_only=record.name == _TRAFFIC)

    def stop(self) -> None:
        """No more."""
        self._logger.removeHandler(self)
        self._traffic.removeHandler(self)
        self._traffic.setLevel(self._before[0])
        self._traffic.propagate = self._before[1]
