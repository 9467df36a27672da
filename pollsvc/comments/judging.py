"""A text is looked at by every check, and the policy decides. Nothing is written here."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from urllib.parse import urlsplit

from sqlalchemy import insert
from sqlalchemy.orm import Session

from pollsvc.articles.models import Site
from pollsvc.comments.check_requests import unanswered, write_requests
from pollsvc.comments.checks import all_checks
from pollsvc.comments.checks.check import Check, Submission, Verdict, run_checks
from pollsvc.comments.checks.repeats import Fingerprint, fingerprint_of
from pollsvc.comments.checks.word_lists import WordLists
from pollsvc.comments.facts import facts_of, likenesses_of
from pollsvc.comments.markup import MarkedUp, mark_up
from pollsvc.comments.models import CommentRevision, CommentVerdict, Status
from pollsvc.comments.policies import Outcome, Policy, Ruling, live_policy
from pollsvc.comments.writers import Writer
from pollsvc.errors import one_field
from pollsvc.keys import Keys
from pollsvc.text import is_blank

#: Where a revision lands.
STATUS_OF = {
    Outcome.PUBLISH: Status.PUBLISHED,
    Outcome.HOLD: Status.HELD,
    Outcome.REJECT: Status.REJECTED,
}


class Judge:
    """What looks at comments in a process: the checks, the lists as it last saw them, and the key of fingerprints."""

    def __init__(self, keys: Keys, checks: Sequence[Check] | None = None) -> None:
        self.keys = keys
        self.lists = WordLists()
        self.checks = all_checks() if checks is None else checks
        self.print_key = keys.derive("comment fingerprints")


@dataclass(frozen=True, kw_only=True)
class Draft:
    """A text to be judged, and what is known of how it came.

    :param comment_id: the comment that is edited; None for a new one.
    """

    site: Site
    writer: Writer
    name: str
    email_hash: bytes | None
    body: str
    is_premoderated: bool
    is_suspect: bool
    was_approved: bool = False
    comment_id: uuid.UUID | None = None


@dataclass(frozen=True)
class Judgement:
    """What became of a draft."""

    body: str
    marked_up: MarkedUp
    fingerprint: Fingerprint | None
    verdicts: Sequence[Verdict]
    policy: Policy
    ruling: Ruling

    @property
    def status(self) -> Status:
        """Where the revision lands."""
        return STATUS_OF[self.ruling.outcome]

    @property
    def actor(self) -> str:
        """Who decided."""
        return f"policy:{self.policy.version}"


def judge(session: Session, judge_: Judge, draft: Draft, now: datetime) -> Judgement:
    """Let every check look at a draft, and decide by the live policy. Those over HTTP are asked later, by the worker.

    :param session: reads only.
    :raises Invalid: if nothing of the text would be seen; the field is ``body``.
    """
    marked_up = mark_up(draft.body)
    if is_blank(marked_up.text):
        raise one_field("body", "Must not be empty: nothing of it would be seen.")
    fingerprint = fingerprint_of(draft.body, judge_.print_key)
    submission = Submission(
        body=draft.body,
        name=draft.name,
        shown="" if marked_up.text.split() == draft.body.split() else marked_up.text,
        links=marked_up.links,
        is_premoderated=draft.is_premoderated,
        was_approved=draft.was_approved,
        is_suspect=draft.is_suspect,
        writer=facts_of(session, draft.writer, draft.email_hash, now, draft.comment_id),
        likenesses=likenesses_of(
            session,
            draft.body,
            fingerprint,
            writer=draft.writer,
            now=now,
            comment_id=draft.comment_id,
        ),
        words=judge_.lists.of_language(session, draft.site.locale),
        own_hosts=frozenset(urlsplit(row.origin).hostname or "" for row in draft.site.origins),
    )
    policy = live_policy(session)
    verdicts = [*run_checks(judge_.checks, submission), *unanswered(session)]
    return Judgement(draft.body, marked_up, fingerprint, verdicts, policy, policy.decide(verdicts))


def write_revision(
    session: Session, comment_id: uuid.UUID, number: int, judgement: Judgement, now: datetime
) -> None:
    """Keep a text with all that was said of it."""
    found = judgement.fingerprint
    bands: Sequence[Any] = found.bands if found else [None] * 4
    session.execute(
        insert(CommentRevision).values(
            comment_id=comment_id,
            number=number,
            body=judgement.body,
            text_hash=found.text_hash if found else None,
            **{f"band_{place}": band for place, band in enumerate(bands)},
            policy_version=judgement.policy.version,
            outcome=judgement.ruling.outcome,
            because=list(judgement.ruling.because),
            created_at=now,
        )
    )
    rows = [
        {
            "comment_id": comment_id,
            "revision": number,
            "name": verdict.name,
            "version": verdict.version,
            "state": verdict.state,
            "score": verdict.score,
            "spans": [list(span) for span in verdict.spans],
            "reason": verdict.reason,
            "milliseconds": verdict.milliseconds,
        }
        for verdict in judgement.verdicts
    ]
    session.execute(insert(CommentVerdict), rows)
    write_requests(session, comment_id, number, judgement.verdicts, now)
