"""What a policy would have done with the texts of the last days: nothing is judged anew, the stored verdicts are counted again."""

from __future__ import annotations

import uuid
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import select
from sqlalchemy.orm import Session

from pollsvc.articles.models import Article
from pollsvc.comments.judged_revisions import JudgedRevision, judged_revisions
from pollsvc.comments.models import Comment, CommentRevision
from pollsvc.comments.policies import Policy, Ruling


@dataclass(frozen=True)
class Move:
    """How many texts would go from one outcome to another."""

    before: str
    after: str
    count: int


@dataclass(frozen=True)
class Differing:
    """A text that the policy would do something else with.

    :param status: how the comment stands now, whoever decided.
    :param before: what was done with the text, ``after`` what would be, by the votes of the checks in ``because``.
    :param body: None where it was wiped.
    """

    id: uuid.UUID
    revision: int
    article_url: str
    status: str
    before: str
    after: str
    because: Sequence[str]
    body: str | None


@dataclass(frozen=True)
class Simulation:
    """What a policy would change.

    :param judged: texts that were looked at.
    :param changed: how many it would do something else with; all are counted, some of them listed.
    """

    policy_version: int
    since: datetime
    judged: int
    changed: int
    moves: Sequence[Move]
    items: Sequence[Differing]


def simulate(session: Session, policy: Policy, *, since: datetime, limit: int) -> Simulation:
    """Decide by a policy about every text since then, by what the checks said of it. Changes nothing.

    :param limit: how many of those that would change are listed, the newest first.
    """
    judged = 0
    moves: Counter[tuple[str, str]] = Counter()
    listed: list[tuple[JudgedRevision, Ruling]] = []
    for revision in judged_revisions(session, since):
        judged += 1
        ruling = policy.decide(revision.verdicts)
        if ruling.outcome == revision.outcome:
            continue
        moves[revision.outcome, str(ruling.outcome)] += 1
        if len(listed) < limit:
            listed.append((revision, ruling))
    return Simulation(
        policy_version=policy.version,
        since=since,
        judged=judged,
        changed=moves.total(),
        moves=[Move(*way, count) for way, count in sorted(moves.items())],
        items=_read_items(session, listed),
    )


def _read_items(session: Session, listed: Sequence[tuple[JudgedRevision, Ruling]]) -> Sequence[Differing]:
    texts = _texts(session, {revision.comment_id for revision, _ in listed})
    items = []
    for revision, ruling in listed:
        url, status, body = texts[revision.comment_id, revision.number]
        items.append(
            Differing(
                id=revision.comment_id,
                revision=revision.number,
                article_url=url,
                status=status,
                before=revision.outcome,
                after=ruling.outcome,
                because=ruling.because,
                body=body,
            )
        )
    return items


def _texts(
    session: Session, ids: set[uuid.UUID]
) -> Mapping[tuple[uuid.UUID, int], tuple[str, str, str | None]]:
    rows = session.execute(
        select(
            CommentRevision.comment_id,
            CommentRevision.number,
            Article.url,
            Comment.status,
            CommentRevision.body,
        )
        .join(Comment, Comment.id == CommentRevision.comment_id)
        .join(Article, Article.id == Comment.article_id)
        .where(CommentRevision.comment_id.in_(ids))
    )
    return {(comment_id, number): (url, status, body) for comment_id, number, url, status, body in rows}
