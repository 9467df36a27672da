"""Webhooks from the event to the endpoint, through the worker: signed, in order, until they arrive or the endpoint is paused."""

import socket
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta, timezone

import pytest
import sqlalchemy as sa
from sqlalchemy import select
from sqlalchemy.orm import Session
from standardwebhooks.webhooks import Webhook, WebhookVerificationError

from pollsvc.config import Settings
from pollsvc.errors import Invalid, StaleVersion
from pollsvc.outbox import hooks
from pollsvc.outbox.acknowledging import FAILING_FOR, MOST_FAILURES
from pollsvc.outbox.delivery import MOST_ATTEMPTS
from pollsvc.outbox.fan_out import AFTER_DELIVERIES
from pollsvc.outbox.models import OutboxAttempt, OutboxEvent, OutboxMessage, WebhookEndpoint
from pollsvc.outbox.outgoing import Outgoing
from pollsvc.outbox.pausing import NEVER
from pollsvc.outbox.places import AT_ONCE, AT_ONCE_TO_ONE
from pollsvc.outbox.service import NotDead, forget_subject, replay_message
from pollsvc.outbox.webhooks import body_of, pack
from pollsvc.staff.models import AuditEntry
from pollsvc.worker import Worker
from tests.outbox.endpoints import LOOPBACK, Clock, events, fresh, make_endpoint, messages, tell, working
from tests.outbox.receiver import Received, Receiver, receiving, serving
from tests.unreadable import make_unreadable

MINUTE = timedelta(minutes=1)
HOUR = timedelta(hours=1)
DAY = timedelta(days=1)


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with receiving() as made:
        yield made


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def worker(settings: Settings, database_url: str, clock: Clock) -> Iterator[Worker]:
    with working(settings, clock) as made:
        yield made


@pytest.fixture
def endpoint(session: Session, receiver: Receiver, clock: Clock) -> WebhookEndpoint:
    """One that takes everything."""
    made = make_endpoint(session, receiver.url, now=clock())
    session.commit()
    return made


def verify(secret: str | None, received: Received) -> object:
    assert secret
    return Webhook(secret).verify(received.body, received.headers)


def edit(session: Session, endpoint: WebhookEndpoint, now: datetime, **changes: object) -> WebhookEndpoint:
    version = fresh(session, endpoint).version
    outgoing = Outgoing(private_hosts=LOOPBACK)
    edited = hooks.edit_endpoint(
        session, outgoing, endpoint.id, changes, version=version, actor="test", now=now
    )
    session.commit()
    return edited


def fail_until_paused(session: Session, worker: Worker, clock: Clock, endpoint: WebhookEndpoint) -> int:
    """Let attempts fail; gives how many it took."""
    for number in range(1, 30):
        worker.look()
        if fresh(session, endpoint).state == "paused":
            return number
        clock.forward(7 * MINUTE)
    raise AssertionError("was never paused")


def actions(session: Session) -> list[str]:
    session.rollback()
    return list(session.scalars(select(AuditEntry.action).order_by(AuditEntry.id)))


