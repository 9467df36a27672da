"""Every text that was judged, with what the checks said of it then: what a policy can be tried on."""

from __future__ import annotations

import uuid
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import NamedTuple

from sqlalchemy import Connection, select, tuple_, type_coerce
from sqlalchemy.orm import Session
from sqlalchemy.types import NullType

from pollsvc.comments.models import CommentRevision, CommentVerdict

#: Revisions that are read at once, with a dozen verdicts each.
BATCH = 1_000


class StoredVerdict(NamedTuple):
    """What a check said, as far as a policy asks."""

    name: str
    state: str
    score: float


@dataclass(frozen=True)
class JudgedRevision:
    """A text that was judged, without the text.

    :param because: the checks whose votes led to the outcome.
    """

    comment_id: uuid.UUID
    number: int
    policy_version: int
    outcome: str
    because: Sequence[str]
    verdicts: Sequence[StoredVerdict]


_PLACE = (CommentRevision.created_at, CommentRevision.comment_id, CommentRevision.number)
#: The id as the driver gives it: making a UUID for each of a million verdicts took half of the time.
_KEY = type_coerce(CommentRevision.comment_id, NullType()).label("key")


def judged_revisions(
    session: Session, since: datetime | None = None, batch: int = BATCH
) -> Iterator[JudgedRevision]:
    """Every revision of this time, the newest first; one batch of them at a time is in memory.

    :param since: None: from the beginning on.
    """
    wanted = select(
        *_PLACE, CommentRevision.policy_version, CommentRevision.outcome, CommentRevision.because, _KEY
    ).order_by(*(column.desc() for column in _PLACE))
    if since is not None:
        wanted = wanted.where(CommentRevision.created_at >= since)
    connection = session.connection()
    rows = connection.execute(wanted.limit(batch)).all()
    while rows:
        verdicts = _verdicts_of(connection, {row.comment_id for row in rows})
        for _, comment_id, number, version, outcome, because, key in rows:
            said = verdicts.get((key, number), [])
            yield JudgedRevision(comment_id, number, version, outcome, because, said)
        # The time by itself too: it is what the index is of.
        last = tuple(rows[-1][:3])
        further = wanted.where(CommentRevision.created_at <= last[0], tuple_(*_PLACE) < last)
        rows = connection.execute(further.limit(batch)).all()


def _verdicts_of(
    connection: Connection, ids: Collection[uuid.UUID]
) -> dict[tuple[object, int], list[StoredVerdict]]:
    found: dict[tuple[object, int], list[StoredVerdict]] = {}
    of = CommentVerdict
    key = type_coerce(of.comment_id, NullType()).label("key")
    rows = connection.execute(
        select(key, of.revision, of.name, of.state, of.score).where(of.comment_id.in_(ids))
    )
    for each, number, name, state, score in rows.all():
        found.setdefault((each, number), []).append(StoredVerdict(name, state, score))
    return found
