"""What other programs do to a board, as bytes on endpoint 0: pyusb alone, nothing of particle_dev in between.

The sequences are those of dfu-util 0.11 (src/dfuse.c), of particle-usb 4.2 (src/device-base.js: version, RESET, INIT,
SEND, CHECK) and of the Arduino way to DFU mode (14400 baud on the serial port). They ask nobody for permission.
"""

import contextlib
import struct

import usb.core

DFU_DNLOAD, DFU_GETSTATUS, DFU_CLRSTATUS, DFU_ABORT = 1, 3, 4, 6
DNBUSY, DNLOAD_IDLE, DFU_ERROR = 4, 5, 10
INIT, CHECK, SEND, RECV, RESET = 1, 2, 3, 4, 5
OK, PENDING = 0, 2
STATUS, ID, SIZE, RESULT = 1, 2, 4, 8
TIMEOUT_MS = 5000
DFU_CLASS = 0xFE
NETWORK = bytes.fromhex("0a0542656e6368180322120801120e62656e63682d70617373776f7264")
"""ssid "Bench", WPA2, its password."""
TRUE, NOTHING = b"\x08\x01", b""


def on_bus(world):
    """The board as pyusb finds it; None: it is not on the bus."""
    return next(iter(usb.core.find(find_all=True, backend=world.bench.driver.usb_backend)), None)


def is_dfu(device):
    return device[0][(0, 0)].bInterfaceClass == DFU_CLASS


# ---- particle-usb ----------------------------------------------------------------------------------------------------


def _reply(device, request, value, index):
    data = bytes(device.ctrl_transfer(0xC0, request, value, index, 64, TIMEOUT_MS))
    flags, status = struct.unpack_from("<IH", data)
    return flags, status, data[6:]


def control_request(world, number, payload=b""):
    """Send a request as particle-usb does, and ask until it is done."""
    device = on_bus(world)
    if device is None or is_dfu(device):
        return
    _reply(device, RESET, 0, 0)
    _, status, rest = _reply(device, INIT, len(payload), number)
    if status not in (OK, PENDING):
        return
    (request_id,) = struct.unpack_from("<H", rest)
    while status == PENDING:
        world.clock.sleep(0.05)
        _, status, _ = _reply(device, CHECK, 0, request_id)
    if payload:
        device.ctrl_transfer(0x40, SEND, 0, request_id, payload, TIMEOUT_MS)
    for _ in range(20):
        flags, status, rest = _reply(device, CHECK, 0, request_id)
        if status != PENDING:
            break
        world.clock.sleep(0.25)
    if flags & SIZE and flags & RESULT:
        (size_bytes,) = struct.unpack_from("<I", rest)
        device.ctrl_transfer(0xC0, RECV, 0, request_id, size_bytes, TIMEOUT_MS)


def raw_request(world, number):
    """One of the immediate requests: reset (40), cloud disconnect (302)."""
    device = on_bus(world)
    if device is not None and not is_dfu(device):
        device.ctrl_transfer(0x40, 0x50, 0, number, b"", TIMEOUT_MS)


def set_baud_rate(world, baud):
    """14400: DFU mode; 28800: listening mode, where the system has that."""
    device = on_bus(world)
    if device is None or is_dfu(device):
        return
    if device.is_kernel_driver_active(0):
        device.detach_kernel_driver(0)
    # nRF52840 boards heed a speed when the next one comes; others have left by then.
    for speed in (baud, 9600):
        with contextlib.suppress(usb.core.USBError):
            device.ctrl_transfer(0x21, 0x20, 0, 0, struct.pack("<IBBB", speed, 0, 0, 8), TIMEOUT_MS)


# ---- dfu-util --------------------------------------------------------------------------------------------------------


def _status(world, device):
    status, p0, p1, p2, state, _ = device.ctrl_transfer(0xA1, DFU_GETSTATUS, 0, 0, 6, 60_000)
    world.clock.sleep((p0 | p1 << 8 | p2 << 16) / 1000)
    return status, state


