"""Order files in any shape: mailed lists of Device IDs or ICCIDs, sticker scans, what ``list`` and ``id`` print.

Every line becomes an entry, a problem that names file, line and remedy, or a note. Nothing is guessed, and nothing of a
mobile secret is kept.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from particle_dev.catalog.skus import sku_by_name
from particle_dev.cloud.order_table import Column, OtherColumn, Table, find_table
from particle_dev.errors import FormatError
from particle_dev.protocol.identifiers import (
    LABEL_SECRET,
    Identifier,
    IdentifierKind,
    Misread,
    disagreement,
    has_known_prefix,
    identify,
    visible,
)

MAX_FILE_BYTES = 64 << 20
"""An order of 100 000 boards is 2.5 MB; what is much larger is another file."""
_OTHER_FORMATS = {
    b"PK\x03\x04": "a spreadsheet or archive",
    b"\xd0\xcf\x11\xe0": "an old spreadsheet",
    b"%PDF": "a PDF",
    b"\x1f\x8b": "an archive",
}
_SHORT_NUMBER = re.compile(r"[0-9a-f]{6,14}", re.IGNORECASE | re.ASCII)
"""What stands alone in a line and looks so was longer once."""
_NEAR_SERIAL_NUMBER = re.compile(r"[A-Z0-9]{5,20}", re.IGNORECASE | re.ASCII)
_WORDS = re.compile(r"[\s:=<>()\[\]'\"]+")


class OrderEntry(NamedTuple):
    """One device, or one SIM card, as one line of a file names it; None for what the line does not tell."""

    file: str
    line: int
    device_id: str | None = None
    serial_number: str | None = None
    imei: str | None = None
    iccid: str | None = None
    sku: str | None = None

    @property
    def asked(self) -> Identifier:
        """The name under which the device is known best: Device ID, serial number, IMEI, then ICCID."""
        for kind in IdentifierKind:
            value = getattr(self, kind)
            if value is not None:
                return Identifier(kind, value)
        raise AssertionError("an entry has an identifier")

    @property
    def place(self) -> str:
        """File and line, for messages."""
        return f"{self.file}, line {self.line}"


class LineProblem(NamedTuple):
    """Why a line cannot be imported. ``code`` is stable; ``hint`` says what to do."""

    file: str
    line: int
    code: str
    message: str
    hint: str


class LineNote(NamedTuple):
    """What is good to know of a line that does no harm."""

    file: str
    line: int
    code: str
    message: str


@dataclass(frozen=True, slots=True)
class Order:
    """What one or several files ask for: each device once, in the order of the files."""

    entries: tuple[OrderEntry, ...]
    problems: tuple[LineProblem, ...]
    notes: tuple[LineNote, ...]
    duplicates: int = 0
    """Lines that repeat a device; each is a note."""


def read_order(files: Iterable[tuple[str, bytes]]) -> Order:
    """The devices that files (name and contents) ask for.

    FormatError (``file``): a file is empty, too large or of another format. Problems of single lines are returned.
    """
    reader = _OrderReader()
    for name, content in files:
        reader.read(name, content)
    return reader.order()


def _text_of(name: str, content: bytes) -> str:
    if len(content) > MAX_FILE_BYTES:
        raise _unusable(name, "too_large", f"{len(content)} bytes are no list of devices", "give the list alone")
    for magic, what in _OTHER_FORMATS.items():
        if content.startswith(magic):
            raise _unusable(name, "not_text", f"this is {what}, not text", "save the list as CSV or text")
    if content[:2] in (b"\xff\xfe", b"\xfe\xff"):
        text = content.decode("utf-16", "replace")
    elif content[1:20:2].count(0) > 5 and content[0:20:2].count(0) == 0:
        text = content.decode("utf-16-le", "replace")
    else:
        # Identifiers are ASCII; a description in another encoding must not stand in their way.
        try:
            text = content.decode("utf-8-sig")
        except UnicodeDecodeError:
            text = content.decode("latin-1")
    if "\0" in text:
        raise _unusable(name, "not_text", "the file holds bytes that are no text", "give a list as text or CSV")
    if not text.strip():
        raise _unusable(name, "empty", "the file is empty", "give the list that came with the order")
    return text


def _unusable(name: str, code: str, message: str, hint: str) -> FormatError:
    error = FormatError(message, code=code, hint=hint)
    error.name_file(name)
    return error


@dataclass(slots=True)
class _OrderReader:
    """Collects entries over several files. ``seen`` has the number of the entry for each identifier; an entry that
    turned out to be another one's device is None."""

    entries: list[OrderEntry | None] = field(default_factory=list)
    problems: list[LineProblem] = field(default_factory=list)
    notes: list[LineNote] = field(default_factory=list)
    duplicates: int = 0
    seen: dict[str, int] = field(default_factory=dict)

    def order(self) -> Order:
        entries = tuple(entry for entry in self.entries if entry is not None)
        return Order(entries, tuple(self.problems), tuple(self.notes), self.duplicates)

    def read(self, name: str, content: bytes) -> None:
        text = _text_of(name, content)
        before = len(self.entries) + len(self.problems) + self.duplicates
        if text.lstrip().startswith(("{", "[")):
            for line, values in _json_objects(name, text):
                if isinstance(values, Misread):
                    self._problem(name, line, values.code, values.message, values.hint)
                else:
                    self._take(name, line, values)
        else:
            self._read_lines(name, visible(text))
        if len(self.entries) + len(self.problems) + self.duplicates == before:
            message = "no line names a device"
            raise _unusable(name, "no_devices", message, "give a list of Device IDs, serial numbers, IMEIs or ICCIDs")

    def _read_lines(self, name: str, text: str) -> None:
        lines = re.split(r"\r\n|\r|\n|\u2028|\x0b|\x0c", text)
        table = find_table(lines)
        heading_passed = not table.heading
        for number, line in enumerate(lines, 1):
            if not line.strip() or line.lstrip().startswith("#"):
                continue
            cells = table.cells(line)
            if cells is None:
                self._problem(name, number, "quotation_marks", "quotation marks do not pair up", "mend this line")
            elif table.is_heading(cells):
                heading_passed = True
            elif table.delimiter is not None and table.columns and heading_passed:
                self._read_row(name, number, table, cells)
            else:
                expected = table.columns[0] if table.columns and heading_passed else None
                in_table = heading_passed and (table.delimiter is not None or expected is not None)
                self._read_words(name, number, cells, expected, in_table=in_table)

    def _read_row(self, name: str, line: int, table: Table, cells: Sequence[str]) -> None:
        """A line under a heading: each column holds what the heading says."""
        values: list[Identifier] = []
        sku = None
        if any(cells[len(table.columns) :]):
            message = f"the line has {len(cells)} columns, the heading {len(table.columns)}"
            self._problem(name, line, "too_many_columns", message, "mend this line or the heading")
            return
        for column, cell in zip(table.columns, cells, strict=False):
            if column is OtherColumn.SKU:
                sku = cell or None
            elif isinstance(column, IdentifierKind) and cell:
                found = identify(_without_secret(cell, column), column)
                if isinstance(found, Identifier):
                    values.append(found)
                elif found is not None:
                    self._problem(name, line, found.code, found.message, found.hint)
                    return
        if values:
            self._take(name, line, values, sku)
        elif any(cells):
            self._problem(name, line, "no_identifier", "the columns for identifiers are empty", _COMPLETE_LINE)

    def _read_words(
        self, name: str, line: int, cells: Sequence[str], expected: Column | None, *, in_table: bool
    ) -> None:
        """A line whose words tell by their shape what they are. ``expected``: what a word that stands alone must be."""
        words = tuple(_words(cells))
        kind = expected if isinstance(expected, IdentifierKind) and len(words) == 1 else None
        found = [identify(word, kind) for word in words]
        values = [value for value in found if isinstance(value, Identifier)]
        misread = next((value for value in found if isinstance(value, Misread)), None)
        if misread is not None:
            self._problem(name, line, misread.code, misread.message, misread.hint)
        elif values:
            self._take(name, line, values)
        elif len(words) == 1 and _SHORT_NUMBER.fullmatch(words[0]):
            message = f"{words[0]} is no whole identifier: {len(words[0])} digits"
            self._problem(name, line, "wrong_length", message, _COMPLETE_LINE)
        elif len(words) == 1 and _is_part_of_serial_number(words[0]):
            message = f"{words[0]} begins as a serial number, and has {len(words[0])} characters, not 15"
            self._problem(name, line, "wrong_length", message, _COMPLETE_LINE)
        elif in_table or any(len(word) == 15 for word in words):
            message = "the line has no Device ID, serial number, IMEI or ICCID"
            self._problem(name, line, "no_identifier", message, _COMPLETE_LINE)
        else:
            self.notes.append(LineNote(name, line, "text", "text without an identifier"))

    def _problem(self, file: str, line: int, code: str, message: str, hint: str) -> None:
        self.problems.append(LineProblem(file, line, code, message, hint))

    def _take(self, name: str, line: int, values: Sequence[Identifier], sku: str | None = None) -> None:
        """Entries of one line: several names of one device, or several devices under one kind of name."""
        kinds = {value.kind for value in values}
        prefixes = {value.value[:4] for value in values if value.kind is IdentifierKind.SERIAL_NUMBER}
        if len(prefixes) > 1:
            # The second one can be a mobile secret that looks like a serial number.
            message = "the line has several words that look like serial numbers of different products"
            self._problem(
                name, line, "several_serial_numbers", message, "give each device a line, and columns a heading"
            )
        elif len(kinds) == 1:
            for value in values:
                self._add(_entry(name, line, [value], sku))
        elif len(values) > len(kinds):
            message = "the line has several names of the same kind beside others"
            self._problem(name, line, "several_devices", message, "give each device a line of its own")
        else:
            self._add(_entry(name, line, values, sku))

    def _add(self, entry: OrderEntry) -> None:
        if entry.device_id and entry.serial_number:
            reason = disagreement(entry.device_id, entry.serial_number)
            if reason:
                hint = "scan the label of this board again"
                self._problem(entry.file, entry.line, "names_of_two_devices", reason, hint)
                return
        names = [value for kind in IdentifierKind if (value := getattr(entry, kind)) is not None]
        known = sorted({self.seen[name] for name in names if name in self.seen})
        merged: OrderEntry | None = entry
        for number in reversed(known):
            earlier = self.entries[number]
            assert earlier is not None and merged is not None
            merged = _merged(earlier, merged)
            if merged is None:
                other = f"line {earlier.line}" if earlier.file == entry.file else earlier.place
                message = f"the line contradicts {other}: one of its names stands beside different ones there"
                hint = "find out which line is right and remove the other"
                self._problem(entry.file, entry.line, "contradiction", message, hint)
                return
        assert merged is not None
        for number in known[1:]:
            self.entries[number] = None
        if known:
            self.duplicates += 1
            self.entries[known[0]] = merged
            other = f"line {merged.line}" if merged.file == entry.file else merged.place
            self.notes.append(LineNote(entry.file, entry.line, "duplicate", f"the same device as {other}"))
        else:
            self.entries.append(merged)
        self._remember(merged, known[0] if known else len(self.entries) - 1)

    def _remember(self, entry: OrderEntry, number: int) -> None:
        for kind in IdentifierKind:
            value = getattr(entry, kind)
            if value is not None:
                self.seen[value] = number


