"""The proof of a consent over HTTP."""

from __future__ import annotations

import uuid
from typing import Any

from pollsvc.consent.proof import ask_for_proof, page_token
from pollsvc.consent.proof_schemas import ProofSchema
from pollsvc.db import db
from pollsvc.web.api import JSONBlueprint
from pollsvc.web.guards import actor, staff
from pollsvc.web.limits import limited
from pollsvc.web.state import keys, now, settings

blp = JSONBlueprint("proof", __name__, url_prefix="/v1", description="What proves a consent.")


@blp.get("/consents/<uuid:consent_id>/proof")
@blp.response(200, ProofSchema)
@blp.problems(404)
@limited("staff")
@staff("consents:read")
def read_proof(consent_id: uuid.UUID) -> dict[str, Any]:
    """What proves a consent, forgotten ones included. Leaves an audit row."""
    found = ask_for_proof(db.writing, consent_id, actor=actor().reference, now=now())
    db.writing.commit()
    token = page_token(keys(), consent_id, now())
    return found | {"page_url": f"{settings().public_url}/proof/{token}"}
