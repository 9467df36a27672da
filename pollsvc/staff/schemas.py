"""Shapes of tokens and audit rows."""

from __future__ import annotations

import marshmallow as ma

from pollsvc.scopes import SCOPES
from pollsvc.web.fields import Text, Time
from pollsvc.web.paging import PageQuerySchema


class NewTokenSchema(ma.Schema):
    """A token to make."""

    name = Text(100, required=True)
    scopes = ma.fields.List(
        ma.fields.String(validate=ma.validate.OneOf(SCOPES)),
        required=True,
        validate=ma.validate.Length(1, len(SCOPES)),
    )
    expires_at = Time(load_default=None, allow_none=True)


class TokenSchema(ma.Schema):
    """A token without its secret."""

    id = ma.fields.String(required=True)
    name = ma.fields.String(required=True)
    scopes = ma.fields.List(ma.fields.String(), required=True)
    created_by = ma.fields.String(required=True)
    created_at = ma.fields.AwareDateTime(required=True)
    expires_at = ma.fields.AwareDateTime(required=True, allow_none=True)
    revoked_at = ma.fields.AwareDateTime(required=True, allow_none=True)
    last_used_at = ma.fields.AwareDateTime(required=True, allow_none=True)


class MadeTokenSchema(TokenSchema):
    """A fresh token; its secret is shown this once."""

    token = ma.fields.String(required=True)


class AuditQuerySchema(PageQuerySchema):
    """Which audit rows."""

    object_type = Text(40, load_default=None)
    object_id = Text(100, load_default=None)


class AuditEntrySchema(ma.Schema):
    """Who changed what, and how."""

    id = ma.fields.String(required=True)
    occurred_at = ma.fields.AwareDateTime(required=True)
    actor = ma.fields.String(required=True)
    action = ma.fields.String(required=True)
    object_type = ma.fields.String(required=True)
    object_id = ma.fields.String(required=True)
    detail = ma.fields.Dict(required=True)
