"""Consents, sign-ups and messages of an installation after years, for :mod:`tests.long_tables`."""

import uuid
from collections.abc import Sequence
from datetime import timedelta

from uuid_utils.compat import uuid7

from pollsvc.consent.models import (
    Confirmation,
    Consent,
    ConsentEvent,
    ConsentSeal,
    MailPermit,
    SignUp,
    Subscriber,
    Suppression,
)
from pollsvc.consent.service import email_hash
from pollsvc.db import Model
from pollsvc.keys import Keys
from pollsvc.outbox.models import OutboxAttempt, OutboxEvent, OutboxMessage
from tests.factories import THEN

Rows = dict[type[Model], list[dict[str, object]]]


def consent_rows(
    *, site: uuid.UUID, text: uuid.UUID, article: uuid.UUID, keys: Keys, consents: Sequence[uuid.UUID]
) -> Rows:
    """Make a person, a consent, an event and a permitted mail for each of `consents`, and as many sign-ups."""
    sealed = keys.cipher.encrypt(b"what a reader wrote")
    events = [uuid7() for _ in consents]
    people = [uuid.uuid4() for _ in consents]
    hashes = [email_hash(keys, f"reader-{number}@reader.example") for number, _ in enumerate(consents)]
    where = {"article_id": article, "is_suspect": False}
    return {
        Subscriber: [
            {"id": each, "email": sealed, "email_hash": hashed}
            for each, hashed in zip(people, hashes, strict=True)
        ],
        Consent: [
            {
                "id": each,
                "subscriber_id": person,
                "site_id": site,
                "purpose": "newsletter",
                "state": "withdrawn" if number % 500 == 7 else "active",
                "text_id": text,
                "requested_at": THEN,
                "changed_at": THEN,
                **where,
            }
            for number, (each, person) in enumerate(zip(consents, people, strict=True))
        ],
        ConsentEvent: [
            {
                "id": event,
                "kind": "requested",
                "consent_id": each,
                "subscriber_id": person,
                "text_id": text,
                "text_hash": bytes(32),
                "method": "checkbox",
                "evidence": {},
                "actor": "reader",
                "occurred_at": THEN,
                **where,
            }
            for event, each, person in zip(events, consents, people, strict=True)
        ],
        ConsentSeal: [
            {"position": number, "event_id": event, "hash": bytes(32), "sealed_at": THEN}
            for number, event in enumerate(events, start=1)
        ],
        SignUp: [
            {
                "id": uuid7(),
                "text_id": text,
                "email": sealed,
                "email_hash": b"s" + hashed[1:],
                "method": "checkbox",
                "evidence": {},
                "occurred_at": THEN,
                "arrived_at": THEN,
                "available_at": THEN + timedelta(days=36_500),
                **where,
            }
            for hashed in hashes
        ],
        Confirmation: [
            {
                "token_hash": number.to_bytes(32),
                "consent_id": each,
                "subscriber_id": person,
                "kind": "sign_up",
                "text_id": text,
                "message_id": "<a@b>",
                "created_at": THEN,
                "expires_at": THEN,
            }
            for number, (each, person) in enumerate(zip(consents, people, strict=True))
        ],
        MailPermit: [
            {"email_hash": hashed, "kind": "confirmation", "permitted_at": THEN} for hashed in hashes
        ],
        Suppression: [
            {"email_hash": b"x" + hashed[1:], "reason": "erased", "since": THEN} for hashed in hashes
        ],
        **_outbox_rows(people, site, sealed),
    }


def _outbox_rows(people: Sequence[uuid.UUID], site: uuid.UUID, sealed: bytes) -> Rows:
    numbered = list(enumerate(people, start=1))
    return {
        OutboxEvent: [
            {
                "id": number,
                "key": uuid7(),
                "kind": "consent.confirmed",
                "site_id": site,
                "subject": f"subscriber:{person}",
                "data": sealed,
                "is_fanned_out": True,
                "occurred_at": THEN,
            }
            for number, person in numbered
        ],
        OutboxMessage: [
            {
                "id": number,
                "channel": "mail",
                "kind": "confirmation",
                "delivery_key": f"confirmation {number}",
                "subject": f"subscriber:{person}",
                "lane": f"mail subscriber:{person}",
                "state": "dead" if number % 500 == 7 else "delivered",
                "attempts": 1,
                "available_at": THEN,
                "created_at": THEN,
                "settled_at": THEN,
            }
            for number, person in numbered
        ],
        OutboxAttempt: [
            {
                "id": uuid7(),
                "message_id": number,
                "attempted_at": THEN,
                "outcome": "delivered",
                "milliseconds": 3,
            }
            for number, _ in numbered
        ],
    }
