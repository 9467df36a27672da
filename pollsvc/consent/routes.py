"""Consent over HTTP."""

from __future__ import annotations

from typing import Any

from flask import request

from pollsvc.consent import service
from pollsvc.consent.models import ConsentEvent, ConsentText
from pollsvc.consent.schemas import (
    ConsentSchema,
    ConsentSearchSchema,
    ConsentTextQuerySchema,
    ConsentTextVersionSchema,
    NewConsentSchema,
    NewConsentTextSchema,
    TakenSchema,
)
from pollsvc.db import db
from pollsvc.web.api import JSONBlueprint
from pollsvc.web.forms import is_suspect
from pollsvc.web.guards import actor, public, staff
from pollsvc.web.limits import limited
from pollsvc.web.metrics import SUBMISSIONS
from pollsvc.web.paging import Page, page_schema, read_page
from pollsvc.web.state import keys, now

blp = JSONBlueprint("consent", __name__, url_prefix="/v1", description="Newsletter consent, beside the vote.")


@blp.post("/consents")
@blp.body(NewConsentSchema, cap=8_192)
@blp.response(202, TakenSchema)
@limited("consents")
@public
def record_consent(body: dict[str, Any]) -> dict[str, str]:
    """Record that a reader ticked the box; the answer is the same whoever the address is."""
    suspect = is_suspect(body, keys(), now())
    service.record_consent(
        db.writing,
        keys(),
        text_id=body["text_id"],
        email=body["email"],
        article_url=body["article_url"],
        origin=request.headers.get("Origin"),
        is_suspect=suspect,
        now=now(),
    )
    db.writing.commit()
    SUBMISSIONS.labels("consent", str(suspect)).inc()
    return {"status": "received", "message": "Thank you. Your sign-up has arrived."}


@blp.post("/consents/search")
@blp.body(ConsentSearchSchema)
@blp.response(200, page_schema(ConsentSchema))
@limited("staff")
@staff("consents:read")
def search_consents(body: dict[str, Any]) -> Page[ConsentEvent]:
    """The consents of an address, newest first; the address travels in the body only. Leaves an audit row."""
    consents = service.search_consents(
        db.writing, keys(), body.pop("email"), actor=actor().reference, now=now()
    )
    page = read_page(db.writing, consents, ConsentEvent.id, body, keys())
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
    text = service.publish_text(db.writing, **body, actor=actor().reference, now=now())
    db.writing.commit()
    return text


@blp.get("/consent-texts")
@blp.query(ConsentTextQuerySchema)
@blp.response(200, page_schema(ConsentTextVersionSchema))
@limited("staff")
@staff("consents:read")
def list_texts(query: dict[str, Any]) -> Page[ConsentText]:
    """Every version of every text, newest first."""
    return read_page(db.session, service.list_texts(query.pop("site_id")), ConsentText.id, query, keys())
