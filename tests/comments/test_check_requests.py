"""What a check over HTTP that has not answered means to a policy, and how long it is waited for."""

from datetime import timedelta

import pytest

from pollsvc.comments.check_requests import MOST_ATTEMPTS, pause
from pollsvc.comments.checks.check import Verdict
from pollsvc.comments.policies import BUILT_IN, Outcome, Policy, Ruling, Thresholds


def pending(name: str) -> Verdict:
    return Verdict(name, "1", "pending", 0, "", (), 0)


def failed(name: str) -> Verdict:
    return Verdict(name, "1", "failed", 0, "", (), 0)


def done(name: str, score: float) -> Verdict:
    return Verdict(name, "1", "done", score, "", (), 1)


class TestUnnamed:
    @pytest.mark.parametrize(
        ("said", "outcome"),
        [
            (pending("http:tone"), Outcome.HOLD),
            (failed("http:tone"), Outcome.HOLD),
            (done("http:tone", 0.4), Outcome.PUBLISH),
            (done("http:tone", 0.5), Outcome.HOLD),
            (done("tone", 1), Outcome.PUBLISH),
        ],
    )
    def test_a_check_over_http_holds_and_others_have_no_vote(self, said: Verdict, outcome: Outcome) -> None:
        assert BUILT_IN.decide([said]).outcome == outcome
        assert Policy(7, {}).decide([said]).outcome == outcome

    @pytest.mark.parametrize("said", [pending("http:tone"), failed("http:tone"), done("http:tone", 1)])
    def test_one_that_is_named_without_thresholds_has_no_vote(self, said: Verdict) -> None:
        silent = Policy(1, {"http:tone": Thresholds(when_missing=None)})

        assert silent.decide([said]) == Ruling(Outcome.PUBLISH, [])


class TestPause:
    @pytest.mark.parametrize(("attempts", "seconds"), [(1, 5), (2, 20), (3, 80), (4, 320), (5, 1_280)])
    def test_grows_and_chance_shortens_it_by_up_to_a_half(self, attempts: int, seconds: int) -> None:
        assert pause(attempts, 0) == timedelta(seconds=seconds)
        assert pause(attempts, 1) == timedelta(seconds=seconds) / 2

    def test_all_of_them_are_over_within_half_an_hour(self) -> None:
        pauses = [pause(attempts, 0) for attempts in range(1, MOST_ATTEMPTS)]

        assert sum(pauses, timedelta(0)) < timedelta(minutes=30)