def _is_part_of_serial_number(word: str) -> bool:
    """Whether a word was longer or shorter once: it has the beginning of a serial number, and is no SKU."""
    is_one = _NEAR_SERIAL_NUMBER.fullmatch(word) and len(word) != 15 and sku_by_name(word) is None
    return bool(is_one) and has_known_prefix(word)


_COMPLETE_LINE = "complete the line or remove it"


def _entry(file: str, line: int, values: Sequence[Identifier], sku: str | None) -> OrderEntry:
    return OrderEntry(file, line, **{value.kind.value: value.value for value in values}, sku=sku)


def _merged(first: OrderEntry, later: OrderEntry) -> OrderEntry | None:
    """What both lines tell of one device; None when they contradict each other."""
    together = {}
    for name in (*IdentifierKind, "sku"):
        one, other = getattr(first, name), getattr(later, name)
        if name != "sku" and one is not None and other is not None and one != other:
            return None
        together[str(name)] = one if one is not None else other
    return first._replace(**together)


def _without_secret(cell: str, column: Column) -> str:
    """A scanned label in the column of serial numbers has the mobile secret behind a space."""
    serial_number, _, rest = cell.partition(" ")
    is_label = column is IdentifierKind.SERIAL_NUMBER and LABEL_SECRET.fullmatch(rest.strip())
    return serial_number if is_label else cell


