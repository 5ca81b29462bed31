"""Log lines of Device OS, as text and as JSON.

Source: device-os v6.2.0 wiring/src/spark_wiring_logging.cpp StreamLogHandler::logMessage,
JSONStreamLogHandler::logMessage; services/src/logging.cpp log_level_name.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass

_TEXT = re.compile(
    r"(?:(?P<time_ms>\d{10}) )?"
    r"(?:\[(?P<category>[^\]]*)\] )?"
    r"(?:(?P<file>[^\s:,]+?)(?::(?P<line>\d{1,10}))?(?:, (?=\S+\(\): )|: (?=[A-Z]+: )))?"
    r"(?:(?P<function>\S+)\(\): )?"
    r"(?P<level>TRACE|LOG|DEBUG|INFO|WARN|ERROR|PANIC): "
    r"(?P<message>.*?)"
    r"(?: \[(?=code = |details = )(?:code = (?P<code>-?\d{1,10}))?(?:, )?(?:details = (?P<details>.*))?\])?",
    re.DOTALL,
)


@dataclass(frozen=True, slots=True)
class LogLine:
    """One log message. ``time_ms`` counts from the device's boot; what the line did not carry is None."""

    level: str
    message: str
    time_ms: int | None = None
    category: str | None = None
    file: str | None = None
    line: int | None = None
    function: str | None = None
    code: int | None = None
    details: str | None = None


def parse_log_line(text: str) -> LogLine | None:
    """The parts of a line of either format; None for anything else, such as what an application prints."""
    text = text.rstrip("\r\n")
    return _parse_json(text) if text.startswith("{") else _parse_text(text)


def _parse_text(text: str) -> LogLine | None:
    m = _TEXT.fullmatch(text)
    if m is None:
        return None
    numbers = {name: int(m[name]) if m[name] else None for name in ("time_ms", "line", "code")}
    texts = {name: m[name] for name in ("category", "file", "function", "details")}
    return LogLine(m["level"], m["message"], **numbers, **texts)  # type: ignore[arg-type]  # two dicts, two types


def _parse_json(text: str) -> LogLine | None:
    try:
        found = json.loads(text)
    except (ValueError, RecursionError):
        return None
    if not isinstance(found, dict) or not isinstance(found.get("l"), str):
        return None
    return LogLine(
        found["l"],
        str(found.get("m", "")),
        found.get("t"),
        found.get("c"),
        found.get("f"),
        found.get("ln"),
        found.get("fn"),
        found.get("code"),
        found.get("detail"),
    )
