"""Shapes of the desk."""

from __future__ import annotations

import marshmallow as ma

from pollsvc.comments.models import DECISION_REASONS, REPORT_REASONS, Status
from pollsvc.comments.schemas import ShownCommentSchema
from pollsvc.moderation.items import STATES
from pollsvc.moderation.service import ACTIONS
from pollsvc.web.fields import Text, WebUrl, Whole
from pollsvc.web.paging import PageQuerySchema

_STATUSES = [str(status) for status in Status]


class QueueQuerySchema(PageQuerySchema):
    """Which part of the queue."""

    state = ma.fields.String(load_default="held", validate=ma.validate.OneOf(STATES))
    order = ma.fields.String(load_default="oldest", validate=ma.validate.OneOf(("oldest", "newest")))
    article_url = WebUrl(load_default=None)


class QueueItemSchema(ma.Schema):
    """A comment of the queue."""

    id = ma.fields.UUID(required=True)
    version = ma.fields.Integer(required=True)
    revision = ma.fields.Integer(required=True)
    status = ma.fields.String(required=True, metadata={"enum": _STATUSES})
    article_url = ma.fields.String(required=True)
    parent_id = ma.fields.UUID(required=True, allow_none=True)
    name = ma.fields.String(required=True, allow_none=True)
    body = ma.fields.String(required=True, allow_none=True)
    because = ma.fields.List(
        ma.fields.String(), required=True, metadata={"description": "The checks that led to it."}
    )
    open_reports = ma.fields.Integer(required=True)
    claimed_by = ma.fields.String(required=True, allow_none=True)
    claimed_until = ma.fields.AwareDateTime(required=True, allow_none=True)
    created_at = ma.fields.AwareDateTime(required=True)
    edited_at = ma.fields.AwareDateTime(required=True, allow_none=True)


class QueueSchema(ma.Schema):
    """A page of the queue, and how many comments there are."""

    items = ma.fields.List(ma.fields.Nested(QueueItemSchema), required=True)
    next_cursor = ma.fields.String(required=True, allow_none=True)
    counts = ma.fields.Dict(
        keys=ma.fields.String(validate=ma.validate.OneOf(_STATUSES)),
        values=ma.fields.Integer(),
        required=True,
        metadata={"description": "How many comments are in each status: on the article, or on all."},
    )


class NewClaimSchema(ma.Schema):
    """How much to take in hand."""

    limit = Whole(1, 100, load_default=1)
    article_url = WebUrl(load_default=None)


class ClaimedItemSchema(QueueItemSchema):
    """A comment that the caller has in hand."""

    expires_at = ma.fields.AwareDateTime(required=True)


class ClaimSchema(ma.Schema):
    """What the caller has in hand now."""

    items = ma.fields.List(ma.fields.Nested(ClaimedItemSchema), required=True)


class NewCommentDecisionSchema(ma.Schema):
    """What is to become of a comment."""

    action = ma.fields.String(required=True, validate=ma.validate.OneOf(tuple(ACTIONS)))
    version = Whole(1, 2**31 - 1, required=True)
    reason_code = ma.fields.String(
        load_default=None, allow_none=True, validate=ma.validate.OneOf(DECISION_REASONS)
    )
    note = Text(2_000, load_default=None, allow_none=True, multiline=True)


class CommentDecisionSchema(ma.Schema):
    """How a comment stands after a decision."""

    id = ma.fields.UUID(required=True)
    status = ma.fields.String(required=True, metadata={"enum": _STATUSES})
    version = ma.fields.Integer(required=True)


class VerdictSchema(ma.Schema):
    """What one check said."""

    name = ma.fields.String(required=True)
    version = ma.fields.String(
        required=True, metadata={"description": "Of the check and, where it has some, of its lists."}
    )
    state = ma.fields.String(required=True, metadata={"enum": ["done", "failed", "pending"]})
    score = ma.fields.Float(required=True, metadata={"minimum": 0, "maximum": 1})
    spans = ma.fields.List(
        ma.fields.List(ma.fields.Integer()),
        required=True,
        metadata={"description": "Places in the text: [start, end] in characters, end exclusive."},
    )
    reason = ma.fields.String(required=True)
    milliseconds = ma.fields.Float(required=True)


class RevisionSchema(ma.Schema):
    """A text that the comment had, and why it led where it did."""

    number = ma.fields.Integer(required=True)
    body = ma.fields.String(required=True, allow_none=True)
    outcome = ma.fields.String(required=True, metadata={"enum": ["publish", "hold", "reject"]})
    policy_version = ma.fields.Integer(required=True)
    because = ma.fields.List(ma.fields.String(), required=True)
    created_at = ma.fields.AwareDateTime(required=True)
    verdicts = ma.fields.List(ma.fields.Nested(VerdictSchema), required=True)


class CommentChangeSchema(ma.Schema):
    """One change, by whom and why."""

    version = ma.fields.Integer(required=True)
    action = ma.fields.String(required=True)
    before = ma.fields.String(required=True, allow_none=True)
    after = ma.fields.String(required=True)
    revision = ma.fields.Integer(required=True)
    actor = ma.fields.String(required=True)
    reason_code = ma.fields.String(required=True, allow_none=True)
    note = ma.fields.String(required=True, allow_none=True)
    occurred_at = ma.fields.AwareDateTime(required=True)


class CommentReportSchema(ma.Schema):
    """What a reader said is wrong."""

    id = ma.fields.UUID(required=True)
    revision = ma.fields.Integer(required=True)
    reason = ma.fields.String(required=True, metadata={"enum": list(REPORT_REASONS)})
    note = ma.fields.String(required=True, allow_none=True)
    created_at = ma.fields.AwareDateTime(required=True)
    settled_at = ma.fields.AwareDateTime(required=True, allow_none=True)


class WriterSchema(ma.Schema):
    """What is known of a comment's writer."""

    id = ma.fields.String(required=True, metadata={"description": "Tells writers apart; leads nowhere."})
    comments = ma.fields.Dict(
        keys=ma.fields.String(),
        values=ma.fields.Integer(),
        required=True,
        metadata={"description": "How many they wrote, by status."},
    )
    bans = ma.fields.List(ma.fields.UUID(), required=True, metadata={"description": "Those in force."})


class DossierSchema(QueueItemSchema):
    """Everything known about a comment."""

    depth = ma.fields.Integer(required=True)
    email = ma.fields.String(required=True, allow_none=True)
    is_account = ma.fields.Boolean(required=True)
    is_featured = ma.fields.Boolean(required=True)
    replies = ma.fields.Integer(required=True)
    decided_by = ma.fields.String(required=True)
    decided_at = ma.fields.AwareDateTime(required=True)
    reason_code = ma.fields.String(required=True, allow_none=True)
    erased_at = ma.fields.AwareDateTime(required=True, allow_none=True)
    above = ma.fields.List(
        ma.fields.Nested(ShownCommentSchema),
        required=True,
        metadata={"description": "What it answers, from the top."},
    )
    writer = ma.fields.Nested(WriterSchema, required=True)
    revisions = ma.fields.List(ma.fields.Nested(RevisionSchema), required=True)
    changes = ma.fields.List(ma.fields.Nested(CommentChangeSchema), required=True)
    reports = ma.fields.List(ma.fields.Nested(CommentReportSchema), required=True)
