"""The newsroom is told by mail of each report, as long as they do not come in a flood."""

from __future__ import annotations

import uuid
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import select, text
from sqlalchemy.orm import Session

from pollsvc.corrections.models import Correction
from pollsvc.outbox.models import OutboxMessage
from pollsvc.outbox.service import Letter, new_message_id, post_mail

#: So many mails to the desk of a site within this time; of the reports beyond them the last mail says where they are.
MOST_MAILS = 20
WITHIN = timedelta(minutes=10)
#: Any number, the same in every process: PostgreSQL's advisory locks of desks.
_DESK_LOCKS = 7077557
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
        return
    room = _room(session, site.id, now)
    if room < 1:
        return
    letter = Letter(
        template="correction",
        to=site.desk_email,
        locale=site.locale,
        sender=site.name,
        params={
            "reference": correction.reference,
            "desk_url": f"{desk.public_url}/v1/corrections/{correction.id}",
            "list_url": f"{desk.public_url}/v1/corrections?status=new" if room == 1 else None,
            "is_suspect": correction.is_suspect,
        },
    )
    post_mail(
        session,
        letter,
        subject=f"correction:{correction.id}",
        delivery_key=f"desk {correction.id}",
        message_id=new_message_id(desk.mail_host),
        # One of its own: a mail that its server refuses for now holds no other. By it the site's mails are counted.
        lane=_lane(site.id, correction.id),
        now=now,
    )


def _room(session: Session, site_id: uuid.UUID, now: datetime) -> int:
    """How many more mails may go to a desk now. Told one after the other: the last mail says that it is the last."""
    if session.get_bind().dialect.name == "postgresql":
        lock = text("SELECT pg_advisory_xact_lock(:space, hashtext(:site))")
        session.execute(lock, {"space": _DESK_LOCKS, "site": str(site_id)})
    # Ids of reports rise with time, so the newest lanes are the last ones, and counting reads few rows.
    theirs = OutboxMessage.lane.between(_lane(site_id, _LEAST), _lane(site_id, _GREATEST))
    newest = select(OutboxMessage.created_at).where(theirs).order_by(OutboxMessage.lane.desc())
    sent = session.scalars(newest.limit(MOST_MAILS)).all()
    return MOST_MAILS - sum(each > now - WITHIN for each in sent)


def _lane(site_id: uuid.UUID, correction_id: uuid.UUID) -> str:
    return f"mail desk:{site_id} {correction_id}"
