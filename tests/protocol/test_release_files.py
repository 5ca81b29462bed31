"""Which Device OS releases lie among module files."""

import pytest

from particle_dev.catalog.modules import ModuleFunction
from particle_dev.protocol.release_files import ModuleIdentity, name_problem, release_sets

BORON, PHOTON = 13, 6
BOOTLOADER = ModuleIdentity(BORON, ModuleFunction.BOOTLOADER, 0, 1005)
SOFTDEVICE = ModuleIdentity(BORON, ModuleFunction.RADIO_STACK, 0, 202)
SYSTEM = ModuleIdentity(BORON, ModuleFunction.SYSTEM_PART, 1, 2101)
APP = ModuleIdentity(BORON, ModuleFunction.USER_PART, 1, 6)


def test_a_complete_release():
    (found,) = release_sets({"b": BOOTLOADER, "s": SOFTDEVICE, "p": SYSTEM, "app": APP})
    assert (found.platform.name, found.release.name, found.missing) == ("boron", "2.1.0", ())
    assert set(found.files) == {"b", "s", "p"}


def test_what_is_missing_is_named():
    (found,) = release_sets({"p": SYSTEM})
    assert found.missing == ("bootloader 0", "radio stack 0")
    parts = {"1": ModuleIdentity(PHOTON, ModuleFunction.SYSTEM_PART, 1, 2101)}
    (found,) = release_sets(parts)
    assert found.missing == ("bootloader 0", "system part 2")


def test_two_releases_and_two_platforms():
    newer = SYSTEM._replace(version=2001)
    photon = SYSTEM._replace(platform_id=PHOTON)
    found = release_sets({"a": SYSTEM, "b": newer, "c": photon, "d": BOOTLOADER})
    assert {(s.platform.name, s.release.system_version) for s in found} == {
        ("boron", 2101),
        ("boron", 2001),
        ("photon", 2101),
    }


def test_applications_and_unknown_versions_make_no_release():
    assert release_sets({"app": APP, "p": SYSTEM._replace(version=65000)}) == ()


@pytest.mark.parametrize(
    ("name", "module", "code"),
    [
        ("boron-system-part1@2.1.0.bin", SYSTEM, None),
        ("photon-system-part1@2.1.0.bin", SYSTEM, "name_platform"),
        ("boron-system-part1@2.0.1.bin", SYSTEM, "name_version"),
        ("boron-bootloader@2.1.0+lto.bin", BOOTLOADER, None),
        ("mine.bin", SYSTEM, None),
        ("nosuch-system-part1@2.1.0.bin", SYSTEM, None),
        ("boron-system-part1@99.9.9.bin", SYSTEM, None),
    ],
)
def test_names_that_do_not_say_what_is_inside(name, module, code):
    problem = name_problem(name, module)
    assert (problem and problem.code) == code
