"""Shapes of consent and its texts."""

from __future__ import annotations

import marshmallow as ma

from pollsvc.articles.schemas import LOCALE
from pollsvc.consent.models import Kind, Mode, State
from pollsvc.consent.timelines import shown_evidence
from pollsvc.web.fields import Email, LastingText, Text, Time, Truth, WebUrl, Whole
from pollsvc.web.forms import FormSignalsSchema
from pollsvc.web.paging import MOST, PageQuerySchema

#: What a page keeps to take its own sign-up back: at least 128 bits in URL-safe letters.
_KEY = ma.validate.Regexp(r"^[A-Za-z0-9_-]{22,86}\Z", error="Must be 22 to 86 letters, digits, - or _.")
PURPOSE = ma.validate.Regexp(r"^[a-z][a-z0-9_-]{0,39}\Z", error="Must be a short name such as newsletter.")
#: A file and the first 16 digits of its SHA-256.
_WIDGET = ma.validate.Regexp(
    r"^[a-z_-]{1,40}\.(js|html) [0-9a-f]{16}\Z",
    error="Must be a file and 16 hexadecimal digits of its SHA-256.",
)
PLACEMENTS = ["beside_vote", "after_vote"]
MODES = [mode.value for mode in Mode]
KINDS = [kind.value for kind in Kind]
STATES = [state.value for state in State]

_TICKED = ma.validate.OneOf([True], error="Must be true: without a ticked box nothing is recorded.")


class NewConsentSchema(FormSignalsSchema):
    """A ticked box and the address it is for."""

    text_id = ma.fields.UUID(required=True)
    email = Email(required=True)
    accepted = Truth(required=True, validate=_TICKED)
    article_url = WebUrl(required=True)
    account_token = ma.fields.String(
        load_default=None,
        allow_none=True,
        validate=ma.validate.Length(1, 4_000),
        metadata={
            "description": "A token (JWT) of the publisher's login: needed for a text of mode soft_opt_in."
        },
    )
    withdrawal_key = ma.fields.String(
        load_default=None,
        allow_none=True,
        validate=_KEY,
        metadata={
            "description": "A random secret of the page's own: POST /v1/consents/withdrawals takes it."
        },
    )
    widget = ma.fields.String(
        load_default=None,
        allow_none=True,
        validate=_WIDGET,
        metadata={"description": "Which file showed the box: kept as evidence."},
    )
    placement = ma.fields.String(
        load_default=None,
        allow_none=True,
        validate=ma.validate.OneOf(PLACEMENTS),
        metadata={"description": "Where the box stood: kept as evidence."},
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
    purpose = ma.fields.String(load_default="newsletter", validate=PURPOSE)
    locale = ma.fields.String(load_default=None, allow_none=True, validate=LOCALE)
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


class ConsentEventSchema(ma.Schema):
    """Something that happened to a consent."""

    id = ma.fields.String(required=True)
    kind = ma.fields.String(required=True, metadata={"enum": KINDS})
    occurred_at = ma.fields.AwareDateTime(required=True)
    method = ma.fields.String(required=True)
    actor = ma.fields.String(required=True)
    text_id = ma.fields.String(required=True)
    text_version = ma.fields.Integer(required=True, attribute="text.version")
    text_hash = ma.fields.Function(
        lambda event: event.text_hash.hex(), required=True, metadata={"type": "string"}
    )
    article_url = ma.fields.String(required=True, allow_none=True, attribute="article.url", dump_default=None)
    origin = ma.fields.String(required=True, allow_none=True)
    is_suspect = ma.fields.Boolean(required=True)
    evidence = ma.fields.Function(
        lambda event: shown_evidence(event.evidence), required=True, metadata={"type": "object"}
    )


class TimelineSchema(ma.Schema):
    """A consent and all that happened to it, oldest first."""

    consent = ma.fields.Nested(ConsentSchema, required=True)
    events = ma.fields.List(ma.fields.Nested(ConsentEventSchema), required=True)


class StaffWithdrawalSchema(ma.Schema):
    """A reader's wish to leave, as it reached the newsroom."""

    note = LastingText(500, multiline=True, load_default=None, allow_none=True)


class ExportQuerySchema(ma.Schema):
    """Which consents to take away; all where nothing is said."""

    site_id = ma.fields.UUID(load_default=None)
    purpose = ma.fields.String(load_default=None, validate=PURPOSE)
    state = ma.fields.String(load_default=None, validate=ma.validate.OneOf(STATES))
    mode = ma.fields.String(load_default=None, validate=ma.validate.OneOf(MODES))
    changed_since = Time(load_default=None)


class ImportQuerySchema(ma.Schema):
    """What the subscribers of a file agreed to."""

    text_id = ma.fields.UUID(required=True)
    dry_run = ma.fields.Boolean(load_default=False, truthy={"true"}, falsy={"false"})


class OutstandingSchema(ma.Schema):
    """A consent of which an endpoint does not know how it stands."""

    consent_id = ma.fields.String(required=True)
    kind = ma.fields.String(required=True, metadata={"description": "What it has not acknowledged"})
    since = ma.fields.AwareDateTime(required=True, allow_none=True)
    delivery = ma.fields.String(
        required=True,
        allow_none=True,
        metadata={"enum": ["pending", "dead", None], "description": "null: nothing is under way"},
    )
    attempts = ma.fields.Integer(required=True)
    reason = ma.fields.String(required=True, allow_none=True)


class OutstandingQuerySchema(ma.Schema):
    """Which of the consents that are outstanding."""

    limit = Whole(1, 1_000, load_default=1_000)
    cursor = ma.fields.String(load_default=None, allow_none=True, validate=ma.validate.Length(max=200))


class HandedOverSchema(ma.Schema):
    """How many consents are on their way, and where the next ones begin."""

    count = ma.fields.Integer(required=True)
    next_cursor = ma.fields.String(required=True, allow_none=True)


class ConsentTextQuerySchema(PageQuerySchema):
    """Which texts."""

    site_id = ma.fields.UUID(load_default=None)
