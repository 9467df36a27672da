"""Checks over HTTP, the newsroom's calls."""

from collections.abc import Callable
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import func, select
from sqlalchemy.orm import Session

from pollsvc.comments.http_checks import MOST_CHECKS
from pollsvc.comments.models import CommentRevision
from pollsvc.comments.policy_models import HttpCheck
from pollsvc.keys import Keys
from pollsvc.outbox.models import UNREADABLE
from tests.factories import ARTICLE_URL, make_site, make_token, make_voter_token
from tests.outbox.endpoints import LOOPBACK
from tests.unreadable import make_unreadable
from tests.web.addresses import ID
from tests.web.problems import fields_of, read_problem

PATH = "/v1/moderation/checks"
URL = "https://checks.example/in/7f3a-secret"
NEW = {"name": "tone", "url": URL}


def make(client: FlaskClient, **changes: Any) -> dict[str, Any]:
    response = client.post(PATH, json=NEW | changes)
    assert response.status_code == 201, response.text
    made: dict[str, Any] = response.get_json()
    return made


def read(client: FlaskClient, path: str) -> dict[str, Any]:
    response = client.get(path)
    assert response.status_code == 200, response.text
    document: dict[str, Any] = response.get_json()
    return document


class TestMakeCheck:
    def test_shows_the_secret_once_and_leaves_an_audit_row_without_the_path(
        self, staff_client: FlaskClient
    ) -> None:
        made = make(staff_client)

        secret = made.pop("secret")
        assert secret.startswith("whsec_")
        assert made == {
            "id": made["id"],
            "name": "tone",
            "url": URL,
            "timeout": 5,
            "is_active": True,
            "unreadable_because": None,
            "previous_until": None,
            "version": 1,
            "created_at": made["created_at"],
        }
        assert read(staff_client, PATH)["items"] == [made]
        assert read(staff_client, f"{PATH}/{made['id']}") == made
        for path in (PATH, f"{PATH}/{made['id']}", "/v1/audit"):
            assert secret not in staff_client.get(path).text
        entry = read(staff_client, f"/v1/audit?object_id={made['id']}")["items"][0]
        assert (entry["action"], entry["detail"]["host"]) == ("check.created", "checks.example")
        assert "7f3a" not in repr(entry)

    @pytest.mark.parametrize(
        ("changes", "field"),
        [
            ({"name": ""}, "name"),
            ({"name": "Tone"}, "name"),
            ({"name": "http:tone"}, "name"),
            ({"name": "tone\n"}, "name"),
            ({"name": "t" * 51}, "name"),
            ({"url": None}, "url"),
            ({"url": "http://checks.example/"}, "url"),
            ({"url": "https://127.0.0.1/"}, "url"),
            ({"url": "https://[::ffff:10.0.0.1]/"}, "url"),
            ({"url": "https://169.254.169.254/latest"}, "url"),
            ({"url": "https://user:password@checks.example/"}, "url"),
            ({"url": URL + "#part"}, "url"),
            ({"timeout": 0}, "timeout"),
            ({"timeout": 11}, "timeout"),
            ({"timeout": 1.5}, "timeout"),
            ({"secret": "whsec_mine"}, "secret"),
            ({"is_active": False}, "is_active"),
        ],
        ids=lambda value: repr(value)[:50] if isinstance(value, dict) else None,
    )
    @pytest.mark.parametrize("database", ["sqlite"], indirect=True)
    def test_bad_input_is_named_and_nothing_is_stored(
        self, staff_client: FlaskClient, session: Session, changes: dict[str, Any], field: str
    ) -> None:
        response = staff_client.post(PATH, json=NEW | changes)

        assert response.status_code == 422
        assert fields_of(response) == [field]
        assert session.scalar(select(func.count()).select_from(HttpCheck)) == 0

    @pytest.mark.parametrize("database", ["sqlite"], indirect=True)
    def test_a_private_host_is_taken_where_it_is_named(
        self, make_app: Callable[..., Flask], session: Session
    ) -> None:
        client = make_app(private_hosts=LOOPBACK).test_client()
        client.environ_base["HTTP_AUTHORIZATION"] = f"Bearer {make_token(session)}"
        session.commit()

        assert make(client, url="http://127.0.0.1:8080/")["url"] == "http://127.0.0.1:8080/"

    def test_a_name_is_taken_once(self, staff_client: FlaskClient) -> None:
        make(staff_client)

        response = staff_client.post(PATH, json=NEW)

        assert (response.status_code, read_problem(response)["code"]) == (409, "check_name_taken")

    def test_there_is_a_most(self, staff_client: FlaskClient) -> None:
        for number in range(MOST_CHECKS):
            make(staff_client, name=f"check-{number}")

        response = staff_client.post(PATH, json=NEW)

        assert (response.status_code, read_problem(response)["code"]) == (409, "too_many_checks")


