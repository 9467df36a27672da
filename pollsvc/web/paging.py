"""Lists by keyset: newest first, with an opaque cursor."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

import marshmallow as ma
from sqlalchemy import Select, Uuid
from sqlalchemy.orm import InstrumentedAttribute, Session

from pollsvc.errors import one_field
from pollsvc.keys import BadToken, Keys

Row = TypeVar("Row")
#: What rows are in order of: a UUIDv7, or a number that the database counts up.
Place = TypeVar("Place", uuid.UUID, int)
MOST = 100


class PageQuerySchema(ma.Schema):
    """Mixed into each list's query."""

    limit = ma.fields.Integer(load_default=20, validate=ma.validate.Range(1, MOST))
    cursor = ma.fields.String(load_default=None, validate=ma.validate.Length(max=200))


@dataclass(frozen=True)
class Page(Generic[Row]):
    """Some items and where the next ones begin."""

    items: Sequence[Row]
    next_cursor: str | None


def page_schema(item: type[ma.Schema]) -> type[ma.Schema]:
    """The schema of a list of items."""
    name = item.__name__.removesuffix("Schema") + "PageSchema"
    return type(
        name,
        (ma.Schema,),
        {
            "items": ma.fields.List(ma.fields.Nested(item), required=True),
            "next_cursor": ma.fields.String(required=True, allow_none=True),
        },
    )


def read_page(
    session: Session,
    rows: Select[Any],
    key: InstrumentedAttribute[Place],
    query: dict[str, Any],
    keys: Keys,
    *,
    is_oldest_first: bool = False,
) -> Page[Any]:
    """Read one page, newest first by a key that grows, or the other way round.

    :raises Invalid: if the cursor is none of this list's.
    """
    purpose = f"cursor {key} oldest" if is_oldest_first else f"cursor {key}"
    if query["cursor"]:
        try:
            last = _place_of(key, keys.unsign(purpose, query["cursor"]))
            rows = rows.where(key > last if is_oldest_first else key < last)
        except (BadToken, ValueError) as error:
            raise one_field("cursor", "Must be a next_cursor of an earlier answer.") from error
    ordered = rows.order_by(key if is_oldest_first else key.desc())
    found = session.scalars(ordered.limit(query["limit"] + 1)).all()
    items = found[: query["limit"]]
    if len(found) == len(items):
        return Page(items, None)
    # A list of the keys alone, or of rows that have one.
    place = items[-1] if isinstance(items[-1], uuid.UUID) else getattr(items[-1], key.key)
    return Page(items, keys.sign(purpose, _bytes_of(place)))


def _bytes_of(place: uuid.UUID | int) -> bytes:
    return place.bytes if isinstance(place, uuid.UUID) else place.to_bytes(8)


def _place_of(key: InstrumentedAttribute[Place], last: bytes) -> uuid.UUID | int:
    if isinstance(key.type, Uuid):
        return uuid.UUID(bytes=last)
    return int.from_bytes(last)
