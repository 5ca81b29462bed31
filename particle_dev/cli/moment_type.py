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
        text = str(value).strip().replace(" ", "T").upper()
        beginning = text.removesuffix("Z")
        try:
            if _BEGINNING.fullmatch(beginning):
                datetime.fromisoformat(beginning + _EARLIEST[len(beginning) :])
                return beginning
            moment = datetime.fromisoformat(text)
            if moment.tzinfo is None:
                raise ValueError("a part of it is in another form")
        except (ValueError, OverflowError):
            example = "2026-05, 2026-05-04T08:30 or 2026-05-04T08:30:00.250+02:00"
            self.fail(f"{value!r} is no time such as {example} (UTC where no zone is given).", param, ctx)
        return moment.astimezone(UTC).isoformat(timespec="milliseconds").removesuffix("+00:00")


MOMENT = _Moment()
"""A text that compares with the times of records."""
