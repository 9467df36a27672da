"""Reports come in and are decided here."""

from __future__ import annotations

import secrets
import uuid
from collections.abc import Mapping
from datetime import datetime

from sqlalchemy import Select, select, update
from sqlalchemy.orm import Session
from sqlalchemy.orm.attributes import flag_modified

from pollsvc.articles.service import ensure_article
from pollsvc.consent.service import email_hash
from pollsvc.corrections.desk import Desk, tell_desk
from pollsvc.corrections.models import Correction
from pollsvc.errors import NotFound, StaleVersion, one_field
from pollsvc.keys import Keys
from pollsvc.outbox.service import announce
from pollsvc.staff.service import record
from pollsvc.unreadable import unreadable

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
    desk: Desk | None = None,
) -> Correction:
    """Take in a reader's report.

    :param desk: how the newsroom is told of it; None where it is not.
    :raises Invalid: if no site owns the article's host.
    """
    correction = Correction(
        reference=new_reference(),
        article=ensure_article(session, article_url, now, by_reader=True),
        name=name,
        email=email,
        email_hash=email_hash(keys, email),
        message=message,
        quote=quote,
        status="new",
        version=1,
        is_suspect=is_suspect,
        created_at=now,
    )
    session.add(correction)
    session.flush()
    _tell(session, correction, "correction.received", now)
    if desk is not None:
        tell_desk(session, desk, correction, now)
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
    changes: Mapping[str, str | None],
    *,
    version: int,
    actor: str,
    now: datetime,
) -> Correction:
    """Mark a report as new, handled or spam, perhaps with a note. What is so already changes nothing.

    :param changes: ``status``, and ``note`` where it is to change.
    :param version: the version that was read.
    :raises CorrectionNotFound: if there is none with this id.
    :raises StaleVersion: if somebody else decided since ``version`` was read; ``current`` tells what.
    :raises Invalid: if a note is to be added to one whose writer was forgotten: it might name them.
    """
    correction = _get_locked(session, correction_id)
    if correction.version != version:
        current = {name: getattr(correction, name) for name in ("status", "version", "decided_by")}
        raise StaleVersion(extra={"current": current})
    if correction.erased_at is not None and changes.get("note"):
        raise one_field("note", "Who wrote this was forgotten: nothing more is noted about it.")
    before = {name: getattr(correction, name) for name in changes}
    sealed = unreadable(session, correction, "note") & changes.keys()
    if before == changes and not sealed:
        return correction
    for name, value in changes.items():
        setattr(correction, name, value)
    for name in sealed:
        # It reads as None, so that None would be taken for no change.
        flag_modified(correction, name)
    correction.version += 1
    correction.decided_at, correction.decided_by = now, actor
    # The note may name people: the log says whether there is one, the row keeps it encrypted.
    detail = {
        "before": before["status"],
        "after": correction.status,
        "version": correction.version,
        "has_note": correction.note is not None,
    }
    subject = ("correction", correction_id)
    record(session, actor=actor, action="correction.decided", subject=subject, now=now, detail=detail)
    _tell(session, correction, "correction.decided", now)
    return correction


def forget_correction(session: Session, correction_id: uuid.UUID, now: datetime) -> None:
    """Empty a report of everything a person wrote. What stays is that one came, to which article, and what became of it.

    :param correction_id: of one that is locked by the caller.
    """
    # Written whatever was there: what no key opens reads as None, and would be taken for empty already.
    emptied = (
        update(Correction)
        .where(Correction.id == correction_id)
        .values(
            name="",
            email="",
            message="",
            quote=None,
            note=None,
            # Random: nobody finds it by an address again, not even who has the hash key.
            email_hash=secrets.token_bytes(32),
            erased_at=now,
            # Whoever has it open reads it again before deciding.
            version=Correction.version + 1,
        )
    )
    session.execute(emptied)


def _tell(session: Session, correction: Correction, kind: str, now: datetime) -> None:
    """Tell the publisher's systems, in none of the reader's words."""
    told = {
        "id": str(correction.id),
        "site_id": str(correction.article.site_id),
        "reference": correction.reference,
        "article_url": correction.article_url,
        "status": correction.status,
        "version": correction.version,
        "is_suspect": correction.is_suspect,
    }
    subject = f"correction:{correction.id}"
    announce(session, kind, site_id=correction.article.site_id, subject=subject, data=told, now=now)


def _get_locked(session: Session, correction_id: uuid.UUID) -> Correction:
    # Two editors at once come one after the other here. The lock is on the report, not on its article and site.
    correction = session.get(
        Correction, correction_id, populate_existing=True, with_for_update={"of": Correction}
    )
    if correction is None:
        raise CorrectionNotFound
    return correction


def new_reference() -> str:
    """What a reader is given to ask by: 10 letters and digits, 49 bits, beyond guessing at our rate limits."""
    letters = "".join(secrets.choice(_ALPHABET) for _ in range(10))
    return f"C-{letters[:5]}-{letters[5:]}"
