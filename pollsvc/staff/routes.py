"""API tokens and the audit log over HTTP."""

from __future__ import annotations

import uuid
from typing import Any

from pollsvc.db import db
from pollsvc.errors import one_field
from pollsvc.staff import service
from pollsvc.staff.models import AuditEntry, StaffToken
from pollsvc.staff.schemas import (
    AuditEntrySchema,
    AuditQuerySchema,
    MadeTokenSchema,
    NewTokenSchema,
    TokenSchema,
)
from pollsvc.web.api import JSONBlueprint, NothingSchema
from pollsvc.web.guards import actor, staff
from pollsvc.web.limits import limited
from pollsvc.web.paging import Page, PageQuerySchema, page_schema, read_page
from pollsvc.web.state import keys, now

blp = JSONBlueprint("staff", __name__, url_prefix="/v1", description="API tokens and the audit log.")


@blp.post("/tokens")
@blp.body(NewTokenSchema)
@blp.response(201, MadeTokenSchema)
@limited("staff")
@staff("admin")
def create_token(body: dict[str, Any]) -> dict[str, Any]:
    """Make an API token; the answer is the only place its secret is ever shown."""
    if body["expires_at"] and body["expires_at"] <= now():
        raise one_field("expires_at", "Must lie in the future.")
    token, secret = service.create_token(db.writing, **body, actor=actor().reference, now=now())
    db.writing.commit()
    return {**{name: getattr(token, name) for name in TokenSchema().fields}, "token": secret}


@blp.get("/tokens")
@blp.query(PageQuerySchema)
@blp.response(200, page_schema(TokenSchema))
@limited("staff")
@staff("admin")
def list_tokens(query: dict[str, Any]) -> Page[StaffToken]:
    """Every token, revoked ones included."""
    return read_page(db.session, service.list_tokens(), StaffToken.id, query, keys())


@blp.delete("/tokens/<uuid:token_id>")
@blp.body(NothingSchema)
@blp.response(200, TokenSchema)
@blp.problems(404)
@limited("staff")
@staff("admin")
def revoke_token(_body: dict[str, Any], token_id: uuid.UUID) -> StaffToken:
    """End a token at once."""
    token = service.revoke_token(db.writing, token_id, actor=actor().reference, now=now())
    db.writing.commit()
    return token


@blp.get("/audit")
@blp.query(AuditQuerySchema)
@blp.response(200, page_schema(AuditEntrySchema))
@limited("staff")
@staff("admin")
def list_audit(query: dict[str, Any]) -> Page[AuditEntry]:
    """Who changed what, newest first."""
    entries = service.list_audit(query.pop("object_type"), query.pop("object_id"))
    return read_page(db.session, entries, AuditEntry.id, query, keys())
