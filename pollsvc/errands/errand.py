"""What an errand is, and how one is done seldom."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from sqlalchemy.orm import Session

#: How often what reads a long table is done although nothing told us to, and clocks that run for days are looked at.
HOUR = timedelta(hours=1)


@dataclass(frozen=True)
class Errand:
    """Something to do in the database, in small steps.

    :param is_due: looks whether there is anything, without the write lock that votes wait for on SQLite.
    :param act: does one step in a session, and tells whether there may be more; the worker commits it.
    """

    name: str
    is_due: Callable[[Session, datetime], bool]
    act: Callable[[Session, datetime], bool]


class Seldom:
    """Lets a look be taken once an hour, and on until it finds nothing more. Each worker has its own; more looks do no harm."""

    def __init__(self) -> None:
        self._next = datetime.min.replace(tzinfo=UTC)

    def __call__(self, now: datetime, look: Callable[[], bool]) -> bool:
        if now < self._next:
            return False
        if look():
            return True
        self._next = now + HOUR
        return False
