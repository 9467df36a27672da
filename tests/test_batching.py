"""Threads that want something at the same moment: what is worked off together, in which order, and what becomes of errors."""

import threading
import traceback
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor

import pytest

from pollsvc.batching import Batcher, WaitedTooLong
from tests.processes import wait_until

LONG = 20.0


class Bench:
    """A batcher whose work can be held up, and the threads that use it."""

    def __init__(self, *, patience: float = LONG, **options: object) -> None:
        self.batches: list[list[str]] = []
        self.patience: list[float] = []
        self.gate = threading.Event()
        self.gate.set()
        self.batcher: Batcher[str, str] = Batcher(self._work, patience=patience, **options)  # type: ignore[arg-type]
        self.threads = ThreadPoolExecutor(20)

    def _work(self, items: Sequence[str], patience: float) -> list[str]:
        self.batches.append(list(items))
        self.patience.append(patience)
        assert self.gate.wait(LONG)
        if "bad" in items:
            raise ValueError("bad")
        return [item.upper() for item in items]

    def run(self, item: str) -> Future[str]:
        """Let a thread bring an item, and wait until it is in the queue or being worked off."""
        arrived = self._arrived() + 1
        future = self.threads.submit(self.batcher.run, item)
        wait_until(lambda: self._arrived() >= arrived or future.done())
        return future

    def held_up(self, *items: str) -> list[Future[str]]:
        """Bring items while "first" holds up the work, so that they wait together."""
        self.gate.clear()
        return [self.run(item) for item in ("first", *items)]

    def _arrived(self) -> int:
        return sum(map(len, self.batches)) + len(self.batcher._queue)


@pytest.fixture
def make() -> Iterator[Callable[..., Bench]]:
    made: list[Bench] = []

    def build(**options: object) -> Bench:
        made.append(Bench(**options))  # type: ignore[arg-type]
        return made[-1]

    yield build
    for bench in made:
        bench.gate.set()
        bench.threads.shutdown()


Make = Callable[..., Bench]


class TestBatch:
    def test_lone_item_is_worked_off_at_once(self, make: Make) -> None:
        bench = make()

        assert [bench.batcher.run(item) for item in "ab"] == ["A", "B"]
        assert bench.batches == [["a"], ["b"]]

    def test_items_that_wait_are_worked_off_together_in_their_order(self, make: Make) -> None:
        bench = make()
        futures = bench.held_up("a", "b", "c")

        bench.gate.set()

        assert [future.result(LONG) for future in futures] == ["FIRST", "A", "B", "C"]
        assert bench.batches == [["first"], ["a", "b", "c"]]

    def test_no_more_than_it_may_hold(self, make: Make) -> None:
        bench = make(most=2)
        futures = bench.held_up("a", "b", "c")

        bench.gate.set()

        assert [future.result(LONG) for future in futures] == ["FIRST", "A", "B", "C"]
        assert bench.batches == [["first"], ["a", "b"], ["c"]]

    def test_items_of_one_key_come_one_after_the_other(self, make: Make) -> None:
        bench = make(key=lambda item: item[0])
        futures = bench.held_up("a1", "a2", "b1", "a3")

        bench.gate.set()

        assert [future.result(LONG) for future in futures] == ["FIRST", "A1", "A2", "B1", "A3"]
        assert bench.batches == [["first"], ["a1", "b1"], ["a2"], ["a3"]]


class TestErrors:
    def test_everybody_in_the_batch_hears_of_it_and_the_next_one_is_worked_off(self, make: Make) -> None:
        bench = make(most=2)
        first, bad, beside, later = bench.held_up("bad", "beside", "later")

        bench.gate.set()

        assert first.result(LONG) == "FIRST"
        for future in (bad, beside):
            with pytest.raises(ValueError, match="bad"):
                future.result(LONG)
        assert later.result(LONG) == "LATER"

    def test_no_traceback_grows_from_one_thread_to_the_next(self, make: Make) -> None:
        bench = make()
        first, *bad = bench.held_up("bad", *(f"beside {number}" for number in range(6)))

        bench.gate.set()

        assert first.result(LONG) == "FIRST"
        errors = [future.exception(LONG) for future in bad]
        depths = [len(traceback.extract_tb(error.__traceback__)) for error in errors if error]
        assert len(depths) == 7
        # Of one thread, and its future's.
        assert max(depths) < 12

    def test_answers_that_are_too_few_are_an_error_for_all(self) -> None:
        short: Batcher[str, str] = Batcher(lambda items, patience: [], patience=LONG)

        with pytest.raises(ValueError, match="zip"):
            short.run("a")

    def test_batcher_goes_on_after_an_error(self, make: Make) -> None:
        bench = make()
        with pytest.raises(ValueError, match="bad"):
            bench.batcher.run("bad")

        assert bench.batcher.run("a") == "A"


