"""Rows in SQLite: a file in WAL mode, or memory.

Not SQLAlchemy: rows are written several times per simulated radio event, and a bulk import has 100 000 of them.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import fields
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

from particle_harness.cloud.tables import ALL, Row

RowT = TypeVar("RowT", bound=Row)
_TYPES = {"str": "TEXT", "int": "INTEGER", "bool": "INTEGER", "float": "REAL", "bytes": "BLOB"}


class Column(NamedTuple):
    """A field of a table."""

    name: str
    sql_type: str
    is_json: bool
    is_bool: bool


class Store:
    """All tables. One connection; the caller holds the cloud's lock. Raises ValueError for another version's file."""

    def __init__(self, path: Path | None = None) -> None:
        self._db = sqlite3.connect(path or ":memory:", check_same_thread=False, isolation_level=None)
        self._db.execute("PRAGMA journal_mode = WAL")
        self._db.execute("PRAGMA synchronous = NORMAL")
        for table in ALL:
            columns = ", ".join(f'"{c.name}" {c.sql_type}' for c in columns_of(table))
            key = columns_of(table)[0].name
            known = [row[1] for row in self._db.execute(f"PRAGMA table_info({table.TABLE})")]
            if known and known != [c.name for c in columns_of(table)]:
                self._db.close()
                raise ValueError(f"{path} is of another version of the simulated cloud")
            self._db.execute(f'CREATE TABLE IF NOT EXISTS {table.TABLE} ({columns}, PRIMARY KEY ("{key}"))')
            for name in table.INDEXED:
                self._db.execute(f'CREATE INDEX IF NOT EXISTS {table.TABLE}_{name} ON {table.TABLE} ("{name}")')

    def close(self) -> None:
        """Close the file."""
        self._db.close()

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """All of it, or nothing when something is raised. One inside another belongs to the outer."""
        if self._db.in_transaction:
            yield
            return
        self._db.execute("BEGIN")
        try:
            yield
        except BaseException:
            self._db.execute("ROLLBACK")
            raise
        self._db.execute("COMMIT")

    def put(self, *rows: Row) -> None:
        """Insert, or replace what has the same key."""
        for row in rows:
            self.put_many(type(row), (row,))

    def put_many(self, table: type[Row], rows: Iterable[Row]) -> None:
        """Rows of one table in one go."""
        columns = columns_of(table)
        marks = ", ".join("?" * len(columns))
        with self.transaction():
            self._db.executemany(
                f"INSERT OR REPLACE INTO {table.TABLE} VALUES ({marks})",
                ([_cell(getattr(row, c.name), c) for c in columns] for row in rows),
            )

    def get(self, table: type[RowT], key: str | int) -> RowT | None:
        """The row of that key."""
        return next(self.find(table, **{columns_of(table)[0].name: key}), None)

    def find(self, table: type[RowT], **equal: str | int) -> Iterator[RowT]:
        """Rows whose columns have these values, in the order of their keys."""
        where = " AND ".join(f'"{name}" = ?' for name in equal)
        return self.select(table, where or "1", tuple(equal.values()))

    def select(
        self,
        table: type[RowT],
        where: str,
        values: Iterable[Any] = (),
        *,
        order: str = "",
        limit: int = -1,
        offset: int = 0,
    ) -> Iterator[RowT]:
        """Rows for which an SQL condition of our own making holds."""
        columns = columns_of(table)
        order = order or f'"{columns[0].name}"'
        rows = self._db.execute(
            f"SELECT * FROM {table.TABLE} WHERE {where} ORDER BY {order} LIMIT {limit} OFFSET {offset}", tuple(values)
        ).fetchall()
        return (table(**{c.name: _value(cell, c) for c, cell in zip(columns, row, strict=True)}) for row in rows)

    def count(self, table: type[Row], where: str = "1", values: Iterable[Any] = ()) -> int:
        """How many rows there are."""
        row = self._db.execute(f"SELECT COUNT(*) FROM {table.TABLE} WHERE {where}", tuple(values)).fetchone()
        return int(row[0])

    def next_number(self, table: type[Row]) -> int:
        """One more than the highest numeric key."""
        key = columns_of(table)[0].name
        row = self._db.execute(f'SELECT MAX("{key}") FROM {table.TABLE}').fetchone()
        return int(row[0] or 0) + 1

    def next_serial(self) -> int:
        """A number that was never given before, also not by a former process."""
        row = self._db.execute("PRAGMA user_version").fetchone()
        number = int(row[0]) + 1
        self._db.execute(f"PRAGMA user_version = {number}")
        return number

    def delete(self, row: Row) -> None:
        """Take a row out."""
        key = columns_of(type(row))[0].name
        self._db.execute(f'DELETE FROM {row.TABLE} WHERE "{key}" = ?', (getattr(row, key),))


_COLUMNS: dict[str, tuple[Column, ...]] = {}


def columns_of(table: type[Row]) -> tuple[Column, ...]:
    """Columns of a table, the key first."""
    if table.TABLE not in _COLUMNS:
        _COLUMNS[table.TABLE] = tuple(_columns(table))
    return _COLUMNS[table.TABLE]


def _columns(table: type[Row]) -> list[Column]:
    columns = []
    for item in fields(table):
        base = str(item.type).removesuffix(" | None")
        is_json = base not in _TYPES
        columns.append(Column(item.name, _TYPES.get(base, "TEXT"), is_json, base == "bool"))
    return columns


def _cell(value: Any, column: Column) -> Any:
    return json.dumps(value) if column.is_json and value is not None else value


def _value(cell: Any, column: Column) -> Any:
    if cell is None:
        return None
    if column.is_json:
        return json.loads(cell)
    return bool(cell) if column.is_bool else cell
