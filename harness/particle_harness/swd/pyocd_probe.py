"""Virtual chips inside this process for pyOCD: its own CMSIS-DAP client, with packets handed over instead of sent.

Imported by pyOCD through :mod:`particle_harness.swd.pyocd_plugin` alone: it must have begun to load before this does.
"""

from __future__ import annotations

from collections import deque
from typing import Any

from pyocd.probe.cmsis_dap_probe import CMSISDAPProbe
from pyocd.probe.pydapaccess.dap_access_api import DAPAccessIntf
from pyocd.probe.pydapaccess.dap_access_cmsis_dap import DAPAccessCMSISDAP
from pyocd.probe.pydapaccess.interface.interface import Interface

from particle_harness.swd.cmsis_dap import PACKET_COUNT, CmsisDap
from particle_harness.swd.debug_port import ProbeGoneError
from particle_harness.swd.plugged import plugged_probes


class _PacketInterface(Interface):  # type: ignore[misc]
    """Packets to and from one virtual probe."""

    is_bulk = True

    def __init__(self, probe: CmsisDap) -> None:
        super().__init__()
        self._probe = probe
        self._replies: deque[bytes] = deque()
        self.vendor_name, self.product_name = "particle-dev", "Virtual CMSIS-DAP"
        self.serial_number = probe.serial_number
        self.packet_size = probe.packet_size_bytes
        self.packet_count = PACKET_COUNT

    def open(self) -> None:
        """Nothing to open."""

    def close(self) -> None:
        """Forget replies that nobody read."""
        self._replies.clear()

    def write(self, data: Any) -> None:
        """One packet to the probe."""
        try:
            self._replies.append(self._probe.handle(bytes(data)))
        except ProbeGoneError as error:
            raise DAPAccessIntf.DeviceError(f"probe {self.serial_number} was unplugged") from error

    def read(self) -> bytearray:
        """The next reply."""
        return bytearray(self._replies.popleft())


def _present() -> list[CmsisDap]:
    return [probe for probe in plugged_probes.values() if not probe.chip.debug_port.probe_gone]


class VirtualProbe(CMSISDAPProbe):  # type: ignore[misc]
    """Enumerates what is plugged."""

    # pyOCD calls both with is_explicit=.
    @classmethod
    def get_all_connected_probes(cls, unique_id: str | None = None, is_explicit: bool = False) -> list[VirtualProbe]:  # noqa: ARG003
        """Probes whose serial number holds ``unique_id``, as pyOCD's own probes answer."""
        return [cls._of(p) for p in _present() if unique_id is None or unique_id in p.serial_number]

    @classmethod
    def get_probe_with_id(cls, unique_id: str, is_explicit: bool = False) -> VirtualProbe | None:  # noqa: ARG003
        """The probe of that serial number."""
        return next((cls._of(p) for p in _present() if p.serial_number == unique_id), None)

    @classmethod
    def _of(cls, probe: CmsisDap) -> VirtualProbe:
        return cls(DAPAccessCMSISDAP(None, _PacketInterface(probe)))
