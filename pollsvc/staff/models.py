"""API tokens and the audit log."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import CheckConstraint, Index, UniqueConstraint
from sqlalchemy.orm import Mapped

from pollsvc.db import Hash, Id, Model


class StaffToken(Model):
    """A credential of the newsroom API. Only its SHA-256 is stored: 256 random bits need no slow hash."""

    __tablename__ = "staff_token"
    __table_args__ = (
        UniqueConstraint("token_hash"),
        CheckConstraint("revoked_at IS NULL OR revoked_at >= created_at", name="revoked_after_created"),
    )

    id: Mapped[Id]
    name: Mapped[str]
    token_hash: Mapped[Hash]
    scopes: Mapped[list[str]]
    created_by: Mapped[str]
    created_at: Mapped[datetime]
    expires_at: Mapped[datetime | None]
    revoked_at: Mapped[datetime | None]
    last_used_at: Mapped[datetime | None]


class AuditEntry(Model):
    """Who changed what, and how; written in the change's own transaction, never changed after."""

    __tablename__ = "audit_entry"
    __table_args__ = (
        Index("ix_audit_entry_object_id_id", "object_id", "id"),
        Index("ix_audit_entry_object_type_id", "object_type", "id"),
        Index("ix_audit_entry_object_type_object_id_id", "object_type", "object_id", "id"),
    )

    id: Mapped[Id]
    occurred_at: Mapped[datetime]
    actor: Mapped[str]
    action: Mapped[str]
    object_type: Mapped[str]
    object_id: Mapped[str]
    detail: Mapped[dict[str, Any]]
