"""Which virtual probes this process has."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from particle_harness.swd.cmsis_dap import CmsisDap

plugged_probes: dict[str, CmsisDap] = {}
"""By serial number; pyOCD enumerates them beside the real ones."""


@contextmanager
def plugged(*probes: CmsisDap) -> Iterator[None]:
    """These probes are there, for every session of this process."""
    plugged_probes.update({probe.serial_number: probe for probe in probes})
    try:
        yield
    finally:
        for probe in probes:
            del plugged_probes[probe.serial_number]
