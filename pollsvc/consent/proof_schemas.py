"""The shape of a proof."""

from __future__ import annotations

import marshmallow as ma

from pollsvc.consent.models import Kind, Mode, State
from pollsvc.consent.proof import FORGOTTEN

_MODES = [mode.value for mode in Mode]


class SealSchema(ma.Schema):
    """Where an event stands in the chain."""

    position = ma.fields.Integer(required=True)
    hash = ma.fields.String(required=True)


class ProvenEventSchema(ma.Schema):
    """Something that happened to the consent."""

    event_id = ma.fields.String(required=True)
    event_type = ma.fields.String(required=True, metadata={"enum": [kind.value for kind in Kind]})
    event_time = ma.fields.AwareDateTime(required=True)
    event_state = ma.fields.String(
        required=True,
        metadata={
            "enum": [*(state.value for state in State), FORGOTTEN],
            "description": "How it stood afterwards.",
        },
    )
    entity_id = ma.fields.String(
        required=True, metadata={"description": "Who acted: reader, system, or who of the newsroom."}
    )
    collection_method = ma.fields.String(required=True)
    text_id = ma.fields.String(required=True)
    text_hash = ma.fields.String(required=True)
    article_url = ma.fields.String(required=True, allow_none=True)
    origin = ma.fields.String(required=True, allow_none=True)
    is_suspect = ma.fields.Boolean(required=True)
    evidence = ma.fields.Dict(keys=ma.fields.String(), required=True)
    seal = ma.fields.Nested(
        SealSchema,
        required=True,
        allow_none=True,
        metadata={"description": "Null for some seconds after the event."},
    )


class ShownTextSchema(ma.Schema):
    """What was shown, word for word, with what was in force beside it."""

    id = ma.fields.String(required=True)
    version = ma.fields.Integer(required=True)
    language = ma.fields.String(required=True)
    mode = ma.fields.String(required=True, metadata={"enum": _MODES})
    lawful_basis = ma.fields.String(required=True)
    body = ma.fields.String(required=True)
    privacy_url = ma.fields.String(required=True, allow_none=True)
    privacy_version = ma.fields.String(required=True, allow_none=True)
    terms_url = ma.fields.String(required=True, allow_none=True)
    terms_version = ma.fields.String(required=True, allow_none=True)
    controller = ma.fields.String(required=True, allow_none=True)
    contact = ma.fields.String(required=True, allow_none=True)
    is_material = ma.fields.Boolean(required=True)
    published_at = ma.fields.AwareDateTime(required=True)
    hash = ma.fields.String(required=True)


class PartySchema(ma.Schema):
    """A party of the record."""

    party_role = ma.fields.String(required=True)
    party_name = ma.fields.String(required=True)
    party_contact = ma.fields.String(required=True)


class PurposeSchema(ma.Schema):
    """What it is for. What nobody told us is ``not_filled``."""

    purpose = ma.fields.String(required=True)
    lawful_basis = ma.fields.String(required=True)
    pii_information = ma.fields.List(ma.fields.String(), required=True)
    pii_controllers = ma.fields.List(ma.fields.String(), required=True)
    collection_method = ma.fields.String(required=True)
    withdrawal_method = ma.fields.String(required=True)
    jurisdiction = ma.fields.String(required=True)
    recipient_third_parties = ma.fields.String(required=True)
    storage_locations = ma.fields.String(required=True)
    retention_period = ma.fields.String(required=True)


class ProvenSiteSchema(ma.Schema):
    """The site that it was given to."""

    id = ma.fields.String(required=True)
    name = ma.fields.String(required=True)


class ProofSchema(ma.Schema):
    """The record of a consent, in the names of ISO/IEC TS 27560:2023."""

    schema_version = ma.fields.String(required=True)
    record_id = ma.fields.String(required=True)
    pii_principal_id = ma.fields.String(required=True)
    email = ma.fields.String(
        required=True,
        allow_none=True,
        metadata={"description": "Null once it was erased, or where no key opens it."},
    )
    is_erased = ma.fields.Boolean(required=True)
    state = ma.fields.String(required=True, metadata={"enum": [*(state.value for state in State), FORGOTTEN]})
    mode = ma.fields.String(required=True, metadata={"enum": _MODES})
    is_gdpr_consent = ma.fields.Boolean(required=True)
    lawful_basis = ma.fields.String(required=True)
    site = ma.fields.Nested(ProvenSiteSchema, required=True)
    privacy_notice = ma.fields.String(required=True)
    language = ma.fields.String(required=True)
    party_identification = ma.fields.List(ma.fields.Nested(PartySchema), required=True)
    purposes = ma.fields.List(ma.fields.Nested(PurposeSchema), required=True)
    valid_until = ma.fields.AwareDateTime(required=True, allow_none=True)
    texts = ma.fields.List(ma.fields.Nested(ShownTextSchema), required=True)
    events = ma.fields.List(ma.fields.Nested(ProvenEventSchema), required=True)
    as_of = ma.fields.AwareDateTime(required=True)
    page_url = ma.fields.String(
        required=True, metadata={"description": "The same as a page to print; it works for an hour."}
    )
