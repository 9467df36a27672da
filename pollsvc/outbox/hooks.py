"""The newsroom makes, changes and removes endpoints, and has them sent again what they lost."""

from __future__ import annotations

import base64
import secrets
import uuid
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any
from urllib.parse import urlsplit

from sqlalchemy import Select, delete, select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from pollsvc.errors import NotFound, StaleVersion, one_field
from pollsvc.outbox import fan_out, pausing
from pollsvc.outbox.models import (
    OutboxEvent,
    OutboxMessage,
    SignedFor,
    WebhookAcknowledgement,
    WebhookEndpoint,
)
from pollsvc.outbox.outgoing import AddressRefused, Outgoing
from pollsvc.staff.service import record

#: How long an endpoint's former secret signs too.
BOTH_SIGN = timedelta(hours=24)


class WebhookNotFound(NotFound):
    """No endpoint has this id."""

    code = "webhook_not_found"
    detail = "There is no webhook with this id."


def make_endpoint(
    session: Session,
    outgoing: Outgoing,
    *,
    url: str,
    event_types: Sequence[str],
    description: str | None,
    site_id: uuid.UUID | None,
    actor: str,
    now: datetime,
) -> WebhookEndpoint:
    """Make an endpoint; its secret is shown once, to whoever made it.

    :param site_id: whose events it is told of; None for all.
    :raises Invalid: if nothing would be sent to this address, or there is no such site.
    """
    check_url(outgoing, url)
    endpoint = WebhookEndpoint(
        site_id=site_id,
        url=url,
        description=description or "",
        event_types=_sorted(event_types),
        secret=new_secret(),
        state="active",
        failures=0,
        version=1,
        created_at=now,
    )
    session.add(endpoint)
    try:
        session.flush()
    except IntegrityError as error:
        # The one thing that it refers to.
        raise one_field("site_id", "There is no site with this id.") from error
    _note(session, endpoint, "webhook.created", actor=actor, now=now, detail=_facts(endpoint))
    return endpoint


def list_endpoints() -> Select[WebhookEndpoint]:
    """Every endpoint that was not removed."""
    return select(WebhookEndpoint).where(WebhookEndpoint.removed_at.is_(None))


def get_endpoint(session: Session, endpoint_id: uuid.UUID, *, is_locked: bool = False) -> WebhookEndpoint:
    """The endpoint with this id.

    :param is_locked: whether nobody else may change it until we are done.
    :raises WebhookNotFound: if there is none, or none any more.
    """
    endpoint = session.get(
        WebhookEndpoint, endpoint_id, populate_existing=is_locked, with_for_update=is_locked or None
    )
    if endpoint is None or endpoint.removed_at is not None:
        raise WebhookNotFound
    return endpoint


def edit_endpoint(
    session: Session,
    outgoing: Outgoing,
    endpoint_id: uuid.UUID,
    changes: Mapping[str, Any],
    *,
    version: int,
    actor: str,
    now: datetime,
) -> WebhookEndpoint:
    """Change an endpoint, pause it, or resume it: then what waited is sent in its order.

    :param changes: ``url``, ``event_types``, ``description``, ``state``.
    :raises StaleVersion: if it changed since ``version`` was read, which being paused is too.
    :raises Invalid: if nothing would be sent to this address.
    """
    endpoint = get_endpoint(session, endpoint_id, is_locked=True)
    if endpoint.version != version:
        raise StaleVersion(extra={"current": {"version": endpoint.version, "state": endpoint.state}})
    if "event_types" in changes:
        changes = {**changes, "event_types": _sorted(changes["event_types"])}
    new = {name: value for name, value in changes.items() if getattr(endpoint, name) != value}
    if not new:
        return endpoint
    if "url" in new:
        check_url(outgoing, new["url"])
    before = _facts(endpoint)
    for name, value in new.items():
        setattr(endpoint, name, value)
    if new.get("state") == "paused":
        endpoint.paused_at, endpoint.paused_because = now, "The newsroom paused it."
        pausing.hold_back(session, endpoint.id)
    elif endpoint.state == "active" and {"state", "url"} & new.keys():
        _begin_anew(session, endpoint, now)
    endpoint.version += 1
    detail = {"before": before, "after": _facts(endpoint), "has_new_url": "url" in new}
    _note(session, endpoint, "webhook.edited", actor=actor, now=now, detail=detail)
    return endpoint


