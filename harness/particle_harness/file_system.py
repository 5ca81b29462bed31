"""The file system of an RTL872x board, as far as it matters that it is there: it holds the device configuration.

Marks stand for the two superblocks of littlefs; when both are gone, the next start formats it.
Source: device-os v6.2.0 hal/src/rtl872x/littlefs/lfs_config.h, services/inc/dct_file.h.
"""

from __future__ import annotations

from particle_harness.layout_rtl872x import FILE_SYSTEM_START
from particle_harness.nor_flash import NorFlash

_SUPERBLOCKS = (FILE_SYSTEM_START, FILE_SYSTEM_START + 4096)
_MARK = b"virtual littlefs"


def has_file_system(internal: NorFlash) -> bool:
    """Whether one of its superblocks is there."""
    return any(internal.read(block, len(_MARK)) == _MARK for block in _SUPERBLOCKS)


def make_file_system(internal: NorFlash) -> None:
    """Format it."""
    for block in _SUPERBLOCKS:
        internal.load(block, _MARK)
