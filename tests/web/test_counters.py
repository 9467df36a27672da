"""Storages that count all limits of a request at once: in memory, and in a real Redis."""

import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import cast

import pytest
import redis

from pollsvc.web import counters
from pollsvc.web.counters import Hit, SteadyRedisStorage, Window, WindowStorage
from tests.processes import wait_until
from tests.redis_server import RedisServer

Storage = WindowStorage | SteadyRedisStorage


@pytest.fixture(params=["memory", "redis"])
def storage(request: pytest.FixtureRequest) -> Storage:
    if request.param == "memory":
        return WindowStorage()
    return steady(request.getfixturevalue("redis_server"))


def steady(server: RedisServer) -> SteadyRedisStorage:
    return SteadyRedisStorage(f"steady-{server.url}", socket_timeout=0.25, socket_connect_timeout=0.25)


def counts(windows: list[Window]) -> list[int]:
    return [window.count for window in windows]


class TestHitAll:
    def test_counts_each_and_tells_when_it_begins_anew(self, storage: Storage) -> None:
        storage.hit_all([Hit("a", 60, 5)])

        first, second = storage.hit_all([Hit("a", 60, 5), Hit("b", 3600, 9)])

        assert (first.count, first.remaining, first.is_breached) == (2, 3, False)
        assert (second.count, second.most, second.remaining) == (1, 9, 8)
        assert 0 < first.ends_at - time.time() <= 60
        assert 3_500 < second.ends_at - time.time() <= 3_600

    def test_what_comes_after_a_breach_is_not_counted(self, storage: Storage) -> None:
        hits = [Hit("a", 60, 9), Hit("b", 60, 1), Hit("c", 60, 9)]
        storage.hit_all(hits)

        breached = storage.hit_all(hits)

        assert counts(breached) == [2, 2]
        assert [window.is_breached for window in breached] == [False, True]
        assert counts(storage.hit_all([Hit("c", 60, 9)])) == [2]

    def test_counts_every_one_of_many_threads(self, storage: Storage) -> None:
        with ThreadPoolExecutor(12) as pool:
            told = list(pool.map(lambda _: storage.hit_all([Hit("a", 60, 10_000)])[0].count, range(300)))

        assert sorted(told) == list(range(1, 301))

    def test_begins_anew_when_its_time_is_over(self, storage: Storage) -> None:
        storage.hit_all([Hit("a", 1, 5)])

        wait_until(lambda: counts(storage.hit_all([Hit("a", 1, 10_000)])) == [1])

    def test_reset_forgets_everything(self, storage: Storage) -> None:
        storage.hit_all([Hit("a", 60, 5), Hit("b", 60, 5)])
        storage.reset()

        assert counts(storage.hit_all([Hit("a", 60, 5), Hit("b", 60, 5)])) == [1, 1]


class TestMemory:
    """What `limits` asks of a storage besides, and what only memory has."""

    @pytest.fixture
    def at(self, monkeypatch: pytest.MonkeyPatch) -> Callable[[float], None]:
        """Set the clock."""
        return lambda moment: monkeypatch.setattr("pollsvc.web.counters.time.time", lambda: moment)

    def test_tells_what_was_counted(self, at: Callable[[float], None]) -> None:
        at(1_000.0)
        storage = WindowStorage()
        assert (storage.get("a"), storage.get_expiry("a"), storage.check()) == (0, 1_000.0, True)

        storage.incr("a", 60, amount=3)

        assert (storage.get("a"), storage.get_expiry("a")) == (3, 1_060.0)
        storage.clear("a")
        assert storage.get("a") == 0

    def test_window_that_has_ended_counts_nothing(self, at: Callable[[float], None]) -> None:
        at(1_000.0)
        storage = WindowStorage()
        storage.incr("a", 60)
        at(1_060.0)

        assert storage.get("a") == 0
        assert storage.incr("a", 60) == 1

    def test_clock_that_was_set_back_does_not_hold_a_window_open(self, at: Callable[[float], None]) -> None:
        at(10_000.0)
        storage = WindowStorage()
        storage.incr("a", 60)
        at(6_400.0)

        assert storage.incr("a", 60) == 1
        assert storage.get_expiry("a") == 6_460.0

    def test_what_has_ended_is_swept_away(self, at: Callable[[float], None]) -> None:
        at(1_000.0)
        storage = WindowStorage()
        for number in range(100):
            storage.incr(f"voter {number}", 20)
        storage.incr("network", 3_600)
        at(1_000.0 + counters.SWEEP + 1)

        storage.incr("another", 20)

        assert set(storage.windows) == {"network", "another"}

    def test_is_a_storage_of_its_own_kind_of_errors(self) -> None:
        assert WindowStorage().base_exceptions is ValueError


class TestRedis:
    @pytest.fixture
    def client(self, redis_server: RedisServer) -> Iterator["redis.Redis"]:
        with redis.Redis.from_url(redis_server.url, socket_timeout=5) as opened:
            yield opened

    def test_all_limits_of_a_request_take_one_command(
        self, redis_server: RedisServer, client: "redis.Redis"
    ) -> None:
        storage = steady(redis_server)
        storage.hit_all([Hit("a", 60, 5)])
        client.config_resetstat()

        storage.hit_all([Hit("a", 60, 5), Hit("b", 60, 5), Hit("c", 60, 5)])

        told = cast(dict[str, dict[str, int]], client.info("commandstats"))
        calls = {name: facts["calls"] for name, facts in told.items()}
        assert calls["cmdstat_evalsha"] == 1
        assert not {"cmdstat_get", "cmdstat_ttl", "cmdstat_eval"} & set(calls)

    def test_key_that_lost_its_end_gets_one(self, redis_server: RedisServer, client: "redis.Redis") -> None:
        storage = steady(redis_server)
        client.set(storage.prefixed_key("a"), 3)

        (window,) = storage.hit_all([Hit("a", 60, 9)])

        assert window.count == 4
        assert 0 < cast(int, client.ttl(storage.prefixed_key("a"))) <= 60

    def test_breach_of_one_request_leaves_the_others_of_its_batch_alone(
        self, redis_server: RedisServer
    ) -> None:
        storage = steady(redis_server)

        told = storage._hit_in_redis(
            [
                [Hit("a", 60, 1)],
                [Hit("a", 60, 1), Hit("b", 60, 9)],
                [Hit("b", 60, 9), Hit("c", 60, 9)],
            ],
            1.0,
        )

        assert [counts(windows) for windows in told] == [[1], [2], [1, 1]]

    def test_who_waited_while_it_failed_does_not_ask_again(self, redis_server: RedisServer) -> None:
        storage = steady(redis_server)
        redis_server.stop()
        assert storage.hit_all([Hit("a", 60, 8)])[0].most == 2
        assert storage.is_away

        with pytest.raises(counters.RedisAway):
            storage._hit_in_redis([[Hit("a", 60, 8)]], 1.0)

    def test_pauses_grow_while_it_stays_away_and_end_when_it_is_back(
        self, redis_server: RedisServer, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        storage = steady(redis_server)
        redis_server.stop()
        pauses = []
        for _ in range(8):
            monkeypatch.setattr(storage, "_asked_again_at", 0.0)
            storage.hit_all([Hit("a", 60, 8)])
            pauses.append(storage._pause)
        assert pauses == [1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 32.0, 32.0]
        redis_server.start()
        monkeypatch.setattr(storage, "_asked_again_at", 0.0)

        assert storage.hit_all([Hit("a", 60, 8)])[0].most == 8
        assert storage._pause == 0.0
