"""``/metrics`` on a port of its own, answered by the parent of the web processes."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime

import sqlalchemy as sa
from sqlalchemy.orm import Session
from sqlalchemy.pool import NullPool

from pollsvc.config import Settings
from pollsvc.db import engine_options, prepare_engine

#: Seconds that a new web process waits for a scrape that is under way.
PATIENCE = 2.0


class MetricsPort:
    """Answers whoever connects, over all processes of this host.

    :param address: an IP address.
    """

    def __init__(self, settings: Settings, address: str, port: int) -> None:
        self._settings, self._address, self._port = settings, address, port
        self._asking = threading.Lock()

    def start(self) -> None:
        """Begin to listen."""
        # Imported here because prometheus_client looks for its folder when it is imported.
        from prometheus_client import start_http_server  # noqa: PLC0415

        from pollsvc.web.metrics import registry  # noqa: PLC0415

        start_http_server(self._port, addr=self._address, registry=registry(self._ask))

    @contextmanager
    def silent(self) -> Iterator[None]:
        """Let nobody ask the database while the block forks: the child would inherit its locks as if held, for ever."""
        is_ours = self._asking.acquire(timeout=PATIENCE)
        try:
            yield
        finally:
            if is_ours:
                self._asking.release()

    def _ask(self) -> None:
        from pollsvc.outbox.figures import show_outbox  # noqa: PLC0415 (see above)

        options = engine_options(self._settings.database_url, 1)
        kept = {name: options[name] for name in ("url", "connect_args") if name in options}
        with self._asking:
            # Opened for each answer, so that no web process is born with a connection of its parent's.
            engine = sa.create_engine(**kept, poolclass=NullPool)
            prepare_engine(engine, self._settings.keys())
            with Session(engine) as session:
                show_outbox(session, datetime.now(UTC))
