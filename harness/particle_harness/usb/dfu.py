"""A device in DFU mode: what the DfuSe state machines of Particle's bootloaders have in common."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from particle_harness.usb.descriptors import DFU_FUNCTIONAL, TRANSFER_SIZE_BYTES, DfuEra, UsbIdentity, dfu_functional
from particle_harness.usb.device import UsbDevice
from particle_harness.usb.dfu_terms import DfuMemory, DfuRegisters
from particle_harness.usb.transfer import StallError


class DfuDevice(UsbDevice):
    """What both machines share. ``leave(safe_mode)`` is called when the reset countdown starts."""

    first_address = 0
    """Address pointer of a bootloader that has just started."""

    def __init__(
        self,
        identity: UsbIdentity,
        era: DfuEra,
        memories: Sequence[DfuMemory],
        *,
        leave: Callable[[bool], None],
        detach: Callable[[], None],
    ) -> None:
        super().__init__(identity)
        self.era = era
        self.memories = tuple(memories)
        self.registers = DfuRegisters(address=self.first_address)
        self.alternate_settings = len(self.memories)
        self._leave = leave
        self._detach = detach

    @property
    def leaving(self) -> bool:
        """Whether a countdown to the reset still runs. On Gen 2 nothing stops it."""
        return True

    @property
    def memory(self) -> DfuMemory:
        """Memory of the present alternate setting."""
        return self.memories[self.alternate]

    def class_descriptor(self, kind: int) -> bytes:
        """The functional descriptor by itself."""
        if kind == DFU_FUNCTIONAL:
            return dfu_functional()
        raise StallError

    def _status_reply(self) -> bytes:
        r = self.registers
        return bytes([r.status]) + r.poll_timeout_ms.to_bytes(3, "little") + bytes([r.reported_state, r.string_index])

    def _block_address(self, block: int) -> int:
        return self.registers.address + (block - 2) * TRANSFER_SIZE_BYTES
