"""Device OS releases from the cloud into the firmware store."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from pathlib import Path

from particle_dev.cloud.api import CloudApi
from particle_dev.cloud.device_os import DeviceOsRelease, download, release
from particle_dev.errors import FirmwareStoreError
from particle_dev.flash.store import AddResult, FirmwareStore
from particle_dev.transport.base import HttpLink

_APPLICATION = "user_part"


def download_release(
    api: CloudApi,
    store: FirmwareStore,
    version: str,
    platform_id: int,
    open_link: Callable[[str], HttpLink] | None = None,
) -> tuple[DeviceOsRelease, AddResult]:
    """The release (``latest`` or such as ``5.8.0``) and what the store took of it. Takes seconds to a minute.

    Applications that come along are left out. Every module is checked as any that is added. Raises CloudNotFoundError,
    FirmwareStoreError: the cloud tells no files, or the store cannot be written; TransportError.
    """
    if open_link is None:
        # httpx2 is slow to import, and the store is used without a cloud mostly.
        from particle_dev.transport.http import HttpxLink  # noqa: PLC0415

        open_link = HttpxLink
    found = release(api, version, platform_id)
    files = [f for f in found.files if f.module_function != _APPLICATION]
    if not files:
        raise FirmwareStoreError(
            f"The cloud tells no files of Device OS {found.version} for this platform.",
            path=found.version,
            hint="see which there are: particle-dev cloud device-os list",
        )
    # A folder named like the release, so that the store's index tells where modules came from.
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch) / f"device-os-{found.version}"
        folder.mkdir()
        for file in files:
            (folder / file.filename).write_bytes(download(found, file, open_link))
        return found, store.add_path(folder)
