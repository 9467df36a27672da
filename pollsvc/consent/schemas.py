"""Shapes of consent and its texts."""

from __future__ import annotations

import marshmallow as ma

from pollsvc.web.fields import Email, Text, Truth, WebUrl, Whole
from pollsvc.web.forms import FormSignalsSchema
from pollsvc.web.paging import MOST, PageQuerySchema

_TICKED = ma.validate.OneOf([True], error="Must be true: without a ticked box nothing is recorded.")


class NewConsentSchema(FormSignalsSchema):
    """A ticked box and the address it is for."""

    text_id = ma.fields.UUID(required=True)
    email = Email(required=True)
    accepted = Truth(required=True, validate=_TICKED)
    article_url = WebUrl(required=True)


class TakenSchema(ma.Schema):
    """The same for every address."""

    status = ma.fields.String(required=True, metadata={"enum": ["received"]})
    message = ma.fields.String(required=True)


class NewConsentTextSchema(ma.Schema):
    """The next version of a site's text."""

    site_id = ma.fields.UUID(required=True)
    body = Text(2_000, required=True)
    # Left out, they are the site's own; null stands for none.
    privacy_url = WebUrl(allow_none=True)
    terms_url = WebUrl(allow_none=True)


class ConsentTextSchema(ma.Schema):
    """What a reader is shown beside the box."""

    id = ma.fields.String(required=True)
    body = ma.fields.String(required=True)
    privacy_url = ma.fields.String(required=True, allow_none=True)
    terms_url = ma.fields.String(required=True, allow_none=True)


class ProvenTextSchema(ConsentTextSchema):
    """What a reader was shown, with the hash that proves it."""

    hash = ma.fields.Function(lambda text: text.body_hash.hex(), required=True, metadata={"type": "string"})


class ConsentTextVersionSchema(ProvenTextSchema):
    """A version of a text, for the newsroom."""

    site_id = ma.fields.String(required=True)
    purpose = ma.fields.String(required=True)
    version = ma.fields.Integer(required=True)
    created_at = ma.fields.AwareDateTime(required=True)


class ConsentSearchSchema(ma.Schema):
    """Whose consents, and which page of them: an address never stands in a URL."""

    email = Email(required=True)
    limit = Whole(1, MOST, load_default=MOST)
    cursor = ma.fields.String(load_default=None, allow_none=True, validate=ma.validate.Length(max=200))


class ConsentSchema(ma.Schema):
    """A consent, and what proves it."""

    id = ma.fields.String(required=True)
    purpose = ma.fields.String(required=True)
    state = ma.fields.String(required=True, metadata={"enum": ["pending", "active", "withdrawn", "expired"]})
    text = ma.fields.Nested(ProvenTextSchema, required=True)
    article_url = ma.fields.String(required=True, allow_none=True)
    origin = ma.fields.String(required=True, allow_none=True)
    occurred_at = ma.fields.AwareDateTime(required=True)
    is_suspect = ma.fields.Boolean(required=True)


class ConsentTextQuerySchema(PageQuerySchema):
    """Which texts."""

    site_id = ma.fields.UUID(load_default=None)
