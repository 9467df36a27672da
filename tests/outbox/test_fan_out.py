"""Each event becomes a message for each endpoint that wants to know, once and in order."""

import threading
import uuid
from datetime import datetime, timedelta
from typing import Any

import pytest
import sqlalchemy as sa
from sqlalchemy import event as sa_event
from sqlalchemy.orm import Session

from pollsvc.outbox import hooks
from pollsvc.outbox.delivery import claim
from pollsvc.outbox.fan_out import AFTER_DELIVERIES, STEP, fan_out, is_fan_out_due, matches, replay
from pollsvc.outbox.models import OutboxEvent, WebhookAcknowledgement, WebhookEndpoint
from pollsvc.outbox.pausing import NEVER
from pollsvc.outbox.service import EVENT_KINDS, forget_subject
from tests.databases import wait_for_a_waiter
from tests.factories import make_site
from tests.outbox.endpoints import events, make_endpoint, messages, tell


def spread(session: Session, now: datetime) -> None:
    """Fan everything out."""
    while fan_out(session, now):
        session.commit()
    session.commit()


class TestMatches:
    @pytest.mark.parametrize(
        ("event_types", "kind", "expected"),
        [
            (["*"], "poll.created", True),
            (["poll.*"], "poll.created", True),
            (["poll.created"], "poll.created", True),
            (["consent.*", "poll.created"], "poll.created", True),
            (["poll.closed"], "poll.created", False),
            (["pol*"], "poll.created", False),
            (["consent.*"], "poll.created", False),
            (["poll"], "poll.created", False),
            ([], "poll.created", False),
        ],
    )
    def test_is_by_name_by_object_or_everything(
        self, event_types: list[str], kind: str, expected: bool
    ) -> None:
        assert matches(event_types, kind) is expected


