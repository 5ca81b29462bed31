"""Formats and conversations without I/O: bytes and replies in, values and actions out."""
