"""Shapes of what is kept about people."""

from __future__ import annotations

import marshmallow as ma

from pollsvc.comments.forgetting import Choice
from pollsvc.comments.models import Status
from pollsvc.consent.models import Mode, Reason
from pollsvc.privacy.comments import DECIDERS
from pollsvc.web.fields import Email

REASONS = [reason.value for reason in Reason]
MODES = [mode.value for mode in Mode]
STATUSES = [status.value for status in Status]


class AddressSchema(ma.Schema):
    """Whose: an address never stands in a URL."""

    email = Email(required=True)


class ChoiceSchema(ma.Schema):
    """What becomes of a person's comments."""

    comments = ma.fields.String(
        load_default=str(Choice.REMOVE_TEXT),
        validate=ma.validate.OneOf([str(choice) for choice in Choice]),
        metadata={
            "description": "`remove_text`: all that they wrote goes. `remove_identity`: what is published stays, under "
            "nobody's name. Ask them which."
        },
    )


class NewErasureSchema(ChoiceSchema, AddressSchema):
    """Whom to forget."""


class NewWriterErasureSchema(ChoiceSchema):
    """Whom to forget who has no address."""

    comment_id = ma.fields.UUID(required=True, metadata={"description": "One that they wrote."})


class ErasedSchema(ma.Schema):
    """How much there was."""

    consents = ma.fields.Integer(required=True)
    sign_ups = ma.fields.Integer(required=True)
    corrections = ma.fields.Integer(required=True)
    comments = ma.fields.Integer(required=True)


class ErasureSchema(ma.Schema):
    """That a person was forgotten; the same where there was nothing to forget."""

    status = ma.fields.String(required=True, metadata={"enum": ["erased"]})
    erased = ma.fields.Nested(ErasedSchema, required=True)


class KeptTextSchema(ma.Schema):
    """What was shown, word for word."""

    id = ma.fields.String(required=True)
    version = ma.fields.Integer(required=True)
    mode = ma.fields.String(required=True, metadata={"enum": MODES})
    is_gdpr_consent = ma.fields.Boolean(required=True)
    body = ma.fields.String(required=True)
    hash = ma.fields.String(required=True)
    controller = ma.fields.String(required=True, allow_none=True)
    contact = ma.fields.String(required=True, allow_none=True)
    privacy_url = ma.fields.String(required=True, allow_none=True)
    privacy_version = ma.fields.String(required=True, allow_none=True)
    terms_url = ma.fields.String(required=True, allow_none=True)
    terms_version = ma.fields.String(required=True, allow_none=True)


class KeptEventSchema(ma.Schema):
    """Something that happened to a consent."""

    kind = ma.fields.String(required=True)
    occurred_at = ma.fields.String(required=True)
    method = ma.fields.String(required=True)
    article_url = ma.fields.String(required=True, allow_none=True)
    origin = ma.fields.String(required=True, allow_none=True)
    text = ma.fields.Nested(KeptTextSchema, required=True)


class KeptConsentSchema(ma.Schema):
    """A consent, and how it came about."""

    id = ma.fields.String(required=True)
    purpose = ma.fields.String(required=True)
    state = ma.fields.String(required=True)
    requested_at = ma.fields.String(required=True)
    confirmed_at = ma.fields.String(required=True, allow_none=True)
    changed_at = ma.fields.String(required=True)
    valid_until = ma.fields.String(required=True, allow_none=True)
    text = ma.fields.Nested(KeptTextSchema, required=True)
    events = ma.fields.List(ma.fields.Nested(KeptEventSchema), required=True)


class KeptSignUpSchema(ma.Schema):
    """A sign-up that waits to be looked at."""

    email = ma.fields.String(required=True, allow_none=True)
    occurred_at = ma.fields.String(required=True)
    article_url = ma.fields.String(required=True)
    origin = ma.fields.String(required=True, allow_none=True)
    text = ma.fields.Nested(KeptTextSchema, required=True)


class KeptCorrectionSchema(ma.Schema):
    """A correction, as it was sent in."""

    reference = ma.fields.String(required=True)
    article_url = ma.fields.String(required=True)
    name = ma.fields.String(required=True, allow_none=True)
    email = ma.fields.String(required=True, allow_none=True)
    message = ma.fields.String(required=True, allow_none=True)
    quote = ma.fields.String(required=True, allow_none=True)
    status = ma.fields.String(required=True)
    created_at = ma.fields.String(required=True)
    decided_at = ma.fields.String(required=True, allow_none=True)


