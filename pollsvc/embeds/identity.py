"""Who presses the button of a plain form: our cookie, or the field that the form itself carries."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from flask import Request, Response

from pollsvc.errors import NotAuthenticated
from pollsvc.keys import Keys
from pollsvc.voters.service import LIFETIME, Tier, Voter, issue_token, read_token
from pollsvc.web.state import keys, settings

#: The hidden field of our own forms, for readers whose browser keeps no cookies.
FIELD = "voter_token"
_COOKIE = "pollsvc_voter"
_FRAMES = frozenset({"iframe", "frame", "embed", "object", "fencedframe"})


@dataclass(frozen=True)
class Reader:
    """Somebody in front of a plain form.

    :param token: their identity, signed for 400 days from now: what cookie and hidden field hold.
    :param is_new: whether nothing that came with the request told who they are.
    """

    voter: Voter
    token: str
    is_new: bool


def recognise(request: Request, now: datetime, field: str | None = None) -> Reader:
    """Tell who sent a request: by cookie, else by the form's field, else somebody new.

    A token that is forged or expired is no error here: a reader without scripts could not mend it.

    :param field: the form's hidden field, where the form came from a page that we trust. From any other page it could
        be somebody else's identity, planted to read later what this reader voted.
    """
    if identity := _identity(keys(), request.cookies.get(cookie_name()), now):
        is_framed = request.headers.get("Sec-Fetch-Dest") in _FRAMES
        return _reader(identity, Tier.FRAME if is_framed else Tier.COOKIE, now)
    if identity := _identity(keys(), field, now):
        return _reader(identity, Tier.FORM, now)
    return _reader(None, Tier.FORM, now)


def remember(response: Response, reader: Reader) -> Response:
    """Set the reader's cookie, for as long as browsers keep one.

    ``Partitioned`` gives a frame in an article a cookie of its own, where third-party cookies are blocked. Plain http
    knows neither that nor the prefix.
    """
    is_secure = settings().is_production
    response.set_cookie(
        cookie_name(),
        reader.token,
        max_age=LIFETIME,
        path="/",
        secure=is_secure,
        httponly=True,
        samesite="None" if is_secure else "Lax",
        partitioned=is_secure,
    )
    return response


def limit_key(request: Request, now: datetime) -> bytes | None:
    """The identity that a plain form comes with, for the limits; None for somebody new."""
    token = request.cookies.get(cookie_name())
    return _identity(keys(), token, now) or _identity(keys(), request.form.get(FIELD), now)


def cookie_name() -> str:
    """The cookie's name; its prefix, which needs https, keeps other hosts of a domain from setting it."""
    return f"__Host-{_COOKIE}" if settings().is_production else _COOKIE


def _reader(identity: bytes | None, tier: Tier, now: datetime) -> Reader:
    token = issue_token(keys(), now, identity).voter_token
    return Reader(read_token(keys(), token, now, tier), token, is_new=identity is None)


def _identity(keys: Keys, token: str | None, now: datetime) -> bytes | None:
    try:
        return read_token(keys, token, now, Tier.FORM).identity
    except NotAuthenticated:
        return None