def remove_endpoint(
    session: Session, endpoint_id: uuid.UUID, *, actor: str, now: datetime
) -> WebhookEndpoint:
    """Send nothing there any more. What waits is given up, as far as it is not under way."""
    endpoint = get_endpoint(session, endpoint_id, is_locked=True)
    endpoint.removed_at = now
    endpoint.version += 1
    # Each is found by the worker, which gives it up with a reason.
    pausing.release(session, endpoint_id, now)
    theirs = delete(WebhookAcknowledgement).where(WebhookAcknowledgement.endpoint_id == endpoint_id)
    session.execute(theirs.execution_options(synchronize_session=False))
    _note(session, endpoint, "webhook.removed", actor=actor, now=now, detail=_facts(endpoint))
    return endpoint


def rotate_secret(session: Session, endpoint_id: uuid.UUID, *, actor: str, now: datetime) -> WebhookEndpoint:
    """Give an endpoint a new secret. For a day the former one signs too; what was before that one signs no more."""
    endpoint = get_endpoint(session, endpoint_id, is_locked=True)
    detail = turn_secret(endpoint, now)
    _note(session, endpoint, "webhook.secret_rotated", actor=actor, now=now, detail=detail)
    return endpoint


def try_endpoint(session: Session, endpoint_id: uuid.UUID, *, actor: str, now: datetime) -> OutboxMessage:
    """Send an endpoint a test, paused or not."""
    endpoint = get_endpoint(session, endpoint_id)
    message = fan_out.send_test(session, endpoint, now)
    _note(session, endpoint, "webhook.tested", actor=actor, now=now, detail={"message": message.id})
    return message


def replay_events(
    session: Session,
    endpoint_id: uuid.UUID,
    *,
    after: uuid.UUID | None,
    since: datetime | None,
    event_types: Sequence[str] | None,
    actor: str,
    now: datetime,
) -> tuple[int, uuid.UUID | None]:
    """Send an endpoint again what was kept: after an event, or since a time.

    :param after: the ``webhook-id`` of the last event that needs not be sent.
    :returns: how many, and after which one to go on; None at the end.
    :raises Invalid: if the event is not known any more.
    """
    endpoint = get_endpoint(session, endpoint_id, is_locked=True)
    last = session.scalar(select(OutboxEvent).where(OutboxEvent.key == after)) if after else None
    if after and last is None:
        raise one_field("after", "No event with this webhook-id is kept. Name a time instead: since.")
    count, next_after = fan_out.replay(
        session, endpoint, after=last, since=since, event_types=event_types, now=now
    )
    detail = {
        "after": str(after) if after else None,
        "since": since.isoformat() if since else None,
        "event_types": event_types,
        "count": count,
    }
    _note(session, endpoint, "webhook.replayed", actor=actor, now=now, detail=detail)
    return count, next_after


def turn_secret(holder: SignedFor, now: datetime) -> dict[str, Any]:
    """Give whoever is sent signed requests a new secret beside the former one.

    :returns: what the audit log may know of it.
    """
    holder.previous_secret = holder.secret
    # One that no key opens signs nothing.
    holder.previous_until = until = now + BOTH_SIGN if holder.previous_secret else None
    holder.secret = new_secret()
    holder.version += 1
    return {"previous_until": until.isoformat() if until else None}


def new_secret() -> str:
    """256 random bits, as Standard Webhooks writes a secret."""
    return "whsec_" + base64.b64encode(secrets.token_bytes(32)).decode()


def host_of(url: str | None) -> str | None:
    """All of an endpoint's address that others may see, for a path may be a secret; None where no key opens it."""
    return urlsplit(url).hostname if url else None


def _begin_anew(session: Session, endpoint: WebhookEndpoint, now: datetime) -> None:
    endpoint.failures, endpoint.failing_since = 0, None
    endpoint.paused_at = endpoint.paused_because = None
    session.flush()
    pausing.release(session, endpoint.id, now)


def check_url(outgoing: Outgoing, url: str) -> None:
    """Refuse an address that nothing would be sent to.

    :raises Invalid: the field is ``url``.
    """
    try:
        outgoing.check(url)
    except AddressRefused as error:
        raise one_field("url", error.reason) from error
    if urlsplit(url).fragment:
        raise one_field("url", "Must be without a fragment: it would not be sent.")


def _sorted(event_types: Sequence[str]) -> list[str]:
    return sorted(set(event_types))


def _note(
    session: Session,
    endpoint: WebhookEndpoint,
    action: str,
    *,
    actor: str,
    now: datetime,
    detail: Mapping[str, Any],
) -> None:
    session.flush()
    record(session, actor=actor, action=action, subject=("webhook", endpoint.id), now=now, detail=detail)


def _facts(endpoint: WebhookEndpoint) -> dict[str, Any]:
    """What the audit log may know."""
    return {
        "host": host_of(endpoint.url),
        "site_id": str(endpoint.site_id) if endpoint.site_id else None,
        "event_types": endpoint.event_types,
        "description": endpoint.description,
        "state": endpoint.state,
        "version": endpoint.version,
    }
