"""Boundary to the C library ``firmware/module``: exports ``ffi`` and ``lib``, nothing else.

Only :mod:`particle_dev.protocol.module` imports this; the manual is ``firmware/module/include/pd_module.h``.
"""

from particle_dev._native._module import ffi, lib

__all__ = ["ffi", "lib"]
