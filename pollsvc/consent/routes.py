"""Consent over HTTP."""

from __future__ import annotations

import uuid
from typing import Any

from flask import request
from sqlalchemy.orm import Session

from pollsvc.consent import handing_over, service, texts
from pollsvc.consent.handing_over import Outstanding
from pollsvc.consent.links import Links
from pollsvc.consent.models import Consent, ConsentText
from pollsvc.consent.schemas import (
    ConsentSchema,
    ConsentSearchSchema,
    ConsentTextQuerySchema,
    ConsentTextVersionSchema,
    HandedOverSchema,
    NewConsentSchema,
    NewConsentTextSchema,
    OutstandingQuerySchema,
    OutstandingSchema,
    TakenBackSchema,
    TakenSchema,
    WithdrawalSchema,
)
from pollsvc.consent.signing_up import Desk, due_sign_ups, process_sign_up
from pollsvc.db import db
from pollsvc.errors import one_field
from pollsvc.keys import BadToken
from pollsvc.outbox.hooks import get_endpoint
from pollsvc.outbox.models import WebhookEndpoint
from pollsvc.web.api import JSONBlueprint
from pollsvc.web.forms import is_suspect
from pollsvc.web.guards import actor, public, staff
from pollsvc.web.limits import limited
from pollsvc.web.metrics import SUBMISSIONS
from pollsvc.web.paging import Page, PageQuerySchema, page_schema, read_page
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
        account_token=body["account_token"],
        evidence={name: body[name] for name in ("widget", "placement") if body[name]},
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
    return {"status": "done", "message": "This sign-up is taken back: no newsletter comes by it."}


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


@blp.get("/webhooks/<uuid:webhook_id>/outstanding")
@blp.query(PageQuerySchema)
@blp.response(200, page_schema(OutstandingSchema))
@blp.problems(404)
@limited("staff")
@staff("admin")
def list_outstanding(query: dict[str, Any], webhook_id: uuid.UUID) -> Page[Outstanding]:
    """The consents of which an endpoint has not acknowledged how they stand."""
    return _read_outstanding(db.session, get_endpoint(db.session, webhook_id), query)


@blp.post("/webhooks/<uuid:webhook_id>/outstanding")
@blp.body(OutstandingQuerySchema)
@blp.response(200, HandedOverSchema)
@blp.problems(404)
@limited("staff")
@staff("admin")
def send_outstanding(body: dict[str, Any], webhook_id: uuid.UUID) -> dict[str, Any]:
    """Tell an endpoint how those consents stand, as far as nothing is under way."""
    endpoint = get_endpoint(db.writing, webhook_id, is_locked=True)
    page = _read_outstanding(db.writing, endpoint, body)
    count = handing_over.send_outstanding(
        db.writing, links(), endpoint, page.items, actor=actor().reference, now=now()
    )
    db.writing.commit()
    ring()
    return {"count": count, "next_cursor": page.next_cursor}


def _read_outstanding(
    session: Session, endpoint: WebhookEndpoint, query: dict[str, Any]
) -> Page[Outstanding]:
    purpose, limit = f"cursor outstanding {endpoint.id}", query["limit"]
    try:
        after = uuid.UUID(bytes=keys().unsign(purpose, query["cursor"])) if query["cursor"] else None
    except (BadToken, ValueError) as error:
        raise one_field("cursor", "Must be a next_cursor of an earlier answer.") from error
    found = handing_over.list_outstanding(session, endpoint, after=after, limit=limit + 1)
    has_more = len(found) > limit
    return Page(found[:limit], keys().sign(purpose, found[limit - 1].consent_id.bytes) if has_more else None)


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
    return Links.of(settings(), keys())


def _settle(email_hash: bytes) -> None:
    """Decide what waits for an address: the newsroom sees what the worker would have made of it a second later."""
    desk = Desk(links(), settings().disposable_domains)
    for sign_up in db.writing.scalars(due_sign_ups(now(), email_hash)).all():
        if sign_up.available_at <= now():
            process_sign_up(db.writing, desk, sign_up.id, now())
