"""Databases of older versions are brought up to date when they are opened, and lose nothing."""

import sqlite3

import pytest
import sqlalchemy as sa
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory

from particle_dev.errors import JournalError
from particle_dev.station import migrations
from particle_dev.station.fold import fold
from particle_dev.station.record_migration import upgrade
from particle_dev.station.record_search import search
from particle_dev.station.record_tables import HEAD, metadata
from particle_dev.station.records import RecordDatabase
from particle_dev.station.station_key import StationKey

UNIT = "e00fce68d3a1b2c4f5061728"
OF_0_1 = """
CREATE TABLE runs (run_id VARCHAR NOT NULL, started_at VARCHAR NOT NULL, finished_at VARCHAR, verdict VARCHAR NOT NULL,
  recipe_name VARCHAR, recipe_sha256 VARCHAR, bench VARCHAR NOT NULL, operator VARCHAR, software JSON NOT NULL,
  PRIMARY KEY (run_id));
CREATE TABLE units (run_id VARCHAR NOT NULL, unit VARCHAR NOT NULL, position INTEGER NOT NULL, slot VARCHAR NOT NULL,
  device_id VARCHAR, platform VARCHAR, verdict VARCHAR NOT NULL, billing_verdict VARCHAR NOT NULL,
  billing_from VARCHAR, billing_until VARCHAR, billing_missing JSON NOT NULL, parked_mode VARCHAR, parked_power VARCHAR,
  attempts JSON NOT NULL, gate JSON, PRIMARY KEY (run_id, unit), FOREIGN KEY(run_id) REFERENCES runs (run_id));
CREATE INDEX ix_units_device_id ON units (device_id);
CREATE TABLE steps (run_id VARCHAR NOT NULL, unit VARCHAR NOT NULL, position INTEGER NOT NULL, attempt INTEGER NOT NULL,
  name VARCHAR NOT NULL, status VARCHAR NOT NULL, started_at VARCHAR NOT NULL, duration_s FLOAT, evidence JSON NOT NULL,
  error JSON, PRIMARY KEY (run_id, unit, position),
  FOREIGN KEY(run_id, unit) REFERENCES units (run_id, unit));
CREATE TABLE modules (run_id VARCHAR NOT NULL, unit VARCHAR NOT NULL, position INTEGER NOT NULL,
  function VARCHAR NOT NULL, "index" INTEGER NOT NULL, version INTEGER NOT NULL, sha256 VARCHAR NOT NULL,
  size_bytes INTEGER NOT NULL,
  address BIGINT NOT NULL, file_name VARCHAR NOT NULL, read_back_sha256 VARCHAR, PRIMARY KEY (run_id, unit, position),
  FOREIGN KEY(run_id, unit) REFERENCES units (run_id, unit));
CREATE TABLE billing_evidence (run_id VARCHAR NOT NULL, unit VARCHAR NOT NULL, position INTEGER NOT NULL,
  id VARCHAR NOT NULL, statement VARCHAR NOT NULL, source VARCHAR NOT NULL, "from" VARCHAR NOT NULL,
  until VARCHAR NOT NULL, finding VARCHAR NOT NULL, PRIMARY KEY (run_id, unit, position),
  FOREIGN KEY(run_id, unit) REFERENCES units (run_id, unit));
"""
BEFORE_THE_GATE = OF_0_1.replace(" gate JSON,", "")


@pytest.fixture
def record(run_script):
    script = run_script(("1",))
    script.good_unit("1", UNIT)
    script.run_finished()
    return fold(script.build())


def old_database(path, schema, record, key):
    """A file as an old particle-dev left it, with the rows that it would have written."""
    new = RecordDatabase(path.with_name("new.sqlite"))
    new.write_run(record, key)
    new.close()
    connection = sqlite3.connect(path)
    connection.executescript(schema)
    connection.execute("attach ? as new", (str(path.with_name("new.sqlite")),))
    for table in ("runs", "units", "steps", "modules", "billing_evidence"):
        columns = [f'"{row[1]}"' for row in connection.execute(f"pragma main.table_info({table})")]
        names = ", ".join(columns)
        connection.execute(f"insert into main.{table} ({names}) select {names} from new.{table}")
    connection.commit()
    connection.close()


@pytest.mark.parametrize("schema", [OF_0_1, BEFORE_THE_GATE], ids=["0.1", "before the gate"])
def test_an_old_database_keeps_everything_and_says_that_nobody_signed_it(tmp_path, schema, record):
    key = StationKey(tmp_path / "site")
    old_database(tmp_path / "records.sqlite", schema, record, key)

    database = RecordDatabase(tmp_path / "records.sqlite")
    assert tuple(item.unit for item in database.units()) == record.units
    assert [found.run_id for found in search(database, UNIT[:10])] == [record.run_id]
    found = database.verify(key, {})
    assert (found.verdict, found.unsigned) == ("unproven", [record.run_id])
    assert database.write_run(record, key), "recorded again from its journal, it is signed"
    assert database.verify(key, {}).verdict == "intact"
    database.close()
    RecordDatabase(tmp_path / "records.sqlite").close()


def columns(engine):
    with engine.connect() as connection:
        inspector = sa.inspect(connection)
        return {
            table: (
                {(c["name"], str(c["type"]), c["nullable"]) for c in inspector.get_columns(table)},
                inspector.get_pk_constraint(table)["constrained_columns"],
                {(i["name"], tuple(i["column_names"])) for i in inspector.get_indexes(table)},
            )
            for table in inspector.get_table_names()
        }


def test_revisions_end_where_the_tables_are(tmp_path):
    made, upgraded = (sa.create_engine(f"sqlite:///{tmp_path / name}") for name in ("made", "upgraded"))
    RecordDatabase(tmp_path / "made").close()
    with upgraded.begin() as connection:
        upgrade(connection)
        assert compare_metadata(MigrationContext.configure(connection), metadata) == []

    assert columns(upgraded) == columns(made)
    for engine in (made, upgraded):
        engine.dispose()
    scripts = ScriptDirectory(str(migrations.__path__[0]))
    assert scripts.get_heads() == [HEAD]


def test_a_database_of_the_future_is_left_alone(tmp_path):
    path = tmp_path / "records.sqlite"
    RecordDatabase(path).close()
    connection = sqlite3.connect(path)
    connection.execute("update alembic_version set version_num='9999'")
    connection.commit()
    connection.close()

    with pytest.raises(JournalError, match="revision 9999"):
        RecordDatabase(path)
