"""Which platform and which Device OS answer which control request.

Source, unless a row says otherwise: device-os, all tags from v0.8.0-rc.2 to v6.2.0, the cases of
SystemControl::processRequest in system/src/system_control_internal.cpp with their preprocessor conditions. Releases
1.0.0 and 1.0.1 are of the Gen2 branch, which learned the requests of Gen3 with 1.1.0.
"""

from __future__ import annotations

from typing import NamedTuple

from particle_dev.catalog.device_os import version_key
from particle_dev.catalog.platforms import Platform
from particle_dev.catalog.requests import ControlRequest

Span = tuple[str, str | None]
"""First and last release, both included; None: every later one."""
Spans = tuple[Span, ...]


class RequestSupport(NamedTuple):
    """One row. ``gen2`` and ``later`` (nRF52840 and RTL872x) are the releases that answer, empty for never."""

    request: ControlRequest
    gen2: Spans
    later: Spans
    needs: str = ""
    """``wifi`` (a Wi-Fi network connection), ``wifi_radio`` (at least scanning), ``cellular``, or nothing."""
    source: str = "system/src/system_control_internal.cpp"
    note: str = ""


_R = ControlRequest
_GEN2: Spans = (("0.8.0-rc.2", None),)
_GEN2_MERGED: Spans = (("1.1.0-rc.1", None),)
_GEN2_KEYS: Spans = (("0.8.0-rc.2", "3.3.x"),)
_GEN3: Spans = (("0.8.0-rc.25", None),)
_NEVER: Spans = ()
_CONFIG = "system/src/control/config.cpp"
_PARTICLE_USB = "npm particle-usb 4.2.0 src/device.js, src/request.js; no public tag of device-os has it"
_ENV: Spans = (("6.4.0", None),)
_LOGGING: Spans = (("6.3.0", None),)
_NOT_SEEN = "absent up to 6.2.0, and later tags are not public; request LOG_CONFIG is what older releases know"
_SETUP_DONE = "without effect since 4.0.0, where only true is taken; RTL872x boards before that answer NOT_SUPPORTED"
_STUB = "stubs that answer NOT_SUPPORTED on nRF52840, on every platform since 5.0.0"

