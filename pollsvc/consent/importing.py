"""Subscribers that a publisher had before: who may be taken in, and with what proof.

Nobody who left, was forgotten or let a renewal pass comes back by an import: that takes the reader's own act.
"""

from __future__ import annotations

import uuid
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any, cast

from sqlalchemy import insert, select
from sqlalchemy.orm import Session
from uuid_utils.compat import uuid7

from pollsvc.consent.addresses import lock_addresses
from pollsvc.consent.handing_over import hand_over
from pollsvc.consent.import_rows import Batch, Entry
from pollsvc.consent.links import Links
from pollsvc.consent.models import Consent, ConsentEvent, ConsentText, Kind, State, Subscriber, Suppression
from pollsvc.consent.states import Begun, begin_alike, note
from pollsvc.keys import Keys
from pollsvc.outbox.service import announce, announce_all
from pollsvc.staff.service import record

METHOD = "import"
TOLD = "consent.imported"
#: Rows after which a line says how far it is, even where there is nothing to say about any of them.
PROGRESS = 5_000


class Outcome(StrEnum):
    """What became of a row."""

    IMPORTED = "imported"
    UNCHANGED = "unchanged"
    SUPPRESSED = "suppressed"
    WITHDRAWN = "withdrawn"
    EXPIRED = "expired"
    REFUSED = "refused"


@dataclass(frozen=True, kw_only=True)
class Import:
    """What all rows of a file have in common.

    :param file_hash: a keyed hash of the file: a plain one would tell whoever guesses its only address.
    """

    text: ConsentText
    file_hash: str
    actor: str
    is_dry_run: bool


def keyed_file_hash(keys: Keys, sha256: bytes) -> str:
    """What is kept of a file, to find out whether it was this one."""
    return keys.digest("import file", sha256).hex()


def begin_import(session: Session, plan: Import, *, size: int, now: datetime) -> None:
    """Write the audit row of an import, before its first row."""
    _record(session, plan, "consents.import_began", now, {"bytes": size})


def end_import(session: Session, plan: Import, totals: Mapping[str, int], *, now: datetime) -> None:
    """Write the audit row of an import that reached its end."""
    _record(session, plan, "consents.imported", now, {"totals": dict(totals)})


def store(
    session: Session, links: Links, plan: Import, entries: Sequence[Entry], now: datetime
) -> Iterator[tuple[Entry, Outcome]]:
    """Take entries in, in one transaction, each with its event and its announcement; a dry run only tells.

    :returns: what became of each, in their order.
    """
    hashes = [entry.email_hash for entry in entries]
    if not plan.is_dry_run:
        lock_addresses(session, hashes)
    known = _Known.of(session, plan, hashes)
    outcomes = [(entry, known.decide(entry)) for entry in entries]
    if not plan.is_dry_run:
        taken = [entry for entry, outcome in outcomes if outcome == Outcome.IMPORTED]
        _take_in(session, links, plan, known, [each for each in taken if not known.find(each)], now=now)
        for entry in taken:
            if waiting := known.find(entry):
                _activate(session, links, plan, waiting, entry, now=now)
        session.flush()
    return iter(outcomes)


@dataclass
class _Known:
    """What is known of the addresses of a batch."""

    suppressed: set[bytes]
    subscribers: dict[bytes, Subscriber]
    consents: dict[uuid.UUID, Consent]
    seen: set[bytes] = field(default_factory=set)

    @classmethod
    def of(cls, session: Session, plan: Import, hashes: Sequence[bytes]) -> _Known:
        suppressed = session.scalars(
            select(Suppression.email_hash).where(Suppression.email_hash.in_(hashes))
        ).all()
        subscribers = session.scalars(select(Subscriber).where(Subscriber.email_hash.in_(hashes))).all()
        theirs = (
            select(Consent)
            .where(
                Consent.subscriber_id.in_([each.id for each in subscribers]),
                Consent.site_id == plan.text.site_id,
                Consent.purpose == plan.text.purpose,
            )
            .order_by(Consent.id)
            .execution_options(populate_existing=True)
        )
        if not plan.is_dry_run:
            theirs = theirs.with_for_update(of=Consent)
        consents = session.scalars(theirs).all() if subscribers else ()
        return cls(
            set(suppressed),
            {each.email_hash: each for each in subscribers},
            {each.subscriber_id: each for each in consents},
        )

    def find(self, entry: Entry) -> Consent | None:
        subscriber = self.subscribers.get(entry.email_hash)
        return self.consents.get(subscriber.id) if subscriber else None

    def decide(self, entry: Entry) -> Outcome:
        if entry.email_hash in self.suppressed:
            return Outcome.SUPPRESSED
        consent = self.find(entry)
        if consent and consent.state in (State.WITHDRAWN, State.EXPIRED):
            return Outcome(consent.state)
        is_active = consent is not None and consent.state == State.ACTIVE
        is_second = entry.email_hash in self.seen
        self.seen.add(entry.email_hash)
        return Outcome.UNCHANGED if is_active or is_second else Outcome.IMPORTED


