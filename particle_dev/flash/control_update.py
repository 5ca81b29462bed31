"""Installing a module through the running system, for what DFU should not or cannot write: bootloader, radio stack,
network processor, assets, encrypted modules.

The system checks the module, answers "accepted", and resets; bootloader, system or boot ROM install it afterwards, and
each of them can still fail without a word. So only what the device reports after the reset counts.
Source: device-os v6.2.0 system/src/control/storage.cpp, system/src/firmware_update.cpp, hal/src/nRF52840 and rtl872x
ota_flash_hal.cpp HAL_FLASH_End.
"""

from __future__ import annotations

from dataclasses import dataclass

from particle_dev.catalog.modules import ModuleFunction
from particle_dev.catalog.platforms import UsbMode
from particle_dev.device.control import ControlSession
from particle_dev.device.discovery import device_at, wait_for_mode
from particle_dev.device.model import Device
from particle_dev.errors import (
    ControlProtocolError,
    LinkDisconnectedError,
    LinkStallError,
    LinkTimeoutError,
    PlanRefusedError,
    RequestRefusedError,
    UpdateNotAppliedError,
)
from particle_dev.flash.board_modules import ModuleFile
from particle_dev.flash.installed import comparable_sha256, is_reported, is_stored, reported, title_of
from particle_dev.flash.phases import ENCRYPTED_BURNS, burns_fuse
from particle_dev.permissions import NOTHING, Effect, Permissions
from particle_dev.protocol.firmware_update import Progress
from particle_dev.protocol.messages import DeviceMode
from particle_dev.transport.base import Host

UPDATE_TIMEOUT_S = 240.0
"""From the device's acceptance to its report. A network processor is programmed before the reset, which takes minutes;
a bootloader copies for tens of seconds. Particle's own tool waits as long."""
SETTLE_S = 20.0
"""A board that stays on the bus that long without the module will not get it: a system that resets once more does so
within seconds of its start."""
_ASK_AGAIN_S = 0.5
_LISTENING_TRIES, _LISTENING_PAUSE_S = 20, 0.1
_RESTARTING = (LinkTimeoutError, LinkDisconnectedError, LinkStallError, ControlProtocolError)
"""How a device that is about to reset, or just did, answers."""


@dataclass(frozen=True, slots=True)
class ControlUpdate:
    """A module that is proven to be on the device. ``device`` is the board in its present enumeration.

    ``written`` is False when it was there already: then nothing was sent and the board was not reset. ``listening``:
    the board is held in listening mode, off the network, until its next reset. ``evidence`` says what proves it.
    """

    device: Device
    written: bool
    listening: bool
    evidence: str


def update_over_control(
    host: Host,
    device: Device,
    file: ModuleFile,
    data: bytes,
    *,
    permissions: Permissions = NOTHING,
    progress: Progress | None = None,
    timeout_s: float = UPDATE_TIMEOUT_S,
) -> ControlUpdate:
    """Have the running system install a module, and wait until the device reports it in that version and, where it
    tells the hash, with that SHA-256.

    **The device resets into its application, which may connect**: needs ``may_connect``, unless the module is there
    already; an encrypted module **burns a fuse** and needs ``may_burn_efuses`` too. The device is put into listening
    mode before and, as the first request, after the reset, which keeps it off the network where it is not refused; the
    moments in between nothing guards.

    Raises PlanRefusedError for a damaged module or one of another platform, PermissionMissingError, RequestRefusedError
    when the device does not accept the module, UpdateNotAppliedError when it does not have it afterwards,
    DeviceModeError when it does not come back, WrongDeviceError, TransportError.
    """
    _check(device, file)
    with ControlSession(host, device, permissions) as session:
        if _has(session, file):
            return ControlUpdate(device, False, False, _evidence(session, file))
        permissions.require_connect(f"installing {file.title} by the running system, which resets,")
        if burns_fuse(file):
            permissions.require(Effect.BURN, ENCRYPTED_BURNS)
        _listen(host, session)
        session.update_firmware(data, progress=progress)
    deadline_s = host.clock.monotonic_s() + timeout_s
    back = wait_for_mode(host, device, UsbMode.NORMAL, timeout_s)
    return wait_until_reported(host, back, file, permissions, deadline_s)


