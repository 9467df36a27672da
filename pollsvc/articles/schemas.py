"""Shapes of sites."""

from __future__ import annotations

import marshmallow as ma

from pollsvc.articles.logins import read_login_key
from pollsvc.articles.models import CONSENT_MODES
from pollsvc.web.fields import Email, Text, WebUrl

LOCALE = ma.validate.Regexp(
    r"^[a-z]{2,3}(-[A-Z][A-Za-z]{1,3})?\Z", error="Must be a language such as en or pt-BR."
)


def _sound_login_key(text: str) -> None:
    try:
        read_login_key(text)
    except ValueError as error:
        raise ma.ValidationError(str(error)) from error


class _SiteFieldsSchema(ma.Schema):
    privacy_url = WebUrl(allow_none=True)
    terms_url = WebUrl(allow_none=True)
    standards_url = WebUrl(allow_none=True)
    desk_email = Email(allow_none=True)
    locale = ma.fields.String(validate=LOCALE)
    consent_mode = ma.fields.String(validate=ma.validate.OneOf(CONSENT_MODES))
    login_key = ma.fields.String(
        allow_none=True,
        validate=[ma.validate.Length(max=4_000), _sound_login_key],
        metadata={
            "description": "What the login signs account tokens with: a secret, or a public key in PEM. Never answered."
        },
    )


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
    locale = ma.fields.String(required=True)
    consent_mode = ma.fields.String(required=True, metadata={"enum": list(CONSENT_MODES)})
    has_login_key = ma.fields.Function(
        lambda site: site.login_key is not None, required=True, metadata={"type": "boolean"}
    )
    created_at = ma.fields.AwareDateTime(required=True)
