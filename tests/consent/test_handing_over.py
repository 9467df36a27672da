"""Consents are handed on to the publisher's endpoints, and a report tells what has not arrived."""

import uuid
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import sqlalchemy as sa
from flask.testing import FlaskClient
from sqlalchemy import delete, select
from sqlalchemy.orm import Session

from pollsvc.articles.models import Site
from pollsvc.config import Settings
from pollsvc.consent.handing_over import Outstanding, list_outstanding, send_outstanding, tell
from pollsvc.consent.links import Links
from pollsvc.consent.models import Confirmation, Consent, ConsentText, Kind, Mode, Subscriber
from pollsvc.consent.service import take_sign_up, withdraw
from pollsvc.consent.signing_up import Desk, process_sign_up
from pollsvc.consent.states import note
from pollsvc.consent.texts import publish_text
from pollsvc.keys import Keys
from pollsvc.outbox.models import (
    OutboxAttempt,
    OutboxEvent,
    OutboxMessage,
    WebhookAcknowledgement,
    WebhookEndpoint,
)
from pollsvc.outbox.service import announce, forget_subject
from pollsvc.worker import Worker
from tests.consent.logins import SECRET, account_token
from tests.factories import ARTICLE_URL, make_site
from tests.outbox.endpoints import Clock, make_endpoint, messages, working
from tests.outbox.receiver import Receiver, receiving
from tests.web.problems import fields_of

BODY = "Send me the newsletter of The Harbour Gazette. It is free, and I may leave at any time by the link in each mail."


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
def links(keys: Keys) -> Links:
    return Links("http://localhost", "localhost", keys)


@pytest.fixture
def text(session: Session) -> ConsentText:
    site = make_site(session)
    made = publish_text(
        session, site_id=site.id, body=BODY, actor="test", now=datetime(2026, 3, 1, tzinfo=UTC)
    )
    session.commit()
    return made


@pytest.fixture
def endpoint(session: Session, receiver: Receiver) -> WebhookEndpoint:
    made = make_endpoint(session, receiver.url, event_types=["consent.*"])
    session.commit()
    return made


@pytest.fixture
def give(session: Session, text: ConsentText, links: Links, clock: Clock) -> Callable[..., Consent]:
    """Sign somebody up, and confirm; the endpoints are told, and everything is committed."""

    def act(email: str = "ada@reader.example") -> Consent:
        now = clock()
        sign_up = take_sign_up(
            session,
            links.keys,
            text_id=text.id,
            email=email,
            article_url=ARTICLE_URL,
            origin=None,
            is_suspect=False,
            now=now,
        )
        process_sign_up(session, Desk(links), sign_up.id, now)
        consent = session.scalars(
            select(Consent).join(Subscriber).where(Subscriber.email_hash == sign_up.email_hash)
        ).one()
        note(session, consent, Kind.CONFIRMED, text=text, method="mail_link", now=now)
        tell(session, links, consent, "consent.confirmed", now)
        session.commit()
        return consent

    return act


def report(session: Session, endpoint: WebhookEndpoint) -> list[Outstanding]:
    session.rollback()
    session.expire_all()
    return list_outstanding(session, endpoint, after=None, limit=100)


def kinds(session: Session, endpoint: WebhookEndpoint) -> list[tuple[uuid.UUID, str]]:
    return [(each.consent_id, each.kind) for each in report(session, endpoint)]


def erase(session: Session, consent: Consent, now: datetime) -> None:
    """What forgetting a person does here, as far as endpoints go."""
    consent_id, subscriber_id, site_id = consent.id, consent.subscriber_id, consent.site_id
    forget_subject(session, f"subscriber:{subscriber_id}")
    session.execute(delete(Consent).where(Consent.id == consent_id))
    session.execute(delete(Subscriber).where(Subscriber.id == subscriber_id))
    data = {"consent_id": str(consent_id)}
    announce(session, "consent.erased", site_id=site_id, subject=f"consent:{consent_id}", data=data, now=now)
    session.commit()