def _check(device: Device, file: ModuleFile) -> None:
    reasons = [f"{file.file_name} at offset {p.offset}: {p.message}" for p in file.module.problems]
    is_asset = file.module.function == ModuleFunction.ASSET
    if not is_asset and file.module.platform_id != device.platform.id:
        reasons.append(f"{file.title} is for platform {file.module.platform_id}, not {device.platform.id}")
    if reasons:
        raise PlanRefusedError(
            f"{device}: nothing was sent: " + "; ".join(reasons),
            reasons=reasons,
            hint=f"give an intact module for {device.platform.display_name}",
        )


def wait_until_reported(
    host: Host, device: Device, file: ModuleFile, permissions: Permissions, deadline_s: float
) -> ControlUpdate:
    """Wait until a board that boots to install a module reports it; it may enumerate twice, or reset once more, before
    that. Keeps it in listening mode meanwhile, where that is not refused. Raises UpdateNotAppliedError when it does not
    have the module ``SETTLE_S`` after its last start, DeviceModeError, WrongDeviceError, TransportError."""
    now_s = host.clock.monotonic_s
    settled_s = now_s() + SETTLE_S
    while True:
        try:
            with ControlSession(host, device, permissions) as session:
                listening = _listen(host, session)
                if _has(session, file):
                    return ControlUpdate(device, True, listening, _evidence(session, file))
                actual = _reports(session, file)
        except _RESTARTING as error:
            actual = f"no answer: {error.message}"
        here = device_at(host, device.usb.port_path)
        if here is None or here.usb.address != device.usb.address:
            device = wait_for_mode(host, device, UsbMode.NORMAL, max(0.0, deadline_s - now_s()))
            settled_s = now_s() + SETTLE_S
        elif now_s() >= min(settled_s, deadline_s):
            raise UpdateNotAppliedError(
                f"{device.device_id} accepted {file.title}, reset, and does not have it: {actual}",
                expected=_expected(file),
                actual=actual,
                hint="run again; if it stays so, the bootloader refuses the module or its flash is damaged",
            )
        else:
            host.clock.sleep(_ASK_AGAIN_S)


def _listen(host: Host, session: ControlSession) -> bool:
    """Whether the device is in listening mode. Device OS before 4.0.0 answers first and enters afterwards; an
    application can forbid it, and a protected device refuses."""
    try:
        session.start_listening()
        for _ in range(_LISTENING_TRIES):
            if session.device_mode() is DeviceMode.LISTENING:
                return True
            host.clock.sleep(_LISTENING_PAUSE_S)
    except RequestRefusedError:
        return False
    return False


def _has(session: ControlSession, file: ModuleFile) -> bool:
    if file.module.function == ModuleFunction.ASSET:
        return is_stored(file, session.asset_info())
    return is_reported(file, session.module_info())


def _reports(session: ControlSession, file: ModuleFile) -> str:
    if file.module.function == ModuleFunction.ASSET:
        return "its asset storage holds: " + (", ".join(a.name for a in session.asset_info().available) or "nothing")
    return title_of(reported(file, session.module_info()))


def _evidence(session: ControlSession, file: ModuleFile) -> str:
    if file.module.function == ModuleFunction.ASSET:
        return "control request 91: name and SHA-256"
    found = reported(file, session.module_info())
    by_hash = found is not None and bool(found.sha256) and comparable_sha256(file) is not None
    return "control request 90: version and SHA-256" if by_hash else "control request 90: version only"


def _expected(file: ModuleFile) -> str:
    sha256 = comparable_sha256(file)
    return f"v{file.module.version}" + (f" {sha256.hex()[:12]}…" if sha256 else "")
