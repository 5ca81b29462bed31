"""What follows from a parsed module."""

import subprocess
import sys
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from particle_dev.catalog.modules import ModuleFlag, ModuleFunction
from particle_dev.errors import ModuleFormatError
from particle_dev.protocol.asset import Asset, make_asset_module
from particle_dev.protocol.module import parse
from particle_dev.protocol.module_build import ModuleParts, Suffix, Tlv, build, end_of_extensions
from particle_dev.protocol.module_edit import combine, protect_bootloader
from particle_dev.protocol.module_traits import (
    asset_dependencies,
    intact_piece,
    is_application,
    module_pieces,
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


ONE, TWO = build(APP), build(replace(APP, version=7))
COMBINED = combine([ONE, TWO])


@pytest.mark.parametrize("data", [COMBINED, ONE + TWO, COMBINED[:-1], ONE + TWO[:-10], COMBINED + b"junk"])
def test_pieces_of_a_file_of_several_modules(data):
    first, second = module_pieces(data)
    assert (first.offset, first.data, first.number, first.is_last) == (0, data[: len(ONE)], 1, False)
    assert (second.offset, second.data, second.number, second.is_last) == (len(ONE), data[len(ONE) :], 2, True)
    assert (first.name_in("a.bin"), second.name_in("a.bin")) == ("a.bin#1", "a.bin#2")
    assert intact_piece(first)._replace(flags=0, crc32=None, sha256=None) == parse(ONE)._replace(
        flags=0, crc32=None, sha256=None
    )


@pytest.mark.parametrize("data", [b"", b"text", ONE, ONE[:-1], ONE + b"junk", COMBINED[: len(ONE) + 10]])
def test_what_is_one_piece(data):
    (piece,) = module_pieces(data)
    assert piece == (0, data, None, True)
    assert piece.name_in("a.bin") == "a.bin"


@given(st.lists(st.one_of(st.sampled_from([ONE, TWO, COMBINED]), st.binary(max_size=60)), max_size=5))
def test_pieces_together_are_the_file(parts):
    data = b"".join(parts)
    pieces = module_pieces(data)
    assert b"".join(piece.data for piece in pieces) == data
    assert [piece.offset for piece in pieces] == [sum(len(p.data) for p in pieces[:n]) for n in range(len(pieces))]
    assert [piece.is_last for piece in pieces] == [False] * (len(pieces) - 1) + [True]


def test_three_modules_and_the_first_problem_with_its_offset_in_the_file():
    pieces = module_pieces(COMBINED + TWO[:-1] + b"?")
    assert [piece.number for piece in pieces] == [1, 2, 3]
    assert [intact_piece(piece).version for piece in pieces[:2]] == [APP.version, 7]
    with pytest.raises(ModuleFormatError) as caught:
        intact_piece(pieces[2])
    assert (caught.value.code, caught.value.offset) == ("crc_mismatch", len(COMBINED) + len(TWO) - 4)


@pytest.mark.parametrize(
    ("data", "code", "offset"),
    [
        (COMBINED + b"junk", "trailing_data", len(COMBINED)),
        (COMBINED[:-5], "truncated", len(COMBINED) - 5),
        (COMBINED[: len(ONE)], "combined_incomplete", len(ONE)),
        (COMBINED[: len(ONE)] + b"junk", "trailing_data", len(ONE)),
    ],
)
def test_the_last_piece_has_the_problem(data, code, offset):
    with pytest.raises(ModuleFormatError) as caught:
        intact_piece(module_pieces(data)[-1])
    assert (caught.value.code, caught.value.offset) == (code, offset)


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
