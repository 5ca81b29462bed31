"""What a release tells operators in its own words: files ``texts/LANGUAGE.toml``, such as ``texts/de.toml``::

    title = "Sensor 3, line 2"                     # each line is optional
    notes = ["Wear gloves.", "Tray of 24."]        # shown above the slots

    [instructions]                                 # by the ids of station/instructions.py
    insert = "Insert with the antenna to the left."

    [pictures]                                     # files beside this one, .png or .jpg
    insert = "insert.png"

A language that has no file gets the English one's words, then the station's own.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from particle_dev.station.instructions import INSTRUCTIONS
from particle_dev.toml_file import TomlFile, TomlTable, suggestion

LANGUAGES = ("de", "en", "es", "zh")
MOST_NOTES = 5
LONGEST_TEXT = 160
"""Characters: what can be read from two metres."""
_PICTURE_ENDINGS = (".jpeg", ".jpg", ".png")
_FALLBACK = "en"


@dataclass(frozen=True, slots=True)
class OperatorTexts:
    """Those of one language. ``instructions`` are words by the id of an instruction, ``pictures`` files."""

    title: str = ""
    notes: tuple[str, ...] = ()
    instructions: Mapping[str, str] = field(default_factory=dict)
    pictures: Mapping[str, Path] = field(default_factory=dict)


def read_operator_texts(folder: Path) -> dict[str, OperatorTexts]:
    """By language; empty when there is no such folder. Raises ConfigError with file and line."""
    found = {}
    for path in sorted(folder.glob("*.toml")):
        file = TomlFile(path)
        if path.stem not in LANGUAGES:
            raise file.error((), f"{path.stem!r} is no language of the page", hint=suggestion(path.stem, LANGUAGES))
        found[path.stem] = _texts(file.root, folder)
    return found


def texts_for(texts: Mapping[str, OperatorTexts], language: str) -> OperatorTexts:
    """Those of a language, or else the English ones."""
    return texts.get(language) or texts.get(_FALLBACK) or OperatorTexts()


def _texts(root: TomlTable, folder: Path) -> OperatorTexts:
    root.allow_only(["title", "notes", "instructions", "pictures"])
    notes = root.values.get("notes", [])
    if not isinstance(notes, list) or not all(isinstance(note, str) and note for note in notes):
        raise root.error("notes", "notes must be a list of texts", hint='such as notes = ["Wear gloves."]')
    if len(notes) > MOST_NOTES:
        raise root.error("notes", f"{len(notes)} notes", hint=f"at most {MOST_NOTES}: all are on the screen at once")
    for index, note in enumerate(notes):
        if len(note) > LONGEST_TEXT:
            raise root.item_error("notes", index, f"{len(note)} characters", hint=f"at most {LONGEST_TEXT}")
    title = root.text("title") if "title" in root.values else ""
    if len(title) > LONGEST_TEXT:
        raise root.error("title", f"{len(title)} characters", hint=f"at most {LONGEST_TEXT}")
    return OperatorTexts(
        title,
        tuple(notes),
        _instructions(root.table("instructions", required=False)),
        _pictures(root.table("pictures", required=False), folder),
    )


def _instructions(table: TomlTable) -> dict[str, str]:
    table.allow_only(INSTRUCTIONS)
    texts = {key: table.text(key) for key in table.values}
    for key, text in texts.items():
        if len(text) > LONGEST_TEXT:
            raise table.error(key, f"{len(text)} characters", hint=f"at most {LONGEST_TEXT}")
    return texts


def _pictures(table: TomlTable, folder: Path) -> dict[str, Path]:
    table.allow_only(INSTRUCTIONS)
    pictures = {}
    for key in table.values:
        name = table.text(key)
        path = folder / name
        if Path(name).name != name or path.suffix.lower() not in _PICTURE_ENDINGS:
            raise table.error(key, f"{name!r} is no picture beside this file", hint="a plain name, .png or .jpg")
        if not path.is_file():
            raise table.error(key, f"there is no {path}", hint="give the picture to `release make --texts`, too")
        pictures[key] = path
    return pictures
