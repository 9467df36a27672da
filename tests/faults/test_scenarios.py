"""The faults that take seconds, on each run of the suite. `make faults` runs them all, with more votes."""

import pytest

from tests import chromium
from tests.faults import clock
from tests.faults.running import BRIEF, Scenario, run
from tests.faults.scenarios import SCENARIOS

QUICK = (
    "web process killed (PostgreSQL)",
    "service told to end (SQLite)",
    "PostgreSQL restarted",
    "PostgreSQL sessions ended",
    "Redis killed",
    "primary lost, standby promoted",
    "SQLite: files may not grow",
)


def scenarios(*names: str) -> list[Scenario]:
    """Give these scenarios of the table."""
    known = {scenario.name: scenario for scenario in SCENARIOS}
    return [known[name] for name in names]


@pytest.mark.live
@pytest.mark.slow
class TestFault:
    @pytest.mark.parametrize("scenario", scenarios(*QUICK), ids=lambda each: each.name)
    def test_loses_no_vote_and_passes(self, scenario: Scenario) -> None:
        verdict = run(scenario, BRIEF)

        assert verdict.flaws == (), verdict.log

    def test_of_the_clock_is_not_noticed(self) -> None:
        if clock.library() is None and not chromium.is_required():
            pytest.skip("libfaketime is not installed (Debian: apt-get install libfaketime)")
        (scenario,) = scenarios("clock back by an hour")

        verdict = run(scenario, BRIEF)

        assert verdict.flaws == (), verdict.log
        assert (verdict.refused, verdict.dropped) == (0, 0)


class TestTable:
    def test_names_each_fault_once(self) -> None:
        assert len({scenario.name for scenario in SCENARIOS}) == len(SCENARIOS)
