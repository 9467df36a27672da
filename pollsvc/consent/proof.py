"""The proof of a consent: what its events say, in the names of ISO/IEC TS 27560:2023, and word for word what was shown.

It is read from events, texts and seals alone, so that it stays when the person's address was erased. What the standard asks
for and we do not know is ``not_filled``, never guessed.
"""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session, selectinload

from pollsvc.articles.models import Site
from pollsvc.consent.models import Consent, ConsentEvent, ConsentSeal, ConsentText, Kind, Mode, Subscriber
from pollsvc.consent.receipts import LEGAL_BASIS
from pollsvc.consent.states import ConsentNotFound, replay
from pollsvc.errors import NotFound
from pollsvc.keys import BadToken, Keys
from pollsvc.staff.service import record

SCHEMA_VERSION = "pollsvc-consent-record-1 (names of ISO/IEC TS 27560:2023)"
NOT_FILLED = "not_filled"
#: How long the link to the page works.
PAGE_LASTS = timedelta(hours=1)
#: What the state after an event is called where nothing is left of the consent.
FORGOTTEN = "forgotten"


class ProofLinkInvalid(NotFound):
    """The link to a proof's page was not made by us, or an hour has passed."""

    code = "proof_link_invalid"
    detail = (
        "This link does not lead to a proof any more. The newsroom can make a new one: it works for an hour."
    )


def ask_for_proof(session: Session, consent_id: uuid.UUID, *, actor: str, now: datetime) -> dict[str, Any]:
    """The proof, for somebody of the newsroom. That they looked leaves an audit row.

    :raises ConsentNotFound: if nothing happened to a consent with this id.
    """
    found = read_proof(session, consent_id, now)
    record(session, actor=actor, action="consent.proof_read", subject=("consent", consent_id), now=now)
    return found


def read_proof(session: Session, consent_id: uuid.UUID, now: datetime) -> dict[str, Any]:
    """Everything that is known of a consent.

    :raises ConsentNotFound: if nothing happened to a consent with this id.
    """
    events = session.scalars(
        select(ConsentEvent)
        .where(ConsentEvent.consent_id == consent_id)
        .options(selectinload(ConsentEvent.text), selectinload(ConsentEvent.article))
        .order_by(ConsentEvent.id)
    ).all()
    if not events:
        raise ConsentNotFound
    seals = {
        seal.event_id: seal
        for seal in session.scalars(
            select(ConsentSeal).where(ConsentSeal.event_id.in_([event.id for event in events]))
        )
    }
    states, consent = _replay(events)
    # What counts is the text that it stands on; of a forgotten one, the text of its last event.
    text = next(
        (each.text for each in events if consent and each.text_id == consent.text_id), events[-1].text
    )
    # Whoever has another consent is not erased when this one is forgotten.
    person = session.get(Subscriber, events[-1].subscriber_id)
    site = session.get_one(Site, text.site_id)
    return {
        "schema_version": SCHEMA_VERSION,
        "record_id": consent_id,
        "pii_principal_id": events[-1].subscriber_id,
        "email": person.email if person else None,
        "is_erased": person is None,
        "state": states[-1],
        "mode": text.mode,
        "is_gdpr_consent": text.mode == Mode.EXPLICIT,
        "lawful_basis": LEGAL_BASIS[Mode(text.mode)],
        "site": {"id": site.id, "name": site.name},
        "privacy_notice": text.privacy_url or NOT_FILLED,
        "language": text.locale,
        "party_identification": [_controller(text)],
        "purposes": [_purpose(text, events)],
        "valid_until": consent.valid_until if consent else None,
        "texts": _texts(events),
        "events": [
            _event(event, state, seals.get(event.id)) for event, state in zip(events, states, strict=True)
        ],
        "as_of": now,
    }


def page_token(keys: Keys, consent_id: uuid.UUID, now: datetime) -> str:
    """What leads to the page of a proof for an hour, without a login."""
    return keys.sign("proof", consent_id.bytes + int(now.timestamp()).to_bytes(6, "big"))


def read_page_token(keys: Keys, token: str, now: datetime) -> uuid.UUID:
    """The consent that a page's token is about.

    :raises ProofLinkInvalid: if it is none of ours, or too old.
    """
    try:
        payload = keys.unsign("proof", token)
    except BadToken as error:
        raise ProofLinkInvalid from error
    issued = int.from_bytes(payload[16:], "big")
    # The clock of the host that made it may be a little ahead.
    if now.timestamp() - issued > PAGE_LASTS.total_seconds():
        raise ProofLinkInvalid
    return uuid.UUID(bytes=payload[:16])


def _replay(events: Sequence[ConsentEvent]) -> tuple[list[str], Consent | None]:
    """How it stood after each event, and how it stands."""
    consent: Consent | None = None
    states = []
    for consent in replay(events):
        states.append(str(consent.state) if consent else FORGOTTEN)
    return states, consent


def _controller(text: ConsentText) -> dict[str, object]:
    return {
        "party_role": "pii_controller",
        "party_name": text.controller or NOT_FILLED,
        "party_contact": text.contact or NOT_FILLED,
    }


def _purpose(text: ConsentText, events: Sequence[ConsentEvent]) -> dict[str, object]:
    begun = next((each for each in events if each.kind in (Kind.REQUESTED, Kind.IMPORTED)), events[0])
    return {
        "purpose": text.purpose,
        "lawful_basis": LEGAL_BASIS[Mode(text.mode)],
        "pii_information": ["e-mail address"],
        "pii_controllers": [text.controller or NOT_FILLED],
        "collection_method": begun.method,
        "withdrawal_method": text.withdrawal or "the link in each mail, without a login",
        "jurisdiction": NOT_FILLED,
        "recipient_third_parties": NOT_FILLED,
        "storage_locations": NOT_FILLED,
        "retention_period": NOT_FILLED,
    }


def _texts(events: Sequence[ConsentEvent]) -> list[dict[str, object]]:
    """Each text that an event names, in the order of their versions, word for word."""
    shown = {event.text_id: event.text for event in events}
    return [
        {
            "id": text.id,
            "version": text.version,
            "language": text.locale,
            "mode": text.mode,
            "lawful_basis": LEGAL_BASIS[Mode(text.mode)],
            "body": text.body,
            "privacy_url": text.privacy_url,
            "privacy_version": text.privacy_version,
            "terms_url": text.terms_url,
            "terms_version": text.terms_version,
            "controller": text.controller,
            "contact": text.contact,
            "is_material": text.is_material,
            "published_at": text.created_at,
            "hash": text.body_hash.hex(),
        }
        for text in sorted(shown.values(), key=lambda each: each.version)
    ]


def _event(event: ConsentEvent, state: str, seal: ConsentSeal | None) -> dict[str, object]:
    return {
        "event_id": event.id,
        "event_type": event.kind,
        "event_time": event.occurred_at,
        "event_state": state,
        "entity_id": event.actor,
        "collection_method": event.method,
        "text_id": event.text_id,
        "text_hash": event.text_hash.hex(),
        "article_url": event.article.url if event.article else None,
        "origin": event.origin,
        "is_suspect": event.is_suspect,
        "evidence": event.evidence or {},
        "seal": {"position": seal.position, "hash": seal.hash.hex()} if seal else None,
    }
