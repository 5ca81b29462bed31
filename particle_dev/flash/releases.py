"""What Device OS releases a platform has, what they consist of, and which may not be skipped."""

from __future__ import annotations

import difflib
from dataclasses import dataclass

from particle_dev.catalog.device_os import RELEASES, DeviceOsRelease, version_key
from particle_dev.catalog.modules import ModuleFunction
from particle_dev.catalog.platforms import Platform

SOFTDEVICE_VERSION = 202
"""Nordic's S140 7.0.1. Source: device-os v1.4.0 to v6.2.0 ``modules/shared/system_module_version.mk``
SOFTDEVICE_DEPENDENCY."""
_FIRST_WITH_SOFTDEVICE = "1.4.0"
_VARIANTS = ("p2", "tracker", "b5som")
"""Pre-releases that carry a platform's name are for that one alone: 3.2.1-p2.1."""
_GAPS = (
    ("stm32f1xx", "0.8.0-rc.13", "0.9.0"),
    ("stm32f2xx", "0.8.0-rc.13", "0.9.0"),
    ("nrf52840", "1.0.0", "1.0.1"),
    ("rtl872x", "3.1.0-alpha.1", "4.2.0"),
    ("rtl872x", "6.1.1", "6.1.2"),
)
"""Family, first and last release of a series that was not made for it.
Source: device-os v6.2.0 ``system/system-versions.md``, column Platforms."""


@dataclass(frozen=True, slots=True)
class Stop:
    """A release that may not be skipped: boards of ``platforms`` below ``below`` go through ``through`` on their way
    to a release from ``to`` on (and before ``until``, if it was mended there).

    ``over_dfu``: this holds even when all parts are written over DFU in one go.
    """

    platforms: tuple[str, ...]
    below: str
    to: str
    until: str | None
    through: str
    over_dfu: bool
    reason: str
    source: str


STOPS: tuple[Stop, ...] = (
    Stop(
        ("argon", "boron", "asom", "bsom"),
        "1.1.0",
        "1.4.2",
        "2.0.1-alpha.2",
        "1.1.0",
        True,
        "Device OS before 1.1.0 sets interrupt priorities that bootloaders 501 to 1004 do not stand",
        "device-os v2.0.0 modules/shared/system_module_version.mk BOOTLOADER_MODULE_DEPENDENCY; CHANGELOG.md 2.0.1 "
        "(pull request 2254 ended it between 2.0.1-alpha.1 and -alpha.2)",
    ),
    Stop(
        ("electron",),
        "0.5.3-rc.2",
        "0.6.0-rc.1",
        None,
        "0.5.3",
        False,
        "older Device OS does not know the third system part",
        "device-os v6.2.0 CHANGELOG.md v0.5.3-rc.2",
    ),
    Stop(
        ("electron",),
        "0.6.4",
        "0.7.0-rc.6",
        None,
        "0.6.4",
        False,
        "system part 3 needs system part 2 v110 to arrive over the air",
        "device-os v0.7.0 modules/shared/system_module_version.mk SYSTEM_PART3_MODULE_DEPENDENCY; "
        "CHANGELOG.md 0.7.0-rc.6",
    ),
    Stop(
        ("photon", "p1"),
        "0.7.0",
        "0.8.0-rc.1",
        None,
        "0.7.0",
        False,
        "system part 1 with compressed Wi-Fi firmware needs system part 2 of 0.7.0, or the device drops offline",
        "device-os v1.5.2 modules/shared/system_module_version.mk SYSTEM_PART1_MODULE_DEPENDENCY",
    ),
    Stop(
        ("tracker",),
        "3.0.0-alpha.2",
        "5.6.0",
        None,
        "3.0.0",
        True,
        "its Wi-Fi chip gets the firmware (NCP 7) that Device OS 5.6.0 expects and no longer updates",
        "device-os v5.6.0 modules/shared/system_module_version.mk SYSTEM_PART1_MODULE_DEPENDENCY2",
    ),
)


def stops_between(platform: Platform, present: str, target: str) -> tuple[Stop, ...]:
    """What a board with Device OS ``present`` goes through on its way to ``target``, first one first.

    Known from public sources only: where those are silent, nothing is promised. Raises ValueError when one is no
    version.
    """
    here, there = version_key(present), version_key(target)
    return tuple(
        stop
        for stop in STOPS
        if platform.name in stop.platforms
        and here < version_key(stop.below)
        and version_key(stop.to) <= there
        and (stop.until is None or there < version_key(stop.until))
    )


def release_for_layout(system_version: int) -> str:
    """The release to look slots up with: that of the system part, or the last one before it when it is unknown."""
    known = [release for release in RELEASES if release.system_version <= system_version]
    return (known[-1] if known else RELEASES[0]).name


