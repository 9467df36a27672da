"""A consent as the newsroom looks at it: how it stands, everything that happened to it, and its end on request."""

from __future__ import annotations

import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session, selectinload

from pollsvc.consent.links import Links
from pollsvc.consent.models import Consent, ConsentEvent
from pollsvc.consent.service import drop_waiting, withdraw
from pollsvc.consent.states import ConsentNotFound
from pollsvc.staff.service import record

#: Of a secret not even the hash leaves the database.
_SECRET = ("token", "key", "withdrawal_hash", "token_hash")


@dataclass(frozen=True)
class Timeline:
    """A consent and its events, oldest first."""

    consent: Consent
    events: Sequence[ConsentEvent]


def look_at_consent(session: Session, consent_id: uuid.UUID, *, actor: str, now: datetime) -> Timeline:
    """A consent's timeline. That somebody looked leaves an audit row.

    :raises ConsentNotFound: if there is none with this id.
    """
    consent = session.get(Consent, consent_id)
    if consent is None:
        raise ConsentNotFound
    record(session, actor=actor, action="consent.viewed", subject=("consent", consent.id), now=now)
    return Timeline(consent, _events(session, consent.id))


def end_consent(
    session: Session, links: Links, consent_id: uuid.UUID, *, note: str | None, actor: str, now: datetime
) -> Timeline:
    """Withdraw a consent because its person asked the newsroom to. One that ended already is left as it is.

    :param note: how they asked; kept with the event for good, so that nothing about the person belongs in it.
    :raises ConsentNotFound: if there is none with this id.
    """
    known = session.get(Consent, consent_id)
    if known is not None:
        drop_waiting(session, known)
    consent = session.get(Consent, consent_id, populate_existing=True, with_for_update={"of": Consent})
    if consent is None:
        raise ConsentNotFound
    before = consent.state
    evidence = {"note": note} if note else None
    if withdraw(session, links, consent, method="staff", now=now, actor=actor, evidence=evidence):
        subject = ("consent", consent.id)
        detail = {"before": before, "after": consent.state}
        record(session, actor=actor, action="consent.withdrawn", subject=subject, now=now, detail=detail)
    return Timeline(consent, _events(session, consent.id))


def shown_evidence(evidence: Mapping[str, Any] | None) -> dict[str, Any]:
    """What was seen at an event, without what could open a link or take a sign-up back."""
    return {
        name: shown_evidence(value) if isinstance(value, Mapping) else value
        for name, value in (evidence or {}).items()
        if not name.endswith(_SECRET)
    }


def _events(session: Session, consent_id: uuid.UUID) -> Sequence[ConsentEvent]:
    theirs = (
        select(ConsentEvent)
        .where(ConsentEvent.consent_id == consent_id)
        .options(selectinload(ConsentEvent.text), selectinload(ConsentEvent.article))
        .order_by(ConsentEvent.id)
    )
    return session.scalars(theirs).all()
