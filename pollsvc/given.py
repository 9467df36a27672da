"""Rows as one value. As a parameter: a statement asks about, or writes, many things at once, and is the same however many they are.

They come as JSON, which PostgreSQL reads faster than its driver writes an array for each column, and SQLite knows no arrays.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from functools import cached_property
from typing import Any, cast

import orjson
import sqlalchemy as sa
from sqlalchemy import bindparam, column, func
from sqlalchemy.dialects import postgresql
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.compiler import SQLCompiler
from sqlalchemy.sql.functions import GenericFunction

from pollsvc.db import EncryptedText, Model, UtcDateTime

#: Characters of a time, as SQLite keeps it.
_UP_TO_THE_ZONE = 26


class GivenRows:
    """Rows of one shape.

    :param name: of the rows in the statement, and of the parameter.
    :param types: of the columns, by name.
    """

    def __init__(
        self, name: str, types: Mapping[str, sa.types.TypeEngine[Any]], table: sa.Table | None = None
    ) -> None:
        self.name = name
        self._table = table
        self._types = types
        self._encrypted = {
            column: type_ for column, type_ in types.items() if isinstance(type_, EncryptedText)
        }

    @classmethod
    def of_table(cls, name: str, model: type[Model], *columns: str) -> GivenRows:
        """Rows of some columns of a table."""
        table = cast(sa.Table, model.__table__)
        return cls(name, {column: table.c[column].type for column in columns}, table)

    def insert(self, connection: sa.Connection, rows: Sequence[Mapping[str, Any]]) -> None:
        """Write rows into their table; where there are none, nothing is done."""
        if rows:
            statement = self._inserts[connection.dialect.name]
            connection.execute(statement, self.parameter(connection.dialect, rows))

    @cached_property
    def _inserts(self) -> dict[str, sa.Insert]:
        assert self._table is not None, "rows of a table"
        return {
            dialect: sa.insert(self._table).from_select(list(self._types), sa.select(self.source(dialect)))
            for dialect in ("sqlite", "postgresql")
        }

    @property
    def columns(self) -> str:
        """Their names, for SQL that is written by hand."""
        return ", ".join(self._types)

    def source(self, dialect: str) -> sa.FromClause:
        """What stands in a statement's ``FROM``.

        :param dialect: ``sqlite`` or ``postgresql``.
        """
        given = bindparam(self.name, type_=sa.Text)
        if dialect == "sqlite":
            each = func.json_each(given).table_valued("value", name=f"{self.name}_row")
            cells = [_cell(each.c.value, name, type_).label(name) for name, type_ in self._types.items()]
            return sa.select(*cells).select_from(each).subquery(self.name)
        columns = [column(name, type_) for name, type_ in self._types.items()]
        records = func.json_to_recordset(sa.cast(given, postgresql.JSON))
        return records.table_valued(*columns, name=self.name).render_derived(with_types=True)

    def parameter(self, dialect: sa.Dialect, rows: Sequence[Mapping[str, Any]]) -> dict[str, str]:
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
        told = orjson.dumps(rows, default=_told, option=orjson.OPT_PASSTHROUGH_DATETIME)
        return {self.name: told.decode()}


def _told(value: bytes | datetime) -> str:
    """What JSON does not know, as PostgreSQL reads it from a text."""
    if isinstance(value, bytes):
        return f"\\x{value.hex()}"
    return value.astimezone(UTC).isoformat(" ", "microseconds")


def _cell(row: sa.ColumnElement[Any], name: str, type_: sa.types.TypeEngine[Any]) -> sa.ColumnElement[Any]:
    """A value as SQLite keeps it."""
    cell = func.json_extract(row, sa.literal_column(f"'$.{name}'"), type_=type_)
    if isinstance(type_, sa.LargeBinary | EncryptedText):
        return func.unhex(func.substr(cell, 3), type_=type_)
    if isinstance(type_, UtcDateTime):
        return func.substr(cell, 1, _UP_TO_THE_ZONE, type_=type_)
    if isinstance(type_, sa.Uuid):
        # The digits alone.
        return func.replace(cell, "-", "", type_=type_)
    return cell


class spaced(GenericFunction[str]):  # noqa: N801 (SQL's functions are written so)
    """The texts of several rows as one, with a space between."""

    type = sa.Text()
    inherit_cache = True


@compiles(spaced, "sqlite")
def _spaced_on_sqlite(element: spaced, compiler: SQLCompiler, **options: Any) -> str:
    return f"group_concat({compiler.process(element.clauses, **options)}, ' ')"


@compiles(spaced, "postgresql")
def _spaced_on_postgresql(element: spaced, compiler: SQLCompiler, **options: Any) -> str:
    return f"string_agg({compiler.process(element.clauses, **options)}, ' ')"
