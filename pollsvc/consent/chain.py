"""The chain over what happened to consents: each seal holds the hash of one event and of the seal before it.

Whoever changes, deletes or reorders a sealed event, or puts one between, must make every later seal anew, and each proof and
each ``pollsvc consent verify`` that was kept says otherwise. Sealed by one worker at a time, shortly after the events'
own transactions, which never wait for it.
"""

from __future__ import annotations

import hashlib
import json
import uuid
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, cast

from sqlalchemy import ColumnElement, RowMapping, Select, Table, func, insert, select, text
from sqlalchemy.orm import Session

from pollsvc.consent.models import ConsentEvent, ConsentSeal, ConsentText
from pollsvc.consent.texts import text_hash

#: What the first seal follows.
START = bytes(32)
#: Events sealed in one transaction, and read at once.
BATCH = 200
_PAGE = 1_000
#: How long an event that was begun earlier may be committed later; what is later still, the thorough look finds.
_LATE = timedelta(minutes=10)
#: When an event that is not sealed is worth a word.
_SHOULD_BE_SEALED = timedelta(minutes=5)
#: Any number, the same in every process: PostgreSQL's advisory lock of the chain.
_LOCK = 7077553

_EVENT, _SEAL, _TEXT = (cast(Table, model.__table__) for model in (ConsentEvent, ConsentSeal, ConsentText))
#: What is hashed of an event: the columns of this release. One that comes later belongs to a form of its own.
FIELDS = (
    "id",
    "kind",
    "consent_id",
    "subscriber_id",
    "text_id",
    "text_hash",
    "article_id",
    "origin",
    "method",
    "evidence",
    "actor",
    "is_suspect",
    "occurred_at",
)
#: What is hashed of its text beside: body and links are in the text's own hash.
TEXT_FIELDS = (
    "site_id",
    "purpose",
    "version",
    "locale",
    "mode",
    "controller",
    "contact",
    "withdrawal",
    "is_material",
)
_COLUMNS = [_EVENT.c[name] for name in FIELDS]
_TEXT_COLUMNS = [_TEXT.c[name].label(f"of_text_{name}") for name in TEXT_FIELDS]


@dataclass(frozen=True)
class Verdict:
    """What a walk along the chain found.

    :param sealed: how many seals are sound, from the first on.
    :param head: the hash of the last of these.
    :param bad_position: the first seal that does not hold, or None.
    :param fault: what is wrong there.
    :param waiting: how many events are not sealed although they should be by now.
    """

    sealed: int
    head: bytes
    bad_position: int | None
    fault: str | None
    waiting: int


