"""Several control transfers handed to libusb at once: the bus does not wait for this program between them.

pyusb offers one transfer at a time; this uses the library and the handle that it holds. Source: libusb 1.0 API
documentation, "Asynchronous device I/O" and struct libusb_transfer.
"""

from __future__ import annotations

import ctypes
import errno
from collections.abc import Sequence
from ctypes import POINTER, c_char, c_int, c_uint, c_uint8, c_void_p
from typing import Any

import usb.core

from particle_dev.protocol.usb import ControlIn, ControlOut, Stall

_SETUP_SIZE_BYTES = 8
_NO_LONGER_THERE = (-4, -5)
"""LIBUSB_ERROR_NO_DEVICE, LIBUSB_ERROR_NOT_FOUND."""


class _Transfer(ctypes.Structure):
    """struct libusb_transfer without its list of isochronous packets."""


_Callback = ctypes.CFUNCTYPE(None, POINTER(_Transfer))
_Transfer._fields_ = [
    ("dev_handle", c_void_p),
    ("flags", c_uint8),
    ("endpoint", c_uint8),
    ("type", c_uint8),
    ("timeout", c_uint),
    ("status", c_int),
    ("length", c_int),
    ("actual_length", c_int),
    ("callback", _Callback),
    ("user_data", c_void_p),
    ("buffer", c_void_p),
    ("num_iso_packets", c_int),
]


def can_queue(device: Any) -> bool:
    """Whether this pyusb device is one of libusb 1.0."""
    backend = device.backend
    return type(backend).__module__ == "usb.backend.libusb1" and hasattr(backend, "lib") and hasattr(backend, "ctx")


def control_queue(device: Any, transfers: Sequence[ControlIn | ControlOut]) -> list[bytes | Stall | None]:
    """Carry out control transfers in their order; what the device answered to each. Interfaces must be claimed before.
    A transfer that fails otherwise than by a stall raises usb.core.USBError, after the ones behind it were taken back
    or have ended."""
    # pyusb shows nobody its handle, and a second one of our own could not use the interfaces claimed by the first.
    pyusb_handle = device._ctx
    pyusb_handle.managed_open()
    queue = _Queue(device.backend.lib, device.backend.ctx, pyusb_handle.handle.handle)
    return queue.run(transfers)


class _TimeValue(ctypes.Structure):
    _fields_ = (("tv_sec", ctypes.c_long), ("tv_usec", ctypes.c_long))


_LOOK_AGAIN = _TimeValue(0, 100_000)
"""Another thread may have handled our events between our look and our wait."""
_LOOKS = 50
"""So many of these at most for transfers that were taken back."""
_LOST: list[object] = []
"""Memory of transfers that nobody waited for to the end: libusb may still write there."""


class _Queue:
    """One use of libusb's asynchronous interface. Memory that libusb knows lives until every transfer has ended."""

    def __init__(self, lib: Any, context: Any, handle: Any) -> None:
        self._lib, self._context, self._handle = lib, ctypes.cast(context, c_void_p), handle
        lib.libusb_alloc_transfer.restype = POINTER(_Transfer)
        lib.libusb_submit_transfer.argtypes = lib.libusb_cancel_transfer.argtypes = [POINTER(_Transfer)]
        lib.libusb_free_transfer.argtypes = [POINTER(_Transfer)]
        lib.libusb_free_transfer.restype = None
        lib.libusb_handle_events_timeout_completed.argtypes = [c_void_p, POINTER(_TimeValue), c_void_p]
        self._submitted = 0
        self._ended: list[Any] = []
        # Not a function of ours: Ctrl-C would be raised in it, where nobody hears of it.
        self._callback = _Callback(self._ended.append)

    def run(self, actions: Sequence[ControlIn | ControlOut]) -> list[bytes | Stall | None]:
        buffers = [_buffer_of(action) for action in actions]
        transfers: list[Any] = []
        try:
            self._submit(actions, buffers, transfers)
            while len(self._ended) < self._submitted:
                self._handle_events()
            return [_reply(t.contents, a, b) for t, a, b in zip(transfers, actions, buffers, strict=True)]
        except BaseException:
            # Refused, or Ctrl-C. Those that have ended say that they cannot be found.
            for transfer in reversed(transfers):
                self._lib.libusb_cancel_transfer(transfer)
            for _ in range(_LOOKS):
                if len(self._ended) < self._submitted:
                    self._handle_events()
            raise
        finally:
            if len(self._ended) < self._submitted:
                _LOST.extend((self._callback, *buffers))
            else:
                for transfer in transfers:
                    self._lib.libusb_free_transfer(transfer)

    def _submit(
        self, actions: Sequence[ControlIn | ControlOut], buffers: Sequence[ctypes.Array[c_char]], transfers: list[Any]
    ) -> None:
        timeout_s = 0.0
        for action, buffer in zip(actions, buffers, strict=True):
            # Counted from now, so what comes before has its time, too.
            timeout_s += action.timeout_s
            transfer = self._lib.libusb_alloc_transfer(0)
            content = transfer.contents
            content.dev_handle = ctypes.cast(self._handle, c_void_p)
            content.flags = content.endpoint = content.type = 0
            content.timeout = round(timeout_s * 1000)
            content.length = len(buffer)
            content.callback = self._callback
            content.buffer = ctypes.cast(buffer, c_void_p)
            transfers.append(transfer)
            # Before: an interrupt in between must not free what libusb has.
            self._submitted += 1
            refused = self._lib.libusb_submit_transfer(transfer)
            if refused:
                self._submitted -= 1
                raise _refusal(refused)

    def _handle_events(self) -> None:
        self._lib.libusb_handle_events_timeout_completed(self._context, _LOOK_AGAIN, None)


def _buffer_of(action: ControlIn | ControlOut) -> ctypes.Array[c_char]:
    data = action.data if isinstance(action, ControlOut) else b""
    length = len(data) if isinstance(action, ControlOut) else action.w_length
    setup = bytes([action.bm_request_type, action.b_request])
    setup += b"".join(value.to_bytes(2, "little") for value in (action.w_value, action.w_index, length))
    return ctypes.create_string_buffer(setup + data + bytes(length - len(data)), _SETUP_SIZE_BYTES + length)


def _reply(transfer: Any, action: ControlIn | ControlOut, buffer: ctypes.Array[c_char]) -> bytes | Stall | None:
    match transfer.status:
        case 0:  # completed
            end = _SETUP_SIZE_BYTES + transfer.actual_length
            return buffer.raw[_SETUP_SIZE_BYTES:end] if isinstance(action, ControlIn) else None
        case 4:  # stall
            return Stall()
        case 2:  # timed out
            raise usb.core.USBTimeoutError("no answer in time", transfer.status, errno.ETIMEDOUT)
        case 5:  # no device
            raise usb.core.USBError("no such device", transfer.status, errno.ENODEV)
    raise usb.core.USBError("input or output error", transfer.status, errno.EIO)


def _refusal(code: int) -> usb.core.USBError:
    gone = code in _NO_LONGER_THERE
    return usb.core.USBError("libusb refused a transfer", code, errno.ENODEV if gone else errno.EIO)
