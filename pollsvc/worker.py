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
from typing import TypeVar

import sqlalchemy as sa
import structlog
from huey.consumer import Consumer
from sqlalchemy.exc import DBAPIError
from sqlalchemy.orm import Session

from pollsvc.config import Settings
from pollsvc.db import OUTBOX_CONNECTIONS, engine_options, prepare_engine
from pollsvc.errands import all_errands, all_outings, all_transports
from pollsvc.errands.errand import Errand
from pollsvc.errands.outings import Outings
from pollsvc.keys import Keys
from pollsvc.outbox.delivery import DeliveryFailed, Result, claim, count_due, is_due, settle
from pollsvc.outbox.models import OutboxMessage
from pollsvc.outbox.places import AT_ONCE, Places
from pollsvc.outbox.queue import open_queue, wake_task
from pollsvc.web.metrics import DELIVERIES

log = structlog.get_logger("pollsvc")

Answer = TypeVar("Answer")

#: Seconds after which the worker looks at the tables though nobody rang.
HEARTBEAT = 5.0
#: Seconds between two looks at whether it is to stop, or whether somebody rang.
WATCH = 0.1
#: Seconds for deliveries under way when it is told to stop; what is cut then is delivered again.
DRAIN = 7.0
#: Seconds to write down how a delivery ended, where the database does not answer; then it is delivered again.
SETTLE_WITHIN = 60.0
#: Seconds that one errand may take before the others, and deliveries, have their turn.
STINT = 2.0


def open_engine(settings: Settings, keys: Keys) -> sa.Engine:
    """The worker's connections."""
    engine = sa.create_engine(**engine_options(settings.database_url, OUTBOX_CONNECTIONS))
    prepare_engine(engine, keys)
    return engine


class Worker:
    """Does what waits in the tables.

    :param now: the clock.
    """

    def __init__(self, settings: Settings, now: Callable[[], datetime] = lambda: datetime.now(UTC)) -> None:
        self._settings, self._now, self._keys = settings, now, settings.keys()
        self._engine = open_engine(settings, self._keys)
        self._writing = self._engine.execution_options(sqlite_write=True)
        self.transports = all_transports(settings, partial(Session, self._engine))
        self._places = Places(self.transports)
        self._stopping = threading.Event()
        self.errands = all_errands(settings, self._keys)
        reading = partial(Session, self._engine)
        self._outings = Outings(
            all_outings(settings, reading), reading, self._transaction, self._now, self._stopping.is_set
        )

    def look(self) -> None:
        """Do everything that is due, and come back when it is done. One part that fails does not keep the others from theirs."""
        has_more = True
        while has_more and not self._stopping.is_set():
            has_more = self.attend()
            for thread in self.deliver():
                thread.join()

    def attend(self) -> bool:
        """Do what the database alone is needed for, some seconds of each errand.

        :returns: whether there may be more.
        """
        # All of them, also where the first has more.
        answers = [self._guarded(errand.name, partial(self._run, errand)) for errand in self.errands]
        return any(answers)

    def deliver(self) -> list[threading.Thread]:
        """Begin to deliver what is due, in as many threads as there are messages and places, and do not wait for them.

        With it what else is to be done outside.
        """
        begun = self._guarded("outings", self._outings.begin) or []
        for channel in self._places.channels:
            waiting = self._guarded(channel, partial(self._count_due, channel)) or 0
            for _ in range(waiting):
                thread = self._places.begin(channel, partial(self._deliver_all, channel))
                if thread is None:
                    break  # enough threads deliver it already
                begun.append(thread)
        return begun

    def stop(self) -> None:
        """Begin nothing new."""
        self._stopping.set()

    @property
    def is_stopping(self) -> bool:
        """Whether it was told to stop."""
        return self._stopping.is_set()

    def close(self) -> None:
        """Give the connections back."""
        self._engine.dispose()

    def _guarded(self, name: str, act: Callable[[], Answer]) -> Answer | None:
        try:
            return act()
        except Exception as error:  # noqa: BLE001 (whatever it is, it is still in the tables)
            kind = type(error.orig if isinstance(error, DBAPIError) else error).__name__
            log.warning("errand failed", errand=name, kind=kind)
            return None

    def _run(self, errand: Errand) -> bool:
        until = time.monotonic() + STINT
        while not self._stopping.is_set() and self._is_due(errand.is_due):
            if time.monotonic() >= until:
                return True
            with self._transaction() as session:
                has_more = errand.act(session, self._now())
            if not has_more:
                break
        return False

    def _count_due(self, channel: str) -> int:
        with Session(self._engine) as session:
            return count_due(session, self._now(), channel, AT_ONCE)

    def _is_due(self, question: Callable[[Session, datetime], bool]) -> bool:
        with Session(self._engine) as session:
            return question(session, self._now())

    @contextmanager
    def _transaction(self) -> Iterator[Session]:
        with Session(self._writing, expire_on_commit=False) as session:
            yield session
            session.commit()

    def _deliver_all(self, channel: str) -> None:
        while not self._stopping.is_set() and self._guarded(channel, partial(self._deliver_next, channel)):
            pass

    def _deliver_next(self, channel: str) -> bool:
        message = self._claim_next(channel)
        if message is None:
            return False
        try:
            self._deliver(channel, message)
        finally:
            self._places.count(message, -1)
        return True

    def _claim_next(self, channel: str) -> OutboxMessage | None:
        with self._places.claiming(channel) as busy:
            if not self._is_due(partial(is_due, channel=channel, busy=busy)):
                return None
            with self._transaction() as session:
                message = claim(session, uuid.uuid4(), self._now(), channel, busy)
            if message is not None:
                self._places.count(message, 1)
            return message

    def _deliver(self, channel: str, message: OutboxMessage) -> None:
        began = time.monotonic()
        status, failure = None, None
        try:
            status = self.transports[channel](message, self._now())
        except DeliveryFailed as error:
            failure = error
        except Exception as error:  # noqa: BLE001 (a fault of ours must not stop the others; it is tried again, then given up)
            log.warning("transport failed", channel=channel, kind=type(error).__name__)
            failure = DeliveryFailed(f"A fault of ours: {type(error).__name__}.", is_ours=True)
        result = Result(status, failure, round((time.monotonic() - began) * 1000))
        outcome = self._settle(message, result)
        DELIVERIES.labels(channel, outcome or "superseded").inc()
        log.info(
            "delivery",
            channel=channel,
            kind=message.kind,
            outcome=outcome,
            attempt=message.attempts,
            ms=result.milliseconds,
        )

    def _settle(self, message: OutboxMessage, result: Result) -> str | None:
        # A database that is away for a moment is no reason to deliver twice.
        until = time.monotonic() + SETTLE_WITHIN
        while True:
            try:
                with self._transaction() as session:
                    return settle(session, message, result, self._now(), random.random())  # noqa: S311 (no secret)
            except DBAPIError:
                if self._stopping.wait(1) or time.monotonic() >= until:
                    raise


