"""One request more than a process has places for."""

import threading
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from types import SimpleNamespace

import pytest
from flask import Flask

from pollsvc.web.admission import Admission, Overloaded
from pollsvc.web.guards import public
from tests.processes import wait_until
from tests.web.problems import read_problem

SECONDS = 20.0


class TestAdmission:
    def test_lets_in_as_many_as_there_are_places(self) -> None:
        admission = Admission(2)

        admission.enter()
        admission.enter()

        with pytest.raises(Overloaded):
            admission.enter()

    def test_a_place_that_is_left_is_free(self) -> None:
        admission = Admission(1)
        admission.enter()

        admission.leave()

        admission.enter()

    def test_who_comes_waits_for_a_place_for_a_moment(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("pollsvc.web.admission.TURN", SECONDS)
        admission = Admission(1)
        admission.enter()

        with ThreadPoolExecutor(1) as threads:
            waiting = threads.submit(admission.enter)
            wait_until(lambda: len(admission._waiting) == 1)
            admission.leave()

            assert waiting.result(SECONDS) is None

    def test_places_are_given_in_the_order_in_which_they_were_asked_for(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("pollsvc.web.admission.TURN", SECONDS)
        admission = Admission(1)
        admission.enter()
        came: list[int] = []

        def come(number: int) -> None:
            admission.enter()
            came.append(number)
            admission.leave()

        with ThreadPoolExecutor(5) as threads:
            coming = []
            for number in range(5):
                coming.append(threads.submit(come, number))
                wait_until(lambda: len(admission._waiting) == number + 1)  # noqa: B023 (asked at once)
            admission.leave()
            for each in coming:
                each.result(SECONDS)

        assert came == [0, 1, 2, 3, 4]

    def test_a_place_that_comes_when_patience_ends_is_taken(self, monkeypatch: pytest.MonkeyPatch) -> None:
        class AtTheLastMoment(deque[threading.Lock]):
            """Gives a place to whoever has just stopped waiting."""

            def append(self, turn: threading.Lock) -> None:
                """Take it off the list again."""

        monkeypatch.setattr("pollsvc.web.admission.TURN", 0.0)
        admission = Admission(1)
        admission.enter()
        admission._waiting = AtTheLastMoment()

        admission.enter()

        assert admission._stuck_until == 0.0

    def test_for_a_moment_nobody_waits_after_one_that_waited_in_vain(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        clock = SimpleNamespace(monotonic=lambda: 0.0)
        monkeypatch.setattr("pollsvc.web.admission.time", clock)
        monkeypatch.setattr("pollsvc.web.admission.TURN", 0.01)
        admission = Admission(1)
        admission.enter()
        with pytest.raises(Overloaded):
            admission.enter()
        monkeypatch.setattr("pollsvc.web.admission.TURN", SECONDS)

        with pytest.raises(Overloaded):
            admission.enter()  # at once, or this test would take long

        clock.monotonic = lambda: 10.0
        with ThreadPoolExecutor(1) as threads:
            waiting = threads.submit(admission.enter)
            wait_until(lambda: len(admission._waiting) == 1)
            admission.leave()
            assert waiting.result(SECONDS) is None

    def test_in_that_moment_a_free_place_is_taken(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("pollsvc.web.admission.time", SimpleNamespace(monotonic=lambda: 0.0))
        monkeypatch.setattr("pollsvc.web.admission.TURN", 0.01)
        admission = Admission(1)
        admission.enter()
        with pytest.raises(Overloaded):
            admission.enter()
        admission.leave()

        admission.enter()


class TestSteppingAside:
    def test_leaves_the_place_to_others_and_takes_one_again(self) -> None:
        admission = Admission(1)
        admission.enter()

        with admission.stepping_aside():
            admission.enter()
            admission.leave()

        admission.leave()
        admission.enter()

    def test_waits_for_a_place_when_it_comes_back_as_long_as_it_takes(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("pollsvc.web.admission.TURN", 0.0)
        admission = Admission(1)
        admission.enter()
        may_come = threading.Event()

        def step_aside() -> None:
            with admission.stepping_aside():
                may_come.wait(SECONDS)

        with ThreadPoolExecutor(1) as threads:
            stepping = threads.submit(step_aside)
            wait_until(lambda: admission._free == 1)
            admission.enter()
            may_come.set()
            wait_until(lambda: len(admission._waiting) == 1)
            admission.leave()
            assert stepping.result(SECONDS) is None
        assert admission._free == 0

    def test_is_for_so_many_for_each_place(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("pollsvc.web.admission.ASIDE", 1)
        admission = Admission(1)
        admission.enter()

        with admission.stepping_aside():
            admission.enter()
            with pytest.raises(Overloaded), admission.stepping_aside():
                pass
            admission.leave()

    def test_an_error_meanwhile_is_no_reason_to_lose_a_place(self) -> None:
        admission = Admission(1)
        admission.enter()

        with pytest.raises(RuntimeError), admission.stepping_aside():
            raise RuntimeError

        with admission.stepping_aside():
            pass
        admission.leave()
        assert admission._free == 1


class TestFullProcess:
    """An application with one place, which is taken."""

    @pytest.fixture
    def full(self, make_app: Callable[..., Flask], monkeypatch: pytest.MonkeyPatch) -> Iterator[Flask]:
        monkeypatch.setattr("pollsvc.web.admission.TURN", 0.01)
        application = make_app(threads=1)
        is_in, may_go = threading.Event(), threading.Event()

        @application.get("/v1/slow")
        @public
        def slow() -> str:
            is_in.set()
            return str(may_go.wait(SECONDS))

        with ThreadPoolExecutor(1) as threads:
            answer = threads.submit(application.test_client().get, "/v1/slow")
            assert is_in.wait(SECONDS)
            yield application
            may_go.set()
            assert answer.result(SECONDS).status_code == 200
        # It left its place.
        assert application.test_client().get("/readyz").status_code == 200

    def test_turns_programs_away_with_a_problem(self, full: Flask) -> None:
        response = full.test_client().post("/v1/voters", json={})

        problem = read_problem(response)
        assert (problem["status"], problem["code"]) == (503, "overloaded")
        assert response.headers["Retry-After"] == "2"

    def test_turns_people_away_with_a_page(self, full: Flask) -> None:
        response = full.test_client().get("/")

        assert (response.status_code, response.mimetype) == (503, "text/html")
        assert response.headers["Retry-After"] == "2"

    @pytest.mark.parametrize("address", ["/healthz", "/embed.js", "/embed/widget.css"])
    def test_answers_what_asks_nothing_of_other_parts(self, full: Flask, address: str) -> None:
        assert full.test_client().get(address).status_code == 200

    def test_asks_the_database_for_no_origin(self, full: Flask) -> None:
        full.extensions["pollsvc"].is_known_origin._lookup = None  # it would fail

        response = full.test_client().post("/v1/voters", json={}, headers={"Origin": "https://a.example"})

        assert response.status_code == 503
        assert "Access-Control-Allow-Origin" not in response.headers

    def test_reads_no_form(self, full: Flask) -> None:
        form = {"email": "reader@example.org"}

        response = full.test_client().post("/embed/corrections", data=form)

        assert response.status_code == 503
        assert "reader@example.org" not in response.text

    def test_a_refusal_takes_no_place(self, full: Flask) -> None:
        for _ in range(3):
            assert full.test_client().get("/readyz").status_code == 503


def test_a_request_that_fails_leaves_its_place(make_app: Callable[..., Flask]) -> None:
    application = make_app(threads=1)

    @application.get("/v1/fails")
    @public
    def fail() -> str:
        raise RuntimeError

    client = application.test_client()
    assert [client.get("/v1/fails").status_code for _ in range(3)] == [500] * 3
    assert client.get("/v1/nothing").status_code == 404
    assert client.get("/readyz").status_code == 200
