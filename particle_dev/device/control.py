"""Control requests to one device in normal (or listening, or safe) mode."""

from __future__ import annotations

from types import TracebackType

from particle_dev.catalog.platforms import UsbMode
from particle_dev.catalog.requests import RAW_REQUEST, VENDOR_OUT, ControlRequest, RawRequest, result_name
from particle_dev.device.exchange import run
from particle_dev.device.model import Device
from particle_dev.errors import DeviceModeError, LinkStallError, RequestRefusedError
from particle_dev.protocol import control, messages
from particle_dev.protocol.messages import CloudStatus, DeviceMode, InstalledModule
from particle_dev.transport.base import Host

_HINTS = {
    -120: "this Device OS version or application does not know the request",
    -130: "the application refuses it",
    -210: "the device is in a state that does not allow it",
    -1801: "the device is protected; it must be opened first",
}


class ControlSession:
    """Typed requests over one link. Use as a context manager; opening cancels requests that a dead host left behind.

    None of these requests erases, connects or bills, except where the method says so.
    """

    def __init__(self, host: Host, device: Device) -> None:
        if device.mode is not UsbMode.NORMAL:
            raise DeviceModeError(
                f"{device} does not answer control requests",
                expected=UsbMode.NORMAL,
                actual=device.mode,
                hint="leave DFU mode first; this boots the application",
            )
        self._clock = host.clock
        self._link = host.usb.open(device.usb)
        self.device = device
        run(control.reset_requests(), self._link, self._clock)

    def __enter__(self) -> ControlSession:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        self.close()

    def close(self) -> None:
        """Give the device back."""
        self._link.close()

    def request(self, request: ControlRequest, payload: bytes = b"", timeout_s: float = 10.0) -> bytes:
        """Reply data of one request. Raises RequestRefusedError for a result code other than 0, LinkTimeoutError when
        the device gives no result in time."""
        result = run(control.perform_request(request, payload, timeout_s), self._link, self._clock)
        if not result.ok:
            raise RequestRefusedError(
                f"{self.device.device_id} refused {request.name}: {result_name(result.result_code)}",
                request=request.name,
                result_code=result.result_code,
                hint=_HINTS.get(result.result_code, ""),
            )
        return result.data

    def device_id(self) -> str:
        """The Device ID, 24 lower-case hex digits."""
        return messages.decode_device_id(self.request(ControlRequest.DEVICE_ID))

    def serial_number(self) -> str | None:
        """The serial number, None when the device has none stored or does not know the request."""
        try:
            return messages.decode_serial_number(self.request(ControlRequest.SERIAL_NUMBER)) or None
        except RequestRefusedError:
            return None

    def system_version(self) -> str:
        """Version of the Device OS that runs, e.g. ``2.1.0``."""
        return messages.decode_system_version(self.request(ControlRequest.SYSTEM_VERSION))

    def device_mode(self) -> DeviceMode:
        """Listening or normal; safe mode shows as normal."""
        return messages.decode_device_mode(self.request(ControlRequest.GET_DEVICE_MODE))

    def module_info(self) -> tuple[InstalledModule, ...]:
        """The modules on the device with the outcome of the device's own checks."""
        return messages.decode_module_info(self.request(ControlRequest.MODULE_INFO))

    def diagnostics(self) -> dict[str, int]:
        """Numeric diagnostics of the present boot by name; counters start at 0 at each boot."""
        return messages.decode_diagnostics(self.request(ControlRequest.DIAGNOSTIC_INFO))

    def cloud_status(self) -> CloudStatus:
        """Whether a cloud session exists now."""
        return messages.decode_cloud_status(self.request(ControlRequest.CLOUD_CONNECTION_STATUS))

    def stop_connecting(self) -> bool:
        """Make the device give up a cloud connection or an attempt at one, at once, even when its threads are blocked;
        it stays so until its next reset or until the application connects. False when its Device OS does not know the
        request (before 2.0.0)."""
        # RTL872x never completes an OUT transfer without a data stage.
        data = b"\0" if "controlOutTransfersRequireDataStage" in self.device.platform.quirks else b""
        try:
            self._link.control_out(VENDOR_OUT, RAW_REQUEST, 0, RawRequest.CLOUD_DISCONNECT, data, 1.0)
        except LinkStallError:
            return False
        return True

    def enter_dfu_mode(self) -> None:
        """Ask for DFU mode. The device resets about 1 s after this returns; its bootloader then waits in DFU mode and
        runs nothing. The request itself ends a connection attempt and forbids another one until the reset."""
        self.request(ControlRequest.DFU_MODE)
