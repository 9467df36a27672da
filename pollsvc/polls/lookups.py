"""What readers ask of polls at the same moment, looked up together.

A look-up begins after everybody whom it answers has asked, so that each answer holds every vote that was acknowledged
before its request began. Nothing is kept from one to the next.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable, Sequence
from datetime import datetime
from typing import TypeVar

from sqlalchemy import Engine

from pollsvc.batching import Batcher
from pollsvc.db import PATIENCE
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
        with self._engine.connect() as connection:
            found = read_standings(connection, set(poll_ids))
        return [found.get(poll_id) for poll_id in poll_ids]

    def _read_polls(self, poll_ids: Sequence[uuid.UUID], _patience: float) -> list[PollReading | None]:
        with self._engine.connect() as connection:
            readings = read_polls(connection, list(set(poll_ids)), self._clock())
        found = {each.id: each for each in readings}
        return [found.get(poll_id) for poll_id in poll_ids]


def _shown(found: Found | None) -> Found:
    if found is None:
        raise PollNotFound
    if found.course.withdrawn_at is not None:
        raise PollWithdrawn
    return found
