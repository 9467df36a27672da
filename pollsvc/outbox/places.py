"""Where deliveries go on at the same time: a few places of each channel, each with a thread of its own."""

from __future__ import annotations

import threading
import uuid
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager

import structlog

from pollsvc.outbox.delivery import Busy
from pollsvc.outbox.models import OutboxMessage

log = structlog.get_logger("pollsvc")

#: Deliveries of one channel at once: a server that hangs holds these threads and no others.
AT_ONCE = 4
#: Of these to one endpoint, so that one which hangs leaves others; to one that fails, a single one.
AT_ONCE_TO_ONE = 2


class Places:
    """The places of one process.

    :param channels: what is delivered; each has places of its own.
    """

    def __init__(self, channels: Iterable[str]) -> None:
        self._free = {channel: threading.BoundedSemaphore(AT_ONCE) for channel in channels}
        self._claiming = {channel: threading.Lock() for channel in self._free}
        self._counting = threading.Lock()
        self._under_way: Counter[uuid.UUID] = Counter()

    @property
    def channels(self) -> list[str]:
        """What is delivered."""
        return list(self._free)

    def begin(self, channel: str, act: Callable[[], None]) -> threading.Thread | None:
        """Act in a thread that holds a place until it is done.

        :returns: the thread; None where no place is free, or the system has no thread for us.
        """
        place = self._free[channel]
        if not place.acquire(blocking=False):
            return None

        def hold() -> None:
            try:
                act()
            finally:
                place.release()

        thread = threading.Thread(target=hold, daemon=True)
        try:
            thread.start()
        except (RuntimeError, MemoryError) as error:
            place.release()
            log.warning("thread refused", channel=channel, kind=type(error).__name__)
            return None
        return thread

    @contextmanager
    def claiming(self, channel: str) -> Iterator[Busy]:
        """Let one thread after the other look for what to deliver, so that each sees where the others deliver to."""
        with self._claiming[channel]:
            yield self._busy()

    def count(self, message: OutboxMessage, one: int) -> None:
        """Note that a delivery began, by 1, or ended, by -1."""
        if message.endpoint_id is not None:
            with self._counting:
                self._under_way[message.endpoint_id] += one

    def _busy(self) -> Busy:
        with self._counting:
            numbers = {endpoint: number for endpoint, number in self._under_way.items() if number}
        full = [endpoint for endpoint, number in numbers.items() if number >= AT_ONCE_TO_ONE]
        # However many hang, one that takes what it is sent finds a place.
        return Busy(full, list(numbers), is_last=sum(numbers.values()) >= AT_ONCE - 1)
