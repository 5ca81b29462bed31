"""Numbers of Particle's USB control requests.

Source: device-os v6.2.0 system/inc/system_control.h (request types), services/inc/system_error.h (result codes),
system/src/usb_control_request_channel.cpp (service requests, statuses, limits).
"""

from __future__ import annotations

from enum import IntEnum, IntFlag


class ServiceRequest(IntEnum):
    """bRequest of the request/reply service on endpoint 0."""

    INIT = 1
    CHECK = 2
    SEND = 3
    RECV = 4
    RESET = 5


class ServiceStatus(IntEnum):
    """Status in a service reply."""

    OK = 0
    ERROR = 1
    PENDING = 2
    BUSY = 3
    NO_MEMORY = 4
    NOT_FOUND = 5


class ServiceField(IntFlag):
    """Which fields a service reply carries, in this order, after its u32 of flags."""

    STATUS = 0x1
    ID = 0x2
    SIZE = 0x4
    RESULT = 0x8


SERVICE_REPLY_SIZE_BYTES = 64
"""wLength of INIT, CHECK and RESET in bytes; the device stalls a shorter one (MIN_WLENGTH)."""
MAX_PAYLOAD_SIZE_BYTES = 65535
"""Largest request payload (USB_REQUEST_MAX_PAYLOAD_SIZE)."""
MAX_ACTIVE_REQUESTS = 4
"""Requests a device keeps at a time (USB_REQUEST_MAX_ACTIVE_COUNT)."""
VENDOR_IN = 0xC0
VENDOR_OUT = 0x40


class ControlRequest(IntEnum):
    """Request types that particle-dev sends. Which Device OS knows which: catalog.request_support."""

    ECHO = 1
    APP_CUSTOM = 10
    DEVICE_ID = 20
    SERIAL_NUMBER = 21
    SYSTEM_VERSION = 30
    NCP_FIRMWARE_VERSION = 31
    GET_SYSTEM_CAPABILITIES = 32
    SET_FEATURE = 33
    GET_FEATURE = 34
    RESET = 40
    FACTORY_RESET = 41
    DFU_MODE = 50
    SAFE_MODE = 60
    START_LISTENING = 70
    STOP_LISTENING = 71
    GET_DEVICE_MODE = 72
    SET_DEVICE_SETUP_DONE = 73
    IS_DEVICE_SETUP_DONE = 74
    SET_STARTUP_MODE = 75
    GET_PROTECTED_STATE = 76
    SET_PROTECTED_STATE = 77
    LOG_CONFIG = 80
    MODULE_INFO = 90
    ASSET_INFO = 91
    DIAGNOSTIC_INFO = 100
    SET_CLAIM_CODE = 200
    IS_CLAIMED = 201
    SET_SECURITY_KEY = 210
    GET_SECURITY_KEY = 211
    SET_SERVER_ADDRESS = 220
    GET_SERVER_ADDRESS = 221
    SET_SERVER_PROTOCOL = 222
    GET_SERVER_PROTOCOL = 223
    START_NYAN_SIGNAL = 230
    STOP_NYAN_SIGNAL = 231
    SET_SOFTAP_SSID = 240
    START_FIRMWARE_UPDATE = 250
    FINISH_FIRMWARE_UPDATE = 251
    CANCEL_FIRMWARE_UPDATE = 252
    FIRMWARE_UPDATE_DATA = 253
    CLOUD_CONNECTION_STATUS = 300
    CLOUD_CONNECT = 301
    CLOUD_DISCONNECT = 302
    NETWORK_INTERFACE_LIST = 400
    NETWORK_INTERFACE = 401
    WIFI_JOIN_NEW_NETWORK = 500
    WIFI_JOIN_KNOWN_NETWORK = 501
    WIFI_GET_KNOWN_NETWORKS = 502
    WIFI_REMOVE_KNOWN_NETWORK = 503
    WIFI_CLEAR_KNOWN_NETWORKS = 504
    WIFI_GET_CURRENT_NETWORK = 505
    WIFI_SCAN_NETWORKS = 506
    WIFI_SET_NETWORK_CREDENTIALS = 507
    CELLULAR_SET_ACCESS_POINT = 550
    CELLULAR_GET_ACCESS_POINT = 551
    CELLULAR_SET_ACTIVE_SIM = 552
    CELLULAR_GET_ACTIVE_SIM = 553
    CELLULAR_GET_ICCID = 554
    ENV_GET = 600
    ENV_CLEAR = 601
    ADD_LOG_HANDLER = 1100
    REMOVE_LOG_HANDLER = 1101
    GET_LOG_HANDLERS = 1102


RAW_REQUEST = 0x50
"""bRequest of requests that the device answers from its USB interrupt, without the service above."""


class RawRequest(IntEnum):
    """wIndex of raw requests. The numbers are those of the control requests of the same name."""

    DEVICE_ID = 20
    SYSTEM_VERSION = 30
    RESET = 40
    CLOUD_DISCONNECT = 302


RESULT_NAMES: dict[int, str] = {
    0: "NONE",
    -100: "UNKNOWN",
    -110: "BUSY",
    -120: "NOT_SUPPORTED",
    -130: "NOT_ALLOWED",
    -140: "CANCELLED",
    -150: "ABORTED",
    -160: "TIMEOUT",
    -170: "NOT_FOUND",
    -180: "ALREADY_EXISTS",
    -190: "TOO_LARGE",
    -191: "NOT_ENOUGH_DATA",
    -200: "LIMIT_EXCEEDED",
    -201: "END_OF_STREAM",
    -210: "INVALID_STATE",
    -219: "FLASH_IO",
    -220: "IO",
    -221: "WOULD_BLOCK",
    -225: "FILE",
    -226: "PATH_TOO_LONG",
    -230: "NETWORK",
    -240: "PROTOCOL",
    -250: "INTERNAL",
    -260: "NO_MEMORY",
    -270: "INVALID_ARGUMENT",
    -280: "BAD_DATA",
    -281: "ENCODING_FAILED",
    -290: "OUT_OF_RANGE",
    -300: "DEPRECATED",
    -1300: "OTA_MODULE_NOT_FOUND",
    -1310: "OTA_UNSUPPORTED_MODULE",
    -1320: "OTA_VALIDATION_FAILED",
    -1330: "OTA_INTEGRITY_CHECK_FAILED",
    -1331: "OTA_RESUMED_UPDATE_FAILED",
    -1340: "OTA_DEPENDENCY_CHECK_FAILED",
    -1350: "OTA_INVALID_ADDRESS",
    -1351: "OTA_INVALID_SIZE",
    -1360: "OTA_INVALID_PLATFORM",
    -1370: "OTA_INVALID_FORMAT",
    -1380: "OTA_UPDATES_DISABLED",
    -1390: "OTA",
    -1800: "INVALID_SERVER_SETTINGS",
    -1801: "PROTECTED",
    -1802: "KEY_MISMATCH",
    -1803: "INVALID_SIGNATURE",
}
"""Result codes by number (system_error_t)."""


def result_name(result_code: int) -> str:
    """The symbolic name of a result code, or ``"code -123"`` for one that this table lacks."""
    return RESULT_NAMES.get(result_code, f"code {result_code}")