class TestWhatIsSent:
    def test_is_the_event_signed_by_standard_webhooks(
        self, session: Session, worker: Worker, receiver: Receiver, endpoint: WebhookEndpoint, clock: Clock
    ) -> None:
        tell(session, "poll.closed", data={"id": "7", "question": "Grüße? \u0645"}, now=clock())

        worker.look()

        (received,) = receiver.received
        (event,) = events(session)
        assert verify(endpoint.secret, received) == {
            "type": "poll.closed",
            "timestamp": event.occurred_at.isoformat(),
            "data": {"id": "7", "question": "Grüße? \u0645"},
        }
        assert datetime.fromisoformat(received.told["timestamp"]).utcoffset() == timedelta(0)
        assert received.id == str(event.key)
        assert received.headers["content-type"] == "application/json"
        assert abs(int(received.headers["webhook-timestamp"]) - time.time()) < 60

    def test_another_secret_does_not_verify_it(
        self, session: Session, worker: Worker, receiver: Receiver, endpoint: WebhookEndpoint
    ) -> None:
        tell(session)
        worker.look()

        with pytest.raises(WebhookVerificationError):
            verify(hooks.new_secret(), receiver.received[0])

    def test_leaves_a_line_and_nothing_to_send(
        self, session: Session, worker: Worker, receiver: Receiver, endpoint: WebhookEndpoint
    ) -> None:
        tell(session)
        worker.look()
        worker.look()

        (message,) = messages(session)
        attempt = session.scalars(select(OutboxAttempt)).one()
        assert (message.state, message.attempts, message.payload) == ("delivered", 1, None)
        assert (attempt.outcome, attempt.status, attempt.reason) == ("delivered", 204, None)
        assert len(receiver.received) == 1

    def test_is_the_same_at_each_attempt_but_for_its_time(
        self, session: Session, worker: Worker, receiver: Receiver, endpoint: WebhookEndpoint, clock: Clock
    ) -> None:
        receiver.status = 500
        tell(session, data={"b": 1, "a": [1.0, "\u00fc"]})
        worker.look()
        clock.forward(MINUTE)
        receiver.status = 200
        worker.look()

        first, second = receiver.received
        assert (first.body, first.id) == (second.body, second.id)
        assert int(second.headers["webhook-timestamp"]) >= int(first.headers["webhook-timestamp"]) + 60
        assert verify(endpoint.secret, second) == first.told

    def test_each_endpoint_is_told_with_its_own_secret(
        self, session: Session, worker: Worker, receiver: Receiver, endpoint: WebhookEndpoint
    ) -> None:
        with receiving() as other_receiver:
            other = make_endpoint(session, other_receiver.url)
            tell(session)
            worker.look()

        assert verify(endpoint.secret, receiver.received[0]) == verify(
            other.secret, other_receiver.received[0]
        )
        assert receiver.received[0].id == other_receiver.received[0].id
        assert other.secret != endpoint.secret


class TestRotation:
    def test_for_a_day_both_secrets_sign(
        self, session: Session, worker: Worker, receiver: Receiver, endpoint: WebhookEndpoint, clock: Clock
    ) -> None:
        old = endpoint.secret
        hooks.rotate_secret(session, endpoint.id, actor="test", now=clock())
        tell(session)

        worker.look()

        (received,) = receiver.received
        new = endpoint.secret
        assert new != old
        assert len(received.headers["webhook-signature"].split(" ")) == 2
        assert verify(old, received) == verify(new, received)

    def test_after_a_day_only_the_new_one_does(self, endpoint: WebhookEndpoint, session: Session) -> None:
        now = datetime.now(UTC)
        old = endpoint.secret
        hooks.rotate_secret(session, endpoint.id, actor="test", now=now - DAY)
        event = OutboxEvent(key=uuid.uuid4(), kind="poll.created", data="{}", occurred_at=now)

        parcel = pack(endpoint, event, now)

        assert Webhook(str(endpoint.secret)).verify(parcel.body, parcel.headers)
        with pytest.raises(WebhookVerificationError):
            Webhook(str(old)).verify(parcel.body, parcel.headers)

    def test_of_two_rotations_the_first_secret_ends_at_once(
        self, endpoint: WebhookEndpoint, session: Session
    ) -> None:
        now = datetime.now(UTC)
        leaked = endpoint.secret
        for _ in range(2):
            hooks.rotate_secret(session, endpoint.id, actor="test", now=now)
        event = OutboxEvent(key=uuid.uuid4(), kind="poll.created", data="{}", occurred_at=now)

        parcel = pack(endpoint, event, now)

        with pytest.raises(WebhookVerificationError):
            Webhook(str(leaked)).verify(parcel.body, parcel.headers)

    def test_one_that_no_key_opens_signs_no_more(self, endpoint: WebhookEndpoint, session: Session) -> None:
        make_unreadable(session, "webhook_endpoint", "secret")

        rotated = hooks.rotate_secret(session, endpoint.id, actor="test", now=datetime.now(UTC))

        assert (rotated.previous_secret, rotated.previous_until) == (None, None)
        assert rotated.secret

    def test_a_time_in_another_zone_signs_the_same(self, endpoint: WebhookEndpoint, now: datetime) -> None:
        event = OutboxEvent(key=uuid.uuid4(), kind="poll.created", data="{}", occurred_at=now)

        there = pack(endpoint, event, now.astimezone(timezone(timedelta(hours=5))))

        assert there == pack(endpoint, event, now)
        assert there.body == body_of(event)


