"""Shapes of consent and its texts."""

from __future__ import annotations

import marshmallow as ma

from pollsvc.consent.models import Mode, State
from pollsvc.web.fields import Email, Text, Truth, WebUrl, Whole
from pollsvc.web.forms import FormSignalsSchema
from pollsvc.web.paging import MOST, PageQuerySchema

#: What a page keeps to take its own sign-up back: at least 128 bits in URL-safe letters.
_KEY = ma.validate.Regexp(r"^[A-Za-z0-9_-]{22,86}\Z", error="Must be 22 to 86 letters, digits, - or _.")
_LOCALE = ma.validate.Regexp(
    r"^[a-z]{2,3}(-[A-Z][A-Za-z]{1,3})?\Z", error="Must be a language such as en or pt-BR."
)
_PURPOSE = ma.validate.Regexp(r"^[a-z][a-z0-9_-]{0,39}\Z", error="Must be a short name such as newsletter.")
MODES = [mode.value for mode in Mode]
STATES = [state.value for state in State]

_TICKED = ma.validate.OneOf([True], error="Must be true: without a ticked box nothing is recorded.")


class NewConsentSchema(FormSignalsSchema):
    """A ticked box and the address it is for."""

    text_id = ma.fields.UUID(required=True)
    email = Email(required=True)
    accepted = Truth(required=True, validate=_TICKED)
    article_url = WebUrl(required=True)
    withdrawal_key = ma.fields.String(
        load_default=None,
        allow_none=True,
        validate=_KEY,
        metadata={
            "description": "A random secret of the page's own: POST /v1/consents/withdrawals takes it."
        },
    )


class WithdrawalSchema(ma.Schema):
    """A sign-up to take back, by the key that came with it."""

    withdrawal_key = ma.fields.String(required=True, validate=_KEY)


class TakenBackSchema(ma.Schema):
    """The same for every key."""

    status = ma.fields.String(required=True, metadata={"enum": ["done"]})
    message = ma.fields.String(required=True)


class TakenSchema(ma.Schema):
    """The same for every address."""

    status = ma.fields.String(required=True, metadata={"enum": ["received"]})
    message = ma.fields.String(required=True)


class NewConsentTextSchema(ma.Schema):
    """The next version of a site's text."""

    site_id = ma.fields.UUID(required=True)
    body = Text(2_000, required=True)
    purpose = ma.fields.String(load_default="newsletter", validate=_PURPOSE)
    locale = ma.fields.String(load_default=None, allow_none=True, validate=_LOCALE)
    mode = ma.fields.String(load_default=None, allow_none=True, validate=ma.validate.OneOf(MODES))
    is_material = Truth(
        load_default=False,
        metadata={"description": "It asks for something else than before: whoever agreed is asked again."},
    )
    # Refused when true: they are here so that the refusal can name its rule.
    default_checked = Truth(load_default=False)
    is_required = Truth(load_default=False)
    controller = Text(200, allow_none=True)
    contact = Text(500, allow_none=True)
    withdrawal = Text(500, allow_none=True)
    privacy_version = Text(100, allow_none=True)
    terms_version = Text(100, allow_none=True)
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
    locale = ma.fields.String(required=True)
    mode = ma.fields.String(required=True, metadata={"enum": MODES})
    is_material = ma.fields.Boolean(required=True)
    controller = ma.fields.String(required=True, allow_none=True)
    contact = ma.fields.String(required=True, allow_none=True)
    withdrawal = ma.fields.String(required=True, allow_none=True)
    privacy_version = ma.fields.String(required=True, allow_none=True)
    terms_version = ma.fields.String(required=True, allow_none=True)
    created_at = ma.fields.AwareDateTime(required=True)


class ConsentSearchSchema(ma.Schema):
    """Whose consents, and which page of them: an address never stands in a URL."""

    email = Email(required=True)
    limit = Whole(1, MOST, load_default=MOST)
    cursor = ma.fields.String(load_default=None, allow_none=True, validate=ma.validate.Length(max=200))


class ConsentSchema(ma.Schema):
    """How a consent stands, and what was shown."""

    id = ma.fields.String(required=True)
    site_id = ma.fields.String(required=True)
    purpose = ma.fields.String(required=True)
    state = ma.fields.String(required=True, metadata={"enum": STATES})
    mode = ma.fields.String(required=True, attribute="text.mode", metadata={"enum": MODES})
    is_gdpr_consent = ma.fields.Function(
        lambda consent: consent.text.mode == Mode.EXPLICIT, required=True, metadata={"type": "boolean"}
    )
    text = ma.fields.Nested(ProvenTextSchema, required=True)
    article_url = ma.fields.String(required=True, allow_none=True)
    origin = ma.fields.String(required=True, allow_none=True)
    occurred_at = ma.fields.AwareDateTime(required=True, attribute="requested_at")
    confirmed_at = ma.fields.AwareDateTime(required=True, allow_none=True)
    changed_at = ma.fields.AwareDateTime(required=True)
    valid_until = ma.fields.AwareDateTime(required=True, allow_none=True)
    is_suspect = ma.fields.Boolean(required=True)


class ConsentTextQuerySchema(PageQuerySchema):
    """Which texts."""

    site_id = ma.fields.UUID(load_default=None)
