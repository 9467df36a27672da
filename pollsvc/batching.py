"""Requests that wait at the same moment, worked off together (group commit).

A thread that comes while another one works leaves its item in a queue and waits. When the work is done, the one that has
waited longest takes everything in the queue and works it off in one go. A lone request is a batch of one, and the more come
the fewer round trips each costs. There is no thread of its own: nothing has to be started after a fork, and nothing holds
up a stop.

Where work is short, batches stay small: while one is worked off, few others get so far. Requests may therefore announce
themselves when they begin, and who leads a batch waits a moment for those that are on their way, but never for one that has
not begun.
"""

from __future__ import annotations

import threading
import time
from collections import Counter, deque
from collections.abc import Callable, Hashable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Generic, TypeVar

from pollsvc.errors import Unavailable

Item = TypeVar("Item")
Answer = TypeVar("Answer")


class WaitedTooLong(Unavailable):
    """The work before this item took longer than anybody is to wait; nothing was done with it."""

    code = "database_unavailable"
    detail = "The service is busy and nothing was stored. Send the same request again in a moment."


class _Waiting(Generic[Item, Answer]):
    """An item in the queue, and the thread that waits for its answer."""

    __slots__ = ("answer", "error", "is_done", "item", "key", "until", "wake")

    def __init__(self, item: Item, key: Hashable, until: float) -> None:
        self.item = item
        self.key = key
        self.until = until
        self.answer: Answer
        self.error: BaseException | None = None
        self.is_done = False
        #: Held until the thread has something to do: take its answer, or lead the next batch.
        self.wake = threading.Lock()
        self.wake.acquire()


class Batcher(Generic[Item, Answer]):
    """Works off what several threads want at the same time.

    :param work: is handed the items of a batch, and the seconds that the one which came first is still willing to wait.
        Gives an answer for each item, in their order; it runs in the thread of one of those that wait. Where it raises,
        every item of the batch has failed with that error.
    :param key: items of one key never share a batch, and are worked off in the order in which they came.
    :param most: items of a batch at the most.
    :param patience: seconds that an item waits at the most until its batch begins, where it brings no end of its own.
    :param linger: seconds that a batch waits at the most for items that were announced.
    """

    def __init__(
        self,
        work: Callable[[Sequence[Item], float], Sequence[Answer]],
        *,
        key: Callable[[Item], Hashable] | None = None,
        most: int = 100,
        patience: float,
        linger: float = 0.0,
    ) -> None:
        self._work = work
        self._key = key
        self._most = most
        self._patience = patience
        self._guard = threading.Lock()
        self._queue: deque[_Waiting[Item, Answer]] = deque()
        self._has_leader = False
        self._linger = linger
        #: Announced items that have not come yet, and how many of them the leader still waits for.
        self._coming = 0
        self._awaited = 0
        self._gathered = threading.Semaphore(0)
        self._here = threading.local()

    @contextmanager
    def announced(self) -> Iterator[None]:
        """Say that this thread is going to bring an item, unless something comes in between."""
        with self._guard:
            self._coming += 1
        self._here.is_coming = True
        try:
            yield
        finally:
            self._come()

    def run(self, item: Item, until: float | None = None) -> Answer:
        """Have an item worked off, and give its answer.

        :param until: when its patience ends, in seconds of the monotonic clock.
        :raises WaitedTooLong: if its turn did not come in time; it is then not worked off.
        """
        key = self._key(item) if self._key else None
        waiting: _Waiting[Item, Answer] = _Waiting(item, key, until or time.monotonic() + self._patience)
        with self._guard:
            self._queue.append(waiting)
            is_leading, self._has_leader = not self._has_leader, True
        self._come()
        if not is_leading:
            self._wait(waiting)
        if not waiting.is_done:
            self._lead(waiting)
        if waiting.error is not None:
            # One error is everybody's: each begins with a clean sheet, or its traceback would grow from thread to thread.
            raise waiting.error.with_traceback(None)
        return waiting.answer

    def _wait(self, waiting: _Waiting[Item, Answer]) -> None:
        if waiting.wake.acquire(timeout=max(0.0, waiting.until - time.monotonic())):
            return
        with self._guard:
            if waiting in self._queue and not waiting.wake.acquire(blocking=False):
                self._queue.remove(waiting)
                raise WaitedTooLong
            is_appointed = waiting in self._queue
        if not is_appointed:
            # Its batch is under way, and what becomes of it is known when that has ended.
            waiting.wake.acquire()

    def _lead(self, leader: _Waiting[Item, Answer]) -> None:
        """Work off a batch that holds the leader's item, then let the next one lead."""
        batch: list[_Waiting[Item, Answer]] = []
        try:
            self._gather()
            batch = self._take()
            left = batch[0].until - time.monotonic()
            answers = self._work([each.item for each in batch], max(0.0, left))
            for each, answer in zip(batch, answers, strict=True):
                each.answer = answer
        except BaseException as error:  # noqa: BLE001 (whoever waits must hear of it, whatever it is)
            for each in batch or [leader]:
                each.error = error
        with self._guard:
            if self._queue:
                self._queue[0].wake.release()
            else:
                self._has_leader = False
        for each in batch:
            each.is_done = True
            if each is not leader:
                each.wake.release()

    def _come(self) -> None:
        """Strike this thread off those that are on their way, whether it brings an item or not."""
        if not getattr(self._here, "is_coming", False):
            return
        self._here.is_coming = False
        with self._guard:
            self._coming -= 1
            if self._awaited:
                self._awaited -= 1
                if not self._awaited:
                    self._gathered.release()

    def _gather(self) -> None:
        """Wait until as many have come as were on their way, or for a moment at the most."""
        with self._guard:
            self._awaited = min(self._coming, self._most - len(self._queue)) if self._linger else 0
            is_alone = self._awaited <= 0
        if is_alone or self._gathered.acquire(timeout=self._linger):
            return
        with self._guard:
            # Either the last one came at this very moment, or nobody is to be waited for any more.
            if not self._awaited:
                self._gathered.acquire(blocking=False)
            self._awaited = 0

    def _take(self) -> list[_Waiting[Item, Answer]]:
        with self._guard:
            batch: list[_Waiting[Item, Answer]] = []
            later: list[_Waiting[Item, Answer]] = []
            taken: set[Hashable] = set()
            while self._queue and len(batch) < self._most:
                each = self._queue.popleft()
                if each.key in taken:
                    later.append(each)
                else:
                    batch.append(each)
                    if each.key is not None:
                        taken.add(each.key)
            self._queue.extendleft(reversed(later))
            return batch


class Lines(Generic[Item, Answer]):
    """A :class:`Batcher` for each thing that is waited for, for as long as somebody does.

    :param options: of each batcher.
    """

    def __init__(self, work: Callable[[Sequence[Item], float], Sequence[Answer]], **options: Any) -> None:
        self._work = work
        self._options = options
        self._guard = threading.Lock()
        self._lines: dict[Hashable, Batcher[Item, Answer]] = {}
        self._standing: Counter[Hashable] = Counter()

    def run(self, line: Hashable, item: Item, until: float) -> Answer:
        """Have an item worked off in its line, as :meth:`Batcher.run` does."""
        with self._guard:
            self._standing[line] += 1
            batcher = self._lines.setdefault(line, Batcher(self._work, **self._options))
        try:
            return batcher.run(item, until)
        finally:
            with self._guard:
                self._standing[line] -= 1
                if not self._standing[line]:
                    del self._standing[line], self._lines[line]
