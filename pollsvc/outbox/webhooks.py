"""Webhooks as they are sent, by Standard Webhooks: an event, signed with the endpoint's secret."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from sqlalchemy.orm import Session
from standardwebhooks.webhooks import Webhook

from pollsvc.config import Settings
from pollsvc.outbox.delivery import DeliveryFailed
from pollsvc.outbox.models import UNREADABLE, OutboxEvent, OutboxMessage, WebhookEndpoint
from pollsvc.outbox.outgoing import Outgoing, OutgoingFailed
from pollsvc.outbox.pausing import TEST


@dataclass(frozen=True)
class Parcel:
    """A request as it is sent."""

    url: str
    body: str
    headers: dict[str, str]


def body_of(event: OutboxEvent) -> str:
    """What an event is sent as: the same bytes at each attempt, for the data is written down as it is sent."""
    head = f'{{"type":"{event.kind}","timestamp":"{event.occurred_at.isoformat()}","data":'
    return f"{head}{event.data}}}"


def pack(endpoint: WebhookEndpoint, event: OutboxEvent, now: datetime) -> Parcel:
    """Make the request that tells an endpoint of an event.

    :param now: signed too, so that a request which somebody recorded is of no use later.
    :raises DeliveryFailed: if no key opens what is sent, or where to; later one may.
    """
    if event.data is None or endpoint.url is None or endpoint.secret is None:
        raise DeliveryFailed(UNREADABLE, is_final=event.kind == TEST, is_ours=True)
    return sign(endpoint.url, body_of(event), str(event.key), endpoint.secrets_at(now), now)


def sign(url: str, body: str, name: str, secrets: Sequence[str], now: datetime) -> Parcel:
    """Make a signed request.

    :param name: the ``webhook-id``: the same at each attempt. Without a dot, which parts what is signed.
    :param secrets: each of them signs.
    """
    then = now.astimezone(UTC)
    headers = {
        "Content-Type": "application/json",
        "webhook-id": name,
        "webhook-timestamp": str(int(then.timestamp())),
        "webhook-signature": " ".join(Webhook(secret).sign(name, then, body) for secret in secrets),
    }
    return Parcel(url, body, headers)


class WebhookTransport:
    """Tells endpoints of events.

    :param open_session: opens a session for a look at the tables; it is closed before anything is sent.
    """

    def __init__(self, open_session: Callable[[], Session], outgoing: Outgoing) -> None:
        self._open_session, self._outgoing = open_session, outgoing

    def __call__(self, message: OutboxMessage, now: datetime) -> int | None:
        parcel = self._read(message, now)
        # A test is answered at once or not at all: whoever asked for it waits.
        is_final = message.kind == TEST
        try:
            answer = self._outgoing.post(parcel.url, parcel.body.encode(), parcel.headers)
        except OutgoingFailed as error:
            raise DeliveryFailed(error.reason, status=error.status, is_final=is_final) from error
        if not 200 <= answer.status < 300:
            raise DeliveryFailed(
                f"The endpoint answered {answer.status}.", status=answer.status, is_final=is_final
            )
        return answer.status

    def _read(self, message: OutboxMessage, now: datetime) -> Parcel:
        with self._open_session() as session:
            endpoint = session.get(WebhookEndpoint, message.endpoint_id)
            event = session.get(OutboxEvent, message.event_id)
            if endpoint is None or endpoint.removed_at is not None:
                raise DeliveryFailed("The endpoint was removed.", is_final=True, is_ours=True)
            if event is None:
                # Whom it was about was forgotten since it was claimed, and its message with it.
                raise DeliveryFailed("The event was erased.", is_final=True, is_ours=True)
            return pack(endpoint, event, now)


def webhook_transport(settings: Settings, open_session: Callable[[], Session]) -> WebhookTransport:
    """The way that webhooks leave this installation."""
    return WebhookTransport(open_session, Outgoing(private_hosts=settings.private_hosts))
