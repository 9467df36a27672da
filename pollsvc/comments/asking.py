"""Asking a check over HTTP: what it is told of a revision, signed by Standard Webhooks, and what it answers."""

from __future__ import annotations

import dataclasses
import time
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import orjson
import structlog
from sqlalchemy import select
from sqlalchemy.orm import Session

from pollsvc.articles.models import Article, Site
from pollsvc.comments.check_answers import BadAnswer, read_answer
from pollsvc.comments.check_requests import MOST_ATTEMPTS, Claimed
from pollsvc.comments.checks.check import Opinion
from pollsvc.comments.markup import mark_up
from pollsvc.comments.models import Comment, CommentRevision, CommentVerdict, Status
from pollsvc.comments.policies import HTTP
from pollsvc.comments.policy_models import HttpCheck
from pollsvc.outbox.delivery import LOST
from pollsvc.outbox.models import UNREADABLE
from pollsvc.outbox.outgoing import TOO_LONG, AddressRefused, Outgoing, OutgoingFailed
from pollsvc.outbox.webhooks import Parcel, sign

log = structlog.get_logger("pollsvc")

#: Why nothing is asked any more.
GONE = "The check was removed, or switched off, before it answered."
REMOVED = "The comment was removed before the check answered."
#: What another attempt may change, beside 5xx: a time-out, too many requests.
_LATER = (408, 429)


class NoAnswer(Exception):
    """A check gave no verdict.

    :param reason: why, for the newsroom; without the address that was asked, and with nothing of what was answered.
    :param is_final: whether it is of no use to ask again.
    """

    def __init__(self, reason: str, *, is_final: bool = False) -> None:
        super().__init__(reason)
        self.reason, self.is_final = reason, is_final


@dataclass(frozen=True)
class Result:
    """What came of an attempt.

    :param version: of the check, as it was asked; None where it was not.
    """

    opinion: Opinion | None
    failure: NoAnswer | None
    version: str | None
    milliseconds: float


@dataclass(frozen=True)
class Question:
    """What a check is asked, ready to be sent."""

    parcel: Parcel
    timeout: int
    version: str
    body: str
    name: str


class Asker:
    """Asks checks.

    :param open_session: opens a session for a look at the tables; it is closed before anything is sent.
    """

    def __init__(self, open_session: Callable[[], Session], outgoing: Outgoing) -> None:
        self._open_session, self._outgoing = open_session, outgoing

    def __call__(self, claimed: Claimed, now: datetime) -> Result:
        """Ask, or find out why not; in far less than a lease."""
        began, version = time.monotonic(), None
        opinion, failure = None, None
        try:
            with self._open_session() as session:
                question = read_question(session, claimed, now)
            version = question.version
            opinion = self._send(question)
        except NoAnswer as error:
            failure = error
        except Exception as error:  # noqa: BLE001 (a fault of ours is told like one of theirs, and asked again)
            log.warning("asking failed", check=claimed.name, kind=type(error).__name__)
            failure = NoAnswer(f"A fault of ours: {type(error).__name__}.")
        return Result(opinion, failure, version, (time.monotonic() - began) * 1000)

    def _send(self, question: Question) -> Opinion:
        outgoing = dataclasses.replace(self._outgoing, step=question.timeout, total=question.timeout)
        parcel = question.parcel
        try:
            answer = outgoing.post(parcel.url, parcel.body.encode(), parcel.headers)
        except AddressRefused as error:
            raise NoAnswer(error.reason, is_final=True) from error
        except OutgoingFailed as error:
            # What has a status is a redirect, and leads there tomorrow too.
            raise NoAnswer(error.reason, is_final=error.status is not None) from error
        if not 200 <= answer.status < 300:
            is_final = answer.status < 500 and answer.status not in _LATER
            raise NoAnswer(f"It answered HTTP {answer.status}.", is_final=is_final)
        if answer.cut:
            raise NoAnswer(answer.cut, is_final=answer.cut == TOO_LONG)
        try:
            return read_answer(answer.body, body=question.body, name=question.name)
        except BadAnswer as error:
            raise NoAnswer(str(error), is_final=True) from error


def read_question(session: Session, claimed: Claimed, now: datetime) -> Question:
    """Make the request that asks a check about a revision.

    :param now: signed too, so that a request which somebody recorded is of no use later.
    :raises NoAnswer: if there is nothing to ask, or nobody.
    """
    if claimed.attempt > MOST_ATTEMPTS:
        raise NoAnswer(LOST, is_final=True)
    check = session.scalar(select(HttpCheck).where(HttpCheck.name == claimed.name.removeprefix(HTTP)))
    if check is None or not check.is_active:
        raise NoAnswer(GONE, is_final=True)
    row = session.execute(
        select(
            Comment.status,
            Comment.name,
            Comment.parent_id,
            CommentRevision.body,
            CommentRevision.body.is_(None).label("is_wiped"),
            Article.url,
            Site.id,
            Site.name.label("site_name"),
            Site.locale,
        )
        .join(CommentRevision, CommentRevision.comment_id == Comment.id)
        .join(Article, Article.id == Comment.article_id)
        .join(Site, Site.id == Article.site_id)
        .where(Comment.id == claimed.comment_id, CommentRevision.number == claimed.revision)
    ).one()
    if row.status == Status.REMOVED or row.is_wiped:
        raise NoAnswer(REMOVED, is_final=True)
    if check.url is None or check.secret is None or row.body is None or row.name is None:
        raise NoAnswer(UNREADABLE, is_final=True)
    asked = {
        "comment_id": str(claimed.comment_id),
        "revision": claimed.revision,
        "article_url": row.url,
        "site": {"id": str(row.id), "name": row.site_name, "locale": row.locale},
        "parent_id": str(row.parent_id) if row.parent_id else None,
        "name": row.name,
        "body": row.body,
        "links": list(mark_up(row.body).links),
        "verdicts": _said_so_far(session, claimed),
    }
    # The same at each attempt; a check may answer a repetition from its memory.
    name = f"{claimed.comment_id}-{claimed.revision}-{check.name}"
    parcel = sign(check.url, orjson.dumps(asked).decode(), name, check.secrets_at(now), now)
    return Question(parcel, check.timeout, str(check.version), row.body, row.name)


def verdicts_of(session: Session, comment_id: uuid.UUID, revision: int) -> list[CommentVerdict]:
    """What all checks said of a revision so far, as the database has it."""
    rows = (
        select(CommentVerdict)
        .where(CommentVerdict.comment_id == comment_id, CommentVerdict.revision == revision)
        .order_by(CommentVerdict.name)
    )
    return list(session.scalars(rows.execution_options(populate_existing=True)))


def _said_so_far(session: Session, claimed: Claimed) -> list[dict[str, Any]]:
    names = ("name", "version", "state", "score", "reason", "spans")
    return [
        {name: getattr(verdict, name) for name in names}
        for verdict in verdicts_of(session, claimed.comment_id, claimed.revision)
        if verdict.name != claimed.name
    ]
