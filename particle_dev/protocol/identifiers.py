"""The four names of a device that people list, scan and mail: Device ID, serial number, IMEI, ICCID.

Reads one word at a time and never mends it: a digit that was guessed would bill somebody else's device.

Source: device-os v6.2.0 hal/inc/deviceid_hal.h (Device ID 12 bytes, serial number and mobile secret 15 characters);
particle-iot/docs src/content/hardware/best-practices/serial-number.md (label); ITU-T E.118 (ICCID), 3GPP TS 23.003
6.2 (IMEI), both with the check digit of ISO/IEC 7812-1.
"""

from __future__ import annotations

import re
import unicodedata
from enum import StrEnum
from typing import NamedTuple

from particle_dev.catalog.skus import platform_name_by_serial_number
from particle_dev.errors import FormatError
from particle_dev.protocol.secret import Secret

MAX_WORD = 64
"""Characters; longer words are no identifiers."""
_DEVICE_ID = re.compile(r"[0-9a-f]{24}", re.IGNORECASE | re.ASCII)
_SERIAL_NUMBER = re.compile(r"[A-Z0-9]{15}", re.IGNORECASE | re.ASCII)
_NEW_PREFIX = re.compile(r"P[0-9]{3}", re.IGNORECASE | re.ASCII)
"""Prefixes of all SKUs since 2019 look so, also those that are too new for the catalogue."""
_IMEI = re.compile(r"[0-9]{15}", re.ASCII)
_ICCID = re.compile(r"(89[0-9]{17,18})F?", re.IGNORECASE | re.ASCII)
"""A SIM stores 19 digits with an F behind them."""
_SPREADSHEET_NUMBER = re.compile(r"[0-9](?:[.,][0-9]+)?E\+?[0-9]{1,2}", re.IGNORECASE | re.ASCII)
LABEL_SECRET = re.compile(r"[!-~]{15}", re.ASCII)
"""A mobile secret, as a label has it."""
_INVISIBLE = dict.fromkeys((0x00AD, 0x200B, 0x200C, 0x200D, 0x2060, 0xFEFF))
_LOOK_ALIKES = {"o": "0", "i": "1", "l": "1", "s": "5", "z": "2", "g": "6", "q": "9"}
_BLANK_IDS = ("0" * 24, "f" * 24)


def is_device_id(text: str) -> bool:
    """True for 24 lower-case hex digits, the form in which boards and cloud give every Device ID."""
    return text == text.lower() and _DEVICE_ID.fullmatch(text) is not None


class IdentifierKind(StrEnum):
    """What kind of name a word is. Values are the fields of a device's record in the cloud."""

    DEVICE_ID = "device_id"
    SERIAL_NUMBER = "serial_number"
    IMEI = "imei"
    ICCID = "iccid"

    @property
    def noun(self) -> str:
        """As people write it."""
        return _TITLES[self]


_TITLES = {
    IdentifierKind.DEVICE_ID: "Device ID",
    IdentifierKind.SERIAL_NUMBER: "serial number",
    IdentifierKind.IMEI: "IMEI",
    IdentifierKind.ICCID: "ICCID",
}


class Identifier(NamedTuple):
    """One name: Device IDs in lower case, serial numbers in upper case, numbers without padding."""

    kind: IdentifierKind
    value: str


class Misread(NamedTuple):
    """A word that is nearly an identifier. ``code`` is stable; the message quotes no word that could be a secret."""

    code: str
    message: str
    hint: str


class Label(NamedTuple):
    """What the two-dimensional code on a device or its box holds. Gen 2 labels have no mobile secret, the oldest
    Electrons an IMEI."""

    identifier: Identifier
    mobile_secret: Secret[str] | None


def visible(text: str) -> str:
    """``text`` without what mail programs and spreadsheets put in between: invisible characters, wide digits, BOM."""
    return text if text.isascii() else unicodedata.normalize("NFKC", text.translate(_INVISIBLE))


def identify(word: str, expected: IdentifierKind | None = None) -> Identifier | Misread | None:
    """The identifier that a word is; Misread for one that is damaged; None for any other word.

    ``expected`` says what must stand here, so that every word that is not one is Misread. Any 15 letters and digits
    can be a serial number then; else only those with a prefix that is known, since mobile secrets look alike.
    """
    found = _identifier(word, expected)
    if expected is None or (isinstance(found, Identifier) and found.kind is expected):
        return found
    if isinstance(found, Identifier):
        message = f"this is a {found.kind.noun} where a {expected.noun} belongs"
        return Misread("another_kind", message, "look whether columns were shifted")
    if found is not None:
        return found
    wanted = _WANTED[expected]
    return Misread(f"not_{expected}", f"this is no {expected.noun}, which has {wanted}", _TAKE_ORIGINAL)


_TAKE_ORIGINAL = "take it from the original file, from the label or from the device"
_WANTED = {
    IdentifierKind.DEVICE_ID: "24 hexadecimal digits",
    IdentifierKind.SERIAL_NUMBER: "15 letters and digits",
    IdentifierKind.IMEI: "15 digits, the last one a check digit",
    IdentifierKind.ICCID: "19 or 20 digits that begin with 89",
}


