"""Text of others in output that is read line by line, or on a terminal."""

from __future__ import annotations


def escaped(text: str) -> str:
    r"""``text`` with control characters and bytes that are no UTF-8 as ``\n``, ``\x1b``: one line, and no command to a
    terminal."""
    if text.isprintable():
        return text
    try:
        text = text.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")
    except UnicodeEncodeError:
        # Half of a character, as JSON can hold.
        text = text.encode("utf-8", "backslashreplace").decode("utf-8")
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode("ascii") for c in text)


def printable(text: str) -> str:
    """``text`` with a question mark for every control character: what boards send must not steer a terminal."""
    return "".join(character if character.isprintable() else "?" for character in text)