def _take_in(
    session: Session, links: Links, plan: Import, known: _Known, entries: Sequence[Entry], *, now: datetime
) -> None:
    """Make the consents that there are none of yet, all by the same statements."""
    people = {
        entry.email_hash: {"id": uuid.uuid4(), "email": entry.email, "email_hash": entry.email_hash}
        for entry in entries
        if entry.email_hash not in known.subscribers
    }
    if people:
        session.execute(insert(Subscriber), list(people.values()))
    ids = {hashed: each.id for hashed, each in known.subscribers.items()}
    ids |= {hashed: cast(uuid.UUID, each["id"]) for hashed, each in people.items()}
    begun = [
        Begun(uuid7(), ids[entry.email_hash], {**entry.evidence, "file_hash": plan.file_hash})
        for entry in entries
    ]
    event = ConsentEvent(
        kind=Kind.IMPORTED,
        text_id=plan.text.id,
        text_hash=plan.text.body_hash,
        method=METHOD,
        actor=plan.actor,
        is_suspect=False,
        occurred_at=now,
    )
    consent = begin_alike(session, plan.text, event, begun)
    told = []
    for each, entry in zip(begun, entries, strict=True):
        consent.id, consent.subscriber_id = each.consent_id, each.subscriber_id
        told.append((f"subscriber:{each.subscriber_id}", hand_over(links, consent, plan.text, entry.email)))
    announce_all(session, TOLD, site_id=plan.text.site_id, told=told, now=now)


def _activate(
    session: Session, links: Links, plan: Import, consent: Consent, entry: Entry, *, now: datetime
) -> None:
    """Take in whoever was asked to confirm and has not yet."""
    evidence = {**entry.evidence, "file_hash": plan.file_hash}
    note(
        session,
        consent,
        Kind.IMPORTED,
        text=plan.text,
        method=METHOD,
        now=now,
        actor=plan.actor,
        evidence=evidence,
    )
    data = hand_over(links, consent, plan.text, entry.email)
    subject = f"subscriber:{consent.subscriber_id}"
    announce(session, TOLD, site_id=consent.site_id, subject=subject, data=data, now=now)


def _record(session: Session, plan: Import, action: str, now: datetime, facts: Mapping[str, Any]) -> None:
    detail = {"file_hash": plan.file_hash, "is_dry_run": plan.is_dry_run, **facts}
    subject = ("consent_text", plan.text.id)
    record(session, actor=plan.actor, action=action, subject=subject, now=now, detail=detail)


class Report:
    """What is told of an import: a line for each row that was not taken in, and the totals at the end."""

    def __init__(self, plan: Import) -> None:
        self._plan = plan
        self.totals = {"rows": 0, **dict.fromkeys((each.value for each in Outcome), 0)}

    def lines(self, batch: Batch, outcomes: Iterator[tuple[Entry, Outcome]]) -> list[dict[str, Any]]:
        """The lines about a batch that was stored, by row."""
        told, before = list(batch.refusals), self.totals["rows"]
        self._count(Outcome.REFUSED, batch.refused)
        for entry, outcome in outcomes:
            self._count(outcome, 1)
            if outcome != Outcome.IMPORTED:
                told.append({"row": entry.number, "outcome": outcome})
        told.sort(key=lambda line: line["row"])
        if before // PROGRESS < self.totals["rows"] // PROGRESS:
            # Who hears nothing for long, such as a proxy, hangs up.
            told.append({"rows_so_far": self.totals["rows"]})
        return told

    def last(self) -> dict[str, Any]:
        """The line at the end; without it the report, and the import, were cut off."""
        return {
            "totals": self.totals,
            "file_hash": self._plan.file_hash,
            "dry_run": self._plan.is_dry_run,
        }

    def _count(self, outcome: Outcome, number: int) -> None:
        self.totals["rows"] += number
        self.totals[outcome] += number
