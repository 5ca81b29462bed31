"""Differences between virtual boards and the firmware that stay, each with its reason."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from particle_harness.boards import Hardware
from particle_harness.emulator.conversations.acts import GONE, SILENT, STALL, Abandoned, Act, Step, Transfer
from particle_harness.emulator.conversations.system import DIAGNOSTICS, SERIAL_NUMBER
from particle_harness.emulator.conversations.system_stm32f205 import data_bytes
from particle_harness.emulator.differential.comparison import KnownDifference
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


def _is_about(*kinds: int) -> Callable[[Act, str, str], bool]:
    """Whether an act is a step of a control request of such a type, and both sides have answered."""

    def applies(act: Act, modelled: str, emulated: str) -> bool:
        return isinstance(act, Step) and act.kind in kinds and not {SILENT, GONE} & {modelled, emulated}

    return applies


_COUNTERS = KnownDifference(
    "diagnostics: a virtual board has the counters that tell whether it has been online, and its own uptime",
    _is_about(DIAGNOSTICS),
)
_GEN3_SYSTEM = (
    _COUNTERS,
    KnownDifference(
        "the serial number is in a protected page of the serial flash, which the emulated one does not have: Device OS "
        "finds none",
        _is_about(SERIAL_NUMBER),
    ),
    KnownDifference(
        "requests about mesh networks, which Device OS has until 1.5: virtual boards do not know them",
        _is_about(*range(1001, 1100)),
    ),
)


def _is_longer_than_its_data(act: Act, modelled: str, emulated: str) -> bool:
    """Both have the same beginning and the same length, of a reply that does not end where its data do."""
    there = data_bytes(act.setup) if isinstance(act, (Transfer, Abandoned)) else None
    if there is None or len(modelled) != len(emulated):
        return False
    end = len("in: ") + 2 * there
    return modelled[:end] == emulated[:end]


_GEN2_SYSTEM = (
    KnownDifference(
        "Microsoft descriptors and the serial port's command buffer are sent as long as they are asked for; behind "
        "them follows what else lies in memory, and virtual boards have zeros there",
        _is_longer_than_its_data,
    ),
    _COUNTERS,
)


def known_of_systems(kind: Hardware) -> Sequence[KnownDifference]:
    """Those of a running Device OS. Request ids are counted alike and compared."""
    return _GEN2_SYSTEM if kind.is_gen2 else _GEN3_SYSTEM
