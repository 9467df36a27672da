"""Whether every outcome of the past is what its policy makes of its verdicts: that no rule changed in silence."""

from __future__ import annotations

import uuid
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from sqlalchemy.orm import Session

from pollsvc.comments.judged_revisions import judged_revisions
from pollsvc.comments.policies import BUILT_IN, Policy
from pollsvc.comments.policy_drafts import policy_of


@dataclass(frozen=True)
class Misjudged:
    """A text whose stored outcome is not what the policy that judged it gives.

    :param stored: the outcome and because of the row; ``replayed`` the same as they come out now.
    """

    comment_id: uuid.UUID
    revision: int
    policy_version: int
    stored: tuple[str, Sequence[str]]
    replayed: tuple[str, Sequence[str]]


def find_misjudged(session: Session) -> Iterator[Misjudged]:
    """Decide anew about every text there is, by the version that decided then.

    :raises PolicyNotFound: if a version is gone that a text was judged by.
    """
    policies: dict[int, Policy] = {BUILT_IN.version: BUILT_IN}
    for revision in judged_revisions(session):
        version = revision.policy_version
        if version not in policies:
            policies[version] = policy_of(session, version)
        ruling = policies[version].decide(revision.verdicts)
        stored = (revision.outcome, list(revision.because))
        replayed = (str(ruling.outcome), list(ruling.because))
        if stored != replayed:
            yield Misjudged(revision.comment_id, revision.number, version, stored, replayed)
