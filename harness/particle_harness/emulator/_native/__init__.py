"""Boundary to the C of this folder: exports ``ffi`` and ``lib``, nothing else. Only
:mod:`particle_harness.emulator.core.native_core` imports this."""

from particle_harness.emulator._native._core import ffi, lib

__all__ = ["ffi", "lib"]
