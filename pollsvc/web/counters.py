"""Where limits are counted: storages for `limits` that count all limits of a request at once.

``windows://`` is the memory of this process. ``steady-redis://`` is a Redis, asked once for all limits of all requests
that wait at the moment; while it is away or hangs, each process counts for itself and more strictly.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import structlog
from limits.storage import RedisStorage, Storage
from redis.exceptions import RedisError

from pollsvc.batching import Batcher, WaitedTooLong

log = structlog.get_logger("pollsvc")

#: While Redis is away each process counts for itself; a quarter each keeps several processes below the whole.
FALLBACK_SHARE = 4
#: Seconds until Redis is asked again after it failed: the first pause, doubled each time, and the longest.
FIRST_PAUSE, LONGEST_PAUSE = 1.0, 32.0
#: Seconds between two sweeps of what has ended in memory.
SWEEP = 30.0


@dataclass(frozen=True)
class Hit:
    """One count to make: under which key, for how many seconds, and how many are let through."""

    key: str
    seconds: int
    most: int


@dataclass(frozen=True)
class Window:
    """What a count came to: how many were let through at the most, how many came, and when it begins anew (Unix time)."""

    most: int
    count: int
    ends_at: float

    @property
    def is_breached(self) -> bool:
        """Whether this request was one too many."""
        return self.count > self.most

    @property
    def remaining(self) -> int:
        """How many more are let through."""
        return max(0, self.most - self.count)


class WindowStorage(Storage):
    """Fixed windows in memory. Unlike the one of `limits`, it does not look through all its keys again and again."""

    STORAGE_SCHEME = ["windows"]  # noqa: RUF012 (read by `limits` as it stands)

    def __init__(self, uri: str | None = None, **options: Any) -> None:
        super().__init__(uri, **options)
        self._lock = threading.Lock()
        self._swept_at = time.time()
        #: How many came, and when the window ends.
        self.windows: dict[str, tuple[int, float]] = {}

    @property
    def base_exceptions(self) -> type[Exception]:
        return ValueError

    def hit_all(self, hits: Sequence[Hit]) -> list[Window]:
        """Count, in this order; what comes after a breach is not counted and left out."""
        found = []
        for hit in hits:
            found.append(Window(hit.most, *self._count(hit.key, hit.seconds, 1)))
            if found[-1].is_breached:
                break
        return found

    def incr(self, key: str, expiry: int, amount: int = 1) -> int:
        return self._count(key, expiry, amount)[0]

    def _count(self, key: str, expiry: int, amount: int) -> tuple[int, float]:
        now = time.time()
        with self._lock:
            if now - self._swept_at > SWEEP:
                self._swept_at = now
                self.windows = {name: kept for name, kept in self.windows.items() if kept[1] > now}
            count, ends_at = self.windows.get(key, (0, 0.0))
            # A clock that was set back would hold a window open for as long as it was set back.
            if not now < ends_at <= now + expiry:
                count, ends_at = 0, now + expiry
            self.windows[key] = (count + amount, ends_at)
        return count + amount, ends_at

    def get(self, key: str) -> int:
        count, ends_at = self.windows.get(key, (0, 0.0))
        return count if ends_at > time.time() else 0

    def get_expiry(self, key: str) -> float:
        return self.windows.get(key, (0, time.time()))[1]

    def check(self) -> bool:
        return True

    def reset(self) -> int | None:
        with self._lock:
            number = len(self.windows)
            self.windows = {}
        return number

    def clear(self, key: str) -> None:
        with self._lock:
            self.windows.pop(key, None)


# Requests are told apart by a number, so that a breach ends the counting of its request alone.
_HIT_ALL = """
local told, ended = {}, ''
for i, key in ipairs(KEYS) do
  local request, seconds, most = ARGV[3 * i - 2], ARGV[3 * i - 1], tonumber(ARGV[3 * i])
  local count, left = -1, 0
  if request ~= ended then
    count = redis.call('INCR', key)
    left = redis.call('PTTL', key)
    if left < 0 then
      redis.call('EXPIRE', key, seconds)
      left = seconds * 1000
    end
    if count > most then
      ended = request
    end
  end
  told[2 * i - 1] = count
  told[2 * i] = left
end
return told
"""


class RedisAway(RedisError):
    """Redis failed a moment ago and is not asked again yet."""


class SteadyRedisStorage(RedisStorage):
    """Fixed windows in Redis; while it is away or hangs, in memory with a quarter of each limit, so that nobody is refused."""

    STORAGE_SCHEME = ["steady-redis", "steady-rediss"]  # noqa: RUF012 (read by `limits` as it stands)

    def __init__(self, uri: str, **options: Any) -> None:
        super().__init__(uri.removeprefix("steady-"), **options)
        self._script = self.get_connection().register_script(_HIT_ALL.encode())
        self._memory = WindowStorage()
        self._pause = 0.0
        self._asked_again_at = 0.0
        self._batcher = Batcher(self._hit_in_redis, patience=2.0)

    @property
    def is_away(self) -> bool:
        """Whether Redis failed a moment ago."""
        return time.monotonic() < self._asked_again_at

    def hit_all(self, hits: Sequence[Hit]) -> list[Window]:
        """Count, in this order; what comes after a breach is not counted and left out."""
        if not self.is_away:
            try:
                return self._batcher.run(hits)
            except (RedisError, WaitedTooLong):
                log.warning("rate limit storage is away")
        stricter = [Hit(hit.key, hit.seconds, max(1, hit.most // FALLBACK_SHARE)) for hit in hits]
        return self._memory.hit_all(stricter)

    def reset(self) -> int | None:
        self._memory.reset()
        return super().reset()

    def _hit_in_redis(self, requests: Sequence[Sequence[Hit]], _patience: float) -> list[list[Window]]:
        if self.is_away:
            # It failed while these waited: they need not each find that out.
            raise RedisAway
        keys, arguments = [], []
        for number, hits in enumerate(requests):
            for hit in hits:
                keys.append(self.prefixed_key(hit.key))
                arguments += [number, hit.seconds, hit.most]
        try:
            told = iter(self._script(keys, arguments))
        except RedisError:
            self._pause = min(LONGEST_PAUSE, max(FIRST_PAUSE, 2 * self._pause))
            self._asked_again_at = time.monotonic() + self._pause
            raise
        self._pause = 0.0
        now = time.time()
        counted = [
            [Window(hit.most, next(told), now + next(told) / 1000) for hit in hits] for hits in requests
        ]
        # A count below zero stands for a limit that came after a breach.
        return [[window for window in windows if window.count > 0] for windows in counted]
