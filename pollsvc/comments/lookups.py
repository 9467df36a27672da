"""Threads that readers ask for at the same moment, looked up once for all of them.

As with polls: a look-up begins after everybody whom it answers has asked, so that each answer holds every comment that was
acknowledged before its request began. Nothing is kept from one to the next.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime

import orjson
from sqlalchemy import Connection, Engine

from pollsvc.articles.service import no_site
from pollsvc.batching import Batcher
from pollsvc.comments.threads import Asked, read_page
from pollsvc.keys import Keys
from pollsvc.patience import PATIENCE, again_if_cut


@dataclass(frozen=True)
class AnsweredPage:
    """A page as it is answered.

    :param body: JSON.
    :param tag: the same for the same page.
    """

    body: bytes
    tag: str


class ThreadLookups:
    """The threads that one process reads.

    :param engine: reads, each statement by itself.
    :param reply_depth: how deep replies nest, which each page tells.
    :param clock: the application's.
    """

    def __init__(self, engine: Engine, keys: Keys, reply_depth: int, clock: Callable[[], datetime]) -> None:
        self._engine = engine
        self._keys = keys
        self._reply_depth = reply_depth
        self._clock = clock
        self._pages = Batcher(self._read, patience=PATIENCE)

    def page(self, asked: Asked) -> AnsweredPage:
        """One page of a thread.

        :raises Invalid: if no site owns the article; the field is ``article_url``.
        """
        page = self._pages.run(asked)
        if page is None:
            raise no_site(asked.address)
        return page

    def _read(self, asked: Sequence[Asked], _patience: float) -> list[AnsweredPage | None]:
        def look() -> dict[Asked, AnsweredPage | None]:
            with self._engine.connect() as connection:
                return {each: self._page(connection, each) for each in set(asked)}

        found = again_if_cut(look)
        return [found[each] for each in asked]

    def _page(self, connection: Connection, asked: Asked) -> AnsweredPage | None:
        page = read_page(connection, self._keys, asked, self._clock())
        if page is None:
            return None
        body = orjson.dumps({**page.__dict__, "reply_depth": self._reply_depth})
        return AnsweredPage(body, hashlib.sha256(body).hexdigest()[:32])