class _QuietConsumer(Consumer):
    """huey's consumer, whose signals are ours: the worker stops it, and it stops nobody."""

    def _set_signal_handlers(self) -> None:
        """Set none."""


def work(settings: Settings, parent: int | None = None) -> None:
    """Work until SIGTERM, SIGINT or SIGHUP; then finish what is under way, for some seconds, and end the process.

    It ends with 1 where the thread that looks has ended: whoever began it begins another.

    :param parent: the process to end with: nobody else would stop us when it is gone.
    """
    for chatty in ("huey", "huey.consumer"):
        logging.getLogger(chatty).setLevel(logging.CRITICAL)
    keep_working(Worker(settings), settings, parent)


def keep_working(
    worker: Worker, settings: Settings, parent: int | None = None, heartbeat: float = HEARTBEAT
) -> None:
    """See :func:`work`.

    :param heartbeat: seconds after which the worker looks though nobody rang.
    """
    # A plain list: the lock of an Event is not re-entrant, and a signal may come while this thread holds it.
    told: list[int] = []
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, lambda number, _: told.append(number))
    rung = threading.Event()
    looking = threading.Thread(target=_look_when_rung, args=(worker, rung, heartbeat), daemon=True)
    looking.start()
    consumer, due = _start_consumer(settings, rung), time.monotonic() + HEARTBEAT
    log.info("worker began", mail="smtp" if settings.smtp_url else "files")
    while not told and (parent is None or os.getppid() == parent) and looking.is_alive():
        time.sleep(WATCH)
        if consumer is None and time.monotonic() >= due:
            consumer, due = _start_consumer(settings, rung), time.monotonic() + HEARTBEAT
    status = 0 if looking.is_alive() else 1
    worker.stop()
    rung.set()
    if consumer is not None:
        consumer.stop_flag.set()
    deadline = time.monotonic() + DRAIN
    for thread in threading.enumerate():
        if thread is not threading.current_thread():
            thread.join(max(0.0, deadline - time.monotonic()))
    # Threads that still wait for a server are daemons: what they deliver is leased, and delivered again.
    logging.shutdown()
    os._exit(status)


def _look_when_rung(worker: Worker, rung: threading.Event, heartbeat: float) -> None:
    # One thread looks; deliveries have theirs, so that a server that hangs keeps no sign-up waiting.
    while not worker.is_stopping:
        # Before the look: who rings while it goes on is heard after it.
        rung.clear()
        has_more = worker.attend()
        worker.deliver()
        if not has_more:
            rung.wait(heartbeat)


def _start_consumer(settings: Settings, rung: threading.Event) -> Consumer | None:
    """Listen for wake-ups; where the queue is away, the heartbeat does without."""
    try:
        queue = open_queue(settings)
        wake_task(queue, rung.set)
        consumer = _QuietConsumer(queue, workers=1, max_delay=0.5, check_worker_health=False)
        consumer.start()
    except Exception as error:  # noqa: BLE001 (of whatever kind the queue is)
        log.warning("queue away", kind=type(error).__name__)
        return None
    return consumer
