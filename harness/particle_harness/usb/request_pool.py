"""The memory in which Device OS keeps control requests and their small payloads.

Source: device-os v2.1.0 system/src/system_task.cpp (system_pool_alloc), services/inc/simple_pool_allocator.h; v5.0.0
and v5.4.0 hal/src/rtl872x/hal_platform_rtl8721x_config.h.
"""

from __future__ import annotations

_POOL_BYTES, _REQUEST_BYTES = 512, 64
"""The second: an object of UsbControlRequestChannel::Request. Source: device-os v2.1.0
system/src/usb_control_request_channel.h."""
_REQUEST_WITH_VIRTUALS_BYTES = 68
_WITH_VIRTUALS = (range(2201, 3000), range(3103, 0x10000))
"""Since 2.2.0-rc.2, but not in 3.0 and the pre-releases of 3.1.0. Source: system/inc/active_object.h ISRTaskQueue."""
_RTL872X_POOL_BYTES = {5400: 8192, 5000: 1024}
"""By the first version that has so much."""
_HEADER_BYTES, _WORD_BYTES = 8, 4


class RequestPool:
    """Blocks are known by their offset, and keep their size: they are joined at the end of the pool alone.

    ``request_bytes``: what a request takes."""

    def __init__(self, size_bytes: int = _POOL_BYTES, request_bytes: int = _REQUEST_BYTES) -> None:
        self._size_bytes = size_bytes
        self.request_bytes = request_bytes
        self._end = 0
        self._sizes: dict[int, int] = {}
        self._free: list[int] = []

    def allocate(self, size_bytes: int) -> int | None:
        """The block's offset; None: there is no room."""
        wanted = _HEADER_BYTES + size_bytes
        # Sizes that are whole words get another one.
        wanted += _WORD_BYTES - wanted % _WORD_BYTES
        if self._size_bytes - self._end >= wanted:
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


def pool_of(version: int, *, is_rtl872x: bool) -> RequestPool:
    """The one of a system whose main part has that number."""
    has_virtuals = any(version in versions for versions in _WITH_VIRTUALS)
    sizes = [size for first, size in _RTL872X_POOL_BYTES.items() if is_rtl872x and version >= first]
    return RequestPool(
        max(sizes, default=_POOL_BYTES), _REQUEST_WITH_VIRTUALS_BYTES if has_virtuals else _REQUEST_BYTES
    )
