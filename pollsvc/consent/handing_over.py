"""Consents are handed on to the publisher's systems, and what has not arrived there is told."""

from __future__ import annotations

import uuid
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

import orjson
from sqlalchemy import ColumnElement, SQLColumnExpression, and_, exists, false, func, or_, select
from sqlalchemy.orm import Session

from pollsvc.consent.links import Links
from pollsvc.consent.models import Consent, ConsentEvent, ConsentText, Mode, State
from pollsvc.outbox.fan_out import ERASED, takes, tell_alone
from pollsvc.outbox.models import OutboxEvent, OutboxMessage, WebhookAcknowledgement, WebhookEndpoint
from pollsvc.outbox.service import announce
from pollsvc.staff.service import record

#: After these an endpoint believes that it may write to the person.
_GIVEN = ("consent.confirmed", "consent.renewed", "consent.imported")
#: What tells that a consent does not stand. One that is asked for again was told of as ended.
_ENDED: Mapping[str, str] = {
    State.WITHDRAWN: "consent.withdrawn",
    State.PENDING: "consent.withdrawn",
    State.EXPIRED: "consent.expired",
}


@dataclass(frozen=True)
class Outstanding:
    """A consent of which an endpoint does not know how it stands.

    :param subject: by which its messages are found.
    :param kind: what it has not acknowledged.
    :param since: when that happened.
    :param delivery: ``pending`` or ``dead``; None where nothing is under way: it was never sent, or is no longer kept.
    """

    consent_id: uuid.UUID
    subject: str
    kind: str
    since: datetime | None
    delivery: str | None = None
    attempts: int = 0
    reason: str | None = None


def tell(session: Session, links: Links, consent: Consent, kind: str, now: datetime) -> None:
    """Hand a change on to the publisher's endpoints."""
    # A renewal stands on another text than the one that was read before it.
    session.expire(consent, ["text"])
    data = hand_over(links, consent)
    subject = f"subscriber:{consent.subscriber_id}"
    announce(session, kind, site_id=consent.site_id, subject=subject, data=data, now=now)


def hand_over(
    links: Links, consent: Consent, text: ConsentText | None = None, email: str | None = None
) -> dict[str, Any]:
    """What the publisher's systems are told of a consent. The address is None where no key opens it.

    :param text: what it is to, and ``email`` whose it is, where the caller has them already.
    """
    text = text or consent.text
    return {
        "consent_id": str(consent.id),
        "site_id": str(consent.site_id),
        "purpose": consent.purpose,
        "state": consent.state,
        "email": email or consent.subscriber.email,
        "locale": text.locale,
        "text": {
            "id": str(text.id),
            "version": text.version,
            "hash": text.body_hash.hex(),
        },
        "mode": text.mode,
        "is_gdpr_consent": text.mode == Mode.EXPLICIT,
        "confirmed_at": consent.confirmed_at.isoformat() if consent.confirmed_at else None,
        "changed_at": consent.changed_at.isoformat(),
        "unsubscribe_url": links.leave(consent.id),
    }


def list_outstanding(
    session: Session, endpoint: WebhookEndpoint, *, after: uuid.UUID | None, limit: int
) -> list[Outstanding]:
    """The consents whose newest change an endpoint has not acknowledged, by their id.

    It is asked what the endpoint believes, by the newest event that it answered with 2xx, and how things are.

    :param after: the last consent of the page before.
    """
    found = sorted(
        [*_standing(session, endpoint, after, limit), *_forgotten(session, endpoint, after, limit)],
        key=lambda each: each.consent_id,
    )[:limit]
    messages = _newest_messages(session, endpoint, [each.subject for each in found])
    return [_with_delivery(each, messages.get(each.consent_id)) for each in found]


def send_outstanding(
    session: Session,
    links: Links,
    endpoint: WebhookEndpoint,
    owed: Sequence[Outstanding],
    *,
    actor: str,
    now: datetime,
) -> int:
    """Tell an endpoint how those consents stand of which nothing is under way to it.

    :param endpoint: locked by the caller.
    :returns: how many.
    """
    count = 0
    for each in owed:
        if each.delivery is not None:
            continue
        data: dict[str, Any] = {"consent_id": str(each.consent_id)}
        if each.kind != ERASED:
            # Locked, so that what changes now is told after this. Nobody is waited for: an erasure that has it may wait
            # for a delivery, and that for the endpoint.
            lock = {"of": Consent, "skip_locked": True}
            consent = session.get(Consent, each.consent_id, populate_existing=True, with_for_update=lock)
            if consent is None or _kind_of(endpoint, consent) != each.kind:
                continue  # it changes, or did since we looked, and that is told by itself
            data = hand_over(links, consent)
        tell_alone(session, endpoint, each.kind, subject=each.subject, data=data, now=now)
        count += 1
    subject, detail = ("webhook", endpoint.id), {"count": count}
    record(session, actor=actor, action="webhook.handed_over", subject=subject, now=now, detail=detail)
    return count


