"""The chip behind the card: its backplane and its packet FIFO.

Nothing executes here. What the host loads into the RAM stays there; when the host lets the ARM core go, the firmware is
taken to run, which is :mod:`particle_harness.emulator.parts.wifi.wlan`, whatever was loaded.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable

_BACKPLANE, _PACKETS = 1, 2
_WINDOW_BYTES = 0x8000
_FIRST_OWN_REGISTER = 0x10000
_WINDOW, _FRAME_CONTROL, _CLOCK = 0x1000A, 0x1000D, 0x1000E
_END_READ_FRAME = 1 << 0
_REQUESTS, _LOW_POWER_CLOCK, _FAST_CLOCK = 0x3F, 1 << 6, 1 << 7
_ASKS_LOW_POWER, _ASKS_FAST = 0x09, 0x12
"""FORCE_ALP and ALP_AVAIL_REQ, FORCE_HT and HT_AVAIL_REQ."""
_CHIP_ID, _INTERRUPT_STATUS, _HOST_MASK = 0x18000000, 0x18002020, 0x18002024
_ARM_CONTROL, _ARM_RESET = 0x18103408, 0x18103800
_CLOCKED, _FORCES_CLOCK, _IN_RESET = 1 << 0, 1 << 1, 1 << 0
_FRAME_INDICATION = 1 << 6
_VECTORS_BYTES = 64
RAM_BYTES = 0x3C000
IDENTIFICATION = 43362
_REVISION = 1


class Bcm43362:
    """Implements :class:`particle_harness.emulator.parts.wifi.sdio_card.Functions`.

    Registers that do nothing here keep what was written to them. Source: Linux
    drivers/net/wireless/broadcom/brcm80211 (brcmfmac/sdio.c, sdio.h, chip.c; include/chipcommon.h) for the family;
    device-os v2.1.0 hal/src/photon/wiced/WWD/internal/chips/43362/chip_constants.h.
    """

    count = 2

    def __init__(self) -> None:
        self.ram = bytearray(RAM_BYTES)
        self.on_start: Callable[[], None] | None = None
        """Told when the host has let the ARM core go."""
        self.on_frame: Callable[[bytes], None] | None = None
        """Given what the host writes to the packet FIFO."""
        self.on_interrupt: Callable[[], None] | None = None
        """Told when a function begins to want attention."""
        self.reset()

    def reset(self) -> None:
        """As when power comes."""
        self.ram[:] = bytes(RAM_BYTES)
        self.words = {_CHIP_ID: IDENTIFICATION | _REVISION << 16, _ARM_RESET: _IN_RESET}
        self.own: dict[int, int] = {}
        self.released = False
        """Whether the host lets the ARM core go."""
        self.running = False
        """Whether the firmware in its RAM runs."""
        self.frames: deque[bytes] = deque()
        """For the host, those it has not begun to read."""
        self.frame = bytearray()
        """What is left of the one it reads."""

    # ---- functions --------------------------------------------------------------------------------------------------

    def ready(self, function: int) -> bool:
        """Packets need the firmware."""
        return function == _BACKPLANE or self.running

    @property
    def pending(self) -> int:
        """A frame waits, and the host wants to know."""
        return (1 << _PACKETS) if self.words.get(_INTERRUPT_STATUS, 0) & self.words.get(_HOST_MASK, 0) else 0

    def read(self, function: int, address: int, size_bytes: int, *, increments: bool) -> bytes:
        """Data of a function."""
        if function == _PACKETS:
            return self._read_packet(size_bytes)
        if address >= _FIRST_OWN_REGISTER:
            return bytes(self._own_register(address + n * increments) for n in range(size_bytes))
        start = self._on_backplane(address)
        if increments:
            return self.backplane_read(start, size_bytes)
        return self.backplane_read(start, 4) * (size_bytes // 4)

    def write(self, function: int, address: int, data: bytes, *, increments: bool) -> None:
        """Data for it."""
        if function == _PACKETS:
            if self.running and self.on_frame is not None:
                self.on_frame(data)
        elif address >= _FIRST_OWN_REGISTER:
            for n, value in enumerate(data):
                self._set_own_register(address + n * increments, value)
        else:
            start = self._on_backplane(address)
            for piece in [data] if increments else [data[n : n + 4] for n in range(0, len(data), 4)]:
                self.backplane_write(start, piece)

    def abort(self, function: int) -> None:
        """The host reads no further."""
        if function == _PACKETS:
            self.frame.clear()

    # ---- packets ----------------------------------------------------------------------------------------------------

    def push(self, frame: bytes) -> None:
        """The firmware has a frame for the host."""
        self.frames.append(frame)
        self.words[_INTERRUPT_STATUS] = self.words.get(_INTERRUPT_STATUS, 0) | _FRAME_INDICATION
        if self.on_interrupt is not None:
            self.on_interrupt()

    def _read_packet(self, size_bytes: int) -> bytes:
        """Zeros behind the end of a frame, and where there is none."""
        if not self.frame and self.frames:
            self.frame += self.frames.popleft()
        data = bytes(self.frame[:size_bytes])
        del self.frame[:size_bytes]
        return data.ljust(size_bytes, b"\0")

    # ---- registers of function 1 ------------------------------------------------------------------------------------

    def _on_backplane(self, address: int) -> int:
        window = sum(self.own.get(_WINDOW + n, 0) << 8 * (n + 1) for n in range(3))
        return window & ~(_WINDOW_BYTES - 1) | address & (_WINDOW_BYTES - 1)

    def _own_register(self, address: int) -> int:
        value = self.own.get(address, 0)
        if address != _CLOCK:
            return value
        fast = self.running or value & _ASKS_FAST
        return (
            value & _REQUESTS
            | (_FAST_CLOCK if fast else 0)
            | (_LOW_POWER_CLOCK if fast or value & _ASKS_LOW_POWER else 0)
        )

    def _set_own_register(self, address: int, value: int) -> None:
        if address == _FRAME_CONTROL:
            if value & _END_READ_FRAME:
                self.frame.clear()
        else:
            self.own[address] = value

    # ---- backplane --------------------------------------------------------------------------------------------------

    def backplane_read(self, address: int, size_bytes: int) -> bytes:
        """RAM or registers."""
        if address + size_bytes <= RAM_BYTES:
            return bytes(self.ram[address : address + size_bytes])
        first = address & ~3
        words = range(first, address + size_bytes, 4)
        data = b"".join(self.words.get(word, 0).to_bytes(4, "little") for word in words)
        return data[address - first :][:size_bytes]

    def backplane_write(self, address: int, data: bytes) -> None:
        """RAM or registers."""
        if address + len(data) <= RAM_BYTES:
            self.ram[address : address + len(data)] = data
            return
        for n, value in enumerate(data):
            word, shift = (address + n) & ~3, 8 * ((address + n) & 3)
            if word == _INTERRUPT_STATUS:
                # Ones clear.
                self.words[word] = self.words.get(word, 0) & ~(value << shift)
            elif word != _CHIP_ID:
                self.words[word] = self.words.get(word, 0) & ~(0xFF << shift) | value << shift
        self._see_to_core()

    def _see_to_core(self) -> None:
        clocked = self.words.get(_ARM_CONTROL, 0) & (_CLOCKED | _FORCES_CLOCK) == _CLOCKED
        released = clocked and not self.words.get(_ARM_RESET, 0) & _IN_RESET
        if released and not self.released:
            # A core that finds no vectors is lost until it is reset.
            self.running = any(self.ram[:_VECTORS_BYTES])
            if self.running and self.on_start is not None:
                self.on_start()
        elif not released:
            self.running = False
        self.released = released
