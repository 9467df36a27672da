"""What is done about ballots."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy.orm import Session

from pollsvc.errands.errand import Errand
from pollsvc.polls.mixing import Pace, has_unsettled, mix_ballots


def mixing(pace: Pace) -> Errand:
    """Write ballots again among others. It comes first: the sign-up that woke the worker stands beside a ballot."""

    def is_due(session: Session, now: datetime) -> bool:
        if not pace.allows():
            return False
        with pace.look():
            is_due = has_unsettled(session, now)
        if not is_due:
            pace.rest()
        return is_due

    def act(session: Session, now: datetime) -> bool:
        with pace.step():
            return mix_ballots(session, now)

    return Errand("mixing", is_due, act)
