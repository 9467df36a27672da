"""A text is looked at by every check, and the policy decides. Nothing is written here."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection

from pollsvc.comments.check_requests import unanswered
from pollsvc.comments.checks import all_checks
from pollsvc.comments.checks.check import Check, Submission, Verdict, run_checks
from pollsvc.comments.checks.repeats import Fingerprint, fingerprint_of
from pollsvc.comments.checks.word_lists import WordLists
from pollsvc.comments.facts import likenesses_of
from pollsvc.comments.grounds import Grounds
from pollsvc.comments.markup import MarkedUp, mark_up
from pollsvc.comments.models import Status
from pollsvc.comments.policies import Outcome, Policy, Ruling
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

    :param locale: the site's language, such as ``pt-BR``.
    :param hosts: the site's own.
    :param comment_id: the comment that is edited; None for a new one.
    """

    locale: str
    hosts: frozenset[str]
    writer: Writer
    name: str
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


def judge(connection: Connection, judge_: Judge, draft: Draft, grounds: Grounds, now: datetime) -> Judgement:
    """Let every check look at a draft, and decide by the live policy. Those over HTTP are asked later, by the worker.

    :param connection: reads only.
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
        writer=grounds.writer,
        likenesses=likenesses_of(
            connection,
            draft.body,
            fingerprint,
            writer=draft.writer,
            now=now,
            comment_id=draft.comment_id,
        ),
        words=judge_.lists.of_language(connection, grounds.lists, draft.locale),
        own_hosts=draft.hosts,
    )
    policy = grounds.policy
    verdicts = [*run_checks(judge_.checks, submission), *unanswered(grounds.asked)]
    return Judgement(draft.body, marked_up, fingerprint, verdicts, policy, policy.decide(verdicts))
