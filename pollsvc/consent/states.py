"""How a consent stands, from what happened to it: one reducer for the door of every change and for the rebuild."""

from __future__ import annotations

import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import insert, inspect, select
from sqlalchemy.orm import Session
from uuid_utils.compat import uuid7

from pollsvc.consent.models import Consent, ConsentEvent, ConsentText, Kind, State
from pollsvc.db import Model
from pollsvc.errors import NotFound


class ConsentNotFound(NotFound):
    """No consent has this id."""

    code = "consent_not_found"
    detail = "There is no consent with this id."


def new_consent(event: ConsentEvent, text: ConsentText) -> Consent:
    """A consent before its first event."""
    return Consent(
        id=event.consent_id,
        subscriber_id=event.subscriber_id,
        site_id=text.site_id,
        purpose=text.purpose,
        text_id=event.text_id,
        is_suspect=event.is_suspect,
        state=State.PENDING,
        requested_at=event.occurred_at,
        changed_at=event.occurred_at,
    )


def apply(consent: Consent, event: ConsentEvent) -> bool:
    """Let an event change how a consent stands.

    :returns: whether anything is left of it: False where the person was forgotten, or never confirmed in time.
    """
    kind, at = event.kind, event.occurred_at
    if kind == Kind.REQUESTED:
        consent.state = State.PENDING
        _take_over(consent, event)
        consent.requested_at, consent.confirmed_at, consent.valid_until = at, None, None
    elif kind in (Kind.CONFIRMED, Kind.RENEWED, Kind.IMPORTED):
        consent.state, consent.confirmed_at, consent.valid_until = State.ACTIVE, at, None
        consent.text_id = event.text_id
        seen = event.evidence or {}
        if kind == Kind.IMPORTED:
            _take_over(consent, event)
            consent.requested_at = at
        elif kind == Kind.CONFIRMED and "request_id" in seen:
            # Of several requests the one whose mail was answered, which need not be the newest.
            _take_over(consent, event)
            consent.requested_at = datetime.fromisoformat(seen["requested_at"])
    elif kind in (Kind.WITHDRAWN, Kind.SUPPRESSED):
        consent.state, consent.valid_until = State.WITHDRAWN, None
    elif kind == Kind.EXPIRED:
        consent.state, consent.valid_until = State.EXPIRED, None
        # A consent that was given once is proof. Asked for anew since, by whomever, and not confirmed: it ended when it
        # ended, and who had left has left.
        before = (event.evidence or {}).get("before")
        if before:
            consent.state = State(before["state"])
            consent.confirmed_at = datetime.fromisoformat(before["confirmed_at"])
            at = datetime.fromisoformat(before["changed_at"])
        consent.changed_at = at
        return consent.confirmed_at is not None
    elif kind == Kind.RENEWAL_SENT:
        consent.valid_until = datetime.fromisoformat((event.evidence or {})["valid_until"])
        return True
    else:  # a mail was sent, a suppression lifted: the consent stands as it did
        return kind != Kind.ERASED
    consent.changed_at = at
    return True


def _take_over(consent: Consent, event: ConsentEvent) -> None:
    """Stand on this event's request from now on."""
    consent.text_id, consent.article_id, consent.origin = event.text_id, event.article_id, event.origin
    consent.is_suspect = event.is_suspect
    seen = event.evidence or {}
    request, taken_back_by = seen.get("request_id"), seen.get("withdrawal_hash")
    consent.request_id = uuid.UUID(request) if request else None
    consent.withdrawal_hash = bytes.fromhex(taken_back_by) if taken_back_by else None


def note(
    session: Session,
    consent: Consent,
    kind: Kind,
    *,
    text: ConsentText,
    method: str,
    now: datetime,
    actor: str = "reader",
    evidence: Mapping[str, Any] | None = None,
    origin: str | None = None,
    article_id: uuid.UUID | None = None,
    is_suspect: bool = False,
) -> ConsentEvent:
    """Append an event and let it change the consent: the only door to a consent's state.

    :param consent: locked by the caller, or new and in the session.
    """
    event = ConsentEvent(
        id=_next_id(session, consent.id),
        kind=kind,
        consent_id=consent.id,
        subscriber_id=consent.subscriber_id,
        text_id=text.id,
        text_hash=text.body_hash,
        article_id=article_id,
        origin=origin,
        method=method,
        evidence=dict(evidence or {}),
        actor=actor,
        is_suspect=is_suspect,
        occurred_at=now,
    )
    session.add(event)
    remains = apply(consent, event)
    session.flush()
    if remains:
        # It may stand on another text now than the one that was read with it.
        session.expire(consent, ["text", "article"])
    else:
        session.delete(consent)
        session.flush()
    return event


@dataclass(frozen=True)
class Begun:
    """What is a new consent's own where many begin alike."""

    consent_id: uuid.UUID
    subscriber_id: uuid.UUID
    evidence: Mapping[str, Any]


def begin_alike(session: Session, text: ConsentText, first: ConsentEvent, begun: Sequence[Begun]) -> Consent:
    """Begin many consents with the same event but for ids and evidence: the same door, opened once for a thousand.

    :param first: the event, in no session; its evidence changes nothing of how a consent stands.
    :returns: how each stands, in no session.
    """
    consent = new_consent(first, text)
    apply(consent, first)
    event_row, consent_row = _columns(first), _columns(consent)
    if begun:
        session.execute(insert(ConsentEvent), [{**event_row, "id": uuid7(), **vars(each)} for each in begun])
        session.execute(
            insert(Consent),
            [{**consent_row, "id": each.consent_id, "subscriber_id": each.subscriber_id} for each in begun],
        )
    return consent


def _columns(row: Model) -> dict[str, Any]:
    return {column.key: getattr(row, column.key) for column in inspect(type(row)).column_attrs}


def _next_id(session: Session, consent_id: uuid.UUID) -> uuid.UUID:
    """An id after those of the consent's other events: another host's clock may be ahead of ours."""
    last = session.scalar(
        select(ConsentEvent.id)
        .where(ConsentEvent.consent_id == consent_id)
        .order_by(ConsentEvent.id.desc())
        .limit(1)
    )
    fresh = uuid7()
    return fresh if last is None or fresh > last else uuid.UUID(int=last.int + 1)
