"""SKUs agree with the platform catalogue, and answers by prefix are unambiguous."""

import pytest

from particle_dev.catalog.platforms import PLATFORMS, platform_by_name
from particle_dev.catalog.skus import (
    SKUS,
    SimClass,
    has_plastic_sim,
    platform_name_by_serial_number,
    sim_class_by_serial_number,
    sku_by_name,
    skus_by_serial_number,
)

PREFIXES = sorted({prefix for sku in SKUS for prefix in sku.serial_prefixes})


@pytest.mark.parametrize("sku", SKUS, ids=lambda sku: sku.name)
def test_a_family_has_a_platform_of_the_catalogue(sku):
    platform = platform_by_name(sku.platform_name)
    assert platform is not None and platform.name == sku.platform_name
    assert set(sku.serial_prefixes) <= set(platform.serial_prefixes)
    assert (sku.sim is not None) == (platform.billing == "cellular")
    assert bool(sku.sim_source) == (sku.sim is not None)


def test_all_prefixes_of_the_catalogue_are_there():
    assert set(PREFIXES) == {prefix for platform in PLATFORMS for prefix in platform.serial_prefixes}


@pytest.mark.parametrize("prefix", PREFIXES)
def test_families_that_share_a_prefix_share_what_is_told_by_it(prefix):
    skus = skus_by_serial_number(prefix)
    assert len({(sku.platform_name, sku.sim, sku.plastic_sim) for sku in skus}) == 1


@pytest.mark.parametrize(
    ("serial_number", "platform", "sim", "plastic"),
    [
        ("P046AB123456ABC", "p2", None, False),
        ("p044ab123456abc", "boron", SimClass.FAST, False),
        ("B40TAB123456ABC", "boron", SimClass.SOMETIMES_SLOW, False),
        ("E26TAB123456ABC", "electron", SimClass.GENERALLY_FAST, True),
        ("P035AB123456ABC", "electron", SimClass.FAST, True),
        ("P052AB123456ABC", "esomx", SimClass.FAST, False),
        ("P031AB123456ABC", "tracker", SimClass.FAST, False),
        ("P999AB123456ABC", None, None, False),
    ],
)
def test_what_a_serial_number_tells(serial_number, platform, sim, plastic):
    assert platform_name_by_serial_number(serial_number) == platform
    assert sim_class_by_serial_number(serial_number) is sim
    assert has_plastic_sim(serial_number) is plastic


@pytest.mark.parametrize(
    ("name", "family"),
    [
        ("B404XMTY", "B404X"),
        ("B404MTY", "B404"),
        ("e404xtray50", "E404X"),
        ("BRN402-AQKT", "BRN402"),
        ("ELC404TY", "ELC404"),
    ],
)
def test_a_sku_finds_the_longest_family(name, family):
    assert sku_by_name(name).name == family


def test_an_unknown_sku_has_no_family():
    assert sku_by_name("WIDGET1") is None
