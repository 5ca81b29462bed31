"""What follows from a parsed module."""

import subprocess
import sys
from dataclasses import replace

import pytest

from particle_dev.catalog.modules import ModuleFlag, ModuleFunction
from particle_dev.errors import ModuleFormatError
from particle_dev.protocol.asset import Asset, make_asset_module
from particle_dev.protocol.module import parse
from particle_dev.protocol.module_build import ModuleParts, Suffix, Tlv, build, end_of_extensions
from particle_dev.protocol.module_edit import combine, protect_bootloader
from particle_dev.protocol.module_traits import (
    asset_dependencies,
    combined_pieces,
    is_application,
    notes,
    security_mode,
)

APP = ModuleParts(ModuleFunction.USER_PART, 2, 6, 13, 0xB4000, bytes(40))
BOOTLOADER = build(replace(APP, function=ModuleFunction.BOOTLOADER, index=0, version=3001))
MBR_PART1 = replace(APP, function=ModuleFunction.BOOTLOADER, index=2, platform_id=32)


def parsed(**changes):
    return parse(build(replace(APP, **changes)))


def test_applications():
    assert is_application(parsed())
    assert is_application(parsed(function=ModuleFunction.MONO_FIRMWARE))
    assert is_application(parsed(flags=ModuleFlag.COMPRESSED))


@pytest.mark.parametrize(
    "changes",
    [
        {"function": ModuleFunction.BOOTLOADER},
        {"function": ModuleFunction.NCP_FIRMWARE},
        {"function": ModuleFunction.RADIO_STACK},
        {"function": ModuleFunction.ASSET, "platform_id": 0},
        {"flags": ModuleFlag.ENCRYPTED},
        {"platform_id": 999},
    ],
)
def test_nothing_else_is_a_valid_application(changes):
    assert not is_application(parsed(**changes))


def test_a_protected_bootloader_says_so():
    assert security_mode(parse(BOOTLOADER)) is None
    protected = parse(protect_bootloader(BOOTLOADER))
    assert security_mode(protected) == "protected"
    assert not is_application(protected)
    assert any("LOCKS" in note for note in notes(protected))


def test_only_the_suffix_of_a_bootloader_counts():
    mode = Tlv(0x13, b"\1")
    in_prefix = parse(build(replace(MBR_PART1, prefix_extensions=(mode, end_of_extensions()))))
    assert security_mode(in_prefix) is None
    application = parse(build(replace(APP, suffix=Suffix((mode, end_of_extensions())))))
    assert security_mode(application) is None
    other = parse(build(replace(MBR_PART1, suffix=Suffix((Tlv(0x13, b"\5"), end_of_extensions())))))
    assert security_mode(other) == "unknown (5)"


@pytest.mark.parametrize(
    ("data", "word"),
    [
        (build(replace(MBR_PART1, flags=ModuleFlag.ENCRYPTED | ModuleFlag.DROP_MODULE_INFO)), "encrypted"),
        (build(replace(APP, function=ModuleFunction.NCP_FIRMWARE)), "network processor"),
        (build(replace(APP, function=ModuleFunction.RADIO_STACK, flags=ModuleFlag.DROP_MODULE_INFO)), "radio stack"),
        (make_asset_module(Asset("logo.png", b"")), "'logo.png'"),
        (build(replace(APP, flags=ModuleFlag.COMPRESSED)), "compressed"),
        (build(replace(APP, suffix=Suffix((Tlv(0x12, b"\0"), end_of_extensions())))), "is too short"),
        (build(replace(APP, suffix=Suffix((Tlv(0x12, b"\1\1hname"), end_of_extensions())))), "'name'"),
    ],
)
def test_notes(data, word):
    assert any(word in note for note in notes(parse(data)))


def test_a_plain_module_needs_no_notes():
    assert notes(parsed()) == ()


def test_hash_types_that_are_not_known_give_no_hash():
    module = parse(build(replace(APP, suffix=Suffix((Tlv(0x12, b"\1\2hhname"), end_of_extensions())))))
    (dependency,) = asset_dependencies(module)
    assert (dependency.name, dependency.sha256) == ("name", b"")


def test_pieces_of_a_combined_file():
    one, two = build(APP), build(replace(APP, version=7))
    combined = combine([one, two])
    assert combined_pieces(combined) == (combined[: len(one)], two)
    assert combined_pieces(one) == (one,)
    with pytest.raises(ModuleFormatError) as caught:
        combined_pieces(combined[: len(one) + 10])
    assert (caught.value.code, caught.value.offset) == ("no_prefix", None)


def test_an_error_in_a_garbage_cycle_does_no_harm():
    """A memoryview in such a cycle, exported to cffi, would crash the interpreter."""
    script = """
import gc
from particle_dev.errors import ModuleFormatError
from particle_dev.protocol.module import parse
for _ in range(50):
    try:
        parse(bytes(100))
    except ModuleFormatError as error:
        cycle = [error]
        cycle.append(cycle)
    del cycle
    gc.collect()
"""
    subprocess.run([sys.executable, "-c", script], check=True)