class TestFailure:
    @pytest.mark.parametrize("status", [300, 301, 400, 404, 409, 429, 500, 503])
    def test_is_tried_again(
        self, session: Session, worker: Worker, receiver: Receiver, endpoint: WebhookEndpoint, status: int
    ) -> None:
        receiver.status = status
        tell(session)
        worker.look()

        (message,) = messages(session)
        assert (message.state, message.attempts) == ("pending", 1)
        assert str(status) in str(message.reason)
        assert message.available_at > message.created_at
        message.available_at = message.created_at
        session.commit()
        receiver.status = 204
        worker.look()
        assert [each.state for each in messages(session)] == ["delivered"]
        outcomes = session.scalars(select(OutboxAttempt.outcome).order_by(OutboxAttempt.id)).all()
        assert outcomes == ["retry", "delivered"]

    def test_keeps_what_came_later_about_the_same_thing_waiting(
        self, session: Session, worker: Worker, receiver: Receiver, endpoint: WebhookEndpoint, clock: Clock
    ) -> None:
        receiver.answer = lambda received: 500 if received.kind == "poll.created" else 204
        tell(session, "poll.created", subject="poll:1")
        tell(session, "poll.closed", subject="poll:1")
        tell(session, "poll.edited", subject="poll:2")
        worker.look()
        assert receiver.kinds == ["poll.created", "poll.edited"]

        receiver.answer = None
        clock.forward(MINUTE)
        worker.look()

        assert receiver.kinds == ["poll.created", "poll.edited", "poll.created", "poll.closed"]

    def test_of_one_event_only_ends_after_three_days_and_lets_the_next_one_go(
        self, session: Session, worker: Worker, receiver: Receiver, endpoint: WebhookEndpoint, clock: Clock
    ) -> None:
        receiver.answer = lambda received: 400 if received.kind == "poll.created" else 204
        tell(session, "poll.created", subject="poll:1")
        tell(session, "poll.closed", subject="poll:1")
        for number in range(MOST_ATTEMPTS):
            # Others arrive meanwhile: the endpoint is well, the event is not.
            tell(session, "poll.edited", subject=f"poll:{number + 10}")
            worker.look()
            clock.forward(6 * HOUR)
        worker.look()

        refused, next_one, *_ = messages(session)
        assert (refused.state, refused.reason) == ("dead", "The endpoint answered 400.")
        assert next_one.state == "delivered"
        assert fresh(session, endpoint).state == "active"

    def test_given_up_can_be_sent_again_by_hand(
        self, session: Session, worker: Worker, receiver: Receiver, endpoint: WebhookEndpoint, clock: Clock
    ) -> None:
        tell(session)
        worker.look()
        (message,) = messages(session)
        with pytest.raises(NotDead):
            replay_message(session, message.id, actor="test", now=clock())
        message.state = "dead"
        session.commit()

        replay_message(session, message.id, actor="test", now=clock())
        session.commit()
        worker.look()

        assert len(receiver.received) == 2
        assert receiver.received[0].id == receiver.received[1].id

    def test_names_neither_address_nor_secret(
        self,
        session: Session,
        worker: Worker,
        receiver: Receiver,
        endpoint: WebhookEndpoint,
        capsys: pytest.CaptureFixture[str],
    ) -> None:
        receiver.status = 500
        tell(session)
        worker.look()

        (message,) = messages(session)
        written = (
            "".join(capsys.readouterr())
            + str(message.reason)
            + repr([entry.detail for entry in session.scalars(select(AuditEntry))])
        )
        assert "with-a-secret" not in written
        assert str(endpoint.secret) not in written

    def test_to_reach_a_private_host_that_is_not_named_sends_nothing(
        self,
        session: Session,
        settings: Settings,
        receiver: Receiver,
        endpoint: WebhookEndpoint,
        clock: Clock,
    ) -> None:
        """The address was allowed when it was made; the setting was taken back since."""
        worker = Worker(settings, clock)
        tell(session)
        worker.look()
        worker.close()

        (message,) = messages(session)
        assert receiver.received == []
        assert (message.state, message.reason) == ("pending", "The address must begin with https://.")


