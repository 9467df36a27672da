"""The outbox over HTTP: lists, one message with its attempts, and sending again what was given up."""

import dataclasses
import uuid
from collections.abc import Callable
from typing import Any

import pytest
import sqlalchemy as sa
from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import select
from sqlalchemy.orm import Session

from pollsvc.outbox.delivery import DeliveryFailed, Result, claim, settle
from pollsvc.outbox.models import OutboxMessage
from pollsvc.outbox.service import forget_subject
from pollsvc.staff.models import AuditEntry
from tests.conftest import NOW
from tests.outbox.messages import make_mail

DEAD = {"state": "dead", "reason": "The mail server answered 550.", "settled_at": NOW}


@pytest.fixture
def five(session: Session) -> list[int]:
    """Five mails, the second and fourth given up."""
    made = [make_mail(session, number, state=DEAD if number % 2 else {}).id for number in range(5)]
    session.commit()
    return made


def ids(client: FlaskClient, query: str = "") -> list[int]:
    return [int(item["id"]) for item in client.get(f"/v1/outbox{query}").get_json()["items"]]


class TestListMessages:
    @pytest.mark.parametrize(
        ("query", "places"),
        [
            ("", [4, 3, 2, 1, 0]),
            ("?state=dead", [3, 1]),
            ("?state=pending&channel=mail", [4, 2, 0]),
            ("?channel=webhook", []),
            ("?limit=2", [4, 3]),
        ],
    )
    def test_newest_first_and_as_asked(
        self, staff_client: FlaskClient, five: list[int], query: str, places: list[int]
    ) -> None:
        assert ids(staff_client, query) == [five[place] for place in places]

    def test_pages_follow_each_other(self, staff_client: FlaskClient, five: list[int]) -> None:
        walked: list[int] = []
        cursor: str | None = ""
        while cursor is not None:
            page = staff_client.get(f"/v1/outbox?limit=2&cursor={cursor}").get_json()
            walked += [int(item["id"]) for item in page["items"]]
            cursor = page["next_cursor"]

        assert walked == five[::-1]

    @pytest.mark.parametrize("query", ["state=lost", "channel=fax", "cursor=AAAA.x", "to=ada"])
    def test_what_it_does_not_know_is_refused(self, staff_client: FlaskClient, query: str) -> None:
        assert staff_client.get(f"/v1/outbox?{query}").status_code == 422

    def test_a_cursor_of_another_list_is_refused(self, staff_client_with: Callable[..., FlaskClient]) -> None:
        for _ in range(2):
            client = staff_client_with("admin")
        cursor = client.get("/v1/tokens?limit=1").get_json()["next_cursor"]

        assert client.get(f"/v1/outbox?cursor={cursor}").status_code == 422

    def test_tells_neither_whom_to_nor_what(self, staff_client: FlaskClient, five: list[int]) -> None:
        text = staff_client.get("/v1/outbox").text

        assert "reader.example" not in text
        assert "newsletter" not in text

    @pytest.mark.parametrize(
        ("method", "path"), [("GET", ""), ("GET", "/1"), ("POST", "/1/replay")], ids=["list", "one", "replay"]
    )
    def test_needs_an_administrator(
        self, staff_client_with: Callable[..., FlaskClient], method: str, path: str
    ) -> None:
        client = staff_client_with("consents:manage", "corrections:manage")

        assert client.open(f"/v1/outbox{path}", method=method).status_code == 403


class TestShowMessage:
    def test_has_each_attempt(self, staff_client: FlaskClient, session: Session) -> None:
        made = make_mail(session)
        for failure in (DeliveryFailed("The mail server answered 450.", status=450), None):
            message = claim(session, uuid.uuid4(), made.available_at, "mail")
            assert message
            settle(session, message, Result(250, failure, 7), made.available_at, 0.0)
            session.flush()
            session.refresh(made)
        session.commit()

        found: dict[str, Any] = staff_client.get(f"/v1/outbox/{made.id}").get_json()

        assert (found["state"], found["attempt_count"], found["message_id"]) == (
            "delivered",
            2,
            made.message_id,
        )
        assert [(each["outcome"], each["status"], each["reason"]) for each in found["attempts"]] == [
            ("retry", 450, "The mail server answered 450."),
            ("delivered", 250, None),
        ]

    @pytest.mark.parametrize("number", ["1", str(2**63), str(10**40)])
    def test_an_unknown_one_is_not_found(self, staff_client: FlaskClient, number: str) -> None:
        for answer in (
            staff_client.get(f"/v1/outbox/{number}"),
            staff_client.post(f"/v1/outbox/{number}/replay"),
        ):
            assert (answer.status_code, answer.get_json()["code"]) == (404, "message_not_found")


