"""Which origins' pages may read our answers, without a question to the database at every request."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

from sqlalchemy.exc import SQLAlchemyError

#: Seconds that a known origin is believed. An unknown one is always asked for, so that a new site works at once.
MEMORY = 60.0


class RememberedOrigins:
    """An origin look-up that remembers the known ones.

    While the database is away, what was known stays known and nothing else is: a page must be able to read the 503
    that tells its reader to try again. Each process remembers for itself; a removed origin is forgotten in a minute.
    """

    def __init__(self, lookup: Callable[[str], bool]) -> None:
        self._lookup = lookup
        self._known: dict[str, float] = {}
        self._lock = threading.Lock()

    def remembers(self, origin: str) -> bool:
        """Whether an origin was known when it was last asked for; asks nobody."""
        return origin in self._known

    def __call__(self, origin: str) -> bool:
        asked_at = self._known.get(origin)
        if asked_at is not None and time.monotonic() - asked_at < MEMORY:
            return True
        try:
            is_known = self._lookup(origin)
        except SQLAlchemyError:
            return asked_at is not None
        with self._lock:
            # Only origins of sites are kept, so that a client cannot fill the memory with made-up ones.
            if is_known:
                self._known[origin] = time.monotonic()
            else:
                self._known.pop(origin, None)
        return is_known
