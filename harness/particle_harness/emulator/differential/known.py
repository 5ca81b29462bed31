"""Differences between virtual boards and the firmware that stay, each with its reason."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from particle_harness.boards import Hardware
from particle_harness.emulator.conversations.acts import STALL, Abandoned, Act, Step, Transfer
from particle_harness.emulator.conversations.system import DIAGNOSTICS, SERIAL_NUMBER
from particle_harness.emulator.conversations.system_stm32f205 import data_bytes
from particle_harness.emulator.differential.comparison import KnownDifference
from particle_harness.usb.control_service import Service
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


_MESH = range(1001, 1100)
_NO_SERIAL_NUMBER, _NOT_SUPPORTED = "in: 090000000000ffffffff", "in: 09000000000088ffffff"
_SIZE, _SIZE_AT = 4, slice(6, 10)
"""The flag of a CHECK that tells the size of a reply, and where it stands."""


def _bytes_of(outcome: str) -> bytes:
    """The data of a whole answer; none of a stall, of silence, or of data behind which the status stage was refused."""
    return bytes.fromhex(outcome[4:]) if outcome.startswith("in: ") and "," not in outcome else b""


def _counters_of(outcome: str) -> Mapping[str, Any]:
    try:
        found = json.loads(_bytes_of(outcome))
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}


def _has_fewer_counters(act: Act, modelled: str, emulated: str) -> bool:
    """CHECK tells of a reply of another size, and nothing else that is different; each name in a virtual board's reply
    is in the other one, too."""
    if not isinstance(act, Step) or act.kind != DIAGNOSTICS:
        return False
    if act.service is Service.CHECK:
        ours, theirs = bytearray(_bytes_of(modelled)), bytearray(_bytes_of(emulated))
        both_tell_a_size = all(side and side[0] & _SIZE for side in (ours, theirs))
        ours[_SIZE_AT] = theirs[_SIZE_AT] = b""
        return both_tell_a_size and ours == theirs
    names = _counters_of(modelled).keys()
    return act.service is Service.RECV and bool(names) and names <= _counters_of(emulated).keys()


def _has_no_serial_number(act: Act, modelled: str, emulated: str) -> bool:
    if not isinstance(act, Step) or act.kind != SERIAL_NUMBER or not modelled.startswith("in: "):
        return False
    return (act.service, emulated) in ((Service.CHECK, _NO_SERIAL_NUMBER), (Service.RECV, STALL))


def _is_about_mesh(act: Act, modelled: str, emulated: str) -> bool:
    if not isinstance(act, Step) or act.kind not in _MESH or not emulated.startswith("in: "):
        return False
    return (act.service, modelled) in ((Service.CHECK, _NOT_SUPPORTED), (Service.RECV, STALL))


_COUNTERS = KnownDifference(
    "diagnostics: a virtual board has the counters that tell whether it has been online, and its own uptime",
    _has_fewer_counters,
)
_GEN3_SYSTEM = (
    _COUNTERS,
    KnownDifference(
        "the serial number is in a protected page of the serial flash, which the emulated one does not have: Device OS "
        "finds none",
        _has_no_serial_number,
    ),
    KnownDifference(
        "requests about mesh networks, which Device OS has until 1.5: virtual boards do not know them",
        _is_about_mesh,
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