class TestFanOut:
    def test_each_endpoint_that_wants_it_gets_a_message(self, session: Session, now: datetime) -> None:
        polls = make_endpoint(session, event_types=["poll.*"])
        everything = make_endpoint(session)
        make_endpoint(session, event_types=["consent.*"])
        tell(session)

        spread(session, now)

        first, second = messages(session)
        (event,) = events(session)
        assert {first.endpoint_id, second.endpoint_id} == {polls.id, everything.id}
        assert event.is_fanned_out
        assert (first.channel, first.kind, first.state, first.payload) == (
            "webhook",
            "poll.created",
            "pending",
            None,
        )
        assert first.delivery_key == f"webhook {first.endpoint_id} {event.id}"
        assert (first.subject, first.lane) == ("poll:1", f"webhook {first.endpoint_id} poll:1")
        assert (first.event_id, first.available_at) == (event.id, now)

    def test_an_endpoint_of_a_site_is_told_of_that_site(self, session: Session, now: datetime) -> None:
        ours, theirs = make_site(session), make_site(session, name="Other", origins=["https://other.example"])
        endpoint = make_endpoint(session, site_id=ours.id)
        tell(session, site_id=ours.id, subject="poll:ours")
        tell(session, site_id=theirs.id, subject="poll:theirs")
        tell(session, site_id=None, subject="poll:nobody")

        spread(session, now)

        assert [each.subject for each in messages(session, endpoint)] == ["poll:ours"]

    def test_happens_once(self, session: Session, now: datetime) -> None:
        make_endpoint(session)
        tell(session)

        spread(session, now)
        spread(session, now)

        assert len(messages(session)) == 1
        assert not is_fan_out_due(session)

    def test_an_event_that_nobody_wants_is_done_with(self, session: Session, now: datetime) -> None:
        tell(session)
        assert is_fan_out_due(session)

        spread(session, now)

        assert messages(session) == []
        assert not is_fan_out_due(session)

    def test_an_endpoint_made_later_is_not_told_of_what_was(self, session: Session, now: datetime) -> None:
        tell(session)
        spread(session, now)

        make_endpoint(session)
        session.commit()
        spread(session, now)

        assert messages(session) == []

    def test_what_was_undone_leaves_no_message(self, session: Session, now: datetime) -> None:
        make_endpoint(session)
        tell(session)

        fan_out(session, now)
        session.rollback()

        assert messages(session) == []
        assert is_fan_out_due(session)

    def test_messages_stand_in_the_order_of_the_events(self, session: Session, now: datetime) -> None:
        endpoint = make_endpoint(session)
        for number in range(STEP + 5):
            tell(session, subject=f"poll:{number % 3}")

        assert fan_out(session, now)
        session.commit()
        spread(session, now)

        numbers = [each.event_id for each in messages(session, endpoint)]
        assert numbers == sorted(each.id for each in events(session))

    def test_what_is_told_is_not_decrypted_for_it(
        self, session: Session, now: datetime, engine: sa.Engine
    ) -> None:
        make_endpoint(session)
        tell(session)
        asked: list[str] = []

        def note(*seen: Any) -> None:
            asked.append(seen[2])

        sa_event.listen(engine, "before_cursor_execute", note)
        fan_out(session, now)
        sa_event.remove(engine, "before_cursor_execute", note)

        selected = [each for each in asked if each.startswith("SELECT") and "FROM outbox_event" in each]
        assert selected
        assert not any("outbox_event.data" in each for each in selected)

    def test_waits_for_a_paused_endpoint(self, session: Session, now: datetime) -> None:
        endpoint = make_endpoint(session)
        endpoint.state = "paused"
        tell(session)

        spread(session, now)

        (message,) = messages(session)
        assert message.available_at == NEVER
        assert claim(session, uuid.uuid4(), now + timedelta(days=999), "webhook") is None

    def test_a_removed_endpoint_gets_nothing(self, session: Session, now: datetime) -> None:
        endpoint = make_endpoint(session)
        hooks.remove_endpoint(session, endpoint.id, actor="test", now=now)
        tell(session)

        spread(session, now)

        assert messages(session) == []

    def test_an_erasure_is_told_after_what_was_under_way(self, session: Session, now: datetime) -> None:
        make_endpoint(session)
        consent_id = str(uuid.uuid4())
        tell(session, "consent.erased", subject=f"consent:{consent_id}", data={"consent_id": consent_id})

        spread(session, now)

        (message,) = messages(session)
        assert message.available_at == now + AFTER_DELIVERIES

    @pytest.mark.parametrize(
        ("event_types", "is_told"),
        [
            (["consent.confirmed", "consent.withdrawn"], True),
            (["consent.expired"], True),
            (["consent.erased"], True),
            (["consent.*"], True),
            (["*"], True),
            (["poll.*", "correction.received"], False),
        ],
    )
    def test_an_erasure_is_told_to_whoever_hears_of_persons(
        self, session: Session, now: datetime, event_types: list[str], is_told: bool
    ) -> None:
        make_endpoint(session, event_types=event_types)
        consent_id = str(uuid.uuid4())
        tell(session, "consent.erased", subject=f"consent:{consent_id}", data={"consent_id": consent_id})

        spread(session, now)

        assert [each.kind for each in messages(session)] == ["consent.erased"] * is_told

    def test_an_erasure_is_told_to_whoever_knew_of_the_person(self, session: Session, now: datetime) -> None:
        knew = make_endpoint(session, event_types=["poll.*"])
        make_endpoint(session, event_types=["poll.*"])
        consent_id = uuid.uuid4()
        session.add(
            WebhookAcknowledgement(
                endpoint_id=knew.id,
                consent_id=consent_id,
                kind="consent.confirmed",
                event_id=1,
                occurred_at=now,
                acknowledged_at=now,
            )
        )
        data = {"consent_id": str(consent_id)}
        tell(session, "consent.erased", subject=f"consent:{consent_id}", data=data)

        spread(session, now)

        assert [each.endpoint_id for each in messages(session)] == [knew.id]

    # SQLite has one writer at a time anyway.
    @pytest.mark.parametrize("database", ["postgresql"], indirect=True)
    def test_an_erasure_does_not_wait_for_an_endpoint(
        self, session: Session, engine: sa.Engine, now: datetime
    ) -> None:
        """Who has the endpoint locked may wait for a consent that the erasure has."""
        endpoint = make_endpoint(session)
        tell(session, subject="subscriber:1")
        hooks.get_endpoint(session, endpoint.id, is_locked=True)

        def spread_too() -> None:
            with Session(engine) as other:
                spread(other, now)

        spreading = threading.Thread(target=spread_too)
        spreading.start()
        wait_for_a_waiter(engine)
        with Session(engine) as erasing:
            erasing.execute(sa.text("SET LOCAL lock_timeout = '5s'"))
            forget_subject(erasing, "subscriber:1")
            erasing.commit()
        session.commit()
        spreading.join()

        assert messages(session) == []

    # SQLite has one writer at a time anyway.
    @pytest.mark.parametrize("database", ["postgresql"], indirect=True)
    def test_one_worker_at_a_time(self, session: Session, engine: sa.Engine, now: datetime) -> None:
        make_endpoint(session)
        tell(session)
        fan_out(session, now)

        with Session(engine) as other:
            assert fan_out(other, now) is False
            assert [each.is_fanned_out for each in events(other)] == [False]

        session.commit()
        assert len(messages(session)) == 1


class TestForgetSubject:
    def test_takes_events_and_their_messages(self, session: Session, now: datetime) -> None:
        make_endpoint(session)
        tell(session, "consent.confirmed", subject="subscriber:1", data={"email": "ada@reader.example"})
        tell(session, "consent.confirmed", subject="subscriber:2", data={"email": "ben@reader.example"})
        spread(session, now)
        tell(session, "consent.withdrawn", subject="subscriber:1", data={"email": "ada@reader.example"})

        forget_subject(session, "subscriber:1")
        session.commit()

        assert [each.subject for each in events(session)] == ["subscriber:2"]
        assert [each.subject for each in messages(session)] == ["subscriber:2"]

    # SQLite has one writer at a time anyway.
    @pytest.mark.parametrize("database", ["postgresql"], indirect=True)
    def test_what_is_being_forgotten_is_not_fanned_out(
        self, session: Session, engine: sa.Engine, now: datetime
    ) -> None:
        make_endpoint(session)
        tell(session, subject="subscriber:1")
        tell(session, subject="poll:2")
        with Session(engine) as other:
            forget_subject(other, "subscriber:1")

            spread(session, now)
            other.commit()

        assert [each.subject for each in messages(session)] == ["poll:2"]


