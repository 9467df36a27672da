"""What a database holds, as somebody sees it who has a copy of it and not the keys."""

import subprocess
import uuid
from collections.abc import Iterator
from pathlib import Path

import sqlalchemy as sa
from sqlalchemy.orm import Session

from pollsvc.db import Model


def rows_of(session: Session, table: str) -> list[list[bytes]]:
    """Give each row of a table with its values as bytes, undecrypted; ids are their 16 bytes on both databases."""
    columns = Model.metadata.tables[table].columns
    found = session.connection().exec_driver_sql(f'SELECT * FROM "{table}"').mappings()
    return [[_plain(columns[name].type, row[name]) for name in columns.keys()] for row in found]  # noqa: SIM118 (a Table's columns iterate as columns)


def tables_with(session: Session, *needles: bytes) -> set[str]:
    """Give the tables in which one of the needles stands, as it is or in hexadecimal digits."""
    spellings = [*needles, *(needle.hex().encode() for needle in needles)]
    return {
        table
        for table in Model.metadata.tables
        for row in rows_of(session, table)
        if any(spelling in value for value in row for spelling in spellings)
    }


def files_with(session: Session, *needles: bytes) -> set[str]:
    """Give the names of an SQLite database's files, its WAL included, in which one of the needles stands.

    On PostgreSQL there is no such file to read: none.
    """
    database = session.get_bind().engine.url
    if database.get_backend_name() != "sqlite":
        return set()
    return {
        path.name
        for path in _files(Path(str(database.database)))
        if any(needle in _read_elsewhere(path) for needle in needles)
    }


def _read_elsewhere(path: Path) -> bytes:
    # In a process of its own: closing a file drops every POSIX lock that this process holds on it, SQLite's included.
    return subprocess.run(["cat", path], check=True, capture_output=True).stdout


def _files(path: Path) -> Iterator[Path]:
    yield from path.parent.glob(f"{path.name}*")


def _plain(kind: sa.types.TypeEngine[object], value: object) -> bytes:
    if isinstance(kind, sa.Uuid) and isinstance(value, str):
        return uuid.UUID(value).bytes
    if isinstance(value, uuid.UUID):
        return value.bytes
    return value if isinstance(value, bytes) else str(value).encode()
