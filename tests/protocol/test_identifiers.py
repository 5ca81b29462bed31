"""Identifiers are read as they are, or not at all."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from particle_dev.errors import FormatError
from particle_dev.protocol.identifiers import (
    Identifier,
    IdentifierKind,
    Misread,
    disagreement,
    has_check_digit,
    identify,
    parse_label,
)

DEVICE_ID = "e00fce68123456789abcdef0"
KIND = IdentifierKind
hex_digits = st.text("0123456789abcdef", min_size=24, max_size=24).filter(lambda t: len(set(t)) > 1)


@pytest.mark.parametrize(
    ("word", "kind", "value"),
    [
        (DEVICE_ID, KIND.DEVICE_ID, DEVICE_ID),
        (DEVICE_ID.upper(), KIND.DEVICE_ID, DEVICE_ID),
        ("300034000951343334363138", KIND.DEVICE_ID, "300034000951343334363138"),
        ("P046AF12345ABCD", KIND.SERIAL_NUMBER, "P046AF12345ABCD"),
        ("b40tab123456abc", KIND.SERIAL_NUMBER, "B40TAB123456ABC"),
        ("P999AF12345ABCD", KIND.SERIAL_NUMBER, "P999AF12345ABCD"),
        ("353162071113006", KIND.IMEI, "353162071113006"),
        ("8934076500002589174", KIND.ICCID, "8934076500002589174"),
        ("89014103273027966570", KIND.ICCID, "89014103273027966570"),
        ("8934076500002589174F", KIND.ICCID, "8934076500002589174"),
    ],
)
def test_it_is(word, kind, value):
    assert identify(word) == Identifier(kind, value)


@pytest.mark.parametrize(
    "word", ["", "Boron", "50", "B404XMTY", "2026-01-31", "Q4BHDHE4B3J0SKQ", "PARTICLEBORONSX", "e00fce68"]
)
def test_it_is_another_word(word):
    assert identify(word) is None


@pytest.mark.parametrize(
    ("word", "code", "says"),
    [
        (DEVICE_ID[:-1], "wrong_length", "23 hexadecimal digits"),
        (DEVICE_ID + "0", "wrong_length", "25 hexadecimal digits"),
        (DEVICE_ID.replace("0", "O", 1), "wrong_character", "'O' at position 2"),
        (DEVICE_ID.replace("e", "\u0435", 1), "wrong_character", "cyrillic small letter ie"),
        (f"0x{DEVICE_ID}", "separators", "characters in between"),
        ("e00fce68-12345678-9abcdef0", "separators", "characters in between"),
        ("1.23457E+23", "spreadsheet_number", "digits are lost"),
        ("8,93408E18", "spreadsheet_number", "digits are lost"),
        ("35316207111300", "wrong_length", "14 digits"),
        ("893407650000258", "imei_check_digit", "check digit"),
        ("0" * 24, "blank_device_id", "blank"),
        ("F" * 24, "blank_device_id", "blank"),
    ],
)
def test_it_is_damaged(word, code, says):
    found = identify(word)
    assert isinstance(found, Misread)
    assert found.code == code
    assert says in found.message
    assert found.hint


def test_a_letter_that_looks_like_a_digit_is_named():
    assert "was 0 meant?" in identify(DEVICE_ID.replace("0", "O", 1)).hint


def test_where_a_kind_is_expected_every_other_word_is_misread():
    assert identify("hello", KIND.DEVICE_ID).code == "not_device_id"
    assert identify(DEVICE_ID, KIND.ICCID).code == "another_kind"
    assert identify("Q4BHDHE4B3J0SKQ", KIND.SERIAL_NUMBER) == Identifier(KIND.SERIAL_NUMBER, "Q4BHDHE4B3J0SKQ")


@given(hex_digits, st.data())
def test_a_lost_or_added_character_is_never_another_device(device_id, data):
    at = data.draw(st.integers(0, 23))
    extra = data.draw(st.characters(min_codepoint=33, max_codepoint=0x4FF))
    for damaged in (device_id[:at] + device_id[at + 1 :], device_id[:at] + extra + device_id[at:]):
        found = identify(damaged)
        assert not isinstance(found, Identifier) or found.kind is not KIND.DEVICE_ID


@given(st.text(max_size=80), st.sampled_from([None, *KIND]))
def test_any_word_has_an_answer(word, expected):
    found = identify(word, expected)
    assert expected is None or found is not None
    if isinstance(found, Identifier):
        assert identify(found.value, found.kind) == found


def test_check_digits():
    assert has_check_digit("353162071113006")
    assert not has_check_digit("353162071113007")


class TestLabels:
    def test_serial_number_and_mobile_secret(self):
        label = parse_label(" P046AF12345ABCD q4Bhd!E4b3J0SKQ\r\n")
        assert label.identifier == Identifier(KIND.SERIAL_NUMBER, "P046AF12345ABCD")
        assert label.mobile_secret.reveal() == "q4Bhd!E4b3J0SKQ"
        assert "SKQ" not in repr(label)

    @pytest.mark.parametrize("text", ["PHHMAB123456ABC", "353162071113006"])
    def test_gen_2(self, text):
        assert parse_label(text).mobile_secret is None

    @pytest.mark.parametrize(
        "text",
        ["", "Q4BHDHE4B3J0SKQ", "P046AF12345ABCD SHORT", "P046AF12345ABCD Q4BHDHE4B3J0SKQ more", DEVICE_ID, "P011"],
    )
    def test_anything_else_is_refused_and_not_quoted(self, text):
        with pytest.raises(FormatError) as caught:
            parse_label(text)
        assert caught.value.code == "not_a_label"
        assert caught.value.hint
        assert not text or text not in str(caught.value)


def test_an_rtl872x_serial_number_ends_like_its_device_id():
    assert disagreement("0a10aced202194944a0abcde", "P046AF1234ABCDE") is not None
    assert disagreement("0a10aced202194944a0abcde", "P046AF1230ABCDE") is None
    assert disagreement(DEVICE_ID, "P044AF1234ABCDE") is None
