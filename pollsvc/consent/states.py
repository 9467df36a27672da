"""How a consent stands, from what happened to it: one reducer for the door of every change and for the rebuild."""

from __future__ import annotations

import uuid
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import insert, inspect, select
from sqlalchemy.orm import Session
from uuid_utils.compat import uuid7

from pollsvc.consent.models import Consent, ConsentEvent, ConsentText, Kind, State
from pollsvc.db import Model
from pollsvc.errors import NotFound

#: By these a consent ends, and as what.
ENDS: dict[str, State] = {
    Kind.WITHDRAWN: State.WITHDRAWN,
    Kind.SUPPRESSED: State.WITHDRAWN,
    Kind.EXPIRED: State.EXPIRED,
}
#: What a request for a consent changes of how it stood.
_KEPT = (
    "state",
    "text_id",
    "article_id",
    "origin",
    "is_suspect",
    "request_id",
    "withdrawal_hash",
    "requested_at",
    "confirmed_at",
    "changed_at",
)


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
    elif kind in ENDS:
        consent.state, consent.valid_until = ENDS[kind], None
        if before := (event.evidence or {}).get("before"):
            _put_back(consent, before)
            return True
        consent.changed_at = at
        return kind != Kind.EXPIRED or consent.confirmed_at is not None
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
    consent.request_id, consent.withdrawal_hash = (
        _id(seen.get("request_id")),
        _hash(seen.get("withdrawal_hash")),
    )


def replay(events: Iterable[ConsentEvent]) -> Iterator[Consent | None]:
    """How a consent stood after each of its events: one object, changed from step to step; None where nothing was left."""
    consent: Consent | None = None
    for event in events:
        if consent is None and event.kind in (Kind.REQUESTED, Kind.IMPORTED):
            consent = new_consent(event, event.text)
        if consent is not None and not apply(consent, event):
            consent = None
        yield consent


def _stood_before(session: Session, consent: Consent) -> dict[str, Any] | None:
    """How a consent stood before the request that is pending; None if it was never given.

    One that was given is proof. Asked for anew since, by whomever, and not confirmed: it ended when it ended, on what it stood
    on, and who had left has left.
    """
    events = select(ConsentEvent).where(ConsentEvent.consent_id == consent.id).order_by(ConsentEvent.id)
    before = None
    for stood in replay(session.scalars(events)):
        if stood is None:
            before = None
        elif stood.confirmed_at is not None and stood.state != State.ACTIVE:
            before = {name: _plain(getattr(stood, name)) for name in _KEPT}
    return before


def _put_back(consent: Consent, before: Mapping[str, Any]) -> None:
    """Let a consent stand again as :func:`_stood_before` wrote it down."""
    consent.state, consent.text_id = State(before["state"]), uuid.UUID(before["text_id"])
    consent.article_id, consent.origin = _id(before["article_id"]), before["origin"]
    consent.is_suspect = before["is_suspect"]
    consent.request_id, consent.withdrawal_hash = _id(before["request_id"]), _hash(before["withdrawal_hash"])
    consent.requested_at = datetime.fromisoformat(before["requested_at"])
    consent.confirmed_at = datetime.fromisoformat(before["confirmed_at"])
    consent.changed_at = datetime.fromisoformat(before["changed_at"])


def _plain(value: uuid.UUID | datetime | bytes | str | bool | None) -> str | bool | None:
    """A column's value as evidence has it."""
    if isinstance(value, bytes):
        return value.hex()
    if isinstance(value, datetime):
        return value.isoformat()
    return value if value is None or isinstance(value, bool) else str(value)


def _id(written: str | None) -> uuid.UUID | None:
    return uuid.UUID(written) if written else None


def _hash(written: str | None) -> bytes | None:
    return bytes.fromhex(written) if written else None


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

    One that ends a request of somebody who had consented before says how that stood, so that it stands so again.

    :param consent: locked by the caller, or new and in the session.
    """
    seen = dict(evidence or {})
    if kind in ENDS and consent.confirmed_at is None and (before := _stood_before(session, consent)):
        seen["before"] = before
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
        evidence=seen,
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