def is_for(release: DeviceOsRelease, platform: Platform) -> bool:
    """Whether that release was made for the platform; no for one whose releases are not known."""
    word = next((word for word in _VARIANTS if f"-{word}." in release.name), None)
    if word is not None:
        return word == platform.name
    key = version_key(release.name)
    ends = (platform.first_device_os, platform.last_device_os)
    first, last = (version_key(end) if end else None for end in ends)
    if first is None and last is None:
        return False
    if (first is not None and key < first) or (last is not None and key > last):
        return False
    return not any(
        family == platform.family and version_key(start) <= key <= version_key(end) for family, start, end in _GAPS
    )


@dataclass(frozen=True, slots=True)
class NotForPlatform:
    """Why a release cannot be had for a platform, as a sentence, and which ones can."""

    reason: str
    hint: str


def why_not_for(release: DeviceOsRelease, platform: Platform) -> NotForPlatform | None:
    """None for a release that was made for the platform."""
    if is_for(release, platform):
        return None
    nearest = " and ".join(nearest_releases(release.name, platform))
    span = f"{platform.first_device_os or 'the first'} to {platform.last_device_os or 'the newest'}"
    final = " final" if nearest and "-" not in nearest and "-" in span else ""
    return NotForPlatform(
        f"Device OS {release.name} was not made for {platform.display_name}",
        f"it has releases from {span}; the nearest{final}: {nearest}"
        if nearest
        else "no public source lists its releases",
    )


def nearest_releases(name: str, platform: Platform | None = None) -> tuple[str, ...]:
    """Names of releases, of the platform if there is one, to suggest in place of ``name``: the one before and the one
    behind it, rather final ones than pre-releases; for what is no version those that begin with it or are spelled like
    it. Never one with :func:`unknown_modules`."""
    known = [
        release.name
        for release in RELEASES
        if not unknown_modules(platform, release) and (platform is None or is_for(release, platform))
    ]
    try:
        key = version_key(name.removeprefix("v"))
    except ValueError:
        begins_so = [n for n in known if n.startswith(name)]
        return tuple(begins_so[:2] or difflib.get_close_matches(name, known, n=2))
    before = [n for n in known if version_key(n) <= key]
    behind = [n for n in known if version_key(n) > key]
    # The latest final one before, the first final one behind.
    return tuple(next((n for n in names if "-" not in n), names[0]) for names in (before[::-1], behind) if names)


def first_release_with(platform: Platform, system_version: int, *, whole: bool = False) -> DeviceOsRelease | None:
    """The release for the platform with exactly that system part; else the first with a newer one, rather a final one
    than a pre-release. ``whole``: of those without :func:`unknown_modules`, to recommend it."""
    fitting = [
        r
        for r in RELEASES
        if r.system_version >= system_version and is_for(r, platform) and not (whole and unknown_modules(platform, r))
    ]
    exact = [r for r in fitting if r.system_version == system_version]
    final = [r for r in fitting if "-" not in r.name]
    return next(iter(exact[-1:] + final + fitting), None)


def unknown_modules(platform: Platform | None, release: DeviceOsRelease) -> tuple[tuple[ModuleFunction, int], ...]:
    """Function and index of modules that a boot under that release depends on, in versions that no source lists: the
    bootloader, but that of an Electron, which its system part carries along. None: any platform."""
    key = (ModuleFunction.BOOTLOADER, 0)
    needs_it = platform is None or (platform.slot_for(*key) is not None and platform.name != "electron")
    return (key,) if release.bootloader_version is None and needs_it else ()


def release_modules(platform: Platform, release: DeviceOsRelease) -> tuple[tuple[ModuleFunction, int, int], ...]:
    """Function, index and version of the modules of a release, as far as the catalogue knows them.

    Left out: those of :func:`unknown_modules`; firmware of other chips and RTL872x bootloader parts 1 and 2, whose
    versions no public table lists and which no boot depends on.
    """
    key = version_key(release.name)
    modules: list[tuple[ModuleFunction, int, int]] = []
    if release.bootloader_version is not None and platform.slot_for(ModuleFunction.BOOTLOADER, 0):
        modules.append((ModuleFunction.BOOTLOADER, 0, release.bootloader_version))
    if platform.family == "nrf52840" and key >= version_key(_FIRST_WITH_SOFTDEVICE):
        modules.append((ModuleFunction.RADIO_STACK, 0, SOFTDEVICE_VERSION))
    indices = {
        slot.index
        for slot in platform.module_slots
        if slot.function == ModuleFunction.SYSTEM_PART and slot.covers(release.name)
    }
    modules += [(ModuleFunction.SYSTEM_PART, index, release.system_version) for index in sorted(indices)]
    return tuple(modules)
