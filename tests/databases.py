"""The two databases that the suite runs on: migrated once, then set back to that state before each test."""

import sqlite3
import time
from contextlib import closing
from pathlib import Path
from typing import Any, Protocol

import psycopg
import sqlalchemy as sa
from sqlalchemy.orm import Session

from pollsvc.db import engine_options, prepare_engine, remember_hash_key
from pollsvc.keys import Keys
from pollsvc.migrating import upgrade
from tests.postgres import PostgresServer

# Alembic's own table, and the row that ties a database to its hash key.
KEPT = ("alembic_version", "installation")


class SuiteDatabase(Protocol):
    """A migrated database that can be emptied."""

    url: str

    def reset(self) -> None:
        """Set every table back to what it was after the migrations."""


class SqliteDatabase:
    """A file. Setting it back copies the pages of the migrated file over it, under the eyes of open connections."""

    def __init__(self, directory: Path, keys: Keys) -> None:
        directory.mkdir(parents=True, exist_ok=True)
        self.url = f"sqlite:///{directory / 'pollsvc.db'}"
        self._path = directory / "pollsvc.db"
        self._template = directory / "template.db"
        migrate(self.url, keys)
        with closing(sqlite3.connect(self._path)) as source, closing(sqlite3.connect(self._template)) as copy:
            source.backup(copy)

    def reset(self) -> None:
        with closing(sqlite3.connect(self._template)) as source, closing(sqlite3.connect(self._path)) as copy:
            copy.execute("PRAGMA synchronous=OFF")
            source.backup(copy)


class PostgresDatabase:
    """A database in a running cluster. Setting it back deletes every row, no rollback: the code under test commits.

    Not TRUNCATE, which makes new files for every table and index: 21 ms here, and deleting a few rows 2 ms.
    """

    def __init__(self, server: PostgresServer, name: str, keys: Keys) -> None:
        self.url = server.create_database(name)
        migrate(self.url, keys)
        self._server, self._name = server, name
        self._connection: psycopg.Connection[Any] | None = None
        with server.connect(name) as connection:
            found = connection.execute(
                "SELECT quote_ident(tablename) FROM pg_tables WHERE schemaname = 'public' AND tablename <> ALL(%s)",
                [list(KEPT)],
            )
            self._deletions = "; ".join(f"DELETE FROM {row[0]}" for row in found).encode()

    def reset(self) -> None:
        if self._connection is None:
            # Kept open: connecting costs more than deleting.
            self._connection = self._server.connect(self._name)
            # A test that left a transaction open is named by an error, rather than by a suite that hangs.
            self._connection.execute("SET lock_timeout = '10s'")
            # Without triggers: some refuse a DELETE, and foreign keys would ask for an order.
            self._connection.execute("SET session_replication_role = replica")
        self._connection.execute(self._deletions)

    def close(self) -> None:
        if self._connection is not None:
            self._connection.close()


def migrate(url: str, keys: Keys) -> None:
    """Bring a database to the current schema and tie it to the keys, as `pollsvc db upgrade` does."""
    upgrade(url)
    engine = open_engine(url, keys)
    with Session(engine) as session:
        remember_hash_key(session, keys)
        session.commit()
    engine.dispose()


def open_engine(url: str, keys: Keys) -> sa.Engine:
    """Open an engine as the application does: same options, pragmas and cipher."""
    engine = sa.create_engine(**engine_options(url, 5))
    prepare_engine(engine, keys)
    return engine


def wait_for_a_waiter(engine: sa.Engine) -> None:
    """Wait until some PostgreSQL transaction waits for another one's lock."""
    waiting = sa.text("SELECT count(*) FROM pg_locks WHERE NOT granted")
    deadline = time.monotonic() + 10
    with engine.connect() as connection:
        while not connection.scalar(waiting):
            assert time.monotonic() < deadline, "nobody waits"
            time.sleep(0.01)
