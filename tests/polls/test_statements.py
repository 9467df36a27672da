"""The two ways of writing a ballot say the same: one statement on PostgreSQL, step by step on SQLite."""

from collections.abc import Callable
from typing import Any

import pytest
import sqlalchemy as sa
from sqlalchemy import select
from sqlalchemy.orm import Session

from pollsvc.articles.models import Site
from pollsvc.polls.models import Poll, TallySlot
from pollsvc.polls.statements import change_ballot, insert_ballots_of_poll
from pollsvc.polls.verdicts import NewBallot, Verdict
from tests.conftest import NOW
from tests.factories import make_poll
from tests.polls.evidence import NOWHERE, counted_by_ballots, counted_by_slots

Write = Callable[[sa.Connection, NewBallot, int], Verdict | None]


def insert_ballot(connection: sa.Connection, ballot: NewBallot, slot: int) -> Verdict | None:
    return insert_ballots_of_poll(connection, [ballot], slot)[0]


def ballot(poll: Poll, choices: list[int], **changes: Any) -> NewBallot:
    fields: dict[str, Any] = {
        "poll_id": poll.id,
        "voter_key": b"v" * 32,
        "tier": "storage",
        "now": NOW,
    }
    return NewBallot(choices=choices, **(fields | changes))


@pytest.mark.usefixtures("site")
@pytest.mark.parametrize("write", [insert_ballot, change_ballot], ids=["insert", "change"])
class TestGate:
    @pytest.mark.parametrize(
        ("poll", "choices", "gate"),
        [
            pytest.param({"withdrawn_at": NOW, "closed_at": NOW}, [9], "withdrawn", id="withdrawn"),
            pytest.param({"closed_at": NOW}, [9], "closed", id="closed by hand"),
            pytest.param({"closes_at": NOW}, [9], "closed", id="closed by its time"),
            pytest.param({"opens_at": NOW.replace(hour=23)}, [9], "not_open", id="not open yet"),
            pytest.param({}, [1, 9], "unknown_choice", id="a choice that is not the poll's"),
            pytest.param({}, [1, 1], "unknown_choice", id="a choice twice"),
            pytest.param({}, [1, 2, 3], "too_many", id="too many"),
        ],
    )
    def test_says_why_not(
        self, session: Session, write: Write, poll: dict[str, Any], choices: list[int], gate: str
    ) -> None:
        made = made_of(session, poll)

        verdict = write(session.connection(), ballot(made, choices), 3)

        assert verdict == Verdict(gate, False, None, True)
        assert counted_by_slots(session, made.id) == counted_by_ballots(session, made.id) == {}

    def test_without_a_poll_there_is_no_verdict(self, session: Session, poll: Poll, write: Write) -> None:
        assert write(session.connection(), ballot(poll, [1], poll_id=NOWHERE), 3) is None


class TestInsertBallot:
    def test_counts_once(self, session: Session, poll: Poll) -> None:
        verdicts = [
            insert_ballot(session.connection(), ballot(poll, choices), 3) for choices in ([1], [1], [2])
        ]

        assert verdicts[0] is not None
        assert (verdicts[0].gate, verdicts[0].is_counted) == ("open", True)
        assert verdicts[1:] == [Verdict("open", False, [1], False)] * 2
        assert counted_by_slots(session, poll.id) == counted_by_ballots(session, poll.id) == {1: (1, 1)}


class TestChangeBallot:
    @pytest.mark.parametrize(
        ("change", "is_counted"),
        [([2], True), ([1, 2], True), ([1], False)],
        ids=["another", "one more", "the same"],
    )
    def test_changes_what_is_another(
        self, session: Session, site: Site, change: list[int], is_counted: bool
    ) -> None:
        poll = made_of(session, {})
        insert_ballot(session.connection(), ballot(poll, [1]), 3)

        verdict = change_ballot(session.connection(), ballot(poll, change), 5)

        assert verdict == Verdict("open", is_counted, [1], True)
        counts = {choice: (1, int(choice == change[0])) for choice in change}
        assert counted_by_slots(session, poll.id) == counted_by_ballots(session, poll.id) == counts

    def test_touches_no_count_that_stays(self, session: Session, site: Site) -> None:
        poll = made_of(session, {})
        insert_ballot(session.connection(), ballot(poll, [1, 2]), 3)

        change_ballot(session.connection(), ballot(poll, [1, 3]), 5)

        slots = session.execute(select(TallySlot.choice_id, TallySlot.slot))
        assert {(choice, slot) for choice, slot in slots} == {(1, 3), (2, 3), (2, 5), (3, 5)}

    def test_makes_no_ballot_where_there_is_none(self, session: Session, site: Site) -> None:
        poll = made_of(session, {})

        assert change_ballot(session.connection(), ballot(poll, [1]), 5) == Verdict("open", False, None, True)
        assert counted_by_slots(session, poll.id) == counted_by_ballots(session, poll.id) == {}

    def test_needs_the_polls_leave(self, session: Session, poll: Poll) -> None:
        insert_ballot(session.connection(), ballot(poll, [1]), 3)

        verdict = change_ballot(session.connection(), ballot(poll, [2]), 5)

        assert verdict is not None
        assert (verdict.is_counted, verdict.allow_change) == (False, False)
        assert counted_by_slots(session, poll.id) == counted_by_ballots(session, poll.id) == {1: (1, 1)}


def made_of(session: Session, columns: dict[str, Any]) -> Poll:
    """Make a poll that takes two of three choices and lets them be changed, then set its columns past the rules."""
    poll = make_poll(session, kind="multiple", choices=["A", "B", "C"], max_choices=2, allow_change=True)
    for name, value in columns.items():
        setattr(poll, name, value)
    session.flush()
    return poll
