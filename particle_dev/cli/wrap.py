"""Text that fits the terminal it is read on. What goes into a pipe or a file stays one line, to be searched."""

from __future__ import annotations

import os
import re
import textwrap
from typing import IO

_COMMAND = re.compile(r"`[^`]*`")
_GLUE = "\0"
_MIN_WIDTH = 40


def width_of(stream: IO[str]) -> int | None:
    """Columns of the terminal behind a stream; None when it is none, or one too narrow to fill."""
    try:
        columns = os.get_terminal_size(stream.fileno()).columns if stream.isatty() else 0
    except (OSError, ValueError):
        # Without a file descriptor, or closed.
        return None
    return columns if columns >= _MIN_WIDTH else None


def wrapped(text: str, stream: IO[str], indent: int = 2) -> str:
    """``text`` in as many lines as the terminal behind ``stream`` needs, all but the first ``indent`` columns in. A
    command in backticks stays whole, and a word that is too long, which may be a path."""
    columns = width_of(stream)
    if columns is None or len(text) < columns:
        return text
    glued = _COMMAND.sub(lambda command: command[0].replace(" ", _GLUE), text)
    start = len(text) - len(text.lstrip())
    lines = textwrap.wrap(
        glued.strip(),
        columns - 1,
        initial_indent=" " * start,
        subsequent_indent=" " * indent,
        break_long_words=False,
        break_on_hyphens=False,
    )
    return "\n".join(lines).replace(_GLUE, " ")
