"""What every answer carries: caching, CORS and security headers, and the id of its request."""

from __future__ import annotations

import hashlib

import orjson
from flask import Flask, Response, g, request

from pollsvc.web.admission import is_turned_away
from pollsvc.web.state import settings, state

#: Our own pages: everything from our own origin, nothing inline, framed by nobody unless a page says so.
PAGE_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; "
    "form-action 'self'; base-uri 'none'; frame-ancestors {ancestors}"
)
DATA_POLICY = "default-src 'none'; frame-ancestors 'none'"
PUBLIC_READ = "public, max-age=0, s-maxage=2, stale-while-revalidate=2"
PRIVATE = "private, no-store"
_EXPOSED = "ETag, RateLimit, RateLimit-Policy, Retry-After, X-Request-ID"


def register(app: Flask) -> None:
    """Give every answer its headers."""
    app.after_request(_dress)


def public_read(*identity: object) -> None:
    """Declare the answer public and cacheable: it holds nothing about who asks.

    :param identity: what the entity tag is made of, so that equal answers share one.
    """
    g.etag = hashlib.sha256(orjson.dumps(identity, default=str)).hexdigest()[:32]


def allow_framing(origins: list[str]) -> None:
    """Let pages of these origins frame the answer."""
    g.ancestors = " ".join(sorted(origins)) or "'none'"


def static_file(*, is_forever: bool = False) -> None:
    """Declare the answer a file for all: five minutes, or a year where its name changes with its content."""
    g.cache_control = "public, max-age=31536000, immutable" if is_forever else "public, max-age=300"


def _dress(response: Response) -> Response:
    _caching(response)
    _cors(response)
    is_page = response.mimetype == "text/html"
    policy = PAGE_POLICY.format(ancestors=g.get("ancestors", "'none'")) if is_page else DATA_POLICY
    # Added, where nobody else writes them: setting one looks through all that are there.
    add = response.headers.add
    add("X-Request-ID", g.request_id)
    add("X-Content-Type-Options", "nosniff")
    add("Content-Security-Policy", policy)
    if settings().is_production:
        add("Strict-Transport-Security", "max-age=31536000; includeSubDomains")
    if is_page:
        # What only a document can do: data has neither scripts nor links.
        add("Permissions-Policy", "camera=(), geolocation=(), microphone=(), browsing-topics=()")
        # Not no-referrer: browsers would then send `Origin: null` with our own forms.
        response.headers.setdefault("Referrer-Policy", "strict-origin-when-cross-origin")
    return response


def _caching(response: Response) -> None:
    headers = response.headers
    if response.status_code >= 400:
        headers["Cache-Control"] = PRIVATE
    elif "cache_control" in g:
        headers["Cache-Control"] = g.cache_control
        headers["Access-Control-Allow-Origin"] = "*"
        headers["Cross-Origin-Resource-Policy"] = "cross-origin"
    elif "etag" in g:
        headers["Cache-Control"] = PUBLIC_READ
        headers["Access-Control-Allow-Origin"] = "*"
        headers["Access-Control-Expose-Headers"] = _EXPOSED
        response.set_etag(g.etag)
        response.make_conditional(request)
    else:
        headers["Cache-Control"] = PRIVATE


def _cors(response: Response) -> None:
    """Let the pages of our sites read what they asked for; anybody may read what is public."""
    headers = response.headers
    if "Access-Control-Allow-Origin" in headers or not request.path.startswith("/v1/"):
        return
    headers.add("Vary", "Origin")
    origin = request.headers.get("Origin")
    if not origin or not _is_known(origin):
        return
    headers["Access-Control-Allow-Origin"] = origin
    headers["Access-Control-Expose-Headers"] = _EXPOSED
    if request.method == "OPTIONS":
        headers["Access-Control-Allow-Methods"] = headers.get("Allow", "GET, POST")
        headers["Access-Control-Allow-Headers"] = "Content-Type, X-Voter-Token, X-Account-Token"
        headers["Access-Control-Max-Age"] = "600"


def _is_known(origin: str) -> bool:
    if origin == settings().public_url:
        return True
    # Whom there is no place for must not wait for the database either.
    lookup = state().is_known_origin
    return lookup.remembers(origin) if is_turned_away() else lookup(origin)
