"""Signals that a form was filled by a program: a honeypot and the time it took.

Neither ever refuses. What is stored is marked suspect and the answer is the same, so that a program learns nothing
and a person who tripped over one loses nothing.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

import marshmallow as ma

from pollsvc.keys import BadToken, Keys
from pollsvc.web.api import JSONBlueprint
from pollsvc.web.guards import public
from pollsvc.web.state import keys, now

#: A person needs longer than this to fill a form; a page open for longer than that has gone stale.
YOUNGEST = timedelta(seconds=2)
OLDEST = timedelta(days=1)

blp = JSONBlueprint("forms", __name__, url_prefix="/v1", description="What every form needs.")


class FormSignalsSchema(ma.Schema):
    """Mixed into each form's schema."""

    website = ma.fields.String(
        load_default="", allow_none=True, metadata={"description": "Honeypot: leave it empty."}
    )
    form_token = ma.fields.String(
        load_default="",
        allow_none=True,
        metadata={"description": "From GET /v1/form-token, when the form was shown."},
    )


class FormTokenSchema(ma.Schema):
    """When a form was shown, signed."""

    form_token = ma.fields.String(required=True)


def issue_form_token(keys: Keys, now: datetime) -> str:
    """Sign the time at which a form is shown."""
    return keys.sign("form", int(now.timestamp()).to_bytes(6, "big"))


def is_suspect(form: Mapping[str, Any], keys: Keys, now: datetime) -> bool:
    """Whether a form's signals look like a program: a filled honeypot, or a missing, forged, young or old token."""
    if form.get("website"):
        return True
    try:
        shown_at = datetime.fromtimestamp(
            int.from_bytes(keys.unsign("form", form.get("form_token") or ""), "big"), UTC
        )
    except BadToken:
        return True
    return not YOUNGEST <= now - shown_at <= OLDEST


@blp.get("/form-token")
@blp.response(200, FormTokenSchema)
@public
def show_form_token() -> dict[str, str]:
    """A token to send back with a form, fetched when the form is shown."""
    return {"form_token": issue_form_token(keys(), now())}
