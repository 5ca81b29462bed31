"""A board's memories in one file: a dump, or what a run has read before it erases.

A zip archive with ``manifest.json`` (schema, Device ID, chip, platform, time, regions with address, size and SHA-256)
and one ``0xADDRESS.bin`` a region. **A dump of an STM32F2 holds the board's private keys.**
"""

from __future__ import annotations

import errno
import hashlib
import io
import json
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from particle_dev.errors import FirmwareStoreError, FormatError
from particle_dev.flash.file_io import read_file
from particle_dev.flash.files import about_file
from particle_dev.flash.swd_image import PAGE_SIZE_BYTES
from particle_dev.whole_file import write_whole

SCHEMA = 1
_MANIFEST = "manifest.json"
_MAX_REGION_BYTES = 16 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class Archive:
    """Memories of one board, each by its start address."""

    device_id: str
    chip: str
    platform: str | None
    regions: Mapping[int, bytes] = field(repr=False)

    @property
    def pages(self) -> dict[int, bytes]:
        """The regions as pages; only for those that consist of whole ones."""
        return {
            start + offset: data[offset : offset + PAGE_SIZE_BYTES]
            for start, data in self.regions.items()
            for offset in range(0, len(data), PAGE_SIZE_BYTES)
        }


def write_archive(path: Path, archive: Archive, *, replace: bool = False) -> None:
    """Write the file completely or not at all, readable by its owner alone. Raises FirmwareStoreError, also when it is
    there already and may not be replaced."""
    regions = [
        {"address": address, "size_bytes": len(data), "sha256": hashlib.sha256(data).hexdigest()}
        for address, data in archive.regions.items()
    ]
    manifest = {
        "schema": SCHEMA,
        "device_id": archive.device_id,
        "chip": archive.chip,
        "platform": archive.platform,
        "made_at": datetime.now(UTC).isoformat(timespec="seconds"),
        "regions": regions,
    }
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as members:
        members.writestr(_MANIFEST, json.dumps(manifest, indent=1))
        for address, data in archive.regions.items():
            members.writestr(_member(address), data)
    try:
        if path.exists() and not replace:
            raise FileExistsError(errno.EEXIST, "it exists already")
        path.parent.mkdir(parents=True, exist_ok=True)
        # All flash of a board may hold keys: its owner's alone.
        write_whole(path, stream.getvalue(), mode=0o600)
    except OSError as e:
        raise FirmwareStoreError(
            f"{path} cannot be written: {e.strerror}", path=str(path), hint="name another file"
        ) from e


def read_archive(path: Path) -> Archive:
    """The archive, every region checked against its SHA-256.

    Raises FirmwareStoreError when it cannot be read, FormatError: ``no_archive``, ``sha256_mismatch``.
    """
    with about_file(str(path)):
        return _parse(read_file(path))


def _parse(data: bytes) -> Archive:
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as file:
            manifest = json.loads(file.read(_MANIFEST))
            if manifest["schema"] != SCHEMA:
                raise FormatError(f"schema {manifest['schema']} is not known here", code="no_archive", hint="update")
            regions = {}
            for region in manifest["regions"]:
                address, size_bytes = int(region["address"]), int(region["size_bytes"])
                if size_bytes > _MAX_REGION_BYTES:
                    raise FormatError(f"a region of {size_bytes} bytes", code="no_archive", hint="no chip has that")
                with file.open(_member(address)) as member:
                    content = member.read(size_bytes + 1)
                if hashlib.sha256(content).hexdigest() != region["sha256"]:
                    raise FormatError(
                        f"the region at 0x{address:08x} was altered: its SHA-256 differs",
                        code="sha256_mismatch",
                        hint="nothing was written; take another copy of the file",
                    )
                regions[address] = content
            return Archive(str(manifest["device_id"]), str(manifest["chip"]), manifest["platform"], regions)
    except (zipfile.BadZipFile, KeyError, TypeError, ValueError, AttributeError, EOFError, RecursionError) as e:
        raise FormatError(
            "no dump of a board", code="no_archive", hint="give a file that particle-dev swd dump wrote"
        ) from e


def _member(address: int) -> str:
    return f"0x{address:08x}.bin"
