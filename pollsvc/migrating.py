"""Bringing a database to the schema of this release."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from flask import Flask
from flask_alembic import Alembic
from sqlalchemy import event
from sqlalchemy.pool import NullPool

from pollsvc.db import Model
from pollsvc.sqlite import pragmas

#: Any number, the same in every process: PostgreSQL's advisory lock of our migrations.
_LOCK = 7077551


def upgrade(url: str) -> None:
    """Run every migration that the database has not seen. Safe to run twice, and by several at once."""
    with migrating(url) as alembic:
        alembic.upgrade()


def is_empty(url: str) -> bool:
    """Whether the database has never been migrated."""
    with migrating(url) as alembic:
        return not alembic.heads() or not alembic.current()


def is_behind(url: str) -> bool:
    """Whether this release knows a migration that the database has not seen."""
    with migrating(url) as alembic:
        return {script.revision for script in alembic.heads()} != {
            script.revision for script in alembic.current()
        }


@contextmanager
def migrating(url: str) -> Iterator[Alembic]:
    """Alembic on an engine of its own, with the database to itself.

    On SQLite foreign keys are off meanwhile, because rebuilding a table would silently delete its children; on
    PostgreSQL an advisory lock makes parallel upgrades wait for each other.
    """
    engine = sa.create_engine(url, poolclass=NullPool)
    if engine.dialect.name == "sqlite":
        _prepare_sqlite(engine)
    app = Flask("pollsvc.migrating", static_folder=None)
    app.config["ALEMBIC"] = {"script_location": str(migrations_folder())}
    app.config["ALEMBIC_CONTEXT"] = {
        "include_object": partial(_is_of, engine.dialect.name),
        # Alembic takes SQLite's DDL for not transactional. With ours it is, so that an upgrade reads where the
        # schema stands and takes all its steps in one transaction, which others wait for.
        "transactional_ddl": True,
    }
    alembic = Alembic(app, run_mkdir=False, command_name="", metadatas=Model.metadata, engines=engine)
    try:
        with app.app_context(), _alone(engine):
            yield alembic
    finally:
        engine.dispose()


def _is_of(dialect: str, item: Any, *_: object) -> bool:
    """Whether a part of the schema is there on this database: a model may say which one it is for."""
    return bool(item.info.get("dialect", dialect) == dialect)


def migrations_folder() -> Path:
    """Where the migrations lie: inside the package in a wheel, beside it in a checkout."""
    package = Path(__file__).parent
    inside = package / "migrations"
    return inside if inside.is_dir() else package.parent / "migrations"


def _prepare_sqlite(engine: sa.Engine) -> None:
    path = Path(str(engine.url.database))
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    # Ours alone to read; SQLite gives the files beside it the same mode.
    path.touch(mode=0o600)

    @event.listens_for(engine, "connect")
    def _connect(connection: Any, _record: Any) -> None:
        connection.isolation_level = None
        pragmas(connection, foreign_keys="OFF")

    @event.listens_for(engine, "begin")
    def _begin(connection: sa.Connection) -> None:
        connection.exec_driver_sql("BEGIN IMMEDIATE")


@contextmanager
def _alone(engine: sa.Engine) -> Iterator[None]:
    if engine.dialect.name == "sqlite":
        yield
        return
    with engine.connect() as connection:
        # A session lock, held over the migrations' own transactions; it ends with this connection.
        connection.execution_options(isolation_level="AUTOCOMMIT").execute(
            sa.text(f"SELECT pg_advisory_lock({_LOCK})")
        )
        yield
