"""Differences between virtual boards and the firmware that stay, each with its reason."""

from __future__ import annotations

from collections.abc import Sequence

from particle_harness.boards import Hardware
from particle_harness.emulator.differential import KnownDifference

_GEN2: tuple[KnownDifference, ...] = ()
_GEN3: tuple[KnownDifference, ...] = ()


def known_differences(kind: Hardware) -> Sequence[KnownDifference]:
    """Those of a board's family."""
    return _GEN3 if kind.is_gen3 else _GEN2
