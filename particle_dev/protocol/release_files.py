"""Files of a Device OS release: which platform's set is complete, and whether file names say what the files are.

Release files are called ``<platform>-<module>@<version>[+lto|.debug|...].bin``; their content decides, not their name.

Source: device-os v6.2.0 ``build/release.sh`` (file names).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import NamedTuple

from particle_dev.catalog.device_os import DeviceOsRelease, release_by_name, releases_by_system_version
from particle_dev.catalog.modules import ModuleFunction
from particle_dev.catalog.platforms import Platform, platform_by_id, platform_by_name
from particle_dev.protocol.module import Problem

_FILE_NAME = re.compile(r"(?P<platform>[a-z0-9]+)-(?P<module>[a-z0-9-]+)@(?P<version>\d+\.\d+\.\d+(?:-[a-z]+\.\d+)?)")

_KINDS = (ModuleFunction.BOOTLOADER, ModuleFunction.RADIO_STACK, ModuleFunction.SYSTEM_PART)


class ModuleIdentity(NamedTuple):
    """What tells modules of a release apart."""

    platform_id: int
    function: ModuleFunction
    index: int  # type: ignore[assignment]  # hides tuple.index, which nobody needs here
    version: int


class ReleaseSet(NamedTuple):
    """The modules of one release for one platform. ``missing`` names what a board needs besides, such as
    ``bootloader``."""

    platform: Platform
    release: DeviceOsRelease
    files: Mapping[str, ModuleIdentity]
    missing: tuple[str, ...]


def release_sets(modules: Mapping[str, ModuleIdentity]) -> tuple[ReleaseSet, ...]:
    """The Device OS releases among intact module files (name to identity), by the versions of their system parts.

    A platform with system parts of several releases has a set for each; bootloaders and radio stacks count for all of
    them.
    """
    sets = []
    modules = {name: m for name, m in modules.items() if m.function in _KINDS}
    platforms = {m.platform_id: p for m in modules.values() if (p := platform_by_id(m.platform_id))}
    for platform in platforms.values():
        own = {name: m for name, m in modules.items() if m.platform_id == platform.id}
        system = {name: m for name, m in own.items() if m.function == ModuleFunction.SYSTEM_PART}
        for version in sorted({m.version for m in system.values()}):
            releases = releases_by_system_version(version)
            if not releases:
                continue
            release = releases[-1]
            files = {name: m for name, m in own.items() if name not in system or m.version == version}
            sets.append(ReleaseSet(platform, release, files, _missing(platform, release, files)))
    return tuple(sets)


def name_problem(file_name: str, module: ModuleIdentity) -> Problem | None:
    """Tell when a release file's name speaks of another platform or release than its content.

    Files that are not named like release files are fine.
    """
    match = _FILE_NAME.match(file_name)
    platform = platform_by_name(match["platform"]) if match else None
    if match is None or platform is None:
        return None
    if platform.id != module.platform_id:
        actual = platform_by_id(module.platform_id)
        message = f"The file is named for {platform.name}, the module is for {actual.name if actual else '?'}."
        return Problem("name_platform", None, message)
    release = release_by_name(match["version"])
    if release and module.function == ModuleFunction.SYSTEM_PART and release.system_version != module.version:
        message = f"The file is named for Device OS {release.name}, the module has version {module.version}."
        return Problem("name_version", None, message)
    return None


def _missing(platform: Platform, release: DeviceOsRelease, files: Mapping[str, ModuleIdentity]) -> tuple[str, ...]:
    slots = {
        (slot.function, slot.index)
        for slot in platform.module_slots
        if slot.function in _KINDS and slot.covers(release.name) and not slot.encrypted
    }
    present = {(m.function, m.index) for m in files.values()}
    return tuple(f"{function.label} {index}" for function, index in sorted(slots - present))
