"""Boards around the chips: how they come to be, what is kept of them, their time, faults and debug probe."""
