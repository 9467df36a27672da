"""Which origins' pages may read our answers, remembered for a minute."""

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pytest
from sqlalchemy.exc import OperationalError

from pollsvc.web import origins
from pollsvc.web.origins import RememberedOrigins

SITE = "https://news.example"


class Database:
    """Answers from a set of origins, and counts how often it was asked; or is away."""

    def __init__(self, *known: str) -> None:
        self.known = set(known)
        self.asked = 0
        self.is_away = False

    def __call__(self, origin: str) -> bool:
        self.asked += 1
        if self.is_away:
            raise OperationalError("SELECT", {}, Exception())
        return origin in self.known


@pytest.fixture
def forget_at_once(monkeypatch: pytest.MonkeyPatch) -> Callable[[], None]:
    """End the minute for which an origin is remembered."""
    return lambda: monkeypatch.setattr(origins, "MEMORY", 0.0)


class TestRememberedOrigins:
    def test_an_origin_of_a_site_is_known_and_asked_for_once(self) -> None:
        database = Database(SITE)
        is_known = RememberedOrigins(database)

        assert [is_known(SITE) for _ in range(5)] == [True] * 5
        assert database.asked == 1

    def test_another_is_not_and_is_asked_for_each_time(self) -> None:
        database = Database(SITE)
        is_known = RememberedOrigins(database)

        assert [is_known("https://stranger.example") for _ in range(3)] == [False] * 3
        assert database.asked == 3

    def test_a_new_site_works_at_once(self) -> None:
        database = Database()
        is_known = RememberedOrigins(database)
        assert not is_known(SITE)

        database.known.add(SITE)

        assert is_known(SITE)

    def test_an_origin_taken_away_is_forgotten_with_its_minute(
        self, forget_at_once: Callable[[], None]
    ) -> None:
        database = Database(SITE)
        is_known = RememberedOrigins(database)
        is_known(SITE)
        database.known.clear()
        assert is_known(SITE)

        forget_at_once()

        assert not is_known(SITE)
        database.is_away = True
        assert not is_known(SITE)

    def test_while_the_database_is_away_what_was_known_stays_known(
        self, forget_at_once: Callable[[], None]
    ) -> None:
        database = Database(SITE)
        is_known = RememberedOrigins(database)
        is_known(SITE)
        database.is_away = True
        forget_at_once()

        assert is_known(SITE)
        assert not is_known("https://stranger.example")

    def test_threads_may_ask_at_once(self) -> None:
        is_known = RememberedOrigins(Database(SITE))
        together = threading.Barrier(8)

        def ask(number: int) -> bool:
            together.wait(5)
            return is_known(SITE if number % 2 else "https://stranger.example")

        with ThreadPoolExecutor(8) as pool:
            assert list(pool.map(ask, range(8))) == [False, True] * 4