class TestPausing:
    def test_many_failures_over_an_hour_pause_it_and_say_why(
        self, session: Session, worker: Worker, receiver: Receiver, endpoint: WebhookEndpoint, clock: Clock
    ) -> None:
        receiver.status = 503
        for number in range(3):
            tell(session, subject=f"poll:{number}")

        fail_until_paused(session, worker, clock, endpoint)

        assert endpoint.failures >= MOST_FAILURES
        assert endpoint.failing_since is not None
        assert endpoint.paused_at is not None
        assert endpoint.paused_at - endpoint.failing_since >= FAILING_FOR
        assert endpoint.paused_because == (
            f"{endpoint.failures} attempts in a row failed. The last one: The endpoint answered 503."
        )
        assert endpoint.version == 2
        assert actions(session) == ["webhook.created", "webhook.paused"]

    def test_many_failures_at_once_do_not(
        self, session: Session, worker: Worker, receiver: Receiver, endpoint: WebhookEndpoint
    ) -> None:
        receiver.status = 503
        for number in range(MOST_FAILURES + 5):
            tell(session, subject=f"poll:{number}")

        worker.look()

        assert fresh(session, endpoint).failures == MOST_FAILURES + 5
        assert endpoint.state == "active"

    def test_failures_of_our_own_do_not(
        self, session: Session, worker: Worker, endpoint: WebhookEndpoint, clock: Clock
    ) -> None:
        """An event that no key opens is no fault of who was to be told."""
        for number in range(3):
            tell(session, subject=f"poll:{number}")
        session.execute(sa.text("UPDATE outbox_event SET data = :sealed"), {"sealed": b"by another key"})
        session.commit()

        for _ in range(MOST_FAILURES):
            worker.look()
            clock.forward(HOUR)

        assert {message.reason for message in messages(session)} == {
            "None of POLLSVC_ENCRYPTION_KEYS opens it."
        }
        assert min(message.attempts for message in messages(session)) > 1
        assert (fresh(session, endpoint).state, endpoint.failures) == ("active", 0)
        assert endpoint.failing_since is None

    def test_few_failures_over_a_night_do_not(
        self, session: Session, worker: Worker, receiver: Receiver, endpoint: WebhookEndpoint, clock: Clock
    ) -> None:
        receiver.status = 503
        tell(session)
        for _ in range(MOST_FAILURES - 1):
            worker.look()
            clock.forward(DAY)

        assert fresh(session, endpoint).failures == MOST_FAILURES - 1
        assert endpoint.state == "active"

    def test_a_success_forgets_the_failures(
        self, session: Session, worker: Worker, receiver: Receiver, endpoint: WebhookEndpoint, clock: Clock
    ) -> None:
        receiver.status = 503
        tell(session)
        worker.look()
        assert fresh(session, endpoint).failures == 1

        receiver.status = 200
        clock.forward(MINUTE)
        worker.look()

        assert (fresh(session, endpoint).failures, endpoint.failing_since) == (0, None)

    def test_410_gone_pauses_it_at_once(
        self, session: Session, worker: Worker, receiver: Receiver, endpoint: WebhookEndpoint
    ) -> None:
        receiver.status = 410
        tell(session)

        worker.look()

        assert (fresh(session, endpoint).state, endpoint.paused_because) == (
            "paused",
            "It answered 410 Gone.",
        )
        assert [each.state for each in messages(session)] == ["pending"]

    def test_nothing_is_sent_while_it_is_paused_and_others_go_on(
        self, session: Session, worker: Worker, receiver: Receiver, endpoint: WebhookEndpoint, clock: Clock
    ) -> None:
        edit(session, endpoint, clock(), state="paused")
        with receiving() as other_receiver:
            make_endpoint(session, other_receiver.url)
            tell(session)
            worker.look()
            clock.forward(DAY)
            worker.look()

        assert receiver.received == []
        assert len(other_receiver.received) == 1

    def test_resuming_sends_what_waited_in_its_order(
        self, session: Session, worker: Worker, receiver: Receiver, endpoint: WebhookEndpoint, clock: Clock
    ) -> None:
        receiver.status = 503
        tell(session, "poll.created", subject="poll:1")
        tell(session, "poll.created", subject="poll:2")
        fail_until_paused(session, worker, clock, endpoint)
        tell(session, "poll.edited", subject="poll:1")
        tell(session, "poll.closed", subject="poll:2")
        tell(session, "poll.closed", subject="poll:1")
        worker.look()
        receiver.received.clear()
        receiver.status = 204

        edit(session, endpoint, clock(), state="active")
        worker.look()

        # Between subjects there is no order: two are on their way at once.
        for subject in ("poll:1", "poll:2"):
            numbers = [str(each.key) for each in events(session) if each.subject == subject]
            assert [each.id for each in receiver.received if each.id in numbers] == numbers
        assert len(receiver.received) == len(events(session))
        assert {each.attempts for each in messages(session)} == {1}
        assert (fresh(session, endpoint).failures, endpoint.paused_at, endpoint.paused_because) == (
            0,
            None,
            None,
        )

    @pytest.mark.parametrize("by_hand", [True, False], ids=["by hand", "after failures"])
    def test_what_waits_is_out_of_the_way(
        self,
        session: Session,
        worker: Worker,
        receiver: Receiver,
        endpoint: WebhookEndpoint,
        *,
        by_hand: bool,
    ) -> None:
        """Whoever looks for what is due would walk over all of it, each time."""
        receiver.status = 500 if by_hand else 410
        for kind in ("poll.created", "poll.edited", "poll.closed"):
            tell(session, kind)
        worker.look()
        if by_hand:
            edit(session, endpoint, datetime.now(UTC), state="paused")

        assert fresh(session, endpoint).state == "paused"
        assert [each.available_at for each in messages(session)] == [NEVER] * 3

    def test_one_that_still_fails_is_paused_again_only_after_the_hour(
        self, session: Session, worker: Worker, receiver: Receiver, endpoint: WebhookEndpoint, clock: Clock
    ) -> None:
        receiver.status = 503
        tell(session)
        fail_until_paused(session, worker, clock, endpoint)

        edit(session, endpoint, clock(), state="active")
        worker.look()

        assert (fresh(session, endpoint).state, endpoint.failures) == ("active", 1)

    def test_a_test_is_sent_though_it_is_paused(
        self, session: Session, worker: Worker, receiver: Receiver, endpoint: WebhookEndpoint, clock: Clock
    ) -> None:
        tell(session)
        worker.look()
        edit(session, endpoint, clock(), state="paused")
        tell(session)
        hooks.try_endpoint(session, endpoint.id, actor="test", now=clock())
        session.commit()

        worker.look()

        assert receiver.kinds == ["poll.created", "webhook.test"]
        assert fresh(session, endpoint).state == "paused"

    def test_a_test_that_fails_is_not_repeated(
        self, session: Session, worker: Worker, receiver: Receiver, endpoint: WebhookEndpoint, clock: Clock
    ) -> None:
        receiver.status = 500
        hooks.try_endpoint(session, endpoint.id, actor="test", now=clock())
        session.commit()
        worker.look()
        edit(session, endpoint, clock(), url="http://127.0.0.1:1/")
        hooks.try_endpoint(session, endpoint.id, actor="test", now=clock())
        session.commit()
        worker.look()

        assert [(each.state, each.reason) for each in messages(session)] == [
            ("dead", "The endpoint answered 500."),
            ("dead", "The host was not reached: Connection refused."),
        ]


