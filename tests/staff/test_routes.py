"""API tokens and the audit log over HTTP."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import func, select, update
from sqlalchemy.orm import Session
from werkzeug.test import TestResponse

from pollsvc.staff.models import AuditEntry, StaffToken
from tests.factories import make_token
from tests.web.addresses import ID
from tests.web.problems import fields_of, read_problem

NEW = {"name": "a robot", "scopes": ["polls:write", "consents:read"]}


def read(response: TestResponse) -> dict[str, Any]:
    document: dict[str, Any] = response.get_json()
    return document


def with_token(app: Flask, secret: str) -> FlaskClient:
    client = app.test_client()
    client.environ_base["HTTP_AUTHORIZATION"] = f"Bearer {secret}"
    return client


def tokens(session: Session) -> int:
    session.rollback()
    return session.scalar(select(func.count()).select_from(StaffToken)) or 0


class TestCreateToken:
    def test_shows_the_secret_once_and_it_works(self, app: Flask, staff_client: FlaskClient) -> None:
        response = staff_client.post("/v1/tokens", json=NEW)

        assert response.status_code == 201
        made = read(response)
        assert made["scopes"] == ["consents:read", "polls:write"]
        assert made["created_by"].startswith("token:")
        assert (made["expires_at"], made["revoked_at"], made["last_used_at"]) == (None, None, None)
        client = with_token(app, made["token"])
        assert client.get("/v1/polls").status_code == 200
        assert client.get("/v1/tokens").status_code == 403
        assert made["token"] not in staff_client.get("/v1/tokens").text
        assert made["token"] not in staff_client.get("/v1/audit").text

    def test_that_ends_works_until_then(self, app: Flask, staff_client: FlaskClient) -> None:
        expires_at = datetime.now(UTC) + timedelta(hours=1)

        made = read(staff_client.post("/v1/tokens", json=NEW | {"expires_at": expires_at.isoformat()}))

        assert datetime.fromisoformat(made["expires_at"]) == expires_at
        assert with_token(app, made["token"]).get("/v1/polls").status_code == 200

    def test_tells_its_end_in_utc(self, staff_client: FlaskClient) -> None:
        made = read(staff_client.post("/v1/tokens", json=NEW | {"expires_at": "2999-01-01T01:00:00+02:00"}))

        assert made["expires_at"] == "2998-12-31T23:00:00+00:00"

    @pytest.mark.parametrize(
        ("changes", "field"),
        [
            ({"name": ""}, "name"),
            ({"name": "x" * 101}, "name"),
            ({"name": "a\x00b"}, "name"),
            ({"name": None}, "name"),
            ({"scopes": []}, "scopes"),
            ({"scopes": None}, "scopes"),
            ({"scopes": "admin"}, "scopes"),
            ({"scopes": ["everything"]}, "scopes.0"),
            ({"scopes": ["admin", 5]}, "scopes.1"),
            ({"scopes": ["admin"] * 7}, "scopes"),
            ({"expires_at": "2020-01-01T00:00:00Z"}, "expires_at"),
            ({"expires_at": "tomorrow"}, "expires_at"),
            ({"expires_at": "2999-01-01T00:00:00"}, "expires_at"),
            ({"expires_at": "9999-12-31T23:59:59-14:00"}, "expires_at"),
            ({"created_by": "somebody else"}, "created_by"),
            ({"token": "pollsvc_mine"}, "token"),
            ({"id": ID}, "id"),
        ],
        ids=lambda value: repr(value)[:40] if isinstance(value, dict) else None,
    )
    def test_bad_input_is_named_and_nothing_is_stored(
        self, staff_client: FlaskClient, session: Session, changes: dict[str, Any], field: str
    ) -> None:
        response = staff_client.post("/v1/tokens", json=NEW | changes)

        assert response.status_code == 422
        assert fields_of(response) == [field]
        assert tokens(session) == 1

    def test_takes_what_the_newsroom_writes(self, staff_client: FlaskClient) -> None:
        made = read(
            staff_client.post("/v1/tokens", json=NEW | {"name": "  J\u00f6rg\u2019s <b>desk</b> \U0001f4f0"})
        )

        assert made["name"] == "J\u00f6rg\u2019s <b>desk</b> \U0001f4f0"

    def test_needs_an_administrator(
        self, staff_client_with: Callable[..., FlaskClient], session: Session
    ) -> None:
        client = staff_client_with("polls:write", "consents:manage", "corrections:manage")

        assert client.post("/v1/tokens", json=NEW).status_code == 403
        assert tokens(session) == 1


class TestListTokens:
    def test_shows_every_token_and_no_secret(self, staff_client: FlaskClient, session: Session) -> None:
        secret = make_token(session, name="other", scopes=["polls:write"])
        session.commit()

        response = staff_client.get("/v1/tokens")

        page = read(response)
        assert {item["name"] for item in page["items"]} == {"a desk", "other"}
        assert page["next_cursor"] is None
        assert secret not in response.text
        assert all("token" not in item and "token_hash" not in item for item in page["items"])


class TestLastUse:
    def test_is_noted_with_the_first_call(self, staff_client: FlaskClient) -> None:
        staff_client.get("/v1/audit")

        (item,) = read(staff_client.get("/v1/tokens"))["items"]
        assert datetime.now(UTC) - datetime.fromisoformat(item["last_used_at"]) < timedelta(seconds=30)

    def test_is_not_written_again_within_a_minute(self, staff_client: FlaskClient, session: Session) -> None:
        recent = datetime.now(UTC) - timedelta(seconds=20)
        session.execute(update(StaffToken).values(last_used_at=recent))
        session.commit()

        (item,) = read(staff_client.get("/v1/tokens"))["items"]

        assert datetime.fromisoformat(item["last_used_at"]) == recent

    def test_is_written_again_after_a_minute(self, staff_client: FlaskClient, session: Session) -> None:
        session.execute(update(StaffToken).values(last_used_at=datetime.now(UTC) - timedelta(minutes=2)))
        session.commit()
        staff_client.get("/v1/audit")

        (item,) = read(staff_client.get("/v1/tokens"))["items"]

        assert datetime.now(UTC) - datetime.fromisoformat(item["last_used_at"]) < timedelta(seconds=30)

    def test_of_a_refused_token_is_not_noted(self, app: Flask, session: Session) -> None:
        secret = make_token(session, expires_at=datetime.now(UTC) - timedelta(seconds=1))
        session.commit()
        with_token(app, secret).get("/v1/tokens")

        session.rollback()
        assert session.scalars(select(StaffToken.last_used_at)).all() == [None]


class TestRevokeToken:
    def test_ends_a_token_at_once(self, app: Flask, staff_client: FlaskClient) -> None:
        made = read(staff_client.post("/v1/tokens", json=NEW))
        client = with_token(app, made["token"])
        assert client.get("/v1/polls").status_code == 200

        response = staff_client.delete(f"/v1/tokens/{made['id']}")

        assert response.status_code == 200
        assert read(response)["revoked_at"] is not None
        refused = client.get("/v1/polls")
        assert (refused.status_code, read_problem(refused)["code"]) == (401, "token_invalid")

    def test_in_another_process_too(self, make_app: Callable[..., Flask], staff_client: FlaskClient) -> None:
        made = read(staff_client.post("/v1/tokens", json=NEW))
        elsewhere = with_token(make_app(), made["token"])
        assert elsewhere.get("/v1/polls").status_code == 200

        staff_client.delete(f"/v1/tokens/{made['id']}")

        assert elsewhere.get("/v1/polls").status_code == 401

    def test_twice_is_no_error(self, staff_client: FlaskClient) -> None:
        made = read(staff_client.post("/v1/tokens", json=NEW))

        answers = [read(staff_client.delete(f"/v1/tokens/{made['id']}")) for _ in range(2)]

        assert answers[0] == answers[1]

    def test_of_oneself_works_once(self, staff_client: FlaskClient) -> None:
        (own,) = read(staff_client.get("/v1/tokens"))["items"]

        answers = [staff_client.delete(f"/v1/tokens/{own['id']}").status_code for _ in range(2)]

        assert answers == [200, 401]

    def test_of_an_unknown_one_is_404(self, staff_client: FlaskClient) -> None:
        response = staff_client.delete(f"/v1/tokens/{ID}")

        assert (response.status_code, read_problem(response)["code"]) == (404, "token_not_found")

    def test_takes_no_fields(self, staff_client: FlaskClient) -> None:
        response = staff_client.delete(f"/v1/tokens/{ID}", json={"reason": "gone"})

        assert fields_of(response) == ["reason"]


class TestListAudit:
    def test_tells_who_did_what_newest_first(self, staff_client: FlaskClient, session: Session) -> None:
        made = read(staff_client.post("/v1/tokens", json=NEW))
        staff_client.delete(f"/v1/tokens/{made['id']}")

        revoked, created, _ = read(staff_client.get("/v1/audit"))["items"]

        assert (created["action"], revoked["action"]) == ("token.created", "token.revoked")
        assert created["actor"] == revoked["actor"] == made["created_by"]
        assert created["object_id"] == revoked["object_id"] == made["id"]
        assert created["detail"] == {
            "name": "a robot",
            "scopes": ["consents:read", "polls:write"],
            "expires_at": None,
        }

    @pytest.mark.parametrize(
        ("query", "count"),
        [
            ("", 3),
            ("object_type=token", 3),
            ("object_type=poll", 0),
            ("object_id={id}", 2),
            ("object_type=token&object_id={id}", 2),
            ("object_type=poll&object_id={id}", 0),
            ("object_id=' OR 1=1 --", 0),
        ],
    )
    def test_can_be_asked_of_one_thing(self, staff_client: FlaskClient, query: str, count: int) -> None:
        made = read(staff_client.post("/v1/tokens", json=NEW))
        staff_client.delete(f"/v1/tokens/{made['id']}")

        page = read(staff_client.get(f"/v1/audit?{query.format(id=made['id'])}"))

        assert len(page["items"]) == count

    def test_pages_keep_to_what_was_asked_for(self, staff_client: FlaskClient) -> None:
        made = [read(staff_client.post("/v1/tokens", json=NEW))["id"] for _ in range(3)]
        for each in made:
            staff_client.delete(f"/v1/tokens/{each}")
        query = {"object_id": made[1], "limit": "1"}
        first = read(staff_client.get("/v1/audit", query_string=query))

        second = read(staff_client.get("/v1/audit", query_string=query | {"cursor": first["next_cursor"]}))

        assert [page["items"][0]["action"] for page in (first, second)] == ["token.revoked", "token.created"]
        assert second["next_cursor"] is None

    def test_a_refused_change_leaves_no_row(self, staff_client: FlaskClient, session: Session) -> None:
        staff_client.post("/v1/tokens", json=NEW | {"scopes": []})
        staff_client.delete(f"/v1/tokens/{ID}")

        session.rollback()
        assert session.scalar(select(func.count()).select_from(AuditEntry)) == 1

    @pytest.mark.parametrize("method", ["POST", "PUT", "PATCH", "DELETE"])
    def test_cannot_be_written(self, staff_client: FlaskClient, method: str) -> None:
        assert staff_client.open("/v1/audit", method=method, json={}).status_code == 405
