"""Encrypting anew with the first key what an older key encrypted, so that the older one can be given up."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa
from cryptography.fernet import InvalidToken
from sqlalchemy.orm import Session

from pollsvc.db import EncryptedText, Model
from pollsvc.keys import Keys

#: The key of a row, of one value or several.
Key = tuple[Any, ...]


@dataclass(frozen=True)
class Sealed:
    """A table that holds encrypted columns.

    :param table: its key and those columns, with their bytes as they are.
    :param key: what tells its rows apart, and what they are gone through by.
    """

    table: sa.TableClause
    key: tuple[sa.ColumnClause[Any], ...]
    columns: tuple[str, ...]

    @property
    def name(self) -> str:
        """What it is called."""
        return self.table.name


def sealed_tables() -> Iterator[Sealed]:
    """Every table of the models with an encrypted column."""
    for table in Model.metadata.sorted_tables:
        columns = tuple(
            str(column.name) for column in table.columns if isinstance(column.type, EncryptedText)
        )
        if columns:
            key = tuple(sa.column(str(part.name), part.type) for part in table.primary_key.columns)
            bare = sa.table(str(table.name), *key, *(sa.column(each, sa.LargeBinary) for each in columns))
            yield Sealed(bare, key, columns)


@dataclass(frozen=True)
class Step:
    """What a step did.

    :param last: the key of its last row, to go on from; None where there was none.
    :param unreadable: the keys of rows of which none of ours opens a value.
    """

    last: Key | None
    read: int
    renewed: int
    unreadable: tuple[Key, ...] = ()


def renew_some(session: Session, keys: Keys, sealed: Sealed, after: Key | None, most: int) -> Step:
    """Encrypt up to so many rows anew, those behind a key. What is encrypted with the first key stays as it is.

    What no key opens stays too, and the rest of its row is encrypted anew.
    """
    names = [sealed.table.c[name] for name in sealed.columns]
    some = sa.select(*sealed.key, *names).order_by(*sealed.key).limit(most)
    if after is not None:
        place = [sa.literal(value, part.type) for part, value in zip(sealed.key, after, strict=True)]
        some = some.where(sa.tuple_(*sealed.key) > sa.tuple_(*place))
    # Locked: whoever changes one meanwhile does so before or after, and neither is lost.
    rows = session.execute(some.with_for_update()).all()
    renewed, unreadable = 0, []
    for row in rows:
        identity, values = tuple(row[: len(sealed.key)]), row[len(sealed.key) :]
        fresh: dict[str, bytes] = {}
        for name, value in zip(sealed.columns, values, strict=True):
            try:
                new = None if value is None else keys.renew(bytes(value))
            except InvalidToken:
                unreadable.append(identity)
                continue
            if new is not None:
                fresh[name] = new
        if fresh:
            is_it = (part == value for part, value in zip(sealed.key, identity, strict=True))
            session.execute(sa.update(sealed.table).where(*is_it).values(fresh))
            renewed += 1
    last_read = tuple(rows[-1][: len(sealed.key)]) if rows else None
    return Step(last_read, len(rows), renewed, tuple(dict.fromkeys(unreadable)))