class TestEditing:
    def test_a_new_address_gets_what_waited(
        self, session: Session, worker: Worker, receiver: Receiver, endpoint: WebhookEndpoint, clock: Clock
    ) -> None:
        receiver.status = 500
        tell(session)
        worker.look()
        with receiving() as moved:
            edit(session, endpoint, clock(), url=moved.url)
            worker.look()

        assert moved.kinds == ["poll.created"]
        assert fresh(session, endpoint).failures == 0

    def test_what_is_so_already_changes_nothing(
        self, session: Session, endpoint: WebhookEndpoint, clock: Clock
    ) -> None:
        edit(session, endpoint, clock(), state="active", event_types=["*", "*"], url=endpoint.url)

        assert fresh(session, endpoint).version == 1
        assert actions(session) == ["webhook.created"]

    def test_by_somebody_who_read_it_before_it_was_paused_is_refused(
        self, session: Session, worker: Worker, receiver: Receiver, endpoint: WebhookEndpoint, clock: Clock
    ) -> None:
        receiver.status = 410
        tell(session)
        worker.look()
        session.rollback()

        with pytest.raises(StaleVersion) as refusal:
            hooks.edit_endpoint(
                session, Outgoing(), endpoint.id, {"description": "x"}, version=1, actor="test", now=clock()
            )

        assert refusal.value.extra["current"] == {"version": 2, "state": "paused"}

    @pytest.mark.parametrize(
        "url",
        ["http://hooks.example/", "https://127.0.0.1/", "https://localhost/", "https://hooks.example/#x"],
    )
    def test_addresses_that_nothing_is_sent_to_are_refused(
        self, session: Session, endpoint: WebhookEndpoint, clock: Clock, url: str
    ) -> None:
        with pytest.raises(Invalid) as refusal:
            hooks.edit_endpoint(
                session, Outgoing(), endpoint.id, {"url": url}, version=1, actor="test", now=clock()
            )

        assert list(refusal.value.fields) == ["url"]

    def test_the_audit_log_knows_the_host_and_no_path(
        self, session: Session, endpoint: WebhookEndpoint, clock: Clock
    ) -> None:
        edit(session, endpoint, clock(), url="http://127.0.0.1:1/another-secret", event_types=["poll.*"])

        last = session.scalars(select(AuditEntry).order_by(AuditEntry.id.desc())).first()
        assert last is not None
        assert last.detail["has_new_url"] is True
        assert last.detail["before"]["event_types"] == ["*"]
        assert last.detail["after"]["event_types"] == ["poll.*"]
        assert last.detail["after"]["host"] == "127.0.0.1"
        assert "secret" not in repr(last.detail)

    def test_address_and_secret_are_stored_encrypted(
        self, session: Session, endpoint: WebhookEndpoint
    ) -> None:
        row = repr(session.execute(select(WebhookEndpoint.__table__)).all()[0])
        raw = repr(
            [
                bytes(each)
                for each in session.connection()
                .exec_driver_sql("SELECT url, secret FROM webhook_endpoint")
                .one()
            ]
        )

        assert "with-a-secret" in row
        assert "with-a-secret" not in raw
        assert str(endpoint.secret) not in raw


