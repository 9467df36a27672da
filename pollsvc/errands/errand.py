"""What an errand is, and how one is done seldom."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Generic, TypeVar

from sqlalchemy.orm import Session

#: How often what reads a long table is done although nothing told us to, and clocks that run for days are looked at.
HOUR = timedelta(hours=1)


#: What is claimed, and what came of it.
Thing = TypeVar("Thing")
Found = TypeVar("Found")


@dataclass(frozen=True)
class Errand:
    """Something to do in the database, in small steps.

    :param is_due: looks whether there is anything, without the write lock that votes wait for on SQLite.
    :param act: does one step in a session, and tells whether there may be more; the worker commits it.
    """

    name: str
    is_due: Callable[[Session, datetime], bool]
    act: Callable[[Session, datetime], bool]


@dataclass(frozen=True)
class Outing(Generic[Thing, Found]):
    """Something to do outside of the database, for which no transaction may wait; done in threads.

    :param lanes: in which of its lanes how much is due. Each has threads of its own, so that a host which hangs keeps no other
        waiting.
    :param claim: takes the next thing of a lane, so that nobody else does it; the worker commits that before anything is done.
    :param act: does it, with no transaction open, and always comes back.
    :param settle: writes down what came of it, and tells it in one word; the worker commits it.
    :param note: tells of it once it is written down.
    """

    name: str
    lanes: Callable[[Session, datetime], Mapping[str, int]]
    claim: Callable[[Session, str, datetime], Thing | None]
    act: Callable[[Thing, datetime], Found]
    settle: Callable[[Session, Thing, Found, datetime], str]
    note: Callable[[Thing, Found, str], None]


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
