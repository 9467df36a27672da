"""Consent over HTTP."""

from __future__ import annotations

from typing import Any

from flask import request

from pollsvc.consent import service, texts
from pollsvc.consent.links import Links
from pollsvc.consent.models import Consent, ConsentText
from pollsvc.consent.schemas import (
    ConsentSchema,
    ConsentSearchSchema,
    ConsentTextQuerySchema,
    ConsentTextVersionSchema,
    NewConsentSchema,
    NewConsentTextSchema,
    TakenBackSchema,
    TakenSchema,
    WithdrawalSchema,
)
from pollsvc.consent.signing_up import Desk, due_sign_ups, process_sign_up
from pollsvc.db import db
from pollsvc.outbox.mail import mail_host
from pollsvc.web.api import JSONBlueprint
from pollsvc.web.forms import is_suspect
from pollsvc.web.guards import actor, public, staff
from pollsvc.web.limits import limited
from pollsvc.web.metrics import SUBMISSIONS
from pollsvc.web.paging import Page, page_schema, read_page
from pollsvc.web.state import keys, now, ring, settings

blp = JSONBlueprint("consent", __name__, url_prefix="/v1", description="Newsletter consent, beside the vote.")


@blp.post("/consents")
@blp.body(NewConsentSchema, cap=8_192)
@blp.response(202, TakenSchema)
@limited("consents")
@public
def take_sign_up(body: dict[str, Any]) -> dict[str, str]:
    """Record that a reader ticked the box; the answer is the same whoever the address is."""
    suspect = is_suspect(body, keys(), now())
    service.take_sign_up(
        db.writing,
        keys(),
        text_id=body["text_id"],
        email=body["email"],
        article_url=body["article_url"],
        origin=request.headers.get("Origin"),
        is_suspect=suspect,
        withdrawal_key=body["withdrawal_key"],
        now=now(),
    )
    db.writing.commit()
    ring()
    SUBMISSIONS.labels("consent", str(suspect)).inc()
    return {"status": "received", "message": "Thank you. Your sign-up has arrived."}


@blp.post("/consents/withdrawals")
@blp.body(WithdrawalSchema)
@blp.response(200, TakenBackSchema)
@limited("links")
@public
def take_back(body: dict[str, Any]) -> dict[str, str]:
    """Take a sign-up of this page back; the answer is the same whatever the key was."""
    service.take_back(db.writing, links(), body["withdrawal_key"], now())
    db.writing.commit()
    ring()
    return {"status": "done", "message": "You will get no newsletter by this sign-up."}


@blp.post("/consents/search")
@blp.body(ConsentSearchSchema)
@blp.response(200, page_schema(ConsentSchema))
@limited("staff")
@staff("consents:read")
def search_consents(body: dict[str, Any]) -> Page[Consent]:
    """The consents of an address, newest first; the address travels in the body only. Leaves an audit row."""
    email = body.pop("email")
    _settle(service.email_hash(keys(), email))
    consents = service.search_consents(db.writing, keys(), email, actor=actor().reference, now=now())
    page = read_page(db.writing, consents, Consent.id, body, keys())
    db.writing.commit()
    return page


@blp.post("/consent-texts")
@blp.body(NewConsentTextSchema)
@blp.response(201, ConsentTextVersionSchema)
@blp.problems(404)
@limited("staff")
@staff("consents:manage")
def publish_text(body: dict[str, Any]) -> ConsentText:
    """Publish the next version of a site's newsletter text; new polls carry it."""
    text = texts.publish_text(db.writing, **body, actor=actor().reference, now=now())
    db.writing.commit()
    return text


@blp.get("/consent-texts")
@blp.query(ConsentTextQuerySchema)
@blp.response(200, page_schema(ConsentTextVersionSchema))
@limited("staff")
@staff("consents:read")
def list_texts(query: dict[str, Any]) -> Page[ConsentText]:
    """Every version of every text, newest first."""
    return read_page(db.session, texts.list_texts(query.pop("site_id")), ConsentText.id, query, keys())


def links() -> Links:
    """The links of this installation."""
    return Links(settings().public_url, mail_host(settings()), keys())


def _settle(email_hash: bytes) -> None:
    """Decide what waits for an address: the newsroom sees what the worker would have made of it a second later."""
    desk = Desk(links(), settings().disposable_domains)
    for sign_up in db.writing.scalars(due_sign_ups(now(), email_hash)).all():
        if sign_up.available_at <= now():
            process_sign_up(db.writing, desk, sign_up.id, now())