class TestPatience:
    def test_who_waited_too_long_is_told_and_not_worked_off(self, make: Make) -> None:
        bench = make(patience=0.05)
        first, late = bench.held_up("late")

        with pytest.raises(WaitedTooLong):
            late.result(LONG)
        bench.gate.set()

        assert first.result(LONG) == "FIRST"
        assert bench.batches == [["first"]]
        assert bench.batcher.run("a") == "A"

    def test_who_is_being_worked_off_is_waited_for_however_long_it_takes(self, make: Make) -> None:
        bench = make(patience=1.0)
        bench.gate.clear()
        first = bench.threads.submit(bench.batcher.run, "first")
        wait_until(lambda: bench.batches == [["first"]])
        # It comes too late for this one, and begins before its patience ends.
        second, third = bench.run("second"), bench.run("third")
        held, bench.gate = bench.gate, threading.Event()
        held.set()
        wait_until(lambda: len(bench.batches) == 2)
        threading.Event().wait(1.2)  # longer than the patience of "third", which is in the batch
        bench.gate.set()

        assert [each.result(LONG) for each in (first, second, third)] == ["FIRST", "SECOND", "THIRD"]

    def test_what_is_left_of_it_is_told_to_the_work(self, make: Make) -> None:
        bench = make()
        futures = bench.held_up("a", "b")
        bench.gate.set()
        for future in futures:
            future.result(LONG)

        assert 0 < bench.patience[1] < bench.patience[0] <= LONG


class TestAnnounced:
    def test_batch_waits_for_those_on_their_way(self, make: Make) -> None:
        bench = make(linger=LONG)
        begun, go = threading.Event(), threading.Event()

        def bring() -> str:
            with bench.batcher.announced():
                begun.set()
                assert go.wait(LONG)
                return bench.batcher.run("announced")

        announced = bench.threads.submit(bring)
        assert begun.wait(LONG)
        first = bench.run("first")
        assert not bench.batches
        go.set()

        assert (first.result(LONG), announced.result(LONG)) == ("FIRST", "ANNOUNCED")
        assert bench.batches == [["first", "announced"]]

    def test_batch_does_not_wait_for_one_that_brings_nothing_after_all(self, make: Make) -> None:
        bench = make(linger=LONG)
        begun, go = threading.Event(), threading.Event()

        def give_up() -> None:
            with bench.batcher.announced():
                begun.set()
                assert go.wait(LONG)

        given_up = bench.threads.submit(give_up)
        assert begun.wait(LONG)
        first = bench.run("first")
        go.set()

        assert first.result(LONG) == "FIRST"
        assert given_up.result(LONG) is None

    def test_batch_waits_a_moment_at_the_most(self, make: Make) -> None:
        bench = make(linger=0.02)
        begun, go = threading.Event(), threading.Event()

        def come_late() -> str:
            with bench.batcher.announced():
                begun.set()
                assert go.wait(LONG)
                return bench.batcher.run("late")

        late = bench.threads.submit(come_late)
        assert begun.wait(LONG)

        assert bench.batcher.run("first") == "FIRST"
        go.set()
        assert late.result(LONG) == "LATE"
        assert bench.batches == [["first"], ["late"]]

    def test_own_announcement_is_nothing_to_wait_for(self, make: Make) -> None:
        bench = make(linger=LONG)

        with bench.batcher.announced():
            assert bench.batcher.run("a") == "A"


class TestManyThreads:
    def test_each_is_answered_with_its_own(self, make: Make) -> None:
        bench = make(linger=0.002, key=lambda item: item[-1])

        def bring(number: int) -> bool:
            with bench.batcher.announced():
                return all(bench.batcher.run(f"{number}-{turn}") == f"{number}-{turn}" for turn in range(50))

        assert all(bench.threads.map(bring, range(16)))
        assert sum(map(len, bench.batches)) == 16 * 50
        assert bench.batcher._coming == bench.batcher._awaited == 0
