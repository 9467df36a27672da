"""The worker is woken through SQLite, PostgreSQL or Redis; where the queue is away, nobody waits and nothing fails."""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from huey.consumer import Consumer

from pollsvc.config import Settings
from pollsvc.outbox.queue import (
    Bell,
    WakeSerializer,
    nothing,
    open_queue,
    queue_connections,
    queue_url,
    wake_task,
)
from pollsvc.worker import _start_consumer
from tests.conftest import ENVIRON
from tests.postgres import PostgresServer
from tests.processes import wait_until
from tests.redis_server import RedisServer

Make = Callable[[], Settings]


@pytest.fixture(params=["sqlite", "postgresql", "redis"])
def installation(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Settings]:
    """An installation with a queue of each kind, empty."""
    environ = dict(ENVIRON)
    if request.param == "redis":
        environ["POLLSVC_REDIS_URL"] = request.getfixturevalue("redis_url")
    if request.param != "postgresql":
        yield Settings.from_environ(environ, tmp_path)
        return
    server: PostgresServer = request.getfixturevalue("postgres")
    environ["POLLSVC_QUEUE_URL"] = server.create_database("queue")
    yield Settings.from_environ(environ, tmp_path)
    server.drop_database("queue")


@contextmanager
def listening(settings: Settings) -> Iterator[threading.Event]:
    """Listen as a worker does."""
    rung = threading.Event()
    consumer = _start_consumer(settings, rung)
    assert consumer is not None
    # The first look of what huey schedules rings too.
    rung.wait(2)
    rung.clear()
    try:
        yield rung
    finally:
        _stop(consumer)


def _stop(consumer: Consumer) -> None:
    consumer.stop_flag.set()
    for thread in threading.enumerate():
        if thread.name.startswith(("Worker", "Scheduler")):
            thread.join(10)


class TestBell:
    @pytest.mark.filterwarnings(
        "ignore::pytest.PytestUnraisableExceptionWarning"
    )  # threads end with connections open
    def test_wakes_who_listens(self, installation: Settings) -> None:
        bell = Bell(installation)

        with listening(installation) as rung:
            bell()
            assert rung.wait(10)

    @pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
    def test_where_nobody_listens_one_ring_waits_and_not_a_thousand(self, installation: Settings) -> None:
        bells = [Bell(installation) for _ in range(3)]
        queue = open_queue(installation)
        for _ in range(50):
            for bell in bells:
                bell()
        wait_until(queue.pending_count)
        wait_until(lambda: not any(bell._rung.is_set() for bell in bells))

        assert queue.pending_count() <= len(bells)

    def test_a_queue_that_is_away_keeps_nobody_and_is_found_again(
        self, redis_server: RedisServer, tmp_path: Path
    ) -> None:
        settings = Settings.from_environ({**ENVIRON, "POLLSVC_REDIS_URL": redis_server.url}, tmp_path)
        bell = Bell(settings)
        redis_server.stop()
        for _ in range(20):
            bell()
        wait_until(lambda: not bell._rung.is_set())

        redis_server.start()

        def is_heard() -> bool:
            bell()
            return bool(open_queue(settings).pending_count())

        wait_until(is_heard)

    def test_carries_in_one_thread(self, tmp_path: Path) -> None:
        bell = Bell(Settings.from_environ(ENVIRON, tmp_path))
        before = sum(thread.name == "bell" for thread in threading.enumerate())

        for _ in range(10):
            bell()

        assert sum(thread.name == "bell" for thread in threading.enumerate()) == before + 1


class TestConsumer:
    def test_a_queue_that_is_away_is_no_reason_not_to_work(
        self, postgres: PostgresServer, tmp_path: Path
    ) -> None:
        url = postgres.url().rpartition("/")[0] + "/nowhere"
        settings = Settings.from_environ({**ENVIRON, "POLLSVC_QUEUE_URL": url}, tmp_path)

        assert _start_consumer(settings, threading.Event()) is None


class TestQueueUrl:
    @pytest.mark.parametrize(
        ("environ", "begins", "connections"),
        [
            ({}, "sqlite:///", (0, 0)),
            ({"DATABASE_URL": "postgresql://h/n"}, "postgresql", (1, 3)),
            ({"DATABASE_URL": "postgresql://h/n", "REDIS_URL": "redis://h"}, "redis://h", (0, 0)),
            ({"REDIS_URL": "redis://h", "QUEUE_URL": "redis://other"}, "redis://other", (0, 0)),
            ({"DATABASE_URL": "postgresql://h/n", "QUEUE_URL": "sqlite:///q.db"}, "sqlite:///", (0, 0)),
        ],
        ids=["SQLite", "PostgreSQL", "Redis", "the setting", "another kind"],
    )
    def test_is_the_setting_or_what_is_there(
        self, tmp_path: Path, environ: dict[str, str], begins: str, connections: tuple[int, int]
    ) -> None:
        given = {f"POLLSVC_{name}": text for name, text in environ.items()}
        settings = Settings.from_environ({**ENVIRON, **given}, tmp_path)

        assert queue_url(settings).startswith(begins)
        assert queue_connections(settings) == connections


class TestWakeSerializer:
    def test_keeps_name_and_time(self, tmp_path: Path) -> None:
        queue: Any = open_queue(Settings.from_environ(ENVIRON, tmp_path))
        wake_task(queue, nothing)()
        (kept,) = queue.storage.enqueued_items()

        message = WakeSerializer().deserialize(kept)

        assert kept.startswith(b"[")
        assert message.name.endswith("wake")
        assert (message.eta, message.args, message.kwargs) == (None, (), {})

    def test_runs_nothing_that_was_pickled(self) -> None:
        with pytest.raises(ValueError):  # noqa: PT011 (whatever it says)
            WakeSerializer().deserialize(b"cos\nsystem\n(S'true'\ntR.")
