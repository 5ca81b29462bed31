"""Firmware images that a user holds: found by their module prefixes in a folder of theirs, a firmware store included.

Nothing here ships or fetches an image.
"""

from __future__ import annotations

import os
import shlex
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import platformdirs

from particle_dev.catalog.device_os import release_by_name
from particle_dev.catalog.modules import ModuleFunction
from particle_dev.errors import BenchError
from particle_harness.boards import Hardware, hardware, kinds
from particle_harness.module_reader import (
    CRC_SIZE_BYTES,
    DROP_MODULE_INFO,
    PREFIX_SIZE_BYTES,
    Need,
    Prefix,
    crc_is_good,
    read_prefix,
    reader_of,
)

FOLDER_VARIABLE = "PARTICLE_DEV_FIRMWARE_DIR"
EMULATED = ("boron", "bsom", "b5som", "tracker", "argon", "xenon", "photon", "p1", "electron")
"""Boards that have an emulated chip."""
LICENCES = (
    "Check first that you may run what you put there: Particle's images contain code of others, such as Nordic's "
    "SoftDevice and nRF5 SDK or ST's and Cypress' libraries, whose licences may allow it on the makers' own chips "
    "alone. particle-dev ships no image, and this bench fetches none."
)
_LARGEST_IMAGE_BYTES = 2 * 1024 * 1024
_DAMAGED_NAMED = 5
_BOOTLOADER, _SOFTDEVICE = ModuleFunction.BOOTLOADER, ModuleFunction.RADIO_STACK
_SYSTEM, _USER = ModuleFunction.SYSTEM_PART, ModuleFunction.USER_PART
_KNOWN = (_BOOTLOADER, _SOFTDEVICE, _SYSTEM, _USER)
_NAMES: Mapping[int, str] = {_BOOTLOADER: "bootloader", _SOFTDEVICE: "SoftDevice", _SYSTEM: "system part"}


def emulated_hardware(name: str, slot: str | None = None) -> Hardware:
    """The board of that name. BenchError when there is none, or its chip is not emulated."""
    others = "; `--bench virtual` models the others"
    if name not in EMULATED:
        raise BenchError(
            (f"slot {slot!r}: " if slot else "")
            + (f"no chip of a {name} is emulated" if name in kinds() else f"no board is called {name!r}"),
            slot=slot,
            hint=f"there are {', '.join(EMULATED)}" + (others if name in kinds() else ""),
        )
    return hardware(name)


@dataclass(frozen=True, slots=True)
class Image:
    """A module file with a good CRC. ``data`` is the whole file."""

    prefix: Prefix
    data: bytes
    file: Path | None = None

    @property
    def payload(self) -> bytes:
        """What lies at the start address."""
        module = self.data[: self.prefix.length + CRC_SIZE_BYTES]
        return self.data[PREFIX_SIZE_BYTES:] if self.prefix.flags & DROP_MODULE_INFO else module


@dataclass(frozen=True, slots=True)
class BoardImages:
    """What a new board gets. ``system`` is empty where it is to stay in DFU mode."""

    bootloader: Image
    softdevice: Image | None = None
    system: tuple[Image, ...] = ()
    user: Image | None = None

    @property
    def all(self) -> tuple[Image, ...]:
        """All of them."""
        found = (self.bootloader, self.softdevice, *self.system, self.user)
        return tuple(image for image in found if image is not None)


