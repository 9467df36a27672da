"""What readers ask of polls at the same moment, looked up together.

A look-up begins after everybody whom it answers has asked, so that each answer holds every vote that was acknowledged
before its request began. Nothing is kept from one to the next.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable, Sequence
from datetime import datetime
from functools import partial
from typing import TypeVar

from sqlalchemy import Engine

from pollsvc.batching import Batcher
from pollsvc.patience import PATIENCE, Result, again_if_cut
from pollsvc.polls.reading import PollReading, read_polls
from pollsvc.polls.service import PollNotFound, PollWithdrawn
from pollsvc.polls.tallies import Standing, read_standings

Found = TypeVar("Found", Standing, PollReading)


class Lookups:
    """The reads of one process.

    :param engine: reads, each statement by itself.
    :param clock: the application's.
    """

    def __init__(self, engine: Engine, clock: Callable[[], datetime]) -> None:
        self._engine = engine
        self._clock = clock
        self._standings = Batcher(self._read_standings, patience=PATIENCE)
        self._readings = Batcher(self._read_polls, patience=PATIENCE)

    def standing(self, poll_id: uuid.UUID) -> Standing:
        """How a poll stands, as long as readers may see it.

        :raises PollNotFound: if there is none.
        :raises PollWithdrawn: if it was taken off every page.
        """
        return _shown(self._standings.run(poll_id))

    def reading(self, poll_id: uuid.UUID) -> PollReading:
        """A poll as it is shown, as long as readers may see it; raises the same."""
        return _shown(self._readings.run(poll_id))

    def _read_standings(self, poll_ids: Sequence[uuid.UUID], _patience: float) -> list[Standing | None]:
        found = again_if_cut(partial(self._look, read_standings, set(poll_ids)))
        return [found.get(poll_id) for poll_id in poll_ids]

    def _read_polls(self, poll_ids: Sequence[uuid.UUID], _patience: float) -> list[PollReading | None]:
        read = partial(read_polls, now=self._clock())
        readings = again_if_cut(partial(self._look, read, list(set(poll_ids))))
        found = {each.id: each for each in readings}
        return [found.get(poll_id) for poll_id in poll_ids]

    def _look(self, read: Callable[..., Result], *arguments: object) -> Result:
        with self._engine.connect() as connection:
            return read(connection, *arguments)


def _shown(found: Found | None) -> Found:
    if found is None:
        raise PollNotFound
    if found.course.withdrawn_at is not None:
        raise PollWithdrawn
    return found
