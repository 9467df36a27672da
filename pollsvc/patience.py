"""How long the database is waited for, and what may be asked of it once more."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

import sqlalchemy as sa
from sqlalchemy.exc import DBAPIError
from sqlalchemy.orm import Session

Result = TypeVar("Result")

#: Seconds that a statement waits for a lock or runs, before the reader gets 503 and may try again (promise 4).
PATIENCE = 15
#: Seconds that it waits where the one before it waited in vain.
HURRY = 1
#: Votes that may wait for an editor, for each request that a process works on.
ASIDE = 2


def again_if_cut(act: Callable[[], Result], *, is_write: bool = False) -> Result:
    """Do what may be done any number of times, and once more where its connection was cut, by a restart or a fail-over.

    The pool has then let go of all its old connections.

    :param is_write: whether something may have been stored by the time of the cut: where it fails again, the cut is
        what is raised, for nobody may say then that nothing was.
    """
    try:
        return act()
    except DBAPIError as error:
        if not error.connection_invalidated:
            raise
        cut = error
    try:
        return act()
    except DBAPIError as error:
        if is_write and not error.connection_invalidated:
            raise cut from error
        raise


@contextmanager
def hurried(engine: sa.Engine) -> Iterator[sa.Connection]:
    """A connection that waits for a lock for :data:`HURRY` seconds only; on PostgreSQL each statement commits itself."""
    is_sqlite = engine.dialect.name == "sqlite"
    options: dict[str, Any] = {"sqlite_patience": HURRY} if is_sqlite else {"isolation_level": "AUTOCOMMIT"}
    with engine.execution_options(**options).connect() as connection:
        if not is_sqlite:
            connection.exec_driver_sql(f"SET lock_timeout = '{HURRY}s'")
            connection.rollback()  # of what SQLAlchemy began; the statement itself was a transaction of its own
        try:
            yield connection
        finally:
            if not is_sqlite and not connection.invalidated:
                # It goes back to the pool with the patience of all.
                connection.rollback()
                connection.exec_driver_sql("RESET lock_timeout")


def waited_in_vain(error: DBAPIError) -> bool:
    """Whether a statement ended because a lock was not to be had in time."""
    # lock_not_available and query_canceled; SQLite has no such code and says so in words.
    return getattr(error.orig, "sqlstate", None) in ("55P03", "57014") or "is locked" in str(error.orig)


def wait_at_most(connection: sa.Connection, seconds: float) -> None:
    """Wait for a lock no longer than this until the transaction ends; PostgreSQL's only, SQLite waits when one begins."""
    if connection.dialect.name == "postgresql":
        # Zero would mean for ever.
        connection.exec_driver_sql(f"SET LOCAL lock_timeout = {max(1, int(seconds * 1000))}")


def lift_patience(session: Session) -> None:
    """Let the statements of this transaction take as long as they need: for commands that no reader waits for."""
    if session.get_bind().dialect.name == "postgresql":
        session.execute(sa.text("SET LOCAL statement_timeout = 0"))
