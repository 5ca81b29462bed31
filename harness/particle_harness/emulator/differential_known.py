"""Differences between virtual boards and the firmware that stay, each with its reason."""

from __future__ import annotations

from collections.abc import Sequence

from particle_harness.boards import Hardware
from particle_harness.emulator.differential import KnownDifference
from particle_harness.emulator.differential_acts import STALL, Act, Transfer
from particle_harness.usb.dfu_terms import Request

_THEN_STALLED = f", {STALL}"


def _tells_of_failure_in_time(act: Act, modelled: str, emulated: str) -> bool:
    """The same status, and one of the two stalls the status stage behind it."""
    if not isinstance(act, Transfer) or act.setup.b_request != Request.GETSTATUS or not act.setup.is_in:
        return False
    return modelled.removesuffix(_THEN_STALLED) == emulated.removesuffix(_THEN_STALLED)


_GEN2: tuple[KnownDifference, ...] = ()
_GEN3 = (
    KnownDifference(
        "bootloaders of nRF52840 boards allow the status stage of GETSTATUS, then begin the work, and stall when it "
        "fails: whether a host that asks at that moment sees the stall is a matter of microseconds. The next "
        "GETSTATUS tells the error in any case, and that is compared",
        _tells_of_failure_in_time,
    ),
)


def known_differences(kind: Hardware) -> Sequence[KnownDifference]:
    """Those of a board's family."""
    return _GEN3 if kind.is_gen3 else _GEN2


def known_of_systems(kind: Hardware) -> Sequence[KnownDifference]:  # noqa: ARG001
    """Those of a running Device OS."""
    return ()
