"""Firmware update over control requests: what DFU should not touch (bootloader, radio stack, network processor, assets)
goes to the running system, which checks it and installs it.

Source: device-os v6.2.0 system/src/control/storage.cpp, system/src/firmware_update.cpp.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from particle_dev.catalog.requests import MAX_PAYLOAD_SIZE_BYTES, ControlRequest, result_name
from particle_dev.errors import ControlProtocolError, LinkTimeoutError, RequestRefusedError
from particle_dev.protocol import messages_pb2 as pb
from particle_dev.protocol.control import ControlResult, perform_request
from particle_dev.protocol.messages import parse_message
from particle_dev.protocol.usb import Machine

START_TIMEOUT_S = 120.0
"""START erases the whole update area before it answers."""
FINISH_TIMEOUT_S = 120.0
DATA_PAUSES_S = (0.002, 0.005, 0.01, 0.02, 0.05, 0.05, 0.1, 0.1, 0.25, 0.25, 0.5, 0.5, 1.0)
"""Pauses of DATA. Particle's client waits 50 ms twice per kilobyte, which is most of its time; the device answers CHECK
from its USB interrupt and is not slowed down by it."""
_FORMAT_BIN = 0
_CHUNK_HEADER_BYTES = 4
"""Field number and length in front of the bytes of a chunk."""
_HINTS = {
    1: "before Device OS 2.0.0 a device does not say why; `particle-dev inspect` tells whether the file is intact, "
    "what board it is for and what it depends on",
    -120: "compressed containers are not accepted; send the module itself",
    -210: "another update is running on the device; reset it and try again",
    -1310: "the device cannot install this kind of module",
    -1340: "install what the module depends on first",
    -1351: "it is empty or larger than the device's update area",
    -1360: "the module is for another platform",
    -1380: "the application disables updates; enter listening or safe mode",
    -1801: "the device is protected; it must be opened first",
}


@dataclass(frozen=True, slots=True)
class AcceptedUpdate:
    """The device has checked integrity, platform, range and all dependencies of ``size_bytes`` bytes.

    ``will_reset``: it resets now, and bootloader or system install the module then or during shut-down. **That is not
    yet done and can still fail**: read the module info after the reset. False after a mere validation; nothing stays.
    Before Device OS 2.0.0 a mere validation looks for a module of this kind alone, and every refusal is a 1.
    """

    size_bytes: int
    will_reset: bool


_AGAIN = "the update was cancelled; reset the device and run again"
Progress = Callable[[int, int], None]
"""Called with bytes sent so far and bytes in all, after START and after each chunk."""


def update_firmware(
    data: bytes, *, validate_only: bool = False, progress: Progress | None = None
) -> Machine[AcceptedUpdate]:
    """Send one module (or one combined binary) and have it installed, or only validated.

    **Without ``validate_only`` the device resets into its application**, which may connect; whoever drives this sees to
    the permission. Raises RequestRefusedError with the device's result code, LinkTimeoutError, ControlProtocolError;
    the update is cancelled on the device in each case.
    Source of the steps: particle-usb src/device.js updateFirmware.
    """
    try:
        chunk_size = yield from _start(len(data))
        report = progress or (lambda _sent, _total: None)
        report(0, len(data))
        for offset in range(0, len(data), chunk_size):
            chunk = data[offset : offset + chunk_size]
            payload = pb.FirmwareUpdateDataRequest(data=chunk).SerializeToString()
            request = ControlRequest.FIRMWARE_UPDATE_DATA
            result = yield from perform_request(request, payload, pauses_s=DATA_PAUSES_S)
            _require_ok(result, request, f" at byte {offset} of {len(data)}")
            report(offset + len(chunk), len(data))
        payload = pb.FinishFirmwareUpdateRequest(validate_only=validate_only).SerializeToString()
        request = ControlRequest.FINISH_FIRMWARE_UPDATE
        _require_ok((yield from perform_request(request, payload, FINISH_TIMEOUT_S)), request)
    except (RequestRefusedError, LinkTimeoutError, ControlProtocolError):
        yield from _cancel()
        raise
    return AcceptedUpdate(len(data), will_reset=not validate_only)


def _start(size_bytes: int) -> Machine[int]:
    payload = pb.StartFirmwareUpdateRequest(size=size_bytes, format=_FORMAT_BIN).SerializeToString()
    request = ControlRequest.START_FIRMWARE_UPDATE
    result = yield from perform_request(request, payload, START_TIMEOUT_S)
    _require_ok(result, request)
    chunk_size = parse_message(request, pb.StartFirmwareUpdateReply(), result.data).chunk_size
    if not chunk_size:
        raise ControlProtocolError("START_FIRMWARE_UPDATE gave no chunk size", request_type=request, hint=_AGAIN)
    return min(chunk_size, MAX_PAYLOAD_SIZE_BYTES - _CHUNK_HEADER_BYTES)


def _cancel() -> Machine[None]:
    try:
        yield from perform_request(ControlRequest.CANCEL_FIRMWARE_UPDATE, timeout_s=5.0)
    except (LinkTimeoutError, ControlProtocolError):
        # The error that led here says more; the next START cancels what is left.
        return


def _require_ok(result: ControlResult, request: ControlRequest, where: str = "") -> None:
    if not result.ok:
        raise RequestRefusedError(
            f"the device refused {request.name}{where}: {result_name(result.result_code)}",
            request=request.name,
            result_code=result.result_code,
            hint=_HINTS.get(result.result_code, _AGAIN),
        )