class TestReplay:
    @pytest.fixture
    def endpoint(self, session: Session, now: datetime) -> WebhookEndpoint:
        """An endpoint, to which five events were delivered."""
        made = make_endpoint(session, event_types=["poll.*", "consent.confirmed"])
        for number, kind in enumerate(
            ["poll.created", "poll.edited", "consent.confirmed", "consent.withdrawn", "poll.closed"]
        ):
            tell(session, kind, data={"consent_id": str(uuid.uuid4())}, now=now + timedelta(minutes=number))
        spread(session, now)
        for message in messages(session):
            message.state = "delivered"
        session.commit()
        return made

    def again(
        self,
        session: Session,
        endpoint: WebhookEndpoint,
        now: datetime,
        *,
        after: OutboxEvent | None = None,
        since: datetime | None = None,
        event_types: list[str] | None = None,
    ) -> list[str]:
        """Replay, and tell what is pending then."""
        replay(session, endpoint, after=after, since=since, event_types=event_types, now=now)
        session.commit()
        return [each.kind for each in messages(session) if each.state == "pending"]

    def test_sends_what_came_after_an_event(
        self, session: Session, endpoint: WebhookEndpoint, now: datetime
    ) -> None:
        first = events(session)[0]

        assert self.again(session, endpoint, now, after=first) == [
            "poll.edited",
            "consent.confirmed",
            "poll.closed",
        ]

    def test_sends_what_happened_since_a_time(
        self, session: Session, endpoint: WebhookEndpoint, now: datetime
    ) -> None:
        since = now + timedelta(minutes=2)

        assert self.again(session, endpoint, now, since=since) == ["consent.confirmed", "poll.closed"]

    def test_sends_some_kinds_only(self, session: Session, endpoint: WebhookEndpoint, now: datetime) -> None:
        assert self.again(session, endpoint, now, since=now, event_types=["consent.*"]) == [
            "consent.confirmed"
        ]

    def test_sends_only_what_the_endpoint_takes(
        self, session: Session, endpoint: WebhookEndpoint, now: datetime
    ) -> None:
        assert self.again(session, endpoint, now, since=now, event_types=["consent.withdrawn"]) == []

    def test_what_still_waits_comes_once_and_in_its_place(
        self, session: Session, endpoint: WebhookEndpoint, now: datetime
    ) -> None:
        last = messages(session)[-1]
        last.state = "pending"
        session.commit()

        pending = self.again(session, endpoint, now, since=now)

        assert pending == ["poll.created", "poll.edited", "consent.confirmed", "poll.closed"]

    def test_what_was_not_fanned_out_yet_comes_by_itself(
        self, session: Session, endpoint: WebhookEndpoint, now: datetime
    ) -> None:
        tell(session, "poll.withdrawn", now=now)

        assert "poll.withdrawn" not in self.again(session, endpoint, now, since=now)
        spread(session, now)
        assert [each.kind for each in messages(session)].count("poll.withdrawn") == 1

    def test_to_an_endpoint_of_a_site_sends_that_site(self, session: Session, now: datetime) -> None:
        site = make_site(session)
        endpoint = make_endpoint(session, site_id=site.id)
        tell(session, site_id=site.id, subject="poll:ours")
        tell(session, site_id=None, subject="poll:other")
        spread(session, now)

        replay(session, endpoint, after=None, since=now - timedelta(days=9), event_types=None, now=now)
        session.commit()

        assert {each.subject for each in messages(session)} == {"poll:ours"}

    def test_many_come_in_steps(
        self, session: Session, endpoint: WebhookEndpoint, now: datetime, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("pollsvc.outbox.fan_out.MOST_REPLAYED", 2)
        sent: list[int] = []
        after: OutboxEvent | None = None
        while True:
            count, key = replay(
                session, endpoint, after=after, since=None if after else now, event_types=None, now=now
            )
            sent.append(count)
            if key is None:
                break
            after = session.scalars(sa.select(OutboxEvent).where(OutboxEvent.key == key)).one()
        session.commit()

        assert sent == [2, 2]
        pending = [each.kind for each in messages(session) if each.state == "pending"]
        assert pending == ["poll.created", "poll.edited", "consent.confirmed", "poll.closed"]


class TestEventKinds:
    def test_a_vote_is_none(self) -> None:
        """Promise 7: nothing tells when somebody voted."""
        assert {kind.partition(".")[0] for kind in EVENT_KINDS} == {
            "consent",
            "correction",
            "poll",
            "comment",
        }
