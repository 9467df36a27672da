"""SQLite's connections: what each is told, and how its transactions begin."""

from __future__ import annotations

import sqlite3
import time
from typing import Any

import sqlalchemy as sa
from sqlalchemy import event

from pollsvc.patience import PATIENCE


def prepare_sqlite(engine: sa.Engine) -> None:
    """Give an engine its pragmas and explicit transactions."""

    @event.listens_for(engine, "connect")
    def _connect(connection: Any, _record: Any) -> None:
        # Python's own transaction control begins too late and never IMMEDIATE; we send BEGIN ourselves.
        connection.isolation_level = None
        # SQLite has it of its own from 3.41 on.
        connection.create_function("unhex", 1, _unhex, deterministic=True)
        pragmas(connection, foreign_keys="ON")

    @event.listens_for(engine, "begin")
    def _begin(connection: sa.Connection) -> None:
        options = connection.get_execution_options()
        patience = options.get("sqlite_patience")
        if patience is not None:
            connection.exec_driver_sql(f"PRAGMA busy_timeout={int(patience * 1000)}")
        try:
            connection.exec_driver_sql("BEGIN IMMEDIATE" if options.get("sqlite_write") else "BEGIN")
        finally:
            # The connection goes back to the pool with the patience of all.
            if patience is not None:
                connection.exec_driver_sql(f"PRAGMA busy_timeout={PATIENCE * 1000}")


def _unhex(digits: str | None) -> bytes | None:
    return None if digits is None else bytes.fromhex(digits)


def pragmas(connection: Any, *, foreign_keys: str) -> None:
    """What every SQLite connection of ours is told; FULL because an acknowledged vote survives a power cut."""
    connection.execute(f"PRAGMA busy_timeout={PATIENCE * 1000}")
    _keep_a_log(connection)
    connection.execute("PRAGMA synchronous=FULL")
    # What is deleted is overwritten with zeros: whoever was erased is in no page of the file.
    connection.execute("PRAGMA secure_delete=ON")
    connection.execute(f"PRAGMA foreign_keys={foreign_keys}")
    # Without it INSERT OR REPLACE deletes a row without a word to triggers that look at a DELETE. What is append-only has
    # others for it, which hold on any connection.
    connection.execute("PRAGMA recursive_triggers=ON")


def _keep_a_log(connection: Any) -> None:
    """Switch a new file to WAL. Of several that do so at once SQLite refuses some without waiting, whatever they were told."""
    deadline = time.monotonic() + PATIENCE
    while True:
        try:
            connection.execute("PRAGMA journal_mode=WAL")
        except sqlite3.OperationalError as error:
            if "locked" not in str(error) or time.monotonic() > deadline:
                raise
            time.sleep(0.01)
        else:
            return
