"""Shapes of voter tokens."""

from __future__ import annotations

import marshmallow as ma


class VoterTokenField(ma.fields.String):
    """A voter token; what is wrong with it is told by the rules, as 401, not by the schema."""

    def __init__(self) -> None:
        super().__init__(
            load_default=None,
            allow_none=True,
            metadata={"description": "From POST /v1/voters", "maxLength": 400},
        )

    def _deserialize(self, value: object, attr: object, data: object, **kwargs: object) -> str:
        text: str = super()._deserialize(value, attr, data, **kwargs)
        # Longer than any token of ours: refused as invalid without hashing it.
        return text if len(text) <= 400 else "too long"


class RenewVoterSchema(ma.Schema):
    """Nothing, or a token to renew."""

    voter_token = VoterTokenField()


class VoterTokenSchema(ma.Schema):
    """A signed random identity and when it ends."""

    voter_token = ma.fields.String(required=True)
    expires_at = ma.fields.AwareDateTime(required=True)