class TestReplayMessage:
    def test_sends_again_and_leaves_its_row(
        self, staff_client: FlaskClient, session: Session, five: list[int]
    ) -> None:
        answer = staff_client.post(f"/v1/outbox/{five[1]}/replay")

        assert answer.status_code == 200
        assert (answer.get_json()["state"], answer.get_json()["attempt_count"]) == ("pending", 0)
        session.commit()
        message = session.get_one(OutboxMessage, five[1])
        assert (message.state, message.reason, message.settled_at) == ("pending", None, None)
        (row,) = session.scalars(select(AuditEntry).where(AuditEntry.action == "message.replayed"))
        assert (row.object_type, row.object_id) == ("message", str(five[1]))
        assert row.actor.startswith("token:")

    def test_wakes_the_worker(self, app: Flask, staff_client: FlaskClient, five: list[int]) -> None:
        rung: list[int] = []
        before = app.extensions["pollsvc"]
        app.extensions["pollsvc"] = dataclasses.replace(before, ring=lambda: rung.append(1))
        try:
            staff_client.post(f"/v1/outbox/{five[1]}/replay")
        finally:
            app.extensions["pollsvc"] = before

        assert rung == [1]

    @pytest.mark.parametrize(
        "state",
        [{}, {"state": "delivered", "payload": None}, {**DEAD, "payload": None}],
        ids=["waiting", "delivered", "wiped"],
    )
    def test_what_cannot_be_sent_again_is_told(
        self, staff_client: FlaskClient, session: Session, state: dict[str, object]
    ) -> None:
        number = make_mail(session, state=state).id
        session.commit()

        answer = staff_client.post(f"/v1/outbox/{number}/replay")

        assert (answer.status_code, answer.get_json()["code"]) == (409, "message_not_dead")

    def test_a_body_is_refused(self, staff_client: FlaskClient, five: list[int]) -> None:
        assert staff_client.post(f"/v1/outbox/{five[1]}/replay", json={"to": "x"}).status_code == 422


class TestUnreadable:
    """What no key opens, such as after a key was taken away too early, is shown and replayed all the same."""

    @pytest.fixture
    def number(self, session: Session) -> int:
        made = make_mail(session, state=DEAD).id
        session.execute(sa.text("UPDATE outbox_message SET payload = :sealed"), {"sealed": b"by another key"})
        session.commit()
        return made

    def test_message_is_listed_and_shown(self, staff_client: FlaskClient, number: int) -> None:
        assert ids(staff_client) == [number]
        assert staff_client.get(f"/v1/outbox/{number}").get_json()["state"] == "dead"

    def test_message_is_replayed(self, staff_client: FlaskClient, number: int) -> None:
        answer = staff_client.post(f"/v1/outbox/{number}/replay")

        assert (answer.status_code, answer.get_json()["state"]) == (200, "pending")


class TestMetrics:
    def test_show_what_waits_and_what_was_given_up(self, staff_client: FlaskClient, five: list[int]) -> None:
        text = staff_client.get("/metrics").text

        assert 'pollsvc_outbox_messages{channel="mail",state="pending"} 3.0' in text
        assert 'pollsvc_outbox_messages{channel="mail",state="dead"} 2.0' in text
        assert 'pollsvc_outbox_messages{channel="webhook",state="dead"} 0.0' in text
        assert 'pollsvc_outbox_overdue_seconds{channel="webhook"} 0.0' in text
        # Due since the fixed time of the tests, months ago.
        (overdue,) = [
            line
            for line in text.splitlines()
            if line.startswith('pollsvc_outbox_overdue_seconds{channel="mail"}')
        ]
        assert float(overdue.split()[-1]) > 86_400

    def test_forgetting_a_subject_counts_it_no_more(
        self, staff_client: FlaskClient, session: Session, five: list[int]
    ) -> None:
        names = forget_subject(session, "subscriber:1")
        session.commit()

        assert len(names) == 1
        assert 'pollsvc_outbox_messages{channel="mail",state="dead"} 1.0' in staff_client.get("/metrics").text
