"""Rows as one parameter: a statement asks about, or writes, many things at once, and is the same however many they are.

They come as JSON, which both databases read faster than a driver writes an array for each column.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, cast

import orjson
import sqlalchemy as sa
from sqlalchemy import bindparam, column, func
from sqlalchemy.dialects import postgresql

from pollsvc.db import EncryptedText, Model

_POSTGRESQL = postgresql.dialect()


class GivenRows:
    """Rows of one shape.

    :param name: of the rows in the statement, and of the parameter.
    :param types: of the columns, by name.
    """

    def __init__(self, name: str, types: Mapping[str, sa.types.TypeEngine[Any]]) -> None:
        self.name = name
        self._types = types
        self._encrypted = {
            column: type_ for column, type_ in types.items() if isinstance(type_, EncryptedText)
        }

    @classmethod
    def of_table(cls, name: str, model: type[Model], *columns: str) -> GivenRows:
        """Rows of some columns of a table."""
        table = cast(sa.Table, model.__table__)
        return cls(name, {column: table.c[column].type for column in columns})

    def source(self, dialect: str) -> sa.FromClause:
        """What stands in a statement's ``FROM``.

        :param dialect: ``sqlite`` or ``postgresql``.
        """
        given = bindparam(self.name, type_=sa.Text)
        if dialect == "sqlite":
            rows = func.json_each(given).table_valued("value", name=f"{self.name}_row")
            found = {
                name: func.json_extract(rows.c.value, sa.literal_column(f"'$.{name}'"), type_=type_)
                for name, type_ in self._types.items()
            }
        else:
            columns = [column(name, _written(type_)) for name, type_ in self._types.items()]
            records = func.json_to_recordset(sa.cast(given, postgresql.JSON))
            rows = records.table_valued(*columns, name=f"{self.name}_row").render_derived(with_types=True)
            found = {name: rows.c[name] for name in self._types}
        cells = [_read(cell, self._types[name], dialect).label(name) for name, cell in found.items()]
        return sa.select(*cells).select_from(rows).subquery(self.name)

    @property
    def columns(self) -> str:
        """The names of the columns, as PostgreSQL's SQL has them."""
        return ", ".join(self._types)

    @property
    def values(self) -> str:
        """The columns of a row behind :attr:`recordset`."""
        return ", ".join(
            f"decode({self.name}.{name}, 'hex')" if _is_bytes(type_) else f"{self.name}.{name}"
            for name, type_ in self._types.items()
        )

    @property
    def recordset(self) -> str:
        """The rows, as PostgreSQL's SQL has them. Bytes are hexadecimal digits in it."""
        columns = ", ".join(
            f"{name} {_written(type_).compile(dialect=_POSTGRESQL)}" for name, type_ in self._types.items()
        )
        return f"json_to_recordset(CAST(:{self.name} AS json)) AS {self.name} ({columns})"

    def parameter(self, dialect: sa.Dialect, rows: Iterable[Mapping[str, Any]]) -> dict[str, str]:
        """What a statement is given; each row has a value for each column at least."""
        if self._encrypted:
            rows = [
                {
                    **row,
                    **{
                        name: type_.process_bind_param(row[name], dialect)
                        for name, type_ in self._encrypted.items()
                    },
                }
                for row in rows
            ]
        return {self.name: orjson.dumps(list(rows), default=bytes.hex).decode()}


def _is_bytes(type_: sa.types.TypeEngine[Any]) -> bool:
    return isinstance(type_, sa.LargeBinary | EncryptedText)


def _written(type_: sa.types.TypeEngine[Any]) -> sa.types.TypeEngine[Any]:
    """The type that a value has in JSON, which knows no bytes."""
    return sa.Text() if _is_bytes(type_) else type_


def _read(
    cell: sa.ColumnElement[Any], type_: sa.types.TypeEngine[Any], dialect: str
) -> sa.ColumnElement[Any]:
    if _is_bytes(type_):
        is_sqlite = dialect == "sqlite"
        return (
            func.unhex(cell, type_=type_) if is_sqlite else func.decode(cell, sa.text("'hex'"), type_=type_)
        )
    if dialect == "sqlite" and isinstance(type_, sa.Uuid):
        # SQLite keeps the digits alone.
        return func.replace(cell, "-", "", type_=type_)
    return cell
