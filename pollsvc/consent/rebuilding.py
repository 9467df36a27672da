"""The table of consents made anew from their events, in constant memory: it is what they come to, and nothing else."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import groupby

from sqlalchemy import delete, insert, select, text
from sqlalchemy.orm import Session

from pollsvc.consent.models import Consent, ConsentEvent, ConsentText, Kind, Subscriber
from pollsvc.consent.states import apply, new_consent

#: Rows read at once.
PAGE = 500

Row = dict[str, object]


@dataclass(frozen=True)
class Difference:
    """A consent that does not stand as its events say.

    :param columns: those that differ; none where the row is missing or should not be there.
    """

    consent_id: uuid.UUID
    fact: str
    columns: tuple[str, ...] = ()


def find_differences(session: Session) -> Iterator[Difference]:
    """Compare the table with the events. Everything is to be read as of one moment: the caller sees to that."""
    expected, found = expected_consents(session), _kept_consents(session)
    wanted, kept = next(expected, None), next(found, None)
    while wanted or kept:
        if kept is None or (wanted and _id(wanted) < _id(kept)):
            assert wanted is not None
            yield Difference(_id(wanted), "missing")
            wanted = next(expected, None)
        elif wanted is None or _id(kept) < _id(wanted):
            yield Difference(_id(kept), "not of any event")
            kept = next(found, None)
        else:
            if columns := tuple(name for name in kept if kept[name] != wanted[name]):
                yield Difference(_id(kept), "changed", columns)
            wanted, kept = next(expected, None), next(found, None)


def rebuild(session: Session) -> int:
    """Let each consent stand as its events say; what is right already is left alone.

    Nobody else writes meanwhile: on PostgreSQL the table is locked, on SQLite the session writes.

    :returns: how many differed.
    """
    if session.get_bind().dialect.name == "postgresql":
        session.execute(text("LOCK TABLE consent IN SHARE ROW EXCLUSIVE MODE"))
    differing = 0
    # First all that is wrong goes: a person's one consent may stand under another one's id.
    for difference in find_differences(session):
        differing += 1
        if difference.fact != "missing":
            session.execute(delete(Consent).where(Consent.id == difference.consent_id))
    if differing:
        for row in expected_consents(session):
            if session.scalar(select(Consent.id).where(Consent.id == row["id"])) is None:
                session.execute(insert(Consent).values(row))
    return differing


def expected_consents(session: Session) -> Iterator[Row]:
    """How each consent of a person we still know stands by its events, by id."""
    # The few texts are held on to: a session forgets what nobody holds, which is what keeps the memory constant.
    texts: dict[uuid.UUID, ConsentText] = {}
    for events in _pages_of_events(session):
        folded = [
            _fold(session, theirs, texts) for _, theirs in groupby(events, key=lambda event: event.consent_id)
        ]
        stands = [consent for consent in folded if consent]
        people = {consent.subscriber_id for consent in stands}
        known = set(session.scalars(select(Subscriber.id).where(Subscriber.id.in_(people))))
        # A person's row goes with the last of what they gave, so that nothing of it can stand.
        yield from (_row(consent) for consent in stands if consent.subscriber_id in known)


def _fold(
    session: Session, events: Iterator[ConsentEvent], texts: dict[uuid.UUID, ConsentText]
) -> Consent | None:
    consent = None
    for event in events:
        if consent is None:
            if event.kind not in (Kind.REQUESTED, Kind.IMPORTED):
                continue  # of one that was forgotten
            if event.text_id not in texts:
                texts[event.text_id] = session.get_one(ConsentText, event.text_id)
            consent = new_consent(event, texts[event.text_id])
        if not apply(consent, event):
            consent = None
    return consent


def _pages_of_events(session: Session) -> Iterator[list[ConsentEvent]]:
    """All events of some consents at a time, each one's in order.

    Those without a consent were adopted (:mod:`pollsvc.consent.adoption`).
    """
    # First the consents, then their events: asked for in one, the order of both would be sorted for each page anew.
    consents = select(ConsentEvent.consent_id).distinct().order_by(ConsentEvent.consent_id).limit(PAGE)
    page = session.scalars(consents.where(ConsentEvent.consent_id.is_not(None))).all()
    while page:
        events = session.scalars(
            select(ConsentEvent)
            .where(ConsentEvent.consent_id.between(page[0], page[-1]))
            .order_by(ConsentEvent.consent_id, ConsentEvent.id)
        ).all()
        yield list(events)
        page = session.scalars(consents.where(ConsentEvent.consent_id > page[-1])).all()


def _kept_consents(session: Session) -> Iterator[Row]:
    consents = select(Consent).order_by(Consent.id).limit(PAGE)
    page = session.scalars(consents).all()
    while page:
        last = page[-1].id
        yield from (_row(consent) for consent in page)
        page = session.scalars(consents.where(Consent.id > last)).all()


def _row(consent: Consent) -> Row:
    return {column.key: getattr(consent, column.key) for column in Consent.__table__.columns}


def _id(row: Row) -> uuid.UUID:
    found = row["id"]
    assert isinstance(found, uuid.UUID)
    return found
