"""The page of a proof: what ``GET /v1/consents/{id}/proof`` tells, to read and to print. Its address works for an hour."""

from __future__ import annotations

from flask import Blueprint, Response, make_response, render_template

from pollsvc.consent.proof import read_page_token, read_proof
from pollsvc.db import db
from pollsvc.web.guards import public
from pollsvc.web.state import keys, now

blueprint = Blueprint("proof_page", __name__)


@blueprint.get("/proof/<token>")
@public
def show_proof(token: str) -> Response:
    """Show the proof of the consent that the token is about."""
    proof = read_proof(db.session, read_page_token(keys(), token, now()), now())
    response = make_response(render_template("embeds/proof.html", proof=proof))
    # The address is the secret, and what it leads to names a person.
    response.headers["Referrer-Policy"] = "no-referrer"
    response.headers["X-Robots-Tag"] = "noindex, nofollow, noarchive"
    return response
