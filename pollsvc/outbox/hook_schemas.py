"""Shapes of webhooks and of what became of what they were sent."""

from __future__ import annotations

from typing import Any

import marshmallow as ma
from marshmallow import ValidationError
from marshmallow.validate import Length, OneOf

from pollsvc.outbox.schemas import AttemptSchema
from pollsvc.outbox.service import EVENT_KINDS
from pollsvc.web.fields import Text, Time, WebUrl, Whole
from pollsvc.web.paging import PageQuerySchema

STATES = ("active", "paused")
#: Each kind by itself, all of an object, or everything.
EVENT_TYPES = ("*", *sorted({kind.partition(".")[0] + ".*" for kind in EVENT_KINDS}), *EVENT_KINDS)
MESSAGE_STATES = ("pending", "delivered", "dead")


def _event_types(**kwargs: Any) -> ma.fields.List[str]:
    kind = ma.fields.String(validate=OneOf(EVENT_TYPES))
    return ma.fields.List(kind, validate=Length(1, len(EVENT_TYPES)), **kwargs)


class NewWebhookSchema(ma.Schema):
    """An endpoint to make."""

    url = WebUrl(required=True)
    event_types = _event_types(required=True)
    description = Text(200, load_default=None, allow_none=True)
    site_id = ma.fields.UUID(
        load_default=None, allow_none=True, metadata={"description": "Left out: the events of every site."}
    )


class EditWebhookSchema(ma.Schema):
    """What to change of an endpoint; what is left out stays."""

    url = WebUrl()
    event_types = _event_types()
    description = Text(200)
    state = ma.fields.String(validate=OneOf(STATES), metadata={"description": "active resumes a paused one."})
    version = Whole(1, 2**31 - 1, required=True, metadata={"description": "The version you read."})


class WebhookSchema(ma.Schema):
    """An endpoint."""

    id = ma.fields.String(required=True)
    url = ma.fields.String(required=True, allow_none=True)
    description = ma.fields.String(required=True)
    event_types = ma.fields.List(ma.fields.String(), required=True)
    site_id = ma.fields.String(required=True, allow_none=True)
    state = ma.fields.String(required=True, metadata={"enum": list(STATES)})
    failures = ma.fields.Integer(required=True, metadata={"description": "Failed attempts in a row"})
    failing_since = ma.fields.AwareDateTime(required=True, allow_none=True)
    paused_at = ma.fields.AwareDateTime(required=True, allow_none=True)
    paused_because = ma.fields.String(required=True, allow_none=True)
    unreadable_because = ma.fields.String(
        required=True,
        allow_none=True,
        metadata={"description": "Why nothing can be sent there: no key opens its url or its secret"},
    )
    previous_until = ma.fields.AwareDateTime(
        required=True, allow_none=True, metadata={"description": "Until then the former secret signs too"}
    )
    version = ma.fields.Integer(required=True)
    created_at = ma.fields.AwareDateTime(required=True)


class WebhookWithSecretSchema(WebhookSchema):
    """An endpoint and its secret, which is shown here only."""

    secret = ma.fields.String(required=True)


class TrialSchema(ma.Schema):
    """That a test is on its way."""

    id = ma.fields.Integer(required=True, metadata={"description": "Its number among the deliveries"})


class DeliveryQuerySchema(PageQuerySchema):
    """Which deliveries."""

    state = ma.fields.String(load_default=None, validate=OneOf(MESSAGE_STATES))


class DeliverySchema(ma.Schema):
    """What an endpoint was sent, or will be."""

    id = ma.fields.Integer(required=True)
    webhook_id = ma.fields.String(required=True, allow_none=True)
    kind = ma.fields.String(required=True)
    state = ma.fields.String(required=True, metadata={"enum": list(MESSAGE_STATES)})
    attempts = ma.fields.Integer(required=True)
    status = ma.fields.Integer(required=True, allow_none=True)
    reason = ma.fields.String(required=True, allow_none=True)
    created_at = ma.fields.AwareDateTime(required=True)
    next_attempt_at = ma.fields.AwareDateTime(required=True, allow_none=True)
    settled_at = ma.fields.AwareDateTime(required=True, allow_none=True)
    log = ma.fields.List(ma.fields.Nested(AttemptSchema), required=True)


class ReplaySchema(ma.Schema):
    """From where on to send again: after an event, or since a time."""

    after = ma.fields.UUID(metadata={"description": "The webhook-id of the last event that arrived"})
    since = Time()
    event_types = _event_types(load_default=None, allow_none=True)

    @ma.validates_schema
    def _ask_for_one(self, data: dict[str, Any], **_kwargs: Any) -> None:
        if ("after" in data) == ("since" in data):
            raise ValidationError(
                "Name the last event that arrived, or a time in since; one of the two.", "after"
            )


class ReplayedSchema(ma.Schema):
    """What is sent again."""

    count = ma.fields.Integer(required=True)
    next_after = ma.fields.String(
        required=True, allow_none=True, metadata={"description": "Ask again after this one; null at the end"}
    )