def _words(cells: Sequence[str]) -> Iterator[str]:
    """Words that can be identifiers. The mobile secret behind a serial number is none; nor is what stands before a
    colon, as in ``Device ID: e00f…``."""
    for cell in [" ".join(cells)] if len(cells) == 2 else cells:
        first, _, rest = cell.partition(" ")
        yield from [first] if _is_label(first, rest.strip()) else filter(None, _WORDS.split(cell))


def _is_label(first: str, rest: str) -> bool:
    """Whether two words are a serial number and its mobile secret, not two devices or two names of one."""
    if not LABEL_SECRET.fullmatch(rest) or isinstance(identify(first), Misread):
        return False
    found, second = identify(first), identify(rest)
    if not isinstance(found, Identifier) or found.kind not in (IdentifierKind.SERIAL_NUMBER, IdentifierKind.IMEI):
        return False
    if not isinstance(second, Identifier):
        return True
    # Chance makes one secret of a thousand look like some serial number, and none like an IMEI or one of this order.
    return second.kind is IdentifierKind.SERIAL_NUMBER and first[:4].upper() != rest[:4].upper()


def _json_objects(name: str, text: str) -> Iterator[tuple[int, list[Identifier] | Misread]]:
    """Line and identifiers of each object with a ``device_id``, in a JSON document or in JSON lines."""
    decoder = json.JSONDecoder()
    at, line = 0, 1
    while at < len(text):
        if text[at].isspace():
            line += text[at] == "\n"
            at += 1
            continue
        try:
            value, end = decoder.raw_decode(text, at)
            items = list(_objects(value))
        except RecursionError:
            raise _unusable(name, "bad_json", f"line {line}: it is nested too deep", "save the output whole") from None
        except json.JSONDecodeError as error:
            message = f"line {line + text.count(chr(10), at, error.pos)}: this is no JSON: {error.msg}"
            raise _unusable(name, "bad_json", message, "save the output whole") from None
        for item in items:
            yield line, _identifiers(item)
        line += text.count("\n", at, end)
        at = end


def _objects(value: Any) -> Iterator[dict[str, Any]]:
    """Objects that name a device, at any depth: ours have ``device_id``, the cloud's ``id``."""
    if isinstance(value, dict):
        if "device_id" in value or isinstance(value.get("id"), str):
            yield value
        else:
            for inner in value.values():
                yield from _objects(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from _objects(inner)


def _identifiers(item: dict[str, Any]) -> list[Identifier] | Misread:
    told = {"device_id": item.get("id"), **item}
    values = []
    for kind in IdentifierKind:
        word = told.get(kind)
        if word is None or word == "":
            continue
        found = identify(word, kind) if isinstance(word, str) else None
        if isinstance(found, Identifier):
            values.append(found)
        else:
            return found or Misread(f"not_{kind}", f"{kind} is no text", "save the output as the command printed it")
    hint = "read the board again: a board in use by another program, or in DFU mode with an old bootloader, tells none"
    return values or Misread("no_identifier", "the object has no Device ID", hint)
