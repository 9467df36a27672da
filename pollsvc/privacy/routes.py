"""Erasure, access and suppression over HTTP, for the newsroom. What readers do themselves is on pages of their own."""

from __future__ import annotations

from typing import Any

import structlog

from pollsvc.comments.forgetting import Choice
from pollsvc.consent.routes import links
from pollsvc.consent.service import email_hash
from pollsvc.db import db
from pollsvc.outbox.mail import remove_files
from pollsvc.privacy import access, service, suppressions
from pollsvc.privacy.schemas import (
    AccessSchema,
    AddressSchema,
    ChangedSchema,
    ErasureSchema,
    NewErasureSchema,
    NewWriterErasureSchema,
    SuppressionSchema,
)
from pollsvc.staff.service import record
from pollsvc.web.api import JSONBlueprint
from pollsvc.web.guards import actor, staff
from pollsvc.web.limits import limited
from pollsvc.web.state import keys, now, ring, settings

log = structlog.get_logger("pollsvc")

blp = JSONBlueprint("privacy", __name__, url_prefix="/v1", description="What is kept about a person.")


@blp.post("/privacy/erasures")
@blp.body(NewErasureSchema)
@blp.response(200, ErasureSchema)
@limited("staff")
@staff("consents:manage")
def erase_person(body: dict[str, Any]) -> dict[str, Any]:
    """Forget whoever has an address; its keyed hash stays, so that nothing is sent to it. It cannot be undone."""
    hashed, choice = email_hash(keys(), body["email"]), Choice(body["comments"])
    erased = erase(hashed, method="staff", actor=actor().reference, choice=choice)
    return {"status": "erased", "erased": erased}


@blp.post("/privacy/writer-erasures")
@blp.body(NewWriterErasureSchema)
@blp.response(200, ErasureSchema)
@blp.problems(404)
@limited("staff")
@staff("consents:manage")
def erase_writer(body: dict[str, Any]) -> dict[str, Any]:
    """Forget whoever wrote a comment, in all that they wrote by that account or in that browser. It cannot be undone."""
    choice = Choice(body["comments"])
    erased = service.erase_writer(
        db.writing, body["comment_id"], actor=actor().reference, now=now(), choice=choice
    )
    return {"status": "erased", "erased": _finish(erased)}


@blp.post("/privacy/access")
@blp.body(AddressSchema)
@blp.response(200, AccessSchema)
@limited("staff")
@staff("consents:manage")
def show_person(body: dict[str, Any]) -> dict[str, Any]:
    """Everything that an address leads to, to answer its owner with. Leaves an audit row."""
    kept = access.describe_person(db.writing, email_hash(keys(), body["email"]), now())
    subject = ("address", "")
    record(db.writing, actor=actor().reference, action="person.shown", subject=subject, now=now())
    db.writing.commit()
    return kept


@blp.post("/suppressions/search")
@blp.body(AddressSchema)
@blp.response(200, SuppressionSchema)
@limited("staff")
@staff("consents:read")
def find_suppression(body: dict[str, Any]) -> dict[str, Any]:
    """Whether nothing is sent to an address, and why. Leaves an audit row."""
    hashed = email_hash(keys(), body["email"])
    found = suppressions.find_suppression(db.writing, hashed, actor=actor().reference, now=now())
    db.writing.commit()
    return {
        "is_suppressed": found is not None,
        "reason": found.reason if found else None,
        "since": found.since if found else None,
    }


@blp.post("/suppressions")
@blp.body(AddressSchema)
@blp.response(200, ChangedSchema)
@limited("staff")
@staff("consents:manage")
def suppress_address(body: dict[str, Any]) -> dict[str, bool]:
    """Send nothing to an address any more; what it agreed to ends."""
    hashed = email_hash(keys(), body["email"])
    changed = suppressions.suppress_address(db.writing, links(), hashed, actor=actor().reference, now=now())
    db.writing.commit()
    ring()
    return {"is_suppressed": True, "changed": changed}


@blp.post("/suppressions/releases")
@blp.body(AddressSchema)
@blp.response(200, ChangedSchema)
@limited("staff")
@staff("consents:manage")
def release_address(body: dict[str, Any]) -> dict[str, bool]:
    """Let an address be mailed to again, because its owner asked for it; it still has to sign up and to confirm."""
    hashed = email_hash(keys(), body["email"])
    changed = suppressions.release_address(db.writing, hashed, actor=actor().reference, now=now())
    db.writing.commit()
    return {"is_suppressed": False, "changed": changed}


def erase(hashed: bytes, *, method: str, actor: str, choice: Choice) -> service.Erased:
    """Forget a person now: rows, then files. What is cut in between, the worker does."""
    return _finish(
        service.erase_person(db.writing, hashed, method=method, actor=actor, choice=choice, now=now())
    )


def _finish(erased: service.Erased) -> service.Erased:
    db.writing.commit()
    ring()
    try:
        remove_files(settings(), list(erased.message_ids))
    except OSError as error:
        # The person is forgotten and committed; an error would say that nothing was stored.
        log.warning("mail files wait", reason=error.strerror)
    return erased
