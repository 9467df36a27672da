"""Reports come in and are decided here."""

from __future__ import annotations

import secrets
import uuid
from datetime import datetime

from sqlalchemy import Select, select, update
from sqlalchemy.orm import Session

from pollsvc.articles.service import ensure_article
from pollsvc.corrections.models import Correction
from pollsvc.errors import NotFound, StaleVersion
from pollsvc.keys import Keys
from pollsvc.staff.service import record

#: Letters and digits that are not mistaken for each other when read aloud on the telephone.
_ALPHABET = "23456789ABCDEFGHJKMNPQRSTVWXYZ"


class CorrectionNotFound(NotFound):
    """No correction has this id."""

    code = "correction_not_found"
    detail = "There is no correction with this id."


def submit_correction(
    session: Session,
    keys: Keys,
    *,
    article_url: str,
    name: str,
    email: str,
    message: str,
    quote: str | None,
    is_suspect: bool,
    now: datetime,
) -> Correction:
    """Take in a reader's report.

    :raises Invalid: if no site owns the article's host.
    """
    correction = Correction(
        reference=new_reference(),
        article=ensure_article(session, article_url, now, by_reader=True),
        name=name,
        email=email,
        email_hash=keys.digest("email", email.casefold().encode()),
        message=message,
        quote=quote,
        status="new",
        version=1,
        is_suspect=is_suspect,
        created_at=now,
    )
    session.add(correction)
    session.flush()
    return correction


def get_correction(session: Session, correction_id: uuid.UUID) -> Correction:
    """The report with this id.

    :raises CorrectionNotFound: if there is none.
    """
    correction = session.get(Correction, correction_id)
    if correction is None:
        raise CorrectionNotFound
    return correction


def list_corrections(status: str | None = None, is_suspect: bool | None = None) -> Select[Correction]:
    """All reports, or those in a status."""
    corrections = select(Correction)
    if status is not None:
        corrections = corrections.where(Correction.status == status)
    if is_suspect is not None:
        corrections = corrections.where(Correction.is_suspect == is_suspect)
    return corrections


def decide_correction(
    session: Session,
    correction_id: uuid.UUID,
    *,
    status: str,
    version: int,
    note: str | None,
    actor: str,
    now: datetime,
) -> Correction:
    """Mark a report as new, handled or spam; the version is compared by the UPDATE itself.

    :raises CorrectionNotFound: if there is none with this id.
    :raises StaleVersion: if somebody else decided since ``version`` was read; ``current`` tells what.
    """
    before = get_correction(session, correction_id)
    was = before.status
    decided = (
        update(Correction)
        .where(Correction.id == correction_id, Correction.version == version)
        .values(status=status, version=version + 1, note=note, decided_at=now, decided_by=actor)
        .execution_options(synchronize_session=False)
    )
    changed = session.execute(decided).rowcount  # type: ignore[attr-defined]
    session.refresh(before)
    if not changed:
        current = {"status": before.status, "version": before.version, "decided_by": before.decided_by}
        raise StaleVersion(extra={"current": current})
    # The note may name people: the log says that there is one, the row keeps it encrypted.
    detail = {"before": was, "after": status, "version": before.version, "has_note": note is not None}
    subject = ("correction", correction_id)
    record(session, actor=actor, action="correction.decided", subject=subject, now=now, detail=detail)
    return before


def new_reference() -> str:
    """What a reader is given to ask by: 10 letters and digits, 49 bits, beyond guessing at our rate limits."""
    letters = "".join(secrets.choice(_ALPHABET) for _ in range(10))
    return f"C-{letters[:5]}-{letters[5:]}"
