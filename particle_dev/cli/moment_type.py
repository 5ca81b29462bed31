"""Times as arguments."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import Any

import click

_BEGINNING = re.compile(r"\d{4}(-\d\d(-\d\d(T\d\d(:\d\d(:\d\d(\.\d{1,3})?)?)?)?)?)?")
_EARLIEST = "2000-01-01T00:00:00.000"
"""What a beginning lacks to be a whole time."""


class _Moment(click.ParamType[str]):
    """A time in UTC by ISO 8601, or its beginning (``2026-05``). Records compare it as text, so that one in another
    form would find something else without a word."""

    name = "date"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        text = str(value).strip().replace(" ", "T").removesuffix("Z")
        try:
            if _BEGINNING.fullmatch(text):
                datetime.fromisoformat(text + _EARLIEST[len(text) :])
                return text
            moment = datetime.fromisoformat(text)
            if moment.tzinfo is None:
                raise ValueError("a part of it is in another form")
        except (ValueError, OverflowError):
            self.fail(f"{value!r} is no time such as 2026-05, 2026-05-04 or 2026-05-04T08:30.", param, ctx)
        return moment.astimezone(UTC).isoformat(timespec="milliseconds").removesuffix("+00:00")


MOMENT = _Moment()
"""A text that compares with the times of records."""
