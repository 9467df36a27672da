"""Shapes of corrections."""

from __future__ import annotations

import marshmallow as ma

from pollsvc.web.fields import Email, Text, WebUrl, Whole
from pollsvc.web.forms import FormSignalsSchema
from pollsvc.web.paging import PageQuerySchema

STATUSES = ("new", "handled", "spam")


class NewCorrectionSchema(FormSignalsSchema):
    """What a reader reports."""

    article_url = WebUrl(required=True)
    name = Text(200, required=True)
    email = Email(required=True)
    message = Text(5_000, required=True, multiline=True)
    quote = Text(1_000, load_default=None, allow_none=True, multiline=True)


class ReceivedSchema(ma.Schema):
    """That a report arrived."""

    reference = ma.fields.String(required=True)
    message = ma.fields.String(required=True)
    standards_url = ma.fields.String(required=True, allow_none=True)


class DecisionSchema(ma.Schema):
    """How the newsroom marks a report."""

    status = ma.fields.String(required=True, validate=ma.validate.OneOf(STATUSES))
    version = Whole(1, 2**31 - 1, required=True)
    note = Text(
        2_000,
        allow_none=True,
        multiline=True,
        metadata={"description": "Left out: stays as it is. null: taken away."},
    )


class CorrectionSchema(ma.Schema):
    """A report, for the newsroom."""

    id = ma.fields.String(required=True)
    reference = ma.fields.String(required=True)
    article_url = ma.fields.String(required=True)
    name = ma.fields.String(required=True, allow_none=True)
    email = ma.fields.String(required=True, allow_none=True)
    message = ma.fields.String(required=True, allow_none=True)
    quote = ma.fields.String(required=True, allow_none=True)
    note = ma.fields.String(required=True, allow_none=True)
    status = ma.fields.String(required=True, metadata={"enum": list(STATUSES)})
    version = ma.fields.Integer(required=True)
    is_suspect = ma.fields.Boolean(required=True)
    created_at = ma.fields.AwareDateTime(required=True)
    decided_at = ma.fields.AwareDateTime(required=True, allow_none=True)
    decided_by = ma.fields.String(required=True, allow_none=True)
    erased_at = ma.fields.AwareDateTime(
        required=True,
        allow_none=True,
        metadata={"description": "When its writer was forgotten: name, email and message are empty then."},
    )


class CorrectionQuerySchema(PageQuerySchema):
    """Which reports."""

    status = ma.fields.String(load_default=None, validate=ma.validate.OneOf(STATUSES))
    is_suspect = ma.fields.Boolean(load_default=None, truthy={"true"}, falsy={"false"})
