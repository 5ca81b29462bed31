"""Application bundles as mappings of members."""

import random
from dataclasses import replace

import pytest

from particle_dev.catalog.modules import ModuleFlag, ModuleFunction
from particle_dev.errors import FormatError, ModuleFormatError
from particle_dev.protocol.asset import Asset
from particle_dev.protocol.bundle import bundle_problems, is_bundle, is_junk, make_bundle, read_bundle
from particle_dev.protocol.module import Dependency, parse
from particle_dev.protocol.module_build import ModuleParts, Tlv, build
from particle_dev.protocol.module_edit import add_extensions
from particle_dev.protocol.module_traits import asset_dependencies

SYSTEM_5500 = (Dependency(ModuleFunction.SYSTEM_PART, 1, 5500),)
PARTS = ModuleParts(ModuleFunction.USER_PART, 2, 6, 13, 0xB4000, bytes(200), dependencies=SYSTEM_5500)
APP = build(PARTS)
ASSETS = [Asset("logo.png", b"pixels"), Asset("sound.wav", b"noise")]


def made(assets=ASSETS, application=APP):
    return make_bundle(application, assets, application_name="app.bin")


def problem_codes(members):
    bundle = read_bundle(members)
    return [(p.code, p.offset) for p in bundle_problems(bundle, parse(bundle.application))]


def test_a_bundle_comes_back():
    members = made()
    assert list(members) == ["app.bin", "assets/logo.png", "assets/sound.wav"]
    assert is_bundle(members)
    bundle = read_bundle(members)
    assert bundle.assets == tuple(ASSETS)
    assert bundle.environment is None
    module = parse(bundle.application)
    assert module.ok
    assert [(d.name, d.sha256) for d in asset_dependencies(module)] == [(a.name, a.sha256) for a in ASSETS]
    assert bundle_problems(bundle, module) == ()


def test_building_again_replaces_the_assets():
    application = made()["app.bin"]
    again = made([ASSETS[1]], application)
    assert [d.name for d in asset_dependencies(parse(again["app.bin"]))] == ["sound.wav"]
    assert again["app.bin"] == made([ASSETS[1]])["app.bin"]


def test_without_assets_the_application_stays_as_it_is():
    assert made([]) == {"app.bin": APP}


@pytest.mark.parametrize(
    ("application", "assets", "code"),
    [
        (build(replace(PARTS, platform_id=6)), ASSETS, "assets_unsupported"),
        (
            build(replace(PARTS, dependencies=(Dependency(ModuleFunction.SYSTEM_PART, 1, 5499),))),
            ASSETS,
            "device_os_too_old",
        ),
        (build(replace(PARTS, dependencies=())), ASSETS, "device_os_too_old"),
        (build(replace(PARTS, function=ModuleFunction.BOOTLOADER, index=0)), ASSETS, "not_application"),
        (build(replace(PARTS, function=ModuleFunction.NCP_FIRMWARE, index=0)), [], "not_application"),
        (build(replace(PARTS, flags=ModuleFlag.ENCRYPTED)), [], "not_application"),
        (APP[:-1], ASSETS, "truncated"),
        (APP, [Asset("a/b", b"")], "bad_asset_name"),
        (APP, [ASSETS[0], Asset("logo.png", b"other")], "duplicate_asset"),
    ],
)
def test_bundles_that_no_device_takes_are_not_made(application, assets, code):
    with pytest.raises(ModuleFormatError) as caught:
        made(assets, application)
    assert caught.value.code == code


@pytest.mark.parametrize("name", ["app.elf", "folder/app.bin", ""])
def test_names_under_which_no_reader_finds_the_application(name):
    with pytest.raises(ModuleFormatError) as caught:
        make_bundle(APP, ASSETS, application_name=name)
    assert caught.value.code == "bad_application_name"


def test_assets_that_do_not_fit_are_refused():
    incompressible = random.Random(1).randbytes(620_000)
    with pytest.raises(ModuleFormatError) as caught:
        made([Asset("big", incompressible)])
    assert caught.value.code == "asset_too_large"


def test_differences_between_application_and_archive():
    members = made()
    offset = asset_dependencies(parse(members["app.bin"]))[0].offset
    assert problem_codes({k: v for k, v in members.items() if "logo" not in k}) == [("asset_missing", offset)]
    assert problem_codes(members | {"assets/logo.png": b"else"}) == [("asset_hash_mismatch", offset)]
    assert problem_codes(members | {"assets/more": b""}) == [("asset_not_wanted", None)]
    assert problem_codes(members | {"app.bin": APP}) == [("asset_not_wanted", None)] * 2


def test_a_cut_dependency_is_found():
    members = made() | {"app.bin": add_extensions(APP, [Tlv(0x12, b"\0\x20short")])}
    assert [code for code, _ in problem_codes(members)] == ["bad_extension"]


def test_other_members_are_ignored():
    extra = {"readme.txt": b"", "assets/deeper/file": b"", "env/x.json": b"", "other/app.bin": b""}
    assert read_bundle(made() | extra) == read_bundle(made())


def test_environment():
    assert read_bundle(made() | {"env.json": b'{"A": "1"}'}).environment == {"A": "1"}
    for text in (b"{", b"[]", b'{"A": 1}', b"[" * 100_000):
        with pytest.raises(FormatError) as caught:
            read_bundle(made() | {"env.json": text})
        assert caught.value.code == "bad_environment"


@pytest.mark.parametrize(
    ("members", "code"),
    [
        ({}, "no_application"),
        ({"assets/a": b""}, "no_application"),
        ({"a.bin": b"", "b.bin": b""}, "several_applications"),
    ],
)
def test_archives_that_are_no_bundles(members, code):
    with pytest.raises(FormatError) as caught:
        read_bundle(members)
    assert caught.value.code == code
    assert not is_bundle(members)


def test_leftovers_of_operating_systems():
    assert all(map(is_junk, [".DS_Store", ".git", "Thumbs.db", "desktop.ini", "__MACOSX"]))
    assert not is_junk("logo.png")
