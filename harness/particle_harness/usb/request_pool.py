"""The 512 bytes in which Device OS keeps control requests and their small payloads.

Source: device-os v2.1.0 system/src/system_task.cpp (system_pool_alloc), services/inc/simple_pool_allocator.h.
"""

from __future__ import annotations

POOL_BYTES, REQUEST_BYTES = 512, 64
"""The second: an object of UsbControlRequestChannel::Request. Source: device-os v2.1.0
system/src/usb_control_request_channel.h."""
_HEADER_BYTES, _WORD_BYTES = 8, 4


class RequestPool:
    """Blocks are known by their offset, and keep their size: they are joined at the end of the pool alone."""

    def __init__(self) -> None:
        self._end = 0
        self._sizes: dict[int, int] = {}
        self._free: list[int] = []

    def allocate(self, size_bytes: int) -> int | None:
        """The block's offset; None: there is no room."""
        wanted = _HEADER_BYTES + size_bytes
        # Sizes that are whole words get another one.
        wanted += _WORD_BYTES - wanted % _WORD_BYTES
        if POOL_BYTES - self._end >= wanted:
            offset, self._end = self._end, self._end + wanted
            self._sizes[offset] = wanted
            return offset
        fitting = [offset for offset in self._free if self._sizes[offset] >= wanted]
        if not fitting:
            return None
        offset = min(fitting, key=lambda each: self._sizes[each])
        self._free.remove(offset)
        return offset

    def free(self, offset: int) -> None:
        """Give a block back."""
        self._free = sorted([*self._free, offset])
        while self._free and self._free[-1] + self._sizes[self._free[-1]] == self._end:
            self._end = self._free.pop()
            del self._sizes[self._end]