class TestRemoving:
    @pytest.mark.parametrize("state", ["active", "paused"])
    def test_what_waits_is_given_up(
        self, session: Session, worker: Worker, receiver: Receiver, endpoint: WebhookEndpoint, state: str
    ) -> None:
        receiver.status = 500
        tell(session)
        worker.look()
        edit(session, endpoint, datetime.now(UTC), state=state)
        tell(session)
        worker.look()
        receiver.received.clear()

        hooks.remove_endpoint(session, endpoint.id, actor="test", now=datetime.now(UTC))
        session.commit()
        worker.look()

        assert [(each.state, each.reason) for each in messages(session)] == [
            ("dead", "The endpoint was removed.")
        ] * 2
        assert receiver.received == []

    def test_leaves_its_audit_row(self, session: Session, endpoint: WebhookEndpoint, clock: Clock) -> None:
        hooks.remove_endpoint(session, endpoint.id, actor="chief", now=clock())

        assert actions(session) == ["webhook.created"]  # not committed
        hooks.remove_endpoint(session, endpoint.id, actor="chief", now=clock())
        session.commit()
        assert actions(session) == ["webhook.created", "webhook.removed"]


class TestErasure:
    def test_what_was_erased_while_it_was_claimed_is_not_sent(
        self, session: Session, worker: Worker, receiver: Receiver, endpoint: WebhookEndpoint, clock: Clock
    ) -> None:
        deliver = worker.transports["webhook"]

        def erase_first(message: OutboxMessage, now: datetime) -> int | None:
            forget_subject(session, "subscriber:1")
            session.commit()
            return deliver(message, now)

        worker.transports = {"webhook": erase_first}
        tell(session, "consent.confirmed", subject="subscriber:1", data={"email": "ada@reader.example"})

        worker.look()

        assert receiver.received == []
        assert (messages(session), events(session)) == ([], [])
        assert session.scalars(select(OutboxAttempt)).all() == []

    def test_an_erasure_arrives_after_a_minute(
        self, session: Session, worker: Worker, receiver: Receiver, endpoint: WebhookEndpoint, clock: Clock
    ) -> None:
        consent_id = str(uuid.uuid4())
        tell(session, "consent.erased", subject=f"consent:{consent_id}", data={"consent_id": consent_id})
        worker.look()
        assert receiver.received == []

        clock.forward(AFTER_DELIVERIES)
        worker.look()

        assert [each.told["data"] for each in receiver.received] == [{"consent_id": consent_id}]


