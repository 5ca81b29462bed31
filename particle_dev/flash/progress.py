"""What happens while a plan is carried out, as typed events."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class ModuleCompared:
    """The board's flash was compared with the file; ``right_bytes`` need no work. ``resumed``: a part of it is right
    already."""

    file_name: str
    size_bytes: int
    right_bytes: int


@dataclass(frozen=True, slots=True)
class BrakeSet:
    """The first sector of the system part is erased: from now on every boot ends in DFU mode."""

    address: int


@dataclass(frozen=True, slots=True)
class SectorErased:
    """One sector was erased."""

    address: int
    size_bytes: int


@dataclass(frozen=True, slots=True)
class BlockWritten:
    """One block was programmed; ``done_bytes`` of ``total_bytes`` of the whole plan are on the board."""

    file_name: str
    size_bytes: int
    done_bytes: int
    total_bytes: int


@dataclass(frozen=True, slots=True)
class ModuleVerified:
    """Every byte of a module was read back and equals the file. ``sha256`` is of the bytes read."""

    file_name: str
    address: int
    size_bytes: int
    sha256: str
    done_bytes: int
    total_bytes: int


@dataclass(frozen=True, slots=True)
class ModuleStaged:
    """A module lies in the update area, was read back, and is marked for the next boot outside DFU mode: the bootloader
    installs what ``slot`` names, the running system what has none."""

    file_name: str
    slot: int | None
    source_address: int
    size_bytes: int


FlashEvent = ModuleCompared | BrakeSet | SectorErased | BlockWritten | ModuleVerified | ModuleStaged


@dataclass(frozen=True, slots=True)
class PhaseStarted:
    """Phase ``number`` of ``count`` of an update plan begins; ``title`` says what it is."""

    number: int
    count: int
    title: str


@dataclass(frozen=True, slots=True)
class ModuleProven:
    """A module of an update plan is on the board. ``evidence`` says by what."""

    file_name: str
    sha256: str
    evidence: str


UpdateEvent = FlashEvent | PhaseStarted | ModuleProven
