"""The pages behind the links of our mails. A GET changes nothing; a POST acts, and answers every token alike.

The token is the authority: neither Origin nor cookie is asked for, and the body may be empty (RFC 8058).
"""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Any, TypeVar

import marshmallow as ma
from flask import Blueprint, Response, make_response, render_template, request

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


def pressed(view: View) -> View:
    """Hand a view the form as its first argument: urlencoded, multipart, or none at all."""

    @wraps(view)
    def wrapped(*args: Any, **kwargs: Any) -> Any:
        return view(PressSchema(unknown=ma.EXCLUDE).load(request.form.to_dict()), *args, **kwargs)

    mark(wrapped, "body_cap", 4_096)
    mark(wrapped, "body_schema", PressSchema)
    return wrapped  # type: ignore[return-value]


@blueprint.get("/consent/<token>")
@public
def show_confirmation(token: str) -> Response:
    """One button that confirms."""
    return _page("confirm", token)


@blueprint.post("/consent/<token>")
@limited("links")
@pressed
@public
def confirm(_form: dict[str, Any], token: str) -> Response:
    """Confirm a sign-up, once."""
    consents.confirm(db.writing, links(), token, now())
    db.writing.commit()
    ring()
    return _page("confirmed", token)


@blueprint.get("/unsubscribe/<token>")
@public
def show_leaving(token: str) -> Response:
    """One button that leaves."""
    return _page("leave", token)


@blueprint.post("/unsubscribe/<token>")
@limited("links")
@pressed
@public
def leave(form: dict[str, Any], token: str) -> Response:
    """Leave, at once; as often as asked."""
    method = "one_click" if form["one_click"] == "One-Click" else "page"
    consents.leave(db.writing, links(), token, method=method, is_everything=bool(form["all"]), now=now())
    db.writing.commit()
    ring()
    return _page("left", token)


def _page(state: str, token: str) -> Response:
    response = make_response(render_template("embeds/link.html", state=state, token=token))
    # The address is the secret.
    response.headers["Referrer-Policy"] = "no-referrer"
    return response
