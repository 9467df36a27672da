"""Messages are taken one at a time and in order, tried again with growing pauses, and given up with a reason."""

import uuid
from datetime import datetime, timedelta

import pytest
from sqlalchemy import select
from sqlalchemy.orm import Session

from pollsvc.outbox.delivery import (
    FIRST_PAUSE,
    LEASE,
    LONGEST_PAUSE,
    LOST,
    MOST_ATTEMPTS,
    DeliveryFailed,
    Result,
    claim,
    count_due,
    first_due,
    is_due,
    pause,
    settle,
)
from pollsvc.outbox.models import OutboxAttempt, OutboxMessage, WebhookEndpoint
from tests.conftest import NOW
from tests.outbox.messages import make_mail

SECOND = timedelta(seconds=1)
TAKEN = Result(250, None, 3)
AGAIN = Result(None, DeliveryFailed("The mail server answered 450.", status=450), 3)
NEVER = Result(None, DeliveryFailed("The mail server answered 550.", status=550, is_final=True), 3)


def take(session: Session, now: datetime = NOW, channel: str = "mail") -> OutboxMessage | None:
    return claim(session, uuid.uuid4(), now, channel)


def attempts_of(session: Session, message: OutboxMessage) -> list[tuple[str, int | None, str | None]]:
    session.flush()
    found = select(OutboxAttempt).where(OutboxAttempt.message_id == message.id).order_by(OutboxAttempt.id)
    return [(each.outcome, each.status, each.reason) for each in session.scalars(found)]


class TestClaim:
    @pytest.mark.parametrize(
        ("state", "is_taken"),
        [
            ({}, True),
            ({"available_at": NOW}, True),
            ({"available_at": NOW + SECOND}, False),
            ({"state": "delivered"}, False),
            ({"state": "dead"}, False),
            ({"lease": uuid.UUID(int=1), "leased_until": NOW + SECOND}, False),
            ({"lease": uuid.UUID(int=1), "leased_until": NOW}, True),
            ({"attempts": MOST_ATTEMPTS - 1}, True),
            ({"attempts": MOST_ATTEMPTS}, False),
            ({"channel": "webhook"}, False),
        ],
        ids=[
            "new",
            "due now",
            "due later",
            "delivered",
            "given up",
            "leased",
            "lease over",
            "last attempt",
            "attempts used up",
            "other channel",
        ],
    )
    def test_takes_what_is_due(self, session: Session, state: dict[str, object], is_taken: bool) -> None:
        message = make_mail(session, state=state)

        assert (take(session) is message) is is_taken

    @pytest.mark.parametrize(
        ("state", "is_paused", "is_taken"), [("active", False, True), ("paused", True, False)]
    )
    def test_an_endpoint_that_is_paused_holds_its_own(
        self, session: Session, state: str, is_paused: bool, is_taken: bool
    ) -> None:
        endpoint = WebhookEndpoint(
            url="https://a.example",
            description="",
            event_types=[],
            secret="s",
            state=state,
            failures=0,
            version=1,
            created_at=NOW,
        )
        session.add(endpoint)
        session.flush()
        make_mail(session, state={"channel": "webhook", "endpoint_id": endpoint.id})

        assert (take(session, channel="webhook") is not None) is is_taken

    def test_a_message_is_taken_once(self, session: Session) -> None:
        make_mail(session)

        assert take(session) is not None
        assert take(session) is None
        assert not is_due(session, NOW, "mail")

    def test_the_lease_ends_and_the_lost_attempt_is_told(self, session: Session) -> None:
        message = make_mail(session)
        first = take(session)
        assert first
        first_lease = first.lease

        second = take(session, NOW + LEASE)

        assert second is message
        assert second.lease != first_lease
        assert second.attempts == 2
        assert attempts_of(session, message) == [("lost", None, LOST)]

    def test_one_that_takes_its_worker_along_each_time_is_given_up(self, session: Session) -> None:
        message = make_mail(session)
        now = NOW
        while take(session, now):
            now += LEASE

        assert (message.state, message.reason, message.settled_at) == ("dead", LOST, now)
        assert len(attempts_of(session, message)) == MOST_ATTEMPTS
        assert message.lease is None

    def test_what_is_due_longest_goes_first(self, session: Session) -> None:
        late = make_mail(session, 1, state={"available_at": NOW - SECOND})
        early = make_mail(session, 2, state={"available_at": NOW - 2 * SECOND})

        assert [take(session), take(session)] == [early, late]

    def test_mails_of_a_subject_wait_for_each_other(self, session: Session) -> None:
        first, second = (make_mail(session, number, subject="subscriber:a") for number in (1, 2))
        other = make_mail(session, 3, subject="subscriber:b")

        assert [take(session), take(session), take(session)] == [first, other, None]
        settle(session, first, AGAIN, NOW, 0.0)
        assert take(session, NOW + SECOND) is None
        assert take(session, NOW + FIRST_PAUSE) is first
        settle(session, first, TAKEN, NOW + FIRST_PAUSE, 0.0)
        assert take(session, NOW + FIRST_PAUSE) is second

    @pytest.mark.parametrize("result", [TAKEN, NEVER], ids=["delivered", "given up"])
    def test_what_is_settled_holds_nobody(self, session: Session, result: Result) -> None:
        first, second = (make_mail(session, number, subject="subscriber:a") for number in (1, 2))
        take(session)
        settle(session, first, result, NOW, 0.0)

        assert take(session) is second


