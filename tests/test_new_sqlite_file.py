"""A SQLite file that several open for the first time."""

import sqlite3
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path

from pollsvc.sqlite import pragmas


def open_at(path: Path, start: threading.Barrier) -> str:
    with closing(sqlite3.connect(path, check_same_thread=False)) as connection:
        start.wait(20)
        pragmas(connection, foreign_keys="ON")
        return str(connection.execute("PRAGMA journal_mode").fetchone()[0])


def test_may_be_opened_by_many_at_once(tmp_path: Path) -> None:
    # SQLite refuses some of them in about every tenth file.
    for number in range(100):
        start = threading.Barrier(4)
        path = tmp_path / f"{number}.db"
        with ThreadPoolExecutor(4) as threads:
            opening = [threads.submit(open_at, path, start) for _ in range(4)]
        assert [each.result() for each in opening] == ["wal"] * 4
