"""Faults by script on a debug port: what a probe's transfers meet."""

from __future__ import annotations

from collections.abc import Callable

from particle_harness.faults import Fault, FaultScript
from particle_harness.swd.debug_port import Acknowledge, DebugPort, ProbeGoneError, WireError


def require_power(powered: bool) -> None:
    """Raise WireError: a chip without power does not answer."""
    if not powered:
        raise WireError(Acknowledge.NOTHING)


def spoil_transfers(
    port: DebugPort,
    faults: FaultScript,
    count: int,
    *,
    cut_power: Callable[[Fault], None],
    is_powered: Callable[[], bool],
) -> None:
    """Note ``count`` transfers that come in one go, before they are done; raise what the fault that is due with them
    makes of them. ``cut_power``: by that fault."""
    require_power(is_powered())
    fault = faults.count("swd_transfer", count)
    if fault is None:
        return
    if fault.do == "lose_probe":
        port.probe_gone = True
        raise ProbeGoneError
    if fault.do == "fault":
        raise port.fault()
    if fault.do == "wait":
        raise WireError(Acknowledge.WAIT)
    if fault.do == "parity":
        raise WireError(Acknowledge.PARITY_ERROR)
    cut_power(fault)
    require_power(is_powered())
