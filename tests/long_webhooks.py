"""Endpoints that were told of consents for years, for :mod:`tests.long_tables`."""

import uuid
from collections.abc import Sequence

from pollsvc.db import Model
from pollsvc.keys import Keys
from pollsvc.outbox.models import OutboxMessage, WebhookAcknowledgement, WebhookEndpoint
from tests.factories import THEN

Rows = dict[type[Model], list[dict[str, object]]]


def webhook_rows(endpoint: uuid.UUID, consents: Sequence[uuid.UUID], keys: Keys) -> Rows:
    """Make an endpoint among twenty, messages to them, and the endpoint's acknowledgements of nearly all of `consents`."""
    endpoints = [endpoint, *(uuid.uuid4() for _ in range(19))]
    return {
        WebhookEndpoint: [
            {
                "id": each,
                "url": keys.cipher.encrypt(b"https://hooks.example/"),
                "secret": keys.cipher.encrypt(b"whsec_bm90aGluZw=="),
                "description": "",
                "event_types": ["*"],
                "state": "active",
                "failures": 0,
                "version": 1,
                "created_at": THEN,
            }
            for each in endpoints
        ],
        OutboxMessage: [
            {
                "channel": "webhook",
                "kind": "consent.confirmed",
                "delivery_key": f"webhook {number}",
                "subject": f"subscriber:{number}",
                "lane": f"webhook subscriber:{number}",
                "endpoint_id": endpoints[(number - 7) % 20],
                "event_id": number,
                "state": "dead" if number % 500 == 7 else "delivered",
                "attempts": 1,
                "available_at": THEN,
                "created_at": THEN,
                "settled_at": THEN,
            }
            for number, _ in enumerate(consents, start=1)
        ],
        WebhookAcknowledgement: [
            {
                "endpoint_id": endpoint,
                "consent_id": each,
                "kind": "consent.confirmed",
                "event_id": number,
                "occurred_at": THEN,
                "acknowledged_at": THEN,
            }
            for number, each in enumerate(consents, start=1)
            if number % 500 != 7
        ],
    }
