"""Boards whose firmware is executed: a Cortex-M core, a chip's peripherals, and the doors of a virtual board.

Opt-in: firmware images are the user's own, and nothing here fetches or ships any.
docs/emulator.md says what is in which package.
"""
