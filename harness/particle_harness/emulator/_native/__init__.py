"""Boundary to the C of this folder: exports ``ffi`` and ``lib``, nothing else. Only
``native_core`` and ``exception_unit`` of :mod:`particle_harness.emulator.core` import this."""

from particle_harness.emulator._native._core import ffi, lib

__all__ = ["ffi", "lib"]
