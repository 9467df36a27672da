"""What a row of an import must hold: the rules of its fields, asked outside of any transaction."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time
from itertools import islice
from typing import Any

import marshmallow as ma

from pollsvc.consent.import_files import Row
from pollsvc.consent.service import email_hash
from pollsvc.keys import Keys
from pollsvc.web.fields import Email, LastingText, Time

#: Rows in a transaction: on SQLite votes wait as long as one takes.
BATCH = 200
#: Unknown fields of a row that are named: thousands fit into one.
_MOST_TOLD = 10


class _Day(Time):
    """A time, or a day: lists from elsewhere often know no more."""

    def _deserialize(self, value: Any, attr: str | None, data: Any, **kwargs: Any) -> datetime:
        if isinstance(value, str) and len(value) == 10:
            try:
                return datetime.combine(date.fromisoformat(value), time(), UTC)
            except ValueError as error:
                raise ma.ValidationError("Must be a day such as 2026-03-02, or a time.") from error
        return super()._deserialize(value, attr, data, **kwargs)


class ImportRowSchema(ma.Schema):
    """A row of the file."""

    email = Email(required=True)
    consented_at = _Day(metadata={"description": "When they agreed: an RFC 3339 time, or a day."})
    source = LastingText(
        200, multiline=True, metadata={"description": "Where they agreed, such as a form or list."}
    )


@dataclass(frozen=True)
class Entry:
    """A row that may be taken in."""

    number: int
    email: str
    email_hash: bytes
    evidence: Mapping[str, Any]


@dataclass
class Batch:
    """Some rows: those that may be taken in, and lines about those that may not."""

    entries: list[Entry] = field(default_factory=list)
    refusals: list[dict[str, Any]] = field(default_factory=list)
    refused: int = 0


def batches(rows: Iterator[Row], keys: Keys, now: datetime) -> Iterator[Batch]:
    """Check rows against the rules of their fields, outside of any transaction, some at a time."""
    fields = ImportRowSchema().fields
    while some := list(islice(rows, BATCH)):
        batch = Batch()
        for row in some:
            troubles = [{"detail": row.broken}] if row.broken else list(_check(batch, row, fields, keys, now))
            batch.refused += bool(troubles)
            batch.refusals += [{"row": row.number, "outcome": "refused", **each} for each in troubles]
        yield batch


def _check(
    batch: Batch, row: Row, fields: Mapping[str, Any], keys: Keys, now: datetime
) -> Iterator[dict[str, str]]:
    loaded: dict[str, Any] = {}
    for name in sorted(row.fields.keys() - fields.keys())[:_MOST_TOLD]:
        yield {"field": name[:40], "detail": "Unknown field."}
    for name, rule in fields.items():
        try:
            loaded[name] = rule.deserialize(row.fields.get(name, ma.missing))
        except ma.ValidationError as error:
            yield {"field": name, "detail": " ".join(map(str, error.messages))}
    consented_at = loaded.get("consented_at")
    if isinstance(consented_at, datetime) and consented_at > now:
        yield {"field": "consented_at", "detail": "Must not lie in the future."}
    elif len(loaded) == len(fields) and row.fields.keys() <= fields.keys():
        seen = {
            "row": row.number,
            "source": loaded["source"] or None,
            "consented_at": consented_at.isoformat() if isinstance(consented_at, datetime) else None,
        }
        batch.entries.append(Entry(row.number, loaded["email"], email_hash(keys, loaded["email"]), seen))
