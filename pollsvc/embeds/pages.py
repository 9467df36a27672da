"""The pages behind the links of our mails. A GET changes nothing; a POST acts, and answers every token alike.

The token is the authority: neither Origin nor cookie is asked for, and the body may be empty (RFC 8058).
"""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Any, TypeVar

import marshmallow as ma
from flask import Blueprint, Response, make_response, render_template, request
from werkzeug.exceptions import HTTPException

from pollsvc.consent import service as consents
from pollsvc.consent.routes import links
from pollsvc.db import db
from pollsvc.web.guards import public
from pollsvc.web.limits import limited
from pollsvc.web.marks import mark
from pollsvc.web.state import now, ring

View = TypeVar("View", bound=Callable[..., Any])

blueprint = Blueprint("pages", __name__)


class PressSchema(ma.Schema):
    """What a press of a button, or a mail program in its reader's name, sends; nothing else in it is looked at."""

    one_click = ma.fields.String(load_default="", data_key="List-Unsubscribe")
    all = ma.fields.String(load_default="")
    comments = ma.fields.String(load_default="")


def pressed(view: View) -> View:
    """Hand a view the form as its first argument: urlencoded, multipart, or none at all.

    Nobody is kept from leaving by what came along: a body of another kind, or one too large to read, is none.
    """

    @wraps(view)
    def wrapped(*args: Any, **kwargs: Any) -> Any:
        try:
            sent = request.form.to_dict()
        except HTTPException:
            sent = {}
        return view(PressSchema(unknown=ma.EXCLUDE).load(sent), *args, **kwargs)

    mark(wrapped, "acts_without_body", value=True)
    mark(wrapped, "body_cap", 4_096)
    mark(wrapped, "body_schema", PressSchema)
    return wrapped  # type: ignore[return-value]


@blueprint.get("/consent/<token>")
@public
def show_confirmation(**_token: str) -> Response:
    """One button that confirms."""
    return _page("confirm")


@blueprint.post("/consent/<token>")
@limited("links")
@pressed
@public
def confirm(_form: dict[str, Any], token: str) -> Response:
    """Confirm a sign-up, once."""
    consents.confirm(db.writing, links(), token, now())
    db.writing.commit()
    ring()
    return _page("confirmed")


@blueprint.get("/unsubscribe/<token>")
@public
def show_leaving(**_token: str) -> Response:
    """One button that leaves."""
    return _page("leave")


@blueprint.post("/unsubscribe/<token>")
@limited("links")
@pressed
@public
def leave(form: dict[str, Any], token: str) -> Response:
    """Leave, at once; as often as asked."""
    method = "one_click" if form["one_click"] == "One-Click" else "page"
    is_everything = bool(form["all"])
    consents.leave(db.writing, links(), token, method=method, is_everything=is_everything, now=now())
    db.writing.commit()
    ring()
    return _page("left_all" if is_everything else "left")


def _page(state: str) -> Response:
    response = make_response(render_template("embeds/link.html", state=state))
    # The address is the secret.
    response.headers["Referrer-Policy"] = "no-referrer"
    return response
