"""What verdicts lead to. A policy is a document with a version; deciding by it is a plain function of the verdicts.

Each check's verdict gives one vote by the policy's thresholds: to publish, to hold, to reject, or none. What all votes agree
on is done; without a vote a comment is published; where they disagree, a human decides.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Protocol

from sqlalchemy import select
from sqlalchemy.orm import Session

from pollsvc.comments.policy_models import CommentPolicy


class Outcome(StrEnum):
    """What is done with a revision."""

    PUBLISH = "publish"
    HOLD = "hold"
    REJECT = "reject"


class Judged(Protocol):
    """A verdict, fresh from its check or read from its row."""

    @property
    def name(self) -> str: ...
    @property
    def state(self) -> str: ...
    @property
    def score(self) -> float: ...


@dataclass(frozen=True)
class Thresholds:
    """How one check's score becomes a vote.

    :param publish: up to this score it votes to publish; None where it never vouches for anything.
    :param hold: from this score on it votes to hold; None where it never does.
    :param reject: from this score on it votes to reject; None where it never does.
    :param when_missing: its vote where it failed, or as long as it has not answered.
    """

    publish: float | None = None
    hold: float | None = None
    reject: float | None = None
    when_missing: Outcome | None = Outcome.HOLD

    def vote(self, verdict: Judged) -> Outcome | None:
        """The vote of a verdict; None where it has none."""
        if verdict.state != "done":
            return self.when_missing
        if self.reject is not None and verdict.score >= self.reject:
            return Outcome.REJECT
        if self.hold is not None and verdict.score >= self.hold:
            return Outcome.HOLD
        if self.publish is not None and verdict.score <= self.publish:
            return Outcome.PUBLISH
        return None


#: What the names of checks over HTTP begin with.
HTTP = "http:"
#: Of a check over HTTP that a policy does not name: whoever switches one on is not let down by a policy that is older.
#: Policies of all versions hold by it, so that another one would need another way to give past outcomes again.
UNNAMED_HTTP = Thresholds(hold=0.5, when_missing=Outcome.HOLD)


@dataclass(frozen=True)
class Ruling:
    """What a policy decided.

    :param because: the checks whose votes led to it.
    """

    outcome: Outcome
    because: Sequence[str]


@dataclass(frozen=True)
class Policy:
    """Thresholds by check. A check that it does not name has no vote; one over HTTP has :data:`UNNAMED_HTTP`."""

    version: int
    checks: Mapping[str, Thresholds]

    def thresholds_of(self, name: str) -> Thresholds | None:
        """How a check's score becomes a vote; None where it has none."""
        return self.checks.get(name) or (UNNAMED_HTTP if name.startswith(HTTP) else None)

    def decide(self, verdicts: Iterable[Judged]) -> Ruling:
        """What the verdicts lead to; the same for the same ones, whenever it is asked."""
        votes = {
            verdict.name: vote
            for verdict in verdicts
            if (thresholds := self.thresholds_of(verdict.name))
            and (vote := thresholds.vote(verdict)) is not None
        }
        cast = set(votes.values())
        if not cast or cast == {Outcome.PUBLISH}:
            return Ruling(Outcome.PUBLISH, [])
        if cast == {Outcome.REJECT}:
            return Ruling(Outcome.REJECT, sorted(votes))
        against = sorted(name for name, vote in votes.items() if vote != Outcome.PUBLISH)
        return Ruling(Outcome.HOLD, against)


def read_policy(version: int, document: Mapping[str, Any]) -> Policy:
    """The policy that a document stands for; its shape was checked when it was taken in."""
    checks = {}
    for name, given in document["checks"].items():
        missing = given.get("when_missing", Outcome.HOLD)
        scores = {key: given.get(key) for key in ("publish", "hold", "reject")}
        checks[name] = Thresholds(**scores, when_missing=Outcome(missing) if missing else None)
    return Policy(version, checks)


def live_policy(session: Session) -> Policy:
    """The policy that decides now."""
    row = session.execute(
        select(CommentPolicy.version, CommentPolicy.document).where(CommentPolicy.state == "live")
    ).one_or_none()
    return read_policy(row.version, row.document) if row else BUILT_IN


#: It only holds: nothing is rejected that no human looked at. Like any version it judged texts that are kept: a release that
#: wants other thresholds gives them another number (:mod:`pollsvc.comments.replaying` would tell).
BUILT_IN = Policy(
    0,
    {
        "premoderation": Thresholds(hold=1),
        "approval_taken_back": Thresholds(hold=1),
        "banned_address": Thresholds(hold=1),
        "new_commenter": Thresholds(hold=0.6),
        "recent_rejections": Thresholds(hold=0.6),
        "velocity": Thresholds(hold=0.5),
        "form": Thresholds(hold=1),
        "banned_words": Thresholds(hold=1),
        "suspect_words": Thresholds(hold=1),
        "links": Thresholds(hold=0.6),
        "repeats": Thresholds(hold=0.8),
        "shouting": Thresholds(hold=0.7),
    },
)
