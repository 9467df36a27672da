"""What must leave the building is written here, in the transaction of the change that it tells of."""

from __future__ import annotations

import uuid
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any

import orjson
from sqlalchemy import Select, delete, insert, or_, select
from sqlalchemy.orm import Session, defer
from uuid_utils.compat import uuid7

from pollsvc.db import insert_into
from pollsvc.errors import Conflict, NotFound
from pollsvc.outbox.models import OutboxEvent, OutboxMessage
from pollsvc.staff.service import record

#: The highest number that the database counts to; beyond it, it would not even look.
HIGHEST = 2**63 - 1


class MessageNotFound(NotFound):
    """No message of the outbox has this number."""

    code = "message_not_found"
    detail = "There is no message with this number."


class NotDead(Conflict):
    """Only what was given up, and is still kept, is sent again by hand."""

    code = "message_not_dead"
    detail = "There is nothing to send again: it was delivered, still will be, or is no longer kept."


@dataclass(frozen=True, kw_only=True)
class Letter:
    """A mail to write.

    :param template: its name in :mod:`pollsvc.outbox.letters`.
    :param to: whom to.
    :param locale: the language, such as ``en``.
    :param sender: the name that it comes from.
    :param params: what the template is filled with. Never a reader's words.
    :param leave_url: where one press ends all further mail (RFC 8058), or None in mail to the newsroom.
    :param attachments: files, each with ``name``, ``type`` and ``content``.
    """

    template: str
    to: str
    locale: str
    sender: str
    params: Mapping[str, Any]
    leave_url: str | None = None
    attachments: Sequence[Mapping[str, str]] = ()


def new_message_id(host: str) -> str:
    """A Message-ID (RFC 5322 §3.6.4), kept with the message so that every attempt bears the same one."""
    return f"<{uuid.uuid4().hex}@{host}>"


def post_mail(
    session: Session,
    letter: Letter,
    *,
    subject: str,
    delivery_key: str,
    message_id: str,
    now: datetime,
    lane: str | None = None,
    due: datetime | None = None,
) -> None:
    """Write a mail into the outbox. One whose key is there already is not written again.

    :param subject: whom or what it is about, such as ``subscriber:0198…``.
    :param lane: what it keeps its order within; the mails about one subject where left out.
    :param due: when it may leave; at once where left out.
    """
    row = insert_into(session, OutboxMessage).values(
        channel="mail",
        kind=letter.template,
        delivery_key=delivery_key,
        subject=subject,
        lane=lane or f"mail {subject}",
        payload=orjson.dumps(asdict(letter)).decode(),
        message_id=message_id,
        state="pending",
        attempts=0,
        available_at=due or now,
        created_at=now,
    )
    session.execute(row.on_conflict_do_nothing(index_elements=["delivery_key"]))


def drop_waiting_mails(
    session: Session, kind: str, *, subject: str, message_ids: Select[str], even_under_way: bool = False
) -> None:
    """Delete those mails of a kind that nobody has delivered, or is delivering.

    :param subject: whom or what they are about.
    :param message_ids: selects their Message-IDs, and perhaps others.
    :param even_under_way: also what is being delivered, so that it is not tried again.
    """
    waiting = delete(OutboxMessage).where(
        OutboxMessage.subject == subject,
        OutboxMessage.channel == "mail",
        OutboxMessage.kind == kind,
        OutboxMessage.state == "pending",
        OutboxMessage.message_id.in_(message_ids),
    )
    if not even_under_way:
        waiting = waiting.where(OutboxMessage.lease.is_(None))
    session.execute(waiting.execution_options(synchronize_session=False))


def announce(
    session: Session,
    kind: str,
    *,
    site_id: uuid.UUID | None,
    subject: str,
    data: Mapping[str, Any],
    now: datetime,
) -> None:
    """Tell every endpoint that wants to know, in the end, that something happened.

    :param kind: object and past participle, such as ``consent.confirmed``; listed in :data:`EVENT_KINDS`.
    """
    session.execute(
        insert(OutboxEvent), event_row(kind, site_id=site_id, subject=subject, data=data, now=now)
    )