class TestManyAtOnce:
    def test_an_endpoint_that_hangs_does_not_keep_the_others_waiting(
        self, session: Session, worker: Worker, receiver: Receiver, clock: Clock
    ) -> None:
        released = threading.Event()

        def hang(_connection: socket.socket) -> None:
            released.wait(20)

        with serving(hang) as port:
            hanging = make_endpoint(session, f"http://127.0.0.1:{port}/")
            for number in range(10):
                tell(session, subject=f"poll:{number}")
            threads = [threading.Thread(target=worker.look) for _ in range(AT_ONCE)]
            for thread in threads:
                thread.start()
            wait_for(lambda: len(busy(session, hanging)) >= AT_ONCE_TO_ONE)
            session.rollback()
            make_endpoint(session, receiver.url)
            tell(session, "poll.closed", subject="poll:late")
            threads.append(threading.Thread(target=worker.look))
            threads[-1].start()
            wait_for(lambda: receiver.kinds == ["poll.closed"])

            assert len(busy(session, hanging)) == AT_ONCE_TO_ONE
            worker.stop()
            released.set()
        for thread in threads:
            thread.join()

    def test_endpoints_that_fail_leave_a_place_to_one_that_does_not(
        self, session: Session, worker: Worker, receiver: Receiver, clock: Clock
    ) -> None:
        released = threading.Event()

        def hang(_connection: socket.socket) -> None:
            released.wait(20)

        with serving(hang) as port:
            for _ in range(AT_ONCE):
                failing = make_endpoint(session, f"http://127.0.0.1:{port}/", event_types=["poll.created"])
                failing.failures, failing.failing_since = 1, clock()
            tell(session)
            worker.attend()
            threads = worker.deliver()
            wait_for(lambda: len(under_way(session, "poll.created")) == AT_ONCE - 1)
            session.rollback()
            make_endpoint(session, receiver.url, event_types=["poll.closed"])
            tell(session, "poll.closed", subject="poll:late")
            worker.attend()
            threads += worker.deliver()
            wait_for(lambda: receiver.kinds == ["poll.closed"])

            assert len(under_way(session, "poll.created")) == AT_ONCE - 1
            worker.stop()
            released.set()
        for thread in threads:
            thread.join()

    def test_many_workers_send_each_once_and_in_order(
        self,
        session: Session,
        settings: Settings,
        receiver: Receiver,
        endpoint: WebhookEndpoint,
        clock: Clock,
    ) -> None:
        for number in range(60):
            tell(session, subject=f"poll:{number % 4}", data={"number": number})
        with working(settings, clock) as first, working(settings, clock) as second:
            threads = [threading.Thread(target=each.look) for each in (first, second, first, second)]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
            first.look()

        numbers = [each.told["data"]["number"] for each in receiver.received]
        assert sorted(numbers) == list(range(60))
        for subject in range(4):
            ours = [number for number in numbers if number % 4 == subject]
            assert ours == sorted(ours)


def busy(session: Session, endpoint: WebhookEndpoint) -> list[OutboxMessage]:
    return [each for each in messages(session, endpoint) if each.lease is not None]


def under_way(session: Session, kind: str) -> list[OutboxMessage]:
    return [each for each in messages(session) if each.kind == kind and each.lease is not None]


def wait_for(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)
