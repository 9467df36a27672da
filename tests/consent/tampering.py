"""What somebody can do who rules the database: take the triggers and foreign keys away, and write history anew."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, cast

import sqlalchemy as sa
from sqlalchemy.orm import Session

_TABLES = ("consent_event", "consent_seal", "consent_text")


@contextmanager
def nothing_refused(session: Session) -> Iterator[sa.Connection]:
    """Change what is append-only; committed, and the triggers put back, at the end."""
    session.commit()
    if session.get_bind().dialect.name == "postgresql":
        connection = session.connection()
        connection.exec_driver_sql("SET LOCAL session_replication_role = replica")
        yield connection
        session.commit()
        return
    kept = session.connection().exec_driver_sql(
        "SELECT name, sql FROM sqlite_master WHERE type = 'trigger' AND tbl_name IN ('{}')".format(
            "', '".join(_TABLES)
        )
    )
    triggers = [tuple(row) for row in kept]
    session.commit()
    # Where tests before left several connections, the pool would hand out another one after the rollback.
    session.connection().engine.dispose()
    session.rollback()
    # Foreign keys are switched outside of a transaction only, and ours begin with the first statement.
    raw = cast(Any, session.connection().connection.driver_connection)
    session.rollback()
    raw.execute("PRAGMA foreign_keys=OFF")
    connection = session.connection()
    assert id(connection.connection.driver_connection) == id(raw)
    for name, _ in triggers:
        connection.exec_driver_sql(f"DROP TRIGGER {name}")
    yield connection
    for _, made in triggers:
        connection.exec_driver_sql(str(made))
    session.commit()
    raw.execute("PRAGMA foreign_keys=ON")
