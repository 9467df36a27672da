"""How many requests a process works on at once, and what becomes of one more.

A request that waits for the database holds a thread. Where something blocks the database, such requests soon hold all of
them, and whoever comes next would wait for a thread without anybody knowing. So there are some threads more than requests
may be worked on: they turn away whom there is no place for, and go on answering what asks nothing of other parts.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any, TypeVar

from flask import Flask, g, request

from pollsvc.errors import Unavailable
from pollsvc.patience import HURRY
from pollsvc.web.marks import mark, marked

View = TypeVar("View", bound=Callable[..., Any])


class Overloaded(Unavailable):
    """Every place was taken, and none became free within a second."""

    code = "overloaded"
    detail = "The service is busy and nothing was stored. Send the same request again in a moment."


class Admission:
    """The places of a process.

    :param places: requests that are worked on at the same time.
    """

    def __init__(self, places: int) -> None:
        self._places = threading.Semaphore(places)
        self._is_stuck = False

    def enter(self) -> None:
        """Take a place; wait for one for a second, unless the one before waited in vain.

        :raises Overloaded: if there is none.
        """
        is_in = self._places.acquire(blocking=False)
        if not is_in and not self._is_stuck:
            is_in = self._places.acquire(timeout=HURRY)
        self._is_stuck = not is_in
        if not is_in:
            raise Overloaded

    def leave(self) -> None:
        """Give the place back."""
        self._places.release()


def at_any_time(view: View) -> View:
    """Answered however busy the process is; for what asks nothing of other parts."""
    mark(view, "at_any_time", True)
    return view


def register(app: Flask, places: int) -> None:
    """Let an application work on so many requests at once."""
    admission = Admission(places)

    def enter() -> None:
        if not marked(request.endpoint, "at_any_time"):
            admission.enter()
            g.is_admitted = True

    def leave(_error: BaseException | None) -> None:
        if g.pop("is_admitted", False):
            admission.leave()

    app.before_request(enter)
    app.teardown_request(leave)
