from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

import pytest
import sqlalchemy as sa
from sqlalchemy.exc import IntegrityError, OperationalError
from sqlalchemy.orm import Session

from pollsvc.polls.models import Ballot, Choice, Poll, Status, TallyClock, TallySlot, poll_article
from tests.conftest import NOW
from tests.polls.evidence import NOWHERE

A_DAY = timedelta(days=1)


def poll_row(poll: Poll, **changes: Any) -> sa.Insert:
    row = {column.name: getattr(poll, column.name) for column in Poll.__table__.columns}
    return sa.insert(Poll).values(row | {"id": NOWHERE, "kind": "multiple"} | changes)


def choice_row(poll: Poll, **changes: Any) -> sa.Insert:
    return sa.insert(Choice).values({"poll_id": poll.id, "id": 3, "text": "Perhaps", "position": 2} | changes)


def ballot_row(poll: Poll, **changes: Any) -> sa.Insert:
    row = {"poll_id": poll.id, "voter_key": b"k" * 32, "choices": [1], "tier": "storage", "state": "counted"}
    return sa.insert(Ballot).values(row | {"voted_hour": NOW} | changes)


def slot_row(poll: Poll, **changes: Any) -> sa.Insert:
    row = {"poll_id": poll.id, "choice_id": 1, "slot": 0, "n": 1, "voters": 1}
    return sa.insert(TallySlot).values(row | changes)


def clock_row(poll: Poll, **changes: Any) -> sa.Insert:
    return sa.insert(TallyClock).values({"poll_id": poll.id, "changed_at": NOW} | changes)


def article_row(poll: Poll, **changes: Any) -> sa.Insert:
    return poll_article.insert().values({"poll_id": poll.id, "article_id": poll.articles[0].id} | changes)


def refusal(session: Session, row: sa.Insert) -> str:
    """Insert a row and tell which constraint refused it; SQLite names columns in place of a key, and no foreign key."""
    with pytest.raises(IntegrityError) as caught:
        session.execute(row)
    diagnosis = getattr(caught.value.orig, "diag", None)
    return str(diagnosis.constraint_name if diagnosis else caught.value.orig)


class TestConstraints:
    @pytest.mark.parametrize(
        ("row", "changes", "constraint"),
        [
            (poll_row, {"kind": "ranked"}, "ck_poll_known_kind"),
            (poll_row, {"results_visibility": "sometimes"}, "ck_poll_known_visibility"),
            (poll_row, {"opens_at": NOW, "closes_at": NOW}, "ck_poll_closes_after_opening"),
            (poll_row, {"opens_at": NOW, "closes_at": NOW - A_DAY}, "ck_poll_closes_after_opening"),
            (poll_row, {"max_choices": 0}, "ck_poll_max_choices_from_one"),
            (poll_row, {"kind": "single", "max_choices": 1}, "ck_poll_single_has_no_max_choices"),
            (ballot_row, {"state": "lost"}, "ck_ballot_known_state"),
            (ballot_row, {"tier": "network"}, "ck_ballot_known_tier"),
        ],
        ids=lambda value: str(value) if isinstance(value, dict) else "",
    )
    def test_check_refuses(
        self,
        session: Session,
        poll: Poll,
        row: Callable[..., sa.Insert],
        changes: dict[str, Any],
        constraint: str,
    ) -> None:
        assert constraint in refusal(session, row(poll, **changes))

    @pytest.mark.parametrize(
        ("row", "constraint", "columns"),
        [
            (ballot_row, "pk_ballot", "ballot.poll_id, ballot.voter_key"),
            (choice_row, "pk_choice", "choice.poll_id, choice.id"),
            (slot_row, "pk_tally_slot", "tally_slot.poll_id, tally_slot.choice_id, tally_slot.slot"),
            (clock_row, "pk_tally_clock", "tally_clock.poll_id"),
        ],
        ids=["one ballot of a voter in a poll", "one choice of an id", "one slot of a number", "one clock"],
    )
    def test_key_refuses_a_second_row(
        self, session: Session, poll: Poll, row: Callable[..., sa.Insert], constraint: str, columns: str
    ) -> None:
        session.execute(row(poll))

        assert refusal(session, row(poll)) in (constraint, f"UNIQUE constraint failed: {columns}")

    def test_poll_stands_on_an_article_once(self, session: Session, poll: Poll) -> None:
        named = refusal(session, article_row(poll))

        columns = "poll_article.poll_id, poll_article.article_id"
        assert named in ("pk_poll_article", f"UNIQUE constraint failed: {columns}")

    @pytest.mark.parametrize(
        ("row", "changes", "constraint"),
        [
            (poll_row, {"site_id": NOWHERE}, "fk_poll_site_id"),
            (poll_row, {"consent_text_id": NOWHERE}, "fk_poll_consent_text_id"),
            (article_row, {"poll_id": NOWHERE}, "fk_poll_article_poll_id"),
            (article_row, {"article_id": NOWHERE}, "fk_poll_article_article_id"),
            (choice_row, {"poll_id": NOWHERE}, "fk_choice_poll_id"),
            (ballot_row, {"poll_id": NOWHERE}, "fk_ballot_poll_id"),
            (slot_row, {"poll_id": NOWHERE}, "fk_tally_slot_poll_id_choice_id"),
            (slot_row, {"choice_id": 3}, "fk_tally_slot_poll_id_choice_id"),
            (clock_row, {"poll_id": NOWHERE}, "fk_tally_clock_poll_id"),
        ],
        ids=lambda value: value if isinstance(value, str) else "",
    )
    def test_foreign_key_refuses_a_row_of_nothing(
        self,
        session: Session,
        poll: Poll,
        row: Callable[..., sa.Insert],
        changes: dict[str, Any],
        constraint: str,
    ) -> None:
        assert refusal(session, row(poll, **changes)) in (constraint, "FOREIGN KEY constraint failed")

    def test_same_voter_key_in_another_poll_is_another_ballot(self, session: Session, poll: Poll) -> None:
        session.execute(poll_row(poll))
        session.execute(ballot_row(poll))

        session.execute(ballot_row(poll, poll_id=NOWHERE))

        assert session.scalar(sa.select(sa.func.count()).select_from(Ballot)) == 2


