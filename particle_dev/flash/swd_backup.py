"""Pages that a run erases in passing, kept on disk until it has written them again: a run that ends in between loses
nothing."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from particle_dev.device.swd import SwdIdentity
from particle_dev.flash.swd_archive import Archive, read_archive, write_archive
from particle_dev.flash.swd_image import PAGE_SIZE_BYTES


@dataclass(frozen=True, slots=True)
class SwdBackup:
    """The backup of one board in ``folder``."""

    folder: Path
    identity: SwdIdentity

    @property
    def path(self) -> Path:
        """Its file."""
        return self.folder / f"{self.identity.device_id}.zip"

    def load(self) -> dict[int, bytes]:
        """Pages by address; none without an interrupted run. Raises FormatError, FirmwareStoreError."""
        return read_archive(self.path).pages if self.path.exists() else {}

    def save(self, pages: Mapping[int, bytes]) -> str:
        """Keep pages, and those of an earlier run that are not among them; returns the file. Raises FormatError,
        FirmwareStoreError."""
        everything = {**self.load(), **pages}
        platform = self.identity.platform
        archive = Archive(
            self.identity.device_id, self.identity.chip.name, platform.name if platform else None, everything
        )
        assert all(len(page) == PAGE_SIZE_BYTES for page in everything.values())
        write_archive(self.path, archive, replace=True)
        return str(self.path)

    def drop(self) -> None:
        """The run has ended well."""
        self.path.unlink(missing_ok=True)