class TestTell:
    def test_hands_over_who_agreed_to_what_and_how_to_leave(
        self,
        give: Callable[..., Consent],
        worker: Worker,
        receiver: Receiver,
        endpoint: WebhookEndpoint,
        text: ConsentText,
    ) -> None:
        consent = give()

        worker.look()

        (received,) = receiver.received
        assert received.kind == "consent.confirmed"
        told = received.told["data"]
        assert told.pop("unsubscribe_url").startswith("http://localhost/unsubscribe/")
        assert told == {
            "consent_id": str(consent.id),
            "site_id": str(text.site_id),
            "purpose": "newsletter",
            "state": "active",
            "email": "ada@reader.example",
            "locale": "en",
            "text": {"id": str(text.id), "version": text.version, "hash": text.body_hash.hex()},
            "mode": "explicit",
            "is_gdpr_consent": True,
            "confirmed_at": consent.confirmed_at.isoformat() if consent.confirmed_at else None,
            "changed_at": consent.changed_at.isoformat(),
        }

    def test_a_consent_of_an_account_is_handed_over_when_it_begins(
        self, session: Session, text: ConsentText, links: Links, clock: Clock
    ) -> None:
        session.get_one(Site, text.site_id).login_key = SECRET
        account = publish_text(
            session,
            site_id=text.site_id,
            body=BODY,
            mode=Mode.SOFT_OPT_IN,
            actor="test",
            now=clock(),
        )
        sign_up = take_sign_up(
            session,
            links.keys,
            text_id=account.id,
            email="ada@reader.example",
            article_url=ARTICLE_URL,
            origin=None,
            is_suspect=False,
            now=clock(),
            method="account",
            account_token=account_token(exp=int(clock().timestamp()) + 600),
        )

        process_sign_up(session, Desk(links), sign_up.id, clock())

        event = session.scalars(select(OutboxEvent)).one()
        assert event.kind == "consent.confirmed"
        assert '"is_gdpr_consent":false' in str(event.data)

    def test_nothing_personal_is_kept_in_the_clear(
        self, give: Callable[..., Consent], session: Session
    ) -> None:
        give()

        rows = session.connection().exec_driver_sql("SELECT data FROM outbox_event").all()

        assert rows
        assert not any(b"ada" in bytes(row[0]) for row in rows)


