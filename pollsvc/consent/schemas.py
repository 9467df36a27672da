"""Shapes of consent and its texts."""

from __future__ import annotations

from typing import Any

import marshmallow as ma
from marshmallow import ValidationError

from pollsvc.web.fields import Email, Text, Truth, WebUrl
from pollsvc.web.forms import FormSignalsSchema
from pollsvc.web.paging import PageQuerySchema


def _must_be_true(value: Any) -> None:
    if value is not True:
        raise ValidationError("Must be true: without a ticked box nothing is recorded.")


class NewConsentSchema(FormSignalsSchema):
    """A ticked box and the address it is for."""

    text_id = ma.fields.UUID(required=True)
    email = Email(required=True)
    accepted = Truth(required=True, validate=_must_be_true)
    article_url = WebUrl(required=True)


class TakenSchema(ma.Schema):
    """The same for every address."""

    status = ma.fields.String(required=True, metadata={"enum": ["received"]})
    message = ma.fields.String(required=True)


class NewConsentTextSchema(ma.Schema):
    """The next version of a site's text."""

    site_id = ma.fields.UUID(required=True)
    body = Text(2_000, required=True)
    privacy_url = WebUrl(load_default=None, allow_none=True)
    terms_url = WebUrl(load_default=None, allow_none=True)


class ConsentTextSchema(ma.Schema):
    """What a reader is shown beside the box."""

    id = ma.fields.String(required=True)
    body = ma.fields.String(required=True)
    privacy_url = ma.fields.String(required=True, allow_none=True)
    terms_url = ma.fields.String(required=True, allow_none=True)


class ConsentTextVersionSchema(ConsentTextSchema):
    """A version of a text, for the newsroom."""

    site_id = ma.fields.String(required=True)
    purpose = ma.fields.String(required=True)
    version = ma.fields.Integer(required=True)
    hash = ma.fields.Function(lambda text: text.body_hash.hex(), metadata={"type": "string"})
    created_at = ma.fields.AwareDateTime(required=True)


class ConsentTextQuerySchema(PageQuerySchema):
    """Which texts."""

    site_id = ma.fields.UUID(load_default=None)
