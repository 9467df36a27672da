"""The database, opened for a command: of a schema that this release can work with, and of our hash key."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import click
import sqlalchemy as sa
from alembic.util.exc import CommandError
from sqlalchemy.orm import Session

from pollsvc import migrating
from pollsvc.config import ConfigError, Settings
from pollsvc.db import engine_options, prepare_engine, remember_hash_key


@contextmanager
def open_database(settings: Settings, *, is_writing: bool = True) -> Iterator[Session]:
    """A session on a database that this release can work with and that our hash key belongs to.

    :raises ConfigError: if it is empty, or of an older release.
    :raises WrongHashKey: if it knows another key.
    :param is_writing: whether SQLite's one write lock is taken, which votes wait for.
    """
    _refuse_older(settings)
    engine = sa.create_engine(**engine_options(settings.database_url, 2))
    prepare_engine(engine, settings.keys())
    try:
        with Session(engine.execution_options(sqlite_write=is_writing), expire_on_commit=False) as session:
            remember_hash_key(session, settings.keys())
            yield session
    finally:
        engine.dispose()


def _refuse_older(settings: Settings) -> None:
    found = state_of(settings)
    if found == "empty":
        raise ConfigError(f"The database {place_of(settings)} is empty. Run: pollsvc db upgrade")
    if found == "older":
        raise ConfigError("The database is of an older release. Back it up, then run: pollsvc db upgrade")
    if found == "newer":
        # Migrations run beside the release before, so that a release can be taken back.
        click.echo("Note: the database is of a newer release than this one.", err=True)


def state_of(settings: Settings) -> str:
    """What its schema is to this release: ``empty``, ``older``, ``current`` or ``newer``."""
    try:
        if migrating.is_empty(settings.database_url):
            return "empty"
        return "older" if migrating.is_behind(settings.database_url) else "current"
    except CommandError:
        return "newer"  # it names a migration that this release does not know


def place_of(settings: Settings) -> str:
    """Where the database is, without its password."""
    return sa.make_url(settings.database_url).render_as_string(hide_password=True)