def event_row(
    kind: str, *, site_id: uuid.UUID | None, subject: str, data: Mapping[str, Any], now: datetime
) -> dict[str, Any]:
    """The row of an event, for whoever writes many; as :func:`announce`."""
    return {
        "key": uuid7(),
        "kind": kind,
        "site_id": site_id,
        "subject": subject,
        "data": orjson.dumps(dict(data)).decode(),
        "is_fanned_out": False,
        "occurred_at": now,
    }


def announce_all(
    session: Session,
    kind: str,
    *,
    site_id: uuid.UUID | None,
    told: Sequence[tuple[str, Mapping[str, Any]]],
    now: datetime,
) -> None:
    """The same of many things at once.

    :param told: subject and data of each.
    """
    rows = [event_row(kind, site_id=site_id, subject=subject, data=data, now=now) for subject, data in told]
    if rows:
        session.execute(insert(OutboxEvent), rows)


#: What an endpoint can be told of. Those of comments come with a later release; they may be asked for already.
EVENT_KINDS = (
    "consent.confirmed",
    "consent.withdrawn",
    "consent.renewed",
    "consent.expired",
    "consent.imported",
    "consent.erased",
    "correction.received",
    "correction.decided",
    "poll.created",
    "poll.edited",
    "poll.closed",
    "poll.withdrawn",
    "comment.published",
    "comment.held",
    "comment.rejected",
    "comment.removed",
)


def list_messages(state: str | None = None, channel: str | None = None) -> Select[OutboxMessage]:
    """The outbox, or a part of it. Not what is delivered: one that no key opens must not hide the others."""
    messages = select(OutboxMessage).options(defer(OutboxMessage.payload))
    if state:
        messages = messages.where(OutboxMessage.state == state)
    if channel:
        messages = messages.where(OutboxMessage.channel == channel)
    return messages


def get_message(session: Session, number: int, *, for_update: bool = False) -> OutboxMessage:
    """The message of this number, without what is delivered, which perhaps no key opens.

    :param for_update: whether it is to change; then it is as it stands now, and nobody else changes it meanwhile.
    :raises MessageNotFound: if there is none.
    """
    message = None
    if number <= HIGHEST:
        message = session.get(
            OutboxMessage,
            number,
            options=[defer(OutboxMessage.payload)],
            with_for_update=for_update or None,
            populate_existing=for_update,
        )
    if message is None:
        raise MessageNotFound
    return message


def replay_message(session: Session, number: int, *, actor: str, now: datetime) -> OutboxMessage:
    """Send again what was given up.

    :raises MessageNotFound: if there is none of this number.
    :raises NotDead: if it was not given up.
    """
    message = get_message(session, number, for_update=True)
    is_kept = select(OutboxMessage.payload.is_not(None)).where(OutboxMessage.id == number)
    # An event's message has no payload: it is made from the event.
    if message.state != "dead" or (message.event_id is None and not session.scalar(is_kept)):
        raise NotDead
    message.state, message.attempts, message.available_at = "pending", 0, now
    message.reason = message.settled_at = message.lease = message.leased_until = None
    record(session, actor=actor, action="message.replayed", subject=("message", number), now=now)
    return message


def forget_subject(session: Session, *subjects: str) -> list[str]:
    """Erase what the outbox holds about a subject, or about several, sent or not.

    :returns: the Message-IDs of its mails, by which their files are found.
    """
    # Locked first: whoever is writing messages of these events is waited for, so that none comes after.
    events = session.scalars(
        select(OutboxEvent.id)
        .where(OutboxEvent.subject.in_(subjects))
        .order_by(OutboxEvent.id)
        .with_for_update()
    ).all()
    of_subject = or_(OutboxMessage.subject.in_(subjects), OutboxMessage.event_id.in_(events))
    names = session.scalars(
        select(OutboxMessage.message_id).where(of_subject, OutboxMessage.message_id.is_not(None))
    ).all()
    session.execute(delete(OutboxMessage).where(of_subject).execution_options(synchronize_session=False))
    session.execute(
        delete(OutboxEvent)
        .where(OutboxEvent.subject.in_(subjects))
        .execution_options(synchronize_session=False)
    )
    return [name for name in names if name]
