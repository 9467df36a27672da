"""The newsroom is told by mail of each report, as long as they do not come in a flood."""

from __future__ import annotations

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


@dataclass(frozen=True)
class Desk:
    """How mails to the newsroom are written.

    :param public_url: what links begin with.
    :param mail_host: the right side of Message-IDs.
    """

    public_url: str
    mail_host: str


def tell_desk(session: Session, desk: Desk, correction: Correction, now: datetime) -> None:
    """Write a mail with links to a report and its article, and nothing that its reader wrote.

    A report marked suspect is told of too: what comes by the plain form always is. The subject says so.
    """
    site = correction.article.site
    if not site.desk_email:
        return
    # By the day, so that counting reads few rows.
    lane = f"mail desk:{site.id} {now:%Y-%m-%d}"
    room = _room(session, lane, now)
    if room < 1:
        return
    letter = Letter(
        template="correction",
        to=site.desk_email,
        locale=site.locale,
        sender=site.name,
        params={
            "reference": correction.reference,
            "article_url": correction.article_url,
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
        lane=lane,
        now=now,
    )


def _room(session: Session, lane: str, now: datetime) -> int:
    """How many more mails may go to a desk now. Told one after the other: the last mail says that it is the last."""
    if session.get_bind().dialect.name == "postgresql":
        lock = text("SELECT pg_advisory_xact_lock(:space, hashtext(:lane))")
        session.execute(lock, {"space": _DESK_LOCKS, "lane": lane})
    newest = select(OutboxMessage.created_at).where(OutboxMessage.lane == lane)
    sent = session.scalars(newest.order_by(OutboxMessage.id.desc()).limit(MOST_MAILS)).all()
    return MOST_MAILS - sum(each > now - WITHIN for each in sent)