class TestListOutstanding:
    def test_is_empty_when_everything_was_acknowledged(
        self, give: Callable[..., Consent], session: Session, worker: Worker, endpoint: WebhookEndpoint
    ) -> None:
        give()
        worker.look()

        assert report(session, endpoint) == []

    def test_names_what_the_endpoint_did_not_take(
        self,
        give: Callable[..., Consent],
        session: Session,
        worker: Worker,
        receiver: Receiver,
        endpoint: WebhookEndpoint,
    ) -> None:
        receiver.status = 500
        consent = give()
        worker.look()

        (item,) = report(session, endpoint)

        assert (item.consent_id, item.kind, item.since) == (
            consent.id,
            "consent.confirmed",
            consent.confirmed_at,
        )
        assert (item.delivery, item.attempts, item.reason) == ("pending", 1, "The endpoint answered 500.")

    def test_names_what_was_given_up(
        self,
        give: Callable[..., Consent],
        session: Session,
        worker: Worker,
        receiver: Receiver,
        endpoint: WebhookEndpoint,
    ) -> None:
        receiver.status = 500
        give()
        worker.look()
        (message,) = messages(session)
        message.state = "dead"
        session.commit()

        assert [each.delivery for each in report(session, endpoint)] == ["dead"]

    def test_names_active_consents_that_were_never_sent(
        self, give: Callable[..., Consent], session: Session, worker: Worker, receiver: Receiver
    ) -> None:
        consent = give()
        worker.look()
        late = make_endpoint(session, receiver.url)
        session.commit()
        worker.look()

        (item,) = report(session, late)

        assert (item.consent_id, item.kind, item.since) == (
            consent.id,
            "consent.confirmed",
            consent.confirmed_at,
        )
        assert (item.delivery, item.attempts, item.reason) == (None, 0, None)

    def test_knows_what_was_acknowledged_after_messages_and_events_are_gone(
        self, give: Callable[..., Consent], session: Session, worker: Worker, endpoint: WebhookEndpoint
    ) -> None:
        give()
        worker.look()
        for model in (OutboxAttempt, OutboxMessage, OutboxEvent):
            session.execute(delete(model))
        session.commit()

        assert report(session, endpoint) == []

    def test_a_withdrawal_is_outstanding_until_it_is_acknowledged(
        self,
        give: Callable[..., Consent],
        session: Session,
        worker: Worker,
        endpoint: WebhookEndpoint,
        links: Links,
    ) -> None:
        consent = give()
        worker.look()
        withdraw(session, links, consent, method="one_click", now=datetime.now(UTC))
        session.commit()
        before = kinds(session, endpoint)
        worker.look()

        assert before == [(consent.id, "consent.withdrawn")]
        assert report(session, endpoint) == []

    def test_a_withdrawal_of_what_was_never_handed_over_is_not_owed(
        self, give: Callable[..., Consent], session: Session, endpoint: WebhookEndpoint, links: Links
    ) -> None:
        consent = give()
        withdraw(session, links, consent, method="one_click", now=datetime.now(UTC))
        session.commit()

        assert report(session, endpoint) == []

    def test_one_who_comes_back_is_news(
        self,
        give: Callable[..., Consent],
        session: Session,
        worker: Worker,
        endpoint: WebhookEndpoint,
        clock: Clock,
    ) -> None:
        consent = give()
        worker.look()
        clock.forward(timedelta(hours=1))
        note(session, consent, Kind.RENEWED, text=consent.text, method="mail_link", now=clock())
        session.commit()

        assert kinds(session, endpoint) == [(consent.id, "consent.confirmed")]

    @pytest.mark.parametrize(
        "case",
        [
            (Kind.EXPIRED, "consent.expired"),
            (Kind.SUPPRESSED, "consent.withdrawn"),
            (Kind.REQUESTED, "consent.withdrawn"),
        ],
    )
    def test_each_end_that_the_endpoint_does_not_know_of_is_owed(
        self,
        give: Callable[..., Consent],
        session: Session,
        worker: Worker,
        endpoint: WebhookEndpoint,
        case: tuple[Kind, str],
    ) -> None:
        kind, owed = case
        consent = give()
        worker.look()
        note(session, consent, kind, text=consent.text, method="system", now=datetime.now(UTC))
        session.commit()

        assert kinds(session, endpoint) == [(consent.id, owed)]

    def test_an_erasure_is_owed_until_it_is_acknowledged(
        self,
        give: Callable[..., Consent],
        session: Session,
        worker: Worker,
        endpoint: WebhookEndpoint,
        clock: Clock,
    ) -> None:
        consent = give()
        worker.look()
        session.refresh(consent)
        consent_id = consent.id
        erase(session, consent, clock())
        worker.look()

        (item,) = report(session, endpoint)
        assert (item.consent_id, item.kind, item.delivery) == (consent_id, "consent.erased", "pending")
        clock.forward(timedelta(minutes=2))
        worker.look()
        assert report(session, endpoint) == []
        assert session.scalars(select(WebhookAcknowledgement)).all() == []

    def test_an_erasure_is_owed_to_whoever_knew_whatever_it_asks_for_today(
        self,
        give: Callable[..., Consent],
        session: Session,
        worker: Worker,
        endpoint: WebhookEndpoint,
        clock: Clock,
    ) -> None:
        consent = give()
        worker.look()
        session.refresh(consent)
        consent_id = consent.id
        erase(session, consent, clock())
        endpoint.event_types = ["poll.*"]
        session.commit()

        assert kinds(session, endpoint) == [(consent_id, "consent.erased")]

    def test_a_withdrawal_that_an_erasure_took_along_is_told_by_the_erasure(
        self,
        give: Callable[..., Consent],
        session: Session,
        worker: Worker,
        endpoint: WebhookEndpoint,
        links: Links,
    ) -> None:
        endpoint.event_types = ["consent.confirmed", "consent.withdrawn"]
        consent = give()
        worker.look()
        withdraw(session, links, consent, method="one_click", now=datetime.now(UTC))
        session.commit()
        consent_id = consent.id
        erase(session, consent, datetime.now(UTC))
        worker.look()

        assert [(each.kind, each.state) for each in messages(session)] == [("consent.erased", "pending")]
        assert kinds(session, endpoint) == [(consent_id, "consent.erased")]

    def test_what_is_sent_again_does_not_turn_back_what_is_known(
        self,
        give: Callable[..., Consent],
        session: Session,
        worker: Worker,
        endpoint: WebhookEndpoint,
        links: Links,
    ) -> None:
        consent = give()
        withdraw(session, links, consent, method="one_click", now=datetime.now(UTC))
        session.commit()
        worker.look()
        first = messages(session)[0]
        again = {
            name: getattr(first, name)
            for name in ("channel", "kind", "subject", "endpoint_id", "event_id", "created_at")
        }
        session.add(
            OutboxMessage(
                **again,
                lane="again",
                delivery_key="again",
                state="pending",
                attempts=0,
                available_at=first.created_at,
            )
        )
        session.commit()
        worker.look()

        assert session.scalars(select(WebhookAcknowledgement.kind)).all() == ["consent.withdrawn"]

    @pytest.mark.parametrize(
        ("event_types", "expected"),
        [
            (["consent.*"], ["consent.confirmed", "consent.withdrawn"]),
            (["*"], ["consent.confirmed", "consent.withdrawn"]),
            (["consent.withdrawn"], ["consent.withdrawn"]),
            (["consent.confirmed"], ["consent.confirmed"]),
            (["poll.*"], []),
        ],
    )
    def test_only_what_the_endpoint_wants_is_owed(
        self,
        give: Callable[..., Consent],
        session: Session,
        endpoint: WebhookEndpoint,
        event_types: list[str],
        expected: list[str],
    ) -> None:
        give("ada@reader.example")
        gone = give("ben@reader.example")
        session.add(
            WebhookAcknowledgement(
                endpoint_id=endpoint.id,
                consent_id=gone.id,
                kind="consent.confirmed",
                event_id=1,
                occurred_at=gone.confirmed_at,
                acknowledged_at=gone.confirmed_at,
            )
        )
        note(session, gone, Kind.WITHDRAWN, text=gone.text, method="one_click", now=datetime.now(UTC))
        endpoint.event_types = event_types
        session.commit()

        assert [kind for _, kind in kinds(session, endpoint)] == expected

    @pytest.mark.parametrize(
        "case",
        [
            (["consent.confirmed"], Kind.CONFIRMED, Kind.RENEWED, []),
            (["consent.confirmed", "consent.withdrawn"], Kind.CONFIRMED, Kind.RENEWED, []),
            (["consent.confirmed", "consent.renewed"], Kind.CONFIRMED, Kind.RENEWED, ["consent.confirmed"]),
            (["consent.renewed"], Kind.CONFIRMED, Kind.RENEWED, ["consent.renewed"]),
            (["consent.*"], Kind.CONFIRMED, Kind.RENEWED, ["consent.confirmed"]),
            (["consent.confirmed"], Kind.WITHDRAWN, Kind.IMPORTED, []),
            (["consent.imported"], Kind.WITHDRAWN, Kind.IMPORTED, ["consent.imported"]),
            (["consent.confirmed"], Kind.WITHDRAWN, Kind.CONFIRMED, ["consent.confirmed"]),
        ],
        ids=lambda case: f"{'+'.join(case[0])} {case[1]} {case[2]}",
    )
    def test_a_consent_given_anew_is_owed_by_the_kinds_that_the_endpoint_takes(
        self,
        give: Callable[..., Consent],
        session: Session,
        endpoint: WebhookEndpoint,
        clock: Clock,
        case: tuple[list[str], Kind, Kind, list[str]],
    ) -> None:
        event_types, first, then, expected = case
        consent = give()
        if first != Kind.CONFIRMED:
            note(session, consent, first, text=consent.text, method="x", now=clock())
        session.add(
            WebhookAcknowledgement(
                endpoint_id=endpoint.id,
                consent_id=consent.id,
                kind=f"consent.{first}",
                event_id=1,
                occurred_at=consent.changed_at,
                acknowledged_at=clock(),
            )
        )
        clock.forward(timedelta(hours=1))
        note(session, consent, then, text=consent.text, method="x", now=clock())
        endpoint.event_types = event_types
        session.commit()

        assert [kind for _, kind in kinds(session, endpoint)] == expected

    def test_one_that_the_endpoint_believes_ended_is_owed_though_clocks_differ(
        self, give: Callable[..., Consent], session: Session, endpoint: WebhookEndpoint
    ) -> None:
        consent = give()
        assert consent.confirmed_at
        session.add(
            WebhookAcknowledgement(
                endpoint_id=endpoint.id,
                consent_id=consent.id,
                kind="consent.withdrawn",
                event_id=1,
                # By the clock of a host that is ahead: it was confirmed after it was withdrawn.
                occurred_at=consent.confirmed_at + timedelta(seconds=2),
                acknowledged_at=consent.confirmed_at,
            )
        )
        session.commit()

        assert kinds(session, endpoint) == [(consent.id, "consent.confirmed")]

    @pytest.mark.parametrize(
        ("event_types", "expected"),
        [
            (["consent.confirmed"], ["consent.confirmed"]),
            (["consent.renewed", "consent.withdrawn"], []),
        ],
    )
    def test_a_new_endpoint_is_owed_what_was_given_in_a_way_that_it_takes(
        self,
        give: Callable[..., Consent],
        session: Session,
        endpoint: WebhookEndpoint,
        event_types: list[str],
        expected: list[str],
    ) -> None:
        give()
        endpoint.event_types = event_types
        session.commit()

        assert [kind for _, kind in kinds(session, endpoint)] == expected

    def test_an_endpoint_of_a_site_is_owed_that_site_s(
        self, give: Callable[..., Consent], session: Session, text: ConsentText
    ) -> None:
        consent = give()
        other_site = make_site(session, name="Other", origins=["https://other.example"])
        ours, theirs = (
            make_endpoint(session, site_id=text.site_id),
            make_endpoint(session, site_id=other_site.id),
        )
        session.commit()

        assert [each.consent_id for each in report(session, ours)] == [consent.id]
        assert report(session, theirs) == []

    def test_of_a_person_s_consents_each_stands_for_itself(
        self,
        give: Callable[..., Consent],
        session: Session,
        worker: Worker,
        receiver: Receiver,
        endpoint: WebhookEndpoint,
    ) -> None:
        """Their messages bear the same subject; which consent they are about, only the event knows."""
        first = give()
        worker.look()
        other = Consent(
            subscriber_id=first.subscriber_id,
            site_id=first.site_id,
            purpose="alerts",
            state="active",
            text_id=first.text_id,
            is_suspect=False,
            requested_at=first.requested_at,
            confirmed_at=first.confirmed_at,
            changed_at=first.changed_at,
        )
        session.add(other)
        session.commit()

        (item,) = report(session, endpoint)

        assert (item.consent_id, item.delivery) == (other.id, None)


