"""Shapes of sites."""

from __future__ import annotations

import marshmallow as ma

from pollsvc.articles.logins import read_login_key
from pollsvc.articles.models import COMMENT_MODES, CONSENT_MODES
from pollsvc.web.fields import Email, Text, Time, WebUrl, Whole

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
    comments = ma.fields.String(validate=ma.validate.OneOf(COMMENT_MODES))
    comments_close_days = Whole(1, 36_500, allow_none=True)
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
    comments = ma.fields.String(required=True, metadata={"enum": list(COMMENT_MODES)})
    comments_close_days = ma.fields.Integer(required=True, allow_none=True)
    has_login_key = ma.fields.Function(
        lambda site: site.login_key is not None, required=True, metadata={"type": "boolean"}
    )
    created_at = ma.fields.AwareDateTime(required=True)


class OneArticleQuerySchema(ma.Schema):
    """Which article."""

    article_url = WebUrl(required=True)


class EditArticleSchema(ma.Schema):
    """How an article takes comments. `null` gives a choice back to its site."""

    comments = ma.fields.String(allow_none=True, validate=ma.validate.OneOf(COMMENT_MODES))
    comments_close_days = Whole(1, 36_500, allow_none=True)
    published_at = Time(allow_none=True)


class ArticleSchema(ma.Schema):
    """An article, and how it takes comments by now."""

    id = ma.fields.UUID(required=True)
    article_url = ma.fields.String(required=True, attribute="url")
    comments = ma.fields.String(
        required=True,
        allow_none=True,
        metadata={"enum": [*COMMENT_MODES, None], "description": "null: as the site has it"},
    )
    comments_close_days = ma.fields.Integer(required=True, allow_none=True)
    published_at = ma.fields.AwareDateTime(required=True, allow_none=True)
    comments_now = ma.fields.String(required=True, metadata={"enum": list(COMMENT_MODES)})
    comments_close_at = ma.fields.AwareDateTime(required=True, allow_none=True)
    created_at = ma.fields.AwareDateTime(required=True)
