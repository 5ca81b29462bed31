"""TOML files written by people: a complaint names file, line and key, and suggests what was meant."""

from __future__ import annotations

import difflib
import hashlib
import math
import re
import tomllib
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

from particle_dev.errors import ConfigError

KeyPath: TypeAlias = tuple[str | int, ...]
"""Keys from the top of the file; a number selects a table of an array."""


class TomlFile:
    """A TOML file that was read: ``root``, ``sha256`` of its bytes. ConfigError: unreadable or no TOML."""

    def __init__(self, path: Path) -> None:
        self.path = path
        try:
            content = path.read_bytes()
        except OSError as error:
            hint = "check path and permissions"
            raise ConfigError(f"cannot read {path}: {error.strerror}", file=str(path), hint=hint) from error
        self.sha256 = hashlib.sha256(content).hexdigest()
        try:
            text = content.decode("utf-8")
        except UnicodeDecodeError as error:
            line = content.count(b"\n", 0, error.start) + 1
            message = f"{path}, line {line}: no UTF-8 text"
            raise ConfigError(message, file=str(path), line=line, hint="save the file as UTF-8") from error
        try:
            values = tomllib.loads(text)
        except tomllib.TOMLDecodeError as error:
            place = re.search(r"at line (\d+)", str(error))  # else: "at end of document"
            line = int(place[1]) if place else text.count("\n") + 1
            hint = 'a line is a table, [name], or key = value, with text in "quotes"'
            raise ConfigError(f"{path}, line {line}: {error}", file=str(path), line=line, hint=hint) from error
        self._text = text.splitlines()
        self._lines = _lines_of_keys(text)
        self.root = TomlTable(self, (), values)

    def place(self, key_path: KeyPath) -> str:
        """File and line of this key or table, or of the table that should hold it, in words."""
        return f"{self.path}, line {self._lines.get(self._known(key_path), 1)}"

    def error(self, key_path: KeyPath, message: str, *, item: int | None = None, hint: str = "") -> ConfigError:
        """A ConfigError at the line of this key, or of the table that should hold it; of the ``item``-th text of the
        list that it holds."""
        line = self._lines.get(self._known(key_path), 1)
        if item is not None:
            line = self._line_of_item(line, item)
        key = ".".join(str(part) for part in key_path if isinstance(part, str))
        return ConfigError(f"{self.path}, line {line}: {message}", file=str(self.path), line=line, key=key, hint=hint)

    def _known(self, key_path: KeyPath) -> KeyPath:
        while key_path and key_path not in self._lines:
            key_path = key_path[:-1]
        return key_path

    def _line_of_item(self, line: int, item: int) -> int:
        """Where the ``item``-th quoted text from ``line`` on stands, as far as a scan can tell."""
        for number, text in enumerate(self._text[line - 1 :], start=line):
            item -= len(_QUOTED.findall(text.split("#")[0]))
            if item < 0:
                return number
        return line


_QUOTED = re.compile(r"""\"[^\"]*\"|'[^']*'""")


