"""Who is a voter: a signed random identity, and how strongly it is held.

No table stores an identity. A ballot holds a voter key, which is a keyed hash of the identity under a key of its
poll, so that the ballots of two polls cannot be linked (promise 7).
"""

from __future__ import annotations

import secrets
import uuid
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import StrEnum

from pollsvc.errors import NotAuthenticated
from pollsvc.keys import BadToken, Keys

#: How long a voter token lives: as long as browsers keep a cookie at the most (RFC 6265bis §5.5).
LIFETIME = timedelta(days=400)
_IDENTITY_BYTES = 16


class Tier(StrEnum):
    """What an identity rests on, strongest first; sealed on the ballot."""

    LOGIN = "login"
    COOKIE = "cookie"
    STORAGE = "storage"
    FRAME = "frame"
    FORM = "form"


class VoterTokenMissing(NotAuthenticated):
    """A vote came without a voter token."""

    code = "voter_token_missing"
    detail = "Ask POST /v1/voters for a voter token, and send it along as voter_token."


class VoterTokenInvalid(NotAuthenticated):
    """The voter token was not made here, or was changed."""

    code = "voter_token_invalid"
    detail = "This voter token was not made here. Ask POST /v1/voters for a new one."


class VoterTokenExpired(NotAuthenticated):
    """The voter token is too old."""

    code = "voter_token_expired"
    detail = "This voter token has expired. Ask POST /v1/voters for a new one."


@dataclass(frozen=True)
class Voter:
    """Somebody who votes: an identity and what it rests on."""

    identity: bytes
    tier: Tier


@dataclass(frozen=True)
class VoterToken:
    """A voter token and when it ends."""

    voter_token: str
    expires_at: datetime


def issue_token(keys: Keys, now: datetime, identity: bytes | None = None) -> VoterToken:
    """Sign an identity, a fresh random one unless given, for :data:`LIFETIME`."""
    expires_at = (now + LIFETIME).replace(microsecond=0)
    payload = int(expires_at.timestamp()).to_bytes(6, "big") + (
        identity or secrets.token_bytes(_IDENTITY_BYTES)
    )
    return VoterToken(keys.sign("voter", payload), expires_at)


def read_token(keys: Keys, token: str | None, now: datetime, tier: Tier) -> Voter:
    """Tell whose token this is.

    :raises VoterTokenMissing: without a token.
    :raises VoterTokenInvalid: if we did not make it.
    :raises VoterTokenExpired: if its time is over.
    """
    if not token:
        raise VoterTokenMissing
    try:
        payload = keys.unsign("voter", token)
    except BadToken as error:
        raise VoterTokenInvalid from error
    if datetime.fromtimestamp(int.from_bytes(payload[:6], "big"), UTC) <= now:
        raise VoterTokenExpired
    return Voter(payload[6:], tier)


def voter_key(keys: Keys, poll_id: uuid.UUID, voter: Voter) -> bytes:
    """The key of this voter's ballot in this poll; without the hash key it leads nowhere."""
    return keys.digest("ballot", poll_id.bytes, voter.identity)


def seal_tier(keys: Keys, ballot_key: bytes, tier: Tier) -> Tier:
    """The tier as a ballot keeps it: moved on by a number of the ballot's own that only the hash key gives.

    In the open it would say which form a reader used, as the sign-up beside it does (docs/adr/0015).
    """
    return _moved(keys, ballot_key, tier, 1)


def open_tier(keys: Keys, ballot_key: bytes, sealed: str) -> Tier:
    """The tier behind what :func:`seal_tier` made of it."""
    return _moved(keys, ballot_key, Tier(sealed), -1)


def _moved(keys: Keys, ballot_key: bytes, tier: Tier, direction: int) -> Tier:
    tiers = list(Tier)
    by = int.from_bytes(keys.digest("tier", ballot_key)[:8], "big")
    return tiers[(tiers.index(tier) + direction * by) % len(tiers)]