def _identifier(word: str, expected: IdentifierKind | None) -> Identifier | Misread | None:
    if _DEVICE_ID.fullmatch(word):
        lower = word.lower()
        if lower in _BLANK_IDS:
            message = f"the Device ID is blank ({lower[0]} in every place)"
            return Misread("blank_device_id", message, "whatever read it did not reach the chip: read it again")
        return Identifier(IdentifierKind.DEVICE_ID, lower)
    if iccid := _ICCID.fullmatch(word):
        return Identifier(IdentifierKind.ICCID, iccid[1])
    if _IMEI.fullmatch(word):
        if has_check_digit(word):
            return Identifier(IdentifierKind.IMEI, word)
        return Misread("imei_check_digit", f"IMEI {word} has a wrong check digit", _TAKE_ORIGINAL)
    if _SERIAL_NUMBER.fullmatch(word):
        if has_known_prefix(word) or expected is IdentifierKind.SERIAL_NUMBER:
            return Identifier(IdentifierKind.SERIAL_NUMBER, word.upper())
        return None
    return _misread(word)


def has_known_prefix(word: str) -> bool:
    """Whether a word begins as the serial numbers of some product do."""
    return platform_name_by_serial_number(word) is not None or _NEW_PREFIX.match(word) is not None


def _misread(word: str) -> Misread | None:
    """What a damaged identifier was, as far as its shape tells."""
    if len(word) > MAX_WORD:
        return None
    if _SPREADSHEET_NUMBER.fullmatch(word):
        message = f"{word} is what a spreadsheet makes of a long number; its digits are lost"
        return Misread("spreadsheet_number", message, "take the original file, not one that a spreadsheet saved")
    if word.isascii() and word.isdigit() and 14 <= len(word) <= 25:
        message = f"{word} has {len(word)} digits; an IMEI has 15, an ICCID 19 or 20 and begins with 89, a Device ID 24"
        return Misread("wrong_length", message, _TAKE_ORIGINAL)
    packed = re.sub(r"[-:._]|^0x", "", word)
    if packed != word and _DEVICE_ID.fullmatch(packed):
        return Misread("separators", "the Device ID has characters in between", f"write it as {packed.lower()}")
    hexadecimal = sum(c in "0123456789abcdefABCDEF" for c in word)
    if not 18 <= len(word) <= 30 or hexadecimal < 0.75 * len(word):
        return None
    strangers = [(n, c) for n, c in enumerate(word, 1) if c not in "0123456789abcdefABCDEF"]
    if not strangers:
        message = f"{word} has {len(word)} hexadecimal digits; a Device ID has 24"
        return Misread("wrong_length", message, _TAKE_ORIGINAL)
    told = ", ".join(f"{_name(c)} at position {n}" for n, c in strangers[:3])
    also = f"; and it has {len(word)} characters, not 24" if len(word) != 24 else ""
    meant = next((f"; was {_LOOK_ALIKES[c.lower()]} meant?" for _, c in strangers if c.lower() in _LOOK_ALIKES), "")
    return Misread("wrong_character", f"{told} is no hexadecimal digit{also}", f"{_TAKE_ORIGINAL}{meant}")


def _name(character: str) -> str:
    """A character so that one sees which it is, also when it looks like another."""
    if character.isascii():
        return repr(character)
    return f"U+{ord(character):04X} ({unicodedata.name(character, 'no name').lower()})"


def has_check_digit(number: str) -> bool:
    """Whether the last digit of an IMEI or ICCID is the check digit of the others (Luhn). Not every operator's ICCIDs
    have one."""
    total = 0
    for place, digit in enumerate(reversed(number)):
        value = int(digit) << (place & 1)
        total += value - 9 if value > 9 else value
    return total % 10 == 0


def parse_label(text: str) -> Label:
    """What a scanner read off a label: serial number, or serial number, a space and the mobile secret.

    FormatError (``code`` not_a_label), which quotes nothing: part of a label can be the secret.
    """
    words = visible(text).split()
    first = identify(words[0]) if words else None
    labelled = isinstance(first, Identifier) and first.kind in (IdentifierKind.SERIAL_NUMBER, IdentifierKind.IMEI)
    if not labelled or len(words) > 2 or (len(words) == 2 and not LABEL_SECRET.fullmatch(words[1])):
        lengths = " and ".join(str(len(word)) for word in words[:4]) or "no"
        raise FormatError(
            f"this is no label of a Particle device: {lengths} characters",
            code="not_a_label",
            hint="scan the two-dimensional code on the device; codes on kits' boxes hold something else",
        )
    assert isinstance(first, Identifier)
    return Label(first, Secret(words[1]) if len(words) == 2 else None)


def disagreement(device_id: str, serial_number: str) -> str | None:
    """Why a Device ID and a serial number cannot be of one board, or None.

    The last six characters of an RTL872x board's serial number are the last three bytes of its MAC address, which end
    its Device ID too. Of other boards nothing is known.
    Source: device-os v6.2.0 hal/src/rtl872x/deviceid_hal.cpp.
    """
    if device_id.startswith("0a10aced2021") and device_id[-6:] != serial_number[-6:].lower():
        return f"serial number {serial_number} ends differently from Device ID {device_id}"
    return None
