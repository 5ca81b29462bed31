"""Errors as people read them."""

from __future__ import annotations

from particle_dev.cli.escape import escaped
from particle_dev.errors import FormatError, ParticleDevError


def error_text(error: ParticleDevError) -> str:
    """What, where and what to do, in one or two lines."""
    lines = [f"error: {escaped(error.message)}{_place(error)}"]
    if error.hint:
        lines.append(f"  what to do: {escaped(error.hint)}")
    return "\n".join(lines)


def _place(error: ParticleDevError) -> str:
    """What of a format error people look for in `inspect` and in hex dumps."""
    if not isinstance(error, FormatError) or error.offset is None:
        return ""
    return f" ({error.code} at offset 0x{error.offset:X})"
