"""How many requests a process works on at once, and what becomes of one more.

A request that waits for the database holds a thread. Where something blocks the database, such requests soon hold all of
them, and whoever comes next would wait for a thread without anybody knowing. So there are some threads more than requests
may be worked on: they turn away whom there is no place for, and go on answering what asks nothing of other parts.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

from flask import Flask, g, request

from pollsvc.errors import Unavailable
from pollsvc.patience import ASIDE
from pollsvc.web.marks import mark, marked

View = TypeVar("View", bound=Callable[..., Any])

#: Seconds that a request waits for its turn, and that nobody waits after one that did in vain. Long enough for a process
#: that was kept from running for a moment.
TURN = 2.0


class Overloaded(Unavailable):
    """Every place was taken, and this request's turn did not come within two seconds."""

    code = "overloaded"
    detail = "The service is busy and nothing was stored. Send the same request again in a moment."


class Admission:
    """The places of a process, given in the order in which they were asked for.

    :param places: requests that are worked on at the same time.
    """

    def __init__(self, places: int) -> None:
        self._guard = threading.Lock()
        self._free = places
        self._aside = threading.Semaphore(ASIDE * places)
        #: Those who wait for a place: each has a lock that is released when it gets one.
        self._waiting: deque[threading.Lock] = deque()
        #: Until when nobody waits, because one has just waited in vain.
        self._stuck_until = 0.0

    def enter(self) -> None:
        """Take a place, or wait for one for a moment.

        :raises Overloaded: if none came, or did not for another one a moment before.
        """
        with self._guard:
            if self._free:
                self._free -= 1
                return
            if time.monotonic() < self._stuck_until:
                raise Overloaded
            turn = threading.Lock()
            turn.acquire()
            self._waiting.append(turn)
        if turn.acquire(timeout=TURN):
            return
        with self._guard:
            if turn not in self._waiting:
                return  # it came at this very moment
            self._waiting.remove(turn)
            # Were all to wait who come now, they would hold the threads that are left, and more would come than go.
            self._stuck_until = time.monotonic() + TURN
        raise Overloaded

    def leave(self) -> None:
        """Give the place to the one that has waited longest."""
        with self._guard:
            if self._waiting:
                self._waiting.popleft().release()
            else:
                self._free += 1

    @contextmanager
    def stepping_aside(self) -> Iterator[None]:
        """Leave one's place to others while one waits for something that may take long, and take one again after it.

        :raises Overloaded: if :data:`ASIDE` requests for each place have stepped aside already.
        """
        if not self._aside.acquire(blocking=False):
            raise Overloaded
        self.leave()
        try:
            yield
        finally:
            self._aside.release()
            self._come_back()

    def _come_back(self) -> None:
        with self._guard:
            if self._free:
                self._free -= 1
                return
            turn = threading.Lock()
            turn.acquire()
            self._waiting.append(turn)
        turn.acquire()


def is_turned_away() -> bool:
    """Whether there was no place for the current request: its answer waits for nothing."""
    return "is_turned_away" in g


def at_any_time(view: View) -> View:
    """Answered however busy the process is; for what asks nothing of other parts."""
    mark(view, "at_any_time", True)
    return view


def register(app: Flask, admission: Admission) -> None:
    """Let an application work on as many requests at once as there are places."""

    def enter() -> None:
        if not marked(request.endpoint, "at_any_time"):
            try:
                admission.enter()
            except Overloaded:
                g.is_turned_away = True
                raise
            g.is_admitted = True

    def leave(_error: BaseException | None) -> None:
        if g.pop("is_admitted", False):
            admission.leave()

    app.before_request(enter)
    app.teardown_request(leave)
