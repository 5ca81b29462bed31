"""Whether a device reports a module as the file has it."""

from __future__ import annotations

from collections.abc import Iterable

from particle_dev.catalog.modules import ModuleFlag, ModuleFunction, ModuleStore, ModuleValidity
from particle_dev.flash.board_modules import ModuleFile
from particle_dev.protocol.messages import AssetInfo, InstalledModule
from particle_dev.protocol.module import ExtensionType
from particle_dev.protocol.module_traits import HASH_SHA256, extension_of

_WITHOUT_HASH = (ModuleFunction.RADIO_STACK, ModuleFunction.NCP_FIRMWARE)
_DAMAGED = ModuleValidity.INTEGRITY | ModuleValidity.RANGE | ModuleValidity.PLATFORM


def reported(file: ModuleFile, modules: Iterable[InstalledModule]) -> InstalledModule | None:
    """What the device has in the place of that module."""
    key = (file.module.function, file.module.index, ModuleStore.MAIN)
    return next((m for m in modules if (m.function, m.index, m.store) == key), None)


def is_reported(file: ModuleFile, modules: Iterable[InstalledModule]) -> bool:
    """The same version and, where the device tells it, the same SHA-256; a damaged module is not meant. A dependency
    that is still missing is the business of the whole set."""
    installed = reported(file, modules)
    if installed is None or installed.version != file.module.version or installed.failed & _DAMAGED:
        return False
    expected = comparable_sha256(file)
    return expected is None or not installed.sha256 or installed.sha256 == expected


def comparable_sha256(file: ModuleFile) -> bytes | None:
    """The hash that the device would report, None where it reports another one or none.

    A radio stack loses its suffix on the way into flash, and the device reports Nordic's unique string for it; of a
    network processor it knows the version and repeats that; an encrypted module is stored as another one. Source:
    device-os v6.2.0 hal/src/nRF52840/platform_radio_stack.cpp, hal/network/ncp/wifi/platform_ncp_update.cpp.
    """
    module = file.module
    if module.function in _WITHOUT_HASH or module.flags & ModuleFlag.ENCRYPTED or module.sha256 is None:
        return None
    return module.sha256.stored


def asset_identity(file: ModuleFile) -> tuple[str, bytes] | None:
    """Name and SHA-256 of the raw data of an asset; None for what is no asset."""
    name, digest = (extension_of(file.module, t) for t in (ExtensionType.NAME, ExtensionType.HASH))
    if name is None or digest is None or digest.payload[:1] != bytes([HASH_SHA256]):
        return None
    return bytes(name.payload).decode(errors="replace"), bytes(digest.payload[2:])


def is_stored(file: ModuleFile, assets: AssetInfo) -> bool:
    """Whether an asset of that name and contents is in the device's asset storage. False for what is no asset."""
    wanted = asset_identity(file)
    return wanted is not None and wanted in {(a.name, a.sha256) for a in assets.available}


def title_of(installed: InstalledModule | None) -> str:
    """``v1005 3a5f…``, ``v1005, damaged`` or ``nothing``, for messages."""
    if installed is None:
        return "nothing"
    damaged = ", damaged" if installed.failed & _DAMAGED else ""
    sha256 = f" {installed.sha256.hex()[:12]}…" if installed.sha256 else ""
    return f"v{installed.version}{sha256}{damaged}"
