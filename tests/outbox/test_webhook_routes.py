"""Webhooks over HTTP, the newsroom's calls."""

from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import func, select, update
from sqlalchemy.orm import Session
from standardwebhooks.webhooks import Webhook

from pollsvc.config import Settings
from pollsvc.outbox.models import OutboxEvent, OutboxMessage, WebhookEndpoint
from pollsvc.outbox.pausing import NEVER
from pollsvc.staff.models import AuditEntry
from pollsvc.worker import Worker
from tests.factories import ARTICLE_URL, make_site, make_token
from tests.outbox.endpoints import LOOPBACK, Clock, events, messages, tell, working
from tests.outbox.receiver import Receiver, receiving
from tests.web.addresses import ID
from tests.web.problems import fields_of, read_problem

URL = "https://hooks.example/in/7f3a-secret"
NEW = {"url": URL, "event_types": ["poll.*", "consent.*"]}


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with receiving() as made:
        yield made


@pytest.fixture
def newsroom(make_app: Callable[..., Flask], session: Session) -> FlaskClient:
    """An administrator of an installation whose endpoints may lie on loopback."""
    client = make_app(private_hosts=LOOPBACK).test_client()
    client.environ_base["HTTP_AUTHORIZATION"] = f"Bearer {make_token(session)}"
    session.commit()
    return client


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def worker(settings: Settings, database_url: str, clock: Clock) -> Iterator[Worker]:
    with working(settings, clock) as made:
        yield made


def make(client: FlaskClient, **changes: Any) -> dict[str, Any]:
    response = client.post("/v1/webhooks", json=NEW | changes)
    assert response.status_code == 201, response.text
    made: dict[str, Any] = response.get_json()
    return made


def read(client: FlaskClient, path: str) -> dict[str, Any]:
    response = client.get(path)
    assert response.status_code == 200, response.text
    document: dict[str, Any] = response.get_json()
    return document


def endpoints(session: Session) -> int:
    session.rollback()
    return session.scalar(select(func.count()).select_from(WebhookEndpoint)) or 0


class TestMakeWebhook:
    def test_shows_the_secret_once(self, staff_client: FlaskClient) -> None:
        made = make(staff_client, description="The newsletter")

        secret = made.pop("secret")
        assert secret.startswith("whsec_")
        assert made == {
            "id": made["id"],
            "url": URL,
            "description": "The newsletter",
            "event_types": ["consent.*", "poll.*"],
            "site_id": None,
            "state": "active",
            "failures": 0,
            "failing_since": None,
            "paused_at": None,
            "paused_because": None,
            "unreadable_because": None,
            "previous_until": None,
            "version": 1,
            "created_at": made["created_at"],
        }
        for path in ("/v1/webhooks", f"/v1/webhooks/{made['id']}", "/v1/audit"):
            assert secret not in staff_client.get(path).text

    def test_may_be_of_one_site(self, staff_client: FlaskClient, session: Session) -> None:
        site = make_site(session)
        session.commit()

        assert make(staff_client, site_id=str(site.id))["site_id"] == str(site.id)

    def test_takes_kinds_that_a_later_release_tells_of(self, staff_client: FlaskClient) -> None:
        assert make(staff_client, event_types=["comment.*", "comment.held"])["event_types"] == [
            "comment.*",
            "comment.held",
        ]

    def test_leaves_an_audit_row_without_the_path(self, staff_client: FlaskClient) -> None:
        made = make(staff_client)

        entry = read(staff_client, f"/v1/audit?object_id={made['id']}")["items"][0]
        assert entry["action"] == "webhook.created"
        assert entry["actor"].startswith("token:")
        assert entry["detail"]["host"] == "hooks.example"
        assert "7f3a" not in repr(entry)

    @pytest.mark.parametrize(
        ("changes", "field"),
        [
            ({"url": None}, "url"),
            ({"url": "hooks.example"}, "url"),
            ({"url": "http://hooks.example/"}, "url"),
            ({"url": "ftp://hooks.example/"}, "url"),
            ({"url": "https://user:password@hooks.example/"}, "url"),
            ({"url": "https://127.0.0.1/"}, "url"),
            ({"url": "https://2130706433/"}, "url"),
            ({"url": "https://[::ffff:10.0.0.1]/"}, "url"),
            ({"url": "https://localhost:8000/"}, "url"),
            ({"url": "https://169.254.169.254/latest"}, "url"),
            ({"url": URL + "#part"}, "url"),
            ({"url": "https://hooks.example/" + "x" * 2_000}, "url"),
            ({"event_types": []}, "event_types"),
            ({"event_types": "*"}, "event_types"),
            ({"event_types": ["poll.*", "vote.*"]}, "event_types.1"),
            ({"event_types": ["webhook.test"]}, "event_types.0"),
            ({"description": "x" * 201}, "description"),
            ({"site_id": "7"}, "site_id"),
            ({"site_id": ID}, "site_id"),
            ({"secret": "whsec_mine"}, "secret"),
            ({"state": "paused"}, "state"),
        ],
        ids=lambda value: repr(value)[:50] if isinstance(value, dict) else None,
    )
    def test_bad_input_is_named_and_nothing_is_stored(
        self, staff_client: FlaskClient, session: Session, changes: dict[str, Any], field: str
    ) -> None:
        response = staff_client.post("/v1/webhooks", json=NEW | changes)

        assert response.status_code == 422
        assert fields_of(response) == [field]
        assert endpoints(session) == 0

    def test_a_private_host_is_taken_where_it_is_named(self, newsroom: FlaskClient) -> None:
        assert make(newsroom, url="http://127.0.0.1:8080/")["url"] == "http://127.0.0.1:8080/"


