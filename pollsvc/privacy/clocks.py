"""Clocks that tell how long something is kept: heeded one after the other, and read for a report."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import structlog
from sqlalchemy import Select, case, func, select
from sqlalchemy.orm import Session

log = structlog.get_logger("pollsvc")

#: Rows that one step deletes.
_STEP = 500


@dataclass(frozen=True)
class Clock:
    """How long one kind of data is kept.

    :param kind: what is kept.
    :param begins: what its time counts from.
    :param running: ``id`` and ``since`` of each row whose clock runs.
    """

    kind: str
    begins: str
    keep: timedelta
    running: Select[*tuple[Any, ...]]


@dataclass(frozen=True)
class Heeded(Clock):
    """A clock that :func:`wipe_next` heeds.

    :param wipe: forgets the rows with these ids; those of one step.
    :param step: how many rows that are.
    """

    wipe: Callable[[Session, Sequence[Any], datetime], None]
    step: int = _STEP

    def due(self, session: Session, now: datetime) -> Sequence[Any]:
        """The ids of a step's rows whose time is over."""
        rows = self.running.subquery()
        over = select(rows.c.id).where(rows.c.since <= now - self.keep).order_by(rows.c.since)
        return session.scalars(over.limit(self.step)).all()

    def wipe_some(self, session: Session, now: datetime) -> bool:
        """Forget a step's rows; whether there were any."""
        ids = self.due(session, now)
        if ids:
            self.wipe(session, ids, now)
        return bool(ids)


@dataclass(frozen=True)
class Reading:
    """How a clock stands.

    :param rows: whose clock runs.
    :param oldest: since when the oldest of them is kept.
    :param overdue: those whose time is over.
    :param delay: by how much the oldest is.
    """

    clock: Clock
    rows: int
    oldest: datetime | None
    overdue: int
    delay: timedelta


def wipe_next(session: Session, clocks: Iterable[Heeded], now: datetime) -> bool:
    """Forget some rows whose time is over. A clock that fails does not stop those behind it.

    :returns: whether there were any.
    """
    return any(_guarded(clock, clock.wipe_some, session, now) for clock in clocks)


def is_any_over(session: Session, clocks: Iterable[Heeded], now: datetime) -> bool:
    """Whether there is anything to forget."""
    return any(_guarded(clock, clock.due, session, now) for clock in clocks)


def _guarded(
    clock: Clock, act: Callable[[Session, datetime], object], session: Session, now: datetime
) -> bool:
    """Whether a clock had something to do; one that failed had not, and is asked again at the next look."""
    try:
        # What it did in part is taken back alone.
        with session.begin_nested():
            return bool(act(session, now))
    except Exception as error:  # noqa: BLE001 (whatever it is, it is still in the tables)
        log.warning("clock failed", clock=clock.kind, kind=type(error).__name__)
        return False


def read_clocks(session: Session, clocks: Iterable[Clock], now: datetime) -> list[Reading]:
    """How every clock stands."""
    return [_read(session, clock, now) for clock in clocks]


def _read(session: Session, clock: Clock, now: datetime) -> Reading:
    rows = clock.running.subquery()
    is_over = case((rows.c.since <= now - clock.keep, 1))
    count, oldest, overdue = session.execute(
        select(func.count(), func.min(rows.c.since), func.count(is_over)).select_from(rows)
    ).one()
    delay = max(now - clock.keep - oldest, timedelta()) if oldest else timedelta()
    return Reading(clock, count, oldest, overdue, delay)
