"""What an erasure leaves outside of the tables, cleared away by the worker: mail files, and dead rows in the database's files."""

from __future__ import annotations

import uuid
from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta
from pathlib import Path

import sqlalchemy as sa
import structlog
from sqlalchemy import func, select
from sqlalchemy.orm import Session

from pollsvc.config import Settings
from pollsvc.outbox.delivery import LEASE
from pollsvc.outbox.mail import file_name, mail_folder, remove_files
from pollsvc.outbox.models import OutboxMessage
from pollsvc.patience import PATIENCE
from pollsvc.privacy.models import Leftover

log = structlog.get_logger("pollsvc")

#: When no delivery that was under way at an erasure can still write a file.
_SETTLED = 2 * LEASE
#: Half a mail, left by a worker that was killed while writing it.
_HALF_A_MAIL_AFTER = timedelta(hours=1)
#: Milliseconds that votes may wait for a checkpoint; it is tried again.
_CHECKPOINT_PATIENCE = 200
#: What erasing deletes from, or empties.
TABLES = (
    "subscriber",
    "consent",
    "sign_up",
    "confirmation",
    "correction",
    "comment",
    "comment_revision",
    "comment_verdict",
    "comment_change",
    "comment_report",
    "ban",
    "outbox_message",
    "outbox_attempt",
    "outbox_event",
)


def is_any_due(session: Session, now: datetime) -> bool:
    """Whether something waits to be cleared away."""
    return session.scalar(select(Leftover.id).where(Leftover.available_at <= now).limit(1)) is not None


def clear_leftovers(session: Session, settings: Settings, now: datetime) -> bool:
    """Delete files and dead rows, then write down that it was done: whoever dies in between does it again.

    :param session: not used yet: what is done first, no transaction may hold.
    :returns: False: the rest is for another time.
    """
    engine = session.get_bind()
    assert isinstance(engine, sa.Engine)
    with _looking(engine) as reading:
        found = reading.scalars(select(Leftover).where(Leftover.available_at <= now)).all()
    for each in found:
        remove_files(settings, each.message_ids)
    if not clear_database_files(engine):
        log.info("erased pages wait", reason="somebody reads")
        return False
    write_down(session, [each.id for each in found], now)
    return False


def write_down(session: Session, done: Sequence[uuid.UUID], now: datetime) -> None:
    """Note what was cleared away: the first time it is due again, the second time that was all."""
    for each in done:
        mine = session.get(Leftover, each, with_for_update=True)
        if mine is None:
            continue  # another worker was faster
        if mine.is_last:
            session.delete(mine)
        else:
            mine.is_last, mine.available_at = True, now + _SETTLED


def clear_database_files(engine: sa.Engine) -> bool:
    """Have the database's files hold what its tables hold, as far as the database does that.

    SQLite overwrote what was deleted (``secure_delete``); here the pages before it leave the write-ahead log.
    PostgreSQL gives the room of dead rows free; see docs/privacy.md for what that leaves.

    :returns: whether it was done: on SQLite not while somebody reads an older state.
    """
    if engine.dialect.name == "sqlite":
        return _empty_log(engine)
    with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        # It may take longer than a reader would wait. Who vacuums already does it for us.
        connection.exec_driver_sql("SET statement_timeout = 0")
        try:
            connection.exec_driver_sql(f"VACUUM (SKIP_LOCKED) {', '.join(TABLES)}")
        finally:
            connection.exec_driver_sql("RESET statement_timeout")
    return True


def _empty_log(engine: sa.Engine) -> bool:
    # Below SQLAlchemy, which would begin a transaction.
    connection = engine.raw_connection()
    try:
        cursor = connection.cursor()
        cursor.execute(f"PRAGMA busy_timeout={_CHECKPOINT_PATIENCE}")
        is_busy, _, _ = cursor.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
        cursor.execute(f"PRAGMA busy_timeout={PATIENCE * 1000}")
        cursor.close()
    finally:
        connection.close()
    return not is_busy


def orphaned_files(session: Session, settings: Settings, now: datetime) -> list[Path]:
    """Mail files whose message is gone, and what a killed worker left half-written: a file lives as long as its message."""
    folder = mail_folder(settings)
    if not folder.is_dir():
        return []
    orphans = [path for path in folder.glob(".*.part") if _age(path, now) > _HALF_A_MAIL_AFTER]
    kept = sorted(folder.glob("*.eml"))
    for first in range(0, len(kept), 500):
        some = kept[first : first + 500]
        known = set(_known(session, [path.stem for path in some]))
        orphans += [path for path in some if path.name not in known]
    return orphans


def _age(path: Path, now: datetime) -> timedelta:
    """For how long a file has been written to no more; none where it has its last name by now."""
    try:
        return timedelta(seconds=now.timestamp() - path.stat().st_mtime)
    except FileNotFoundError:
        return timedelta()


def _known(session: Session, stems: list[str]) -> Iterator[str]:
    # By the left side alone: the host of our Message-IDs is a setting, and may have changed.
    left = func.substr(OutboxMessage.message_id, 2, 32)
    for message_id in session.scalars(select(OutboxMessage.message_id).where(left.in_(stems))):
        yield file_name(str(message_id))


def _looking(engine: sa.Engine) -> Session:
    """A session beside the one that writes."""
    return Session(engine.execution_options(sqlite_write=False), expire_on_commit=False)