ROWS: tuple[RequestSupport, ...] = (
    RequestSupport(_R.ECHO, (("1.5.0-rc.1", None),), (("1.5.0-rc.1", None),)),
    RequestSupport(_R.APP_CUSTOM, _GEN2, _GEN3, note="the application must handle it; safe mode runs no application"),
    RequestSupport(_R.DEVICE_ID, _GEN2_MERGED, _GEN3),
    RequestSupport(
        _R.SERIAL_NUMBER,
        (("1.5.0-rc.1", None),),
        _GEN3,
        source="hal/src/stm32f2xx/deviceid_hal.c",
        note="boards without a programmed serial number answer with an error",
    ),
    RequestSupport(_R.SYSTEM_VERSION, _GEN2_MERGED, _GEN3),
    RequestSupport(_R.NCP_FIRMWARE_VERSION, _NEVER, _GEN3, "wifi_radio", source=_CONFIG),
    RequestSupport(_R.GET_SYSTEM_CAPABILITIES, _GEN2_MERGED, _GEN3),
    RequestSupport(_R.SET_FEATURE, _GEN2_MERGED, _GEN3),
    RequestSupport(_R.GET_FEATURE, _GEN2_MERGED, _GEN3),
    RequestSupport(_R.RESET, _GEN2, _GEN3),
    RequestSupport(_R.FACTORY_RESET, _GEN2, _GEN3),
    RequestSupport(_R.DFU_MODE, _GEN2, _GEN3),
    RequestSupport(_R.SAFE_MODE, _GEN2, _GEN3),
    RequestSupport(_R.START_LISTENING, _GEN2, _GEN3),
    RequestSupport(_R.STOP_LISTENING, _GEN2, _GEN3),
    RequestSupport(_R.GET_DEVICE_MODE, _GEN2_MERGED, _GEN3),
    RequestSupport(_R.SET_DEVICE_SETUP_DONE, _NEVER, _GEN3, source=_CONFIG, note=_SETUP_DONE),
    RequestSupport(_R.IS_DEVICE_SETUP_DONE, _NEVER, _GEN3, source=_CONFIG, note=_SETUP_DONE),
    RequestSupport(_R.SET_STARTUP_MODE, _GEN2_MERGED, _GEN3),
    RequestSupport(_R.GET_PROTECTED_STATE, _NEVER, (("6.0.0", None),)),
    RequestSupport(_R.SET_PROTECTED_STATE, _NEVER, (("6.1.1", None),)),
    RequestSupport(
        _R.LOG_CONFIG,
        _GEN2,
        _GEN3,
        source="wiring/src/user.cpp, wiring/inc/spark_wiring_platform.h Wiring_LogConfig",
        note="the application must enable FEATURE_CONFIGURABLE_LOGGING; Tinker and safe mode do not",
    ),
    RequestSupport(_R.MODULE_INFO, _GEN2_MERGED, (("0.8.0-rc.26", None),), note="older releases answer with JSON text"),
    RequestSupport(_R.ASSET_INFO, _NEVER, (("5.6.0", None),)),
    RequestSupport(_R.DIAGNOSTIC_INFO, _GEN2, _GEN3),
    RequestSupport(_R.SET_CLAIM_CODE, _GEN2, _GEN3),
    RequestSupport(_R.IS_CLAIMED, _GEN2, _GEN3),
    RequestSupport(_R.SET_SECURITY_KEY, _GEN2_KEYS, _NEVER, source=_CONFIG, note=_STUB),
    RequestSupport(_R.GET_SECURITY_KEY, _GEN2_KEYS, _NEVER, source=_CONFIG, note=_STUB),
    RequestSupport(_R.SET_SERVER_ADDRESS, _GEN2_KEYS, _NEVER, source=_CONFIG, note=_STUB),
    RequestSupport(_R.GET_SERVER_ADDRESS, _GEN2_KEYS, _NEVER, source=_CONFIG, note=_STUB),
    RequestSupport(_R.SET_SERVER_PROTOCOL, _GEN2_KEYS, _NEVER, source=_CONFIG, note=_STUB),
    RequestSupport(_R.GET_SERVER_PROTOCOL, _GEN2_KEYS, _NEVER, source=_CONFIG, note=_STUB),
    RequestSupport(_R.START_NYAN_SIGNAL, _GEN2, _GEN3),
    RequestSupport(_R.STOP_NYAN_SIGNAL, _GEN2, _GEN3),
    RequestSupport(_R.SET_SOFTAP_SSID, _GEN2_KEYS, _NEVER, source=_CONFIG, note=_STUB),
    RequestSupport(_R.START_FIRMWARE_UPDATE, _GEN2, _GEN3),
    RequestSupport(_R.FINISH_FIRMWARE_UPDATE, _GEN2, _GEN3),
    RequestSupport(_R.CANCEL_FIRMWARE_UPDATE, _GEN2, _GEN3),
    RequestSupport(_R.FIRMWARE_UPDATE_DATA, _GEN2, _GEN3),
    RequestSupport(_R.CLOUD_CONNECTION_STATUS, _GEN2_MERGED, _GEN3),
    RequestSupport(_R.CLOUD_CONNECT, _GEN2_MERGED, _GEN3),
    RequestSupport(_R.CLOUD_DISCONNECT, _GEN2_MERGED, _GEN3),
    RequestSupport(_R.NETWORK_INTERFACE_LIST, _NEVER, _GEN3),
    RequestSupport(_R.NETWORK_INTERFACE, _NEVER, _GEN3),
    RequestSupport(_R.WIFI_JOIN_NEW_NETWORK, _NEVER, _GEN3, "wifi"),
    RequestSupport(_R.WIFI_JOIN_KNOWN_NETWORK, _NEVER, _GEN3, "wifi"),
    RequestSupport(_R.WIFI_GET_KNOWN_NETWORKS, _NEVER, _GEN3, "wifi"),
    RequestSupport(_R.WIFI_REMOVE_KNOWN_NETWORK, _NEVER, _GEN3, "wifi"),
    RequestSupport(_R.WIFI_CLEAR_KNOWN_NETWORKS, _NEVER, _GEN3, "wifi"),
    RequestSupport(_R.WIFI_GET_CURRENT_NETWORK, _NEVER, _GEN3, "wifi"),
    RequestSupport(_R.WIFI_SCAN_NETWORKS, _NEVER, _GEN3, "wifi_radio"),
    RequestSupport(
        _R.WIFI_SET_NETWORK_CREDENTIALS,
        _NEVER,
        (("5.8.2", "5.9.x"), ("6.1.2", None)),
        "wifi",
        note="absent from 6.0.0, 6.1.0 and 6.1.1; 6.1.2 is not among the public tags and is given the benefit of doubt",
    ),
    RequestSupport(_R.CELLULAR_SET_ACCESS_POINT, _NEVER, _GEN3, "cellular"),
    RequestSupport(_R.CELLULAR_GET_ACCESS_POINT, _NEVER, _GEN3, "cellular"),
    RequestSupport(_R.CELLULAR_SET_ACTIVE_SIM, _NEVER, _GEN3, "cellular"),
    RequestSupport(_R.CELLULAR_GET_ACTIVE_SIM, _NEVER, _GEN3, "cellular"),
    RequestSupport(_R.CELLULAR_GET_ICCID, _NEVER, _GEN3, "cellular", note="the IMEI is there since 5.8.0"),
    RequestSupport(_R.ENV_GET, _NEVER, _ENV, source=_PARTICLE_USB),
    RequestSupport(_R.ENV_CLEAR, _NEVER, _ENV, source=_PARTICLE_USB),
    RequestSupport(_R.ADD_LOG_HANDLER, _NEVER, _LOGGING, source=_PARTICLE_USB, note=_NOT_SEEN),
    RequestSupport(_R.REMOVE_LOG_HANDLER, _NEVER, _LOGGING, source=_PARTICLE_USB, note=_NOT_SEEN),
    RequestSupport(_R.GET_LOG_HANDLERS, _NEVER, _LOGGING, source=_PARTICLE_USB, note=_NOT_SEEN),
)