class TestScope:
    @pytest.mark.parametrize(
        ("method", "path"),
        [
            ("GET", ""),
            ("POST", ""),
            ("GET", f"/{ID}"),
            ("PATCH", f"/{ID}"),
            ("DELETE", f"/{ID}"),
            ("POST", f"/{ID}/secret"),
            ("POST", f"/{ID}/test"),
            ("GET", f"/{ID}/deliveries"),
            ("POST", f"/{ID}/replay"),
            ("GET", f"/{ID}/outstanding"),
        ],
    )
    def test_is_the_administrators(
        self, staff_client_with: Callable[..., FlaskClient], client: FlaskClient, method: str, path: str
    ) -> None:
        others = staff_client_with("polls:write", "consents:manage", "consents:read", "corrections:manage")

        assert others.open(f"/v1/webhooks{path}", method=method, json={}).status_code == 403
        assert client.open(f"/v1/webhooks{path}", method=method, json={}).status_code == 401

    @pytest.mark.parametrize(
        ("method", "path", "body"),
        [
            ("GET", "", None),
            ("PATCH", "", {"version": 1}),
            ("DELETE", "", None),
            ("POST", "/secret", None),
            ("POST", "/test", None),
            ("GET", "/deliveries", None),
            ("POST", "/replay", {"since": "2026-03-01T00:00:00Z"}),
            ("GET", "/outstanding", None),
        ],
    )
    def test_an_unknown_one_is_404_and_a_removed_one_too(
        self, staff_client: FlaskClient, method: str, path: str, body: dict[str, Any] | None
    ) -> None:
        removed = make(staff_client)["id"]
        staff_client.delete(f"/v1/webhooks/{removed}")

        for each in (ID, removed):
            response = staff_client.open(f"/v1/webhooks/{each}{path}", method=method, json=body)
            assert (response.status_code, read_problem(response)["code"]) == (404, "webhook_not_found")


