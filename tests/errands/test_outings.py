"""What is done outside has a few threads of each lane, ends when told to, and survives what fails."""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime

import pytest
from sqlalchemy.orm import Session

from pollsvc.errands.errand import Outing
from pollsvc.errands.outings import AT_ONCE, Outings
from tests.conftest import NOW


class Errands:
    """Numbers to be taken out, and what became of them."""

    def __init__(self, waiting: int) -> None:
        self.waiting = list(range(waiting))
        self.found: list[str] = []
        self.lock = threading.Lock()
        self.act: Callable[[int], None] = lambda _: None
        self.is_stopping = False

    def outings(self) -> Outings:
        outing: Outing[int, int] = Outing(
            "errands",
            lambda *_: {"lane": len(self.waiting)},
            lambda *_: self._claim(),
            self._act,
            lambda *_: "done",
            lambda thing, found, outcome: self.found.append(f"{thing} {found} {outcome}"),
        )
        return Outings([outing], session, session, lambda: NOW, lambda: self.is_stopping)

    def _claim(self) -> int | None:
        with self.lock:
            return self.waiting.pop(0) if self.waiting else None

    def _act(self, thing: int, _now: datetime) -> int:
        self.act(thing)
        return thing * 10


@contextmanager
def session() -> Iterator[Session]:
    with Session() as opened:
        yield opened


def finish(threads: list[threading.Thread]) -> None:
    for thread in threads:
        thread.join()


class TestOutings:
    def test_what_is_due_is_done_and_told(self) -> None:
        errands = Errands(2)

        finish(errands.outings().begin())

        assert sorted(errands.found) == ["0 0 done", "1 10 done"]

    def test_no_more_threads_than_places_and_what_is_due_are_begun(self) -> None:
        errands, may_go_on = Errands(AT_ONCE + 3), threading.Event()
        errands.act = lambda _: assert_true(may_go_on.wait(10))
        outings = errands.outings()

        begun = outings.begin()
        more = outings.begin()
        may_go_on.set()
        finish(begun)

        assert (len(begun), len(more)) == (AT_ONCE, 0)
        assert len(errands.found) == AT_ONCE + 3
        assert len(Errands(1).outings().begin()) == 1

    def test_one_that_fails_gives_its_place_back(self) -> None:
        errands = Errands(AT_ONCE * 3)

        def fail(_: int) -> None:
            raise LookupError

        errands.act = fail
        outings = errands.outings()
        finish(outings.begin())
        errands.act = lambda _: None

        finish(outings.begin())

        assert errands.found
        assert errands.waiting == []

    def test_nothing_new_is_begun_once_it_is_to_stop(self) -> None:
        errands = Errands(3)
        errands.is_stopping = True

        finish(errands.outings().begin())

        assert (errands.found, len(errands.waiting)) == ([], 3)

    def test_a_system_without_threads_is_no_end(self, monkeypatch: pytest.MonkeyPatch) -> None:
        errands = Errands(AT_ONCE)
        outings = errands.outings()

        def refuse(_: threading.Thread) -> None:
            raise RuntimeError("can't start new thread")

        with monkeypatch.context() as patched:
            patched.setattr(threading.Thread, "start", refuse)
            assert outings.begin() == []
        finish(outings.begin())

        assert len(errands.found) == AT_ONCE


def assert_true(value: bool) -> None:
    assert value
