"""Each change of a poll leaves its audit row, and is told to the publisher's systems."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy.orm import Session

from pollsvc.outbox.service import announce
from pollsvc.polls.models import Poll
from pollsvc.staff.service import record


def note_made(session: Session, poll: Poll, *, actor: str, now: datetime) -> None:
    """Write down that a poll was made."""
    _record(session, poll, "poll.created", actor=actor, now=now, detail=facts(poll))


def note_change(
    session: Session, poll: Poll, action: str, *, actor: str, now: datetime, **detail: dict[str, Any]
) -> None:
    """Give a poll its next version, and write down what changed.

    :param action: ``poll.edited``, ``poll.closed`` or ``poll.withdrawn``.
    """
    poll.version += 1
    poll.updated_at = now
    session.flush()
    _record(session, poll, action, actor=actor, now=now, detail=detail)


def facts(poll: Poll) -> dict[str, Any]:
    """What an editor decides of a poll."""
    return {
        "question": poll.question,
        "choices": [{"id": choice.id, "text": choice.text} for choice in poll.choices],
        "kind": poll.kind,
        "results_visibility": poll.results_visibility,
        "allow_change": poll.allow_change,
        "max_choices": poll.max_choices,
        "opens_at": poll.opens_at.isoformat() if poll.opens_at else None,
        "closes_at": poll.closes_at.isoformat() if poll.closes_at else None,
        "article_urls": [article.url for article in poll.articles],
        "consent_text_id": str(poll.consent_text.id) if poll.consent_text else None,
    }


def _record(
    session: Session, poll: Poll, action: str, *, actor: str, now: datetime, detail: dict[str, Any]
) -> None:
    record(session, actor=actor, action=action, subject=("poll", poll.id), now=now, detail=detail)
    # What the newsroom does, and never that somebody voted (promise 7).
    told = {
        "id": str(poll.id),
        "site_id": str(poll.site_id),
        "question": poll.question,
        "status": poll.status_at(now),
        "is_withdrawn": poll.withdrawn_at is not None,
        "article_urls": [article.url for article in poll.articles],
        "version": poll.version,
    }
    announce(session, action, site_id=poll.site_id, subject=f"poll:{poll.id}", data=told, now=now)
