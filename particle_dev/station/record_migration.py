"""Brings a record database to the tables of today, in the transaction of whoever opened it."""

from __future__ import annotations

import uuid
from pathlib import Path

import sqlalchemy as sa

from particle_dev.errors import JournalError
from particle_dev.station import migrations
from particle_dev.station.record_outcomes import rebuild_outcomes
from particle_dev.station.record_tables import HEAD, databases, metadata

_VERSION = sa.Table("alembic_version", sa.MetaData(), sa.Column("version_num", sa.String(32), primary_key=True))
_POSTGRESQL_LOCK = 0x7061_7274_6963_6C65
"""Two stations may open a new database at the same moment. "particle" in ASCII."""


_FIRST_TABLES = frozenset({"runs", "units", "steps", "modules", "billing_evidence"})
"""What every version has made."""


def is_current(connection: sa.Connection) -> bool:
    """Whether nothing has to be done."""
    return _revision(connection) == HEAD


def migrate(connection: sa.Connection) -> None:
    """Make the tables, or add what an older particle-dev did not have; nothing is dropped.

    JournalError: the database was made by a newer particle-dev.
    """
    if connection.dialect.name == "postgresql":
        connection.execute(sa.select(sa.func.pg_advisory_xact_lock(_POSTGRESQL_LOCK)))
    revision = _revision(connection)
    if revision == HEAD:
        return
    if revision is None and "runs" not in sa.inspect(connection).get_table_names():
        metadata.create_all(connection)
        _VERSION.create(connection)
        connection.execute(_VERSION.insert(), {"version_num": HEAD})
        connection.execute(databases.insert(), {"database_id": uuid.uuid4().hex})
        return
    if revision is None:
        _require_ours(connection)
        _add_gate(connection)
        _VERSION.create(connection)
        connection.execute(_VERSION.insert(), {"version_num": "0001"})
    upgrade(connection)
    rebuild_outcomes(connection)


def upgrade(connection: sa.Connection) -> None:
    """Run the revisions that a database lacks. JournalError: it has one that is not known here."""
    # Slow to import, and needed once in the life of a database.
    from alembic import command, script, util  # noqa: PLC0415
    from alembic.config import Config  # noqa: PLC0415

    config = Config()
    config.set_main_option("script_location", str(Path(migrations.__file__).parent).replace("%", "%%"))
    config.attributes["connection"] = connection
    known = {revision.revision for revision in script.ScriptDirectory.from_config(config).walk_revisions()}
    revision = _revision(connection)
    if revision is not None and revision not in known:
        raise JournalError(
            f"the record database has revision {revision}, this particle-dev knows {HEAD}",
            hint="open it with the particle-dev that made it, or a newer one",
        )
    try:
        command.upgrade(config, "head")
    except util.CommandError as error:
        raise JournalError(f"the record database cannot be brought up to date: {error}", hint=_KEEP) from error


_KEEP = "keep the file and open it with the particle-dev that made it"


def _revision(connection: sa.Connection) -> str | None:
    if "alembic_version" not in sa.inspect(connection).get_table_names():
        return None
    return connection.execute(sa.select(_VERSION.c.version_num)).scalar()


def _require_ours(connection: sa.Connection) -> None:
    """Other programs call tables runs, too."""
    lacking = _FIRST_TABLES - set(sa.inspect(connection).get_table_names())
    if lacking:
        raise JournalError(
            f"this is another program's database: it has a table runs, and none called {', '.join(sorted(lacking))}",
            hint="give --records a file that a station wrote, or one that is not there yet",
        )


def _add_gate(connection: sa.Connection) -> None:
    """Files of before the gate lack its column."""
    if "gate" not in {column["name"] for column in sa.inspect(connection).get_columns("units")}:
        connection.execute(sa.text("ALTER TABLE units ADD COLUMN gate JSON"))
