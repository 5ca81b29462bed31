"""Delays that double."""

from __future__ import annotations


def doubled_s(first_s: float, longest_s: float, times: int) -> float:
    """``first_s``, doubled so many times, up to ``longest_s``."""
    return min(longest_s, first_s * 2.0 ** min(times, 30))
