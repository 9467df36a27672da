"""A poll as it is shown: with its state at a moment and, where they may be seen, its results."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, cast

from sqlalchemy import BindParameter, Connection, Row, Table, bindparam, select
from sqlalchemy.orm import Session

from pollsvc.articles.models import Article
from pollsvc.consent.models import ConsentText, Mode
from pollsvc.polls.models import Course, Poll, most_choices, poll_article
from pollsvc.polls.tallies import Standing, Tally, read_standings

#: How often a poll is read anew that is being edited; who edits it faster shows it in two versions.
TRIES = 5

_POLL, _ARTICLE, _TEXT = (cast(Table, model.__table__) for model in (Poll, Article, ConsentText))
_IDS: BindParameter[uuid.UUID] = bindparam("poll_ids", expanding=True)
_DESCRIPTIONS = (
    select(
        _POLL,
        _TEXT.c.id.label("text_id"),
        _TEXT.c.body.label("text_body"),
        _TEXT.c.privacy_url,
        _TEXT.c.terms_url,
        _TEXT.c.mode,
    )
    .outerjoin(_TEXT, _TEXT.c.id == _POLL.c.consent_text_id)
    .where(_POLL.c.id.in_(_IDS))
)
_ADDRESSES = (
    select(poll_article.c.poll_id, _ARTICLE.c.url)
    .join(_ARTICLE, _ARTICLE.c.id == poll_article.c.article_id)
    .where(poll_article.c.poll_id.in_(_IDS))
    .order_by(_ARTICLE.c.id)
)


@dataclass(frozen=True)
class ShownChoice:
    """A choice without its count, which may be hidden."""

    id: int
    text: str


@dataclass(frozen=True)
class ShownText:
    """The words beside the box, and what they lead to."""

    id: uuid.UUID
    body: str
    privacy_url: str | None
    terms_url: str | None


@dataclass(frozen=True)
class PollReading:
    """What readers are told of a poll, and after it what only the newsroom is."""

    id: uuid.UUID
    question: str
    kind: str
    choices: Sequence[ShownChoice]
    status: str
    opens_at: datetime | None
    closes_at: datetime | None
    results_visibility: str
    allow_change: bool
    max_choices: int
    article_urls: list[str]
    consent_text: ShownText | None
    results: Tally | None
    version: int
    site_id: uuid.UUID
    created_at: datetime
    updated_at: datetime
    #: Whether its consent text is for those with an account of the publisher's: no plain form knows one.
    is_for_accounts: bool
    course: Course


def read_polls(
    connection: Connection, poll_ids: Sequence[uuid.UUID], now: datetime, *, has_voted: bool = False
) -> list[PollReading]:
    """Polls as they are shown now, in the order of their ids given; unknown ones are left out. Three queries for all.

    :param has_voted: whether the caller has a ballot in each of them.
    """
    if not poll_ids:
        return []
    described, standings = _look(connection, poll_ids)
    urls: dict[uuid.UUID, list[str]] = {}
    for poll_id, url in connection.execute(_ADDRESSES, {"poll_ids": list(poll_ids)}):
        urls.setdefault(poll_id, []).append(url)
    return [
        _read(described[poll_id], urls.get(poll_id, []), standings[poll_id], now, has_voted=has_voted)
        for poll_id in poll_ids
        if poll_id in described and poll_id in standings
    ]


def read_poll(session: Session, poll_id: uuid.UUID, now: datetime, *, has_voted: bool = False) -> PollReading:
    """One poll, which exists, as it is shown now."""
    session.flush()
    [reading] = read_polls(session.connection(), [poll_id], now, has_voted=has_voted)
    return reading


def _look(
    connection: Connection, poll_ids: Sequence[uuid.UUID]
) -> tuple[dict[uuid.UUID, Row[Any]], dict[uuid.UUID, Standing]]:
    """Words and counts of the same version: an edit between the two looks is seen by a difference, and both are new."""
    for _ in range(TRIES):
        described = {row.id: row for row in connection.execute(_DESCRIPTIONS, {"poll_ids": list(poll_ids)})}
        standings = read_standings(connection, poll_ids)
        if all(
            described[found].version == standings[found].version for found in described if found in standings
        ):
            break
    return described, standings


def _read(
    row: Row[Any], article_urls: list[str], standing: Standing, now: datetime, *, has_voted: bool
) -> PollReading:
    course, tally = standing.course, standing.tally
    text = ShownText(row.text_id, row.text_body, row.privacy_url, row.terms_url) if row.text_id else None
    return PollReading(
        id=row.id,
        question=row.question,
        kind=row.kind,
        choices=[ShownChoice(count.id, count.text) for count in tally.choices],
        status=course.status_at(now),
        opens_at=row.opens_at,
        closes_at=row.closes_at,
        results_visibility=row.results_visibility,
        allow_change=row.allow_change,
        max_choices=most_choices(row.kind, row.max_choices, len(tally.choices)),
        article_urls=article_urls,
        consent_text=text,
        results=tally if course.shows_results(now, has_voted=has_voted) else None,
        version=row.version,
        site_id=row.site_id,
        is_for_accounts=row.mode == Mode.SOFT_OPT_IN,
        created_at=row.created_at,
        updated_at=row.updated_at,
        course=course,
    )
