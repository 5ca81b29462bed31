"""Counts of rate limits in PostgreSQL, for computers that share one public address and one database of records."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime

import sqlalchemy as sa
from sqlalchemy.exc import ArgumentError, DBAPIError, NoSuchModuleError

from particle_dev.cloud.limits import LOCK_TIMEOUT_S
from particle_dev.errors import ConfigError
from particle_dev.transport.base import Clock

DATABASE_BOOT = "database"
"""The ``boot`` of a limiter whose time is the database's."""
_CONNECT_TIMEOUT_S = 5
_RETRY_S = 1.0
_LOCK = 0x7061_7274_6C69_6D69
"""Holds off everybody else. "partlimi" in ASCII."""
_COUNTS = sa.Table(
    "cloud_limits", sa.MetaData(), sa.Column("id", sa.Integer, primary_key=True), sa.Column("counts", sa.Text)
)


class DatabaseLimitStore:
    """Counts that all computers share which use the database ``url``, in one row of its table ``cloud_limits``.

    Time comes from the database as well (:meth:`clock`): the clocks of computers differ, and a window that is counted
    by two of them would close too early. Raises ConfigError when the URL or the library is unusable, and when the
    server has not answered for ``timeout_s``.
    """

    def __init__(self, url: str, machine: Clock, *, timeout_s: float = LOCK_TIMEOUT_S) -> None:
        self._machine, self._timeout_s = machine, timeout_s
        self._threads = threading.RLock()
        self._now = datetime.fromtimestamp(0, UTC)
        try:
            parsed = sa.make_url(url)
            if parsed.get_backend_name() != "postgresql":
                raise ArgumentError
            self._shown = parsed.render_as_string(hide_password=True)
            self._engine = sa.create_engine(
                parsed.set(drivername="postgresql+psycopg"),
                connect_args={
                    "connect_timeout": _CONNECT_TIMEOUT_S,
                    "options": f"-c lock_timeout={int(timeout_s * 1000)}",
                },
            )
        except ArgumentError as error:
            raise ConfigError(
                "Requests cannot be counted in the database that is named.",
                key="PARTICLE_DEV_LIMITS",
                hint="give a file name, or postgresql://USER@HOST/DATABASE",
            ) from error
        except (ModuleNotFoundError, NoSuchModuleError) as error:
            raise ConfigError(
                "Counts of requests on PostgreSQL need the library psycopg.",
                key="PARTICLE_DEV_LIMITS",
                hint="install it: pip install 'particle-dev[postgres]'",
            ) from error

    def clock(self) -> Clock:
        """The database's time, as it was when the counts were taken up; pauses are those of this computer."""
        return _DatabaseClock(self)

    @contextmanager
    def edit(self) -> Iterator[list[str]]:
        """As :class:`~particle_dev.cloud.limits.LimitStore` says."""
        with self._threads, self._connected() as connection:
            try:
                connection.execute(sa.select(sa.func.pg_advisory_xact_lock(_LOCK)))
                _COUNTS.create(connection, checkfirst=True)
                found = connection.execute(sa.select(_COUNTS.c.counts)).scalar_one_or_none()
                self._now = connection.execute(sa.select(sa.func.clock_timestamp())).scalar_one().astimezone(UTC)
                text = [found or ""]
                yield text
                if found is None:
                    connection.execute(_COUNTS.insert(), {"id": 1, "counts": text[0]})
                elif text[0] != found:
                    connection.execute(_COUNTS.update().where(_COUNTS.c.id == 1), {"counts": text[0]})
                connection.commit()
            except DBAPIError as error:
                raise self._away(error) from error

    def close(self) -> None:
        """Let the connections go."""
        self._engine.dispose()

    @contextmanager
    def _connected(self) -> Iterator[sa.Connection]:
        """A connection that works, waited for: a server that starts again must not cost a unit its verdict."""
        until_s = self._machine.monotonic_s() + self._timeout_s
        while True:
            try:
                connection = self._engine.connect()
                connection.execute(sa.text("select 1"))
                break
            except DBAPIError as error:
                self._engine.dispose()
                if self._machine.monotonic_s() >= until_s:
                    raise self._away(error) from error
                self._machine.sleep(_RETRY_S)
        with connection:
            yield connection

    def _away(self, error: DBAPIError) -> ConfigError:
        return ConfigError(
            f"The counts of requests in {self._shown} cannot be used: {str(error.orig).strip().splitlines()[-1]}",
            key="PARTICLE_DEV_LIMITS",
            hint="start the database; a file in PARTICLE_DEV_LIMITS will do while no other computer shares the address",
        )


class _DatabaseClock:
    def __init__(self, store: DatabaseLimitStore) -> None:
        self._store = store

    def monotonic_s(self) -> float:
        """Seconds of the database's clock."""
        return self.utc_now().timestamp()

    def sleep(self, duration_s: float) -> None:
        """Wait on this computer."""
        self._store._machine.sleep(duration_s)

    def utc_now(self) -> datetime:
        """The database's time of day."""
        return self._store._now
