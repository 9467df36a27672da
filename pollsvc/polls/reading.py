"""A poll as it is shown: with its state at a moment and, where they may be seen, its results."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy.orm import Session, lazyload

from pollsvc.consent.models import ConsentText
from pollsvc.polls.models import Choice, Poll, Status, Visibility
from pollsvc.polls.tallies import Tally, read_tallies, read_tally


@dataclass(frozen=True)
class PollReading:
    """What readers are told of a poll, and beside it what only the newsroom is."""

    id: uuid.UUID
    question: str
    kind: str
    choices: Sequence[Choice]
    status: str
    opens_at: datetime | None
    closes_at: datetime | None
    results_visibility: str
    allow_change: bool
    max_choices: int
    article_urls: list[str]
    consent_text: ConsentText | None
    results: Tally | None
    poll: Poll


def shows_results(poll: Poll, now: datetime, *, has_voted: bool) -> bool:
    """Whether somebody may see the tally now."""
    visibility = poll.results_visibility
    if visibility == Visibility.AFTER_VOTE:
        return has_voted
    if visibility == Visibility.AFTER_CLOSE:
        return poll.status_at(now) == Status.CLOSED
    return visibility == Visibility.ALWAYS


def read_results(session: Session, poll_id: uuid.UUID, now: datetime) -> Tally | None:
    """What a reader who has just voted is shown; None where results are hidden.

    Two lean queries, since every vote ends with them: of the poll only its own row is read.
    """
    poll = session.get(Poll, poll_id, options=[lazyload("*")])
    if poll is None or not shows_results(poll, now, has_voted=True):
        return None
    return read_tally(session, poll_id)


def read_polls(
    session: Session, polls: Sequence[Poll], now: datetime, *, has_voted: bool = False
) -> list[PollReading]:
    """Polls as they are shown now, tallies in one query for all.

    :param has_voted: whether the caller has a ballot in each of them.
    """
    open_ids = [poll.id for poll in polls if shows_results(poll, now, has_voted=has_voted)]
    tallies = read_tallies(session, open_ids) if open_ids else {}
    return [_read(poll, now, tallies.get(poll.id)) for poll in polls]


def read_poll(session: Session, poll: Poll, now: datetime, *, has_voted: bool = False) -> PollReading:
    """One poll as it is shown now."""
    return read_polls(session, [poll], now, has_voted=has_voted)[0]


def _read(poll: Poll, now: datetime, results: Tally | None) -> PollReading:
    return PollReading(
        id=poll.id,
        question=poll.question,
        kind=poll.kind,
        choices=poll.choices,
        status=poll.status_at(now),
        opens_at=poll.opens_at,
        closes_at=poll.closes_at,
        results_visibility=poll.results_visibility,
        allow_change=poll.allow_change,
        max_choices=poll.most_choices,
        article_urls=[article.url for article in poll.articles],
        consent_text=poll.consent_text,
        results=results,
        poll=poll,
    )