class TestEditWebhook:
    def test_changes_what_is_named(self, staff_client: FlaskClient) -> None:
        made = make(staff_client)

        response = staff_client.patch(
            f"/v1/webhooks/{made['id']}", json={"event_types": ["*"], "description": "All", "version": 1}
        )

        edited = response.get_json()
        assert response.status_code == 200
        assert (edited["event_types"], edited["description"], edited["url"]) == (["*"], "All", URL)
        assert edited["version"] == 2
        assert edited == read(staff_client, f"/v1/webhooks/{made['id']}")

    def test_pauses_and_resumes(self, staff_client: FlaskClient) -> None:
        path = f"/v1/webhooks/{make(staff_client)['id']}"

        paused = staff_client.patch(path, json={"state": "paused", "version": 1}).get_json()
        resumed = staff_client.patch(path, json={"state": "active", "version": 2}).get_json()

        assert (paused["state"], paused["paused_because"]) == ("paused", "The newsroom paused it.")
        assert paused["paused_at"] is not None
        assert (resumed["state"], resumed["paused_because"], resumed["paused_at"]) == ("active", None, None)

    def test_a_stale_version_is_refused(self, staff_client: FlaskClient) -> None:
        path = f"/v1/webhooks/{make(staff_client)['id']}"
        staff_client.patch(path, json={"state": "paused", "version": 1})

        response = staff_client.patch(path, json={"description": "x", "version": 1})

        assert response.status_code == 409
        problem = read_problem(response)
        assert problem["code"] == "stale_version"
        assert problem["current"] == {"version": 2, "state": "paused"}

    @pytest.mark.parametrize(
        ("body", "field"),
        [
            ({"description": "x"}, "version"),
            ({"version": 1, "url": "https://10.0.0.1/"}, "url"),
            ({"version": 1, "state": "removed"}, "state"),
            ({"version": 1, "site_id": None}, "site_id"),
            ({"version": "1"}, "version"),
        ],
    )
    def test_bad_input_is_named(self, staff_client: FlaskClient, body: dict[str, Any], field: str) -> None:
        response = staff_client.patch(f"/v1/webhooks/{make(staff_client)['id']}", json=body)

        assert response.status_code == 422
        assert fields_of(response) == [field]


class TestRemoveWebhook:
    def test_is_gone_from_the_list(self, staff_client: FlaskClient) -> None:
        removed, kept = make(staff_client)["id"], make(staff_client)["id"]

        response = staff_client.delete(f"/v1/webhooks/{removed}")

        assert (response.status_code, response.get_json()["id"]) == (200, removed)
        assert [each["id"] for each in read(staff_client, "/v1/webhooks")["items"]] == [kept]


class TestRotateSecret:
    def test_gives_a_new_one_and_says_how_long_the_old_one_signs(self, staff_client: FlaskClient) -> None:
        made = make(staff_client)

        response = staff_client.post(f"/v1/webhooks/{made['id']}/secret")

        rotated = response.get_json()
        assert response.status_code == 200
        assert rotated["secret"].startswith("whsec_")
        assert rotated["secret"] != made["secret"]
        left = datetime.fromisoformat(rotated["previous_until"]) - datetime.now(UTC)
        assert timedelta(hours=23) < left <= timedelta(hours=24)
        entry = read(staff_client, "/v1/audit")["items"][0]
        assert (entry["action"], list(entry["detail"])) == ("webhook.secret_rotated", ["previous_until"])


class TestTryWebhook:
    def test_sends_one_event_there_and_shows_what_came_of_it(
        self, newsroom: FlaskClient, worker: Worker, receiver: Receiver
    ) -> None:
        with receiving() as other:
            make(newsroom, url=other.url, event_types=["*"])
            made = make(newsroom, url=receiver.url)

            response = newsroom.post(f"/v1/webhooks/{made['id']}/test")
            worker.look()

        assert response.status_code == 202
        assert other.received == []
        (received,) = receiver.received
        told = Webhook(made["secret"]).verify(received.body, received.headers)
        assert (told["type"], told["data"]["endpoint_id"]) == ("webhook.test", made["id"])
        (delivery,) = read(newsroom, f"/v1/webhooks/{made['id']}/deliveries")["items"]
        assert delivery["id"] == response.get_json()["id"]
        assert (delivery["state"], delivery["status"], delivery["webhook_id"]) == (
            "delivered",
            204,
            received.id,
        )


