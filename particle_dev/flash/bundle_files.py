"""Application bundles on disk: read and write the zip, collect assets."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Mapping, Sequence
from pathlib import Path

from particle_dev.errors import ModuleFormatError
from particle_dev.flash.file_io import read_file
from particle_dev.flash.firmware_sources import Source, read_zip_members
from particle_dev.protocol.asset import Asset
from particle_dev.protocol.bundle import Bundle, is_junk, read_bundle

_ZIP_TIMESTAMP = (1980, 1, 1, 0, 0, 0)
"""The oldest that a zip can state: the same contents make the same archive."""


def read_bundle_file(source: Source) -> Bundle:
    """The bundle in a zip file. Raises FirmwareStoreError when it cannot be read, FormatError when it is no bundle."""
    return read_bundle(read_zip_members(source))


def pack_zip(members: Mapping[str, bytes]) -> bytes:
    """A zip archive with these members, in their order and without the time of day."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED, compresslevel=9) as archive:
        for name, data in members.items():
            archive.writestr(zipfile.ZipInfo(name, _ZIP_TIMESTAMP), data, zipfile.ZIP_DEFLATED, 9)
    return buffer.getvalue()


def collect_assets(paths: Sequence[Path]) -> list[Asset]:
    """The assets among files and folders (their files, one level deep), sorted by name within a folder.

    Files that operating systems leave behind are left out. Raises ModuleFormatError ``nested_folder`` for a folder
    inside an asset folder, FirmwareStoreError for what cannot be read.
    """
    assets = []
    for path in paths:
        files = sorted(p for p in path.iterdir() if not is_junk(p.name)) if path.is_dir() else [path]
        for file in files:
            if file.is_dir():
                raise ModuleFormatError(
                    f"{file} is a folder; a device keeps assets side by side.",
                    code="nested_folder",
                    file=str(file),
                    hint="move its files one level up, with names of their own",
                )
            assets.append(Asset(file.name, read_file(file)))
    return assets
