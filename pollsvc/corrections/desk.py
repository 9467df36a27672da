"""The newsroom is told by mail of each report; of a flood of them by mails that each tell of many."""

from __future__ import annotations

import uuid
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import orjson
import structlog
from sqlalchemy import select, text
from sqlalchemy.orm import Session

from pollsvc.corrections.models import Correction
from pollsvc.outbox.models import OutboxMessage
from pollsvc.outbox.service import Letter, new_message_id, post_mail
from pollsvc.unreadable import unreadable

#: So many mails of one report each go to the desk of a site within this time. The reports beyond them are gathered as long, and
#: leave in one mail.
MOST_MAILS = 20
WITHIN = timedelta(minutes=10)
#: How many a mail tells of; the next ones are gathered in another.
MOST_GATHERED = 100
#: Any number, the same in every process: PostgreSQL's advisory locks of desks.
_DESK_LOCKS = 7077557
log = structlog.get_logger("pollsvc")
_LEAST, _GREATEST = uuid.UUID(int=0), uuid.UUID(int=2**128 - 1)


@dataclass(frozen=True)
class Desk:
    """How mails to the newsroom are written.

    :param public_url: what links begin with.
    :param mail_host: the right side of Message-IDs.
    """

    public_url: str
    mail_host: str


def tell_desk(session: Session, desk: Desk, correction: Correction, now: datetime) -> None:
    """Write a mail with a link to a report, and nothing that its reader wrote: not even the article's address.

    A report marked suspect is told of too: what comes by the plain form always is. The subject says so.
    """
    site = correction.article.site
    if not site.desk_email:
        if unreadable(session, site, "desk_email"):
            log.warning("no key opens a desk's address", site_id=str(site.id))
        return
    if session.get_bind().dialect.name == "postgresql":
        # One after the other: each counts the mails before it, and adds to what was gathered.
        lock = text("SELECT pg_advisory_xact_lock(:space, hashtext(:site))")
        session.execute(lock, {"space": _DESK_LOCKS, "site": str(site.id)})
    report = {
        "reference": correction.reference,
        "desk_url": f"{desk.public_url}/v1/corrections/{correction.id}",
        "is_suspect": correction.is_suspect,
    }
    if _has_room(session, site.id, now):
        # A lane of its own: a mail that its server refuses for now holds no other. By it the site's mails are counted.
        _post(session, desk, correction, "correction", report, lane=_lane(site.id, correction.id), now=now)
    elif not _gathered(session, site.id, report, now):
        lane = _gathering_lane(site.id, correction.id)
        _post(
            session,
            desk,
            correction,
            "corrections",
            {"reports": [report]},
            lane=lane,
            now=now,
            due=now + WITHIN,
        )


def _post(
    session: Session,
    desk: Desk,
    correction: Correction,
    template: str,
    params: dict[str, Any],
    *,
    lane: str,
    now: datetime,
    due: datetime | None = None,
) -> None:
    site = correction.article.site
    assert site.desk_email, "asked before"
    post_mail(
        session,
        Letter(template=template, to=site.desk_email, locale=site.locale, sender=site.name, params=params),
        subject=f"correction:{correction.id}" if template == "correction" else f"site:{site.id}",
        delivery_key=f"desk {correction.id}",
        message_id=new_message_id(desk.mail_host),
        lane=lane,
        now=now,
        due=due,
    )


def _has_room(session: Session, site_id: uuid.UUID, now: datetime) -> bool:
    """Whether the desk may get one more mail of a single report now."""
    # Ids of reports rise with time, so the newest lanes are the last ones, and counting reads few rows.
    theirs = OutboxMessage.lane.between(_lane(site_id, _LEAST), _lane(site_id, _GREATEST))
    newest = select(OutboxMessage.created_at).where(theirs).order_by(OutboxMessage.lane.desc())
    sent = session.scalars(newest.limit(MOST_MAILS)).all()
    return sum(each > now - WITHIN for each in sent) < MOST_MAILS


def _gathered(session: Session, site_id: uuid.UUID, report: dict[str, Any], now: datetime) -> bool:
    """Add a report to the mail that still gathers, where there is one with room."""
    theirs = OutboxMessage.lane.between(_gathering_lane(site_id, _LEAST), _gathering_lane(site_id, _GREATEST))
    waiting = session.scalar(
        select(OutboxMessage)
        .where(
            theirs,
            OutboxMessage.state == "pending",
            OutboxMessage.attempts == 0,
            OutboxMessage.available_at > now,
        )
        .order_by(OutboxMessage.id.desc())
        .limit(1)
        .with_for_update()
    )
    # What no key opens holds up no report.
    if waiting is None or waiting.payload is None:
        return False
    letter = orjson.loads(waiting.payload)
    reports = letter["params"]["reports"]
    if len(reports) >= MOST_GATHERED:
        return False
    reports.append(report)
    waiting.payload = orjson.dumps(letter).decode()
    return True


def _gathering_lane(site_id: uuid.UUID, correction_id: uuid.UUID) -> str:
    # By its first report: one that its server refuses holds up no later one.
    return f"mail gathered:{site_id} {correction_id}"


def _lane(site_id: uuid.UUID, correction_id: uuid.UUID) -> str:
    return f"mail desk:{site_id} {correction_id}"
