"""What wakes the worker (huey). It carries no data and no promise: the tables do, and the worker looks at them anyway.

A lost wake-up costs seconds, so that none is ever worth a refusal: :class:`Bell` neither waits nor fails.
"""

from __future__ import annotations

import json
import threading
import uuid
from collections.abc import Callable
from datetime import datetime
from typing import Any

import psycopg
import structlog
from huey import Huey, PostgresHuey, RedisHuey, SqliteHuey, crontab
from huey.api import TaskWrapper
from huey.registry import Message
from huey.serializer import Serializer
from redis import Redis
from sqlalchemy import make_url

from pollsvc.config import Settings

log = structlog.get_logger("pollsvc")

NAME = "pollsvc"
#: huey's tables on PostgreSQL are its own affair, apart from ours.
SCHEMA = "pollsvc_queue"
#: Seconds between two wake-ups of one process: many sign-ups at once are one errand.
PAUSE = 0.1


class WakeSerializer(Serializer):
    """Wake-ups as JSON. huey's own pickles would let whoever writes to the queue run anything here."""

    def serialize(self, data: Message) -> bytes:
        """Write which task, and when."""
        return json.dumps([data.name, data.eta.isoformat() if data.eta else None]).encode()

    def deserialize(self, data: bytes) -> Message:
        """Read it; everything else is as huey would have it for a task without arguments."""
        name, eta = json.loads(data)
        return Message(
            id=str(uuid.uuid4()),
            name=str(name),
            eta=datetime.fromisoformat(eta) if eta else None,
            retries=0,
            retry_delay=0,
            priority=None,
            args=(),
            kwargs={},
            on_complete=None,
            on_error=None,
            expires=None,
            expires_resolved=None,
            timeout=None,
            chord_config=None,
            retry_backoff=0,
        )


def queue_url(settings: Settings) -> str:
    """Where wake-ups are kept: the setting, else Redis where it is set, else the kind of the database."""
    if settings.queue_url:
        return settings.queue_url
    if settings.redis_url:
        return settings.redis_url
    if settings.database_url.startswith("postgresql"):
        return settings.database_url
    return f"sqlite:///{settings.instance / 'queue.db'}"


def open_queue(settings: Settings) -> Huey:
    """Connect to the queue. Nothing in it is worth keeping, so that nothing is synced to disk for it."""
    url = queue_url(settings)
    options: dict[str, Any] = {"name": NAME, "results": False, "serializer": WakeSerializer()}
    if url.startswith(("redis://", "rediss://")):
        # The time-out lies above huey's own waiting, which blocks for a second.
        client = Redis.from_url(url, socket_connect_timeout=1, socket_timeout=5)
        return RedisHuey(connection_pool=client.connection_pool, read_timeout=1, **options)
    parsed = make_url(url)
    if parsed.get_backend_name() == "postgresql":
        plain = parsed.set(drivername="postgresql").render_as_string(hide_password=False)
        return PostgresHuey(connection=lambda: _connect(plain), create_tables=True, **options)
    settings.instance.mkdir(mode=0o700, parents=True, exist_ok=True)
    return SqliteHuey(filename=str(parsed.database), fsync=False, **options)


def queue_connections(settings: Settings) -> tuple[int, int]:
    """How many connections the queue adds to those to the database: of each process that rings, and of the worker's."""
    # One to ring by. The worker has one to read, one to listen, and one for what huey schedules.
    is_same = queue_url(settings) == settings.database_url
    return (1, 3) if is_same and settings.database_url.startswith("postgresql") else (0, 0)


def _connect(url: str) -> psycopg.Connection[Any]:
    connection = psycopg.connect(url, autocommit=True, connect_timeout=5, application_name="pollsvc-queue")
    # Two first starts may meet here; PostgreSQL's IF NOT EXISTS looks before it leaps, and one of them would fall.
    with connection.transaction():
        connection.execute("SELECT pg_advisory_xact_lock(7077556)")
        connection.execute(f"CREATE SCHEMA IF NOT EXISTS {SCHEMA}")
    connection.execute(f"SET search_path = {SCHEMA}")
    return connection


def wake_task(queue: Huey, act: Callable[[], None]) -> TaskWrapper:
    """The one task: look at the tables. Rung by others, and by the worker itself each minute."""

    # Defined here, and named, because both sides know it by module and name.
    def wake() -> None:
        act()

    task = queue.task(name="wake")(wake)
    queue.periodic_task(crontab(minute="*"), name="tick")(wake)
    return task


def nothing() -> None:
    """What a process that only rings would do itself."""


class Bell:
    """Rings for the worker, from a thread of its own; many rings at once are one."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._rung = threading.Event()
        self._lock = threading.Lock()
        self._thread: threading.Thread | None = None

    def __call__(self) -> None:
        """Ring. Never fails and never waits."""
        if not self._is_carrying():
            with self._lock:
                # Only now: a process may fork between making its application and its first request.
                if not self._is_carrying():
                    self._thread = threading.Thread(target=self._carry, name="bell", daemon=True)
                    self._thread.start()
        self._rung.set()

    def _is_carrying(self) -> bool:
        return self._thread is not None and self._thread.is_alive()

    def _carry(self) -> None:
        queue: Huey | None = None
        while True:
            self._rung.wait()
            self._rung.clear()
            try:
                if queue is None:
                    queue = open_queue(self._settings)
                    wake = wake_task(queue, nothing)
                # One that nobody has heard yet is enough: where no worker runs, they would pile up.
                if not queue.pending_count():
                    wake()
            except Exception as error:  # noqa: BLE001 (a queue that is away, of whatever kind, is no reason to stop)
                queue = None
                log.warning("wake-up lost", kind=type(error).__name__)
            threading.Event().wait(PAUSE)