class TestListDeliveries:
    def test_tells_of_each_attempt(
        self, newsroom: FlaskClient, session: Session, worker: Worker, receiver: Receiver, clock: Clock
    ) -> None:
        made = make(newsroom, url=receiver.url)
        receiver.status = 500
        tell(session, "poll.closed")
        worker.look()
        receiver.status = 200
        clock.forward(timedelta(minutes=1))
        worker.look()

        (item,) = read(newsroom, f"/v1/webhooks/{made['id']}/deliveries")["items"]

        (event,) = events(session)
        assert (item["kind"], item["webhook_id"]) == ("poll.closed", str(event.key))
        assert (item["state"], item["attempts"], item["status"], item["reason"]) == (
            "delivered",
            2,
            200,
            None,
        )
        assert item["settled_at"] is not None
        assert item["next_attempt_at"] is None
        first, second = item["log"]
        assert (first["outcome"], first["status"], first["reason"]) == (
            "retry",
            500,
            "The endpoint answered 500.",
        )
        assert (second["outcome"], second["status"], second["reason"]) == ("delivered", 200, None)
        assert receiver.url not in newsroom.get(f"/v1/webhooks/{made['id']}/deliveries").text

    def test_says_when_the_next_attempt_is(
        self, newsroom: FlaskClient, session: Session, worker: Worker, receiver: Receiver
    ) -> None:
        made = make(newsroom, url=receiver.url)
        receiver.status = 500
        tell(session)
        worker.look()
        (failed,) = read(newsroom, f"/v1/webhooks/{made['id']}/deliveries")["items"]
        newsroom.patch(f"/v1/webhooks/{made['id']}", json={"state": "paused", "version": 1})
        tell(session, subject="poll:2")
        worker.look()

        later, first = read(newsroom, f"/v1/webhooks/{made['id']}/deliveries")["items"]

        assert (failed["state"], failed["reason"]) == ("pending", "The endpoint answered 500.")
        assert failed["next_attempt_at"] is not None
        # Both wait for the paused endpoint, and for no time.
        assert (first["state"], first["attempts"], first["next_attempt_at"]) == ("pending", 1, None)
        assert (later["state"], later["attempts"], later["status"], later["next_attempt_at"]) == (
            "pending",
            0,
            None,
            None,
        )
        assert messages(session)[1].available_at == NEVER

    def test_pages_and_states(
        self, newsroom: FlaskClient, session: Session, worker: Worker, receiver: Receiver
    ) -> None:
        made, other = make(newsroom, url=receiver.url), make(newsroom, url=receiver.url)
        receiver.answer = lambda received: 500 if received.told["data"]["id"] == "3" else 204
        for number in range(5):
            tell(session, subject=f"poll:{number}", data={"id": str(number)})
        worker.look()
        path = f"/v1/webhooks/{made['id']}/deliveries"

        first = read(newsroom, f"{path}?limit=3")
        second = read(newsroom, f"{path}?limit=3&cursor={first['next_cursor']}")

        numbers = [each["id"] for each in first["items"] + second["items"]]
        assert len(numbers) == 5
        assert numbers == sorted(numbers, reverse=True)
        assert second["next_cursor"] is None
        assert len(read(newsroom, f"{path}?state=delivered")["items"]) == 4
        assert len(read(newsroom, f"{path}?state=pending")["items"]) == 1
        assert read(newsroom, f"{path}?state=dead")["items"] == []
        others = f"/v1/webhooks/{other['id']}/deliveries?cursor={first['next_cursor']}"
        assert fields_of(newsroom.get(others)) == ["cursor"]

    @pytest.mark.parametrize(
        ("query", "field"), [("state=new", "state"), ("cursor=x", "cursor"), ("limit=0", "limit")]
    )
    def test_bad_queries_are_named(self, staff_client: FlaskClient, query: str, field: str) -> None:
        response = staff_client.get(f"/v1/webhooks/{make(staff_client)['id']}/deliveries?{query}")

        assert response.status_code == 422
        assert fields_of(response) == [field]