def canonical(event: Mapping[Any, Any]) -> bytes:
    """The one spelling of an event and of what its text asked for that is hashed: JSON with sorted keys and no spaces, in UTF-8.

    Times are in UTC with microseconds, hashes in hex, ids with hyphens; what is not there is null.
    """
    plain: dict[str, object] = {name: _plain(event[name]) for name in FIELDS}
    plain["text"] = {name: _plain(event[f"of_text_{name}"]) for name in TEXT_FIELDS}
    return json.dumps(plain, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()


def seal_hash(before: bytes, event: Mapping[Any, Any]) -> bytes:
    """SHA-256 over the hash of the seal before and the event."""
    return hashlib.sha256(before + canonical(event)).digest()


def has_unsealed(session: Session, now: datetime, *, is_thorough: bool = False) -> bool:
    """Whether :func:`seal_events` would find something."""
    return bool(_unsealed(session, now, 1, is_thorough=is_thorough))


def seal_events(session: Session, now: datetime, *, is_thorough: bool = False) -> Sequence[RowMapping]:
    """Seal the next events; none while somebody else does.

    :param is_thorough: look at every event, rather than at the new ones and those of the last minutes only.
    :returns: the events that were sealed.
    """
    if session.get_bind().dialect.name == "postgresql":
        # Not waited for: whoever has it seals ours too. The primary key is the last word.
        lock = text("SELECT pg_try_advisory_xact_lock(:number)")
        if not session.scalar(lock, {"number": _LOCK}):
            return []
    last = session.execute(
        select(_SEAL.c.position, _SEAL.c.hash).order_by(_SEAL.c.position.desc()).limit(1)
    ).one_or_none()
    position, before = last or (0, START)
    events = _unsealed(session, now, BATCH, is_thorough=is_thorough)
    seals = []
    for event in events:
        position, before = position + 1, seal_hash(before, event)
        seals.append({"position": position, "event_id": event["id"], "hash": before, "sealed_at": now})
    if seals:
        session.execute(insert(ConsentSeal), seals)
    return events


def _unsealed(session: Session, now: datetime, limit: int, *, is_thorough: bool) -> Sequence[RowMapping]:
    newest = session.scalar(select(_SEAL.c.event_id).order_by(_SEAL.c.event_id.desc()).limit(1))
    events = select(*_COLUMNS, *_TEXT_COLUMNS).join_from(_EVENT, _TEXT).order_by(_EVENT.c.id).limit(limit)
    if newest is None:
        return _read(session, events)
    # Ids begin with their time, so that nearly all events come after the last one that was sealed.
    if found := _read(session, events.where(_EVENT.c.id > newest)):
        return found
    late = events.where(_EVENT.c.id < newest, ~_is_sealed())
    if not is_thorough:
        late = late.where(_EVENT.c.id >= _first_id(now - _LATE))
    return _read(session, late)


def _read(session: Session, events: Select[Any]) -> Sequence[RowMapping]:
    return session.execute(events).mappings().all()


def _is_sealed() -> ColumnElement[bool]:
    return select(_SEAL.c.position).where(_SEAL.c.event_id == _EVENT.c.id).exists()


def _first_id(moment: datetime) -> uuid.UUID:
    """The smallest UUIDv7 of a time."""
    return uuid.UUID(int=max(0, int(moment.timestamp() * 1000)) << 80)


def verify_chain(session: Session, now: datetime, *, expected: tuple[int, bytes] | None = None) -> Verdict:
    """Walk the chain from its first seal to the first one that does not hold, in constant memory.

    :param expected: a position and its hash, as an earlier walk or a proof told them: a chain that was made anew
        throughout is sound in itself, and differs there.
    """
    position, before, fault = 0, START, None
    texts: dict[uuid.UUID, bytes] = {}
    for seal in _walk(session):
        fault = _fault(session, seal, position + 1, before, texts)
        if fault is None and expected and expected == (seal["position"], seal["hash"]):
            expected = None
        if fault is None and expected and expected[0] == seal["position"]:
            fault = "its hash is not the one expected: the chain was made anew"
        if fault:
            break
        position, before = seal["position"], seal["hash"]
    if fault is None and expected:
        fault = "it was expected here, and the chain is shorter: its end is missing"
    overdue = select(func.count()).where(_EVENT.c.id < _first_id(now - _SHOULD_BE_SEALED), ~_is_sealed())
    return Verdict(
        sealed=position,
        head=before,
        bad_position=position + 1 if fault else None,
        fault=fault,
        waiting=session.scalar(overdue) or 0,
    )


def _walk(session: Session) -> Iterator[RowMapping]:
    """Every seal in order, each with its event, a page at a time: rows are only ever added behind the last."""
    columns = [column for column in _COLUMNS if column.name != "id"]
    seals = (
        select(_SEAL.c.position, _SEAL.c.hash, _EVENT.c.id, *columns, *_TEXT_COLUMNS)
        .outerjoin_from(_SEAL, _EVENT, _EVENT.c.id == _SEAL.c.event_id)
        .outerjoin(_TEXT, _TEXT.c.id == _EVENT.c.text_id)
        .order_by(_SEAL.c.position)
        .limit(_PAGE)
    )
    page = _read(session, seals)
    while page:
        yield from page
        page = _read(session, seals.where(_SEAL.c.position > page[-1]["position"]))


def _fault(
    session: Session, seal: RowMapping, position: int, before: bytes, texts: dict[uuid.UUID, bytes]
) -> str | None:
    """What is wrong with a seal, or None."""
    if seal["position"] != position:
        return "it is missing"
    if seal["id"] is None:
        return "its event is missing"
    is_event_whole = seal_hash(before, seal) == seal["hash"]
    if _hash_of_text(session, seal["text_id"], texts) != seal["text_hash"] and (
        is_event_whole or _is_text_gone(seal)
    ):
        return "the text that was shown was changed"
    return (
        None if is_event_whole else "its event, or what its text asks for, was changed, reordered or put in"
    )


def _is_text_gone(seal: RowMapping) -> bool:
    return seal["of_text_version"] is None


def _hash_of_text(session: Session, text_id: uuid.UUID, known: dict[uuid.UUID, bytes]) -> bytes:
    """The hash that a text has as it stands now. There are few, however many events there are."""
    if text_id not in known:
        found = session.get(ConsentText, text_id)
        versions = (found.privacy_version, found.terms_version) if found else (None, None)
        known[text_id] = text_hash(found.body, found.privacy_url, found.terms_url, versions) if found else b""
    return known[text_id]


def _plain(value: object) -> object:
    if isinstance(value, datetime):
        return value.astimezone(UTC).isoformat(timespec="microseconds")
    if isinstance(value, bytes | memoryview):
        return bytes(value).hex()
    return str(value) if isinstance(value, uuid.UUID) else value
