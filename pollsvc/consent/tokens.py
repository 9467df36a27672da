"""What the links in our mails carry.

A link that confirms is random, works once and is stored as a hash. A link that leaves works for ever: it is computed from
the consent's id with the hash key, which never changes, so that nothing is stored and nothing expires.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import secrets
import uuid

from pollsvc.keys import Keys


def new_token() -> str:
    """256 random bits."""
    return secrets.token_urlsafe(32)


def token_hash(token: str) -> bytes:
    """What is stored of a token: 256 random bits need no slow hash."""
    return hashlib.sha256(token.encode()).digest()


def leaving_token(keys: Keys, consent_id: uuid.UUID) -> str:
    """What ends a consent, whoever holds it: it stands in each mail to its reader."""
    return base64.urlsafe_b64encode(consent_id.bytes + _mac(keys, consent_id)).decode().rstrip("=")


def read_leaving_token(keys: Keys, token: str) -> uuid.UUID | None:
    """The consent that a token ends, or None if it is none of ours."""
    try:
        raw = base64.b64decode(
            token.encode("ascii") + b"=" * (-len(token) % 4), altchars=b"-_", validate=True
        )
    except ValueError:
        return None
    if len(raw) != 32:
        return None
    consent_id = uuid.UUID(bytes=raw[:16])
    return consent_id if hmac.compare_digest(raw[16:], _mac(keys, consent_id)) else None


def _mac(keys: Keys, consent_id: uuid.UUID) -> bytes:
    return keys.digest("leaving", consent_id.bytes)[:16]