def _standing(
    session: Session, endpoint: WebhookEndpoint, after: uuid.UUID | None, limit: int
) -> Iterator[Outstanding]:
    known = WebhookAcknowledgement
    of_endpoint = and_(known.endpoint_id == endpoint.id, known.consent_id == Consent.id)
    owed = select(Consent).outerjoin(known, of_endpoint).where(_is_owed(endpoint))
    if endpoint.site_id is not None:
        owed = owed.where(Consent.site_id == endpoint.site_id)
    if after is not None:
        owed = owed.where(Consent.id > after)
    for consent in session.scalars(owed.order_by(Consent.id).limit(limit)):
        since = consent.confirmed_at if consent.state == State.ACTIVE else consent.changed_at
        subject, kind = f"subscriber:{consent.subscriber_id}", _kind_of(endpoint, consent)
        if kind is not None:
            yield Outstanding(consent.id, subject, kind, since)


def _kind_of(endpoint: WebhookEndpoint, consent: Consent) -> str | None:
    """What tells an endpoint, in a word that it takes, how a consent stands; None if it takes no word for one that was given."""
    if consent.state == State.ACTIVE:
        return next((kind for kind in _GIVEN if takes(endpoint.event_types, kind)), None)
    return _ENDED[consent.state]


def _is_owed(endpoint: WebhookEndpoint) -> ColumnElement[bool]:
    """Whether an endpoint believes something else of a consent than what is so, in what it wants to be told of."""
    known = WebhookAcknowledgement
    believed_given = known.kind.in_(_GIVEN)
    given = [kind for kind in _GIVEN if takes(endpoint.event_types, kind)]
    given_at = _given_at(given)
    # A consent that was confirmed anew is news too: it stands on another text, or on another day.
    is_news = or_(known.kind.is_(None), known.occurred_at < given_at)
    if len(given) == len(_GIVEN):
        # One that the endpoint believes to have ended is owed whatever the times say: clocks of hosts differ.
        is_news = or_(is_news, ~believed_given)
    rules = [and_(Consent.state == State.ACTIVE, given_at.is_not(None), is_news)] if given else []
    if takes(endpoint.event_types, "consent.withdrawn"):
        # Pending again before the endpoint knew that it had ended.
        rules.append(and_(Consent.state.in_([State.WITHDRAWN, State.PENDING]), believed_given))
    if takes(endpoint.event_types, "consent.expired"):
        rules.append(and_(Consent.state == State.EXPIRED, believed_given))
    return or_(false(), *rules)


def _given_at(kinds: Sequence[str]) -> SQLColumnExpression[datetime | None]:
    """When a consent was last given in one of these ways."""
    if len(kinds) == len(_GIVEN):
        return Consent.confirmed_at  # the same, without a look at each consent's events
    event = ConsentEvent
    of_kinds = event.kind.in_([kind.removeprefix("consent.") for kind in kinds])
    newest = select(func.max(event.occurred_at)).where(event.consent_id == Consent.id, of_kinds)
    return newest.scalar_subquery()


def _forgotten(
    session: Session, endpoint: WebhookEndpoint, after: uuid.UUID | None, limit: int
) -> Iterator[Outstanding]:
    """Persons whom we forgot, and the endpoint was not told to: whatever it asks for today, it knew of them."""
    known = WebhookAcknowledgement
    left = select(known.consent_id).where(
        known.endpoint_id == endpoint.id, ~exists().where(Consent.id == known.consent_id)
    )
    if after is not None:
        left = left.where(known.consent_id > after)
    for consent_id in session.scalars(left.order_by(known.consent_id).limit(limit)):
        yield Outstanding(consent_id, f"consent:{consent_id}", ERASED, None)


def _newest_messages(
    session: Session, endpoint: WebhookEndpoint, subjects: Sequence[str]
) -> dict[uuid.UUID, tuple[OutboxMessage, OutboxEvent]]:
    """What an endpoint did not take of these subjects: the newest by consent, whose id only the event knows."""
    refused = (
        select(OutboxMessage, OutboxEvent)
        .join(OutboxEvent, OutboxEvent.id == OutboxMessage.event_id)
        .where(
            OutboxMessage.endpoint_id == endpoint.id,
            OutboxMessage.subject.in_(subjects),
            OutboxMessage.kind.startswith("consent."),
            OutboxMessage.state != "delivered",
        )
        .order_by(OutboxEvent.id, OutboxMessage.id)
    )
    # Of what no key opens it is not known whose it is: nothing is under way there.
    return {
        uuid.UUID(orjson.loads(event.data)["consent_id"]): (message, event)
        for message, event in session.execute(refused)
        if event.data is not None
    }


def _with_delivery(owed: Outstanding, found: tuple[OutboxMessage, OutboxEvent] | None) -> Outstanding:
    if found is None:
        return owed
    message, event = found
    return replace(
        owed,
        kind=event.kind,
        since=event.occurred_at,
        delivery=message.state,
        attempts=message.attempts,
        reason=message.reason,
    )
