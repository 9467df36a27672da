"""The outbox over HTTP: what waits, what became of it, and sending again what was given up."""

from __future__ import annotations

from typing import Any

from pollsvc.db import db
from pollsvc.outbox import service
from pollsvc.outbox.models import OutboxMessage
from pollsvc.outbox.schemas import MessageQuerySchema, MessageSchema, MessageWithAttemptsSchema
from pollsvc.web.api import JSONBlueprint, NothingSchema
from pollsvc.web.guards import actor, staff
from pollsvc.web.limits import limited
from pollsvc.web.paging import Page, page_schema, read_page
from pollsvc.web.state import keys, now, ring

blp = JSONBlueprint("outbox", __name__, url_prefix="/v1", description="Mail and webhooks on their way.")


@blp.get("/outbox")
@blp.query(MessageQuerySchema)
@blp.response(200, page_schema(MessageSchema))
@limited("staff")
@staff("admin")
def list_messages(query: dict[str, Any]) -> Page[OutboxMessage]:
    """Messages, newest first."""
    messages = service.list_messages(query.pop("state"), query.pop("channel"))
    return read_page(db.session, messages, OutboxMessage.id, query, keys())


@blp.get("/outbox/<int:message_id>")
@blp.response(200, MessageWithAttemptsSchema)
@blp.problems(404)
@limited("staff")
@staff("admin")
def show_message(message_id: int) -> OutboxMessage:
    """One message, with each attempt."""
    return service.get_message(db.session, message_id)


@blp.post("/outbox/<int:message_id>/replay")
@blp.body(NothingSchema)
@blp.response(200, MessageSchema)
@blp.problems(404, 409)
@limited("staff")
@staff("admin")
def replay_message(_body: dict[str, Any], message_id: int) -> OutboxMessage:
    """Send again what was given up."""
    message = service.replay_message(db.writing, message_id, actor=actor().reference, now=now())
    db.writing.commit()
    ring()
    return message