def _download(world, device, block, data):
    device.ctrl_transfer(0x21, DFU_DNLOAD, block, 0, data, 60_000)
    status, state = _status(world, device)
    while state == DNBUSY:
        status, state = _status(world, device)
    if status or state == DFU_ERROR:
        device.ctrl_transfer(0x21, DFU_CLRSTATUS, 0, 0, b"", TIMEOUT_MS)
        raise usb.core.USBError(f"dfu-util: status {status}")


def dfu_util(world, modules=(), *, leave=False):
    """``dfu-util -a 0 -s ADDRESS[:leave] -D FILE`` for each module: ``address, data, erase_bytes``."""
    device = on_bus(world)
    if device is None or not is_dfu(device):
        return
    device.set_interface_altsetting(0, 0)
    if _status(world, device)[1] == DFU_ERROR:
        device.ctrl_transfer(0x21, DFU_CLRSTATUS, 0, 0, b"", TIMEOUT_MS)
    device.ctrl_transfer(0x21, DFU_ABORT, 0, 0, b"", TIMEOUT_MS)
    address = 0
    for address, data, erase_bytes in modules:
        for start in range(0, len(data), erase_bytes):
            _download(world, device, 0, struct.pack("<BI", 0x41, address + start))
        _download(world, device, 0, struct.pack("<BI", 0x21, address))
        for number in range(0, len(data), 4096):
            _download(world, device, 2 + number // 4096, data[number : number + 4096])
        device.ctrl_transfer(0x21, DFU_ABORT, 0, 0, b"", TIMEOUT_MS)
    if leave:
        if address:
            _download(world, device, 0, struct.pack("<BI", 0x21, address))
        device.ctrl_transfer(0x21, DFU_DNLOAD, 2, 0, b"", TIMEOUT_MS)
        _status(world, device)


def modules_of(world, modules):
    """Modules with their addresses, as somebody reads them from their headers, and the size of what is erased."""
    erase_bytes = 4096 if world.kind.is_gen3 else 0x20000
    return [(world.kind_address(module), module, erase_bytes) for module in modules]


CONTROL = {
    "reset": 40,
    "factory reset": 41,
    "DFU mode": 50,
    "safe mode": 60,
    "listen": 70,
    "stop listening": 71,
    "cloud connect": 301,
    "cloud disconnect": 302,
    "clear networks": 504,
}
WITH_PAYLOAD = {
    "setup done": (73, TRUE),
    "not set up": (73, NOTHING),
    "listen at next boot": (75, TRUE),
    "join network": (500, NETWORK),
    "store network": (507, NETWORK),
}
TOOLS = {
    **{f"particle-usb: {name}": lambda w, _s, n=number: control_request(w, n) for name, number in CONTROL.items()},
    **{
        f"particle-usb: {name}": lambda w, _s, n=number, p=payload: control_request(w, n, p)
        for name, (number, payload) in WITH_PAYLOAD.items()
    },
    "raw reset": lambda w, _s: raw_request(w, 40),
    "raw cloud disconnect": lambda w, _s: raw_request(w, 302),
    "14400 baud": lambda w, _s: set_baud_rate(w, 14_400),
    "28800 baud": lambda w, _s: set_baud_rate(w, 28_800),
    "dfu-util: leave": lambda w, _s: dfu_util(w, leave=True),
    "dfu-util: set": lambda w, s: dfu_util(w, modules_of(w, s["set"])),
    "dfu-util: set, leave": lambda w, s: dfu_util(w, modules_of(w, s["set"]), leave=True),
    "dfu-util: application, leave": lambda w, s: dfu_util(w, modules_of(w, s["application"]), leave=True),
    "dfu-util: unmet, leave": lambda w, s: dfu_util(w, modules_of(w, s["unmet"]), leave=True),
}


def usable_tools(world):
    """Names of tools for a board as it is on the bus now; none, if it is not."""
    device = on_bus(world)
    if device is None:
        return []
    return sorted(name for name in TOOLS if name.startswith("dfu-util") is is_dfu(device))


def use(world, name, sets):
    """Use a tool; what goes wrong on USB is its own problem."""
    with contextlib.suppress(usb.core.USBError):
        TOOLS[name](world, sets)
