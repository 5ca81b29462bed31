"""Boundary to the C library ``firmware/module``: exports ``ffi`` and ``lib``, nothing else.

Only ``module``, ``extension`` and ``board_check`` of :mod:`particle_dev.protocol` import this. The manual is
``firmware/module/include/pd_module.h``.
"""

from particle_dev._native._module import ffi, lib

__all__ = ["ffi", "lib"]
