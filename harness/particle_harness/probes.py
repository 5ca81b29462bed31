"""Debug probes of a bench: one a slot, reached by pyOCD and OpenOCD from any process of this machine."""

from __future__ import annotations

from contextlib import ExitStack

from particle_harness.swd.chip import ProbedChip
from particle_harness.swd.claim import Claim
from particle_harness.swd.cmsis_dap import CmsisDap, CmsisDapServer
from particle_harness.swd.plugged import plugged
from particle_harness.swd.probe_server import LOOPBACK, ProbeServer
from particle_harness.swd.usb_probe import UsbProbe

_BUS = 2
"""Boards are on bus 1."""


class SlotProbe:
    """The probe on one board, there until :meth:`close`. Needs the emulator.

    ``unique_id`` is pyOCD's name for it in any process of this machine, ``serial_number`` the one in this process, and
    ``openocd_port`` speaks ``cmsis-dap backend tcp``, and ``usb`` is for the USB seams, in the ``number``-th port of a
    bus of probes.
    """

    def __init__(self, chip: ProbedChip, device_id: str, number: int) -> None:
        self._open = ExitStack()
        self.serial_number = f"V{device_id}"
        probe = CmsisDap(chip, self.serial_number)
        claim = Claim()
        server = ProbeServer(chip, unique_id=self.serial_number, claim=claim)
        port = self._open.enter_context(server).port
        self.unique_id = f"remote:{LOOPBACK}:{port}"
        self.openocd_port = self._open.enter_context(CmsisDapServer(probe, claim=claim)).port
        self._open.enter_context(plugged(probe))
        self.usb = UsbProbe(probe, f"{_BUS}-{number}", number + 1)

    def close(self) -> None:
        """Unplug it for good."""
        self._open.close()
