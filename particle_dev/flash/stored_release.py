"""What a Device OS release asks of the firmware store, and which of the stored modules answer it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from particle_dev.catalog.device_os import DeviceOsRelease, release_by_name, releases_by_system_version
from particle_dev.catalog.modules import ModuleFunction
from particle_dev.catalog.platforms import Platform, platform_by_name
from particle_dev.errors import FirmwareStoreError
from particle_dev.flash.releases import nearest_releases, why_not_for
from particle_dev.flash.stored_module import StoredModule

_NPM_PACKAGES = {
    "1.4.4": "npm:particle-cli@2.12.0",
    "1.5.0": "npm:particle-cli@2.3.0",
    "1.5.2": "npm:particle-cli@2.12.0",
    "2.1.0": "npm:particle-cli@2.12.0",
    "2.2.0": "npm:particle-cli@2.16.0",
}


def source_of(release: str) -> str:
    """What ``particle-dev firmware add`` takes that release from: a public npm package that carries it in its
    assets/updates, or words that say what is needed."""
    return _NPM_PACKAGES.get(release, "FOLDER, with the module files of that release")


def known_platform(name: str) -> Platform:
    """The platform of that name. Raises FirmwareStoreError."""
    platform = platform_by_name(name)
    if platform is None:
        raise FirmwareStoreError(f"there is no platform {name}", hint="use a name such as boron or tracker")
    return platform


def known_release(platform: Platform, name: str, stored: Sequence[str] = ()) -> DeviceOsRelease:
    """The release of that name. Raises FirmwareStoreError for one that is not in the table, or that the platform never
    had; the hint names those that are ``stored``, else the nearest that it has."""
    there = f"the firmware store has {' and '.join(stored)} for {platform.display_name}" if stored else ""
    release = release_by_name(name)
    if release is None:
        nearest = " and ".join(nearest_releases(name, platform))
        raise FirmwareStoreError(
            f"Device OS {name} is not in the release table",
            hint=there or (f"the nearest of {platform.display_name}: {nearest}" if nearest else "write it as 2.1.0"),
        )
    why = why_not_for(release, platform)
    if why is not None and (platform.first_device_os or platform.last_device_os):
        raise FirmwareStoreError(why.reason, hint=f"{why.hint}; {there}" if there else why.hint)
    return release


def releases_in(modules: Iterable[StoredModule], platform: Platform) -> tuple[str, ...]:
    """Releases of which the first system part for that platform is among the modules, oldest first."""
    key = (platform.id, ModuleFunction.SYSTEM_PART, 1)
    versions = sorted({m.version for m in modules if (m.platform_id, m.function, m.index) == key})
    return tuple(found[-1].name for found in map(releases_by_system_version, versions) if found)


def indexes(platform: Platform, function: ModuleFunction, release: str) -> list[int]:
    """Indexes of the modules of that function that the platform has under that release."""
    slots = [s for s in platform.module_slots if s.function == function and not s.encrypted]
    return sorted({s.index for s in slots if s.covers(release)})


def listed_version(release: DeviceOsRelease, function: ModuleFunction, index: int) -> int | None:
    """The version that the release table gives; None where it lists none."""
    if function == ModuleFunction.SYSTEM_PART:
        return release.system_version
    if function == ModuleFunction.BOOTLOADER and index == 0:
        return release.bootloader_version
    return None


def choose(candidates: tuple[StoredModule, ...], origin: str | None) -> StoredModule | None:
    """The newest candidate, by preference from ``origin``. Raises FirmwareStoreError when two files claim its place."""
    if not candidates:
        return None
    pool = [m for m in candidates if m.container == origin] or candidates
    newest = [m for m in pool if m.version == pool[-1].version]
    if len(newest) > 1:
        raise FirmwareStoreError(
            f"different files in the firmware store claim to be {newest[0].title}: "
            + ", ".join(f"{m.file_name} (SHA-256 {m.sha256[:12]})" for m in newest),
            hint="use a store of its own (--store) for one of them",
        )
    return newest[0]
