"""Device OS releases and the module versions they carry.

Source: device-os v6.2.0 ``system/system-versions.md`` (origin ``table``); ``tag``: missing there, read from
``modules/shared/system_module_version.mk`` at that tag; ``docs``: particle-iot/docs
``src/assets/files/device-restore/<release>``; ``binary``: dependency of a public application.
"""

from typing import NamedTuple

_NO_LIMIT = 1 << 31


class DeviceOsRelease(NamedTuple):
    """One release. ``bootloader_version`` is None where no source lists it.

    P2 releases before 5.0.0 have bootloader numbers of their own (1005 to 1009).
    """

    name: str
    system_version: int
    bootloader_version: int | None
    origin: str = "table"


VersionKey = tuple[int, int, int, int, str, int]


def version_key(name: str) -> VersionKey:
    """Return a key that sorts releases; pre-releases come before their final release.

    ``6.1.x`` sorts after every 6.1 release and serves as an upper bound. Raises ValueError for anything
    that is no version.
    """
    core, _, pre_release = name.partition("+")[0].partition("-")
    stage, _, number = pre_release.partition(".")
    try:
        major, minor, patch = core.split(".")
        last = _NO_LIMIT if patch == "x" else int(patch)
        return int(major), int(minor), last, 0 if pre_release else 1, stage, int(number or 0)
    except ValueError:
        raise ValueError(f"{name!r} is no Device OS version such as 6.2.0 or 5.5.0-rc.1") from None


