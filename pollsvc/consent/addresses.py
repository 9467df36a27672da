"""What concerns one address, whoever signs it up: it is locked, and how often it may be mailed is counted."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta

from sqlalchemy import ColumnElement, func, insert, literal, select, text
from sqlalchemy.orm import Session

from pollsvc.consent.models import MailPermit
from pollsvc.db import UtcDateTime
from pollsvc.setting_values import ascii_domain

#: Mails of a kind to one address that anybody can ask for: this far apart, and so many in a day. It protects whoever is mailed.
MAIL_PAUSE = timedelta(minutes=15)
MAILS_A_DAY = 5
_DAY = timedelta(days=1)
#: Any number, the same in every process: PostgreSQL's advisory locks of addresses.
_ADDRESS_LOCKS = 7077552


def lock_address(session: Session, email_hash: bytes) -> None:
    """Have an address to oneself until the transaction ends. On SQLite a writer has everything to itself."""
    if session.get_bind().dialect.name == "postgresql":
        number = int.from_bytes(email_hash[:4], "big", signed=True)
        session.execute(
            text("SELECT pg_advisory_xact_lock(:space, :number)"), {"space": _ADDRESS_LOCKS, "number": number}
        )


def lock_addresses(session: Session, hashes: Iterable[bytes]) -> None:
    """Have many addresses to oneself, as :func:`lock_address` does one; in one order, so that nobody waits in a circle."""
    if session.get_bind().dialect.name == "postgresql":
        numbers = sorted({int.from_bytes(each[:4], "big", signed=True) for each in hashes})
        session.execute(
            text(
                "SELECT count(pg_advisory_xact_lock(:space, number)) FROM unnest(CAST(:numbers AS int[])) AS number"
            ),
            {"space": _ADDRESS_LOCKS, "numbers": numbers},
        )


def permit_mail(session: Session, kind: str, email_hash: bytes, now: datetime) -> bool:
    """Allow one more mail to an address, if it had none of the kind lately and few today; counted in SQL.

    :param kind: the mail's template, ``confirmation`` or ``data_link``.
    """
    had = select(func.count()).where(*_had(kind, email_hash))
    recent = had.where(MailPermit.permitted_at > now - MAIL_PAUSE)
    today = had.where(MailPermit.permitted_at > now - _DAY)
    allowed = select(literal(email_hash), literal(kind), literal(now, UtcDateTime)).where(
        recent.scalar_subquery() == 0, today.scalar_subquery() < MAILS_A_DAY
    )
    row = insert(MailPermit).from_select(["email_hash", "kind", "permitted_at"], allowed)
    return session.execute(row.returning(MailPermit.permitted_at)).first() is not None


def when_permitted(session: Session, kind: str, email_hash: bytes, now: datetime) -> datetime:
    """When the next mail of a kind to an address will be allowed, going by those it had."""
    sent: Sequence[datetime] = session.scalars(
        select(MailPermit.permitted_at)
        .where(*_had(kind, email_hash), MailPermit.permitted_at > now - _DAY)
        .order_by(MailPermit.permitted_at.desc())
        .limit(MAILS_A_DAY)
    ).all()
    free = sent[0] + MAIL_PAUSE
    return max(free, sent[-1] + _DAY) if len(sent) >= MAILS_A_DAY else free


def _had(kind: str, email_hash: bytes) -> tuple[ColumnElement[bool], ...]:
    return MailPermit.email_hash == email_hash, MailPermit.kind == kind


def is_disposable(email: str, domains: frozenset[str]) -> bool:
    """Whether an address is of one of these domains (as DNS knows them), or of a part such as ``mx.throwaway.example``."""
    labels = ascii_domain(email.rpartition("@")[2]).split(".")
    return any(".".join(labels[first:]) in domains for first in range(len(labels)))