class TestReplay:
    def test_sends_again_with_the_same_id(
        self, newsroom: FlaskClient, session: Session, worker: Worker, receiver: Receiver
    ) -> None:
        made = make(newsroom, url=receiver.url)
        for number, kind in enumerate(["poll.created", "poll.edited", "poll.closed"]):
            tell(session, kind, data={"number": number})
        worker.look()
        last_known = receiver.received[0].id

        response = newsroom.post(f"/v1/webhooks/{made['id']}/replay", json={"after": last_known})
        worker.look()

        assert (response.status_code, response.get_json()) == (200, {"count": 2, "next_after": None})
        assert receiver.kinds == ["poll.created", "poll.edited", "poll.closed", "poll.edited", "poll.closed"]
        assert [each.id for each in receiver.received[1:3]] == [each.id for each in receiver.received[3:]]
        entry = read(newsroom, "/v1/audit")["items"][0]
        assert (entry["action"], entry["detail"]["count"]) == ("webhook.replayed", 2)

    def test_since_a_time(
        self, newsroom: FlaskClient, session: Session, worker: Worker, receiver: Receiver
    ) -> None:
        made = make(newsroom, url=receiver.url)
        for day in (1, 2, 3):
            tell(session, subject=f"poll:{day}", now=datetime(2026, 3, day, tzinfo=UTC))
        worker.look()

        body = {"since": "2026-03-02T00:00:00Z", "event_types": ["poll.created"]}
        response = newsroom.post(f"/v1/webhooks/{made['id']}/replay", json=body)

        assert response.get_json()["count"] == 2

    def test_goes_on_after_a_step(
        self,
        newsroom: FlaskClient,
        session: Session,
        worker: Worker,
        receiver: Receiver,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        monkeypatch.setattr("pollsvc.outbox.fan_out.MOST_REPLAYED", 2)
        path = f"/v1/webhooks/{make(newsroom, url=receiver.url)['id']}/replay"
        for number in range(5):
            tell(session, subject=f"poll:{number}")
        worker.look()

        counts, body = [], {"since": "2026-01-01T00:00:00Z"}
        while body:
            answer = newsroom.post(path, json=body).get_json()
            counts.append(answer["count"])
            body = {"after": answer["next_after"]} if answer["next_after"] else {}

        assert counts == [2, 2, 1]

    @pytest.mark.parametrize(
        ("body", "field"),
        [
            ({}, "after"),
            ({"after": ID, "since": "2026-03-02T00:00:00Z"}, "after"),
            ({"after": ID}, "after"),
            ({"after": "7"}, "after"),
            ({"after": None}, "after"),
            ({"since": "yesterday"}, "since"),
            ({"since": "2026-03-02T00:00:00Z", "event_types": ["x"]}, "event_types.0"),
        ],
    )
    def test_bad_input_is_named(
        self, staff_client: FlaskClient, session: Session, body: dict[str, Any], field: str
    ) -> None:
        response = staff_client.post(f"/v1/webhooks/{make(staff_client)['id']}/replay", json=body)

        assert response.status_code == 422
        assert fields_of(response) == [field]
        assert messages(session) == []


class TestWhatTheNewsroomDoes:
    def test_is_announced_in_the_same_transaction(
        self, newsroom: FlaskClient, session: Session, worker: Worker, receiver: Receiver
    ) -> None:
        site = make_site(session)
        session.commit()
        make(newsroom, url=receiver.url, event_types=["poll.*"], site_id=str(site.id))
        poll = {"article_urls": [ARTICLE_URL], "question": "Should the bell stay?", "choices": ["Yes", "No"]}
        made = newsroom.post("/v1/polls", json=poll | {"consent_text_id": None}).get_json()
        path = f"/v1/polls/{made['id']}"
        newsroom.patch(path, json={"question": "Should the old bell stay?"})
        newsroom.patch(path, json={"question": "Should the old bell stay?"})
        newsroom.post(f"{path}/close")
        newsroom.post(f"{path}/close")
        newsroom.post(f"{path}/withdraw")

        worker.look()

        assert receiver.kinds == ["poll.created", "poll.edited", "poll.closed", "poll.withdrawn"]
        assert [each.told["data"]["version"] for each in receiver.received] == [1, 2, 3, 4]
        assert receiver.received[2].told["data"] == {
            "id": made["id"],
            "site_id": str(site.id),
            "question": "Should the old bell stay?",
            "status": "closed",
            "is_withdrawn": False,
            "article_urls": [ARTICLE_URL],
            "version": 3,
        }

    def test_a_refused_change_announces_nothing(self, staff_client: FlaskClient, session: Session) -> None:
        staff_client.post(
            "/v1/polls",
            json={"article_urls": ["https://nobody.example/"], "question": "?", "choices": ["a", "b"]},
        )
        staff_client.post(f"/v1/polls/{ID}/close")

        assert events(session) == []

    def test_corrections_are_told_without_the_reader_s_words(
        self, newsroom: FlaskClient, session: Session, worker: Worker, receiver: Receiver
    ) -> None:
        site = make_site(session)
        session.commit()
        make(newsroom, url=receiver.url, event_types=["correction.*"])
        report = {
            "article_url": ARTICLE_URL,
            "name": "Canary Ada",
            "email": "canary@reader.example",
            "message": "The canary has two decks.",
            "quote": "three canaries",
        }
        reference = newsroom.post("/v1/corrections", json=report).get_json()["reference"]
        item = read(newsroom, "/v1/corrections")["items"][0]
        decision = {"status": "handled", "version": 1, "note": "canary"}
        newsroom.patch(f"/v1/corrections/{item['id']}", json=decision)
        newsroom.patch(f"/v1/corrections/{item['id']}", json=decision | {"version": 2})

        worker.look()

        assert receiver.kinds == ["correction.received", "correction.decided"]
        assert receiver.received[1].told["data"] == {
            "id": item["id"],
            "site_id": str(site.id),
            "reference": reference,
            "article_url": ARTICLE_URL,
            "status": "handled",
            "version": 2,
            "is_suspect": True,
        }
        assert not any(b"canar" in each.body.lower() for each in receiver.received)
        assert {each.subject for each in events(session)} == {f"correction:{item['id']}"}


class TestRetention:
    def test_an_event_that_is_gone_does_not_break_the_list(
        self, newsroom: FlaskClient, session: Session, worker: Worker, receiver: Receiver
    ) -> None:
        """Whoever removes old events may leave their messages a while."""
        made = make(newsroom, url=receiver.url)
        tell(session)
        worker.look()
        session.execute(update(OutboxMessage).values(event_id=None))
        session.execute(OutboxEvent.__table__.delete())  # type: ignore[attr-defined]
        session.commit()

        (item,) = read(newsroom, f"/v1/webhooks/{made['id']}/deliveries")["items"]

        assert item["webhook_id"] is None

    def test_the_audit_log_names_the_system_that_paused(
        self, newsroom: FlaskClient, session: Session, worker: Worker, receiver: Receiver
    ) -> None:
        receiver.status = 410
        made = make(newsroom, url=receiver.url)
        tell(session)
        worker.look()

        shown = read(newsroom, f"/v1/webhooks/{made['id']}")
        entry = session.scalars(select(AuditEntry).order_by(AuditEntry.id.desc())).first()

        assert (shown["state"], shown["paused_because"], shown["failures"]) == (
            "paused",
            "It answered 410 Gone.",
            1,
        )
        assert entry is not None
        assert (entry.actor, entry.action, entry.object_id) == ("system", "webhook.paused", made["id"])