class TestSettle:
    @pytest.mark.parametrize(
        ("result", "attempts", "outcome", "state"),
        [
            (TAKEN, 0, "delivered", "delivered"),
            (AGAIN, 0, "retry", "pending"),
            (NEVER, 0, "dead", "dead"),
            (AGAIN, MOST_ATTEMPTS - 2, "retry", "pending"),
            (AGAIN, MOST_ATTEMPTS - 1, "dead", "dead"),
            (TAKEN, MOST_ATTEMPTS - 1, "delivered", "delivered"),
        ],
        ids=["taken", "failed", "refused", "failed before the last", "failed the last", "taken the last"],
    )
    def test_notes_what_became_of_it(
        self, session: Session, result: Result, attempts: int, outcome: str, state: str
    ) -> None:
        message = make_mail(session, state={"attempts": attempts})
        take(session)

        assert settle(session, message, result, NOW, 0.0) == outcome

        session.flush()
        session.refresh(message)
        reason = None if result.failure is None else result.failure.reason
        assert (message.state, message.reason, message.lease) == (state, reason, None)
        assert (message.settled_at is not None) == (state != "pending")
        # What holds an address goes as soon as it can.
        assert (message.payload is None) == (state == "delivered")
        status = result.failure.status if result.failure else result.status
        assert attempts_of(session, message) == [(outcome, status, reason)]

    def test_who_lost_the_lease_settles_nothing(self, session: Session) -> None:
        message = make_mail(session)
        slow = take(session)
        assert slow
        session.expunge(slow)
        quick = take(session, NOW + LEASE)
        assert quick

        assert settle(session, slow, NEVER, NOW + LEASE, 0.0) is None

        session.refresh(quick)
        assert quick.state == "pending"
        assert settle(session, quick, TAKEN, NOW + LEASE, 0.0) == "delivered"
        assert [outcome for outcome, *_ in attempts_of(session, message)] == ["lost", "delivered"]

    def test_what_was_erased_meanwhile_is_no_fault(self, session: Session) -> None:
        message = make_mail(session)
        take(session)
        session.expunge(message)
        session.delete(session.get_one(OutboxMessage, message.id))
        session.flush()

        assert settle(session, message, TAKEN, NOW, 0.0) is None


class TestPause:
    @pytest.mark.parametrize(
        ("attempts", "chance", "seconds"),
        [
            (1, 0.0, 5),
            (1, 1.0, 2.5),
            (2, 0.0, 10),
            (5, 0.5, 60),
            (13, 0.0, 20_480),
            (14, 0.0, 21_600),
            (10**6, 0.0, 21_600),
        ],
    )
    def test_doubles_up_to_a_bound_less_a_chance(self, attempts: int, chance: float, seconds: float) -> None:
        assert pause(attempts, chance).total_seconds() == seconds

    def test_the_last_attempt_comes_about_three_days_after_the_first(self) -> None:
        whole = sum((pause(number, 0.5) for number in range(1, MOST_ATTEMPTS)), timedelta())

        assert timedelta(days=2.5) < whole < timedelta(days=3.5)
        assert pause(MOST_ATTEMPTS, 0.0) == LONGEST_PAUSE


class TestCounts:
    def test_what_could_be_delivered_at_once(self, session: Session) -> None:
        for number in range(5):
            make_mail(session, number, subject=f"subscriber:{number % 3}", now=NOW - number * SECOND)

        assert count_due(session, NOW, "mail", 10) == 3
        assert count_due(session, NOW, "mail", 2) == 2
        assert count_due(session, NOW, "webhook", 2) == 0
        assert first_due(session, NOW, "mail") == NOW - 2 * SECOND
        assert first_due(session, NOW, "webhook") is None
