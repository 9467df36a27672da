"""Webhooks over HTTP."""

from __future__ import annotations

import uuid
from typing import Any

from pollsvc.db import db
from pollsvc.errors import one_field
from pollsvc.keys import BadToken
from pollsvc.outbox import hooks
from pollsvc.outbox.delivery_log import deliveries_of, list_deliveries
from pollsvc.outbox.hook_schemas import (
    DeliveryQuerySchema,
    DeliverySchema,
    EditWebhookSchema,
    NewWebhookSchema,
    ReplayedSchema,
    ReplaySchema,
    TrialSchema,
    WebhookSchema,
    WebhookWithSecretSchema,
)
from pollsvc.outbox.models import OutboxMessage, WebhookEndpoint
from pollsvc.outbox.outgoing import Outgoing
from pollsvc.web.api import JSONBlueprint, NothingSchema
from pollsvc.web.guards import actor, staff
from pollsvc.web.limits import limited
from pollsvc.web.paging import Page, PageQuerySchema, page_schema, read_page
from pollsvc.web.state import keys, now, ring, settings

blp = JSONBlueprint("webhooks", __name__, url_prefix="/v1", description="Events for the publisher's systems.")


@blp.post("/webhooks")
@blp.body(NewWebhookSchema)
@blp.response(201, WebhookWithSecretSchema)
@limited("staff")
@staff("admin")
def make_webhook(body: dict[str, Any]) -> WebhookEndpoint:
    """Make an endpoint; this answer is where its secret is shown."""
    endpoint = hooks.make_endpoint(db.writing, _outgoing(), **body, actor=actor().reference, now=now())
    db.writing.commit()
    return endpoint


@blp.get("/webhooks")
@blp.query(PageQuerySchema)
@blp.response(200, page_schema(WebhookSchema))
@limited("staff")
@staff("admin")
def list_webhooks(query: dict[str, Any]) -> Page[WebhookEndpoint]:
    """Every endpoint, and whether it is paused."""
    return read_page(db.session, hooks.list_endpoints(), WebhookEndpoint.id, query, keys())


@blp.get("/webhooks/<uuid:webhook_id>")
@blp.response(200, WebhookSchema)
@blp.problems(404)
@limited("staff")
@staff("admin")
def show_webhook(webhook_id: uuid.UUID) -> WebhookEndpoint:
    """One endpoint."""
    return hooks.get_endpoint(db.session, webhook_id)


@blp.patch("/webhooks/<uuid:webhook_id>")
@blp.body(EditWebhookSchema)
@blp.response(200, WebhookSchema)
@blp.problems(404, 409)
@limited("staff")
@staff("admin")
def edit_webhook(body: dict[str, Any], webhook_id: uuid.UUID) -> WebhookEndpoint:
    """Change an endpoint, pause it, or resume it: then what waited is sent in its order."""
    version = body.pop("version")
    endpoint = hooks.edit_endpoint(
        db.writing, _outgoing(), webhook_id, body, version=version, actor=actor().reference, now=now()
    )
    db.writing.commit()
    ring()
    return endpoint


@blp.delete("/webhooks/<uuid:webhook_id>")
@blp.body(NothingSchema)
@blp.response(200, WebhookSchema)
@blp.problems(404)
@limited("staff")
@staff("admin")
def remove_webhook(_body: dict[str, Any], webhook_id: uuid.UUID) -> WebhookEndpoint:
    """Send nothing there any more."""
    endpoint = hooks.remove_endpoint(db.writing, webhook_id, actor=actor().reference, now=now())
    db.writing.commit()
    ring()
    return endpoint


@blp.post("/webhooks/<uuid:webhook_id>/secret")
@blp.body(NothingSchema)
@blp.response(200, WebhookWithSecretSchema)
@blp.problems(404)
@limited("staff")
@staff("admin")
def rotate_secret(_body: dict[str, Any], webhook_id: uuid.UUID) -> WebhookEndpoint:
    """Make a new secret; for a day the former one signs too."""
    endpoint = hooks.rotate_secret(db.writing, webhook_id, actor=actor().reference, now=now())
    db.writing.commit()
    return endpoint


@blp.post("/webhooks/<uuid:webhook_id>/test")
@blp.body(NothingSchema)
@blp.response(202, TrialSchema)
@blp.problems(404)
@limited("staff")
@staff("admin")
def try_webhook(_body: dict[str, Any], webhook_id: uuid.UUID) -> OutboxMessage:
    """Send a test to this endpoint only, once; what came of it is among the deliveries."""
    message = hooks.try_endpoint(db.writing, webhook_id, actor=actor().reference, now=now())
    db.writing.commit()
    ring()
    return message


@blp.get("/webhooks/<uuid:webhook_id>/deliveries")
@blp.query(DeliveryQuerySchema)
@blp.response(200, page_schema(DeliverySchema))
@blp.problems(404)
@limited("staff")
@staff("admin")
def list_webhook_deliveries(query: dict[str, Any], webhook_id: uuid.UUID) -> dict[str, Any]:
    """What an endpoint was sent, newest first."""
    hooks.get_endpoint(db.session, webhook_id)
    # By number, as the outbox is.
    purpose, limit, before = f"cursor deliveries {webhook_id}", query["limit"], {}
    if query["cursor"]:
        try:
            before = {"before": int.from_bytes(keys().unsign(purpose, query["cursor"]))}
        except BadToken as error:
            raise one_field("cursor", "Must be a next_cursor of an earlier answer.") from error
    messages = list_deliveries(webhook_id, query["state"], **before)
    found = db.session.scalars(messages.limit(limit + 1)).all()
    has_more = len(found) > limit
    cursor = keys().sign(purpose, found[limit - 1].id.to_bytes(8)) if has_more else None
    return {"items": deliveries_of(db.session, found[:limit]), "next_cursor": cursor}


@blp.post("/webhooks/<uuid:webhook_id>/replay")
@blp.body(ReplaySchema)
@blp.response(200, ReplayedSchema)
@blp.problems(404)
@limited("staff")
@staff("admin")
def replay_webhook(body: dict[str, Any], webhook_id: uuid.UUID) -> dict[str, Any]:
    """Send an endpoint again what is kept: the same events with the same ids, in their order."""
    count, next_after = hooks.replay_events(
        db.writing,
        webhook_id,
        after=body.get("after"),
        since=body.get("since"),
        event_types=body["event_types"],
        actor=actor().reference,
        now=now(),
    )
    db.writing.commit()
    ring()
    return {"count": count, "next_after": next_after}


def _outgoing() -> Outgoing:
    return Outgoing(private_hosts=settings().private_hosts)
