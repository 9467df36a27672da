"""Tokens are made, found and revoked here, and every staff change leaves its audit row through here."""

from __future__ import annotations

import hashlib
import secrets
import uuid
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Select, select, update
from sqlalchemy.orm import Session

from pollsvc.errors import NotFound
from pollsvc.staff.models import AuditEntry, StaffToken

#: What an API token begins with, so that secret scanners find a leaked one.
PREFIX = "pollsvc_"

#: A token's last use is noted this coarsely, so that reading does not write each time.
LAST_USE_GRAIN = timedelta(minutes=1)


class TokenNotFound(NotFound):
    """No token has this id."""

    code = "token_not_found"
    detail = "There is no token with this id."


def create_token(
    session: Session,
    *,
    name: str,
    scopes: Sequence[str],
    actor: str,
    now: datetime,
    expires_at: datetime | None = None,
) -> tuple[StaffToken, str]:
    """Make a token; its secret is given once, here, and cannot be read again."""
    secret = PREFIX + secrets.token_urlsafe(32)
    token = StaffToken(
        name=name,
        token_hash=_hash(secret),
        scopes=sorted(set(scopes)),
        created_by=actor,
        created_at=now,
        expires_at=expires_at,
    )
    session.add(token)
    session.flush()
    detail = {
        "name": name,
        "scopes": token.scopes,
        "expires_at": expires_at.isoformat() if expires_at else None,
    }
    record(session, actor=actor, action="token.created", subject=("token", token.id), now=now, detail=detail)
    return token, secret


def find_token(session: Session, secret: str, now: datetime) -> StaffToken | None:
    """The token of this secret, if it may be used now."""
    if not secret.startswith(PREFIX):
        return None
    # Looked up by hash: the comparison of secrets happens in an index over hashes, which timing tells nothing about.
    token = session.scalar(select(StaffToken).where(StaffToken.token_hash == _hash(secret)))
    if (
        token is None
        or token.revoked_at is not None
        or (token.expires_at is not None and token.expires_at <= now)
    ):
        return None
    return token


def is_use_due(token: StaffToken, now: datetime) -> bool:
    """Whether the token's last use lies far enough back to be noted again."""
    return token.last_used_at is None or now - token.last_used_at >= LAST_USE_GRAIN


def note_use(session: Session, token_id: uuid.UUID, now: datetime) -> None:
    """Note that a token was used."""
    session.execute(update(StaffToken).where(StaffToken.id == token_id).values(last_used_at=now))


def revoke_token(session: Session, token_id: uuid.UUID, *, actor: str, now: datetime) -> StaffToken:
    """End a token at once. Revoking it twice changes nothing.

    :raises TokenNotFound: if there is none with this id.
    """
    token = session.get(StaffToken, token_id, with_for_update=True)
    if token is None:
        raise TokenNotFound
    if token.revoked_at is None:
        # A host whose clock is behind the maker's revokes no less.
        token.revoked_at = max(now, token.created_at)
        record(session, actor=actor, action="token.revoked", subject=("token", token.id), now=now)
    return token


def list_tokens() -> Select[StaffToken]:
    """All tokens, revoked ones included."""
    return select(StaffToken)


def list_audit(object_type: str | None = None, object_id: str | None = None) -> Select[AuditEntry]:
    """The audit log, of one object where asked."""
    entries = select(AuditEntry)
    if object_type:
        entries = entries.where(AuditEntry.object_type == object_type)
    if object_id:
        entries = entries.where(AuditEntry.object_id == object_id)
    return entries


def record(
    session: Session,
    *,
    actor: str,
    action: str,
    subject: tuple[str, object],
    now: datetime,
    detail: Mapping[str, Any] | None = None,
) -> None:
    """Write the audit row of a change, in the change's own transaction.

    :param action: object and past participle, such as ``poll.closed``.
    :param subject: kind and id of what changed.
    :param detail: what it was and became. Never an address, a reader's text or a secret.
    """
    kind, identity = subject
    session.add(
        AuditEntry(
            occurred_at=now,
            actor=actor,
            action=action,
            object_type=kind,
            object_id=str(identity),
            detail=dict(detail or {}),
        )
    )


def _hash(secret: str) -> bytes:
    return hashlib.sha256(secret.encode()).digest()
