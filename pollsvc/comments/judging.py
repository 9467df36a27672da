"""A text is looked at by every check, and the policy decides. Nothing is written here."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from pollsvc.comments.check_requests import unanswered
from pollsvc.comments.checks import all_checks
from pollsvc.comments.checks.check import Check, Submission, Verdict, run_checks
from pollsvc.comments.checks.repeats import Fingerprint, fingerprint_of
from pollsvc.comments.checks.word_lists import ListedWords, WordLists
from pollsvc.comments.facts import Facts
from pollsvc.comments.in_force import InForce
from pollsvc.comments.markup import MarkedUp, mark_up
from pollsvc.comments.models import Status
from pollsvc.comments.policies import Outcome, Policy, Ruling
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


@dataclass(frozen=True)
class Text:
    """What somebody wrote, read.

    :param fingerprint: None where it is too short to tell.
    """

    body: str
    marked_up: MarkedUp
    fingerprint: Fingerprint | None


@dataclass(frozen=True, kw_only=True)
class Draft:
    """A text to be judged, and what is known of how it came.

    :param hosts: the site's own.
    :param words: the lists that hold for its site's language, by kind.
    """

    text: Text
    name: str
    hosts: frozenset[str]
    words: Mapping[str, Sequence[ListedWords]]
    is_premoderated: bool
    is_suspect: bool
    was_approved: bool = False


@dataclass(frozen=True)
class Judgement:
    """What became of a draft."""

    text: Text
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


def read_text(judge_: Judge, body: str) -> Text:
    """Read what somebody wrote, as far as that needs nobody else.

    :raises Invalid: if nothing of it would be seen; the field is ``body``.
    """
    marked_up = mark_up(body)
    if is_blank(marked_up.text):
        raise one_field("body", "Must not be empty: nothing of it would be seen.")
    return Text(body, marked_up, fingerprint_of(body, judge_.print_key))


def judge(judge_: Judge, draft: Draft, facts: Facts, in_force: InForce) -> Judgement:
    """Let every check look at a draft, and decide by the live policy. Those over HTTP are asked later, by the worker."""
    text = draft.text
    submission = Submission(
        body=text.body,
        name=draft.name,
        shown="" if text.marked_up.text.split() == text.body.split() else text.marked_up.text,
        links=text.marked_up.links,
        typed=text.marked_up.typed,
        is_premoderated=draft.is_premoderated,
        was_approved=draft.was_approved,
        is_suspect=draft.is_suspect,
        writer=facts.writer,
        likenesses=facts.likenesses,
        words=draft.words,
        own_hosts=draft.hosts,
    )
    verdicts = [*run_checks(judge_.checks, submission), *unanswered(in_force.asked)]
    return Judgement(text, verdicts, in_force.policy, in_force.policy.decide(verdicts))