@dataclass(frozen=True, slots=True)
class TomlTable:
    """One table. Every method raises ConfigError when the file does not hold what is asked for."""

    file: TomlFile
    key_path: KeyPath
    values: dict[str, Any]

    @property
    def place(self) -> str:
        """File and line, in words."""
        return self.file.place(self.key_path)

    @property
    def places(self) -> dict[str, str]:
        """File and line of each key, by its whole name: ``bench.options.clock``."""
        return {self._name(key): self.file.place((*self.key_path, key)) for key in self.values}

    def error(self, key: str | None, message: str, *, hint: str = "") -> ConfigError:
        """A ConfigError about a key of this table (None: about the table)."""
        return self.file.error(self.key_path if key is None else (*self.key_path, key), message, hint=hint)

    def item_error(self, key: str, item: int, message: str, *, hint: str = "") -> ConfigError:
        """A ConfigError about the ``item``-th text of a list."""
        return self.file.error((*self.key_path, key), message, item=item, hint=hint)

    def allow_only(self, known: Iterable[str]) -> None:
        """Refuse keys that are not ``known``."""
        known = sorted(known)
        for key in self.values:
            if key not in known:
                raise self.error(key, f"unknown key {key!r}", hint=suggestion(key, known))

    def text(self, key: str, default: str | None = None, *, words: Iterable[str] = ("…",)) -> str:
        """A string that is not empty; without ``default`` it is required, and the error names ``words`` for it."""
        value = self.values.get(key, default)
        if value is None:
            values = " or ".join(f'"{word}"' for word in words)
            raise self.error(key, f"{self._name(key)} is missing", hint=f"add {key} = {values}")
        if not isinstance(value, str) or not value:
            message = f"{self._name(key)} must be text in quotes, not {value!r}"
            if value == "":
                message = f"{self._name(key)} is empty"
            raise self.error(key, message, hint=f'write {key} = "…"')
        return value

    def seconds(self, key: str, default: float) -> float:
        """A positive, finite number of seconds."""
        value = self.values.get(key, default)
        if type(value) not in (int, float) or not math.isfinite(value) or value <= 0:
            message = f"{self._name(key)} must be a number of seconds above 0, not {value!r}"
            raise self.error(key, message, hint=f"write {key} = {default}, or leave it out for that")
        return float(value)

    def table(self, key: str, *, required: bool = True) -> TomlTable:
        """A table below this one; empty when it is neither there nor required."""
        value = self.values.get(key, None if required else {})
        if not isinstance(value, dict):
            message = f"table [{self._name(key)}] is {'missing' if value is None else 'no table'}"
            raise self.error(key, message, hint=f"add a line [{self._name(key)}] and its keys below")
        return TomlTable(self.file, (*self.key_path, key), value)

    def tables(self, key: str) -> tuple[TomlTable, ...]:
        """An array of tables; empty when absent."""
        value = self.values.get(key, [])
        if not isinstance(value, list) or not all(isinstance(item, dict) for item in value):
            message = f"{key!r} must be written as [[{self._name(key)}]] tables"
            raise self.error(key, message, hint=f"put [[{self._name(key)}]], with double brackets, before each")
        return tuple(TomlTable(self.file, (*self.key_path, key, i), item) for i, item in enumerate(value))

    def _name(self, key: str) -> str:
        return ".".join([*(part for part in self.key_path if isinstance(part, str)), key])


def suggestion(word: str, known: Iterable[str]) -> str:
    """A hint: the known word that was probably meant, or all of them."""
    known = sorted(known)
    close = difflib.get_close_matches(word, known, n=1)
    return f"did you mean {close[0]!r}?" if close else f"known are {', '.join(known)}"


_HEADER = re.compile(r"\s*(\[\[?)([^\[\]]+)\]")
_KEY = re.compile(r"""\s*((?:[\w-]+|"[^"]*"|'[^']*')(?:\s*\.\s*(?:[\w-]+|"[^"]*"|'[^']*'))*)\s*=""")


def _lines_of_keys(text: str) -> dict[KeyPath, int]:
    """Line of each table and key as far as a scan can tell; keys of inline tables count as their table's."""
    lines: dict[KeyPath, int] = {}
    table: KeyPath = ()
    sizes: dict[KeyPath, int] = {}
    for number, line in enumerate(text.splitlines(), start=1):
        if header := _HEADER.match(line):
            table = _resolve(_split_key(header[2]), sizes)
            if header[1] == "[[":
                sizes[table] = sizes.get(table, 0) + 1
                table = (*table, sizes[table] - 1)
            for end in range(1, len(table) + 1):
                lines.setdefault(table[:end], number)
        elif key := _KEY.match(line):
            lines.setdefault((*table, *_split_key(key[1])), number)
    return lines


def _split_key(dotted: str) -> tuple[str, ...]:
    return tuple(a or b or c for a, b, c in re.findall(r"""([\w-]+)|"([^"]*)"|'([^']*)'""", dotted))


def _resolve(parts: tuple[str, ...], sizes: dict[KeyPath, int]) -> KeyPath:
    """Full path of a header: below an array of tables it speaks of the latest one."""
    path: KeyPath = ()
    for i, part in enumerate(parts):
        path = (*path, part)
        if i < len(parts) - 1 and path in sizes:
            path = (*path, sizes[path] - 1)
    return path
