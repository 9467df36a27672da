"""Shapes of sites."""

from __future__ import annotations

import marshmallow as ma

from pollsvc.web.fields import Email, Text, WebUrl


class _SiteFieldsSchema(ma.Schema):
    privacy_url = WebUrl(allow_none=True)
    terms_url = WebUrl(allow_none=True)
    standards_url = WebUrl(allow_none=True)
    desk_email = Email(allow_none=True)


class NewSiteSchema(_SiteFieldsSchema):
    """A site to make."""

    name = Text(200, required=True)
    origins = ma.fields.List(WebUrl(), required=True, validate=ma.validate.Length(1, 20))


class EditSiteSchema(_SiteFieldsSchema):
    """What to change of a site."""

    name = Text(200)
    origins = ma.fields.List(WebUrl(), validate=ma.validate.Length(1, 20))


class SiteSchema(ma.Schema):
    """A site."""

    id = ma.fields.String(required=True)
    name = ma.fields.String(required=True)
    origins = ma.fields.Function(
        lambda site: [row.origin for row in site.origins],
        required=True,
        metadata={"type": "array", "items": {"type": "string", "format": "uri"}},
    )
    privacy_url = ma.fields.String(required=True, allow_none=True)
    terms_url = ma.fields.String(required=True, allow_none=True)
    standards_url = ma.fields.String(required=True, allow_none=True)
    desk_email = ma.fields.String(required=True, allow_none=True)
    created_at = ma.fields.AwareDateTime(required=True)