class ImagesFolder:
    """The images in ``folder`` and the folders in it. Files that are no module, or damaged, are left aside."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._images: list[Image] | None = None
        self._damaged: list[Path] = []

    def damaged(self) -> tuple[Path, ...]:
        """Files that begin as a module of an emulated board does, and whose CRC is wrong."""
        self.images()
        return tuple(self._damaged)

    def platforms(self) -> tuple[str, ...]:
        """Emulated boards whose bootloader is there."""
        there = {image.prefix.platform_id for image in self.images() if image.prefix.function == _BOOTLOADER}
        return tuple(name for name in EMULATED if hardware(name).platform_id in there)

    def images(self) -> list[Image]:
        """All of emulated boards; read once. BenchError when the folder cannot be read."""
        if self._images is None:
            try:
                self._images = [image for file in sorted(_module_files(self.folder)) if (image := self._read(file))]
            except OSError as error:
                raise BenchError(
                    f"the images in {self.folder} cannot be read: {error.strerror}", hint="check its permissions"
                ) from error
        return self._images

    def for_board(self, kind: Hardware, device_os: str | None = None) -> BoardImages:
        """Bootloader and SoftDevice for a new board, the newest ones; with ``device_os`` those of that release, and its
        system parts. BenchError when something is not there, such as what those parts need beside them."""
        release = release_by_name(device_os) if device_os else None
        if device_os and release is None:
            raise BenchError(f"no Device OS {device_os!r} is known", hint="name a release such as 2.1.0")
        version = release.bootloader_version if release else None
        system = tuple(self._system(kind, release.system_version)) if release else ()
        if release and not system:
            raise self._missing(kind, f"system part of Device OS {release.name}")
        bootloader = self._newest(kind, _BOOTLOADER, version)
        if bootloader is None:
            raise self._missing(kind, "bootloader" if version is None else f"bootloader of version {version}")
        found = BoardImages(bootloader, self._newest(kind, _SOFTDEVICE), system)
        for part in system:
            for need in (part.prefix.need1, part.prefix.need2):
                if need.function in _NAMES and not any(_fulfils(image.prefix, need) for image in found.all):
                    what = f"{_NAMES[need.function]}{f' {need.index}' if need.index else ''} of version {need.version}"
                    needing = f"system part {part.prefix.index} of Device OS {device_os} needs"
                    raise self._missing(kind, f"{what} or later, which {needing},")
        return found

    def _read(self, file: Path) -> Image | None:
        if not file.is_file() or file.stat().st_size > _LARGEST_IMAGE_BYTES:
            return None
        data = file.read_bytes()
        image = image_of(data, file)
        if image is None and any(True for _ in _prefixes(data)):
            self._damaged.append(file)
        return image

    def _newest(self, kind: Hardware, function: int, version: int | None = None, index: int = 0) -> Image | None:
        found = [
            image
            for image in self.images()
            if (image.prefix.platform_id, image.prefix.function, image.prefix.index)
            == (kind.platform_id, function, index)
            and version in (None, image.prefix.version)
        ]
        return max(found, key=lambda image: image.prefix.version, default=None)

    def _system(self, kind: Hardware, version: int) -> Iterator[Image]:
        for index in (1, 2, 3):
            image = self._newest(kind, _SYSTEM, version, index)
            if image is not None:
                yield image

    def _missing(self, kind: Hardware, what: str) -> BenchError:
        there = ", ".join(self.platforms()) or "no board"
        return BenchError(
            f"{self.folder} has no {what} for {kind.name}; there are bootloaders for {there}{_but_damaged(self)}",
            hint="add it, by `particle-dev firmware add` or by hand",
        )


def images_folder(chosen: str | os.PathLike[str] | None = None) -> ImagesFolder:
    """The folder that is chosen, else that of PARTICLE_DEV_FIRMWARE_DIR, else the user's firmware store. BenchError
    when there is none or nothing in it, which names the damaged files there."""
    named = named_folder(chosen)
    store = os.environ.get("PARTICLE_DEV_STORE")
    users_own = Path(store) if store else platformdirs.user_data_path("particle-dev") / "firmware"
    # Path.expanduser raises for a user that there is not.
    path = Path(os.path.expanduser(named)) if named else users_own  # noqa: PTH111
    if not os.path.isdir(path):  # noqa: PTH112  Path.is_dir raises for a name that is too long
        why = f"{path} is no folder" if named else "no folder of firmware images is named"
        raise _none_at_hand(why, _to_correct(chosen))
    folder = ImagesFolder(path)
    if not folder.platforms():
        files = f"in a file *.bin of at most {_LARGEST_IMAGE_BYTES >> 20} MiB"
        nothing = f"{path} holds no bootloader of a board that can be emulated ({', '.join(EMULATED)}) {files}"
        raise _none_at_hand(nothing + _but_damaged(folder), _to_correct(chosen), path)
    return folder


def named_folder(chosen: str | os.PathLike[str] | None = None) -> str | os.PathLike[str] | None:
    """The folder that somebody has named: ``chosen``, else that of PARTICLE_DEV_FIRMWARE_DIR. Nothing may stand in for
    it."""
    return chosen or os.environ.get(FOLDER_VARIABLE)


def of_modules(modules: Sequence[bytes]) -> BoardImages | None:
    """From module files at hand; None without a bootloader."""
    images = [image for module in modules if (image := image_of(module))]
    last = {image.prefix.function: image for image in images}
    if _BOOTLOADER not in last:
        return None
    system = tuple(image for image in images if image.prefix.function == _SYSTEM)
    return BoardImages(last[_BOOTLOADER], last.get(_SOFTDEVICE), system, last.get(_USER))


def image_of(data: bytes, file: Path | None = None) -> Image | None:
    """The module that ``data`` is, for one of the emulated boards; None when it is none or its CRC is wrong."""
    read = reader_of(data)
    good = (Image(prefix, data, file) for prefix in _prefixes(data) if crc_is_good(read, 0, prefix.length))
    return next(good, None)


def _prefixes(data: bytes) -> Iterator[Prefix]:
    """What ``data`` says that it is, as the emulated boards read it; its CRC is not looked at."""
    for name in EMULATED:
        kind = hardware(name)
        prefix = read_prefix(reader_of(data), 0, kind.mcu)
        if prefix and prefix.platform_id == kind.platform_id and prefix.function in _KNOWN:
            yield prefix


def _module_files(folder: Path) -> Iterator[Path]:
    """Files that may be modules, in folders that are linked to, too; each folder once."""
    seen: set[str] = set()
    for path, folders, names in os.walk(folder, followlinks=True):
        real = os.path.realpath(path)
        if real in seen:
            folders.clear()
            continue
        seen.add(real)
        yield from (Path(path, name) for name in names if name.endswith(".bin"))


def _fulfils(prefix: Prefix, need: Need) -> bool:
    is_it = (prefix.function, prefix.index) == (need.function, need.index)
    return is_it and prefix.version >= need.version


def _but_damaged(folder: ImagesFolder) -> str:
    names = [str(file.relative_to(folder.folder)) for file in folder.damaged()]
    more = f" and {len(names) - _DAMAGED_NAMED} more" if len(names) > _DAMAGED_NAMED else ""
    return f"; damaged, so that their CRC is wrong: {', '.join(names[:_DAMAGED_NAMED])}{more}" if names else ""


def _to_correct(chosen: str | os.PathLike[str] | None) -> str | None:
    """What has named the folder; None where nothing has."""
    if chosen:
        return "`images` in the bench file, or --images or --store of the command line"
    return FOLDER_VARIABLE if os.environ.get(FOLDER_VARIABLE) else None


def _none_at_hand(why: str, to_correct: str | None, folder: Path | None = None) -> BenchError:
    """``folder``: the one that is there and has nothing of use."""
    hint = f"correct {to_correct}: it is to name a folder of module files"
    if folder is not None:
        fill = f"`particle-dev firmware add npm:particle-cli@2.12.0 --store {shlex.quote(str(folder))}`"
        hint = f"fill the folder, by {fill} or by hand, or name another in {to_correct}"
    if to_correct is None:
        hint = (
            f"name a folder of module files in {FOLDER_VARIABLE}, or fill the firmware store by `particle-dev "
            f"firmware add npm:particle-cli@2.12.0`. {LICENCES}"
        )
    return BenchError(f"emulated boards run firmware images of yours, and {why}", key="bench.options.images", hint=hint)