_BY_REQUEST = {row.request: row for row in ROWS}
_SCAN_ONLY = ("tracker", "trackerm")
"""HAL_PLATFORM_WIFI_SCAN_ONLY: their Wi-Fi locates, it does not connect."""
_SCANS_SINCE: Spans = (("3.0.0-alpha.1", None),)
"""Source: v2.3.1 and v3.0.0-alpha.1 hal/src/tracker/hal_platform_config.h."""


def support_row(request: int) -> RequestSupport | None:
    """The row of a request, None for a number that the table lacks."""
    return _BY_REQUEST.get(request)  # type: ignore[call-overload,no-any-return]  # an int hashes as the enum does


def depends_on_version(request: int, platform: Platform) -> bool:
    """Whether only the device's version tells if it knows the request."""
    row = support_row(request)
    oldest = _GEN2 if platform.generation <= 2 else _GEN3
    return row is not None and _spans(row, platform) not in (_NEVER, oldest)


def why_unsupported(request: int, platform: Platform, device_os: str | None) -> str | None:
    """One clause that says why a device does not know a request, None when it should know it or nothing is known.

    ``device_os`` None, or text that is no version, leaves the version out of account.
    """
    row = support_row(request)
    if row is None:
        return None
    if "controlRequestsNotSupported" in platform.quirks:
        return f"{platform.display_name} answers no control requests"
    spans = _spans(row, platform)
    if not spans:
        return f"no Device OS of {platform.display_name} knows it"
    if device_os is None:
        return None
    try:
        key = version_key(device_os)
    except ValueError:
        return None
    if any(version_key(since) <= key and (until is None or key <= version_key(until)) for since, until in spans):
        return None
    known = ", ".join(f"{since} to {until}" if until else f"{since} and later" for since, until in spans)
    return f"Device OS {device_os} does not know it; {known} do"


def _spans(row: RequestSupport, platform: Platform) -> Spans:
    has = {
        "": True,
        "wifi": "wifi" in platform.features,
        "wifi_radio": "wifi" in platform.features or platform.name in _SCAN_ONLY,
        "cellular": "cellular" in platform.features,
    }[row.needs]
    if not has:
        return _NEVER
    if row.needs == "wifi_radio" and platform.name in _SCAN_ONLY:
        return _SCANS_SINCE
    return row.gen2 if platform.generation <= 2 else row.later
