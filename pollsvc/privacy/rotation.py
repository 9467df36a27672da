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


@dataclass(frozen=True)
class Sealed:
    """A table that holds encrypted columns.

    :param table: its key and those columns, with their bytes as they are.
    """

    table: sa.TableClause
    key: sa.ColumnClause[Any]
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
            (key,) = table.primary_key.columns
            identity: sa.ColumnClause[Any] = sa.column(str(key.name), key.type)
            bare = sa.table(str(table.name), identity, *(sa.column(each, sa.LargeBinary) for each in columns))
            yield Sealed(bare, identity, columns)


@dataclass(frozen=True)
class Step:
    """What a step did.

    :param last: the key of its last row, to go on from; None where there was none.
    :param unreadable: the keys of rows of which none of ours opens a value.
    """

    last: Any
    read: int
    renewed: int
    unreadable: tuple[Any, ...] = ()


def renew_some(session: Session, keys: Keys, sealed: Sealed, after: Any, most: int) -> Step:
    """Encrypt up to so many rows anew, those behind a key. What is encrypted with the first key stays as it is.

    What no key opens stays too, and the rest of its row is encrypted anew.
    """
    names = [sealed.table.c[name] for name in sealed.columns]
    some = sa.select(sealed.key, *names).order_by(sealed.key).limit(most)
    if after is not None:
        some = some.where(sealed.key > after)
    # Locked: whoever changes one meanwhile does so before or after, and neither is lost.
    rows = session.execute(some.with_for_update()).all()
    renewed, unreadable = 0, []
    for identity, *values in rows:
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
            session.execute(sa.update(sealed.table).where(sealed.key == identity).values(fresh))
            renewed += 1
    return Step(rows[-1][0] if rows else None, len(rows), renewed, tuple(dict.fromkeys(unreadable)))