@pytest.mark.parametrize("database", ["sqlite"], indirect=True)
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
        ],
    )
    def test_is_the_administrators(
        self, staff_client_with: Callable[..., FlaskClient], client: FlaskClient, method: str, path: str
    ) -> None:
        moderator = staff_client_with("comments:moderate")

        assert moderator.open(PATH + path, method=method, json={}).status_code == 403
        assert client.open(PATH + path, method=method, json={}).status_code == 401

    @pytest.mark.parametrize(
        ("method", "path", "body"),
        [("GET", "", None), ("PATCH", "", {"version": 1}), ("DELETE", "", {}), ("POST", "/secret", {})],
    )
    def test_an_unknown_one_is_404_and_a_removed_one_too(
        self, staff_client: FlaskClient, method: str, path: str, body: dict[str, Any] | None
    ) -> None:
        removed = make(staff_client)["id"]
        staff_client.delete(f"{PATH}/{removed}")

        for each in (ID, removed):
            response = staff_client.open(f"{PATH}/{each}{path}", method=method, json=body)
            assert (response.status_code, read_problem(response)["code"]) == (404, "check_not_found")


class TestEditCheck:
    def test_changes_what_is_named_and_nothing_where_nothing_is_new(self, staff_client: FlaskClient) -> None:
        path = f"{PATH}/{make(staff_client)['id']}"

        edited = staff_client.patch(
            path, json={"url": "https://other.example/", "timeout": 2, "is_active": False, "version": 1}
        ).get_json()
        again = staff_client.patch(path, json={"timeout": 2, "version": 2}).get_json()

        assert (edited["url"], edited["timeout"], edited["is_active"], edited["version"]) == (
            "https://other.example/",
            2,
            False,
            2,
        )
        assert again == edited == read(staff_client, path)
        actions = [
            each["action"] for each in read(staff_client, f"/v1/audit?object_id={edited['id']}")["items"]
        ]
        assert actions == ["check.edited", "check.created"]

    def test_a_stale_version_is_refused(self, staff_client: FlaskClient) -> None:
        path = f"{PATH}/{make(staff_client)['id']}"
        staff_client.patch(path, json={"is_active": False, "version": 1})

        response = staff_client.patch(path, json={"timeout": 2, "version": 1})

        problem = read_problem(response)
        assert (response.status_code, problem["code"]) == (409, "stale_version")
        assert problem["current"] == {"version": 2, "is_active": False}

    @pytest.mark.parametrize(
        ("body", "field"),
        [
            ({"timeout": 2}, "version"),
            ({"version": 1, "url": "https://10.0.0.1/"}, "url"),
            ({"version": 1, "name": "other"}, "name"),
            ({"version": 1, "is_active": "no"}, "is_active"),
        ],
    )
    @pytest.mark.parametrize("database", ["sqlite"], indirect=True)
    def test_bad_input_is_named(self, staff_client: FlaskClient, body: dict[str, Any], field: str) -> None:
        response = staff_client.patch(f"{PATH}/{make(staff_client)['id']}", json=body)

        assert response.status_code == 422
        assert fields_of(response) == [field]


class TestRotateSecret:
    def test_shows_the_new_one_once_and_lets_the_former_sign_for_a_day(
        self, staff_client: FlaskClient, session: Session
    ) -> None:
        made = make(staff_client)

        rotated = staff_client.post(f"{PATH}/{made['id']}/secret").get_json()

        check = session.scalars(select(HttpCheck)).one()
        assert (check.previous_secret, check.secret) == (made["secret"], rotated["secret"])
        assert rotated["previous_until"] is not None
        assert rotated["version"] == 2

    def test_heals_one_that_no_key_opens(self, staff_client: FlaskClient, session: Session) -> None:
        made = make(staff_client)
        make_unreadable(session, "http_check", "secret", "url")
        path = f"{PATH}/{made['id']}"

        shown = read(staff_client, path)
        assert (shown["url"], shown["unreadable_because"]) == (None, UNREADABLE)
        rotated = staff_client.post(f"{path}/secret").get_json()
        healed = staff_client.patch(path, json={"url": URL, "version": 2}).get_json()

        assert rotated["previous_until"] is None
        assert (healed["url"], healed["unreadable_because"]) == (URL, None)


class TestRemoveCheck:
    def test_gives_its_name_free(self, staff_client: FlaskClient) -> None:
        made = make(staff_client)

        removed = staff_client.delete(f"{PATH}/{made['id']}")

        assert (removed.status_code, removed.get_json()["id"]) == (200, made["id"])
        assert read(staff_client, PATH)["items"] == []
        assert make(staff_client)["id"] != made["id"]


class TestSubmission:
    def test_waits_for_the_check_and_the_desk_is_told_so(
        self, staff_client: FlaskClient, client: FlaskClient, session: Session, keys: Keys
    ) -> None:
        make_site(session)
        session.commit()
        make(staff_client)

        sent = client.post(
            "/v1/comments",
            json={
                "article_url": ARTICLE_URL,
                "name": "Ada",
                "email": "ada@reader.example",
                "body": "The ferry is late.",
                "voter_token": make_voter_token(keys),
            },
        )

        assert sent.status_code == 202
        dossier = read(staff_client, f"/v1/moderation/comments/{sent.get_json()['id']}")
        assert "http:tone" in dossier["because"]
        (said,) = (each for each in dossier["revisions"][0]["verdicts"] if each["name"] == "http:tone")
        assert (said["state"], said["reason"]) == ("pending", "It has not answered yet.")
        assert session.scalars(select(CommentRevision)).one().outcome == "hold"