class TestBallot:
    def test_holds_nothing_that_leads_to_a_person(self, session: Session, poll: Poll) -> None:
        columns = {column["name"] for column in sa.inspect(session.connection()).get_columns("ballot")}

        assert columns == {
            "poll_id",
            "voter_key",
            "choices",
            "tier",
            "state",
            "voted_hour",
            "is_mixed",
            "is_tier_sealed",
        }

    @pytest.mark.parametrize("database", ["sqlite"], indirect=True)
    @pytest.mark.parametrize("table", ["ballot", "tally_slot"])
    def test_has_no_rowid_that_tells_the_order_of_arrival(self, session: Session, table: str) -> None:
        with pytest.raises(OperationalError, match="no such column: rowid"):
            session.execute(sa.text(f"SELECT rowid FROM {table}"))


class TestStatusAt:
    @pytest.mark.parametrize(
        ("opens_at", "closes_at", "closed_at", "status"),
        [
            pytest.param(None, None, None, Status.OPEN, id="at once and without end"),
            pytest.param(NOW, None, None, Status.OPEN, id="the moment it opens"),
            pytest.param(NOW + timedelta(microseconds=1), None, None, Status.SCHEDULED, id="a moment before"),
            pytest.param(
                None, NOW + timedelta(microseconds=1), None, Status.OPEN, id="a moment before its end"
            ),
            pytest.param(None, NOW, None, Status.CLOSED, id="the moment it closes"),
            pytest.param(NOW - A_DAY, NOW - timedelta(hours=1), None, Status.CLOSED, id="over"),
            pytest.param(None, NOW + A_DAY, NOW, Status.CLOSED, id="closed by hand before its end"),
            pytest.param(NOW + A_DAY, None, NOW, Status.CLOSED, id="closed by hand before it opened"),
        ],
    )
    def test_is_asked_of_the_times(
        self,
        opens_at: datetime | None,
        closes_at: datetime | None,
        closed_at: datetime | None,
        status: Status,
    ) -> None:
        poll = Poll(opens_at=opens_at, closes_at=closes_at, closed_at=closed_at)

        assert poll.status_at(NOW) == status


class TestMostChoices:
    @pytest.mark.parametrize(
        ("kind", "max_choices", "most"),
        [
            pytest.param("single", None, 1, id="single takes one"),
            pytest.param("multiple", None, 3, id="multiple takes all"),
            pytest.param("multiple", 2, 2, id="multiple takes what it says"),
            pytest.param("multiple", 5, 3, id="never more than there are"),
        ],
    )
    def test_is_what_a_ballot_may_hold(self, kind: str, max_choices: int | None, most: int) -> None:
        poll = Poll(kind=kind, max_choices=max_choices, choices=[Choice(), Choice(), Choice()])

        assert poll.most_choices == most
