"""Errors as people read them."""

from __future__ import annotations

import sys

from particle_dev.cli.escape import escaped
from particle_dev.cli.wrap import wrapped
from particle_dev.errors import FormatError, ParticleDevError


def error_text(error: ParticleDevError) -> str:
    """What, where and what to do: a line each, as wide as the terminal of standard error. Several reasons or devices
    are a list."""
    lines = _with_list(f"error: {error.message}", error, _place(error))
    if error.hint:
        lines += _with_list(f"  what to do: {error.hint}", error)
    return "\n".join(lines)


def _with_list(text: str, error: ParticleDevError, place: str = "") -> list[str]:
    """One paragraph, or one and a line for each of the error's devices or reasons that it ends with."""
    for items in (getattr(error, "devices", ()), getattr(error, "reasons", ())):
        # CapacityError's ``devices`` is a number.
        if not isinstance(items, tuple):
            continue
        joined = "; ".join(items)
        if len(items) > 1 and text.endswith(f": {joined}"):
            head = text.removesuffix(joined).rstrip()
            return [_paragraph(head + place), *(_paragraph(f"    {item}", 6) for item in items)]
    return [_paragraph(text + place)]


def _paragraph(text: str, indent: int = 4) -> str:
    return wrapped(escaped(text), sys.stderr, indent)


def _place(error: ParticleDevError) -> str:
    """What of a format error people look for in `inspect` and in hex dumps."""
    if not isinstance(error, FormatError) or error.offset is None:
        return ""
    return f" ({error.code} at offset 0x{error.offset:X})"
