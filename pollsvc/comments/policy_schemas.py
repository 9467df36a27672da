"""Shapes of policies and of what they would change."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import marshmallow as ma

from pollsvc.comments.models import Status
from pollsvc.comments.policies import Outcome
from pollsvc.web.fields import Text, Whole

#: Checks that a policy names.
MOST_CHECKS = 100
_OUTCOMES = [str(outcome) for outcome in Outcome]


class Score(ma.fields.Float):
    """A JSON number from 0 to 1; not a boolean, not a string."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(validate=ma.validate.Range(0, 1), **kwargs)

    def _deserialize(self, value: Any, attr: str | None, data: Any, **kwargs: Any) -> float:
        if type(value) not in (int, float):
            raise ma.ValidationError("Must be a number.")
        return float(super()._deserialize(value, attr, data, **kwargs))


def _score(description: str) -> Score:
    return Score(load_default=None, allow_none=True, metadata={"description": description})


#: A check that could not be asked turns nobody down, and is never silent.
_WHEN_MISSING = [str(Outcome.HOLD), str(Outcome.PUBLISH)]


class ThresholdsSchema(ma.Schema):
    """How one check's score becomes a vote."""

    publish = _score("Up to this score it votes to publish; null: it vouches for nothing.")
    hold = _score("From this score on it votes to hold.")
    reject = _score("From this score on it votes to reject.")
    when_missing = ma.fields.String(
        load_default="hold",
        validate=ma.validate.OneOf(_WHEN_MISSING),
        metadata={"description": "Its vote where it failed or has not answered yet."},
    )

    @ma.validates_schema
    def _rises(self, data: dict[str, Any], **_: object) -> None:
        given = [(name, data[name]) for name in ("publish", "hold", "reject") if data[name] is not None]
        for (low, least), (high, most) in pairwise(given):
            if least > most:
                raise ma.ValidationError(f"Must not be below {low}.", high)


class Checks(ma.fields.Dict):
    """Thresholds by check; a field that breaks a rule is named ``checks.links.hold``."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(
            keys=Text(100),
            values=ma.fields.Nested(ThresholdsSchema),
            validate=ma.validate.Length(max=MOST_CHECKS),
            **kwargs,
        )

    def _deserialize(self, value: Any, attr: str | None, data: Any, **kwargs: Any) -> Any:
        try:
            return super()._deserialize(value, attr, data, **kwargs)  # type: ignore[no-untyped-call]
        except ma.ValidationError as error:
            if not isinstance(error.messages, dict):
                raise
            told = {name: each.get("value", each.get("key")) for name, each in error.messages.items()}
            raise ma.ValidationError(told) from error


class NewPolicySchema(ma.Schema):
    """A policy to draft."""

    checks = Checks(
        required=True,
        metadata={"description": "A check that is not named has no vote, save those that always hold."},
    )


class PolicySchema(ma.Schema):
    """A version of the policy."""

    version = ma.fields.Integer(required=True, metadata={"description": "0: the one that is built in."})
    state = ma.fields.String(required=True, metadata={"enum": ["draft", "live", "retired"]})
    checks = ma.fields.Dict(keys=ma.fields.String(), values=ma.fields.Nested(ThresholdsSchema), required=True)
    created_by = ma.fields.String(required=True)
    created_at = ma.fields.AwareDateTime(required=True, allow_none=True)
    activated_at = ma.fields.AwareDateTime(
        required=True,
        allow_none=True,
        metadata={"description": "When it became live, the last time that it did."},
    )


class ActivationSchema(ma.Schema):
    """What is to be replaced."""

    replaces = Whole(
        0,
        2**31 - 1,
        load_default=None,
        allow_none=True,
        metadata={"description": "The version that you saw live; left out: whichever is by now."},
    )


class NewSimulationSchema(ma.Schema):
    """What to try a policy on."""

    days = Whole(1, 90, required=True)
    limit = Whole(0, 500, load_default=100, metadata={"description": "How many of the comments are listed."})


class MoveSchema(ma.Schema):
    """How many texts would go from one outcome to another."""

    before = ma.fields.String(required=True, metadata={"enum": _OUTCOMES})
    after = ma.fields.String(required=True, metadata={"enum": _OUTCOMES})
    count = ma.fields.Integer(required=True)


class DifferingSchema(ma.Schema):
    """A text that the policy would do something else with."""

    id = ma.fields.UUID(required=True)
    revision = ma.fields.Integer(required=True)
    article_url = ma.fields.String(required=True)
    status = ma.fields.String(
        required=True,
        metadata={
            "enum": [str(status) for status in Status],
            "description": "How the comment stands now, whoever decided.",
        },
    )
    before = ma.fields.String(required=True, metadata={"enum": _OUTCOMES})
    after = ma.fields.String(required=True, metadata={"enum": _OUTCOMES})
    because = ma.fields.List(
        ma.fields.String(),
        required=True,
        metadata={"description": "The checks whose votes would lead to it."},
    )
    body = ma.fields.String(required=True, allow_none=True)


class SimulationSchema(ma.Schema):
    """What a policy would change."""

    policy_version = ma.fields.Integer(required=True)
    since = ma.fields.AwareDateTime(required=True)
    judged = ma.fields.Integer(required=True, metadata={"description": "Texts that were looked at."})
    changed = ma.fields.Integer(
        required=True, metadata={"description": "How many it would do something else with."}
    )
    moves = ma.fields.List(ma.fields.Nested(MoveSchema), required=True)
    items = ma.fields.List(
        ma.fields.Nested(DifferingSchema), required=True, metadata={"description": "The newest of them."}
    )
