"""Voter tokens over HTTP."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from flask import Request
from werkzeug.exceptions import BadRequest

from pollsvc.errors import NotAuthenticated
from pollsvc.voters import service
from pollsvc.voters.schemas import RenewVoterSchema, VoterTokenSchema
from pollsvc.voters.service import Tier, VoterToken
from pollsvc.web.api import JSONBlueprint, load_object
from pollsvc.web.guards import public
from pollsvc.web.limits import limited
from pollsvc.web.state import keys, now

blp = JSONBlueprint("voters", __name__, url_prefix="/v1", description="Who votes.")


@blp.post("/voters")
@blp.body(RenewVoterSchema, cap=2_048)
@blp.response(201, VoterTokenSchema)
@blp.problems(401)
@limited("voters")
@public
def issue_token(body: dict[str, Any]) -> VoterToken:
    """A signed random identity, asked for at the first touch; with `voter_token`, the same one for longer."""
    identity = None
    if body["voter_token"] is not None:
        identity = service.read_token(keys(), body["voter_token"], now(), Tier.STORAGE).identity
    return service.issue_token(keys(), now(), identity)


def limit_key(request: Request, now: datetime) -> bytes | None:
    """The identity of the valid token in a request's body or header, for the limits; None without one.

    The body's comes first: it is the one that votes, and a header beside it could name another voter each time.
    """
    token = _token_in(request) or request.headers.get("X-Voter-Token")
    try:
        return service.read_token(keys(), token, now, Tier.STORAGE).identity
    except NotAuthenticated:
        return None


def _token_in(request: Request) -> str | None:
    if not request.is_json:
        return None
    try:
        token = load_object(request.get_data(cache=True)).get("voter_token")
    except BadRequest:
        return None
    return token if isinstance(token, str) and len(token) <= 400 else None
