"""Shapes of checks that are asked over HTTP."""

from __future__ import annotations

from typing import Any

import marshmallow as ma

from pollsvc.web.fields import Truth, WebUrl, Whole

_NAME = ma.validate.Regexp(
    r"^[a-z0-9_-]{1,50}\Z", error="Must be 1 to 50 small letters, digits, - or _, such as tone."
)


def _seconds(**kwargs: Any) -> Whole:
    return Whole(1, 10, metadata={"description": "Seconds for one answer"}, **kwargs)


class NewCheckSchema(ma.Schema):
    """A check to make."""

    name = ma.fields.String(
        required=True,
        validate=_NAME,
        metadata={"description": "Policies and verdicts name it http: and this. It is never changed."},
    )
    url = WebUrl(required=True)
    timeout = _seconds(load_default=5)


class EditCheckSchema(ma.Schema):
    """What to change of a check; what is left out stays."""

    url = WebUrl()
    timeout = _seconds()
    is_active = Truth()
    version = Whole(1, 2**31 - 1, required=True, metadata={"description": "The version you read."})


class CheckSchema(ma.Schema):
    """A check that is asked over HTTP."""

    id = ma.fields.String(required=True)
    name = ma.fields.String(required=True)
    url = ma.fields.String(required=True, allow_none=True)
    timeout = ma.fields.Integer(required=True)
    is_active = ma.fields.Boolean(required=True)
    unreadable_because = ma.fields.String(
        required=True,
        allow_none=True,
        metadata={"description": "Why it cannot be asked: no key opens its url or its secret"},
    )
    previous_until = ma.fields.AwareDateTime(
        required=True, allow_none=True, metadata={"description": "Until then the former secret signs too"}
    )
    version = ma.fields.Integer(required=True)
    created_at = ma.fields.AwareDateTime(required=True)


class CheckWithSecretSchema(CheckSchema):
    """A check and its secret, which is shown here only."""

    secret = ma.fields.String(required=True)
