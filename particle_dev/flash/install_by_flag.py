"""A bootloader of an nRF52840 board, installed by Device OS at its start: for boards whose bootloader copies none.

It is laid into the OTA region of external flash and read back; then 0xA5 in the configuration lets the **running
system** install what lies there before it sets up the network, and reset. Constructors of the application have run by
then, and after the reset the application runs: that needs ``may_connect``.
Source: device-os v1.5.2, v2.1.0, v6.2.0 system/src/main.cpp, HAL_FLASH_ApplyPendingUpdate.
"""

from __future__ import annotations

from collections.abc import Iterator

from particle_dev.catalog.ota_region import ota_region, update_area
from particle_dev.device.dfu import DCT_ALT, DfuSession
from particle_dev.flash.inventory import inventory_by_dfu
from particle_dev.flash.progress import FlashEvent, ModuleStaged
from particle_dev.flash.update_area import (
    Install,
    install_problems,
    lay_down,
    not_written,
    refuse_staging,
    unequal,
    unequal_in_flash,
)
from particle_dev.protocol import dct


def stage_by_flag(session: DfuSession, install: Install, device_os: str | None = None) -> Iterator[FlashEvent]:
    """Lay one module into the OTA region and set the flag by which the **running system installs it at its next boot**,
    before it sets up the network. After that the application runs: leaving DFU mode needs ``may_connect``.

    ``device_os`` is the release whose system part will run then; None asks the flash. What lies there already is not
    written again. Raises as flash.bootloader_copies.stage_in_slots, and PlanRefusedError when no system part can run,
    or when its release or OTA region is not known.
    """
    platform = session.device.platform
    table = session.read(DCT_ALT, 0, dct.SIZE_NEEDED_BYTES) if update_area(platform) else b""
    reasons = install_problems(install, platform)
    if not reasons and not session.system_would_start():
        reasons.append("no system part would start and install it: use the slots")
    refuse_staging(session, reasons or [update.title for update in dct.pending_updates(table)])
    release = device_os or inventory_by_dfu(session).device_os
    region = ota_region(platform, release) if release else None
    if region is None:
        refuse_staging(session, [f"where Device OS {release or 'of that version'} looks for updates is not known"])
    assert region is not None
    if len(install.staged) > region.safe_size_bytes:
        reason = f"{install.file.title} is larger than the {region.safe_size_bytes} bytes of the OTA region"
        refuse_staging(session, [reason])
    if unequal_in_flash(session, install) is None:
        return
    pending = dct.ota_update_pending(table)
    if pending and unequal(session, region.dfu_alt, region.dfu_address, install.staged) is not None:
        refuse_staging(session, ["another module waits in the OTA region"])
    size_bytes = len(install.staged)
    yield from lay_down(session, region.dfu_alt, region.dfu_address, install.file, install.staged, 0, size_bytes)
    if not pending:
        session.write_dct(dct.OTA_UPDATE_FLAG_OFFSET, bytes([dct.OTA_UPDATE_PENDING]))
        if session.read(DCT_ALT, dct.OTA_UPDATE_FLAG_OFFSET, 1) != bytes([dct.OTA_UPDATE_PENDING]):
            raise not_written("flag for the OTA region")
    yield ModuleStaged(install.file.file_name, None, region.flash_address, size_bytes)
