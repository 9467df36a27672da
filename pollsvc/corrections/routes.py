"""Corrections over HTTP."""

from __future__ import annotations

import uuid
from typing import Any

from pollsvc.corrections import service
from pollsvc.corrections.desk import Desk
from pollsvc.corrections.models import Correction
from pollsvc.corrections.schemas import (
    CorrectionQuerySchema,
    CorrectionSchema,
    DecisionSchema,
    NewCorrectionSchema,
    ReceivedSchema,
)
from pollsvc.db import db
from pollsvc.outbox.mail import mail_host
from pollsvc.web.api import JSONBlueprint
from pollsvc.web.forms import is_suspect
from pollsvc.web.guards import actor, public, staff
from pollsvc.web.limits import limited
from pollsvc.web.metrics import SUBMISSIONS
from pollsvc.web.paging import Page, page_schema, read_page
from pollsvc.web.state import keys, now, ring, settings

blp = JSONBlueprint("corrections", __name__, url_prefix="/v1", description="What readers say is wrong.")

THANKS = "Thank you. Your message has arrived. We are committed to accuracy, and an editor will read it."


@blp.post("/corrections")
@blp.body(NewCorrectionSchema, cap=65_536)
@blp.response(201, ReceivedSchema)
@limited("corrections")
@public
def submit_correction(body: dict[str, Any]) -> dict[str, Any]:
    """Report that something in an article is wrong."""
    suspect = is_suspect(body, keys(), now())
    facts = {name: body[name] for name in ("article_url", "name", "email", "message", "quote")}
    correction = service.submit_correction(
        db.writing, keys(), **facts, is_suspect=suspect, now=now(), desk=desk()
    )
    db.writing.commit()
    ring()
    SUBMISSIONS.labels("correction", str(suspect)).inc()
    return {
        "reference": correction.reference,
        "message": THANKS,
        "standards_url": correction.article.site.standards_url,
    }


@blp.get("/corrections")
@blp.query(CorrectionQuerySchema)
@blp.response(200, page_schema(CorrectionSchema))
@limited("staff")
@staff("corrections:manage")
def list_corrections(query: dict[str, Any]) -> Page[Correction]:
    """The reports, newest first."""
    corrections = service.list_corrections(query.pop("status"), query.pop("is_suspect"))
    return read_page(db.session, corrections, Correction.id, query, keys())


@blp.get("/corrections/<uuid:correction_id>")
@blp.response(200, CorrectionSchema)
@blp.problems(404)
@limited("staff")
@staff("corrections:manage")
def show_correction(correction_id: uuid.UUID) -> Correction:
    """One report."""
    return service.get_correction(db.session, correction_id)


@blp.patch("/corrections/<uuid:correction_id>")
@blp.body(DecisionSchema)
@blp.response(200, CorrectionSchema)
@blp.problems(404, 409)
@limited("staff")
@staff("corrections:manage")
def decide_correction(body: dict[str, Any], correction_id: uuid.UUID) -> Correction:
    """Mark a report as new, handled or spam."""
    version = body.pop("version")
    correction = service.decide_correction(
        db.writing, correction_id, body, version=version, actor=actor().reference, now=now()
    )
    db.writing.commit()
    ring()
    return correction


def desk() -> Desk:
    """How the newsroom of this installation is told of reports."""
    return Desk(settings().public_url, mail_host(settings()))
