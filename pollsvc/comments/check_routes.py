"""Checks that are asked over HTTP, for the newsroom."""

from __future__ import annotations

import uuid
from typing import Any

from pollsvc.comments import http_checks
from pollsvc.comments.check_schemas import (
    CheckSchema,
    CheckWithSecretSchema,
    EditCheckSchema,
    NewCheckSchema,
)
from pollsvc.comments.policy_models import HttpCheck
from pollsvc.db import db
from pollsvc.outbox.outgoing import Outgoing
from pollsvc.web.api import JSONBlueprint, NothingSchema
from pollsvc.web.guards import actor, staff
from pollsvc.web.limits import limited
from pollsvc.web.paging import Page, PageQuerySchema, page_schema, read_page
from pollsvc.web.state import keys, now, ring, settings

blp = JSONBlueprint(
    "checks", __name__, url_prefix="/v1/moderation", description="Checks of comments by signed request."
)


@blp.post("/checks")
@blp.body(NewCheckSchema)
@blp.response(201, CheckWithSecretSchema)
@blp.problems(409)
@limited("staff")
@staff("admin")
def make_check(body: dict[str, Any]) -> HttpCheck:
    """Make a check; this answer is where its secret is shown."""
    check = http_checks.make_check(db.writing, _outgoing(), **body, actor=actor().reference, now=now())
    db.writing.commit()
    return check


@blp.get("/checks")
@blp.query(PageQuerySchema)
@blp.response(200, page_schema(CheckSchema))
@limited("staff")
@staff("admin")
def list_checks(query: dict[str, Any]) -> Page[HttpCheck]:
    """Every check over HTTP, switched on or off."""
    return read_page(db.session, http_checks.list_checks(), HttpCheck.id, query, keys())


@blp.get("/checks/<uuid:check_id>")
@blp.response(200, CheckSchema)
@blp.problems(404)
@limited("staff")
@staff("admin")
def show_check(check_id: uuid.UUID) -> HttpCheck:
    """One check."""
    return http_checks.get_check(db.session, check_id)


@blp.patch("/checks/<uuid:check_id>")
@blp.body(EditCheckSchema)
@blp.response(200, CheckSchema)
@blp.problems(404, 409)
@limited("staff")
@staff("admin")
def edit_check(body: dict[str, Any], check_id: uuid.UUID) -> HttpCheck:
    """Change a check, or switch it off or on. What waits for one that is switched off counts as failed."""
    version = body.pop("version")
    check = http_checks.edit_check(
        db.writing, _outgoing(), check_id, body, version=version, actor=actor().reference, now=now()
    )
    db.writing.commit()
    ring()
    return check


@blp.delete("/checks/<uuid:check_id>")
@blp.body(NothingSchema)
@blp.response(200, CheckSchema)
@blp.problems(404)
@limited("staff")
@staff("admin")
def remove_check(_body: dict[str, Any], check_id: uuid.UUID) -> HttpCheck:
    """Ask a check no more. Its verdicts stay; those that it still owes count as failed."""
    check = http_checks.remove_check(db.writing, check_id, actor=actor().reference, now=now())
    db.writing.commit()
    ring()
    return check


@blp.post("/checks/<uuid:check_id>/secret")
@blp.body(NothingSchema)
@blp.response(200, CheckWithSecretSchema)
@blp.problems(404)
@limited("staff")
@staff("admin")
def rotate_secret(_body: dict[str, Any], check_id: uuid.UUID) -> HttpCheck:
    """Make a new secret; for a day the former one signs too."""
    check = http_checks.rotate_secret(db.writing, check_id, actor=actor().reference, now=now())
    db.writing.commit()
    return check


def _outgoing() -> Outgoing:
    return Outgoing(private_hosts=settings().private_hosts)