class TestRoute:
    def test_pages_through_what_is_outstanding(
        self,
        give: Callable[..., Consent],
        session: Session,
        staff_client: FlaskClient,
        endpoint: WebhookEndpoint,
    ) -> None:
        consents = [give(f"reader-{number}@reader.example") for number in range(3)]
        path = f"/v1/webhooks/{endpoint.id}/outstanding?limit=2"

        first: dict[str, Any] = staff_client.get(path).get_json()
        second = staff_client.get(f"{path}&cursor={first['next_cursor']}").get_json()

        found = [each["consent_id"] for each in first["items"] + second["items"]]
        assert found == sorted(str(each.id) for each in consents)
        assert second["next_cursor"] is None
        assert first["items"][0].keys() == {"consent_id", "kind", "since", "delivery", "attempts", "reason"}

    def test_pages_through_erasures_too(
        self,
        give: Callable[..., Consent],
        session: Session,
        staff_client: FlaskClient,
        worker: Worker,
        endpoint: WebhookEndpoint,
    ) -> None:
        for number in range(3):
            give(f"reader-{number}@reader.example")
        worker.look()
        session.execute(delete(Confirmation))
        session.execute(delete(Consent))
        session.commit()
        path = f"/v1/webhooks/{endpoint.id}/outstanding?limit=2"

        first = staff_client.get(path).get_json()
        second = staff_client.get(f"{path}&cursor={first['next_cursor']}").get_json()

        assert [each["kind"] for each in first["items"] + second["items"]] == ["consent.erased"] * 3

    @pytest.mark.parametrize("cursor", ["x", "AAAA.BBBB"])
    def test_a_cursor_of_another_list_is_refused(
        self, staff_client: FlaskClient, endpoint: WebhookEndpoint, cursor: str
    ) -> None:
        response = staff_client.get(f"/v1/webhooks/{endpoint.id}/outstanding?cursor={cursor}")

        assert response.status_code == 422
        assert fields_of(response) == ["cursor"]


