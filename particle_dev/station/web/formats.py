"""Numbers, durations and times as a language writes them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from types import MappingProxyType

from babel.dates import format_datetime
from babel.numbers import format_decimal, format_percent

from particle_dev.station.events import parse_timestamp
from particle_dev.station.web.texts import LOCALES, translations
from particle_dev.station.wording import UNKNOWN

_SPEEDS = (("MB/s", 1e6), ("kB/s", 1e3))


def number_text(value: float | None, language: str, digits: int = 0) -> str:
    """``1,234`` or, with ``digits`` behind the point, ``1,234.5``."""
    if value is None:
        return UNKNOWN
    pattern = "#,##0" + ("." + "0" * digits if digits else "")
    return format_decimal(value, format=pattern, locale=LOCALES[language])


def percent_text(share: float | None, language: str, digits: int = 0) -> str:
    """``97 %`` of 0.97, as the language spaces it."""
    if share is None:
        return UNKNOWN
    return format_percent(round(share, digits + 2), locale=LOCALES[language], decimal_quantization=False)


def speed_text(bytes_per_s: float | None, language: str) -> str:
    """``1.2 MB/s``."""
    if bytes_per_s is None:
        return UNKNOWN
    for unit, size in _SPEEDS:
        if bytes_per_s >= size:
            return f"{number_text(bytes_per_s / size, language, 1)} {unit}"
    return f"{number_text(bytes_per_s, language)} B/s"


def duration_text(duration_s: float | None, language: str) -> str:
    """``0.04 s``, ``1.2 s``, ``38 s``, ``4 min 05 s`` or ``2 h 03 min``."""
    if duration_s is None:
        return UNKNOWN
    _ = translations(language).gettext
    if duration_s < 9.95:
        digits = 1 if duration_s >= 0.095 else 2
        return _("{seconds} s").format(seconds=number_text(duration_s, language, digits))
    whole_s = round(duration_s)
    if whole_s < 120:
        return _("{seconds} s").format(seconds=whole_s)
    if whole_s < 7200:
        return _("{minutes} min {seconds} s").format(minutes=whole_s // 60, seconds=f"{whole_s % 60:02}")
    return _("{hours} h {minutes} min").format(hours=whole_s // 3600, minutes=f"{whole_s % 3600 // 60:02}")


def coarse_duration_text(duration_s: int, language: str) -> str:
    """``9 s``, ``119 s`` or, begun minutes as whole ones, ``3 min``."""
    _ = translations(language).gettext
    if duration_s < 120:
        return _("{seconds} s").format(seconds=duration_s)
    return _("{minutes} min").format(minutes=-(-duration_s // 60))


def time_text(at: str | datetime | None, language: str) -> str:
    """Date and time of day, in UTC, which it says."""
    if not at:
        return UNKNOWN
    time = at if isinstance(at, datetime) else parse_timestamp(at)
    return f"{format_datetime(time.astimezone(UTC), 'medium', locale=LOCALES[language])} UTC"


FORMATS: Mapping[str, Callable[..., str]] = MappingProxyType(
    {
        "number": number_text,
        "percent": percent_text,
        "speed": speed_text,
        "duration": duration_text,
        "time": time_text,
    }
)
"""Filters of the templates, by name: ``{{ unit.finished_at | time }}``."""
