"""Control requests to one device in normal (or listening, or safe) mode."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Sequence
from types import TracebackType

from particle_dev.catalog.platforms import UsbMode
from particle_dev.catalog.request_support import depends_on_version, support_row, why_unsupported
from particle_dev.catalog.requests import ControlRequest, RawRequest, result_name
from particle_dev.device.config_requests import ConfigRequests
from particle_dev.device.exchange import run
from particle_dev.device.log_requests import LogRequests
from particle_dev.device.model import LEAVE_DFU_FIRST, Device
from particle_dev.device.network_requests import CellularRequests, NetworkRequests, WifiRequests
from particle_dev.errors import (
    DeviceModeError,
    LinkAccessError,
    ParticleDevError,
    ProtocolError,
    RequestRefusedError,
    RequestUnsupportedError,
    TransportError,
)
from particle_dev.permissions import NOTHING, Permissions
from particle_dev.protocol import control, messages, messages_logging
from particle_dev.protocol.control import CHECK_PAUSES_S, ControlResult, perform_request
from particle_dev.protocol.firmware_update import AcceptedUpdate, Progress, update_firmware
from particle_dev.protocol.interleave import interleave
from particle_dev.protocol.messages import (
    AssetInfo,
    Capability,
    CloudStatus,
    DeviceMode,
    InstalledModule,
    NcpVersion,
)
from particle_dev.protocol.messages_logging import LogHandler
from particle_dev.protocol.request_effects import effects_of
from particle_dev.protocol.usb import Machine, ResultT
from particle_dev.transport.base import Host

_HINTS = {
    -130: "the application refuses it",
    -140: "the request was aborted",
    -210: "the device is in a state that does not allow it",
    -1801: "the device is protected; it must be opened first",
}
_NOT_SUPPORTED = -120
_NO_SERIAL_NUMBER = (-1, -170, _NOT_SUPPORTED, -250)
"""-1 (nRF52840, STM32F2) and INTERNAL (RTL872x) stand for a serial number that was never written. Source: device-os
v6.2.0 and v2.1.0 hal/src/{nRF52840,stm32f2xx,rtl872x}/deviceid_hal.cpp hal_get_device_serial_number."""


class ControlSession:
    """Typed requests over one link. Use as a context manager; opening cancels requests that a dead host left behind.

    What a request may do beyond the harmless needs a permission, and the methods say so; :meth:`request` checks it for
    whatever is sent. A request that the device's platform or Device OS does not know is refused before it is sent.
    ``config``, ``network``, ``wifi``, ``cellular`` and ``logs`` hold the requests of their subject. ``check_pauses_s``:
    how long to wait before each look for a result; the default is what Particle's own client does.
    """

    def __init__(
        self,
        host: Host,
        device: Device,
        permissions: Permissions = NOTHING,
        *,
        check_pauses_s: Sequence[float] = CHECK_PAUSES_S,
    ) -> None:
        if device.mode is not UsbMode.NORMAL:
            raise DeviceModeError(
                f"{device} does not answer control requests",
                expected=UsbMode.NORMAL,
                actual=device.mode,
                hint=LEAVE_DFU_FIRST,
            )
        self._clock = host.clock
        self._link = host.usb.open(device.usb)
        self._needs_data_stage = "controlOutTransfersRequireDataStage" in device.platform.quirks
        self._check_pauses_s = check_pauses_s
        self._device_os: str | None = None
        self.device = device
        self.permissions = permissions
        self.config = ConfigRequests(self)
        self.network = NetworkRequests(self)
        self.wifi = WifiRequests(self)
        self.cellular = CellularRequests(self)
        self.logs = LogRequests(self)
        try:
            run(control.reset_requests(), self._link, self._clock)
        except BaseException:
            self._link.close()
            raise

    def __enter__(self) -> ControlSession:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        self.close()

    def close(self) -> None:
        """Give the device back."""
        self._link.close()

    @property
    def device_os(self) -> str | None:
        """Device OS version by raw request, which works while the device is busy; None before 0.8.0. Read once."""
        if self._device_os is None:
            self._device_os = self._run(control.raw_text(RawRequest.SYSTEM_VERSION))
        return self._device_os

    def request(
        self,
        request: ControlRequest,
        payload: bytes = b"",
        timeout_s: float = 10.0,
        *,
        aborted: Callable[[], bool] | None = None,
    ) -> bytes:
        """Reply data of one request.

        Raises PermissionMissingError and RequestUnsupportedError before anything is sent, RequestRefusedError for a
        result code other than 0 (CANCELLED when ``aborted()`` turned true), LinkTimeoutError when the device gives no
        result in time. An interrupt, too, cancels the request on the device.
        """
        self._require_allowed(request, payload)
        machine = perform_request(
            request, payload, timeout_s, aborted=aborted or (lambda: False), pauses_s=self._check_pauses_s
        )
        return self._reply_data(request, self._run(machine))

    def request_all(
        self, wanted: Sequence[tuple[ControlRequest, bytes]], timeout_s: float = 10.0
    ) -> tuple[ControlResult, ...]:
        """Results of several requests, up to four of which are in flight at a time. Checks and errors are those of
        :meth:`request`, but a refusal is a result."""
        for request, payload in wanted:
            self._require_allowed(request, payload)
        pauses_s = self._check_pauses_s
        return self._run(
            interleave([perform_request(request, payload, timeout_s, pauses_s=pauses_s) for request, payload in wanted])
        )

    def _run(self, machine: Machine[ResultT]) -> ResultT:
        try:
            return run(machine, self._link, self._clock)
        except ParticleDevError:
            raise
        except BaseException:
            with contextlib.suppress(ProtocolError, TransportError):
                run(control.reset_requests(), self._link, self._clock)
            raise

    def _require_allowed(self, request: ControlRequest, payload: bytes) -> None:
        for effect in effects_of(request, payload):
            self.permissions.require(effect, f"control request {request.name}")
        device_os = self.device_os if depends_on_version(request, self.device.platform) else None
        reason = why_unsupported(request, self.device.platform, device_os)
        if reason:
            raise RequestUnsupportedError(
                f"{request.name} was not sent to {self.device}: {reason}",
                request=request.name,
                device_os=device_os,
                hint="update Device OS" if device_os else "choose another way for this platform",
            )

    def _reply_data(self, request: ControlRequest, result: ControlResult) -> bytes:
        if not result.ok:
            raise RequestRefusedError(
                f"{self.device.device_id} refused {request.name}: {result_name(result.result_code)}",
                request=request.name,
                result_code=result.result_code,
                hint=self._explain_not_supported(request)
                if result.result_code == _NOT_SUPPORTED
                else _HINTS.get(result.result_code, ""),
            )
        return result.data

    def _explain_not_supported(self, request: ControlRequest) -> str:
        reason = why_unsupported(request, self.device.platform, self.device_os)
        row = support_row(request)
        return reason or (row.note if row else "") or "this Device OS version or application does not know the request"

    # ---- identity and state -----------------------------------------------------------------------------------------

    def device_id(self) -> str:
        """The Device ID, 24 lower-case hex digits."""
        return messages.decode_device_id(self.request(ControlRequest.DEVICE_ID))

    def serial_number(self) -> str | None:
        """The serial number, None when the device has none stored or does not know the request. Raises
        RequestRefusedError for any other refusal."""
        try:
            return messages.decode_serial_number(self.request(ControlRequest.SERIAL_NUMBER)) or None
        except RequestRefusedError as error:
            if error.result_code in _NO_SERIAL_NUMBER:
                return None
            raise

    def system_version(self) -> str:
        """Version of the Device OS that runs, e.g. ``2.1.0``."""
        return messages.decode_system_version(self.request(ControlRequest.SYSTEM_VERSION))

    def ncp_version(self) -> NcpVersion:
        """Firmware of the network processor of a Wi-Fi board. Powers its radio."""
        return messages.decode_ncp_version(self.request(ControlRequest.NCP_FIRMWARE_VERSION, timeout_s=30.0))

    def capabilities(self) -> Capability:
        """What the system can do beyond its requests."""
        return messages.decode_capabilities(self.request(ControlRequest.GET_SYSTEM_CAPABILITIES))

    def device_mode(self) -> DeviceMode:
        """Listening or normal; safe mode shows as normal."""
        return messages.decode_device_mode(self.request(ControlRequest.GET_DEVICE_MODE))

    def module_info(self) -> tuple[InstalledModule, ...]:
        """The modules on the device with the outcome of the device's own checks.

        **On a Gen 3 or Gen 4 board with a modem this powers it**, as :meth:`.CellularRequests.ids` does: Device OS
        makes a list of both. Source: device-os v2.1.0 to v6.2.0 hal/src/{boron,b5som,tracker,msom}/ota_flash_hal.cpp.
        """
        return messages.decode_module_info(self.request(ControlRequest.MODULE_INFO))

    def asset_info(self) -> AssetInfo:
        """Assets in storage and those that modules require."""
        return messages.decode_asset_info(self.request(ControlRequest.ASSET_INFO))

    def diagnostics(self) -> dict[str, int]:
        """Numeric diagnostics of the present boot by name (device-os v6.2.0 services/inc/diagnostics.h); counters start
        at 0 at each boot."""
        return messages.decode_diagnostics(self.request(ControlRequest.DIAGNOSTIC_INFO))

    def uptime_s(self) -> int | None:
        """Seconds since boot, None when the device does not tell."""
        return self.diagnostics().get("sys:uptime")

    def echo(self, data: bytes) -> bytes:
        """``data`` as it comes back: a test of the link."""
        return self.request(ControlRequest.ECHO, data)

    def app_request(self, payload: bytes, timeout_s: float = 10.0) -> bytes:
        """Answer of the application to a request of its own. What it does is up to the application: it may connect.
        A command of the manufacturing test that **burns fuses** needs ``may_burn_efuses``."""
        return self.request(ControlRequest.APP_CUSTOM, payload, timeout_s)

    def signal(self, on: bool) -> None:
        """Let the LED run through all colours, to find the device on the bench, or stop that."""
        self.request(ControlRequest.START_NYAN_SIGNAL if on else ControlRequest.STOP_NYAN_SIGNAL)

    # ---- cloud ------------------------------------------------------------------------------------------------------

    def cloud_status(self) -> CloudStatus:
        """Whether a cloud session exists now."""
        return messages.decode_cloud_status(self.request(ControlRequest.CLOUD_CONNECTION_STATUS))

    def connect_to_cloud(self) -> None:
        """Let the device connect. **This starts billing.** Needs ``may_connect``."""
        self.request(ControlRequest.CLOUD_CONNECT)

    def disconnect_from_cloud(self) -> None:
        """End the cloud session; no new one until the next reset or until the application connects."""
        self.request(ControlRequest.CLOUD_DISCONNECT)

    def stop_connecting(self) -> bool:
        """Make the device give up a cloud connection or an attempt at one, at once, even when its threads are blocked;
        it stays so until its next reset or until the application connects. False when its Device OS does not know the
        request (before 2.0.0)."""
        return self._run(control.raw_act(RawRequest.CLOUD_DISCONNECT, self._needs_data_stage))

    # ---- modes ------------------------------------------------------------------------------------------------------

    def reset(self) -> None:
        """Reset about 1 s after this returns. **The application boots and may connect.** Needs ``may_connect``."""
        self.request(ControlRequest.RESET)

    def reset_now(self) -> bool:
        """Reset at once, even when the device's threads are blocked; else as :meth:`reset`. False when its Device OS
        does not know the request (before 2.0.0)."""
        self.permissions.require_connect("a reset")
        try:
            return self._run(control.raw_act(RawRequest.RESET, self._needs_data_stage))
        except LinkAccessError:
            raise
        except TransportError:
            # The device is gone before it has completed the transfer.
            return True

    def factory_reset(self) -> None:
        """Reset and restore the factory application, where there is one. **The application is lost, and the new one may
        connect.** Needs ``may_connect`` and ``may_erase``."""
        self.request(ControlRequest.FACTORY_RESET)

    def enter_dfu_mode(self) -> None:
        """Ask for DFU mode. The device resets about 1 s after this returns; its bootloader then waits in DFU mode and
        runs nothing. The request itself ends a connection attempt; on Gen 2 one that begins afterwards holds it up."""
        self.request(ControlRequest.DFU_MODE)

    def enter_safe_mode(self) -> None:
        """Reset into safe mode about 1 s after this returns. **Safe mode connects, whatever the application wants.**
        Needs ``may_connect``."""
        self.request(ControlRequest.SAFE_MODE)

    def start_listening(self) -> None:
        """Enter listening mode, which ends all connections while it lasts. Before Device OS 4.0.0 the device answers
        first and enters afterwards: ask :meth:`device_mode`."""
        self.request(ControlRequest.START_LISTENING)

    def stop_listening(self) -> None:
        """Leave listening mode. **The device connects if it wanted to before.** Needs ``may_connect``."""
        self.request(ControlRequest.STOP_LISTENING)

    # ---- firmware and logs ------------------------------------------------------------------------------------------

    def update_firmware(
        self, module: bytes, *, validate_only: bool = False, progress: Progress | None = None
    ) -> AcceptedUpdate:
        """Hand a module to the running system. The result means **validated, and the device resets to install it**
        (then ``may_connect`` is needed), not installed: read the module info after the reset. ``validate_only`` asks
        what it would say; the device's update area is erased all the same."""
        if not validate_only:
            self.permissions.require_connect("a firmware update, which ends in a reset,")
        return self._run(update_firmware(module, validate_only=validate_only, progress=progress))

    def add_log_handler(self, handler: LogHandler) -> None:
        """Let the device log to a serial port. Works only with applications that enable FEATURE_CONFIGURABLE_LOGGING;
        the handler goes with the next reset."""
        self.request(ControlRequest.LOG_CONFIG, messages_logging.encode_add_log_handler(handler))

    def remove_log_handler(self, handler_id: str) -> None:
        """Remove a handler that was added; the device does not tell whether it had it."""
        self.request(ControlRequest.LOG_CONFIG, messages_logging.encode_remove_log_handler(handler_id))

    def log_handlers(self) -> tuple[str, ...]:
        """Ids of the handlers that were added."""
        data = self.request(ControlRequest.LOG_CONFIG, messages_logging.encode_list_log_handlers())
        return messages_logging.decode_log_handlers(data)
