"""Shapes of the outbox. Neither whom a message goes to nor what it says is among them."""

from __future__ import annotations

import marshmallow as ma

from pollsvc.web.paging import PageQuerySchema

CHANNELS = ("mail", "webhook")
STATES = ("pending", "delivered", "dead")
OUTCOMES = ("delivered", "retry", "dead", "lost")


class MessageQuerySchema(PageQuerySchema):
    """Which messages."""

    state = ma.fields.String(load_default=None, validate=ma.validate.OneOf(STATES))
    channel = ma.fields.String(load_default=None, validate=ma.validate.OneOf(CHANNELS))


class MessageSchema(ma.Schema):
    """A message and how far it got."""

    id = ma.fields.String(required=True)
    channel = ma.fields.String(required=True, metadata={"enum": list(CHANNELS)})
    kind = ma.fields.String(required=True)
    subject = ma.fields.String(required=True)
    state = ma.fields.String(required=True, metadata={"enum": list(STATES)})
    attempt_count = ma.fields.Integer(required=True, attribute="attempts")
    reason = ma.fields.String(required=True, allow_none=True)
    message_id = ma.fields.String(required=True, allow_none=True)
    endpoint_id = ma.fields.String(required=True, allow_none=True)
    available_at = ma.fields.AwareDateTime(required=True)
    created_at = ma.fields.AwareDateTime(required=True)
    settled_at = ma.fields.AwareDateTime(required=True, allow_none=True)


class AttemptSchema(ma.Schema):
    """One attempt at a delivery."""

    attempted_at = ma.fields.AwareDateTime(required=True)
    outcome = ma.fields.String(required=True, metadata={"enum": list(OUTCOMES)})
    status = ma.fields.Integer(required=True, allow_none=True)
    reason = ma.fields.String(required=True, allow_none=True)
    milliseconds = ma.fields.Integer(required=True)


class MessageWithAttemptsSchema(MessageSchema):
    """A message and each attempt, oldest first."""

    attempts = ma.fields.List(ma.fields.Nested(AttemptSchema), required=True, attribute="attempt_log")