class TestSendOutstanding:
    def test_a_new_endpoint_gets_those_who_were_there_before_it(
        self,
        give: Callable[..., Consent],
        session: Session,
        staff_client: FlaskClient,
        worker: Worker,
        receiver: Receiver,
    ) -> None:
        consents = [give(f"reader-{number}@reader.example") for number in range(3)]
        with receiving() as other:
            make_endpoint(session, other.url)
            endpoint = make_endpoint(session, receiver.url)
            session.execute(delete(OutboxEvent))
            session.commit()
            path = f"/v1/webhooks/{endpoint.id}/outstanding"
            first = staff_client.post(path, json={"limit": 2}).get_json()
            second = staff_client.post(path, json={"limit": 2, "cursor": first["next_cursor"]}).get_json()
            worker.look()

        assert [(first["count"]), second["count"], second["next_cursor"]] == [2, 1, None]
        assert {each.told["data"]["consent_id"] for each in receiver.received} == {
            str(each.id) for each in consents
        }
        assert receiver.kinds == ["consent.confirmed"] * 3
        assert other.received == []
        assert report(session, endpoint) == []

    def test_what_is_under_way_is_not_sent_twice(
        self,
        give: Callable[..., Consent],
        staff_client: FlaskClient,
        worker: Worker,
        receiver: Receiver,
        endpoint: WebhookEndpoint,
    ) -> None:
        receiver.status = 500
        give()
        worker.look()

        answer = staff_client.post(f"/v1/webhooks/{endpoint.id}/outstanding").get_json()

        assert answer == {"count": 0, "next_cursor": None}

    def test_ends_are_told_too(
        self,
        give: Callable[..., Consent],
        session: Session,
        staff_client: FlaskClient,
        worker: Worker,
        endpoint: WebhookEndpoint,
    ) -> None:
        withdrawn, erased = give("ada@reader.example"), give("ben@reader.example")
        worker.look()
        note(session, withdrawn, Kind.WITHDRAWN, text=withdrawn.text, method="x", now=datetime.now(UTC))
        session.execute(delete(Consent).where(Consent.id == erased.id))
        session.commit()

        answer = staff_client.post(f"/v1/webhooks/{endpoint.id}/outstanding").get_json()

        assert answer["count"] == 2
        assert {each.kind for each in messages(session) if each.state == "pending"} == {
            "consent.withdrawn",
            "consent.erased",
        }

    def test_what_changed_since_the_look_is_told_by_itself(
        self, give: Callable[..., Consent], session: Session, endpoint: WebhookEndpoint, links: Links
    ) -> None:
        consent = give()
        owed = report(session, endpoint)
        note(session, consent, Kind.WITHDRAWN, text=consent.text, method="x", now=datetime.now(UTC))

        count = send_outstanding(session, links, endpoint, owed, actor="test", now=datetime.now(UTC))

        assert count == 0

    def test_one_who_came_back_since_the_look_is_not_told_to_who_asks_for_ends_only(
        self, give: Callable[..., Consent], session: Session, endpoint: WebhookEndpoint, links: Links
    ) -> None:
        consent, now = give(), datetime.now(UTC)
        endpoint.event_types = ["consent.withdrawn"]
        ended = Outstanding(consent.id, f"subscriber:{consent.subscriber_id}", "consent.withdrawn", now)

        assert send_outstanding(session, links, endpoint, [ended], actor="test", now=now) == 0

    def test_what_an_endpoint_is_sent_is_of_a_kind_that_it_takes(
        self,
        give: Callable[..., Consent],
        session: Session,
        staff_client: FlaskClient,
        worker: Worker,
        endpoint: WebhookEndpoint,
    ) -> None:
        endpoint.event_types = ["consent.imported"]
        consent = give()
        note(session, consent, Kind.IMPORTED, text=consent.text, method="import", now=datetime.now(UTC))
        session.commit()

        staff_client.post(f"/v1/webhooks/{endpoint.id}/outstanding")
        worker.look()

        assert [each.kind for each in messages(session)] == ["consent.imported"]
        assert report(session, endpoint) == []

    # SQLite has one writer at a time anyway.
    @pytest.mark.parametrize("database", ["postgresql"], indirect=True)
    def test_what_changes_at_this_moment_is_not_waited_for(
        self,
        give: Callable[..., Consent],
        session: Session,
        engine: sa.Engine,
        endpoint: WebhookEndpoint,
        links: Links,
    ) -> None:
        """An erasure that has a consent may wait for a delivery, and that for the endpoint, which we have."""
        consent = give()
        owed = report(session, endpoint)
        with Session(engine) as erasing:
            erasing.get_one(Consent, consent.id, with_for_update={"of": Consent})
            session.execute(sa.text("SET LOCAL lock_timeout = '5s'"))
            count = send_outstanding(session, links, endpoint, owed, actor="test", now=datetime.now(UTC))

        assert count == 0
