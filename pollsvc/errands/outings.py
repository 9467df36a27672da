"""What is to be done outside is done in threads, a few for each lane."""

from __future__ import annotations

import threading
from collections import defaultdict
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from datetime import datetime
from typing import Any

import structlog
from sqlalchemy.exc import DBAPIError
from sqlalchemy.orm import Session

from pollsvc.errands.errand import Outing

log = structlog.get_logger("pollsvc")

#: Things of one lane at once.
AT_ONCE = 4

OpenSession = Callable[[], AbstractContextManager[Session]]


class Outings:
    """The outings of one process.

    :param reading: opens a session for a look.
    :param writing: opens one for a change, which is committed at the end of the block.
    :param now: the clock.
    :param is_stopping: whether nothing new is begun.
    """

    def __init__(
        self,
        outings: Sequence[Outing[Any, Any]],
        reading: OpenSession,
        writing: OpenSession,
        now: Callable[[], datetime],
        is_stopping: Callable[[], bool],
    ) -> None:
        self._outings, self._reading, self._writing = outings, reading, writing
        self._now, self._is_stopping = now, is_stopping
        self._free: defaultdict[tuple[str, str], threading.BoundedSemaphore] = defaultdict(
            lambda: threading.BoundedSemaphore(AT_ONCE)
        )

    def begin(self) -> list[threading.Thread]:
        """Begin what is due, and do not wait for it."""
        begun = []
        for outing in self._outings:
            with self._reading() as session:
                lanes = outing.lanes(session, self._now())
            for lane, due in lanes.items():
                for _ in range(min(due, AT_ONCE)):
                    thread = self._begin(outing, lane)
                    if thread is None:
                        break  # enough threads are at it already
                    begun.append(thread)
        return begun

    def _begin(self, outing: Outing[Any, Any], lane: str) -> threading.Thread | None:
        place = self._free[outing.name, lane]
        if not place.acquire(blocking=False):
            return None

        def hold() -> None:
            try:
                self._go_on(outing, lane)
            finally:
                place.release()

        thread = threading.Thread(target=hold, name=f"{outing.name} {lane}", daemon=True)
        try:
            thread.start()
        except (RuntimeError, MemoryError) as error:
            place.release()
            log.warning("thread refused", outing=outing.name, kind=type(error).__name__)
            return None
        return thread

    def _go_on(self, outing: Outing[Any, Any], lane: str) -> None:
        try:
            while not self._is_stopping() and self._go(outing, lane):
                pass
        except Exception as error:  # noqa: BLE001 (whatever it is, it is still in the tables, and done again when its lease ends)
            kind = type(error.orig if isinstance(error, DBAPIError) else error).__name__
            log.warning("outing failed", outing=outing.name, kind=kind)

    def _go(self, outing: Outing[Any, Any], lane: str) -> bool:
        with self._writing() as session:
            thing = outing.claim(session, lane, self._now())
        if thing is None:
            return False
        found = outing.act(thing, self._now())
        with self._writing() as session:
            outcome = outing.settle(session, thing, found, self._now())
        outing.note(thing, found, outcome)
        return True