# Several releases share a number: the 0.4.4 pre-releases 4, 0.5.0 13, 0.5.1 15, 0.8.0-rc.13 and rc.14 312.
# fmt: off
_ROWS: tuple[tuple[str, int, int | None] | tuple[str, int, int | None, str], ...] = (
    ("0.4.0", 0, None), ("0.4.1", 1, None), ("0.4.2", 2, None), ("0.4.3", 3, None), ("0.4.4-rc.1", 4, None),
    ("0.4.4-rc.2", 4, None), ("0.4.4-rc.3", 4, None), ("0.4.4-rc.4", 4, None), ("0.4.4-rc.5", 4, None),
    ("0.4.4-rc.6", 4, None), ("0.4.4", 5, None), ("0.4.5", 6, None), ("0.4.6", 7, None), ("0.4.7", 8, None),
    ("0.4.8-rc.1", 9, None), ("0.4.8-rc.6", 10, None), ("0.4.9", 11, 7), ("0.5.0-rc.1", 12, None),
    ("0.5.0-rc.2", 13, None), ("0.5.0", 13, None), ("0.5.1-rc.1", 14, None), ("0.5.1-rc.2", 15, None),
    ("0.5.1", 15, None), ("0.5.2-rc.1", 16, None), ("0.5.2", 17, None), ("0.5.3-rc.1", 18, None),
    ("0.5.3-rc.2", 19, None), ("0.5.3-rc.3", 20, None), ("0.5.3", 21, None), ("0.5.4", 22, None),
    ("0.5.5", 23, None), ("0.6.0-rc.1", 100, None), ("0.6.0-rc.2", 101, None), ("0.6.0", 102, None),
    ("0.6.1-rc.1", 103, 9), ("0.6.1-rc.2", 104, None), ("0.6.1", 105, None), ("0.6.2-rc.1", 106, None),
    ("0.6.2-rc.2", 107, None), ("0.6.2", 108, 11), ("0.6.3", 109, 11), ("0.6.4", 110, 11),
    ("0.7.0-rc.1", 200, 100), ("0.7.0-rc.2", 201, 100), ("0.7.0-rc.3", 202, 100), ("0.7.0-rc.4", 203, 100),
    ("0.7.0-rc.5", 204, 101), ("0.7.0-rc.6", 205, 101), ("0.7.0-rc.7", 206, 101), ("0.7.0", 207, 101),
    ("0.8.0-rc.1", 300, 101), ("0.8.0-rc.2", 301, 101), ("0.8.0-rc.3", 302, 201), ("0.8.0-rc.4", 303, 201),
    ("0.8.0-rc.5", 304, 201), ("0.8.0-rc.6", 305, 201), ("0.8.0-rc.7", 306, 201), ("0.8.0-rc.8", 307, 201),
    ("0.8.0-rc.9", 308, 201), ("0.8.0-rc.10", 309, 201), ("0.8.0-rc.11", 310, 201),
    ("0.8.0-rc.12", 311, 201), ("0.8.0-rc.13", 312, 201), ("0.8.0-rc.14", 312, 201),
    ("0.8.0-rc.15", 314, 209), ("0.8.0-rc.16", 315, 209), ("0.8.0-rc.17", 316, 210),
    ("0.8.0-rc.18", 317, 210), ("0.8.0-rc.19", 318, 211), ("0.8.0-rc.20", 319, 212),
    ("0.8.0-rc.21", 320, 212), ("0.8.0-rc.22", 321, 213), ("0.8.0-rc.23", 322, 214),
    ("0.8.0-rc.24", 323, 214), ("0.8.0-rc.25", 324, 214), ("0.8.0-rc.26", 325, 215),
    ("0.8.0-rc.27", 326, 215), ("0.9.0-rc.1", 400, 300), ("0.9.0-rc.2", 401, 300), ("0.9.0-rc.3", 402, 300),
    ("0.9.0", 403, 300), ("1.0.0", 1000, 201), ("1.0.1-rc.1", 1001, 201), ("1.0.1", 1002, 201),
    ("1.1.0-rc.1", 1100, 300), ("1.1.0-rc.2", 1101, 301), ("1.1.0", 1102, 301),
    ("1.1.1-rc.1", 1103, 301, "tag"), ("1.1.1", 1104, 301, "tag"), ("1.2.0-alpha.1", 1200, 300),
    ("1.2.0-beta.1", 1201, 300), ("1.2.0-rc.1", 1202, 302), ("1.2.1-rc.1", 1210, 310),
    ("1.2.1-rc.2", 1211, 311), ("1.2.1-rc.3", 1212, 311), ("1.2.1", 1213, 311), ("1.3.0-alpha.1", 1300, 311),
    ("1.3.0-rc.1", 1301, 311), ("1.3.1-rc.1", 1320, 400), ("1.3.1", 1321, 401), ("1.4.0-rc.1", 1400, 500),
    ("1.4.0", 1401, 500), ("1.4.1-rc.1", 1402, 500), ("1.4.1", 1403, 500), ("1.4.2", 1404, 501),
    ("1.4.3", 1405, 501), ("1.4.4", 1406, 501), ("1.4.5-b5som.1", 1407, 501), ("1.4.5-b5som.2", 1408, 501),
    ("1.5.0-rc.1", 1500, 501), ("1.5.0-rc.2", 1501, 501), ("1.5.0", 1502, 501),
    ("1.5.1-tracker.1", 1503, 501), ("1.5.1-tracker.2", 1504, 501), ("1.5.1-tracker.3", 1505, 501),
    ("1.5.1-rc.1", 1510, 501), ("1.5.1", 1511, 501), ("1.5.2", 1512, 502), ("1.5.3-tracker.1", 1513, 502),
    ("1.5.4-rc.1", 1514, 502), ("1.5.4-rc.2", 1515, 502), ("2.0.0-alpha.1", 2000, 1000),
    ("2.0.0-alpha.2", 2001, 1000), ("2.0.0-alpha.3", 2002, 1001), ("2.0.0-alpha.4", 2003, 1002),
    ("2.0.0-rc.1", 2004, 1002), ("2.0.0-rc.2", 2005, 1003), ("2.0.0-rc.3", 2006, 1003),
    ("2.0.0-rc.4", 2007, 1003), ("2.0.0", 2008, 1003), ("2.0.1-alpha.1", 2009, 1004),
    ("2.0.1-alpha.2", 2010, 1005), ("2.0.1", 2011, 1005), ("2.0.2-rc.1", 2020, 1005, "tag"),
    ("2.0.2", 2021, 1005, "tag"), ("2.1.0-rc.1", 2100, 1005), ("2.1.0", 2101, 1005),
    ("2.2.0-rc.1", 2200, 1006), ("2.2.0-rc.2", 2201, 1006), ("2.2.0", 2202, 1006),
    ("2.3.0-rc.1", 2300, 1006), ("2.3.0", 2301, 1006), ("2.3.1", 2302, 1006), ("3.0.0-alpha.1", 3000, 1005),
    ("3.0.0-alpha.2", 3001, 1005), ("3.0.0-beta.1", 3002, 1005), ("3.0.0-rc.1", 3003, 1005),
    ("3.0.0-rc.2", 3004, 1005), ("3.0.0", 3005, 1005), ("3.0.1-p2.1", 3010, 1005),
    ("3.0.1-p2.2", 3011, 1006), ("3.0.1-p2.3", 3012, 1006), ("3.0.1-p2.4", 3013, 1006),
    ("3.0.1-p2.5", 3014, 1007), ("3.1.0-alpha.1", 3100, 1100), ("3.1.0-alpha.2", 3101, 1100),
    ("3.1.0-rc.1", 3102, 1100), ("3.1.0", 3103, 1100), ("3.2.0-rc.1", 3200, 1100), ("3.2.0", 3201, 1100),
    ("3.2.1-p2.1", 3210, 1007), ("3.2.1-p2.2", 3211, 1007), ("3.2.1-p2.3", 3212, 1008),
    ("3.2.1-p2.4", 3213, 1009), ("3.3.0-rc.1", 3300, 1100), ("3.3.0", 3301, 1100), ("3.3.1", 3302, 1100),
    ("4.0.0-alpha.1", 4000, 1100), ("4.0.0-alpha.2", 4001, 1101), ("4.0.0-beta.1", 4002, 1101),
    ("4.0.0", 4003, 1101), ("4.0.1-rc.1", 4004, 1101), ("4.0.1", 4005, 1101), ("4.0.2", 4006, 1101),
    ("4.1.0", 4100, 1200), ("4.2.0", 4200, 1200), ("5.0.0-alpha.1", 5000, 2000),
    ("5.0.0-alpha.2", 5001, 2000), ("5.0.0", 5002, 2000), ("5.0.1", 5003, 2001), ("5.1.0", 5004, 2001),
    ("5.2.0", 5200, 2002), ("5.3.0", 5300, 2100), ("5.3.1", 5301, 2101), ("5.3.2", 5302, 2102),
    ("5.4.0", 5400, 2200), ("5.4.1", 5410, 2210), ("5.5.0-rc.1", 5500, 2300), ("5.5.0", 5501, 2300),
    ("5.6.0", 5600, 2400), ("5.7.0", 5700, 2500), ("5.8.0", 5800, 2600), ("5.8.1", 5801, 2600),
    ("5.8.2", 5802, 2601), ("5.9.0", 5901, 2700), ("6.0.0", 6000, 3000), ("6.1.0", 6100, 3000),
    ("6.1.1", 6101, 3001), ("6.1.2", 6102, 3002), ("6.2.0", 6200, 3100), ("6.2.1", 6201, 3101, "docs"),
    ("6.3.2", 6303, 3101, "docs"), ("6.3.4", 6305, None, "binary"),
)
# fmt: on

RELEASES: tuple[DeviceOsRelease, ...] = tuple(DeviceOsRelease(*row) for row in _ROWS)


def release_by_name(name: str) -> DeviceOsRelease | None:
    """Return the release of exactly that name, or None."""
    return next((release for release in RELEASES if release.name == name), None)


def releases_by_system_version(version: int) -> tuple[DeviceOsRelease, ...]:
    """Return every release whose system part has that module version, oldest first; empty when unknown."""
    return tuple(release for release in RELEASES if release.system_version == version)
