"""Engines of workers that were closed, for the next ones: what SQLAlchemy compiled once is not compiled for each test."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Hashable, Iterator

import pytest
import sqlalchemy as sa

from pollsvc import worker
from pollsvc.config import Settings
from pollsvc.keys import Keys

_open, _close = worker.open_engine, worker.Worker.close


class KeptEngines:
    """One engine for each worker at a time; those of one database and the same keys take turns."""

    def __init__(self) -> None:
        self._free: defaultdict[Hashable, list[sa.Engine]] = defaultdict(list)
        self._kinds: dict[sa.Engine, Hashable] = {}

    def open(self, settings: Settings, keys: Keys) -> sa.Engine:
        kind = settings.database_url, settings.secret_key, settings.hash_key, settings.encryption_keys
        engine = self._free[kind].pop() if self._free[kind] else _open(settings, keys)
        self._kinds[engine] = kind
        return engine

    def close(self, closed: worker.Worker) -> None:
        _close(closed)
        kind = self._kinds.pop(closed._engine, None)
        if kind is not None:
            self._free[kind].append(closed._engine)


@pytest.fixture(scope="session", autouse=True)
def engines_of_workers() -> Iterator[None]:
    """Workers that tests close leave their engines to the next ones."""
    kept = KeptEngines()

    def close(closed: worker.Worker) -> None:
        kept.close(closed)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(worker, "open_engine", kept.open)
        patch.setattr(worker.Worker, "close", close)
        yield
