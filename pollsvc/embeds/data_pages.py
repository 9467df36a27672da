"""The pages on which people see, and erase, what is kept about them; who holds the mail's link is who is asked for.

A GET changes nothing and shows nothing personal. A press is answered alike, whatever the link or the address was.
"""

from __future__ import annotations

from typing import Any

import marshmallow as ma
import orjson
from flask import Blueprint, Response, make_response, render_template

from pollsvc.comments.forgetting import DELETED_READER, Choice
from pollsvc.consent.links import DATA_WITHIN, read_data_token
from pollsvc.consent.service import email_hash
from pollsvc.db import db
from pollsvc.embeds.pages import pressed
from pollsvc.embeds.plain_forms import PlainForm, plain_form
from pollsvc.privacy.access import describe_person
from pollsvc.privacy.requests import ask_for_link
from pollsvc.privacy.routes import erase
from pollsvc.web.fields import Email
from pollsvc.web.guards import public
from pollsvc.web.limits import limited
from pollsvc.web.state import keys, now, ring

blueprint = Blueprint("data_pages", __name__)


class LinkFormSchema(ma.Schema):
    """Which address wants to know."""

    email = Email(required=True)


@blueprint.get("/data")
@public
def show_link_form() -> Response:
    """A form that mails a link."""
    return _page("ask")


@blueprint.post("/data")
@limited("consents")
@plain_form(LinkFormSchema, cap=4_096)
@public
def send_link(form: PlainForm) -> Response:
    """Mail a link to an address, if anything is kept about it; which, only its mailbox learns."""
    if form.errors:
        return _page("ask", status=422, email=form.sent.get("email", ""), errors=form.errors)
    ask_for_link(db.writing, email_hash(keys(), form.values["email"]), now())
    db.writing.commit()
    ring()
    return _page("asked")


@blueprint.get("/data/<token>")
@public
def show_choices(token: str) -> Response:
    """Two buttons: show, and erase; one for a new link, where this one is too old."""
    return _page("choices" if _usable(token) else "old", token=token)


@blueprint.post("/data/<token>/copy")
@limited("links")
@pressed
@public
def download_copy(_form: object, token: str) -> Response:
    """Everything that is kept, as a file."""
    hashed = _usable(token)
    if hashed is None:
        return _page("old", token=token)
    response = Response(
        orjson.dumps(describe_person(db.session, hashed, now()), option=orjson.OPT_INDENT_2),
        mimetype="application/json",
    )
    response.headers["Content-Disposition"] = 'attachment; filename="my-data.json"'
    return response


@blueprint.post("/data/<token>/erase")
@limited("links")
@pressed
@public
def ask_again(_form: object, token: str) -> Response:
    """Ask once more, for it cannot be undone, and what is to become of published comments."""
    return _page("sure", token=token)


@blueprint.post("/data/<token>/erase/now")
@limited("links")
@pressed
@public
def erase_everything(form: dict[str, Any], token: str) -> Response:
    """Forget the person behind the link."""
    hashed = _usable(token)
    if hashed is not None:
        # Whoever did not say that something may stay has all of it go.
        stays = form["comments"] == Choice.REMOVE_IDENTITY
        choice = Choice.REMOVE_IDENTITY if stays else Choice.REMOVE_TEXT
        erase(hashed, method="data_page", actor="reader", choice=choice)
    return _page("erased")


@blueprint.post("/data/<token>/link")
@limited("links")
@pressed
@public
def renew_link(_form: object, token: str) -> Response:
    """Mail a new link for an old one, to the address that it was for."""
    link = read_data_token(keys(), token, now())
    if link is not None:
        ask_for_link(db.writing, link.email_hash, now())
        db.writing.commit()
        ring()
    return _page("asked")


def _usable(token: str) -> bytes | None:
    link = read_data_token(keys(), token, now())
    return link.email_hash if link and not link.is_expired else None


def _page(state: str, *, status: int = 200, **values: object) -> Response:
    page = render_template(
        "embeds/data.html", state=state, days=DATA_WITHIN.days, deleted_reader=DELETED_READER, **values
    )
    response = make_response(page, status)
    # The address of these pages is the secret.
    response.headers["Referrer-Policy"] = "no-referrer"
    return response
