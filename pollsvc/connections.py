"""Whether the connections that a host may hold fit what PostgreSQL gives: asked at the start, not found out under load."""

from __future__ import annotations

from dataclasses import dataclass

import sqlalchemy as sa
from sqlalchemy.orm import Session

from pollsvc.config import ConfigError

# A limit of -1 is none. The second kind of reserve came with PostgreSQL 16.
_ASK = sa.text(
    """
SELECT CAST(current_setting('max_connections') AS integer),
       CAST(current_setting('superuser_reserved_connections') AS integer)
       + CAST(COALESCE(current_setting('reserved_connections', true), '0') AS integer),
       (SELECT CASE WHEN rolsuper THEN -1 ELSE rolconnlimit END FROM pg_roles WHERE rolname = current_user),
       (SELECT CASE WHEN r.rolsuper THEN -1 ELSE d.datconnlimit END
          FROM pg_database d, pg_roles r WHERE d.datname = current_database() AND r.rolname = current_user),
       pg_backend_pid()
"""
)


@dataclass(frozen=True)
class Room:
    """How many connections PostgreSQL gives us.

    :param most: connections at once.
    :param limit: what sets that bound, in words.
    :param is_pooled: whether a pooler stands between, whose connections are not PostgreSQL's.
    """

    most: int
    limit: str
    is_pooled: bool


def find_room(session: Session) -> Room | None:
    """Ask PostgreSQL what it gives; None on SQLite, which knows no such bound."""
    if session.get_bind().dialect.name != "postgresql":
        return None
    ceiling, reserved, of_role, of_database, backend = session.execute(_ASK).one()
    bounds = [
        (ceiling - reserved, f"max_connections {ceiling} less {reserved} reserved"),
        (of_role, "the connection limit of the database's user"),
        (of_database, "the connection limit of the database"),
    ]
    most, limit = min(bound for bound in bounds if bound[0] >= 0)
    # A pooler such as PgBouncer answers the client itself and makes up the number of the process that serves it.
    driver = session.connection().connection.driver_connection
    assert driver is not None, "the session has just used its connection"
    return Room(most, limit, is_pooled=driver.info.backend_pid != backend)


def check_room(room: Room, *, workers: int, pool: int, beside: int = 0, outbox: int = 0) -> str | None:
    """Say what the operator should know before this host starts; None where there is room for another like it.

    :param pool: connections that each worker may hold, as the setting says.
    :param beside: those that each holds beside that pool.
    :param outbox: those of the outbox worker.
    :raises ConfigError: if they do not fit.
    """
    needed = workers * (pool + beside) + outbox
    holders = "1 worker" if workers == 1 else f"{workers} workers"
    more = f" and {beside} more for votes and wake-ups" if beside else ""
    last = f", with the {outbox} of the outbox worker," if outbox else ""
    ours = f"{holders} with POLLSVC_DATABASE_POOL={pool}{more}{last} may hold {needed}"
    if room.is_pooled:
        # How many clients a pooler admits is its own matter, and no statement tells.
        return f"{ours} connections, all to a pooler. See that its limits admit them."
    if needed > room.most:
        fitting = (room.most - outbox) // workers - beside
        smaller = f"set POLLSVC_DATABASE_POOL to {fitting} or less, " if fitting > 0 else ""
        raise ConfigError(
            f"{ours} connections, and PostgreSQL gives {room.most} ({room.limit}). "
            f"Start fewer --workers, {smaller}or raise that limit."
        )
    if needed * 2 > room.most:
        return (
            f"{ours} of the {room.most} connections that PostgreSQL gives ({room.limit}). "
            f"No second host like this one fits beside it."
        )
    return None
