"""What is done for those whom something is kept about: their requests, and forgetting."""

from __future__ import annotations

import random
from datetime import datetime
from pathlib import Path

import structlog
from sqlalchemy.orm import Session

from pollsvc.config import Settings
from pollsvc.consent.links import Links
from pollsvc.errands.errand import Errand, Seldom
from pollsvc.privacy.clocks import is_any_over, wipe_next
from pollsvc.privacy.leftovers import clear_leftovers, is_any_due, orphaned_files
from pollsvc.privacy.requests import answer_request, due_requests
from pollsvc.privacy.retention import all_clocks

log = structlog.get_logger("pollsvc")


def data_requests(links: Links) -> Errand:
    """Mail links to what is kept to those who asked for one."""

    def is_due(session: Session, now: datetime) -> bool:
        return session.scalar(due_requests(now).limit(1)) is not None

    def act(session: Session, now: datetime) -> bool:
        waiting = session.scalars(due_requests(now).limit(16)).all()
        if not waiting:
            return False
        answer = answer_request(session, links, random.choice(waiting), now)  # noqa: S311 (no secret)
        if answer:
            log.info("data request answered", answer=answer)
        return True

    return Errand("data_requests", is_due, act)


def leftovers(settings: Settings) -> Errand:
    """Clear away what erasures leave outside of the tables."""
    return Errand("leftovers", is_any_due, lambda session, now: clear_leftovers(session, settings, now))


def retention(settings: Settings) -> Errand:
    """Forget what was kept long enough, some rows at a time."""
    clocks, seldom = all_clocks(settings), Seldom()

    def is_due(session: Session, now: datetime) -> bool:
        return seldom(now, lambda: is_any_over(session, clocks, now))

    return Errand("retention", is_due, lambda session, now: wipe_next(session, clocks, now))


def mail_files(settings: Settings) -> Errand:
    """Delete the files of mails whose messages are gone. Each host does so in its own folder."""
    seldom = Seldom()
    orphans: list[Path] = []

    def is_due(session: Session, now: datetime) -> bool:
        def look() -> bool:
            orphans[:] = orphaned_files(session, settings, now)
            return bool(orphans)

        return seldom(now, look)

    def act(_session: Session, _now: datetime) -> bool:
        # A file's name is never used again, so that it does not matter how long ago that was.
        for path in orphans.copy():
            path.unlink(missing_ok=True)
        return False

    return Errand("mail_files", is_due, act)
