"""The outbox worker beside the web workers is begun again, also where the system had no room for it."""

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from pollsvc.companion import HEALTHY, LONGEST_PAUSE, Companion, Deaths


class TestDeaths:
    def test_the_pause_grows_while_they_follow_each_other(self) -> None:
        deaths = Deaths()
        pauses = []
        for _ in range(9):
            deaths.note("It ended.", born=100.0, now=100.0)
            pauses.append((deaths.due or 0.0) - 100.0)

        assert pauses == [0.0, 0.0, 1.0, 2.0, 4.0, 8.0, *[LONGEST_PAUSE] * 3]

    def test_one_that_was_well_before_begins_anew(self) -> None:
        deaths = Deaths()
        for _ in range(9):
            deaths.note("It ended.", born=100.0, now=100.0)

        deaths.note("It ended.", born=100.0, now=101.0 + HEALTHY)

        assert deaths.due == 101.0 + HEALTHY


class TestCompanion:
    @pytest.fixture
    def companion(self) -> Iterator[Companion]:
        made = Companion({})
        yield made
        made.end()

    def test_one_that_cannot_begin_is_one_more_death(
        self,
        companion: Companion,
        monkeypatch: pytest.MonkeyPatch,
        capsys: pytest.CaptureFixture[str],
        tmp_path: Path,
    ) -> None:
        monkeypatch.setattr(sys, "executable", str(tmp_path / "not-there"))

        companion.start()
        companion.look(0.0)

        told = "The outbox worker could not begin: No such file or directory. It is replaced in 0 s.\n"
        assert capsys.readouterr().err == told
        assert companion._process is None

    def test_it_is_begun_as_soon_as_there_is_room(
        self, companion: Companion, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
    ) -> None:
        with monkeypatch.context() as without_room:
            without_room.setattr(sys, "executable", str(tmp_path / "not-there"))
            companion.start()

        companion.look(companion._deaths.due or 0.0)

        assert companion._process is not None