class KeptRevisionSchema(ma.Schema):
    """A text that a comment had."""

    number = ma.fields.Integer(required=True)
    body = ma.fields.String(required=True, allow_none=True)
    created_at = ma.fields.String(required=True)


class KeptDecisionSchema(ma.Schema):
    """What was decided about a comment, by whom and why."""

    action = ma.fields.String(required=True)
    status = ma.fields.String(required=True, metadata={"enum": STATUSES})
    by = ma.fields.String(
        required=True,
        metadata={"enum": list(DECIDERS), "description": "`policy`: the checks alone, without a human."},
    )
    reason_code = ma.fields.String(required=True, allow_none=True)
    occurred_at = ma.fields.String(required=True)


class KeptCommentSchema(ma.Schema):
    """A comment, with every text that it had."""

    id = ma.fields.String(required=True)
    article_url = ma.fields.String(required=True)
    parent_id = ma.fields.String(required=True, allow_none=True)
    name = ma.fields.String(required=True, allow_none=True)
    email = ma.fields.String(required=True, allow_none=True)
    is_account = ma.fields.Boolean(required=True)
    status = ma.fields.String(required=True, metadata={"enum": STATUSES})
    created_at = ma.fields.String(required=True)
    edited_at = ma.fields.String(required=True, allow_none=True)
    revisions = ma.fields.List(ma.fields.Nested(KeptRevisionSchema), required=True)
    decisions = ma.fields.List(ma.fields.Nested(KeptDecisionSchema), required=True)
    reports = ma.fields.Integer(required=True, metadata={"description": "How many reports of it are kept."})


class KeptBanSchema(ma.Schema):
    """Comments under the address are held, or were."""

    reason_code = ma.fields.String(required=True)
    since = ma.fields.String(required=True)
    ends_at = ma.fields.String(required=True, allow_none=True)
    lifted_at = ma.fields.String(required=True, allow_none=True)


class KeptMessageSchema(ma.Schema):
    """Something that was sent, or waits to be."""

    channel = ma.fields.String(required=True)
    kind = ma.fields.String(required=True)
    state = ma.fields.String(required=True)
    created_at = ma.fields.String(required=True)
    settled_at = ma.fields.String(required=True, allow_none=True)


class FormerConsentSchema(ma.Schema):
    """What happened to a consent of which nothing else is left; without an id where the first release wrote it."""

    id = ma.fields.String(required=True, allow_none=True)
    events = ma.fields.List(ma.fields.Nested(KeptEventSchema), required=True)


class RecipientSchema(ma.Schema):
    """A system that took what it was told of a consent."""

    host = ma.fields.String(required=True, allow_none=True)
    consent_id = ma.fields.String(required=True)
    kind = ma.fields.String(required=True)
    taken_at = ma.fields.String(required=True)


class KeptSuppressionSchema(ma.Schema):
    """Why and since when nothing is sent."""

    reason = ma.fields.String(required=True, metadata={"enum": REASONS})
    since = ma.fields.String(required=True)


class AccessSchema(ma.Schema):
    """Everything that an address leads to."""

    generated_at = ma.fields.String(required=True)
    email = ma.fields.String(required=True, allow_none=True)
    consents = ma.fields.List(ma.fields.Nested(KeptConsentSchema), required=True)
    former_consents = ma.fields.List(ma.fields.Nested(FormerConsentSchema), required=True)
    recipients = ma.fields.List(ma.fields.Nested(RecipientSchema), required=True)
    sign_ups = ma.fields.List(ma.fields.Nested(KeptSignUpSchema), required=True)
    corrections = ma.fields.List(ma.fields.Nested(KeptCorrectionSchema), required=True)
    comments = ma.fields.List(ma.fields.Nested(KeptCommentSchema), required=True)
    comment_bans = ma.fields.List(ma.fields.Nested(KeptBanSchema), required=True)
    mails = ma.fields.List(ma.fields.Nested(KeptMessageSchema), required=True)
    suppression = ma.fields.Nested(KeptSuppressionSchema, required=True, allow_none=True)
    ballots = ma.fields.String(required=True)


class SuppressionSchema(ma.Schema):
    """Whether nothing is sent to an address, and why."""

    is_suppressed = ma.fields.Boolean(required=True)
    reason = ma.fields.String(required=True, allow_none=True, metadata={"enum": [*REASONS, None]})
    since = ma.fields.AwareDateTime(required=True, allow_none=True)


class ChangedSchema(ma.Schema):
    """Whether something changed by the call."""

    is_suppressed = ma.fields.Boolean(required=True)
    changed = ma.fields.Boolean(required=True)
