"""``pollsvc worker``: sign-ups are decided, messages delivered and clocks heeded here. An edge: it commits.

Everything it does is in the tables, so that any number of workers may run, and one may be killed at any moment.
"""

from __future__ import annotations

import logging
import os
import random
import signal
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from functools import partial

import sqlalchemy as sa
import structlog
from huey.consumer import Consumer
from sqlalchemy.exc import DBAPIError
from sqlalchemy.orm import Session

from pollsvc.config import Settings
from pollsvc.db import engine_options, prepare_engine
from pollsvc.errands import Errand, all_errands, all_transports
from pollsvc.outbox.delivery import DeliveryFailed, Result, claim, is_due, settle
from pollsvc.outbox.queue import open_queue, wake_task

log = structlog.get_logger("pollsvc")

#: Seconds after which the worker looks at the tables though nobody rang.
HEARTBEAT = 5.0
#: Seconds for deliveries under way when it is told to stop; what is cut then is delivered again.
DRAIN = 8.0
#: Deliveries of one channel at once: a server that hangs holds these threads and no others.
DELIVERIES = 4
#: Threads beside those, for what needs the database only.
OTHERS = 2


class Worker:
    """Does what waits in the tables.

    :param now: the clock.
    """

    def __init__(self, settings: Settings, now: Callable[[], datetime] = lambda: datetime.now(UTC)) -> None:
        self._settings, self._now, self._keys = settings, now, settings.keys()
        self._engine = sa.create_engine(**engine_options(settings.database_url, DELIVERIES))
        prepare_engine(self._engine, self._keys)
        self._writing = self._engine.execution_options(sqlite_write=True)
        self.transports = all_transports(settings)
        self._places = {channel: threading.BoundedSemaphore(DELIVERIES) for channel in self.transports}
        self._stopping = threading.Event()
        self.errands = all_errands(settings, self._keys)

    def look(self) -> None:
        """Do everything that is due. One part that fails does not keep the others from their work."""
        for errand in self.errands:
            self._guarded(errand.name, partial(self._run, errand))
        for channel in self.transports:
            self._guarded(channel, partial(self._deliver_all, channel))

    def stop(self) -> None:
        """Begin nothing new."""
        self._stopping.set()

    def close(self) -> None:
        """Give the connections back."""
        self._engine.dispose()

    def _guarded(self, name: str, act: Callable[[], None]) -> None:
        try:
            act()
        except Exception as error:  # noqa: BLE001 (whatever it is, it is still in the tables)
            kind = type(error.orig if isinstance(error, DBAPIError) else error).__name__
            log.warning("errand failed", errand=name, kind=kind)

    def _run(self, errand: Errand) -> None:
        while not self._stopping.is_set() and self._is_due(errand.is_due):
            with self._transaction() as session:
                has_more = errand.act(session, self._now())
            if not has_more:
                return

    def _is_due(self, question: Callable[[Session, datetime], bool]) -> bool:
        with Session(self._engine) as session:
            return question(session, self._now())

    @contextmanager
    def _transaction(self) -> Iterator[Session]:
        with Session(self._writing, expire_on_commit=False) as session:
            yield session
            session.commit()

    def _deliver_all(self, channel: str) -> None:
        place = self._places[channel]
        if not place.acquire(blocking=False):
            return  # enough threads deliver it already
        try:
            while not self._stopping.is_set() and self._deliver_next(channel):
                pass
        finally:
            place.release()

    def _deliver_next(self, channel: str) -> bool:
        if not self._is_due(partial(is_due, channel=channel)):
            return False
        with self._transaction() as session:
            message = claim(session, uuid.uuid4(), self._now(), channel)
        if message is None:
            return False
        began = time.monotonic()
        status, failure = None, None
        try:
            status = self.transports[channel](message, self._now())
        except DeliveryFailed as error:
            failure = error
        except Exception as error:  # noqa: BLE001 (a fault of ours must not stop the others; it is tried again, then given up)
            log.warning("transport failed", channel=channel, kind=type(error).__name__)
            failure = DeliveryFailed(f"A fault of ours: {type(error).__name__}.")
        result = Result(status, failure, round((time.monotonic() - began) * 1000))
        with self._transaction() as session:
            outcome = settle(session, message, result, self._now(), random.random())  # noqa: S311 (no secret)
        log.info(
            "delivery",
            channel=channel,
            kind=message.kind,
            outcome=outcome,
            attempt=message.attempts,
            ms=result.milliseconds,
        )
        return True


class _QuietConsumer(Consumer):
    """huey's consumer, whose signals are ours: the worker stops it, and it stops nobody."""

    def _set_signal_handlers(self) -> None:
        """Set none."""


def work(settings: Settings, parent: int | None = None) -> None:
    """Work until SIGTERM, SIGINT or SIGHUP; then finish what is under way, for some seconds.

    :param parent: the process to end with: nobody else would stop us when it is gone.
    """
    for chatty in ("huey", "huey.consumer"):
        logging.getLogger(chatty).setLevel(logging.CRITICAL)
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, lambda *_: stop.set())
    worker = Worker(settings)
    consumer = _start_consumer(settings, worker)
    log.info("worker began", mail="smtp" if settings.smtp_url else "files")
    due = 0.0
    while not stop.is_set() and (parent is None or os.getppid() == parent):
        if time.monotonic() >= due:
            due = time.monotonic() + HEARTBEAT
            if consumer is None:
                consumer = _start_consumer(settings, worker)
            # In a thread of its own: a delivery may take longer than a heartbeat, and a stop must be heard.
            threading.Thread(target=worker.look, daemon=True).start()
        stop.wait(0.2)
    _end(worker, consumer)


def _start_consumer(settings: Settings, worker: Worker) -> Consumer | None:
    """Listen for wake-ups; where the queue is away, the heartbeat does without."""
    try:
        queue = open_queue(settings)
        wake_task(queue, worker.look)
        consumer = _QuietConsumer(
            queue, workers=DELIVERIES + OTHERS, max_delay=0.5, check_worker_health=False
        )
        consumer.start()
    except Exception as error:  # noqa: BLE001 (of whatever kind the queue is)
        log.warning("queue away", kind=type(error).__name__)
        return None
    return consumer


def _end(worker: Worker, consumer: Consumer | None) -> None:
    worker.stop()
    if consumer is not None:
        consumer.stop_flag.set()
    deadline = time.monotonic() + DRAIN
    ours = [thread for thread in threading.enumerate() if thread is not threading.current_thread()]
    for thread in ours:
        thread.join(max(0.0, deadline - time.monotonic()))
    # Threads that still wait for a server are daemons: what they deliver is leased, and delivered again.
    logging.shutdown()
    os._exit(0)
